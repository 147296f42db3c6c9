"""What the hooks see of a stream while it is read."""

from __future__ import annotations

import time
import weakref
from typing import Any, List, Optional, Sequence, Tuple

from honeyhive_litellm._mapping.stream_assembly import is_last


class StreamState:
    """The chunks of a stream, and how its reading goes. Nothing here copies a chunk.

    Each field stands by itself: a thread that sees one of them and not yet the next makes the same event of them, at
    most with an end that is a little later.
    """

    __slots__ = (
        "_cancelled",
        "_counted",
        "_own_chunks",
        "_wrapper",
        "chunks",
        "ended_ms",
        "first_chunk_ms",
        "is_complete",
        "loop",
        "over_since",
    )

    def __init__(self) -> None:
        # The thread that reads the stream writes these, in the hooks.
        self.chunks: Optional[Sequence[Any]] = None
        """LiteLLM's own list of the chunks, or ours where LiteLLM keeps none; None until one of them exists."""
        self._own_chunks: Optional[List[Any]] = None
        self._wrapper: Optional[weakref.ref[Any]] = None
        self._cancelled: Optional[Tuple[float, int]] = None
        self.first_chunk_ms: Optional[float] = None
        self.loop: Any = None
        """The loop that got the last chunk: LiteLLM's callback comes on it."""

        # Any thread writes these, in `look_at_chunks`. `is_complete` never goes back to False.
        self.is_complete = False
        self.ended_ms: Optional[float] = None
        """When the latest chunk was seen, in Unix milliseconds."""
        self._counted = 0

        # Only the thread that sweeps writes this.
        self.over_since: Optional[float] = None
        """When the sweep found that nobody reads on, on the monotonic clock."""

    def begin(self, chunks: Sequence[Any], wrapper: object) -> None:
        """`chunks` is the list that LiteLLM fills as `wrapper` is read."""
        self.chunks = chunks
        self._wrapper = weakref.ref(wrapper)

    def add_chunk(self, chunk: object) -> None:
        """Keep a chunk of a stream for which LiteLLM keeps no list."""
        if self.chunks is None:
            self.first_chunk_ms = time.time() * 1000
            self._own_chunks = []
            self.chunks = self._own_chunks
        if self._own_chunks is not None:
            self._own_chunks.append(chunk)

    def finish(self, loop: object = None) -> None:
        """Note that nothing is missing from the answer any more."""
        self.loop = loop
        self.ended_ms = time.time() * 1000
        self.is_complete = True

    def cancel(self) -> None:
        """Note that the reader was cancelled while it waited for the next chunk. It may read on later."""
        self._cancelled = time.monotonic(), self._count()

    def look_at_chunks(self) -> None:
        """Note how far the stream has come. LiteLLM fills its list without calling a hook."""
        count = self._count()
        if count != self._counted:
            self._counted = count
            self.ended_ms = time.time() * 1000
            self.is_complete = self.is_complete or has_finish(self.chunks)

    def find_over(self) -> None:
        """Sweep: note when the stream turns out to be complete or dropped, so that nobody reads on."""
        if self.over_since is None and self.chunks is not None and (self.is_complete or self._is_dropped):
            self.over_since = time.monotonic()

    @property
    def cancelled_since(self) -> Optional[float]:
        """When the reader was cancelled, on the monotonic clock; None if it was not, or has read on since."""
        cancelled = self._cancelled
        return cancelled[0] if cancelled is not None and cancelled[1] == self._count() else None

    @property
    def is_chat(self) -> bool:
        """Whether the chunks are a chat's, which LiteLLM itself can put together."""
        return self._own_chunks is None

    @property
    def lacks_usage(self) -> bool:
        """Whether these are a chat's chunks and none of them has token counts."""
        return (
            bool(self.chunks) and self.is_chat and not any(getattr(chunk, "usage", None) for chunk in self.chunks or ())
        )

    @property
    def _is_dropped(self) -> bool:
        """Whether the application has dropped the stream.

        The attempt's token usually dies with it, at once. Before LiteLLM 1.110 cycles of references keep the token
        alive until a garbage collection.
        """
        return self._wrapper is not None and self._wrapper() is None

    def _count(self) -> int:
        return len(self.chunks or ())


def has_finish(chunks: Optional[Sequence[Any]]) -> bool:
    """Whether one of the last chunks says why the stream is finished."""
    for chunk in reversed(chunks[-3:] if chunks else ()):
        if is_last(chunk):
            return True
        for choice in getattr(chunk, "choices", None) or ():
            if getattr(choice, "finish_reason", None):
                return True
    return False
