"""From LiteLLM's notices to records: exactly one event an attempt, however many notices tell of it.

LiteLLM's logging callbacks know most, but come late, and at the end of a script often not at all. Its inline hooks
and a stream's chunks are sure, but know less. So what was seen inline is held by reference, at no cost; the
callback completes it and writes the event; what is still held when the call's state is gone, after some seconds, or
at exit is written as it was seen.

An attempt's state hangs on a token, a string with the event's id, that is put into LiteLLM's own details of the
call. It tells duplicate notices from new ones, and when the details are gone without an outcome - the task was
cancelled, the stream dropped - the token goes with them and its weak reference tells us at once.

A hook takes what it needs and no more time than that. To redact and encode it takes longer the more was said, and as
long as a function of the user's likes: that is left to the writer's thread, in drafts of records.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
import weakref
from collections import deque
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Callable, Deque, Dict, Mapping, MutableMapping, Optional, Sequence

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._mapping.ids import event_id, is_in_sample
from honeyhive_litellm._mapping.mapper import map_request
from honeyhive_litellm._mapping.model import CallContext, Outcome, Request
from honeyhive_litellm._mapping.reading import copy_containers, text
from honeyhive_litellm._mapping.realtime import CALL_TYPE as REALTIME
from honeyhive_litellm._spool.record import CLOSED, EVENT, START, Entry, Record

from .attempt import Attempt, Token
from .context import around
from .drafts import OutcomeDraft, StartDraft, SuccessDraft
from .encoder import EventEncoder, parent_member
from .outcomes import LiteLLMFunctions, OutcomeResolver, bare_outcome
from .recent_counts import RecentCounts
from .router_request import Route

HOLD_S = 5.0
"""How long an outcome seen inline waits for LiteLLM's callback to complete it."""

REMEMBERED_CALLS = 8192
"""For at least this many calls that have ended, the number of attempts at each is remembered by the call id.

Only an application that chooses call ids itself, and uses one for several calls, depends on it. If it does so with
more calls than this in between, the first attempts at both calls get the same event id.
"""

REMEMBERED_OUTCOMES = 8192
"""At least this many outcomes of calls whose start was not seen are remembered, to recognize repeated notices of them.

LiteLLM repeats a notice within seconds. After this many other outcomes the event is sent again, under the same id.
"""


class Recorder:
    """Turns notices into records, most of them drafts. Called from any thread; never waits, and does no IO."""

    def __init__(
        self,
        settings: Settings,
        emit: Callable[[Entry], None],
        litellm: LiteLLMFunctions,
        key: str,
    ) -> None:
        self._settings = settings
        self._emit = emit
        self._litellm = litellm
        self._encoder = EventEncoder(settings)
        self._outcomes = OutcomeResolver(settings, litellm)
        self._without_content = dataclasses.replace(settings, capture_message_content=False)
        self._key = key
        self.since_ms = time.time() * 1000
        self._open: Dict[str, Attempt] = {}
        self._writing: Dict[object, None] = {}
        self._ended: Deque[str] = deque()
        self._numbers = RecentCounts(REMEMBERED_CALLS)
        self._outcomes_of_unseen = RecentCounts(REMEMBERED_OUTCOMES)
        self._order = threading.Lock()
        self._is_closed = False
        self.sampled = 0
        self._route: ContextVar[Optional[Route]] = ContextVar("honeyhive_route", default=None)

    @property
    def in_flight(self) -> int:
        """Attempts that began and have no event yet."""
        return len(self._open) + len(self._writing)

    @property
    def is_awaiting_notice(self) -> bool:
        """Whether LiteLLM still has to tell how a call ended whose provider has answered."""
        told = [a for a in list(self._open.values()) if a.has_provider_reply or a.held_since is not None]
        return bool(self._writing) or any(attempt.callback_may_come for attempt in told)

    @property
    def is_awaiting_call(self) -> bool:
        """Whether a call is in flight whose end somebody may still tell of."""
        return bool(self._writing) or any(attempt.callback_may_come for attempt in list(self._open.values()))

    @property
    def is_awaiting_thread(self) -> bool:
        """Whether a call may have ended that a thread of LiteLLM's is just about to tell of."""
        return bool(self._writing) or any(a.held_since is None for a in list(self._open.values()))

    # ---- notices

    def on_start(self, details: MutableMapping[str, Any], reporter: object) -> None:
        """A provider is about to be asked. `details` is LiteLLM's own dictionary of the call, shared and live.

        `reporter` is the logger that tells of it: a second one tells of the same attempt, the first one of a new one.
        """
        previous = details.get(self._key)
        if previous is not None:
            attempt = self._open.get(previous)
            if attempt is not None and attempt.reporter is not reporter:
                return
            if attempt is not None and details.get("litellm_no_upstream_llm_call"):
                return  # no provider will be asked: LiteLLM's proxy is about to tell how this very attempt ended
            if attempt is not None and details.get("call_type") == REALTIME:
                return  # LiteLLM says so before each message of the session
            self._supersede(previous)
        started_ms = _unix_ms(details.get("start_time")) if previous is None else None
        attempt = self._attempt(details, started_ms)
        if attempt is None:
            return
        attempt.reporter = reporter
        if not self._settings.capture_in_flight:
            return
        self._emit_start(attempt)

    def _emit_start(self, attempt: Attempt) -> None:
        attempt.has_start = True
        self._emit(StartDraft(self._encoder, attempt))

    def on_provider_reply(self, details: Mapping[str, Any]) -> None:
        """The provider has said something. LiteLLM will tell what, from a thread or a queue of its own."""
        attempt = self._open.get(details.get(self._key, ""))
        if attempt is not None and attempt.chunks is None and not details.get("stream"):
            attempt.has_provider_reply = True
            # After some retries LiteLLM tells of nothing more: then this text, of a success, is all there is.
            said = details.get("original_response")
            if isinstance(said, str) and said.startswith("{") and '"error"' not in said[:200]:
                attempt.raw_reply, attempt.replied_at = said, time.monotonic()
                attempt.note_end()

    def on_response(self, details: Mapping[str, Any], response: object) -> None:
        """An awaited call has its response. Held, because LiteLLM's callback will know more, if it comes."""
        attempt = self._open.get(details.get(self._key, ""))
        if attempt is not None:
            attempt.hold(response, asyncio.get_running_loop())
            self._hold(attempt)

    def on_cache_hit(self, details: MutableMapping[str, Any], response: object) -> None:
        """LiteLLM's cache answers an awaited call, so that no provider is asked. Held as for `on_response`."""
        if details.get(self._key) is None:
            attempt = self._attempt(details, _unix_ms(details.get("start_time")))
            if attempt is not None:
                attempt.is_cached = True
                attempt.hold(response, asyncio.get_running_loop())
                self._hold(attempt)

    def on_cached_stream(self, details: MutableMapping[str, Any], chunks: Optional[Sequence[Any]]) -> None:
        """LiteLLM's cache answers with a stream. LiteLLM tells of it once it is read, and of a dropped one never.

        `chunks` is the list that it fills, None if it fills none: then `on_chunk` is told of each.
        """
        if details.get(self._key) is not None:
            return
        attempt = self._attempt(details, _unix_ms(details.get("start_time")))
        if attempt is not None:
            attempt.is_cached = True
            attempt.chunks = chunks
            if self._settings.capture_in_flight:
                self._emit_start(attempt)

    def on_stream_start(self, details: Mapping[str, Any], chunks: Sequence[Any], stream: object) -> None:
        """`stream` begins; `chunks` is the list that LiteLLM will fill as they are read."""
        attempt = self._open.get(details.get(self._key, ""))
        if attempt is not None and attempt.chunks is None:  # a Router wraps a stream again, and fills the first list
            attempt.chunks = chunks
            attempt.stream = weakref.ref(stream)

    def on_chunk(self, details: Mapping[str, Any], chunk: object) -> None:
        """The reader of a stream that is no chat's gets this: an event of the Responses API, or Gemini's bytes."""
        attempt = self._open.get(details.get(self._key, ""))
        if attempt is not None:
            attempt.add_chunk(chunk)

    def on_last_chunk(self, details: Mapping[str, Any]) -> None:
        """A stream's reader gets the last chunk. LiteLLM's callback comes later, as for `on_response`."""
        attempt = self._open.get(details.get(self._key, ""))
        if attempt is not None:
            attempt.is_complete = True
            attempt.loop = asyncio.get_running_loop()
            attempt.note_end()
            self._hold(attempt)

    def on_stream_end(self, details: MutableMapping[str, Any], error: Optional[BaseException]) -> None:
        """A stream has come to its end, or to this error, and LiteLLM has nothing to tell of that."""
        attempt = self.claim(details.get(self._key, ""))
        if attempt is None:
            return
        attempt.is_complete = error is None
        attempt.note_end()
        if error is None:
            self._write(attempt, lambda: self._outcomes.held(attempt))
        else:
            self._write(attempt, lambda: self._outcomes.failure(attempt, details, error))

    def on_cancel(self, details: Mapping[str, Any]) -> None:
        """A stream's reader was cancelled while it waited for a chunk. It may yet read on."""
        attempt = self._open.get(details.get(self._key, ""))
        if attempt is not None:
            attempt.cancelled_at = time.monotonic()
            attempt.cancelled_chunks = len(attempt.chunks or ())

    def checkpoint(self, details: Mapping[str, Any], error: Optional[BaseException] = None) -> None:
        """Emit what was seen of the outcome, for a strict call: a start that knows how the call ended.

        Should the process die before LiteLLM's callback has told the rest, this is the event.
        """
        id_ = details.get(self._key, "")
        with self._order:  # once another thread has taken the attempt, its event may be out, and no start may follow
            attempt = self._open.get(id_)
            if attempt is not None and (error is not None or attempt.has_outcome):
                outcome = (
                    self._outcomes.held(attempt, counts=False)
                    if error is None
                    else self._outcomes.failure(attempt, details, error)
                )
                if attempt.is_sampled_out and outcome.status == "success":
                    self._close_start(attempt)
                    return
                self._emit(OutcomeDraft(START, self._encoder, attempt, outcome))

    def on_success(self, details: MutableMapping[str, Any], response: object) -> None:
        """LiteLLM's callback tells of a success, once, twice or three times."""
        attempt = self._claim_for_outcome(details, "success")
        if attempt is None:
            return
        if attempt.is_sampled_out:
            self._write(attempt, lambda: self._outcomes.success(attempt, details, response))
            return
        draft = SuccessDraft(self._encoder, self._outcomes, attempt, dict(details), response)
        try:
            self._emit_event(attempt, draft)
        finally:
            self._writing.pop(attempt.claim, None)

    def on_failure(self, details: MutableMapping[str, Any]) -> None:
        """LiteLLM's callback tells of a failure."""
        attempt = self._claim_for_outcome(details, "failure")
        if attempt is not None:
            self._write(attempt, lambda: self._outcomes.failure(attempt, details, details.get("exception")))

    # ---- attempts

    def _attempt(self, details: MutableMapping[str, Any], started_ms: Optional[float]) -> Optional[Attempt]:
        """Open a new attempt at the call of `details`, and leave its token there; None if it is not to be traced."""
        request = self._request(details, around())
        route = self._route.get()
        if route is not None and route.is_over:
            route = None
        number = self._next_number(request.call_id, details.get(self._key), route)
        token = Token(event_id(request.call_id, number))
        token.number = number
        details[self._key] = token
        if request.skip:
            return None
        attempt = Attempt(str(token), number, request, started_ms or time.time() * 1000)
        attempt.kind = request.event_type
        shown = request.inputs.get("chat_history") if request.capture_content else None
        attempt.prompt = shown or details.get("messages") or details.get("input")
        if route is not None:
            route.join(request)
            attempt.route = route
        ended, id_ = self._ended, attempt.event_id
        attempt.ref = weakref.ref(token, lambda _: ended.append(id_))
        is_below = attempt.route is not None and attempt.route.event is not None
        attempt.parent = parent_member(attempt.route.id if is_below else request.parent_id)
        share = self._settings.sample_rate
        if share < 1:
            whole = request.session or text(request.metadata.get("trace_id")) or request.call_id
            attempt.is_sampled_out = not is_in_sample(whole, share)
        self._open[attempt.event_id] = attempt
        return attempt

    def _next_number(self, call_id: str, previous: object, route: Optional[Route]) -> int:
        """The number of a new attempt at this call, 1 for the first: no two attempts at one call share a number.

        `previous` is the token of the attempt before it, if LiteLLM tries again with the same details. Both that and
        the Router's request live as long as further attempts may come, so their numbers outlast our bounded memory.
        """
        above = getattr(previous, "number", 0)
        if route is not None:
            above = max(above, route.numbers.get(call_id, 0))
        with self._order:
            number = self._numbers.count(call_id, above)
            if self._numbers.is_full:
                self._numbers.forget_oldest(keep=[attempt.request.call_id for attempt in list(self._open.values())])
        if route is not None:
            route.numbers[call_id] = number
        return number

    def _request(self, details: Mapping[str, Any], surroundings: CallContext) -> Request:
        settings = self._without_content if self._litellm.hides_content() else self._settings
        request = map_request(details, settings, surroundings)
        for part in (request.config, request.inputs, request.metadata, request.user_properties):
            copy_containers(part)  # they are read later, by another thread
        return request

    def _claim_for_outcome(self, details: MutableMapping[str, Any], outcome: str) -> Optional[Attempt]:
        """The attempt that a terminal notice is about, for the first such notice; None for its repetitions."""
        token = details.get(self._key)
        if token is not None:
            return self.claim(token)
        # No start was seen: a cache hit, a call rejected before its provider was asked, another kind of call.
        started_ms = _unix_ms(details.get("start_time"))
        if started_ms is not None and started_ms < self.since_ms:
            return None  # begun before us: another logger has it, whom `init` has replaced meanwhile
        with self._order:
            is_repetition = self._outcomes_of_unseen.count(f"{details.get('litellm_call_id')} {outcome}") > 1
            if self._outcomes_of_unseen.is_full:
                self._outcomes_of_unseen.forget_oldest()
        if is_repetition:
            return None
        attempt = self._attempt(details, started_ms)
        return None if attempt is None else self.claim(attempt.event_id)

    def claim(self, id_: str) -> Optional[Attempt]:
        """The open attempt, for the first thread that asks for it; that one has to `_write` it.

        Until it has, the attempt counts as in flight, so that a `flush` meanwhile does not take it for delivered.
        """
        mark = object()
        self._writing[mark] = None
        with self._order:
            attempt = self._open.pop(id_, None)
        if attempt is None:
            del self._writing[mark]
        else:
            attempt.claim = mark
        return attempt

    def _supersede(self, token: str) -> None:
        """LiteLLM tries again under the same call id, and tells nobody of the attempt before."""
        attempt = self.claim(token)
        if attempt is not None:
            error = "Retried: LiteLLM tried again and did not report this error"
            self._write(attempt, lambda: bare_outcome("failure", error))

    # ---- requests to a Router

    def begin_router_request(self, call: Mapping[str, Any], strategy: Optional[str]) -> Optional[Route]:
        """A Router is asked: attempts that begin in this context, until `end_route`, are its.

        None if one is at work already: its sync side asks its async side.
        """
        outer = self._route.get()
        if outer is not None and not outer.is_over:
            return None
        route = Route(call, strategy, time.time() * 1000, around())
        route.before = self._route.set(route)
        return route

    def end_router_request(self, route: Route, error: Optional[BaseException], is_registered: bool) -> None:
        """The Router returned or raised. `is_registered`: our logger is registered, so a rejection is to be recorded.

        Only a request with a failed attempt has an event of its own, as their parent; and one that was rejected before
        any attempt, since LiteLLM tells nobody of that.
        """
        route.is_over = True
        self._route.reset(route.before)
        if route.event is None and error is not None and route.attempts == 0 and is_registered:
            self._open_router_request(route)
        if route.event is not None and self.claim(route.id) is not None:
            keeps_content = route.event.request.capture_content
            self._write(route.event, lambda: route.outcome(error, keeps_content))

    def _open_router_request(self, route: Route) -> None:
        """Begin the event of a request to a Router, unless it has begun."""
        if route.event is not None:
            return
        request = self._request(route.call, route.around)
        request.session = request.session or route.session
        if "trace_id" not in request.metadata and route.trace_id:
            request.metadata["trace_id"] = route.trace_id
        event = Attempt(route.id, 1, request, route.started_ms)
        event.kind = "chain" if route.attempts else "model"
        request.metadata.pop("router", None)
        event.parent = parent_member(request.parent_id)
        route.event = event
        if not request.skip:
            self._open[route.id] = event
            if self._settings.capture_in_flight:
                self._emit_start(event)

    # ---- what nobody completed

    def sweep(self) -> None:
        """Write the attempts whose callback did not come: their call's state is gone, or they waited long enough."""
        while self._ended:
            attempt = self._open.get(self._ended.popleft())
            if attempt is not None:
                self._settle_held(attempt)
        overdue = time.monotonic() - HOLD_S
        for attempt in list(self._open.values()):
            if attempt.chunks is not None:
                attempt.look_at_chunks()
                if attempt.held_since is None and (attempt.is_complete or attempt.is_dropped):
                    attempt.held_since = time.monotonic()
            since = attempt.cancelled_at if attempt.is_cancelled else attempt.held_since or attempt.replied_at
            if since is not None and since <= overdue:
                self._settle_held(attempt)

    def settle_all_held(self) -> None:
        """Write every outcome that was seen inline, without waiting for its callback any longer."""
        self.sweep()
        for attempt in list(self._open.values()):
            if attempt.chunks is not None:
                attempt.look_at_chunks()
            if attempt.has_outcome:
                self._settle_held(attempt)

    def close(self) -> None:
        """Write what is known of every attempt, since the process ends: nobody sweeps any more or reads a stream on.

        A daemon thread may go on with its calls meanwhile. How they end is written as soon as it is seen.
        """
        self._is_closed = True  # first, so that an outcome that is seen meanwhile is found here or written there
        self.settle_all_held()
        for attempt in list(self._open.values()):
            if attempt.chunks is not None or attempt.raw_reply is not None:
                self._settle_held(attempt)

    def _hold(self, attempt: Attempt) -> None:
        """Leave the attempt open for LiteLLM's callback, unless the process ends."""
        if self._is_closed:
            self._settle_held(attempt)

    def _settle_held(self, attempt: Attempt) -> None:
        if self.claim(attempt.event_id) is not None:
            self._write(attempt, lambda: self._outcomes.held(attempt))

    # ---- writing

    def _write(self, attempt: Attempt, tell: Callable[[], Outcome]) -> None:
        """Emit the event of an attempt that this thread has taken; `tell` finds out how it ended."""
        try:
            outcome = tell()
            outcome.end_ms = outcome.end_ms or time.time() * 1000
            route = attempt.route
            if route is not None and outcome.status == "failure" and not route.is_over:
                route.failed(attempt.request.metadata, outcome)
                self._open_router_request(route)
                attempt.parent = parent_member(route.id)
            if attempt.is_sampled_out and outcome.status == "success":
                self._close_start(attempt)
                with self._order:
                    self.sampled += 1
                return
            self._emit_event(attempt, OutcomeDraft(EVENT, self._encoder, attempt, outcome))
        finally:
            self._writing.pop(attempt.claim, None)

    def _emit_event(self, attempt: Attempt, draft: Entry) -> None:
        self._emit(draft)
        attempt.is_emitted = True

    def _close_start(self, attempt: Attempt) -> None:
        """For a call that gets no event: whoever finds its start is not to take it for interrupted."""
        if attempt.has_start:
            self._emit(Record(CLOSED, attempt.event_id, attempt.started_ms, None, b""))


def _unix_ms(moment: object) -> Optional[float]:
    """LiteLLM's naive local datetime as Unix milliseconds."""
    return moment.timestamp() * 1000 if isinstance(moment, datetime) else None
