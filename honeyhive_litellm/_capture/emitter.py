"""Put the records of attempts into the queue, but for the successes that are not in the sample."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._mapping.model import Outcome
from honeyhive_litellm._spool.record import CLOSED, EVENT, START, Entry, Record

from .attempt import Attempt
from .drafts import OutcomeDraft, StartDraft, SuccessDraft
from .encoder import EventEncoder
from .open_attempts import OpenAttempts
from .outcomes import OutcomeResolver


class Emitter:
    """`submit` puts an entry into the queue and returns its position there, on any thread, and does not raise."""

    def __init__(
        self,
        settings: Settings,
        submit: Callable[[Entry], int],
        outcomes: OutcomeResolver,
        open_attempts: OpenAttempts,
    ) -> None:
        self._submit = submit
        self._encoder = EventEncoder(settings)
        self._outcomes = outcomes
        self._open = open_attempts
        self._captures_in_flight = settings.capture_in_flight
        self.sampled = 0
        """How many successes got no event, because they are not in the sample."""

    @property
    def withheld(self) -> int:
        """How many events have no content, because its redaction failed."""
        return self._encoder.withheld

    def hurry(self) -> None:
        """Wait for a function of the user no longer than the process's end allows."""
        self._encoder.hurry()

    def close(self) -> None:
        """End the threads of the user's functions. What comes later is emitted all the same."""
        self._encoder.close()

    def start(self, attempt: Attempt) -> None:
        """Emit the start record, if the settings want one."""
        if self._captures_in_flight:
            attempt.has_start = True
            attempt.start_position = self._submit(StartDraft(self._encoder, attempt))

    def checkpoint(self, attempt: Attempt, outcome: Outcome) -> None:
        """Emit a start record that holds the outcome, of an attempt that is still open."""
        if attempt.is_sampled_out and outcome.status == "success":
            self._close_start(attempt)
        else:
            self._submit(OutcomeDraft(START, self._encoder, attempt, outcome))

    def event(self, attempt: Attempt, outcome: Outcome) -> None:
        """Emit the event of a claimed attempt."""
        if attempt.is_sampled_out and outcome.status == "success":
            self._close_start(attempt)
            with self._open.lock:
                self.sampled += 1
        else:
            self._submit_event(attempt, OutcomeDraft(EVENT, self._encoder, attempt, outcome))

    def success(self, attempt: Attempt, call_details: Mapping[str, Any], response: object) -> None:
        """Emit the event of a claimed attempt that is in the sample; its outcome is read on the writer's thread."""
        draft = SuccessDraft(self._encoder, self._outcomes, attempt, dict(call_details), response)
        self._submit_event(attempt, draft)

    def _submit_event(self, attempt: Attempt, draft: Entry) -> None:
        is_refused = not self._submit(draft)
        attempt.is_emitted = True
        if is_refused and attempt.start_position:
            self._close_start(attempt)

    def _close_start(self, attempt: Attempt) -> None:
        """Void the start record of a call that gets no event, which adoption would take for interrupted."""
        if attempt.has_start:
            self._submit(Record(CLOSED, attempt.event_id, attempt.started_ms, None, b""))
