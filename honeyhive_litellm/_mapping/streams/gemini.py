"""Streams of the contents of Gemini's own API."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from honeyhive_litellm._json import encode
from honeyhive_litellm._mapping.reading import fields, items, mapping, number, text, without_none


class Gemini:
    """The candidates of a response, in the form of a chat's choices."""

    def __init__(self) -> None:
        self._found: Dict[str, Any] = {}
        self._candidates: Dict[object, _Candidate] = {}

    @staticmethod
    def takes(event: Mapping[str, Any]) -> bool:
        return any(name in event for name in ("candidates", "usageMetadata", "promptFeedback"))

    def add(self, event: Mapping[str, Any]) -> None:
        for name, alias in (("id", "responseId"), ("model", "modelVersion")):
            if text(event.get(alias)):
                self._found[name] = event[alias]
        if mapping(event.get("usageMetadata")):
            self._found["usage"] = _usage(event["usageMetadata"])
        for candidate in map(fields, items(event.get("candidates"))):
            self._candidates.setdefault(candidate.get("index") or 0, _Candidate()).add(candidate)

    @property
    def is_complete(self) -> bool:
        """Whether every candidate has its finish reason."""
        return bool(self._candidates) and all(each.finish_reason for each in self._candidates.values())

    @property
    def response(self) -> Dict[str, Any]:
        return {**self._found, "choices": [each.choice for each in self._candidates.values()] or [_Candidate().choice]}


class _Candidate:
    def __init__(self) -> None:
        self.finish_reason: Optional[str] = None
        self._content: List[str] = []
        self._reasoning: List[str] = []
        self._tool_calls: List[Dict[str, object]] = []

    def add(self, candidate: Mapping[str, Any]) -> None:
        for part in map(mapping, items(mapping(candidate.get("content")).get("parts"))):
            piece = text(part.get("text"))
            if piece is not None:
                (self._reasoning if part.get("thought") is True else self._content).append(piece)
            function = mapping(part.get("functionCall"))
            if function:
                self._tool_calls.append(_tool_call(function))
        reason = text(candidate.get("finishReason"))
        if reason is not None:
            self.finish_reason = reason.lower()

    @property
    def choice(self) -> Dict[str, object]:
        message = without_none(
            role="assistant",
            content="".join(self._content),
            reasoning_content="".join(self._reasoning) or None,
            tool_calls=self._tool_calls or None,
        )
        return {"message": message, **without_none(finish_reason=self.finish_reason)}


def _tool_call(function: Mapping[str, Any]) -> Dict[str, object]:
    arguments = encode(function.get("args") or {}).decode()
    named = {"name": function.get("name"), "arguments": arguments}
    return {"id": function.get("id"), "type": "function", "function": named}


def _usage(reported: Mapping[str, Any]) -> Dict[str, object]:
    """Gemini's counts under a chat's names; the thoughts are part of the completion."""
    prompt, total = number(reported.get("promptTokenCount")), number(reported.get("totalTokenCount"))
    thoughts = number(reported.get("thoughtsTokenCount"))
    completion = number(reported.get("candidatesTokenCount"))
    if completion is not None or thoughts is not None:
        completion = (completion or 0) + (thoughts or 0)
    cached = number(reported.get("cachedContentTokenCount"))
    return without_none(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=total,
        prompt_tokens_details=None if cached is None else {"cached_tokens": cached},
        completion_tokens_details=None if thoughts is None else {"reasoning_tokens": thoughts},
    )
