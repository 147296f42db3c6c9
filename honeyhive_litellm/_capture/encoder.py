"""The bodies of records: an attempt's start, and its event, which begins with the same bytes.

What is known at the start is redacted and encoded once, for both: LiteLLM's dictionaries change afterwards.
"""

from __future__ import annotations

import time
from typing import Dict, Optional

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._json import decode, encode, join, members
from honeyhive_litellm._mapping.call_types import event_name
from honeyhive_litellm._mapping.ids import session_id
from honeyhive_litellm._mapping.model import OUTCOME_METADATA, Outcome
from honeyhive_litellm._mapping.reading import mapping
from honeyhive_litellm._privacy.redactor import Redactor
from honeyhive_litellm._privacy.sanitize import clean_text
from honeyhive_litellm._privacy.truncate import fit
from honeyhive_litellm._spool.record import IN_FLIGHT

from .attempt import Attempt


class Bodies:
    """Redacts and encodes by one set of settings."""

    def __init__(self, settings: Settings) -> None:
        self._source = settings.environment
        self._max_bytes = settings.max_event_bytes
        self._redactor = Redactor(settings.redact, settings.max_field_bytes, OUTCOME_METADATA)

    def _begin(self, attempt: Attempt) -> None:
        """Encode what is known at the start, into the attempt, unless that is done.

        Our thread and one that tells of an end may both do it at once, with the same result: `head` is set last.
        """
        if attempt.head:
            return
        request = attempt.request
        head: Dict[str, object] = {
            "event_id": attempt.event_id,
            "event_type": attempt.kind,
            "source": self._source,
            "start_time": attempt.started_ms,
        }
        metadata = request.metadata
        if request.session is not None:
            head["session_id"] = session_id(request.session)
            if head["session_id"] != request.session:
                metadata = {**metadata, "session_id": request.session}
            if request.session_name is not None:
                metadata = {**metadata, "session_name": request.session_name}
        content: Dict[str, object] = {"metadata": metadata, "event_name": request.event_name, "config": request.config}
        if request.user_properties:
            content["user_properties"] = request.user_properties
        content["inputs"] = request.inputs
        told = self._redactor.asked(content)
        metadata = told.pop("metadata")
        if request.session is not None:
            name = metadata.get("session_name") or metadata.get("session_id", head["session_id"])
            attempt.session = f"{head['session_id']} {clean_text(str(name), 512)}"
        head["event_name"] = told.pop("event_name", None) or event_name(request.call_type)
        attempt.is_withheld = "redaction_failed" in metadata
        attempt.proxy = dict(mapping(metadata.pop("proxy", None)))  # the outcome adds to it
        attempt.metadata = members(metadata)
        attempt.head = members(head) + b"," + members(told)

    def start(self, attempt: Attempt) -> bytes:
        """The body of the start record."""
        self._begin(attempt)
        proxy = {"proxy": attempt.proxy} if attempt.proxy else {}
        metadata = join(attempt.metadata, members({**proxy, "status": IN_FLIGHT}))
        return self._fitted(join(attempt.head, attempt.parent, b'"metadata":' + metadata))

    def event(self, attempt: Attempt, outcome: Outcome) -> bytes:
        """The body of the event."""
        self._begin(attempt)
        end_ms = max(outcome.end_ms or time.time() * 1000, attempt.started_ms)
        duration_ms = round(end_ms - attempt.started_ms, 3)
        facts = {"status": outcome.status, "success": outcome.status == "success", "duration_ms": duration_ms}
        content: Dict[str, object] = {"metadata": {**outcome.metadata, **facts}}
        if outcome.error is not None:
            content["error"] = outcome.error
        content["outputs"] = outcome.outputs
        told = self._redactor.answered(content)
        metadata = {**told.pop("metadata"), **facts}
        if attempt.is_withheld:
            metadata.pop("redaction_failed", None)  # the head says so
        if attempt.proxy:
            metadata["proxy"] = {**attempt.proxy, **mapping(metadata.get("proxy"))}
        told.update(end_time=end_ms, duration=duration_ms)
        metadata_members = join(attempt.metadata, members(metadata))
        return self._fitted(join(attempt.head, attempt.parent, members(told), b'"metadata":' + metadata_members))

    def _fitted(self, body: bytes) -> bytes:
        return body if len(body) <= self._max_bytes else encode(fit(decode(body), self._max_bytes))


def parent_member(raw: Optional[str]) -> bytes:
    """The member of an event that names the event above it by its id, or by what its id is made of; empty for None."""
    return b"" if raw is None else members({"parent_id": session_id(raw)})
