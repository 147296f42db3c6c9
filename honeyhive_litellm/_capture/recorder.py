"""The hooks: what LiteLLM's callbacks and our patches report becomes exactly one event an attempt.

LiteLLM's logging callbacks know most, but come late, and at the end of a script often not at all. Its inline hooks and
a stream's chunks are certain, but know less. So the recorder holds what the hooks saw, by reference; the callback
completes it and the event is written. What is still held when LiteLLM has freed the call's details, after HOLD_S, or
at exit is written as the hooks saw it.

A hook does no more than it must: mapping, redaction and encoding of what is long are left to the writer's thread.
"""

from __future__ import annotations

import time
from asyncio import AbstractEventLoop
from typing import Any, Callable, Iterable, Mapping, MutableMapping, Optional, Sequence

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._mapping.call_types import is_tool
from honeyhive_litellm._mapping.model import Outcome
from honeyhive_litellm._mapping.reading import or_default
from honeyhive_litellm._spool.record import Entry

from .attempt import Attempt, Report
from .open_attempts import OpenAttempts
from .opener import AttemptOpener, started_ms_of
from .outcomes import LiteLLMFunctions, bare_outcome
from .router_request import RouterRequests
from .stream_state import CANCELLED
from .target import Target
from .targets import SubmitTo, Targets
from .tenure import Tenure

_NO_DESTINATIONS: Mapping[str, Settings] = {}

HOLD_S = 5.0
"""How long an outcome that the hooks saw waits for LiteLLM's callback to complete it."""


class Recorder:
    """Turns what the hooks report into records. Its methods may run on any thread, never wait, and do no IO.

    `call_details` is LiteLLM's own dictionary of the call (`model_call_details`), which LiteLLM goes on changing. The
    recorder's token is in it under `key`.
    """

    def __init__(
        self,
        settings: Settings,
        submit: Callable[[Entry], int],
        litellm: LiteLLMFunctions,
        key: str,
        destinations: Mapping[str, Settings] = _NO_DESTINATIONS,
        submit_to: Optional[SubmitTo] = None,
    ) -> None:
        """`submit` and, for each destination, what `submit_to` returns put a record into a queue."""
        self._key = key
        self._open = OpenAttempts()
        self.targets = Targets(settings, submit, litellm, self._open, destinations, submit_to or (lambda _: submit))
        self.router_requests = RouterRequests(self.targets.target_for, self._open)
        self._opener = AttemptOpener(key, self.targets.target_for, self._open, self.router_requests)
        self.tenure = Tenure(key, self.router_requests)
        self._is_closed = False

    # ---- a call starts

    def on_start(self, call_details: MutableMapping[str, Any], reporter: object) -> None:
        """LiteLLM is about to call a provider. `reporter` is the logger whose hook this is.

        The same start reported by another logger is the same attempt; by the same one it is a further attempt.
        """
        if not self.tenure.may_begin(call_details):
            return
        previous = call_details.get(self._key)
        if previous is None:
            started_ms = started_ms_of(call_details)
        else:
            attempt = self._open.get(previous)
            if attempt is not None and attempt.began_with(call_details, reporter):
                return
            self._supersede(previous)
            started_ms = None
        attempt = self._opener.open(call_details, started_ms, reporter=reporter)
        if attempt is not None:
            attempt.target.emitter.start(attempt)

    def _supersede(self, id_: str) -> None:
        """LiteLLM tries again under the same call id, and does not report how the attempt before it ended."""
        attempt = self._open.claim(id_)
        if attempt is not None and attempt.stream is not None:
            self._complete(attempt)
        elif attempt is not None:
            error = "Retried: LiteLLM tried again and did not report this error"
            self._finish(attempt, bare_outcome, "failure", error)

    # ---- what the inline hooks see of the outcome

    def on_provider_reply(self, call_details: Mapping[str, Any]) -> None:
        """The provider has replied. LiteLLM's callback reports the reply later, from a thread or a queue of its own."""
        attempt = self._attempt_of(call_details)
        if attempt is not None and attempt.stream is None and not call_details.get("stream"):
            # After some retries LiteLLM reports nothing more: then this text, of a success, is all there is.
            text = call_details.get("original_response")
            is_success = isinstance(text, str) and text.startswith("{") and '"error"' not in text[:200]
            attempt.note_reply(text if is_success else None)

    def on_unstarted(self, call_details: MutableMapping[str, Any], response: object) -> None:
        """A call is about to get this response. Of files, batches and other tools LiteLLM reports no start, so that
        such a call would be lost if its loop ended before LiteLLM's callback, and `flush` would not wait for it.
        """
        is_unknown = response is not None and call_details.get(self._key) is None
        if not (is_unknown and is_tool(call_details) and self.tenure.may_begin(call_details)):
            return
        attempt = self._opener.open(call_details, started_ms_of(call_details))
        if attempt is not None:
            attempt.target.emitter.start(attempt)

    def on_response(self, call_details: Mapping[str, Any], response: object, loop: Optional[AbstractEventLoop]) -> None:
        """A call gets its response. It is held, because LiteLLM's callback will know more, if it comes.

        `loop` is that of an async call, on which the callback comes; None for a sync call, whose callback comes from a
        thread.
        """
        attempt = self._attempt_of(call_details)
        if attempt is not None and attempt.stream is None:
            attempt.hold(response, loop)
            self._settle_if_closed(attempt)

    def on_cache_hit(
        self, call_details: MutableMapping[str, Any], response: object, loop: Optional[AbstractEventLoop]
    ) -> None:
        """LiteLLM's cache answers a call, so that no provider is called. Held as in `on_response`."""
        if call_details.get(self._key) is None and self.tenure.may_begin(call_details):
            attempt = self._opener.open(call_details, started_ms_of(call_details), is_cached=True)
            if attempt is not None:
                attempt.hold(response, loop)
                self._settle_if_closed(attempt)

    def on_unstarted_stream(
        self,
        call_details: MutableMapping[str, Any],
        wrapper: object,
        chunks: Optional[Sequence[Any]] = None,
        *,
        is_cached: bool = False,
    ) -> None:
        """A call gets a stream, and LiteLLM has reported no start: from its cache, or from an agent.

        LiteLLM reports it once it is read, and never if it is dropped. The arguments are those of `on_stream_start`.
        """
        if call_details.get(self._key) is not None or not self.tenure.may_begin(call_details):
            return
        attempt = self._opener.open(call_details, started_ms_of(call_details), is_cached=is_cached)
        if attempt is not None:
            attempt.stream_state().begin(wrapper, chunks)
            attempt.target.emitter.start(attempt)

    def on_stream_start(
        self, call_details: Mapping[str, Any], wrapper: object, chunks: Optional[Sequence[Any]] = None
    ) -> None:
        """The caller gets a stream: it will read `wrapper`. LiteLLM fills the list `chunks` meanwhile, for a chat."""
        attempt = self._attempt_of(call_details)
        if attempt is not None and attempt.stream is None:  # a Router wraps a stream again
            attempt.stream_state().begin(wrapper, chunks)

    def on_translated_stream(self, call_details: Mapping[str, Any], wrapper: object) -> None:
        """The caller gets the call's stream in the form of another API: it reads `wrapper`, which may read ahead."""
        attempt = self._attempt_of(call_details)
        if attempt is not None:
            attempt.stream_state().begin_translated(wrapper)

    def on_chunk(
        self,
        call_details: Mapping[str, Any],
        wrapper: object,
        chunk: object,
        loop: Optional[AbstractEventLoop] = None,
    ) -> None:
        """The reader of a stream gets a chunk from `wrapper`; `loop` is that of an async reader.

        LiteLLM may wrap one stream in another, both of the same call: the innermost counts, unless one translates.
        """
        attempt = self._attempt_of(call_details)
        if attempt is None:
            return
        stream = attempt.stream_state()
        if not stream.is_read_through(wrapper):
            return
        stream.loop = loop
        stream.add_chunk(chunk)
        if stream.is_complete:
            self._settle_if_closed(attempt)

    def on_error(self, call_details: Mapping[str, Any], error: BaseException) -> None:
        """An attempt has failed. LiteLLM's callback has reported it, or never will."""
        attempt = self._open.claim(call_details.get(self._key, ""))
        if attempt is not None:
            self._fail(attempt, call_details, error)

    def on_read_end(
        self,
        call_details: Mapping[str, Any],
        how: str,
        error: Optional[BaseException] = None,
        loop: Optional[AbstractEventLoop] = None,
        wrapper: object = None,
        *,
        is_reported: bool = True,
    ) -> None:
        """The reading of a stream ends; `how` and `error` as in ReadEnd.

        LiteLLM's callback comes later, as for `on_response`, or has come; without `is_reported` none will come. A
        reader that was cancelled may read on.
        """
        attempt = self._attempt_of(call_details)
        if attempt is None or not attempt.stream_state().is_read_through(wrapper):
            return
        attempt.stream_state().finish(how, error, loop)
        if how != CANCELLED:
            self._reading_ended(attempt, is_reported)

    def _reading_ended(self, attempt: Attempt, is_reported: bool = True) -> None:
        if attempt.report is not None or not is_reported or self._is_closed:
            self._settle([attempt])

    def checkpoint(self, call_details: Mapping[str, Any], error: Optional[BaseException] = None) -> None:
        """Strict mode: write a start record that already holds the outcome.

        If the process dies before LiteLLM's callback comes, adoption turns it into the event.
        """
        attempt = self._attempt_of(call_details)
        if attempt is None or (error is None and not attempt.has_outcome):
            return
        if error is None:
            outcome = attempt.target.outcomes.held(attempt, counts=False)
        else:
            outcome = attempt.target.outcomes.failure(attempt, call_details, error)
        with self._open.lock:  # no start record may follow the event of a thread that has claimed the attempt
            if self._open.get(attempt.event_id) is attempt:
                attempt.target.emitter.checkpoint(attempt, outcome)

    # ---- LiteLLM's callbacks

    def on_success(self, call_details: MutableMapping[str, Any], response: object) -> None:
        """LiteLLM's callback reports a success, up to three times."""
        if not self._waits_for_reader(call_details, True, response):
            attempt = self._claim_for_outcome(call_details, "success")
            if attempt is not None:
                self._succeed(attempt, call_details, response)

    def on_failure(self, call_details: MutableMapping[str, Any]) -> None:
        """LiteLLM's callback reports a failure, up to three times."""
        error = call_details.get("exception")
        if not self._waits_for_reader(call_details, False, error):
            attempt = self._claim_for_outcome(call_details, "failure")
            if attempt is not None:
                self._fail(attempt, call_details, error)

    def _waits_for_reader(self, call_details: MutableMapping[str, Any], is_success: bool, result: object) -> bool:
        """Whether this is about a stream that is still being read: then it is held, and the reader's end completes it.

        LiteLLM reports a stream when the provider has ended it, which the reader may learn later, or never.
        """
        attempt = self._attempt_of(call_details)
        if attempt is None or attempt.stream is None:
            return False
        if attempt.stream.is_read_by(result):
            return True  # a success of the request that opened the stream, which says nothing of the stream
        if not attempt.stream.is_being_read or self._is_closed:
            return False
        if attempt.report is None:
            # Without the token, whose death reports that the stream was dropped.
            copied = {name: value for name, value in call_details.items() if name != self._key}
            attempt.report = Report(is_success, copied, result)
        if not attempt.stream_state().is_being_read:  # it has ended on another thread meanwhile
            self._settle([attempt])
        return True

    def _succeed(self, attempt: Attempt, call_details: Mapping[str, Any], response: object) -> None:
        """Emit the event of an attempt that this thread has claimed and whose success LiteLLM reported."""
        # The outcome is needed at once for the sample, and for the Router: what a stream's reader got may be a failure.
        is_routed_stream = attempt.stream is not None and attempt.router_request is not None
        if attempt.is_sampled_out or is_routed_stream or self.router_requests.is_waiting_for(attempt):
            self._finish(attempt, attempt.target.outcomes.success, attempt, call_details, response)
            return
        try:
            attempt.target.emitter.success(attempt, call_details, response)
        finally:
            self._open.release(attempt)

    def _claim_for_outcome(self, call_details: MutableMapping[str, Any], outcome: str) -> Optional[Attempt]:
        """The attempt that an outcome is about, for the first thread that reports it; None for the others."""
        token = call_details.get(self._key)
        if token is not None:
            return self._open.claim(token)
        # No start was seen: a sync cache hit, a call rejected before a provider was called, another kind of call.
        started_ms = started_ms_of(call_details)
        if not self.tenure.may_report(call_details, started_ms):
            return None
        if self._open.is_repeated(call_details.get("litellm_call_id"), outcome):
            return None
        attempt = self._opener.open(call_details, started_ms)
        return None if attempt is None else self._open.claim(attempt.event_id)

    # ---- outcomes that no callback completed

    def sweep(self) -> None:
        """Write the attempts whose call's details LiteLLM has freed, and those that were held for HOLD_S."""
        self._settle(self._open.overdue(HOLD_S))

    def settle_all_held(self) -> None:
        """Write every outcome that the hooks saw, and wait no longer for the callbacks."""
        self.sweep()
        self._settle(attempt for attempt in self._open.attempts() if attempt.has_outcome)

    def close(self) -> None:
        """At the process's exit: write what the hooks saw of every attempt, also of streams that are being read.

        A daemon thread may go on making calls. From now on their outcomes are written as soon as a hook sees them.
        """
        self._is_closed = True  # before the outcomes are looked for: one that comes later is written by its hook
        self.settle_all_held()
        self._settle(attempt for attempt in self._open.attempts() if attempt.has_partial_outcome)

    def _settle_if_closed(self, attempt: Attempt) -> None:
        """Nobody sweeps after `close`, and LiteLLM's callback may not come any more."""
        if self._is_closed:
            self._settle([attempt])

    def _settle(self, attempts: Iterable[Attempt]) -> None:
        for attempt in attempts:
            if self._open.claim(attempt.event_id) is not None:
                self._complete(attempt)

    def _complete(self, attempt: Attempt) -> None:
        """Emit the event of an attempt that this thread has claimed, by what was seen and reported of it so far."""
        report = attempt.report
        if report is None:
            self._finish(attempt, attempt.target.outcomes.held, attempt)
        elif report.is_success:
            self._succeed(attempt, report.call_details, report.result)
        else:
            self._fail(attempt, report.call_details, report.result)

    # ---- all of them

    def start_position(self, call_details: Mapping[str, Any]) -> int:
        """The position of the open attempt's start record in the queue; 0 if it has none."""
        attempt = self._attempt_of(call_details)
        return 0 if attempt is None else attempt.start_position

    def target_of(self, call_details: Mapping[str, Any]) -> Optional[Target]:
        """Where the call is recorded; None if nowhere, or if this recorder has not seen its beginning."""
        return getattr(call_details.get(self._key), "target", None)

    def _attempt_of(self, call_details: Mapping[str, Any]) -> Optional[Attempt]:
        return self._open.get(call_details.get(self._key, ""))

    def _fail(self, attempt: Attempt, call_details: Mapping[str, Any], error: object) -> None:
        """Emit the event of an attempt that this thread has claimed and that failed with `error`."""
        self._finish(attempt, attempt.target.outcomes.failure, attempt, call_details, error)

    def _finish(self, attempt: Attempt, resolve: Callable[..., Outcome], *arguments: object) -> None:
        """Emit the event of an attempt that this thread has claimed; `resolve(*arguments)` returns its outcome."""
        try:
            status = "failure" if resolve == attempt.target.outcomes.failure else "success"
            outcome = or_default(bare_outcome(status, None), resolve, *arguments)
            outcome.end_ms = outcome.end_ms or time.time() * 1000
            self.router_requests.attempt_ended(attempt, outcome)
            attempt.target.emitter.event(attempt, outcome)
        finally:
            self._open.release(attempt)

    # ---- what the runtime waits for

    @property
    def in_flight(self) -> int:
        """How many attempts have begun and have no event in the queue yet."""
        return self._open.in_flight

    @property
    def is_awaiting_callback(self) -> bool:
        """Whether LiteLLM's callback is due for a call whose provider has replied."""
        return self._open.is_awaiting_callback

    @property
    def is_awaiting_call(self) -> bool:
        """Whether a call is in flight whose outcome LiteLLM may still report."""
        return self._open.is_awaiting_call

    @property
    def is_awaiting_thread(self) -> bool:
        """Whether a call may have ended whose outcome a thread of LiteLLM's is about to report."""
        return self._open.is_awaiting_thread
