"""The caller's metadata of a call: session, trace, user, tags, and whatever else the caller put there.

LiteLLM keeps it in `litellm_params["metadata"]`, on some paths (`/v1/messages`, `/v1/responses` of its proxy) in
`litellm_params["litellm_metadata"]`, and adds dozens of keys of its own to it. Other modules read LiteLLM's keys.
"""

from __future__ import annotations

import re
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Sequence

from .model import RESERVED_METADATA
from .reading import mapping, text

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}.*")
"""W3C Trace Context, section 3.2; a later version may append more."""

_EMPTY: Mapping[str, Any] = {}

NOTED_KEY = "honeyhive_metadata"
"""Where a patch leaves what `note_metadata` returns, in the `call_details` of a call."""

_READ_ELSEWHERE = frozenset(("session_id", "trace_id", "event_name", "user_properties", "tags", "no-log"))
"""The metadata that becomes another part of the event, or none. What the caller gave is metadata all the same."""

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

_MARKS_OF_PROXY = ("litellm_api_version", "user_api_key_auth")
"""Names that are in a dictionary which LiteLLM's proxy has written into, and in no other."""

_ADDED_BY_PROXY = ("headers", "used_client_oauth_token")

_ROUTERS = (
    "model_group", "model_group_alias", "model_group_size", "original_model_group", "deployment",
    "deployment_model_name", "caching_groups", "attempted_fallbacks", "attempted_retries", "max_retries", "api_base",
)  # fmt: skip
"""Names that the Router writes; with `_ENOUGH` of them, and the id of a deployment, a dictionary is one of its."""
_ENOUGH = 5

_HIDDEN_PARAMS = frozenset(
    ("additional_headers", "api_base", "custom_llm_provider", "litellm_call_id", "model_id", "response_cost")
)

_JSON_TYPES = (str, int, float, dict, list, tuple)

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


def is_routed(litellm_params: Mapping[str, Any], caller_metadata: Mapping[str, Any], in_router: bool = False) -> bool:
    """Whether LiteLLM's Router or proxy made the call; `in_router` if the Router is at work where the call began.

    The Router's notes among the metadata do not suffice: it writes them into the caller's own dictionary, which the
    caller may pass to a direct call later. The deployment is among the parameters of the Router's calls only.
    """
    has_notes = "model_group" in caller_metadata
    return (has_notes and (in_router or bool(litellm_params.get("model_info")))) or is_proxied(caller_metadata)


def is_proxied(caller_metadata: Mapping[str, Any]) -> bool:
    """Whether LiteLLM's proxy made the call."""
    return "user_api_key_hash" in caller_metadata or "user_api_key" in caller_metadata


def session_of(
    call_details: Mapping[str, Any],
    litellm_params: Mapping[str, Any],
    caller_metadata: Mapping[str, Any],
    context_session: Optional[str] = None,
    routed: bool = False,
) -> Optional[str]:
    """The session's id as the caller gave it, which need not be a UUID; None for a call outside of any session.

    `context_session` is the session that the calling code runs in. `routed` as `is_routed` returns it.

    LiteLLM gives a plain call a trace id of its own, in `call_details["litellm_trace_id"]` only. The one in
    `litellm_params` is the caller's, or the Router's for all attempts at one request (as of LiteLLM 1.106).
    """
    return (
        text(caller_metadata.get("honeyhive_session_id"))
        or text(caller_metadata.get("session_id"))
        or context_session
        or text(litellm_params.get("litellm_session_id"))
        or text(litellm_params.get("litellm_trace_id"))
        or (text(call_details.get("litellm_trace_id")) if routed else None)
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


def note_metadata(arguments: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Copies of the metadata among the arguments of a call, the strongest first, before LiteLLM writes into them.

    What LiteLLM's proxy or Router wrote before, into a dictionary that is used once more, is left out.
    """
    noted = []
    for name in ("metadata", "litellm_metadata"):
        metadata = arguments.get(name)
        if metadata and type(metadata) is dict and not any(mark in metadata for mark in _MARKS_OF_PROXY):
            noted.append(_without_routers(metadata) if _is_of_router(metadata) else dict(metadata))
    return noted


def _is_of_router(metadata: Mapping[str, Any]) -> bool:
    return "id" in mapping(metadata.get("model_info")) and sum(name in metadata for name in _ROUTERS) >= _ENOUGH


def _without_routers(metadata: Mapping[str, Any]) -> Dict[str, Any]:
    return {name: value for name, value in metadata.items() if not _is_litellms(name, _LITELLM_ROUTED)}


def callers_sources(
    noted: Optional[Sequence[Mapping[str, Any]]],
    caller_metadata: Mapping[str, Any],
    optional_params: Mapping[str, Any],
) -> Sequence[Mapping[str, Any]]:
    """What the caller itself gave as metadata, the strongest source first.

    As noted, or as the proxy's client sent it, and the provider's own parameter `metadata`. The proxy adds to what a
    client sent before it copies that, on some of its routes.
    """
    sources = list(noted or ())
    if not sources and is_proxied(caller_metadata):
        sent = mapping(caller_metadata.get("requester_metadata"))
        added = [name for name in _ADDED_BY_PROXY if name in sent and sent[name] == caller_metadata.get(name)]
        sources.append({name: value for name, value in sent.items() if name not in added})
    sources.append(mapping(optional_params.get("metadata")))
    return sources


def add_custom(
    metadata: Dict[str, object],
    caller_metadata: Mapping[str, Any],
    sources: Sequence[Mapping[str, Any]],
    attributes: object,
) -> Dict[str, object]:
    """Add the configured attributes and then the caller's own metadata to the event's.

    Returns what has a name that is reserved, or LiteLLM's own: it belongs under `user_metadata`, unless the event has
    the same under that name already. Nothing that the caller is known to have given (`sources`) is left out.
    """
    has_routers_notes = "model_group" in caller_metadata or is_proxied(caller_metadata)
    litellm_names = _LITELLM_ROUTED if has_routers_notes else _LITELLM
    renamed: Dict[str, object] = {}
    if attributes and isinstance(attributes, Mapping):
        for name, value in attributes.items():
            (renamed if name in RESERVED_METADATA else metadata)[name] = value
    for name, value in caller_metadata.items():
        if value is None or name in _READ_ELSEWHERE or _is_litellms(name, litellm_names):
            continue
        (renamed if name in RESERVED_METADATA else metadata)[name] = value
    for source in reversed(sources):  # the strongest last
        for name, value in source.items():
            if _is_litellms(name, litellm_names):
                if not _is_left_behind(name, value) and (value is None or isinstance(value, _JSON_TYPES)):
                    renamed[name] = value
            elif name in RESERVED_METADATA:
                renamed[name] = value
            elif name not in metadata:
                metadata[name] = value
            elif not is_same(metadata[name], value):  # a stronger source has another value
                renamed[name] = value
    return renamed


def _is_left_behind(name: str, value: object) -> bool:
    """Whether LiteLLM wrote this value into the caller's own dictionary, in an earlier call with the same one."""
    if name == "hidden_params":
        return isinstance(value, dict) and len(_HIDDEN_PARAMS & value.keys()) > 1
    if name == "raw_request":
        return isinstance(value, str) and (
            "Request Sent from LiteLLM:" in value[:64] or value.startswith(("redacted-by-litellm", "Unable to Log"))
        )
    return name == "llm_api_timing_windows" and isinstance(value, tuple)  # JSON has lists


def is_same(first: object, second: object) -> bool:
    """Whether both are the same in JSON, where true is not 1."""
    return type(first) is type(second) and first == second


def _is_litellms(name: object, litellm_names: FrozenSet[str]) -> bool:
    return name in litellm_names or (isinstance(name, str) and name.startswith(_LITELLM_PREFIXES))
