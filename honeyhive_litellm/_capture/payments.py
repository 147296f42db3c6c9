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
"""So many are remembered as paid, in this process, of those that were paid by the call that made them, and as many of
those that were paid by a poll."""


class Payments:
    """Which event has the tokens and the cost of a provider's response. May be used on any thread."""

    def __init__(self) -> None:
        self._by_call: Dict[str, str] = {}
        """The event's id by the provider's id, of what the call that made it has paid. The latest used is the last."""
        self._by_poll: Dict[str, str] = {}
        """The same of what a poll has paid, apart: each response adds one to the others, and few are ever polled."""
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
                self._pay_by_call(provider_id(id_), attempt.event_id)
        elif (
            payment is Payment.OTHERS
            or id_ is None
            or not is_payable_by_poll(response)
            or self._event_that_paid(provider_id(id_), attempt.event_id) != attempt.event_id
        ):
            drop_figures(metadata)

    def _pay_by_call(self, id_: str, event_id: str) -> None:
        with self._lock:
            _remember(self._by_call, id_, self._by_call.get(id_, event_id))

    def _event_that_paid(self, id_: str, event_id: str) -> str:
        """The id of the event that has the figures of what is polled: this one, if none has them yet."""
        with self._lock:
            paid = self._by_call if id_ in self._by_call else self._by_poll
            found = paid.get(id_, event_id)
            _remember(paid, id_, found)
        return found


def _remember(paid: Dict[str, str], id_: str, event_id: str) -> None:
    """Make it the latest entry; the one that was not used for the longest time goes."""
    paid.pop(id_, None)
    paid[id_] = event_id
    if len(paid) > REMEMBERED_PAYMENTS:
        del paid[next(iter(paid))]
