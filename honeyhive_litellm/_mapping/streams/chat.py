"""Streams of chats and text completions: OpenAI's chunks."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from honeyhive_litellm._json import decode, encode
from honeyhive_litellm._mapping.reading import fields, items, text, without_none

_ELSEWHERE = ("thinking_blocks", "reasoning_content", "reasoning", "refusal")
"""Names among `provider_specific_fields` that repeat another part of the message."""


class Chat:
    """A chat's or a text completion's choices, as the chunks add to them."""

    def __init__(self) -> None:
        self._found: Dict[str, Any] = {}
        self._choices: Dict[object, _Choice] = {}
        self._is_done = False

    def add(self, event: Mapping[str, Any]) -> None:
        for name in ("id", "model", "system_fingerprint"):
            if name not in self._found and text(event.get(name)):
                self._found[name] = event[name]
        for name in ("citations", "search_results"):
            if items(event.get(name)):
                self._found[name] = event[name]
        merge_usage(self._found, event.get("usage"))
        for choice in map(fields, items(event.get("choices"))):
            self._choices.setdefault(choice.get("index") or 0, _Choice()).add(choice)

    def finish(self) -> None:
        """The line that follows the last chunk has come."""
        self._is_done = True

    @property
    def is_complete(self) -> bool:
        """Whether every choice has its finish reason."""
        return self._is_done or (bool(self._choices) and all(each.finish_reason for each in self._choices.values()))

    @property
    def response(self) -> Dict[str, Any]:
        choices = sorted(self._choices.items(), key=lambda item: str(item[0]).zfill(9))
        return {**self._found, "choices": [choice.response for _, choice in choices]}


class _Choice:
    def __init__(self) -> None:
        self.finish_reason: Optional[str] = None
        self._is_text = False
        self._role: object = None
        self._texts: Dict[str, List[str]] = {}
        self._tool_calls = _ToolCalls()
        self._function: Dict[str, str] = {}
        self._audio: Dict[str, Any] = {}
        self._lists: Dict[str, List[Any]] = {}
        self._specific: Dict[str, Any] = {}
        self._logprobs: Dict[str, List[Any]] = {}

    def add(self, choice: Mapping[str, Any]) -> None:
        self.finish_reason = text(choice.get("finish_reason")) or self.finish_reason
        if isinstance(choice.get("text"), str):
            self._is_text = True
            self._add_text("content", choice["text"])
        for name, listed in fields(choice.get("logprobs")).items():
            if isinstance(listed, list):
                self._logprobs.setdefault(name, []).extend(listed)
        delta = fields(choice.get("delta"))
        self._role = text(delta.get("role")) or self._role
        self._add_text("content", delta.get("content"))
        self._add_text("reasoning_content", delta.get("reasoning_content") or delta.get("reasoning"))
        self._add_text("refusal", delta.get("refusal"))
        for call in map(fields, items(delta.get("tool_calls"))):
            self._tool_calls.add(call)
        for name in ("name", "arguments"):
            piece = text(fields(delta.get("function_call")).get(name))
            if piece is not None:
                self._function[name] = self._function.get(name, "") + piece
        for name, value in fields(delta.get("audio")).items():
            is_piece = name in ("transcript", "data") and isinstance(value, str)
            self._audio[name] = self._audio.get(name, "") + value if is_piece else value
        for name in ("images", "annotations", "thinking_blocks"):
            self._lists.setdefault(name, []).extend(items(delta.get(name)))
        self._add_specific(fields(delta.get("provider_specific_fields")))

    def _add_text(self, name: str, piece: object) -> None:
        if isinstance(piece, str):
            self._texts.setdefault(name, []).append(piece)

    def _add_specific(self, specific: Mapping[str, Any]) -> None:
        """Keep every value that a chunk has under a name: lists are joined, and different values become a list."""
        for name, value in specific.items():
            if value is None or name in _ELSEWHERE:
                continue
            if name == "citation":  # LiteLLM's name for one of the `citations` that an unstreamed answer has
                self._specific.setdefault("citations", []).append(value)
            elif name not in self._specific:
                self._specific[name] = list(value) if isinstance(value, list) else value
            elif isinstance(self._specific[name], list):
                self._specific[name].extend(value if isinstance(value, list) else [value])
            elif self._specific[name] != value:
                self._specific[name] = [self._specific[name], value]

    @property
    def response(self) -> Dict[str, Any]:
        joined = {name: "".join(pieces) for name, pieces in self._texts.items()}
        found = without_none(logprobs=self._logprobs or None, finish_reason=self.finish_reason)
        if self._is_text:
            return {"text": joined.get("content", ""), **found}
        message = without_none(
            role=self._role or "assistant",
            reasoning_content=joined.get("reasoning_content") or None,
            refusal=joined.get("refusal") or None,
            tool_calls=self._tool_calls.found or None,
            function_call=self._function or None,
            audio=self._audio or None,
            provider_specific_fields=self._specific or None,
            **{name: listed or None for name, listed in self._lists.items()},
        )
        return {"message": {"content": joined.get("content"), **message}, **found}


class _ToolCalls:
    """The tool calls of a message. Some providers send parallel calls under one index, each with its own id."""

    def __init__(self) -> None:
        self.found: List[Dict[str, Any]] = []
        self._by_index: Dict[object, List[Dict[str, Any]]] = {}

    def add(self, delta: Mapping[str, Any]) -> None:
        call = self._call_of(delta)
        kind = text(delta.get("type"))
        if kind is not None:
            call["type"] = kind
        for part in ("function", "custom"):
            for name, value in fields(delta.get(part)).items():
                own = call.setdefault(part, {})
                piece = encode(value).decode() if isinstance(value, dict) else value
                if isinstance(piece, str):
                    own[name] = piece or own.get(name) if name == "name" else own.get(name, "") + piece

    def _call_of(self, delta: Mapping[str, Any]) -> Dict[str, Any]:
        """The call that this delta adds to, or a new one."""
        id_ = text(delta.get("id"))
        calls = self._by_index.setdefault(delta.get("index"), [])
        if id_ is not None:
            for call in calls:
                if call["id"] in (None, id_):
                    call["id"] = id_
                    return call
        elif calls and not _begins_another(calls[-1], fields(delta.get("function"))):
            return calls[-1]
        call = {"id": id_, "type": "function"}
        calls.append(call)
        self.found.append(call)
        return call


def _begins_another(call: Mapping[str, Any], function: Mapping[str, Any]) -> bool:
    """Whether a delta without an id begins a call of its own: it names a function, and the latest call is whole."""
    arguments = fields(call.get("function")).get("arguments")
    if not text(function.get("name")) or not arguments:
        return False
    try:
        decode(arguments.encode("utf-8", "replace"))
    except ValueError:
        return False
    return True


def merge_usage(found: Dict[str, Any], usage: object) -> None:
    """Add a usage to `found`. Providers repeat it, or send each count in a part of its own and 0 for the others."""
    counts = {name: count for name, count in fields(usage).items() if count}
    if counts:
        found["usage"] = {**fields(found.get("usage")), **counts}
