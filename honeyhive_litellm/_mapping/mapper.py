"""From what LiteLLM hands to its callbacks to the parts of a HoneyHive event.

Pure functions over plain dictionaries and response objects: LiteLLM is not imported, no argument is changed, and
nothing raises. A part that cannot be read costs that part only. What comes back is raw: values may be of any type and
size, and text may hold what somebody pasted into it, until `_redaction` has been over it. Containers of credentials
(keys, cloud secrets, authorization headers) are never taken over in the first place.

**Without content** (`capture_message_content=False`, `honeyhive_capture_content: False` in a call's metadata, or
LiteLLM's own message redaction; any of them suffices) an event says who asked what kind of thing of whom, how long it
took and how it ended, but not one word of it: of messages only the roles stay, of tools and tool calls the names, of
inputs the counts, of parameters the numbers and the words from closed lists, of an error its class and status.
What the caller put into the metadata stays: it was put there for us.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping

from . import metadata as caller
from . import passthrough, realtime
from . import usage as measures
from .inputs import add_parameters, event_name, inputs, is_streaming, origin, provider_and_model, raw_request
from .model import NO_CONTEXT, RESERVED_METADATA, CallContext, MappingSettings, Outcome, Request
from .outputs import outputs
from .reading import fields, mapping, number, or_default, text, without_credentials


def map_request(kwargs: Mapping[str, Any], settings: MappingSettings, context: CallContext = NO_CONTEXT) -> Request:
    """The request's part of an event of a call that began in `context`.

    `kwargs` are LiteLLM's `model_call_details`, as `log_pre_api_call` gets them (they say most then: LiteLLM drops
    headers and some inputs on the way) or as a later callback does.
    """
    call = mapping(kwargs)
    call = or_default(call, passthrough.request, call)
    params = mapping(call.get("litellm_params"))
    optional = mapping(call.get("optional_params"))
    said = or_default(mapping(None), caller.metadata_of, params, optional)
    keep = settings.capture_message_content and or_default(False, caller.keeps_content, call, said)
    call_type = text(call.get("call_type")) or "unknown"
    name = event_name(call_type)
    provider, model = provider_and_model(call, params)

    config: Dict[str, object] = {}
    or_default(None, add_parameters, config, call, optional, keep)
    config.update(provider=provider, model=model, is_streaming=is_streaming(call, optional))

    metadata: Dict[str, object] = dict(context.metadata)
    or_default(None, caller.add_custom, metadata, said, settings.custom_attributes, RESERVED_METADATA)
    address = text(params.get("api_base"))
    api_base = origin(address) if address else None
    ours = (
        ("call_type", call_type),
        ("project", settings.project),
        ("provider", provider),
        ("model", model),
        ("trace_id", caller.trace_of(call, params, said)),
        ("timestamp", or_default(None, measures.timestamp, call)),
        ("tags", caller.tags(said)),
        ("api_base", api_base),
        ("router", or_default(None, caller.router, said)),
        ("proxy", or_default(None, caller.proxy, call, said, keep)),
        ("otel", context.otel or or_default(None, caller.incoming_trace, call, params, said)),
    )
    metadata.update({key: value for key, value in ours if value})
    if settings.capture_raw_request and keep:
        raw = or_default(None, raw_request, call, api_base)
        if raw:
            metadata["raw_request"] = raw

    session = caller.session_of(call, params, said, context.session)
    return Request(
        call_type=call_type,
        event_name=text(said.get("event_name")) or name,
        provider=provider,
        model=model,
        config={key: value for key, value in config.items() if value is not None},
        inputs=or_default({}, inputs, name, call, optional, keep),
        metadata=metadata,
        user_properties={**context.user_properties, **or_default({}, caller.user_properties, call, optional, said)},
        session=session,
        session_name=context.session_name if session == context.session else None,
        parent_id=text(said.get("honeyhive_parent_id")) or context.parent_id,
        skip=or_default(False, caller.is_skipped, call, params, said),
        capture_content=keep,
        call_id=text(call.get("litellm_call_id")) or text(params.get("litellm_call_id")) or "",
    )


def map_success(
    kwargs: Mapping[str, Any], response: object, settings: MappingSettings, capture_content: bool
) -> Outcome:
    """The outcome of a call that was answered.

    `kwargs` may be empty or incomplete when the response was seen before LiteLLM's callback came. A stream's response
    is the one that LiteLLM assembled. A call whose client hung up, which LiteLLM's proxy reports as a success of class
    ClientDisconnected, comes back as cancelled.
    """
    call = mapping(kwargs)
    payload = mapping(call.get("standard_logging_object"))
    if response is None:
        response = _assembled(call)
    response = or_default(response, passthrough.answer, call, response)
    response = or_default(response, realtime.answer, call, response)
    metadata: Dict[str, object] = {}
    outcome = _outcome("success", call, payload, metadata)
    if payload or "cache_hit" in call:
        metadata["cache_hit"] = call.get("cache_hit") is True or payload.get("cache_hit") is True
    or_default(None, measures.add_saved_cost, metadata, payload)
    or_default(None, _add_answer, metadata, call, payload, response, settings.capture_headers, False)
    told = mapping(payload.get("error_information"))
    if told.get("error_class"):
        left = or_default(measures.NOTHING_KNOWN, measures.failure, None, payload)
        _add_failure(metadata, left)
        if left.error_class == "ClientDisconnected":
            outcome.status = metadata["status"] = "cancelled"
            metadata["success"] = False
    _add_proxy(metadata, call, capture_content)
    outcome.outputs = _outputs(call, response, capture_content)
    return outcome


def late_inputs(kwargs: Mapping[str, Any], response: object, capture_content: bool) -> Dict[str, object]:
    """The inputs of a call that tells them only when it is over, a realtime session; empty for any other."""
    call = mapping(kwargs)
    messages = or_default(None, realtime.history, call, response)
    if messages is None:
        return {}
    told = {"messages": messages} if messages else {}
    tools = {"tools": call.get("realtime_tools")}
    return or_default({}, inputs, "realtime", told, tools, _keeps(call, capture_content))


def map_failure(
    kwargs: Mapping[str, Any], exception: object, settings: MappingSettings, capture_content: bool
) -> Outcome:
    """The outcome of a call that failed; what a broken stream had said by then is kept as far as LiteLLM has it."""
    call = mapping(kwargs)
    payload = mapping(call.get("standard_logging_object"))
    if exception is None:
        exception = call.get("exception")
    failed = or_default(measures.NOTHING_KNOWN, measures.failure, exception, payload)
    metadata: Dict[str, object] = {}
    has_left = failed.status == 499 and failed.error_class in ("HTTPException", "ClientDisconnected")  # the client
    is_cancelled = has_left or failed.error_class == "CancelledError"
    outcome = _outcome("cancelled" if is_cancelled else "failure", call, payload, metadata)
    response = _assembled(call)
    or_default(None, _add_answer, metadata, call, payload, response, settings.capture_headers, True)
    if metadata.get("estimated_cost") == 0:  # of a failure LiteLLM says so without knowing it
        del metadata["estimated_cost"]
        metadata.pop("cost", None)
    _add_failure(metadata, failed)
    _add_proxy(metadata, call, capture_content, has_left)
    outcome.outputs = _outputs(call, response, capture_content)
    said = text(or_default(mapping(None), fields, exception).get("generated_content"))
    if said is not None and not outcome.outputs and _keeps(call, capture_content):
        outcome.outputs = {"role": "assistant", "content": said}
    outcome.error = failed.message if _keeps(call, capture_content) else failed.error_class
    return outcome


def _outcome(status: str, call: Mapping[str, Any], payload: Mapping[str, Any], metadata: Dict[str, object]) -> Outcome:
    """An outcome without outputs, and what its times say, in `metadata`."""
    start_ms, end_ms, first_token_ms = measures.times(call, payload)
    metadata["status"] = status
    metadata["success"] = status == "success"
    if start_ms is not None and end_ms is not None:
        metadata["duration_ms"] = round(end_ms - start_ms, 3)
    if first_token_ms is not None:
        metadata["time_to_first_token_ms"] = first_token_ms
    return Outcome(status, {}, metadata, None, start_ms, end_ms)


def _assembled(call: Mapping[str, Any]) -> object:
    response = call.get("async_complete_streaming_response")
    return call.get("complete_streaming_response") if response is None else response


def _add_answer(
    metadata: Dict[str, object],
    call: Mapping[str, Any],
    payload: Mapping[str, Any],
    response: object,
    with_headers: bool,
    has_failed: bool,
) -> None:
    """Add what came with the answer: its id, its tokens and price, the provider's headers."""
    answer = fields(response)
    hidden = measures.hidden_of(response, payload)
    for name, key in (
        ("response_id", "id"),
        ("response_model", "model"),
        ("system_fingerprint", "system_fingerprint"),
    ):
        value = text(answer.get(key))
        if value is not None:
            metadata[name] = value
    overhead = number(hidden.get("litellm_overhead_time_ms"))
    if overhead is not None:
        metadata["litellm_overhead_ms"] = overhead
    headers = measures.response_headers(call, response, hidden)
    identity = measures.request_id(headers)
    if identity is not None:
        metadata["provider_request_id"] = identity
    if with_headers and headers:
        metadata["response_headers"] = without_credentials(headers)

    usage = measures.usage_of(response, payload)
    # LiteLLM counts by itself what a broken stream had used; of an answer that a guardrail keeps back it knows it.
    counted = call.get("combined_usage_object") if has_failed else None
    is_estimate = counted is not None and call.get("stream") is True
    if measures.add_usage(metadata, usage if counted is None else counted) and is_estimate:
        metadata["usage_estimated"] = True
    measures.add_cost(metadata, call, hidden, payload, is_estimate)


def _add_failure(metadata: Dict[str, object], failed: measures.Failure) -> None:
    metadata["error_class"] = failed.error_class
    if failed.status is not None:
        metadata["status_code"] = failed.status
    if failed.request_id is not None:
        metadata["provider_request_id"] = failed.request_id


def _add_proxy(
    metadata: Dict[str, object], call: Mapping[str, Any], capture_content: bool, has_left: bool = False
) -> None:
    """Add what LiteLLM's proxy did after the start, for `metadata.proxy`."""
    said = caller.metadata_of(mapping(call.get("litellm_params")), {})
    if caller.is_proxied(said):
        nothing: Dict[str, object] = {}
        told = or_default(nothing, caller.proxy_outcome, said, _keeps(call, capture_content))
        if has_left:
            told["client_disconnected"] = True
        if told:
            metadata["proxy"] = told


def _outputs(call: Mapping[str, Any], response: object, capture_content: bool) -> Dict[str, object]:
    name = event_name(text(call.get("call_type")) or "")
    return or_default({}, outputs, response, name, _keeps(call, capture_content))


def _keeps(call: Mapping[str, Any], capture_content: bool) -> bool:
    """Whether content is recorded: LiteLLM's global redaction shows only now, in messages that are no more."""
    if not capture_content:
        return False
    said = mapping(mapping(call.get("litellm_params")).get("metadata"))
    return not or_default(True, caller.is_redacted, call, said)
