"""When a call ran, and what came with its response beside the content: LiteLLM's notes, headers, the request id."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Mapping, NamedTuple, Optional

from .reading import fields, hidden_params, number, or_default, text

_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id")
_PROVIDER_PREFIX = "llm_provider-"


class Times(NamedTuple):
    """Unix milliseconds; None where unknown. `first_token_ms` counts from the start to a stream's first chunk."""

    start_ms: Optional[float]
    end_ms: Optional[float]
    first_token_ms: Optional[float]


def times(call_details: Mapping[str, Any], payload: Mapping[str, Any]) -> Times:
    """When a call began, ended and first answered.

    LiteLLM's standard payload has Unix seconds, its `call_details` naive local datetimes. For a call that is not
    streamed, and for a stream without any chunk, LiteLLM reports the end as the time of the first token.
    """
    start = _unix_ms(payload.get("startTime"), call_details.get("start_time"))
    end = _unix_ms(payload.get("endTime"), call_details.get("end_time"))
    first = None
    if start is not None and (call_details.get("stream") is True or payload.get("stream") is True):
        first = _unix_ms(payload.get("completionStartTime"), call_details.get("completion_start_time"))
        first = None if first is None or first == end or first < start else round(first - start, 3)
    return Times(start, end, first)


def _unix_ms(seconds: object, moment: object) -> Optional[float]:
    unix_s = number(seconds)
    if unix_s is not None and unix_s > 0:
        return unix_s * 1000.0
    return or_default(None, _to_ms, moment) if isinstance(moment, datetime) else None


def _to_ms(moment: datetime) -> float:
    return moment.timestamp() * 1000.0


def hidden_of(response: object, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """LiteLLM's notes on a response: the response's own, else those in the standard payload."""
    return hidden_params(response) or fields(payload.get("hidden_params"))


def response_headers(call_details: Mapping[str, Any], response: object, hidden: Mapping[str, Any]) -> Mapping[str, Any]:
    """The provider's response headers, as far as LiteLLM passes them on."""
    for source in (
        call_details.get("response_headers"),
        hidden.get("headers"),
        fields(response).get("_response_headers"),
    ):
        if isinstance(source, dict) and source:
            return source
    return {
        name[len(_PROVIDER_PREFIX) :]: value
        for name, value in fields(hidden.get("additional_headers")).items()
        if isinstance(name, str) and name.startswith(_PROVIDER_PREFIX)
    }


def request_id(headers: object) -> Optional[str]:
    """The provider's own id of the request."""
    get = getattr(headers, "get", None)
    if not callable(get):
        return None
    for name in _REQUEST_ID_HEADERS:
        found = text(get(name))
        if found is not None:
            return found
    return None
