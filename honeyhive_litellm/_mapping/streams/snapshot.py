"""A copy of a stream's chunk, as its reader gets it: what the reader or LiteLLM changes later does not show."""

from __future__ import annotations

from enum import Enum
from typing import Any, Dict, Mapping

from honeyhive_litellm._mapping.reading import fields

_PLAIN = (str, bytes, int, float)
_WITHOUT_CONTENT = ("response.created", "response.in_progress", "response.queued")
"""Events of the Responses API that repeat the whole request."""


def snapshot(chunk: object) -> object:
    """The chunk's bytes or text, or a dictionary that shares nothing with it. Runs for every chunk of a stream."""
    if isinstance(chunk, (bytes, str)):
        return chunk
    if isinstance(chunk, bytearray):
        return bytes(chunk)
    parts = fields(chunk)
    if "root" in parts:
        parts = fields(parts["root"])  # an event of an A2A agent is wrapped
    choices = parts.get("choices")
    if isinstance(choices, list):
        taken: Dict[str, Any] = {"choices": [_choice(fields(choice)) for choice in choices]}
        for name in ("id", "model", "system_fingerprint"):
            taken[name] = parts.get(name)
        for name in ("usage", "error", "citations", "search_results"):
            if parts.get(name) is not None:
                taken[name] = frozen(parts[name])
        return taken
    if parts.get("type") in _WITHOUT_CONTENT:
        response = fields(parts.get("response"))
        return {
            "type": frozen(parts["type"]),
            "response": {name: response[name] for name in ("id", "model") if name in response},
        }
    return frozen(parts)


def _choice(choice: Mapping[str, Any]) -> Dict[str, Any]:
    taken: Dict[str, Any] = {"index": choice.get("index"), "finish_reason": choice.get("finish_reason")}
    delta = {name: value for name, value in fields(choice.get("delta")).items() if value is not None}
    for name, value in delta.items():
        if type(value) is not str:
            delta[name] = frozen(value)
    taken["delta"] = delta
    for name in ("text", "logprobs"):
        if choice.get(name) is not None:
            taken[name] = frozen(choice[name])
    return taken


def frozen(value: object) -> Any:
    """A copy made of dictionaries, lists and plain values. Of an object it has the fields that are set."""
    if value is None or isinstance(value, _PLAIN):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, dict):
        return {name: frozen(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [frozen(item) for item in value]
    parts = fields(value)
    if not parts:
        return type(value).__name__
    return {name: frozen(item) for name, item in parts.items() if item is not None and not name.startswith("_")}
