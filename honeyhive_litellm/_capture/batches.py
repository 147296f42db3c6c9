"""The batches that this process has created: the events of their lines belong under theirs."""

from __future__ import annotations

from typing import Dict, Tuple

from honeyhive_litellm._mapping.model import Outcome
from honeyhive_litellm._mapping.reading import text
from honeyhive_litellm._mapping.usage import provider_id

from .attempt import Attempt

REMEMBERED_BATCHES = 1024
"""So many of the latest batches are remembered. The lines of another one are in a session of the batch's own."""


class Batches:
    """Finds the event of a batch. May be used on any thread: each step is one operation on a dictionary."""

    def __init__(self) -> None:
        self._events: Dict[str, Tuple[str, str]] = {}
        """The session and the event of each batch, by the provider's id, oldest first."""

    def note(self, attempt: Attempt, outcome: Outcome) -> None:
        """Remember the batch that this attempt has created, if it has created one in a session."""
        id_, session = text(outcome.metadata.get("response_id")), attempt.request.session
        if attempt.request.kind != "create_batch" or id_ is None or session is None:
            return
        self._events[provider_id(id_)] = (session, attempt.event_id)
        if len(self._events) > REMEMBERED_BATCHES:
            self._events.pop(next(iter(list(self._events))), None)

    def place_of(self, batch_id: str) -> Dict[str, str]:
        """The metadata that puts a line of this batch under the batch's event, or else into a session of the batch."""
        found = self._events.get(provider_id(batch_id))
        return {"session_id": batch_id} if found is None else {"session_id": found[0], "honeyhive_parent_id": found[1]}
