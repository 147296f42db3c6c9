"""What the caller said about a call: session, parent, user, tags, switches and metadata of their own.

LiteLLM keeps all of it in `litellm_params["metadata"]`, on some paths (`/v1/messages`, `/v1/responses` of its proxy)
in `litellm_params["litellm_metadata"]`, and writes dozens of keys of its own in between.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping, Optional, Sequence

from .reading import fields, mapping, switch, text, without_none

REDACTED = "redacted-by-litellm"
"""What LiteLLM puts in the place of messages when its own message redaction is on."""

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}.*")
"""W3C Trace Context, section 3.2; a later version may have more behind it."""

_HANDLED = frozenset(("session_id", "trace_id", "event_name", "user_id", "user_properties", "tags", "no-log"))

# Names that LiteLLM writes into any call's metadata.
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

# Names that are LiteLLM's in a call through its Router or proxy, and may be the caller's own in any other.
_ROUTED = _LITELLM | frozenset(
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

_PROXY = (
    ("virtual_key_hash", "user_api_key_hash"),
    ("key_alias", "user_api_key_alias"),
    ("team_id", "user_api_key_team_id"),
    ("team_alias", "user_api_key_team_alias"),
    ("org_id", "user_api_key_org_id"),
    ("org_alias", "user_api_key_org_alias"),
    ("user_id", "user_api_key_user_id"),
    ("end_user_id", "user_api_key_end_user_id"),
    ("route", "user_api_key_request_route"),
    ("spend", "user_api_key_spend"),
    ("max_budget", "user_api_key_max_budget"),
    ("team_spend", "user_api_key_team_spend"),
    ("team_max_budget", "user_api_key_team_max_budget"),
    ("user_spend", "user_api_key_user_spend"),
    ("user_max_budget", "user_api_key_user_max_budget"),
    ("end_user_max_budget", "user_api_end_user_max_budget"),
    ("budget_reset_at", "user_api_key_budget_reset_at"),
)

_GUARDRAIL = (
    ("name", "guardrail_name"),
    ("provider", "guardrail_provider"),
    ("mode", "guardrail_mode"),
    ("status", "guardrail_status"),
    ("duration_s", "duration"),
    ("masked_entities", "masked_entity_count"),
)


def metadata_of(params: Mapping[str, Any], optional: Mapping[str, Any]) -> Mapping[str, Any]:
    """All metadata of a call as one mapping.

    From the weakest source to the strongest: what a client sent to the proxy, the Responses API's `metadata`
    parameter, `litellm_metadata`, `metadata`.
    """
    metadata = mapping(params.get("metadata"))
    others = [
        source
        for source in (
            mapping(metadata.get("requester_metadata")),
            mapping(optional.get("metadata")),
            mapping(params.get("litellm_metadata")),
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


def is_routed(metadata: Mapping[str, Any]) -> bool:
    """Whether LiteLLM's Router or proxy made the call."""
    return "model_group" in metadata or is_proxied(metadata)


def is_proxied(metadata: Mapping[str, Any]) -> bool:
    """Whether LiteLLM's proxy made the call."""
    return "user_api_key_hash" in metadata or "user_api_key" in metadata


def keeps_content(call: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Whether neither the caller nor LiteLLM's message redaction forbids to record what was said.

    LiteLLM's global `turn_off_message_logging` cannot be seen before a call, only by its traces afterwards.
    """
    return switch(metadata.get("honeyhive_capture_content")) is not False and not is_redacted(call, metadata)


def is_redacted(call: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Whether LiteLLM's message redaction is on: per call, by a request header, or seen to have been at work."""
    # A LiteLLM of 2024 does not know the switch for one call, and takes it for a parameter of the model's.
    for source in (mapping(call.get("standard_callback_dynamic_params")), mapping(call.get("extra_body")), call):
        said = source.get("turn_off_message_logging")
        if said is not None and switch(said):
            return True
    headers = mapping(metadata.get("headers")) or mapping(call.get("headers"))
    if headers.get("litellm-enable-message-redaction") or headers.get("x-litellm-enable-message-redaction"):
        return True
    messages = call.get("messages")
    if isinstance(messages, list) and len(messages) == 1:
        return mapping(messages[0]).get("content") == REDACTED
    return False


def is_skipped(call: Mapping[str, Any], params: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Whether the call is not to be traced, by our switch or by LiteLLM's `no-log`."""
    said = (metadata.get("honeyhive_skip"), params.get("no-log"), call.get("no-log"), metadata.get("no-log"))
    return any(switch(value) for value in said if value is not None)


def session_of(
    call: Mapping[str, Any], params: Mapping[str, Any], metadata: Mapping[str, Any], around: Optional[str] = None
) -> Optional[str]:
    """The session's id as it was given, perhaps no UUID; None for a call that belongs to none.

    `around` is the one that the calling code runs in.

    A plain call without a trace id gets one from LiteLLM, in `kwargs["litellm_trace_id"]` only; the one in
    `litellm_params` is the caller's, or the Router's for all attempts at one request (seen in 1.106).
    """
    return (
        text(metadata.get("honeyhive_session_id"))
        or text(metadata.get("session_id"))
        or around
        or text(params.get("litellm_session_id"))
        or text(params.get("litellm_trace_id"))
        or (text(call.get("litellm_trace_id")) if is_routed(metadata) else None)
    )


def trace_of(call: Mapping[str, Any], params: Mapping[str, Any], metadata: Mapping[str, Any]) -> Optional[str]:
    """The trace id: the caller's, else the one LiteLLM gave to the request."""
    return text(metadata.get("trace_id")) or text(call.get("litellm_trace_id")) or text(params.get("litellm_trace_id"))


def incoming_trace(
    call: Mapping[str, Any], params: Mapping[str, Any], metadata: Mapping[str, Any]
) -> Optional[Dict[str, str]]:
    """The W3C trace and span ids that a client sent to the proxy as `traceparent`; None where there are none."""
    if not is_proxied(metadata):
        return None
    for source in (mapping(params.get("proxy_server_request")), metadata, mapping(metadata.get("requester_metadata"))):
        sent = _TRACEPARENT.fullmatch(text(mapping(source.get("headers")).get("traceparent")) or "")
        if sent is not None and int(sent.group(1), 16) and int(sent.group(2), 16):
            return {"trace_id": sent.group(1), "span_id": sent.group(2)}
    return None


def user_properties(
    call: Mapping[str, Any], optional: Mapping[str, Any], metadata: Mapping[str, Any]
) -> Dict[str, object]:
    """What the caller told of the user, with `user_id` where it is known."""
    properties: Dict[str, object] = dict(mapping(metadata.get("user_properties")))
    user = (
        text(metadata.get("user_id"))
        or text(call.get("user"))
        or text(optional.get("user"))
        or text(metadata.get("user_api_key_end_user_id"))
    )
    if user is not None:
        properties["user_id"] = user
    return properties


def tags(metadata: Mapping[str, Any]) -> Optional[Sequence[object]]:
    """The call's tags; None if there are none."""
    given = metadata.get("tags")
    if isinstance(given, (list, tuple)):
        return given or None
    return [given] if isinstance(given, str) and given else None


def router(metadata: Mapping[str, Any]) -> Optional[Dict[str, object]]:
    """What the Router decided; None for a call that it did not make."""
    if "model_group" not in metadata:
        return None
    fallbacks = metadata.get("attempted_fallbacks")
    fallback = {"original_model_group": metadata.get("original_model_group"), "attempted_fallbacks": fallbacks}
    return without_none(
        model_group=text(metadata.get("model_group")),
        deployment_id=text(fields(metadata.get("model_info")).get("id")),
        deployment=text(metadata.get("deployment")),
        retry_count=metadata.get("attempted_retries"),
        fallback_info=fallback if fallbacks else None,
    )


def proxy(call: Mapping[str, Any], metadata: Mapping[str, Any], keep: bool) -> Optional[Dict[str, object]]:
    """Who asked the proxy, by which key; None for a call that it did not make.

    `rejected` is there if the proxy itself refused it: a bad key, no budget left, an unknown model, a guardrail.
    `keep` allows what the guardrails said, which may quote the messages.
    """
    if not is_proxied(metadata):
        return None
    known = {name: metadata[key] for name, key in _PROXY if metadata.get(key) is not None}
    request_id = text(call.get("litellm_call_id"))
    if request_id is not None:
        known["request_id"] = request_id
    given = tags(metadata)
    if given:
        known["tags"] = list(given)
    if call.get("litellm_no_upstream_llm_call"):
        known["rejected"] = True
    return {**known, **proxy_outcome(metadata, keep)}


def proxy_outcome(metadata: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    """What the proxy knows of a call once it has ended: what its guardrails did, whether the client was gone."""
    known: Dict[str, object] = {}
    results = metadata.get("standard_logging_guardrail_information")
    if isinstance(results, Mapping):  # LiteLLM before 1.80 tells of one
        results = [results]
    if isinstance(results, (list, tuple)):
        guardrails = [_guardrail(mapping(result), keep) for result in results]
        known["guardrails"] = [guardrail for guardrail in guardrails if guardrail]
    if metadata.get("client_disconnected"):
        known["client_disconnected"] = True
    return {name: value for name, value in known.items() if value}


def _guardrail(result: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    told = {name: result[key] for name, key in _GUARDRAIL if result.get(key) is not None}
    said = result.get("guardrail_response")
    if keep and said is not None and not {"choices", "output"} & set(fields(said)):  # the answer that it let through
        told["response"] = said
    return told


def add_custom(
    event: Dict[str, object],
    metadata: Mapping[str, Any],
    attributes: object,
    reserved: frozenset[str],
) -> None:
    """Add the caller's own metadata, and under it the configured attributes, to the event's metadata.

    A reserved name is ours: what the caller has under it goes to `user_metadata`.
    """
    theirs = _ROUTED if is_routed(metadata) else _LITELLM
    aside: Dict[str, object] = {}
    if attributes and isinstance(attributes, Mapping):
        for name, value in attributes.items():
            (aside if name in reserved else event)[name] = value
    for name, value in metadata.items():
        if value is None or name in _HANDLED or name in theirs:
            continue
        if isinstance(name, str) and name.startswith(_LITELLM_PREFIXES):
            continue
        (aside if name in reserved else event)[name] = value
    if aside:
        event["user_metadata"] = aside
