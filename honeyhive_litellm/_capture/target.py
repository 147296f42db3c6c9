"""What records the calls of one destination, by its settings."""

from __future__ import annotations

from typing import Callable, Optional

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._spool.record import Entry

from .emitter import Emitter
from .open_attempts import OpenAttempts
from .outcomes import LiteLLMFunctions, OutcomeResolver
from .request_mapper import RequestMapper


class Target:
    """The settings of one destination, and what maps, resolves and emits by them. `name` is None for the main one."""

    __slots__ = ("emitter", "mapper", "name", "outcomes", "project", "sample_rate")

    def __init__(
        self,
        name: Optional[str],
        settings: Settings,
        submit: Callable[[Entry], int],
        litellm: LiteLLMFunctions,
        open_attempts: OpenAttempts,
    ) -> None:
        """`submit` puts a record into the destination's queue and returns its position there."""
        self.name = name
        self.project = settings.project
        self.sample_rate = settings.sample_rate
        self.mapper = RequestMapper(settings, litellm)
        self.outcomes = OutcomeResolver(settings, litellm)
        self.emitter = Emitter(settings, submit, self.outcomes, open_attempts)
