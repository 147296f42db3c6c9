"""Requests that LiteLLM's proxy passes through to a provider unchanged.

LiteLLM reports them in another form: the request's body is one message of JSON text, and the response is the provider's
text or, for a stream, the `repr` of a list of its lines. Here both get the form of any other call.
"""

from __future__ import annotations

import ast
from typing import Any, Dict, List, Mapping, Tuple
from urllib.parse import urlsplit

from honeyhive_litellm._json import decode

from .reading import ARGUMENTS_KEY, fields, items, mapping, text, without_none
from .streams.answer import assembled

_LINES_MARKER = "Chunks="  # LiteLLM writes it before the lines of a stream that it cannot assemble
_ENDS_OF_RESPONSE = ("response.completed", "response.incomplete", "response.failed")
_CONTENT = ("messages", "input", "prompt", "contents")
_WITHOUT_MODEL = ("GET", "HEAD", "DELETE", "OPTIONS")
"""The methods of HTTP with which no model is asked."""
_STORED = ("batches", "files")
"""What a provider stores, as it is named in the path of a request about it."""


def as_call(call_details: Mapping[str, Any]) -> Mapping[str, Any]:
    """The call's details with the parameters and the messages of the body that was passed through."""
    body = mapping(mapping(call_details.get("passthrough_logging_payload")).get("request_body"))
    if not body:
        return call_details
    content = next((body[name] for name in _CONTENT if body.get(name)), None)
    parameters = {name: value for name, value in body.items() if name not in _CONTENT and name != "model"}
    changed = {
        "optional_params": {**parameters, **mapping(call_details.get("optional_params"))},
        "stream": body.get("stream"),
    }
    return {**call_details, **changed, **({} if content is None else {"messages": content})}


def is_about_stored(call_details: Mapping[str, Any]) -> bool:
    """Whether the request is about what a provider stores, such as the poll of a batch, so that no model answers it."""
    method, path = _target(call_details)
    return method in _WITHOUT_MODEL or any(part in _STORED for part in path.split("/"))


def _target(call_details: Mapping[str, Any]) -> Tuple[str, str]:
    """The method and the path of the request; empty where they are unknown."""
    payload = mapping(call_details.get("passthrough_logging_payload"))
    noted = mapping(call_details.get(ARGUMENTS_KEY))
    method = text(payload.get("request_method")) or text(noted.get("method")) or ""
    address = text(payload.get("url")) or text(noted.get("endpoint")) or ""
    return method.upper(), urlsplit(address).path


def stored_inputs(
    call_details: Mapping[str, Any], optional_params: Mapping[str, Any], include_content: bool
) -> Dict[str, object]:
    """The method and the path, which name what the request is about; not the query, which may have a key in it."""
    method, path = _target(call_details)
    return without_none(method=method or None, path=path or None)


def stored_response(call_details: Mapping[str, Any], response: object) -> object:
    """The provider's response as it came: LiteLLM may make an answer of a model of it."""
    body = mapping(call_details.get("passthrough_logging_payload")).get("response_body")
    if body and isinstance(body, dict):
        return body
    return as_routed_response(call_details, as_response(call_details, response))


def as_routed_call(call_details: Mapping[str, Any]) -> Mapping[str, Any]:
    """A request that the SDK passes through. Its body is an argument: an object, JSON text, or bytes."""
    noted = mapping(call_details.get(ARGUMENTS_KEY))
    body = next((noted[name] for name in ("json", "data", "content") if noted.get(name)), None)
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    if isinstance(body, str):
        body = _json_object(body)
    return as_call({**call_details, "passthrough_logging_payload": {"request_body": body}})


def as_routed_response(call_details: Mapping[str, Any], response: object) -> object:
    """The JSON of an HTTP response; `response` itself if it is none, because LiteLLM has read it already."""
    content = getattr(response, "content", None)
    if isinstance(content, bytes):
        return _json_object(content.decode("utf-8", "replace")) or response
    return response


def as_response(call_details: Mapping[str, Any], response: object) -> object:
    """The provider's response, parsed; `response` itself where it has no known form."""
    reported = mapping(response).get("response")
    if not isinstance(reported, str):
        return response
    head, marker, lines = reported.partition(_LINES_MARKER)
    if marker and "{" not in head:
        return assembled(map(str, _literal_list(lines))) or response
    return _json_object(reported) or response


def _literal_list(lines: str) -> List[Any]:
    try:
        return items(ast.literal_eval(lines))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []


def _json_object(line: str) -> Mapping[str, Any]:
    try:
        return mapping(decode(line.encode("utf-8", "replace")))
    except ValueError:
        return {}


def socket_response(call_details: Mapping[str, Any], response: object) -> object:
    """The last response of a WebSocket of the Responses API, whose server's events LiteLLM reports as a list."""
    events = response if isinstance(response, list) else items(fields(response).get("results"))
    done = [fields(event).get("response") for event in events if fields(event).get("type") in _ENDS_OF_RESPONSE]
    return done[-1] if done and done[-1] else response
