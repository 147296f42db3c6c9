"""Where each call is recorded."""

from __future__ import annotations

from typing import Any, Callable, Mapping, Optional

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._spool.record import Entry

from .open_attempts import OpenAttempts
from .outcomes import LiteLLMFunctions
from .target import Target


class Targets:
    """The targets of one recorder. Its methods may run on any thread."""

    def __init__(
        self,
        settings: Settings,
        submit: Callable[[Entry], int],
        litellm: LiteLLMFunctions,
        open_attempts: OpenAttempts,
    ) -> None:
        self._main = Target(None, settings, submit, litellm, open_attempts)

    def target_for(self, call_details: Mapping[str, Any]) -> Optional[Target]:
        """Where a call that begins is recorded; None if nowhere."""
        return self._main

    @property
    def sampled(self) -> int:
        """How many successes got no event, because they are not in the sample."""
        return self._main.emitter.sampled

    @property
    def withheld(self) -> int:
        """How many events have no content, because its redaction failed."""
        return self._main.emitter.withheld

    def hurry(self) -> None:
        """Wait for a function of the user no longer than the process's end allows."""
        self._main.emitter.hurry()
