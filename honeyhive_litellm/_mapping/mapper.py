"""From LiteLLM's `call_details` and response to the parts of a HoneyHive event.

Nothing here raises or changes an argument, and a part that cannot be read costs that part only. The result is raw:
values may have any type and size, and a text may hold a credential that somebody pasted into it, until
`_privacy.sanitize` has cleaned it. Containers of credentials (keys, cloud secrets, authorization headers) are never
copied in the first place.

**Without content** (`capture_message_content=False`, `honeyhive_capture_content: False` in a call's metadata, or
LiteLLM's own message redaction; any of them suffices) an event records who called which model, how long it took and how
it ended, but no word of the conversation: of messages only the roles, of tools and tool calls the names, of inputs the
counts, of parameters the numbers and the words from closed lists, of an error its class and status. The caller's
metadata stays, because the caller wrote it for us.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from . import realtime, response, usage
from .call_types import COUNTED_BY_LITELLM, call_type_of, inputs_of, name_of_call, outputs_of
from .failures import UNREADABLE, Failure, failure
from .ids import session_id
from .metadata import (
    NOTED_KEY,
    add_custom,
    callers_sources,
    incoming_trace,
    is_proxied,
    is_routed,
    is_same,
    metadata_of,
    session_of,
    tags,
    trace_of,
    user_properties,
)  # fmt: skip
from .model import NO_CONTEXT, CallContext, MappingSettings, Outcome, Request
from .parameters import add_parameters, is_streaming, raw_request
from .provider import origin, provider_and_model
from .proxy_metadata import proxy, proxy_outcome, router
from .reading import (
    ARGUMENTS_KEY,
    CALL_ID_KEY,
    complete_input,
    fields,
    mapping,
    number,
    or_default,
    text,
    without_credentials,
)
from .switches import allows_content, is_skipped

_CLIENT_CLOSED_REQUEST = 499
_NO_PROVIDER: Tuple[Optional[str], Optional[str]] = (None, None)
_RESPONSE_FIELDS = (("response_id", "id"), ("response_model", "model"), ("system_fingerprint", "system_fingerprint"))


def map_request(
    call_details: Mapping[str, Any], settings: MappingSettings, context: CallContext = NO_CONTEXT
) -> Request:
    """The request's part of the event of a call that began in `context`.

    `call_details` may be LiteLLM's at any time of the call. They are most complete in `log_pre_api_call`: LiteLLM
    removes headers and some inputs later.
    """
    call_details = mapping(call_details)
    call_type = text(call_details.get("call_type")) or "unknown"
    name = name_of_call(call_details)
    row = call_type_of(name)
    if row.adapt_call is not None:
        call_details = or_default(call_details, row.adapt_call, call_details)
    litellm_params = mapping(call_details.get("litellm_params"))
    optional_params = mapping(call_details.get("optional_params"))
    arguments = mapping(call_details.get(ARGUMENTS_KEY))
    caller_metadata = or_default(mapping(None), metadata_of, litellm_params, optional_params, arguments)
    routed = or_default(False, is_routed, litellm_params, caller_metadata, context.in_router)
    include_content = settings.capture_message_content and or_default(
        False, allows_content, call_details, caller_metadata
    )
    provider, model = or_default(_NO_PROVIDER, provider_and_model, call_details, litellm_params)

    config: Dict[str, object] = {}
    or_default(None, add_parameters, config, call_details, optional_params, include_content)
    config.update(
        provider=provider, model=model, is_streaming=or_default(False, is_streaming, call_details, optional_params)
    )

    inputs: Dict[str, object] = or_default({}, inputs_of, name, call_details, optional_params, include_content)

    metadata: Dict[str, object] = dict(context.metadata)
    noted = context.noted_metadata
    if noted is None:
        noted = call_details.get(NOTED_KEY)
    nothing: Sequence[Mapping[str, Any]] = ()
    sources = or_default(nothing, callers_sources, noted, caller_metadata, optional_params)
    empty: Dict[str, object] = {}
    renamed = or_default(empty, add_custom, metadata, caller_metadata, sources, settings.custom_attributes)
    address = text(litellm_params.get("api_base"))
    api_base = origin(address) if address else None
    session = or_default(
        context.session, session_of, call_details, litellm_params, caller_metadata, context.session, routed
    )
    users = {
        **context.user_properties,
        **or_default({}, user_properties, call_details, optional_params, caller_metadata),
    }
    own = (  # those of the proxy only for a routed call, as all of its calls are
        ("call_type", call_type),
        ("project", settings.project),
        ("provider", provider),
        ("model", model),
        ("model_name", model),
        ("tool_name", (text(inputs.get("tool")) or name) if row.event_type == "tool" else None),
        ("trace_id", or_default(None, trace_of, call_details, litellm_params, caller_metadata)),
        ("user_id", text(users.get("user_id"))),
        ("tags", or_default(None, tags, caller_metadata)),
        ("api_base", api_base),
        ("router", or_default(None, router, caller_metadata) if routed else None),
        ("proxy", or_default(None, proxy, call_details, caller_metadata, include_content) if routed else None),
        (
            "otel",
            context.otel or (or_default(None, incoming_trace, litellm_params, caller_metadata) if routed else None),
        ),
    )
    metadata.update({key: value for key, value in own if value})
    held = metadata if session is None or session_id(session) == session else {**metadata, "session_id": session}
    renamed = {name: value for name, value in renamed.items() if name not in held or not is_same(held[name], value)}
    if renamed:
        metadata["user_metadata"] = renamed
    if settings.capture_raw_request and include_content:
        raw = or_default(None, raw_request, call_details, api_base)
        if raw:
            metadata["raw_request"] = raw

    return Request(
        call_type=call_type,
        kind=name,
        event_type=row.event_type,
        event_name=text(caller_metadata.get("event_name")) or name,
        provider=provider,
        model=model,
        config={key: value for key, value in config.items() if value is not None},
        inputs=inputs,
        metadata=metadata,
        user_properties=users,
        session=session,
        session_name=context.session_name if session == context.session else None,
        parent_id=text(caller_metadata.get("honeyhive_parent_id")) or context.parent_id,
        arguments=arguments,
        skip=or_default(False, is_skipped, call_details, litellm_params, caller_metadata),
        capture_content=include_content,
        call_id=text(call_details.get(CALL_ID_KEY))
        or text(call_details.get("litellm_call_id"))
        or text(litellm_params.get("litellm_call_id"))
        or "",
    )


def map_success(
    call_details: Mapping[str, Any],
    reported: object,
    settings: MappingSettings,
    capture_content: bool,
    outputs: Optional[Dict[str, object]] = None,
) -> Outcome:
    """The outcome of a call that returned the response `reported`; `outputs` are its outputs, if they were read before.

    `call_details` may be empty or incomplete if the response was seen before LiteLLM's callback came. The response of
    a stream is the one that LiteLLM assembled. LiteLLM's proxy reports a call whose client disconnected as a success
    with the error class ClientDisconnected; its outcome is cancelled.
    """
    call_details = mapping(call_details)
    payload = mapping(call_details.get("standard_logging_object"))
    if reported is None:
        reported = _assembled(call_details)
    name = name_of_call(call_details)
    adapt = call_type_of(name).adapt_response
    if adapt is not None:
        reported = or_default(reported, adapt, call_details, reported)
    metadata: Dict[str, object] = {}
    outcome = _outcome("success", call_details, payload, metadata)
    if payload or "cache_hit" in call_details:
        metadata["cache_hit"] = call_details.get("cache_hit") is True or payload.get("cache_hit") is True
    or_default(None, usage.add_saved_cost, metadata, payload)
    or_default(None, _add_response, metadata, call_details, payload, reported, settings.capture_headers, False)
    if mapping(payload.get("error_information")).get("error_class"):
        disconnected = or_default(UNREADABLE, failure, None, payload)
        _add_failure(metadata, disconnected)
        if disconnected.error_class == "ClientDisconnected":
            outcome.status = metadata["status"] = "cancelled"
            metadata["success"] = False
    outcome.has_content = capture_content
    _add_proxy(metadata, call_details, capture_content)
    outcome.outputs = outputs_of(name, reported, capture_content) if outputs is None else outputs
    return outcome


def late_inputs(call_details: Mapping[str, Any], reported: object, capture_content: bool) -> Dict[str, object]:
    """The inputs of a call of which LiteLLM reports them at its end, a realtime session; empty for any other call."""
    call_details = mapping(call_details)
    if call_details.get("call_type") != realtime.CALL_TYPE:
        return {}
    messages = or_default(None, realtime.history, call_details, reported)
    if messages is None:
        return {}
    session = {"messages": messages} if messages else {}
    tools = {"tools": call_details.get("realtime_tools")}
    return or_default({}, inputs_of, "realtime", session, tools, capture_content)


def map_failure(
    call_details: Mapping[str, Any], exception: object, settings: MappingSettings, capture_content: bool
) -> Outcome:
    """The outcome of a call that failed, with as much of a broken stream's response as LiteLLM has."""
    call_details = mapping(call_details)
    payload = mapping(call_details.get("standard_logging_object"))
    if exception is None:
        exception = call_details.get("exception")
    failed = or_default(UNREADABLE, failure, exception, payload)
    metadata: Dict[str, object] = {}
    client_disconnected = failed.status == _CLIENT_CLOSED_REQUEST and failed.error_class in (
        "HTTPException", "ClientDisconnected",
    )  # fmt: skip
    is_cancelled = client_disconnected or failed.error_class == "CancelledError"
    outcome = _outcome("cancelled" if is_cancelled else "failure", call_details, payload, metadata)
    partial = _assembled(call_details)
    or_default(None, _add_response, metadata, call_details, payload, partial, settings.capture_headers, True)
    if metadata.get("estimated_cost") == 0:  # LiteLLM reports 0 for a failure whose cost it does not know
        del metadata["estimated_cost"]
        metadata.pop("cost", None)
    _add_failure(metadata, failed)
    outcome.has_content = capture_content
    _add_proxy(metadata, call_details, capture_content, client_disconnected)
    outcome.outputs = outputs_of(name_of_call(call_details), partial, capture_content)
    generated = text(or_default(mapping(None), fields, exception).get("generated_content"))
    if generated is not None and not outcome.outputs and capture_content:
        outcome.outputs = {"role": "assistant", "content": generated}
    outcome.error = failed.message if capture_content else failed.error_class
    return outcome


def _outcome(
    status: str, call_details: Mapping[str, Any], payload: Mapping[str, Any], metadata: Dict[str, object]
) -> Outcome:
    """An outcome without outputs; its status and durations are added to `metadata`."""
    start_ms, end_ms, first_token_ms = response.times(call_details, payload)
    metadata["status"] = status
    metadata["success"] = status == "success"
    if start_ms is not None and end_ms is not None:
        metadata["duration_ms"] = round(end_ms - start_ms, 3)
    if first_token_ms is not None:
        metadata["time_to_first_token_ms"] = first_token_ms
    return Outcome(status, {}, metadata, None, start_ms, end_ms)


def _assembled(call_details: Mapping[str, Any]) -> object:
    """The response that LiteLLM assembled of a stream's chunks."""
    found = call_details.get("async_complete_streaming_response")
    return call_details.get("complete_streaming_response") if found is None else found


def _add_response(
    metadata: Dict[str, object],
    call_details: Mapping[str, Any],
    payload: Mapping[str, Any],
    reported: object,
    with_headers: bool,
    has_failed: bool,
) -> None:
    """Add what came with the response: its ids, its tokens and price, the provider's headers."""
    parts = fields(reported)
    hidden = response.hidden_of(reported, payload)
    for name, key in _RESPONSE_FIELDS:
        value = text(parts.get(key))
        if value is not None:
            metadata[name] = value
    overhead = number(hidden.get("litellm_overhead_time_ms"))
    if overhead is not None:
        metadata["litellm_overhead_ms"] = overhead
    headers = response.response_headers(call_details, reported, hidden)
    identity = response.request_id(headers)
    if identity is not None:
        metadata["provider_request_id"] = identity
    if with_headers and headers:
        metadata["response_headers"] = without_credentials(headers)

    # Of a failed call LiteLLM has a usage of its own: its count of a broken stream's tokens, or the provider's usage of
    # a response that a guardrail withheld.
    own_usage = call_details.get("combined_usage_object") if has_failed else None
    is_estimate = own_usage is not None and call_details.get("stream") is True and not _is_response(call_details)
    is_estimate = is_estimate or name_of_call(call_details) in COUNTED_BY_LITELLM
    reported_usage = usage.usage_of(reported, payload) if own_usage is None else own_usage
    if usage.add_usage(metadata, reported_usage) and is_estimate:
        metadata["usage_estimated"] = True
    usage.add_cost(metadata, call_details, hidden, payload, is_estimate)


def _is_response(call_details: Mapping[str, Any]) -> bool:
    """Whether the provider itself has the Responses API, whose failed responses bring the provider's own counts."""
    return name_of_call(call_details) == "responses" and "input" in complete_input(call_details)


def _add_failure(metadata: Dict[str, object], failed: Failure) -> None:
    metadata["error_class"] = failed.error_class
    if failed.status is not None:
        metadata["status_code"] = failed.status
    if failed.request_id is not None:
        metadata["provider_request_id"] = failed.request_id


def _add_proxy(
    metadata: Dict[str, object],
    call_details: Mapping[str, Any],
    include_content: bool,
    client_disconnected: bool = False,
) -> None:
    """Add what LiteLLM's proxy did after the start, for `metadata.proxy`."""
    caller_metadata = metadata_of(mapping(call_details.get("litellm_params")), {})
    if is_proxied(caller_metadata):
        empty: Dict[str, object] = {}
        found = or_default(empty, proxy_outcome, caller_metadata, include_content)
        if client_disconnected:
            found["client_disconnected"] = True
        if found:
            metadata["proxy"] = found
