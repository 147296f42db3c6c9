"""What was paid once is recorded once: a batch or a response in the background reports its cost to each poll."""

from __future__ import annotations

import threading
from typing import Dict

from honeyhive_litellm._mapping.call_types import call_type_of
from honeyhive_litellm._mapping.model import Outcome
from honeyhive_litellm._mapping.reading import text
from honeyhive_litellm._mapping.usage import FIGURES, Payment, drop_figures, is_payable_by_poll, provider_id

from .attempt import Attempt

REMEMBERED_PAYMENTS = 8192
"""So many of the latest responses, batches and videos are remembered as paid, in this process."""


class Payments:
    """Which event has the tokens and the cost of a provider's response. May be used on any thread."""

    def __init__(self) -> None:
        self._events: Dict[str, str] = {}
        """The event's id by the provider's id, oldest first."""
        self._lock = threading.Lock()

    def keep_once(self, attempt: Attempt, outcome: Outcome, response: object) -> None:
        """Remove tokens and cost from an outcome if they are another call's and may be in its event.

        An outcome may be resolved twice for one attempt, with the same result.
        """
        payment = call_type_of(attempt.request.kind).payment
        metadata = outcome.metadata
        if payment is Payment.OWN or not any(name in metadata for name in FIGURES):
            return
        id_ = text(metadata.get("response_id"))
        if payment is Payment.OWN_AND_POLLED:
            if id_ is not None:
                self._event_of(provider_id(id_), attempt.event_id)
        elif (
            payment is Payment.OTHERS
            or id_ is None
            or not is_payable_by_poll(response)
            or self._event_of(provider_id(id_), attempt.event_id) != attempt.event_id
        ):
            drop_figures(metadata)

    def _event_of(self, id_: str, event_id: str) -> str:
        """The id of the event that has the figures: this one, if none has them yet."""
        with self._lock:
            found = self._events.setdefault(id_, event_id)
            if len(self._events) > REMEMBERED_PAYMENTS:
                del self._events[next(iter(self._events))]
        return found
