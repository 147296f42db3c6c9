"""Redact and encode the records of an attempt.

The request is encoded once and its bytes serve both the start record and the event: LiteLLM changes its dictionaries
between the two.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone
from typing import Any, Dict, Optional

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._json import copy_in, decode, encode, join, members
from honeyhive_litellm._mapping.call_types import event_name
from honeyhive_litellm._mapping.ids import session_id
from honeyhive_litellm._mapping.model import OUTCOME_METADATA, Outcome
from honeyhive_litellm._mapping.reading import mapping, number, text
from honeyhive_litellm._privacy.redactor import Redactor
from honeyhive_litellm._privacy.sanitize import clean_text
from honeyhive_litellm._privacy.truncate import fit
from honeyhive_litellm._spool.record import EVENT, IN_FLIGHT, START, Record

from .attempt import Attempt, EncodedRequest
from .bounded_calls import BoundedCalls
from .recurring_tools import RecurringTools

_LONGEST_SESSION_NAME = 512

_PAGE_NAMES = (
    ("latency_ms", "duration_ms"),
    ("cache_read_input_tokens", "cache_read_tokens"),
    ("cache_write_input_tokens", "cache_creation_tokens"),
)
"""The names under which HoneyHive's page reads what the outcome has under ours."""

_NO_PROVIDER = "litellm"
"""The provider of a call for which LiteLLM resolves none: LiteLLM itself answers it, with a refusal."""


class EventEncoder:
    """Encodes by one set of settings. Its methods may run on any thread, also on two at once for one attempt."""

    def __init__(self, settings: Settings) -> None:
        self._source = settings.environment
        self._max_bytes = settings.max_event_bytes
        self._calls = BoundedCalls()
        self._redactor = Redactor(settings.redact, settings.max_field_bytes, OUTCOME_METADATA, self._calls.call)
        self._tools = RecurringTools(self._clean_tools)
        self._lock = threading.Lock()
        self.withheld = 0
        """How many events were encoded without their content, because its redaction failed."""

    def hurry(self) -> None:
        """Wait for a function of the user no longer than the process's end allows."""
        self._calls.hurry()

    def close(self) -> None:
        """End the threads of the user's functions. What comes later is encoded all the same."""
        self._calls.close()

    def start(self, attempt: Attempt) -> Record:
        """The start record of an attempt whose outcome is unknown."""
        request = self._request(attempt)
        proxy = {"proxy": request.proxy} if request.proxy else {}
        metadata = join(request.metadata, members({**proxy, "status": IN_FLIGHT}))
        return self._record(START, attempt, request, b'"metadata":' + metadata)

    def event(self, kind: int, attempt: Attempt, outcome: Outcome) -> Record:
        """The event record, or with `kind` START a start record that holds the outcome already."""
        request = self._request(attempt)
        end_ms = max(outcome.end_ms or time.time() * 1000, attempt.started_ms)
        duration_ms = round(end_ms - attempt.started_ms, 3)
        facts: Dict[str, object] = {
            "status": outcome.status,
            "success": outcome.status == "success",
            "duration_ms": duration_ms,
        }
        finish_reason = text(outcome.outputs.get("finish_reason"))
        if finish_reason is not None:
            facts["finish_reason"] = finish_reason
        measured: Dict[str, Any] = {**outcome.metadata, **facts}
        if (number(measured.get("time_to_first_token_ms")) or 0) > duration_ms:
            # LiteLLM's own count of a stream that is not read through us: it begins with the request, not the attempt.
            del measured["time_to_first_token_ms"]
        content: Dict[str, object] = {"metadata": measured}
        if outcome.error is not None:
            content["error"] = outcome.error
        content["outputs"] = outcome.outputs
        redacted = self._redactor.redact_outcome(content)
        if kind == EVENT and (request.is_withheld or "redaction_failed" in redacted["metadata"]):
            with self._lock:
                self.withheld += 1
        metadata = {**redacted.pop("metadata"), **facts}
        metadata.update({name: metadata[ours] for name, ours in _PAGE_NAMES if ours in metadata})
        if request.is_withheld:
            metadata.pop("redaction_failed", None)  # among the request's metadata already
        if request.proxy:
            metadata["proxy"] = {**request.proxy, **mapping(metadata.get("proxy"))}
        redacted.update(end_time=end_ms, duration=duration_ms)
        joined = b'"metadata":' + join(request.metadata, members(metadata))
        return self._record(kind, attempt, request, members(redacted), joined)

    def _request(self, attempt: Attempt) -> EncodedRequest:
        encoded = attempt.encoded
        if encoded is None:
            encoded = attempt.encoded = self._encode_request(attempt)
        return encoded

    def _encode_request(self, attempt: Attempt) -> EncodedRequest:
        request = attempt.request
        head: Dict[str, object] = {
            "event_id": attempt.event_id,
            "event_type": request.event_type,
            "source": self._source,
            "start_time": attempt.started_ms,
        }
        provider = {} if request.provider else {"provider": _NO_PROVIDER}
        metadata = {**request.metadata, **provider, "timestamp": _iso(attempt.started_ms)}
        if request.session is not None:
            head["session_id"] = session_id(request.session)
            if head["session_id"] != request.session:
                metadata = {**metadata, "session_id": request.session}
            if request.session_name is not None:
                metadata = {**metadata, "session_name": request.session_name}
        content: Dict[str, object] = {"metadata": metadata, "event_name": request.event_name}
        content["config"] = {**request.config, **provider}
        if request.user_properties:
            content["user_properties"] = request.user_properties
        content["inputs"] = request.inputs
        tools = request.tools
        if tools is not None and self._redactor.is_configured:  # what a function does to them may depend on the rest
            content["inputs"] = {**request.inputs, "functions": copy_in(tools)}
            tools = None
        redacted = self._redactor.redact_request(content)
        if tools is not None:
            redacted["inputs"]["functions"] = self._tools.encoded(tools)
        metadata = redacted.pop("metadata")
        session = None
        if request.session is not None:
            name = metadata.get("session_name") or metadata.get("session_id", head["session_id"])
            session = f"{head['session_id']} {clean_text(str(name), _LONGEST_SESSION_NAME)}"
        head["event_name"] = redacted.pop("event_name", None) or event_name(request.call_type)
        is_withheld = "redaction_failed" in metadata
        proxy = dict(mapping(metadata.pop("proxy", None)))
        head_members = members(head) + b"," + members(redacted)
        return EncodedRequest(head_members, members(metadata), proxy, session, is_withheld)

    def _clean_tools(self, tools: object) -> object:
        content = {"metadata": {}, "inputs": {"functions": tools}}
        return self._redactor.redact_request(content)["inputs"].get("functions")

    def _record(self, kind: int, attempt: Attempt, request: EncodedRequest, *parts: bytes) -> Record:
        body = join(request.head, _parent(attempt.parent_id), *parts)
        if len(body) > self._max_bytes:
            body = encode(fit(decode(body), self._max_bytes))
        return Record(kind, attempt.event_id, attempt.started_ms, request.session, body)


def _iso(unix_ms: float) -> str:
    """ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(unix_ms / 1000, timezone.utc).isoformat(timespec="milliseconds")


def _parent(raw: Optional[str]) -> bytes:
    """The `parent_id` member of an event; empty for None. A parent's id that is no UUID becomes one."""
    return b"" if raw is None else members({"parent_id": session_id(raw)})
