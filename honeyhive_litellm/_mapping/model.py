"""The values that the mapping takes and returns, and the metadata names that are reserved for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, NamedTuple, Optional, Protocol, Sequence

_EMPTY: Mapping[str, Any] = {}

OUTCOME_METADATA = frozenset(
    (
        "status", "success", "duration_ms", "response_id", "response_model", "system_fingerprint", "prompt_tokens",
        "completion_tokens", "total_tokens", "reasoning_tokens", "cache_read_tokens", "cache_creation_tokens", "cost",
        "estimated_cost", "usage_estimated", "cache_hit", "saved_cost", "time_to_first_token_ms", "litellm_overhead_ms",
        "status_code", "error_class", "provider_request_id", "response_headers", "redaction_failed", "latency_ms",
        "finish_reason", "cache_read_input_tokens", "cache_write_input_tokens",
    )
)  # fmt: skip
"""Every metadata name that an outcome may write, but for `proxy`, which the request and the outcome both write.

The request's metadata never has one of these names: both parts are encoded separately and then joined into one JSON
object, where a name must not occur twice.
"""

REQUEST_METADATA = frozenset(
    (
        "trace_id", "timestamp", "call_type", "project", "model", "provider", "tags", "api_base", "router", "proxy",
        "raw_request", "session_id", "otel", "user_metadata", "model_name", "tool_name", "user_id",
    )
)  # fmt: skip
"""The metadata names that a request writes itself."""

RESERVED_METADATA = OUTCOME_METADATA | REQUEST_METADATA
"""The caller's own metadata under one of these names moves to `user_metadata`."""


class MappingSettings(Protocol):
    """The settings that the mapping reads; `Settings` has them all."""

    @property
    def project(self) -> str: ...
    @property
    def custom_attributes(self) -> Optional[Mapping[str, Any]]: ...
    @property
    def capture_message_content(self) -> bool: ...
    @property
    def capture_headers(self) -> bool: ...
    @property
    def capture_raw_request(self) -> bool: ...


class CallContext(NamedTuple):
    """What surrounds a call when it begins: `honeyhive_litellm.session`, HoneyHive's tracer, an OpenTelemetry span.

    `session` is the id as the caller gave it, which need not be a UUID. `session_name` is None where the session has
    no name but its id. `in_router` if LiteLLM's Router is at work on a request in this context.
    """

    session: Optional[str] = None
    session_name: Optional[str] = None
    parent_id: Optional[str] = None
    user_properties: Mapping[str, Any] = _EMPTY
    metadata: Mapping[str, Any] = _EMPTY
    otel: Optional[Dict[str, str]] = None
    noted_metadata: Optional[Sequence[Mapping[str, Any]]] = None
    """What the caller gave a Router as metadata, noted before the Router wrote into it; None outside of a Router."""
    in_router: bool = False


NO_CONTEXT = CallContext()


@dataclass
class Request:
    """The request's part of an event.

    `session` is the id as the caller gave it, which need not be a UUID. `arguments` are those that a patch noted.
    `skip` means that the call gets no event.
    """

    call_type: str
    kind: str
    event_type: str
    event_name: str
    provider: Optional[str]
    model: Optional[str]
    config: Dict[str, object]
    inputs: Dict[str, object]
    metadata: Dict[str, object]
    user_properties: Dict[str, object]
    session: Optional[str]
    session_name: Optional[str]
    parent_id: Optional[str]
    arguments: Mapping[str, Any]
    skip: bool
    capture_content: bool
    call_id: str
    tools: Optional[bytes] = None
    """The `functions` among the inputs as JSON, if they were taken out of the inputs when the call began."""


@dataclass
class Outcome:
    """The outcome's part of an event.

    `status` is success, failure, cancelled or abandoned. Times are Unix milliseconds. `has_content`: whether content
    may be recorded; LiteLLM's own redaction shows only when the call has ended.
    """

    status: str
    outputs: Dict[str, object]
    metadata: Dict[str, object]
    error: Optional[str]
    start_ms: Optional[float]
    end_ms: Optional[float]
    has_content: bool = True
