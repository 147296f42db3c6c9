"""Requests that LiteLLM's proxy passes through to a provider as they are.

LiteLLM tells of them in another shape: the request's body is one message of JSON, and the answer is the text that
came, or for a stream the `repr` of its lines. Here both are brought into the shape of any other call.
"""

from __future__ import annotations

import ast
from typing import Any, List, Mapping

from honeyhive_litellm._json import decode

from .reading import items, mapping
from .stream_assembly import assembled

CALL_TYPE = "pass_through_endpoint"

_LINES = "Chunks="  # what LiteLLM writes before the lines of a stream that it cannot put together
_GIVEN = frozenset(("messages", "input", "prompt", "contents"))


def request(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """A call's details, with the parameters and messages of the body that was passed through."""
    if call.get("call_type") != CALL_TYPE:
        return call
    body = mapping(mapping(call.get("passthrough_logging_payload")).get("request_body"))
    if not body:
        return call
    given = next((body[name] for name in ("messages", "input", "prompt", "contents") if body.get(name)), None)
    parameters = {name: value for name, value in body.items() if name not in _GIVEN and name != "model"}
    optional = {**parameters, **mapping(call.get("optional_params"))}
    changed = {"optional_params": optional, "stream": body.get("stream")}
    return {**call, **changed, **({} if given is None else {"messages": given})}


def answer(call: Mapping[str, Any], response: object) -> object:
    """The provider's answer as it would have been told of any other call; `response` itself where that is unknown."""
    if call.get("call_type") != CALL_TYPE:
        return response
    told = mapping(response).get("response")
    if not isinstance(told, str):
        return response
    head, marker, lines = told.partition(_LINES)
    if marker and "{" not in head:
        return assembled(map(str, _literal(lines))) or response
    return _json(told) or response


def _literal(lines: str) -> List[Any]:
    try:
        return items(ast.literal_eval(lines))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []


def _json(line: str) -> Mapping[str, Any]:
    try:
        return mapping(decode(line.encode("utf-8", "replace")))
    except ValueError:
        return {}
