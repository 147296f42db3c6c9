"""What the queue takes for an attempt: objects that become its records.

Redaction and encoding take longer the longer the content is, and as long as a function of the user takes. So a hook
only puts a draft into the queue, and the writer's thread encodes it. (A caller's thread does if the queue is long.)
"""

from __future__ import annotations

from typing import Any, Mapping, Optional

from honeyhive_litellm._mapping.model import Outcome
from honeyhive_litellm._mapping.reading import or_default
from honeyhive_litellm._spool.record import EVENT, START, Record

from .attempt import Attempt
from .encoder import EventEncoder
from .outcomes import OutcomeResolver, bare_outcome


class StartDraft:
    """The start record of an attempt that is in flight."""

    __slots__ = ("_attempt", "_encoder")
    kind = START

    def __init__(self, encoder: EventEncoder, attempt: Attempt) -> None:
        self._encoder = encoder
        self._attempt = attempt

    @property
    def id(self) -> str:
        return self._attempt.event_id

    def encode(self) -> Optional[Record]:
        """The record; None if the event is in the queue by now, which makes the start record superfluous."""
        return None if self._attempt.is_emitted else self._encoder.start(self._attempt)


class OutcomeDraft:
    """The event of an attempt, or with `kind` START a start record that holds the outcome already."""

    __slots__ = ("_attempt", "_encoder", "_outcome", "kind")

    def __init__(self, kind: int, encoder: EventEncoder, attempt: Attempt, outcome: Outcome) -> None:
        self.kind = kind
        self._encoder = encoder
        self._attempt = attempt
        self._outcome = outcome

    @property
    def id(self) -> str:
        return self._attempt.event_id

    def encode(self) -> Record:
        return self._encoder.event(self.kind, self._attempt, self._outcome)


class SuccessDraft:
    """The event of an attempt whose success LiteLLM's callback reported; the outcome is yet to be read from it."""

    __slots__ = ("_attempt", "_call_details", "_encoder", "_outcomes", "_response")
    kind = EVENT

    def __init__(
        self,
        encoder: EventEncoder,
        outcomes: OutcomeResolver,
        attempt: Attempt,
        call_details: Mapping[str, Any],
        response: object,
    ) -> None:
        """`call_details` is a copy: LiteLLM goes on changing its own."""
        self._encoder = encoder
        self._outcomes = outcomes
        self._attempt = attempt
        self._call_details = call_details
        self._response = response

    @property
    def id(self) -> str:
        return self._attempt.event_id

    def encode(self) -> Record:
        arguments = self._attempt, self._call_details, self._response
        outcome = or_default(bare_outcome("success", None), self._outcomes.success, *arguments)
        return self._encoder.event(EVENT, self._attempt, outcome)
