"""One attempt at a call while it is open, and the token that ties it to LiteLLM's details of the call."""

from __future__ import annotations

import math
import time
import weakref
from typing import TYPE_CHECKING, Any, Dict, Mapping, NamedTuple, Optional

from honeyhive_litellm._mapping.call_types import call_type_of, outputs_of
from honeyhive_litellm._mapping.model import Request
from honeyhive_litellm._mapping.reading import copy_containers
from honeyhive_litellm._mapping.realtime import CALL_TYPE as REALTIME
from honeyhive_litellm._mapping.usage import Payment

from .stream_state import StreamState

if TYPE_CHECKING:
    from .router_request import RouterRequest
    from .target import Target


_SEVERAL_STARTS = (REALTIME, "query", "aquery")
"""LiteLLM reports a start before each message of a realtime session, and before each step of a RAG query."""

_COST_S = 60.0
"""How much longer the poll of a batch waits for LiteLLM's callback: for its cost LiteLLM first reads the results."""


class Token(str):
    """An event's id among LiteLLM's details of the call. When the details are freed, so is the token.

    LiteLLM's other loggers see the details, too: to them, and in a copy, it is a plain string.
    """

    __slots__ = ("__weakref__", "number", "target")

    number: int
    """Which attempt at the call it is, for the next attempt that LiteLLM makes with the same details."""
    target: Optional[Target]
    """Where the call is recorded, with all its attempts; None if nowhere."""

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


class HeldResponse(NamedTuple):
    """The response that a call gets. LiteLLM's callback comes on this loop, or for a sync call, None, from a thread.

    `outputs` is what it says, read before the caller gets it and may change it; None where LiteLLM may change it first.
    """

    response: object
    loop: Any
    since: float
    ended_ms: float
    outputs: Optional[Dict[str, object]]


class Report(NamedTuple):
    """What LiteLLM reported of a stream before its reader had ended: a success with its response, or a failure."""

    is_success: bool
    call_details: Mapping[str, Any]
    result: object


class ProviderReply(NamedTuple):
    """A reply of the provider. `text` is None if it cannot be read as the JSON of a success."""

    text: Optional[str]
    since: float
    ended_ms: float


class Attempt:
    """One attempt at a call, from its start until its event is written.

    The thread that opens an attempt sets all fields before `OpenAttempts.add` shows it to others. Each field that
    changes later is one reference, and is never read together with another that has to fit to it.
    """

    __slots__ = (
        "encoded",
        "event_id",
        "has_start",
        "held",
        "is_cached",
        "is_emitted",
        "is_sampled_out",
        "number",
        "parent_id",
        "prompt",
        "reply",
        "report",
        "reporter",
        "request",
        "router_request",
        "start_position",
        "started_ms",
        "stream",
        "target",
        "token",
    )

    def __init__(self, target: Target, event_id: str, number: int, request: Request, started_ms: float) -> None:
        # Identity: nobody changes it.
        self.target = target
        self.event_id = event_id
        self.number = number
        self.request = request
        self.started_ms = started_ms
        self.reporter: object = None
        """The logger whose hook opened it. The same start reported by another logger is the same attempt."""
        self.router_request: Optional[RouterRequest] = None
        self.prompt: object = None
        """What estimated token counts of a stream are computed from."""
        self.is_cached = False
        self.is_sampled_out = False
        self.token: Optional[weakref.ref[Token]] = None
        """Its callback notes that LiteLLM freed the details of the call."""

        # What the hooks see of the outcome; the thread that makes the call writes it.
        self.held: Optional[HeldResponse] = None
        self.reply: Optional[ProviderReply] = None
        self.stream: Optional[StreamState] = None
        self.report: Optional[Report] = None
        """What a callback of LiteLLM's reported while the stream was still being read."""

        # The thread that opened the attempt writes the first, and the thread that claimed it the others.
        self.has_start = False
        self.start_position = 0
        """Of its start record in the queue; 0 if it has none."""
        self.parent_id = request.parent_id
        self.is_emitted = False
        """The event is in the queue. Drafts read it on the writer's thread."""

        # Whichever thread encodes first. Two at once store equal values.
        self.encoded: Optional[EncodedRequest] = None

    def began_with(self, call_details: Mapping[str, Any], reporter: object) -> bool:
        """Whether a start that is reported while the attempt is open is its own, and no further attempt's."""
        return (
            self.reporter is not reporter
            or bool(call_details.get("litellm_no_upstream_llm_call"))  # LiteLLM's proxy is about to report its outcome
            or call_details.get("call_type") in _SEVERAL_STARTS
        )

    def hold(self, response: object, loop: object) -> None:
        """Keep the response that the caller gets, until LiteLLM's callback completes it; `loop` as in HeldResponse."""
        outputs = None
        name = self.request.kind
        is_proxied = self.request.metadata.get("proxy")  # there LiteLLM's guardrails see it before the client does
        if not is_proxied and call_type_of(name).adapt_response is None:
            outputs = outputs_of(name, response, self.request.capture_content)
            copy_containers(outputs)
        self.held = HeldResponse(response, loop, time.monotonic(), time.time() * 1000, outputs)

    def note_reply(self, text: Optional[str]) -> None:
        """Keep the provider's reply. One that cannot be read does not replace an earlier one."""
        if text is not None or self.reply is None:
            self.reply = ProviderReply(text, time.monotonic(), time.time() * 1000)

    def stream_state(self) -> StreamState:
        """The state of the stream, made at the first hook that is about it."""
        if self.stream is None:
            self.stream = StreamState()
        return self.stream

    def replace_inputs(self, inputs: Dict[str, object]) -> None:
        """Take the inputs from LiteLLM's callback, for the event that is about to be encoded on this thread."""
        self.request.inputs, self.request.tools = inputs, None
        self.encoded = None

    @property
    def has_outcome(self) -> bool:
        """Whether the hooks saw how it ended: the response, or a stream's end."""
        if self.held is not None and self.held.response is not None:
            return True
        return self.stream is not None and self.stream.has_outcome

    @property
    def has_partial_outcome(self) -> bool:
        """Whether the hooks saw anything of the answer."""
        return self.stream is not None or (self.reply is not None and self.reply.text is not None)

    @property
    def ended_ms(self) -> Optional[float]:
        """When the last of what the hooks saw came, in Unix milliseconds."""
        seen = (self.held, self.stream, self.reply)
        return next((each.ended_ms for each in seen if each is not None and each.ended_ms is not None), None)

    @property
    def is_over(self) -> bool:
        """Whether the call has returned, or nobody reads the stream on, as far as the hooks and the sweep saw."""
        return self.held is not None or (self.stream is not None and self.stream.over_since is not None)

    @property
    def thread_may_report(self) -> bool:
        """Whether a thread of LiteLLM's may be about to report the outcome."""
        return not self.is_over or (self.held is not None and self.held.loop is None)

    @property
    def callback_may_come(self) -> bool:
        """Whether LiteLLM may still report the outcome: it does so on the call's loop while that is open."""
        if self.report is not None:
            return False
        loop = self.held.loop if self.held is not None else self.stream.loop if self.stream is not None else None
        return loop is None or not loop.is_closed()

    def look(self) -> Optional[float]:
        """Sweep: since when, on the monotonic clock, it has waited for nothing but LiteLLM's callback; None if not."""
        stream, held, reply = self.stream, self.held, self.reply
        if stream is not None:
            stream.find_over()
            if self.report is not None and not stream.is_being_read:
                return -math.inf
        if held is not None:
            pays_late = call_type_of(self.request.kind).payment is Payment.FIRST_POLL
            return held.since + (_COST_S if pays_late else 0)
        if stream is not None and stream.over_since is not None:
            return stream.over_since
        return None if reply is None or reply.text is None else reply.since
