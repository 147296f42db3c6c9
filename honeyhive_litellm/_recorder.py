"""From LiteLLM's notices to records: exactly one event an attempt, however many notices tell of it.

LiteLLM's logging callbacks know most, but come late, and at the end of a script often not at all. Its inline hooks
and a stream's chunks are sure, but know less. So what was seen inline is held by reference, at no cost; the
callback completes it and writes the event; what is still held when the call's state is gone, after some seconds, or
at exit is written as it was seen.

An attempt's state hangs on a token, a string with the event's id, that is put into LiteLLM's own details of the
call. It tells duplicate notices from new ones, and when the details are gone without an outcome - the task was
cancelled, the stream dropped - the token goes with them and its weak reference tells us at once.
"""

from __future__ import annotations

import dataclasses
import time
import weakref
from collections import OrderedDict, deque
from datetime import datetime
from typing import Any, Callable, Deque, Dict, Mapping, MutableMapping, Optional, Protocol, Sequence

from ._bounds import fit
from ._config import Settings
from ._event import decode, encode, event_id, join, members, session_id
from ._mapping import Outcome, Request, map_failure, map_request, map_success
from ._record import EVENT, START, Record
from ._redaction import clean, clean_text

HOLD_S = 5.0
"""How long an outcome seen inline waits for LiteLLM's callback to complete it."""

_REMEMBERED_CALLS = 4096


class Host(Protocol):
    """What only LiteLLM can do; nothing here imports it."""

    def assemble(self, chunks: Sequence[Any]) -> object:
        """A response, made of a stream's chunks."""

    def hides_content(self) -> bool:
        """Whether LiteLLM's own switch says that no message may be logged."""


class Token(str):
    """The event's id, as LiteLLM's other loggers may see it among the call's details: a plain string to them."""

    __slots__ = ("__weakref__",)

    def __deepcopy__(self, memo: object) -> str:
        return str(self)

    def __reduce__(self) -> Any:
        return str, (str(self),)


class _Attempt:
    """One attempt at a call, from its start until its event is written."""

    __slots__ = (
        "chunks",
        "event_id",
        "head",
        "held_since",
        "mark",
        "metadata",
        "number",
        "ref",
        "replied",
        "request",
        "response",
        "session",
        "started_ms",
        "teller",
    )

    def __init__(self, id_: str, number: int, request: Request, started_ms: float) -> None:
        self.event_id = id_
        self.number = number
        self.request = request
        self.started_ms = started_ms
        self.teller: object = None
        self.session: Optional[str] = None
        self.head = b""
        self.metadata = b""
        self.replied = False
        self.mark: object = None
        self.response: object = None
        self.chunks: Optional[Sequence[Any]] = None
        self.held_since: Optional[float] = None
        self.ref: Optional[weakref.ref[Token]] = None


class Recorder:
    """Turns notices into records. Called from any thread; never waits, and does no IO."""

    def __init__(
        self,
        settings: Settings,
        emit: Callable[[Record], None],
        host: Host,
        key: str,
    ) -> None:
        self._settings = settings
        self._emit = emit
        self._host = host
        self._without_content = dataclasses.replace(settings, capture_message_content=False)
        self._key = key
        self._created_ms = time.time() * 1000
        self._open: Dict[str, _Attempt] = {}
        self._writing: Dict[object, None] = {}
        self._ended: Deque[str] = deque()
        self._attempts: OrderedDict[str, int] = OrderedDict()

    @property
    def in_flight(self) -> int:
        """Attempts that began and have no event yet."""
        return len(self._open) + len(self._writing)

    @property
    def is_awaiting_notice(self) -> bool:
        """Whether LiteLLM still has to tell how a call ended whose provider has answered."""
        return bool(self._writing) or any(a.replied or a.held_since is not None for a in list(self._open.values()))

    @property
    def is_awaiting_thread(self) -> bool:
        """Whether a call may have ended that a thread of LiteLLM's is just about to tell of."""
        return bool(self._writing) or any(a.held_since is None for a in list(self._open.values()))

    # ---- notices

    def begin(self, details: MutableMapping[str, Any], teller: object) -> None:
        """A provider is about to be asked. `details` is LiteLLM's own dictionary of the call, shared and live.

        `teller` is the logger that tells of it: a second one tells of the same attempt, the first one of a new one.
        """
        previous = details.get(self._key)
        if previous is not None:
            attempt = self._open.get(previous)
            if attempt is not None and attempt.teller is not teller:
                return
            self._supersede(previous)
        started_ms = _unix_ms(details.get("start_time")) if previous is None else None
        attempt = self._attempt(details, started_ms)
        if attempt is None:
            return
        attempt.teller = teller
        if not self._settings.capture_in_flight:
            return
        body = join(attempt.head, b'"metadata":' + join(attempt.metadata, b'"status":"in_flight"'))
        self._emit(Record(START, attempt.event_id, attempt.started_ms, attempt.session, self._fitted(body)))

    def replied(self, details: Mapping[str, Any]) -> None:
        """The provider has said something. LiteLLM will tell what, from a thread or a queue of its own."""
        attempt = self._open.get(details.get(self._key, ""))
        if attempt is not None:
            attempt.replied = attempt.chunks is None and not details.get("stream")

    def answered(self, details: Mapping[str, Any], response: object) -> None:
        """An awaited call has its response. Held, because LiteLLM's callback will know more, if it comes."""
        attempt = self._open.get(details.get(self._key, ""))
        if attempt is not None:
            attempt.response = response
            attempt.held_since = time.monotonic()

    def streaming(self, details: Mapping[str, Any], chunks: Sequence[Any]) -> None:
        """A stream begins; `chunks` is the list that LiteLLM will fill as they are read."""
        attempt = self._open.get(details.get(self._key, ""))
        if attempt is not None:
            attempt.chunks = chunks

    def succeed(self, details: MutableMapping[str, Any], response: object) -> None:
        """LiteLLM's callback tells of a success, once, twice or three times."""
        attempt = self._claim(details, "success")
        if attempt is not None:
            keep = attempt.request.capture_content
            self._write(attempt, lambda: map_success(details, response, self._settings, keep))

    def fail(self, details: MutableMapping[str, Any]) -> None:
        """LiteLLM's callback tells of a failure."""
        attempt = self._claim(details, "failure")
        if attempt is not None:
            self._write(attempt, lambda: self._failure(attempt, details))

    def _failure(self, attempt: _Attempt, details: Mapping[str, Any]) -> Outcome:
        outcome = map_failure(details, details.get("exception"), self._settings, attempt.request.capture_content)
        if attempt.chunks:  # of a stream that broke LiteLLM forgets what had come
            outcome.outputs = self._assembled(attempt).outputs
        return outcome

    # ---- attempts

    def _attempt(self, details: MutableMapping[str, Any], started_ms: Optional[float]) -> Optional[_Attempt]:
        """Open a new attempt at the call of `details`, and leave its token there; None if it is not to be traced."""
        request = map_request(details, self._without_content if self._host.hides_content() else self._settings)
        number = self._attempts.pop(request.call_id, 0) + 1
        self._attempts[request.call_id] = number
        if len(self._attempts) > _REMEMBERED_CALLS:
            self._attempts.popitem(last=False)
        token = Token(event_id(request.call_id, number))
        details[self._key] = token
        if request.skip:
            return None
        attempt = _Attempt(str(token), number, request, started_ms or time.time() * 1000)
        ended, id_ = self._ended, attempt.event_id
        attempt.ref = weakref.ref(token, lambda _: ended.append(id_))
        self._fill_head(attempt)
        self._open[attempt.event_id] = attempt
        return attempt

    def _fill_head(self, attempt: _Attempt) -> None:
        """Encode what is known at the start, once for the start record and the event; LiteLLM's dictionaries change."""
        request = attempt.request
        head: Dict[str, object] = {
            "event_id": attempt.event_id,
            "event_type": "model",
            "source": self._settings.environment,
            "start_time": attempt.started_ms,
        }
        metadata = request.metadata
        if request.session is not None:
            session = session_id(request.session)
            head["session_id"] = session
            attempt.session = f"{session} {clean_text(request.session, 512)}"
            if session != request.session:
                metadata = {**metadata, "session_id": request.session}
        content: Dict[str, object] = {
            "event_name": request.event_name,
            "config": request.config,
            "inputs": request.inputs,
        }
        if request.parent_id is not None:
            content["parent_id"] = session_id(request.parent_id)
        if request.user_properties:
            content["user_properties"] = request.user_properties
        limit = self._settings.max_field_bytes
        attempt.head = members(head) + b"," + members(_mapping(clean(content, limit)))
        attempt.metadata = members(_mapping(clean(metadata, limit)))

    def _claim(self, details: MutableMapping[str, Any], outcome: str) -> Optional[_Attempt]:
        """The attempt that a terminal notice is about, for the first such notice; None for its repetitions."""
        token = details.get(self._key)
        if token is not None:
            return self._take(token)
        # No start was seen: a cache hit, a call rejected before its provider was asked, another kind of call.
        started_ms = _unix_ms(details.get("start_time"))
        if started_ms is not None and started_ms < self._created_ms:
            return None  # begun before us: another logger has it, whom `init` has replaced meanwhile
        said = f"{details.get('litellm_call_id')} {outcome}"
        if said in self._attempts:
            return None
        self._attempts[said] = 1
        attempt = self._attempt(details, started_ms)
        return None if attempt is None else self._take(attempt.event_id)

    def _take(self, id_: str) -> Optional[_Attempt]:
        """The open attempt, for the first thread that asks for it; that one has to `_write` it.

        Until it has, the attempt counts as in flight, so that a `flush` meanwhile does not take it for delivered.
        """
        mark = object()
        self._writing[mark] = None
        attempt = self._open.pop(id_, None)
        if attempt is None:
            del self._writing[mark]
        else:
            attempt.mark = mark
        return attempt

    def _supersede(self, token: str) -> None:
        """LiteLLM tries again under the same call id, and tells nobody of the attempt before."""
        attempt = self._take(token)
        if attempt is not None:
            error = "Retried: LiteLLM tried again and did not report this error"
            self._write(attempt, lambda: _outcome("failure", error))

    # ---- what nobody completed

    def sweep(self) -> None:
        """Write the attempts whose callback did not come: their call's state is gone, or they waited long enough."""
        while self._ended:
            attempt = self._open.get(self._ended.popleft())
            if attempt is not None:
                self._close_held(attempt)
        overdue = time.monotonic() - HOLD_S
        for attempt in list(self._open.values()):
            if attempt.held_since is None and _is_complete(attempt.chunks):
                attempt.held_since = time.monotonic()
            if attempt.held_since is not None and attempt.held_since <= overdue:
                self._close_held(attempt)

    def write_held(self) -> None:
        """Write every outcome that was seen inline, without waiting for its callback any longer."""
        self.sweep()
        for attempt in list(self._open.values()):
            if attempt.response is not None or _is_complete(attempt.chunks):
                self._close_held(attempt)

    def _close_held(self, attempt: _Attempt) -> None:
        if self._take(attempt.event_id) is not None:
            self._write(attempt, lambda: self._held(attempt))

    def _held(self, attempt: _Attempt) -> Outcome:
        """What was seen inline."""
        if attempt.response is not None:
            return map_success({}, attempt.response, self._settings, attempt.request.capture_content)
        if attempt.chunks:
            outcome = self._assembled(attempt)
            outcome.status = "success" if _is_complete(attempt.chunks) else "abandoned"
            return outcome
        if attempt.chunks is not None:
            return _outcome("abandoned", None)
        if attempt.number > 1:
            return _outcome("failure", "Retried: LiteLLM did not report how this attempt ended")
        return _outcome("cancelled", "Cancelled: the call was given up before an answer came")

    def _assembled(self, attempt: _Attempt) -> Outcome:
        """What a stream's chunks tell. Token counts that no chunk carries are LiteLLM's estimate."""
        chunks = attempt.chunks or ()
        try:
            response = self._host.assemble(chunks)
        except Exception:
            response = None  # LiteLLM cannot make sense of them; that the call was made stays true
        outcome = map_success({"stream": True}, response, self._settings, attempt.request.capture_content)
        if "total_tokens" in outcome.metadata and not any(getattr(chunk, "usage", None) for chunk in chunks):
            outcome.metadata["usage_estimated"] = True
        return outcome

    # ---- writing

    def _write(self, attempt: _Attempt, tell: Callable[[], Outcome]) -> None:
        """Emit the event of an attempt that this thread has taken; `tell` finds out how it ended."""
        try:
            body = self._fitted(self._body(attempt, tell()))
            self._emit(Record(EVENT, attempt.event_id, attempt.started_ms, attempt.session, body))
        finally:
            self._writing.pop(attempt.mark, None)

    def _body(self, attempt: _Attempt, outcome: Outcome) -> bytes:
        end_ms = max(outcome.end_ms or time.time() * 1000, attempt.started_ms)
        duration_ms = round(end_ms - attempt.started_ms, 3)
        metadata = outcome.metadata
        metadata.update(status=outcome.status, success=outcome.status == "success", duration_ms=duration_ms)
        tail: Dict[str, object] = {"outputs": outcome.outputs, "end_time": end_ms, "duration": duration_ms}
        if outcome.error is not None:
            tail["error"] = outcome.error
        limit = self._settings.max_field_bytes
        return join(
            attempt.head,
            members(_mapping(clean(tail, limit))),
            b'"metadata":' + join(attempt.metadata, members(_mapping(clean(metadata, limit)))),
        )

    def _fitted(self, body: bytes) -> bytes:
        limit = self._settings.max_event_bytes
        return body if len(body) <= limit else encode(fit(decode(body), limit))


def _outcome(status: str, error: Optional[str]) -> Outcome:
    metadata: Dict[str, object] = {}
    if error is not None:
        metadata["error_class"] = error.partition(":")[0]
    return Outcome(status=status, outputs={}, metadata=metadata, error=error, start_ms=None, end_ms=None)


def _is_complete(chunks: Optional[Sequence[Any]]) -> bool:
    """Whether the provider said that the stream is finished: one of the last chunks names a reason."""
    for chunk in reversed(chunks[-3:] if chunks else ()):
        for choice in getattr(chunk, "choices", None) or ():
            if getattr(choice, "finish_reason", None):
                return True
    return False


def _unix_ms(moment: object) -> Optional[float]:
    """LiteLLM's naive local datetime as Unix milliseconds."""
    return moment.timestamp() * 1000 if isinstance(moment, datetime) else None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
