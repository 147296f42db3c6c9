"""Server-sent events, read from the pieces in which they came over the network."""

from __future__ import annotations

import re
from typing import Any, Iterator, List, Mapping, Union

from honeyhive_litellm._json import decode

_LINE_END = re.compile(rb"\r\n|\n|\r")
_DONE = b"[DONE]"
DONE: Mapping[str, Any] = {"type": "[DONE]"}
"""The event that stands for OpenAI's last line, which is no JSON."""


class EventReader:
    """Takes a stream's bytes, cut anywhere, and gives the JSON objects of its `data:` lines."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: List[bytes] = []
        """The `data:` lines of an event that are no JSON yet: an event may be spread over several."""

    def feed(self, piece: Union[bytes, str]) -> Iterator[Mapping[str, Any]]:
        """The events that are whole with this piece. A text is taken for whole lines."""
        if isinstance(piece, str):
            piece = piece.encode("utf-8", "replace")
            piece = piece if piece.endswith(b"\n") else piece + b"\n"
        if b"\n" not in piece and b"\r" not in piece:
            self._rest += piece
            return
        lines = _LINE_END.split(self._rest + piece)
        self._rest = lines.pop()
        for line in lines:
            yield from self._line(line)

    def close(self) -> Iterator[Mapping[str, Any]]:
        """What a last line without an end still has."""
        line, self._rest = self._rest, b""
        yield from self._line(line)

    def _line(self, line: bytes) -> Iterator[Mapping[str, Any]]:
        if not line.startswith(b"data:"):
            if not line:
                self._data.clear()
            return
        self._data.append(line[len(b"data:") :].strip())
        data = b"\n".join(self._data)
        if data == _DONE:
            self._data.clear()
            yield DONE
            return
        try:
            event = decode(data)
        except ValueError:
            return
        self._data.clear()
        if event and isinstance(event, dict):
            yield event
