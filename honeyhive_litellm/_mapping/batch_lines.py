"""The lines of a finished batch, which LiteLLM reports one by one: each becomes a call in LiteLLM's usual form."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from . import passthrough
from .ids import session_id
from .reading import fields, mapping, number, text, without_none

_REQUEST_FIELDS = ("body", "params", "modelInput", "request")
"""Where a line has the request: OpenAI's, Anthropic's, Bedrock's, Vertex AI's."""
_CALL_TYPES = (
    ("/chat/completions", "acompletion"), ("/completions", "atext_completion"), ("/embeddings", "aembedding"),
    ("/responses", "aresponses"), ("/moderations", "amoderation"), ("/messages", "anthropic_messages"),
)  # fmt: skip
"""By the end of the path that a line of OpenAI's names."""


def succeeded(line: Mapping[str, Any]) -> bool:
    """Whether the provider has answered the line's request."""
    return line.get("status") == "success"


def call_of_line(line: Mapping[str, Any], place: str) -> Dict[str, Any]:
    """The line in the form of LiteLLM's `model_call_details` of a call that has ended.

    `place` distinguishes lines without a `custom_id`. The call's id depends on the batch and the line alone, so that a
    line that is reported again has the same event.
    """
    batch_id, custom_id = text(line.get("batch_id")) or "", text(line.get("custom_id"))
    request = mapping(line.get("request"))
    payload: Dict[str, Any] = {**mapping(line.get("usage")), "response_cost": number(line.get("response_cost"))}
    if not succeeded(line):
        payload["error_information"] = _error(mapping(line.get("response")))
    details = {
        "call_type": _call_type(request),
        "litellm_call_id": session_id(f"{batch_id} {custom_id or place}"),
        "model": line.get("model"),
        "custom_llm_provider": line.get("custom_llm_provider"),
        "litellm_params": {
            "metadata": without_none(**mapping(line.get("metadata")), batch_id=batch_id, custom_id=custom_id)
        },
        "standard_logging_object": payload,
        "passthrough_logging_payload": {"request_body": _body(request)},
    }
    return dict(passthrough.as_call(details))


def response_of_line(line: Mapping[str, Any]) -> object:
    """The provider's answer to a line; None where LiteLLM withholds it."""
    reported = mapping(line.get("response"))
    message = fields(reported.get("result")).get("message")  # Anthropic's
    response = fields(reported.get("response"))
    return message or response.get("body") or reported.get("modelOutput") or response or None


def _error(reported: Mapping[str, Any]) -> Dict[str, object]:
    """What the provider says of its error, in the form of LiteLLM's `error_information`."""
    result = fields(reported.get("result"))
    body = fields(fields(reported.get("response")).get("body"))
    for error in (reported.get("error"), body.get("error"), result.get("error")):
        parts = fields(error)
        parts = fields(parts.get("error")) or parts  # Anthropic's is in an object of the type "error"
        if parts:
            name = text(parts.get("code")) or text(parts.get("type"))
            return without_none(error_class=name, error_message=text(parts.get("message")))
    return without_none(error_class=text(result.get("type")), error_message=text(reported.get("status")))


def _body(request: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((mapping(request[name]) for name in _REQUEST_FIELDS if mapping(request.get(name))), {})


def _call_type(request: Mapping[str, Any]) -> str:
    path = text(request.get("url")) or ""
    default = "anthropic_messages" if "params" in request else "acompletion"
    return next((name for end, name in _CALL_TYPES if path.endswith(end)), default)
