"""What a stream's reader got, how its reading ended, and when."""

from __future__ import annotations

import math
import time
import weakref
from typing import Any, List, NamedTuple, Optional, Sequence

from honeyhive_litellm._mapping.streams.answer import Answer, FirstOutput, answer_of, may_be_last
from honeyhive_litellm._mapping.streams.snapshot import snapshot

END = "end"
ERROR = "error"
CANCELLED = "cancelled"
CLOSED = "closed"


class ReadEnd(NamedTuple):
    """How the reading of a stream ended, and when on the monotonic clock.

    END: there was nothing more. ERROR: the reader got an exception. CANCELLED: the reader was cancelled while it waited
    for the next chunk. CLOSED: the reader closed the stream.
    """

    how: str
    since: float
    error: Optional[BaseException] = None


class StreamState:
    """The pieces of a stream as its reader got them, and how its reading goes.

    Each field stands by itself: a thread that sees one of them and not yet the next makes the same event of them, at
    most with an end that is a little later.
    """

    __slots__ = (
        "_answer",
        "_first_output",
        "_is_translated",
        "_wrapper",
        "chunks",
        "end",
        "ended_ms",
        "first_output_ms",
        "is_complete",
        "last_read",
        "loop",
        "over_since",
        "pieces",
    )

    def __init__(self) -> None:
        # The thread that reads the stream writes these, in the hooks.
        self.pieces: List[object] = []
        """A snapshot of each chunk that the reader got."""
        self.chunks: Optional[Sequence[Any]] = None
        """LiteLLM's own list of a chat's chunks, which has the provider's usage; None where LiteLLM keeps none."""
        self._wrapper: Optional[weakref.ref[Any]] = None
        self._is_translated = False
        self._first_output: Optional[FirstOutput] = FirstOutput()
        self.first_output_ms: Optional[float] = None
        self.ended_ms: Optional[float] = None
        """When the reader got the latest chunk, or the stream's end, in Unix milliseconds."""
        self.last_read = time.monotonic()
        self.loop: Any = None
        """The loop that got the last chunk: LiteLLM's callback comes on it."""
        self.is_complete = False
        """Whether the last chunk seems to have come; `answer` knows for certain."""
        self.end: Optional[ReadEnd] = None
        """None while the reader may read on. A cancelled reader may, too: then this becomes None again."""

        # Only the thread that sweeps writes this.
        self.over_since: Optional[float] = None
        """When the sweep found that nobody reads on, on the monotonic clock."""

        self._answer: Optional[Answer] = None

    def begin(self, wrapper: object, chunks: Optional[Sequence[Any]] = None) -> None:
        """`wrapper` is what the reader reads; LiteLLM fills the list `chunks` meanwhile."""
        self.chunks = chunks
        self._wrapper = None if wrapper is None else weakref.ref(wrapper)

    def begin_translated(self, wrapper: object) -> None:
        """The reader reads `wrapper`, which translates what was announced before to another API."""
        self._wrapper = weakref.ref(wrapper)
        self._is_translated = True

    def is_read_through(self, wrapper: object) -> bool:
        """Whether `wrapper` is what the reader reads; None, and one where none was announced, are taken for it."""
        return wrapper is None or self._wrapper is None or self._wrapper() is wrapper

    def is_read_by(self, value: object) -> bool:
        """Whether `value` is the stream itself, as its reader has it."""
        return value is not None and self._wrapper is not None and self._wrapper() is value

    def add_chunk(self, chunk: object) -> None:
        """The reader gets a chunk."""
        piece = snapshot(chunk)
        self.pieces.append(piece)
        self.last_read = time.monotonic()
        self.ended_ms = time.time() * 1000
        self.end = self._answer = None
        if self._first_output is not None and self._first_output.is_in(piece):
            self._first_output = None
            self.first_output_ms = self.ended_ms
        if not self.is_complete and may_be_last(piece):
            self.is_complete = True

    def finish(self, how: str, error: Optional[BaseException] = None, loop: object = None) -> None:
        """The reading ends; `how` as in ReadEnd. What comes after an end says nothing."""
        if self.end is not None and self.end.how != CANCELLED:
            return
        self.loop = loop
        self.ended_ms = time.time() * 1000
        self.last_read = time.monotonic()
        self.end = ReadEnd(how, self.last_read, error)

    def find_over(self) -> None:
        """Sweep: note since when nobody reads on, or the stream is complete and nobody has read on."""
        if self._loop_is_closed and not self.is_complete:
            self.over_since = -math.inf  # a callback of LiteLLM's would come on that loop
        elif self.is_dropped:
            self.over_since = self.over_since or time.monotonic()
        elif self.end is not None:
            self.over_since = self.end.since
        else:
            self.over_since = self.last_read if self.is_complete else None

    @property
    def is_being_read(self) -> bool:
        """Whether the reader may get more than it has. After the last chunk that may still be an error."""
        return self.end is None and not self.cannot_be_read

    @property
    def has_outcome(self) -> bool:
        """Whether it is certain how the stream ended, for a reader that may never read on."""
        return self.is_complete or self.cannot_be_read or (self.end is not None and self.end.how != CANCELLED)

    def answer(self) -> Answer:
        """What the pieces make. Kept once the reading has ended."""
        if self._answer is not None:
            return self._answer
        answer = answer_of(list(self.pieces))
        if self.end is not None:
            self._answer = answer
        return answer

    @property
    def is_chat(self) -> bool:
        """Whether the reader gets a chat or a text completion from LiteLLM's own wrapper."""
        return self.chunks is not None and not self._is_translated

    @property
    def lacks_usage(self) -> bool:
        """Whether these are a chat's chunks and none of them has token counts."""
        return bool(self.chunks) and not any(getattr(chunk, "usage", None) for chunk in self.chunks or ())

    @property
    def cannot_be_read(self) -> bool:
        """Whether nobody can read on: the application has dropped the stream, or ended the loop that it is read on."""
        return self.is_dropped or self._loop_is_closed

    @property
    def _loop_is_closed(self) -> bool:
        return self.loop is not None and self.loop.is_closed()

    @property
    def is_dropped(self) -> bool:
        """Whether the application has dropped the stream.

        The attempt's token usually dies with it, at once. Before LiteLLM 1.110 cycles of references keep the token
        alive until a garbage collection.
        """
        return self._wrapper is not None and self._wrapper() is None
