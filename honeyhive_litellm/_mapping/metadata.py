"""The caller's metadata of a call: session, trace, user, tags, and whatever else the caller put there.

LiteLLM keeps it in `litellm_params["metadata"]`, on some paths (`/v1/messages`, `/v1/responses` of its proxy) in
`litellm_params["litellm_metadata"]`, and adds dozens of keys of its own to it. Other modules read LiteLLM's keys.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping, Optional, Sequence

from .model import RESERVED_METADATA
from .reading import mapping, text

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}.*")
"""W3C Trace Context, section 3.2; a later version may append more."""

_EMPTY: Mapping[str, Any] = {}

_READ_ELSEWHERE = frozenset(("session_id", "trace_id", "event_name", "user_id", "user_properties", "tags", "no-log"))
"""The caller's metadata that becomes another part of the event, or none."""

# Keys that LiteLLM adds to the metadata of any call.
_LITELLM = frozenset(
    (
        "applied_guardrails", "applied_policies", "attempted_fallbacks", "attempted_retries", "caching_groups",
        "cold_storage_object_key", "deployment_model_name", "error_information", "file_checksum",
        "global_max_parallel_requests", "hidden_params", "inherited_tags", "llm_api_timing_windows", "model_group",
        "model_group_size", "model_info", "original_model_group", "previous_models", "queue_time_seconds",
        "raw_request", "request_retry_count", "requester_custom_headers", "requester_ip_address",
        "requester_metadata", "routing_decision", "spend_logs_metadata", "usage_object", "used_client_oauth_token",
    )
)  # fmt: skip

# Keys that are LiteLLM's in a call through its Router or proxy, and may be the caller's in any other.
_LITELLM_ROUTED = _LITELLM | frozenset(
    (
        "api_base", "caller_tags", "client_disconnected", "deployment", "disable_fallbacks",
        "disable_global_guardrails", "endpoint", "enforced_params", "guardrail_config", "guardrails", "headers",
        "max_retries", "model_config", "model_group_alias", "opted_out_global_guardrails", "policies", "tag_routing",
        "user_agent",
    )
)  # fmt: skip

_LITELLM_PREFIXES = (
    "user_api_", "honeyhive_", "litellm_", "standard_logging_", "sensitive_data_routing_", "adaptive_router_",
    "quality_router_", "routing_plugin_", "_litellm", "_pre_call_", "_routing", "_autorouter", "_guardrail",
    "_pipeline", "_otel", "_failover", "_model_armor", "_openai_moderation", "_latency_per_deployment",
)  # fmt: skip


def metadata_of(
    litellm_params: Mapping[str, Any], optional_params: Mapping[str, Any], arguments: Mapping[str, Any] = _EMPTY
) -> Mapping[str, Any]:
    """All metadata of a call as one mapping.

    From the weakest source to the strongest: the argument `metadata` of a call that LiteLLM translates, what a client
    sent to the proxy, the Responses API's `metadata` parameter, `litellm_metadata`, `metadata`.
    """
    metadata = mapping(litellm_params.get("metadata"))
    others = [
        source
        for source in (
            mapping(arguments.get("metadata")),
            mapping(metadata.get("requester_metadata")),
            mapping(optional_params.get("metadata")),
            mapping(litellm_params.get("litellm_metadata")),
        )
        if source
    ]
    if not others:
        return metadata
    merged: Dict[str, Any] = {}
    for source in others:
        merged.update(source)
    merged.update(metadata)
    return merged


def is_routed(caller_metadata: Mapping[str, Any]) -> bool:
    """Whether LiteLLM's Router or proxy made the call."""
    return "model_group" in caller_metadata or is_proxied(caller_metadata)


def is_proxied(caller_metadata: Mapping[str, Any]) -> bool:
    """Whether LiteLLM's proxy made the call."""
    return "user_api_key_hash" in caller_metadata or "user_api_key" in caller_metadata


def session_of(
    call_details: Mapping[str, Any],
    litellm_params: Mapping[str, Any],
    caller_metadata: Mapping[str, Any],
    context_session: Optional[str] = None,
) -> Optional[str]:
    """The session's id as the caller gave it, which need not be a UUID; None for a call outside of any session.

    `context_session` is the session that the calling code runs in.

    LiteLLM gives a plain call a trace id of its own, in `call_details["litellm_trace_id"]` only. The one in
    `litellm_params` is the caller's, or the Router's for all attempts at one request (as of LiteLLM 1.106).
    """
    return (
        text(caller_metadata.get("honeyhive_session_id"))
        or text(caller_metadata.get("session_id"))
        or context_session
        or text(litellm_params.get("litellm_session_id"))
        or text(litellm_params.get("litellm_trace_id"))
        or (text(call_details.get("litellm_trace_id")) if is_routed(caller_metadata) else None)
    )


def trace_of(
    call_details: Mapping[str, Any], litellm_params: Mapping[str, Any], caller_metadata: Mapping[str, Any]
) -> Optional[str]:
    """The trace id: the caller's, else LiteLLM's, else the id of the call, which is a trace of its own."""
    return (
        text(caller_metadata.get("trace_id"))
        or text(call_details.get("litellm_trace_id"))
        or text(litellm_params.get("litellm_trace_id"))
        or text(call_details.get("litellm_call_id"))
        or text(litellm_params.get("litellm_call_id"))
    )


def incoming_trace(litellm_params: Mapping[str, Any], caller_metadata: Mapping[str, Any]) -> Optional[Dict[str, str]]:
    """The W3C trace and span ids that a client sent to the proxy as `traceparent`; None without any."""
    if not is_proxied(caller_metadata):
        return None
    for source in (
        mapping(litellm_params.get("proxy_server_request")),
        caller_metadata,
        mapping(caller_metadata.get("requester_metadata")),
    ):
        match = _TRACEPARENT.fullmatch(text(mapping(source.get("headers")).get("traceparent")) or "")
        if match is not None and int(match.group(1), 16) and int(match.group(2), 16):
            return {"trace_id": match.group(1), "span_id": match.group(2)}
    return None


def user_properties(
    call_details: Mapping[str, Any], optional_params: Mapping[str, Any], caller_metadata: Mapping[str, Any]
) -> Dict[str, object]:
    """The caller's `user_properties`, with the user's id where there is one."""
    properties: Dict[str, object] = dict(mapping(caller_metadata.get("user_properties")))
    user = (
        text(caller_metadata.get("user_id"))
        or text(call_details.get("user"))
        or text(optional_params.get("user"))
        or text(caller_metadata.get("user_api_key_end_user_id"))
    )
    if user is not None:
        properties["user_id"] = user
    return properties


def tags(caller_metadata: Mapping[str, Any]) -> Optional[Sequence[object]]:
    """The call's tags; None if there are none."""
    value = caller_metadata.get("tags")
    if isinstance(value, (list, tuple)):
        return value or None
    return [value] if isinstance(value, str) and value else None


def add_custom(metadata: Dict[str, object], caller_metadata: Mapping[str, Any], attributes: object) -> None:
    """Add the configured attributes and then the caller's own metadata to the event's.

    What the caller has under a reserved name goes to `user_metadata`.
    """
    litellm_names = _LITELLM_ROUTED if is_routed(caller_metadata) else _LITELLM
    renamed: Dict[str, object] = {}
    if attributes and isinstance(attributes, Mapping):
        for name, value in attributes.items():
            (renamed if name in RESERVED_METADATA else metadata)[name] = value
    for name, value in caller_metadata.items():
        if value is None or name in _READ_ELSEWHERE or name in litellm_names:
            continue
        if isinstance(name, str) and name.startswith(_LITELLM_PREFIXES):
            continue
        (renamed if name in RESERVED_METADATA else metadata)[name] = value
    if renamed:
        metadata["user_metadata"] = renamed
