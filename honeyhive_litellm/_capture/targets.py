"""Where each call is recorded: the target of the main project, and those of the destinations."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Tuple

from honeyhive_litellm._config.destinations import MAIN
from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._spool.record import Entry

from .open_attempts import OpenAttempts
from .outcomes import LiteLLMFunctions
from .routing import Rules
from .target import Target

SubmitTo = Callable[[str], Callable[[Entry], int]]
"""Returns what puts a record into the queue of the destination of this name."""


class Targets:
    """The targets of one recorder. Its methods may run on any thread.

    A destination's target is made at its first call: most of a gateway's destinations may be idle.
    """

    def __init__(
        self,
        settings: Settings,
        submit: Callable[[Entry], int],
        litellm: LiteLLMFunctions,
        open_attempts: OpenAttempts,
        named: Mapping[str, Settings],
        submit_to: SubmitTo,
    ) -> None:
        """`named` has the settings of each destination."""
        self._litellm = litellm
        self._open = open_attempts
        self._settings_of = named
        self._submit_to = submit_to
        self._main = Target(None, settings, submit, litellm, open_attempts)
        self._named: Dict[str, Target] = {}
        self._rules = Rules(settings.destination_list, settings.default_destination) if named else None
        self._lock = threading.Lock()
        self.unrouted = 0
        """How many calls are not recorded, because they match no rule and there is no default."""

    def target_for(self, call_details: Mapping[str, Any]) -> Optional[Target]:
        """Where a call that begins is recorded; None if nowhere."""
        if self._rules is None:
            return self._main
        name = self._rules.destination_of(call_details)
        if name is None:
            with self._lock:
                self.unrouted += 1
            return None
        return self._main if name == MAIN else self._named.get(name) or self._make(name)

    def _make(self, name: str) -> Target:
        with self._lock:
            target = self._named.get(name)
            if target is None:
                settings, submit = self._settings_of[name], self._submit_to(name)
                target = self._named[name] = Target(name, settings, submit, self._litellm, self._open)
            return target

    def numbers(self) -> Dict[Optional[str], Tuple[int, int, int]]:
        """For each destination that had calls: attempts in flight, successes outside the sample, events withheld."""
        in_flight = Counter(attempt.target.name for attempt in self._open.unfinished())
        return {
            target.name: (in_flight[target.name], target.emitter.sampled, target.emitter.withheld) for target in self
        }

    def hurry(self) -> None:
        """Wait for a function of the user no longer than the process's end allows."""
        for target in self:
            target.emitter.hurry()

    def close(self) -> None:
        """End the threads of the user's functions."""
        for target in self:
            target.emitter.close()

    def __iter__(self) -> Iterator[Target]:
        yield self._main
        yield from list(self._named.values())
