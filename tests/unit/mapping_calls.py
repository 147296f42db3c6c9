"""Calls and responses in LiteLLM's shapes, and the options to map them with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Dict, Mapping, Optional

from honeyhive_litellm._mapping.mapper import map_failure, map_request, map_success
from honeyhive_litellm._mapping.model import Outcome, Request

SECRET = "a very secret sentence"
START = datetime(2026, 3, 1, 12, 0, 0)  # noqa: DTZ001 - LiteLLM's are naive
TOOL = {"type": "function", "function": {"name": "weather", "description": SECRET, "parameters": {"x": SECRET}}}


@dataclass(frozen=True)
class MappingOptions:
    project: str = "demo"
    custom_attributes: Optional[Mapping[str, Any]] = None
    capture_message_content: bool = True
    capture_headers: bool = False
    capture_raw_request: bool = False


def mapped(*options: MappingOptions, **call_details: Any) -> Request:
    (chosen,) = options or (MappingOptions(),)
    return map_request(call_details, chosen)


def with_metadata(*options: MappingOptions, **metadata: Any) -> Request:
    return mapped(*options, call_type="completion", litellm_params={"metadata": metadata})


def succeeded(
    response: object, capture_content: bool = True, options: MappingOptions = MappingOptions(), **call_details: Any
) -> Outcome:
    return map_success(call_details, response, options, capture_content)


def failed(exception: object, capture_content: bool = True, **call_details: Any) -> Outcome:
    return map_failure(call_details, exception, MappingOptions(), capture_content)


def user(text: object) -> Dict[str, object]:
    return {"role": "user", "content": text}


def message(content: object, **more: Any) -> Dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def chat(*messages: Dict[str, Any], **more: Any) -> Dict[str, Any]:
    """A chat's response with these messages as choices."""
    choices = [{"index": n, "message": m, "finish_reason": "stop"} for n, m in enumerate(messages)]
    return {"id": "r-1", "model": "gpt-4o-2024", "choices": choices, **more}


class _Model(SimpleNamespace):
    """An object with fields that can dump itself, as pydantic's can."""

    def model_dump(self) -> Dict[str, Any]:
        return {name: _dumped(part) for name, part in vars(self).items()}


def _dumped(value: Any) -> Any:
    return value.model_dump() if isinstance(value, _Model) else value


def objects(value: Any) -> Any:
    """The same response as objects with fields."""
    if isinstance(value, dict):
        return _Model(**{name: objects(part) for name, part in value.items()})
    return [objects(part) for part in value] if isinstance(value, list) else value


class RateLimitError(Exception):
    def __init__(self, message: str, status: Any = 429) -> None:
        super().__init__(message)
        self.status_code = status
