"""The attempts that began and have no event yet, and which of them a hook is about.

A token in LiteLLM's details of a call names the attempt. It distinguishes a repeated hook from a new attempt, and it
dies with the details: if LiteLLM frees them without an outcome - the task was cancelled, the stream was dropped - the
token's weak reference reports that at once.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from typing import Deque, Dict, List, Optional, Tuple

from honeyhive_litellm._mapping.reading import or_default

from .attempt import Attempt, Token
from .recent_counts import RecentCounts

REMEMBERED_CALLS = 8192
"""For at least this many calls that have ended, the number of attempts at each is remembered by the call id.

Only an application that chooses call ids itself, and uses one for several calls, depends on it. If it does so with
more calls than this in between, the first attempts at both calls get the same event id.
"""

REMEMBERED_OUTCOMES = 8192
"""At least this many outcomes of calls whose start was not seen are remembered, to recognize repeated callbacks.

LiteLLM repeats a callback within seconds. One that comes after this many other outcomes is recorded again: with the
same event id, or as a further attempt if the call id is still remembered.
"""


class OpenAttempts:
    """A table of attempts by event id. Its methods may run on any thread.

    An attempt is open until a thread claims it; that thread has to emit its event and then to release it. In between
    it counts as in flight, so that a `flush` does not take it for delivered.
    """

    def __init__(self) -> None:
        # Re-entrant: a signal handler of the application may flush or shut down while its thread is in here.
        self.lock = threading.RLock()
        """For what takes several steps. Each claim holds it: who holds it can be sure that an attempt stays open."""
        self._by_id: Dict[str, Attempt] = {}
        self._claimed: Dict[str, Attempt] = {}
        self._freed: Deque[str] = deque()
        self._numbers = RecentCounts(REMEMBERED_CALLS, self._open_call_ids)
        self._outcomes = RecentCounts(REMEMBERED_OUTCOMES)

    # ---- identity

    def next_number(self, call_id: str, previous: object, in_router_request: Optional[Dict[str, int]]) -> int:
        """The number of a new attempt at this call, 1 for the first: no two attempts at one call share a number.

        `previous` is the token of the attempt before it, if LiteLLM tries again with the same details;
        `in_router_request` has the latest numbers of the Router's request that the attempt belongs to. Both live as
        long as further attempts may come, so these numbers outlast our bounded memory.
        """
        above = 0 if previous is None else getattr(previous, "number", 0)
        if in_router_request is not None:
            above = max(above, in_router_request.get(call_id, 0))
        with self.lock:
            number = self._numbers.count(call_id, above)
        if in_router_request is not None:
            in_router_request[call_id] = number
        return number

    def _open_call_ids(self) -> List[str]:
        return [attempt.request.call_id for attempt in self.attempts()]

    def is_repeated(self, call_id: object, outcome: str) -> bool:
        """Whether this outcome of a call whose start was not seen has been reported before."""
        with self.lock:
            return self._outcomes.count(f"{call_id} {outcome}") > 1

    # ---- the life of an attempt

    def add(self, attempt: Attempt, token: Optional[Token] = None) -> None:
        """Open `attempt`. Without a token nothing reports that LiteLLM freed the call's details."""
        if token is not None:
            freed, id_ = self._freed, attempt.event_id
            attempt.token = weakref.ref(token, lambda _: freed.append(id_))
        self._by_id[attempt.event_id] = attempt

    def get(self, id_: str) -> Optional[Attempt]:
        """The attempt with this event id, if it is open."""
        return self._by_id.get(id_)

    def claim(self, id_: str) -> Optional[Attempt]:
        """Close the attempt, for the first thread that calls this; that thread has to `release` it."""
        with self.lock:
            attempt = self._by_id.pop(id_, None)
            if attempt is not None:
                self._claimed[id_] = attempt
        return attempt

    def release(self, attempt: Attempt) -> None:
        """The event of the claimed attempt is in the queue."""
        self._claimed.pop(attempt.event_id, None)

    # ---- what is open

    def attempts(self) -> List[Attempt]:
        """The open attempts, oldest first."""
        return list(self._by_id.values())

    def overdue(self, hold_s: float) -> List[Attempt]:
        """The open attempts whose details LiteLLM has freed, or whose callback has not come for `hold_s` seconds."""
        freed: List[Attempt] = []
        while self._freed:
            attempt = self.get(self._freed.popleft())
            if attempt is not None:
                freed.append(attempt)
        latest = time.monotonic() - hold_s
        waiting = [(attempt, or_default(None, attempt.look)) for attempt in self.attempts()]
        return freed + [attempt for attempt, since in waiting if since is not None and since <= latest]

    def unfinished(self) -> List[Attempt]:
        """The attempts that have no event in the queue yet: the open ones, and those that a thread has claimed."""
        with self.lock:
            return [*self._by_id.values(), *self._claimed.values()]

    @property
    def in_flight(self) -> int:
        """How many attempts have no event in the queue yet."""
        with self.lock:
            return len(self._by_id) + len(self._claimed)

    @property
    def is_awaiting_callback(self) -> bool:
        """Whether LiteLLM's callback is due for a call whose provider has replied."""
        attempts, is_writing = self._snapshot()
        replied = [attempt for attempt in attempts if attempt.reply is not None or attempt.is_over]
        return is_writing or any(attempt.callback_may_come for attempt in replied)

    @property
    def is_awaiting_call(self) -> bool:
        """Whether a call is in flight whose outcome LiteLLM may still report."""
        attempts, is_writing = self._snapshot()
        return is_writing or any(attempt.callback_may_come for attempt in attempts)

    @property
    def is_awaiting_thread(self) -> bool:
        """Whether a call may have ended whose outcome a thread of LiteLLM's is about to report."""
        attempts, is_writing = self._snapshot()
        return is_writing or any(attempt.thread_may_report for attempt in attempts)

    def _snapshot(self) -> Tuple[List[Attempt], bool]:
        """The open attempts, and whether a thread is about to emit the event of a claimed one."""
        with self.lock:
            return self.attempts(), bool(self._claimed)
