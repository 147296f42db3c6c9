"""What a call took and cost: tokens, money, times, and how it failed.

A figure that nobody knows is left out. LiteLLM writes 0 in its place: 0 tokens for a stream whose provider told
none, a cost of 0.0 for a model that its price list lacks.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Dict, Mapping, NamedTuple, Optional, Union

from .reading import fields, hidden_params, mapping, number, or_default, text

Number = Union[int, float]

_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id")
_ERROR_TAILS = ("\nTraceback (most recent call last)", "\n\nThis looks like a bug in LiteLLM")


# ---- tokens and money


def add_usage(metadata: Dict[str, object], usage: object) -> bool:
    """Add the token counts and tell whether there were any.

    Names differ by API: prompt/completion or input/output tokens; cached ones in OpenAI's details or beside them.
    """
    known = fields(usage)
    prompt = _count(known, "prompt_tokens", "input_tokens")
    completion = _count(known, "completion_tokens", "output_tokens")
    total = _count(known, "total_tokens")
    if not (prompt or completion or total):
        return False
    given = fields(known.get("prompt_tokens_details") or known.get("input_tokens_details"))
    said = fields(known.get("completion_tokens_details") or known.get("output_tokens_details"))
    read = _count(known, "cache_read_input_tokens")
    created = _count(known, "cache_creation_input_tokens")
    counts = (
        ("prompt_tokens", prompt),
        ("completion_tokens", completion),
        ("total_tokens", (prompt or 0) + (completion or 0) if total is None else total),
        ("reasoning_tokens", _count(said, "reasoning_tokens")),
        ("cache_read_tokens", _count(given, "cached_tokens") if read is None else read),
        (
            "cache_creation_tokens",
            _count(given, "cache_creation_tokens", "cache_write_tokens") if created is None else created,
        ),
    )
    metadata.update({name: count for name, count in counts if count is not None})
    return True


def mark_estimate(metadata: Dict[str, object]) -> None:
    """The provider told no token counts, so those here are LiteLLM's own, and the cost is no more than an estimate.

    An answer from the cache costs nothing all the same.
    A count of 0 is none: LiteLLM counts what it sees, and of a stream that was not read on it sees no prompt.
    """
    if "total_tokens" not in metadata:
        return
    metadata["usage_estimated"] = True
    is_free = metadata.get("cache_hit") is True
    if not is_free:
        metadata.pop("cost", None)
    if not metadata.get("prompt_tokens"):
        metadata.pop("total_tokens")
        if not is_free:
            metadata.pop("estimated_cost", None)
    for name in ("prompt_tokens", "completion_tokens", "reasoning_tokens", "cache_read_tokens"):
        if metadata.get(name) == 0:
            del metadata[name]


def _count(known: Mapping[str, Any], *names: str) -> Optional[int]:
    """The first count under these names that is not 0: LiteLLM fills the names that an API lacks with zeros."""
    zero = None
    for name in names:
        value = known.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            if value > 0:
                return value
            zero = 0 if value == 0 else zero
    return zero


def usage_of(response: object, payload: Mapping[str, Any]) -> object:
    """The response's usage; LiteLLM's standard payload has it too where the response object lost it."""
    answer = fields(response)
    usage = answer.get("usage")
    if usage is None:
        usage = fields(answer.get("meta")).get("tokens")
    return payload if usage is None else usage


def add_cost(
    metadata: Dict[str, object],
    call: Mapping[str, Any],
    hidden: Mapping[str, Any],
    payload: Mapping[str, Any],
    is_estimate: bool,
) -> None:
    """Add what LiteLLM computed from its price list, in US dollars.

    `estimated_cost` is always that figure; `cost` is it too, unless even the token counts are estimates. A zero
    counts as known only where it is proven: a cache hit, or a price of zero.
    """
    amount = None
    for source in (call, hidden, payload):
        amount = number(source.get("response_cost"))
        if amount is not None:
            break
    if amount is None or amount < 0 or (amount == 0 and not _is_free(call, payload)):
        return
    metadata["estimated_cost"] = amount
    if not is_estimate:
        metadata["cost"] = amount


def add_saved_cost(metadata: Dict[str, object], payload: Mapping[str, Any]) -> None:
    """Add what an answer from LiteLLM's cache would have cost, in US dollars; its 0 may mean that it is not known."""
    saved = number(payload.get("saved_cache_cost"))
    if metadata.get("cache_hit") is True and saved is not None and saved > 0:
        metadata["saved_cost"] = saved


def _is_free(call: Mapping[str, Any], payload: Mapping[str, Any]) -> bool:
    if call.get("cache_hit") is True or payload.get("cache_hit") is True:
        return True
    prices = fields(mapping(payload.get("model_map_information")).get("model_map_value"))
    for source in (prices, mapping(call.get("litellm_params"))):
        if number(source.get("input_cost_per_token")) == 0:
            return not number(source.get("output_cost_per_token"))
    return False


# ---- times


class Times(NamedTuple):
    """Unix milliseconds; None where unknown. `first_token_ms` is from the start to a stream's first chunk."""

    start_ms: Optional[float]
    end_ms: Optional[float]
    first_token_ms: Optional[float]


def times(call: Mapping[str, Any], payload: Mapping[str, Any]) -> Times:
    """When a call began, ended and first answered.

    LiteLLM's payload has Unix seconds, its keyword arguments naive local datetimes. For anything but a stream, and
    for a stream that answered nothing, it says that the first answer came at the end.
    """
    start = _unix_ms(payload.get("startTime"), call.get("start_time"))
    end = _unix_ms(payload.get("endTime"), call.get("end_time"))
    first = None
    if start is not None and (call.get("stream") is True or payload.get("stream") is True):
        first = _unix_ms(payload.get("completionStartTime"), call.get("completion_start_time"))
        first = None if first is None or first == end or first < start else round(first - start, 3)
    return Times(start, end, first)


def _unix_ms(seconds: object, moment: object) -> Optional[float]:
    given = number(seconds)
    if given is not None and given > 0:
        return given * 1000.0
    return or_default(None, _to_ms, moment) if isinstance(moment, datetime) else None


def _to_ms(moment: datetime) -> float:
    return moment.timestamp() * 1000.0


def timestamp(call: Mapping[str, Any]) -> Optional[str]:
    """When the call began: ISO 8601 in UTC, with milliseconds."""
    moment = call.get("start_time")
    if not isinstance(moment, datetime):
        return None
    return datetime.fromtimestamp(moment.timestamp(), timezone.utc).isoformat(timespec="milliseconds")


# ---- how the answer came


def hidden_of(response: object, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """LiteLLM's notes on a response: from the response, or from the standard payload."""
    return hidden_params(response) or fields(payload.get("hidden_params"))


def response_headers(call: Mapping[str, Any], response: object, hidden: Mapping[str, Any]) -> Mapping[str, Any]:
    """The provider's response headers, as far as LiteLLM passes them on."""
    for source in (call.get("response_headers"), hidden.get("headers"), fields(response).get("_response_headers")):
        if isinstance(source, dict) and source:
            return source
    prefix = "llm_provider-"
    return {
        name[len(prefix) :]: value
        for name, value in fields(hidden.get("additional_headers")).items()
        if isinstance(name, str) and name.startswith(prefix)
    }


def request_id(headers: object) -> Optional[str]:
    """The id by which the provider knows the request."""
    get = getattr(headers, "get", None)
    if not callable(get):
        return None
    for name in _REQUEST_ID_HEADERS:
        found = text(get(name))
        if found is not None:
            return found
    return None


# ---- failures


class Failure(NamedTuple):
    """How a call failed. `message` reads "Class: message"; `status` is the HTTP status, where there was one."""

    message: str
    error_class: str
    status: Optional[int]
    request_id: Optional[str]


NOTHING_KNOWN = Failure("Error", "Error", None, None)


def failure(exception: object, payload: Mapping[str, Any]) -> Failure:
    """What went wrong, from the exception, or from LiteLLM's standard payload where that is all there is."""
    told = mapping(payload.get("error_information"))
    if isinstance(exception, BaseException):
        name = type(exception).__name__
        said = or_default("", str, exception)
    else:
        name = text(told.get("error_class")) or "Error"
        said = text(exception) or text(told.get("error_message")) or text(payload.get("error_str")) or ""
    known = fields(exception)
    status = _status(known.get("status_code")) or _status(told.get("error_code"))
    identity = (
        text(told.get("error_provider_request_id"))
        or request_id(getattr(known.get("response"), "headers", None))
        or request_id(known.get("litellm_response_headers"))
    )
    return Failure(_readable(name, said), name, status, identity)


def _status(value: object) -> Optional[int]:
    """An HTTP status, as a number or as text."""
    if isinstance(value, str) and value.isdigit() and len(value) == 3:
        value = int(value)
    return value if isinstance(value, int) and 100 <= value <= 599 else None


def _readable(name: str, said: str) -> str:
    """The class once, then the message. LiteLLM begins "litellm.Timeout: Timeout: …" and may end in a traceback."""
    for tail in _ERROR_TAILS:
        said = said.partition(tail)[0]
    said = said.strip()
    prefixes = (f"litellm.{name}:", f"{name}:")
    while said.startswith(prefixes):
        said = said.partition(":")[2].lstrip()
    return f"{name}: {said}" if said else name
