"""The tools that calls offer to a model: the next calls offer them again, so they are cleaned and encoded once."""

from __future__ import annotations

from typing import Callable, Dict

from honeyhive_litellm._json import Encoded, copy_in, encode

REMEMBERED_BYTES = 2**21
"""The most that is remembered, in bytes of JSON. Beyond that all is forgotten, and encoded again when it recurs."""


class RecurringTools:
    """The encoded form of tools by what `snapshot` made of them. May be used on any thread, also on two at once."""

    def __init__(self, clean: Callable[[object], object]) -> None:
        """`clean` makes tools fit for an event, by nothing but their own content."""
        self._clean = clean
        self._encoded: Dict[bytes, Encoded] = {}
        self._bytes = 0

    def encoded(self, tools: bytes) -> Encoded:
        """The tools, clean, for `encode`."""
        found = self._encoded.get(tools)
        if found is not None:
            return found
        data = encode(self._clean(copy_in(tools)))
        self._bytes += len(tools) + len(data)
        if self._bytes > REMEMBERED_BYTES:
            self._encoded.clear()
            self._bytes = len(tools) + len(data)
        encoded = Encoded(data)
        if self._bytes <= REMEMBERED_BYTES:
            self._encoded[tools] = encoded
        return encoded
