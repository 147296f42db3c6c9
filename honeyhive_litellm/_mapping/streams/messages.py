"""Streams of Anthropic's messages."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from honeyhive_litellm._mapping.reading import fields, text, without_none

from .chat import merge_usage

_EVENTS = (
    "message_start", "message_delta", "message_stop", "content_block_start", "content_block_delta",
    "content_block_stop", "ping",
)  # fmt: skip
_PIECES = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
_KINDS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking"}


class Messages:
    """A message's content blocks, as the events add to them."""

    def __init__(self) -> None:
        self.is_complete = False
        self._found: Dict[str, Any] = {}
        self._blocks: Dict[object, _Block] = {}
        self._earlier: List[_Block] = []
        self._stop_reason: Optional[str] = None

    @staticmethod
    def takes(event: Mapping[str, Any]) -> bool:
        return event.get("type") in _EVENTS

    def add(self, event: Mapping[str, Any]) -> None:
        kind = event.get("type")
        if kind == "message_start":
            self._start(fields(event.get("message")))
        elif kind == "content_block_start":
            self._blocks[event.get("index")] = _Block(fields(event.get("content_block")))
        elif kind == "content_block_delta":
            delta = fields(event.get("delta"))
            index = event.get("index")
            if index not in self._blocks:
                self._blocks[index] = _Block({"type": _KINDS.get(str(delta.get("type")), "text")})
            self._blocks[index].add(delta)
        elif kind == "message_delta":
            self._stop_reason = text(fields(event.get("delta")).get("stop_reason")) or self._stop_reason
            merge_usage(self._found, event.get("usage"))
        elif kind == "message_stop":
            self.is_complete = True

    def _start(self, message: Mapping[str, Any]) -> None:
        """A second message in one stream continues the first: LiteLLM called a tool in between."""
        self._earlier += self._blocks.values()
        self._blocks = {}
        self.is_complete = False
        for name in ("id", "model", "role"):
            if text(message.get(name)):
                self._found[name] = message[name]
        merge_usage(self._found, message.get("usage"))

    @property
    def response(self) -> Dict[str, Any]:
        blocks = [*self._earlier, *self._blocks.values()]
        own = without_none(content=[block.content for block in blocks], stop_reason=self._stop_reason)
        return {"role": "assistant", **self._found, **own}


class _Block:
    def __init__(self, start: Mapping[str, Any]) -> None:
        self._start = start
        self._pieces: Dict[str, List[str]] = {}
        self._citations: List[Any] = []
        self._input: List[str] = []

    def add(self, delta: Mapping[str, Any]) -> None:
        kind = str(delta.get("type"))
        if kind == "input_json_delta":
            self._input += [delta["partial_json"]] if isinstance(delta.get("partial_json"), str) else []
        elif kind == "citations_delta":
            self._citations.append(delta.get("citation"))
        elif kind in _PIECES and isinstance(delta.get(_PIECES[kind]), str):
            self._pieces.setdefault(_PIECES[kind], []).append(delta[_PIECES[kind]])

    @property
    def content(self) -> Dict[str, Any]:
        block = dict(self._start)
        for name, pieces in self._pieces.items():
            block[name] = (text(block.get(name)) or "") + "".join(pieces)
        if self._citations:
            block["citations"] = [*(block.get("citations") or ()), *self._citations]
        if "".join(self._input):
            block["input"] = "".join(self._input)
        return block
