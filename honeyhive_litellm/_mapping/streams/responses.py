"""Streams of the Responses API."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

from honeyhive_litellm._mapping.reading import fields, items, text

_END_EVENTS = ("response.completed", "response.incomplete", "response.failed")
_TEXT_DELTAS = {"response.output_text.delta": "text", "response.refusal.delta": "refusal"}
_TEXTS_DONE = {"response.output_text.done": "text", "response.refusal.done": "refusal"}
_ARGUMENTS = {
    "response.function_call_arguments": ("function_call", "arguments"),
    "response.mcp_call_arguments": ("mcp_call", "arguments"),
    "response.custom_tool_call_input": ("custom_tool_call", "input"),
}
_REASONING = {"response.reasoning_text": "content", "response.reasoning_summary_text": "summary"}
_CALLS = ("function_call", "custom_tool_call", "mcp_call")


class Responses:
    """A response's output items, as the events add to them."""

    def __init__(self) -> None:
        self.is_complete = False
        self._found: Dict[str, Any] = {}
        self._final: Mapping[str, Any] = {}
        self._items: Dict[object, _Item] = {}

    @staticmethod
    def takes(event: Mapping[str, Any]) -> bool:
        return str(event.get("type")).startswith("response.")

    def add(self, event: Mapping[str, Any]) -> None:
        kind = str(event.get("type"))
        response = fields(event.get("response"))
        for name in ("id", "model"):
            if text(response.get(name)):
                self._found[name] = response[name]
        if kind in _END_EVENTS:
            self.is_complete = True
            self._final = response
            return
        if kind in ("response.output_item.added", "response.output_item.done"):
            self._item_of(event, "").replace(fields(event.get("item")))
            return
        name, _, step = kind.rpartition(".")
        if kind in _TEXT_DELTAS:
            self._item_of(event, "message").add(_TEXT_DELTAS[kind], event, event.get("delta"))
        elif kind in _TEXTS_DONE:
            self._item_of(event, "message").set(_TEXTS_DONE[kind], event, event.get(_TEXTS_DONE[kind]))
        elif kind == "response.output_text.annotation.added":
            self._item_of(event, "message").annotations.append(event.get("annotation"))
        elif name in _REASONING and step in ("delta", "done"):
            item = self._item_of(event, "reasoning")
            (item.add if step == "delta" else item.set)(
                _REASONING[name], event, event.get("delta") or event.get("text")
            )
        elif name in _ARGUMENTS and step in ("delta", "done"):
            type_, part = _ARGUMENTS[name]
            item = self._item_of(event, type_)
            (item.add if step == "delta" else item.set)(part, event, event.get("delta") or event.get(part))

    def _item_of(self, event: Mapping[str, Any], kind: str) -> _Item:
        """The item that an event is about, by its place or its id; without both one item of each kind."""
        key = event.get("output_index")
        if key is None:
            key = text(event.get("item_id")) or text(fields(event.get("item")).get("id"))
        if key is None:
            item = fields(event.get("item"))
            key = text(item.get("call_id")) or kind or item.get("type")
        found = self._items.get(key)
        if found is None:
            found = self._items[key] = _Item(kind)
        return found

    @property
    def response(self) -> Mapping[str, Any]:
        """The last event's response, and of what was streamed the kinds of items that it lacks."""
        streamed = [item.content for item in self._items.values()]
        final = [fields(item) for item in items(self._final.get("output"))]
        kinds = {item.get("type") for item in final if _has_content(item)}
        calls = {text(item.get("call_id")) for item in final}
        kept = [item for item in final if _has_content(item) or item.get("type") not in {x["type"] for x in streamed}]
        missing = [
            item
            for item in streamed
            if (text(item.get("call_id")) not in calls if item["type"] in _CALLS else item["type"] not in kinds)
        ]
        return {**self._found, **self._final, "output": [*kept, *missing]}


class _Item:
    """One item of the output: a message, a reasoning, a call of a tool."""

    def __init__(self, kind: str) -> None:
        self.annotations: List[Any] = []
        self._kind = kind
        self._own: Mapping[str, Any] = {}
        self._parts: Dict[Tuple[str, object], List[str]] = {}

    def replace(self, item: Mapping[str, Any]) -> None:
        """Take the item as the provider describes it, when it begins and when it is whole."""
        self._own = {**self._own, **{name: value for name, value in item.items() if value is not None}}

    def add(self, part: str, event: Mapping[str, Any], piece: object) -> None:
        if isinstance(piece, str):
            self._parts.setdefault(_place(part, event), []).append(piece)

    def set(self, part: str, event: Mapping[str, Any], whole: object) -> None:
        """A part is whole: its deltas are in it."""
        if isinstance(whole, str) and whole:
            self._parts[_place(part, event)] = [whole]

    def _texts(self, part: str) -> List[str]:
        return ["".join(pieces) for (name, _), pieces in self._parts.items() if name == part]

    @property
    def content(self) -> Dict[str, Any]:
        found = {"type": self._kind, **self._own}
        kind = found["type"]
        if kind == "message" and not _has_content(found):
            found["content"] = [{"type": "output_text", "text": piece} for piece in self._texts("text")]
            found["content"] += [{"type": "refusal", "refusal": piece} for piece in self._texts("refusal")]
            if self.annotations and found["content"]:
                found["content"][0]["annotations"] = self.annotations
        elif kind == "reasoning" and not _has_content(found):
            for part in ("summary", "content"):
                found[part] = [{"text": piece} for piece in self._texts(part)]
        for part in ("arguments", "input"):
            whole = "".join(self._texts(part))
            if whole and not found.get(part):
                found[part] = whole
        return found


def _place(part: str, event: Mapping[str, Any]) -> Tuple[str, object]:
    index = event.get("content_index")
    return part, event.get("summary_index") if index is None else index


def _has_content(item: Mapping[str, Any]) -> bool:
    """Whether a message or a reasoning has any text; items of other kinds have."""
    if item.get("type") not in ("message", "reasoning"):
        return True
    parts = map(fields, [*items(item.get("content")), *items(item.get("summary"))])
    return any(text(part.get(name)) for part in parts for name in ("text", "refusal"))
