"""One attempt at a call while it is open, and the token by which it is known to be."""

from __future__ import annotations

import time
import weakref
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from honeyhive_litellm._mapping.model import Request
from honeyhive_litellm._mapping.stream_assembly import is_last


class Token(str):
    """The event's id, as LiteLLM's other loggers may see it among the call's details: a plain string to them."""

    __slots__ = ("__weakref__", "number")

    number: int
    """Which attempt at the call it is, for the next attempt that LiteLLM makes with the same details."""

    def __deepcopy__(self, memo: object) -> str:
        return str(self)

    def __reduce__(self) -> Any:
        return str, (str(self),)


class EncodedRequest(NamedTuple):
    """What the start record and the event have in common, redacted and encoded. `metadata` is JSON members.

    `session` is the record's: the session's UUID and name. `proxy` stays a dictionary, because the outcome adds to it.
    `is_withheld`: redaction failed, so the content was dropped.
    """

    head: bytes
    metadata: bytes
    proxy: Mapping[str, object]
    session: Optional[str]
    is_withheld: bool


class Attempt:
    """One attempt at a call, from its start until its event is written."""

    __slots__ = (
        "cancelled_at",
        "cancelled_chunks",
        "chunks",
        "chunks_seen",
        "claim",
        "encoded",
        "ended_ms",
        "event_id",
        "first_chunk_ms",
        "has_provider_reply",
        "has_start",
        "held_since",
        "is_cached",
        "is_complete",
        "is_emitted",
        "is_sampled_out",
        "kind",
        "loop",
        "number",
        "parent",
        "prompt",
        "raw_chunks",
        "raw_reply",
        "ref",
        "replied_at",
        "reporter",
        "request",
        "response",
        "route",
        "started_ms",
        "stream",
    )

    def __init__(self, id_: str, number: int, request: Request, started_ms: float) -> None:
        self.event_id = id_
        self.number = number
        self.request = request
        self.started_ms = started_ms
        self.kind = "model"
        self.parent = b""
        self.route: Any = None
        self.reporter: object = None
        self.encoded: Optional[EncodedRequest] = None
        self.has_start = False
        self.is_emitted = False
        self.is_sampled_out = False
        self.is_cached = False
        self.has_provider_reply = False
        self.claim: object = None
        self.response: object = None
        self.raw_reply: Optional[str] = None
        self.replied_at: Optional[float] = None
        self.prompt: object = None
        self.chunks: Optional[Sequence[Any]] = None
        self.stream: Optional[weakref.ref[Any]] = None
        self.raw_chunks: Optional[List[Any]] = None
        self.first_chunk_ms: Optional[float] = None
        self.is_complete = False
        self.chunks_seen = 0
        self.cancelled_at: Optional[float] = None
        self.cancelled_chunks = 0
        self.held_since: Optional[float] = None
        self.ended_ms: Optional[float] = None
        self.loop: Any = None
        self.ref: Optional[weakref.ref[Token]] = None

    def replace_inputs(self, inputs: Dict[str, object]) -> None:
        """Take the inputs from LiteLLM's callback, for the event that is about to be encoded."""
        self.request.inputs = inputs
        self.encoded = None

    @property
    def has_outcome(self) -> bool:
        """Whether how it ended was seen: the response, or a stream's last chunk."""
        return self.response is not None or self.is_complete

    @property
    def callback_may_come(self) -> bool:
        """Whether LiteLLM may still tell how it ended: it does on the loop of the call, as long as that lives."""
        return self.loop is None or not self.loop.is_closed()

    def hold(self, response: object, loop: object) -> None:
        """Take the response that the call's awaiter gets, on this loop, until LiteLLM's callback completes it."""
        self.response = response
        self.loop = loop
        self.held_since = time.monotonic()
        self.note_end()

    def note_end(self) -> None:
        """Note that the outcome is there, now: who writes it later, without LiteLLM's word, knows when that was."""
        self.ended_ms = time.time() * 1000

    def add_chunk(self, chunk: object) -> None:
        """Keep what the reader of a stream gets that is no chat's: of such ones LiteLLM keeps no list of chunks."""
        if self.chunks is None:
            self.chunks = self.raw_chunks = []
            self.first_chunk_ms = time.time() * 1000
        if self.raw_chunks is not None:
            self.raw_chunks.append(chunk)

    @property
    def lacks_usage(self) -> bool:
        """Whether a chat's stream has come, and nothing in it tells a number of tokens."""
        if not self.chunks or self.raw_chunks is not None:
            return False
        return not any(getattr(chunk, "usage", None) for chunk in self.chunks)

    @property
    def is_cancelled(self) -> bool:
        """Whether the stream's reader was cancelled and has read nothing since."""
        return self.cancelled_at is not None and len(self.chunks or ()) == self.cancelled_chunks

    @property
    def is_dropped(self) -> bool:
        """Whether nobody has the stream any more. Usually its token goes with it, and tells of that at once; LiteLLMs
        before 1.110 have cycles of references, in which the token stays until some garbage collection.
        """
        return self.stream is not None and self.stream() is None

    def look_at_chunks(self) -> None:
        """Note when chunks last came; whether the provider has said that the stream is finished."""
        count = len(self.chunks or ())
        if count != self.chunks_seen:
            self.chunks_seen = count
            self.note_end()  # for all that is known yet
            self.is_complete = self.is_complete or has_finish(self.chunks)


def has_finish(chunks: Optional[Sequence[Any]]) -> bool:
    """Whether one of the last chunks names a reason why the stream is finished."""
    for chunk in reversed(chunks[-3:] if chunks else ()):
        if is_last(chunk):
            return True
        for choice in getattr(chunk, "choices", None) or ():
            if getattr(choice, "finish_reason", None):
                return True
    return False
