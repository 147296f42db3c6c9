"""`Collector`: the real HoneyHive-compatible server on a loopback port, for tests.

    def test_my_program_reports_its_calls():
        with Collector() as collector:
            honeyhive_litellm.init(api_key="hh_test", project="demo", api_url=collector.url)
            my_program()
            collector.wait_for(1)
            assert collector.events[0]["config"]["model"] == "gpt-4o"

It runs in a thread with an event loop of its own, so that synchronous and asynchronous tests can use it
alike, and a blocked loop in the test does not block the server. Every method may be called from any thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from pathlib import Path
from typing import (
    Any,
    Callable,
    Collection,
    Coroutine,
    Dict,
    List,
    Mapping,
    Optional,
    Tuple,
    TypeVar,
    Union,
)

import orjson

from honeyhive_litellm.collector._faults import Act, Fault
from honeyhive_litellm.collector._http import Received
from honeyhive_litellm.collector._routes import MAX_BODY_BYTES, Rules
from honeyhive_litellm.collector._server import PageOptions, Server

from ._server_thread import ServerThread

_CONTROL_TIMEOUT_S = 10.0
_BODILESS = (204, 304)
_T = TypeVar("_T")


class Collector(ServerThread):
    """A HoneyHive-compatible server that keeps what it gets, and misbehaves when told to.

    A context manager: it listens inside `with`. *db* is a path for its SQLite database, so that it can be
    stopped and started again with what it has; None keeps everything to itself. *port* 0 takes a free one,
    and keeps it over `down` and `up`.

    *keys* are the API keys it accepts (None: any); *bad_key_status* is 401 or 404 for others;
    a request of more than *max_body_bytes* is answered 413; *require_session* refuses events
    whose session was never started; *visible_after_s* hides an event from `GET` and search for so long, as
    the real service does. With *pages* what it has can be looked at in a browser, at `page_link`.

    Faults apply to requests whose method and path (by its beginning) fit, for the next *times* requests, or
    with None until `clear`; several are used up in the order they were set. *after* means: process and
    store the request, then misbehave, so that the client cannot know.

        collector.fail(503, times=2, headers={"Retry-After": "1"})    # two refusals, then all is well
        collector.drop(times=1, after=True)                           # stored, but the reply is lost
        collector.down(); collector.up()                              # connections refused, then not
    """

    def __init__(
        self,
        *,
        db: Optional[Union[str, Path]] = None,
        port: int = 0,
        keys: Optional[Collection[str]] = None,
        bad_key_status: int = 401,
        max_body_bytes: int = MAX_BODY_BYTES,
        require_session: bool = False,
        visible_after_s: float = 0.0,
        pages: bool = False,
    ) -> None:
        super().__init__()
        self._pages = PageOptions() if pages else None
        self._rules = Rules(keys, bad_key_status, max_body_bytes, require_session, visible_after_s)
        self._db = db
        self._port = port
        self._requests: List[Received] = []
        self._news = threading.Condition()
        self._server: Optional[Server] = None

    def __repr__(self) -> str:
        return f"Collector(port={self._port}, requests={len(self._requests)})"

    # What it got

    @property
    def url(self) -> str:
        """What to give as `api_url`, for instance `http://127.0.0.1:40123`."""
        return self._running().url

    @property
    def page_link(self) -> str:
        """The link that opens the pages in one browser; another browser needs another one. Needs *pages*."""
        return self._running().page_link

    @property
    def events(self) -> List[Dict[str, Any]]:
        """Every stored event but sessions, its latest version, in the order of first arrival.

        In a test:

            assert [event["event_name"] for event in collector.events] == ["completion", "embedding"]
        """
        return self._running().store.events()

    @property
    def sessions(self) -> List[Dict[str, Any]]:
        """Every session, as the event it is: `session_id` is its `event_id`."""
        return self._running().store.sessions()

    @property
    def orphans(self) -> List[Dict[str, Any]]:
        """The stored events whose session was never started; empty when a client does its duty."""
        return self._running().store.orphans()

    @property
    def receipts(self) -> Counter[str]:
        """How many times each event id was received and stored, by whichever route.

        In a test:

            assert set(collector.receipts.values()) == {1}      # no duplicates
        """
        return self._running().store.receipts()

    @property
    def requests(self) -> List[Received]:
        """Every request since the start, oldest first, refused and unanswered ones included; a copy.

        In a test:

            first = collector.requests[0]
            assert (first.method, first.path, first.status) == ("POST", "/v1/events/batch", 200)
            assert first.has_key("hh_test") and "hh_test" not in str(first.headers)
        """
        with self._news:
            return list(self._requests)

    def event(self, event_id: str) -> Dict[str, Any]:
        """The latest version of one event or session; raise KeyError when there is none."""
        event = self._running().store.get(event_id)
        if event is None:
            raise KeyError(event_id)
        return event

    def wait_for(self, n_events: int, timeout: float = 10.0) -> List[Dict[str, Any]]:
        """Block until *n_events* different events are stored, at most *timeout* seconds, and return all
        stored.

        Raise TimeoutError, with the counts in its message, when the time is up.
        """
        store = self._running().store
        self._wait_until(lambda: store.counts().events >= n_events, f"{n_events} events", timeout)
        return store.events()

    def wait_for_requests(self, n_requests: int, timeout: float = 10.0, path: str = "") -> List[Received]:
        """Block until *n_requests* whose path begins with *path* have arrived, and return those.

        For what `wait_for` cannot see: requests that fail, hang or are dropped. Raise TimeoutError likewise.
        """

        def arrived() -> List[Received]:
            return [request for request in self._requests if request.path.startswith(path)]

        self._wait_until(lambda: len(arrived()) >= n_requests, f"{n_requests} requests to {path or '/'}", timeout)
        return arrived()

    # How it misbehaves

    def fail(
        self,
        status: int = 503,
        *,
        times: Optional[int] = None,
        method: Optional[str] = None,
        path: str = "",
        headers: Optional[Mapping[str, str]] = None,
        body: Union[str, bytes, Dict[str, Any], None] = None,
        after: bool = False,
    ) -> None:
        """Answer *status* with *headers*.

        *body* is a dictionary for JSON, or text or bytes; None is the error body that HoneyHive uses.

            collector.fail(429, times=1, headers={"Retry-After": "2"})
            collector.fail(502, times=1, body="<html>Bad Gateway</html>")
            collector.fail(504, times=1, after=True)      # stored, though it says otherwise
        """
        content_type, content = _encode(status, body)
        own_headers = {name.lower(): value for name, value in (headers or {}).items()}
        own_headers.setdefault("content-type", content_type)
        self._add(Fault(Act.REPLY, times, method, path, after=after, status=status, headers=own_headers, body=content))

    def redirect(
        self,
        location: str,
        status: int = 307,
        *,
        times: Optional[int] = None,
        method: Optional[str] = None,
        path: str = "",
    ) -> None:
        """Send clients elsewhere, to see whether they take their key along."""
        self.fail(status, times=times, method=method, path=path, headers={"Location": location})

    def delay(
        self,
        seconds: float,
        *,
        times: Optional[int] = None,
        method: Optional[str] = None,
        path: str = "",
        after: bool = False,
    ) -> None:
        """Take *seconds* longer; a client that gives up meanwhile is processed all the same."""
        self._add(Fault(Act.DELAY, times, method, path, after=after, seconds=seconds))

    def hang(
        self,
        *,
        times: Optional[int] = None,
        method: Optional[str] = None,
        path: str = "",
        after: bool = False,
    ) -> None:
        """Read the request and never answer it; `clear`, `down` and `close` drop the connection."""
        self._add(Fault(Act.HANG, times, method, path, after=after))

    def drop(
        self,
        *,
        times: Optional[int] = None,
        method: Optional[str] = None,
        path: str = "",
        after: bool = False,
        over_bytes: Optional[int] = None,
    ) -> None:
        """Close the connection before the body is read, or with *after* once the request is stored.

        With *over_bytes* only where the body is larger, as some proxies do instead of answering 413.
        """
        self._add(Fault(Act.DROP, times, method, path, over_bytes, after=after))

    def half_reply(self, *, times: Optional[int] = None, method: Optional[str] = None, path: str = "") -> None:
        """Process and store the request, send half of the reply's body, and close the connection."""
        self._add(Fault(Act.HALF, times, method, path, after=True))

    def trickle(
        self, seconds: float, *, times: Optional[int] = None, method: Optional[str] = None, path: str = ""
    ) -> None:
        """Process and store the request, and send the reply one byte every *seconds*, from its first line on."""
        self._add(Fault(Act.TRICKLE, times, method, path, after=True, seconds=seconds))

    def fail_partly(self, keep: int = 1, *, times: Optional[int] = None, path: str = "/v1/events/batch") -> None:
        """Store the first *keep* events of a batch and answer 500, which does not say which were stored.

        A batch of no more than that is stored as a whole, and answered 500 all the same.
        """
        self._add(Fault(Act.PARTIAL, times, "POST", path, keep=keep))

    def poison(
        self,
        event_id: str,
        status: int = 400,
        *,
        times: Optional[int] = None,
        partial: bool = False,
        body: Union[str, bytes, Dict[str, Any], None] = None,
    ) -> None:
        """Refuse every request that carries this event, with *body* as `fail` has it; with *partial* store the
        others of it and answer 500.
        """
        if partial:
            self._add(Fault(Act.PARTIAL, times, "POST", event_id=event_id))
            return
        content_type, content = _encode(status, body)
        headers = {"content-type": content_type}
        self._add(Fault(Act.REPLY, times, event_id=event_id, status=status, headers=headers, body=content))

    def down(self) -> None:
        """Refuse connections and cut the open ones, as after a crash; what is stored stays."""
        self._await(self._running().down())

    def up(self) -> None:
        """Listen again, on the same port."""
        self._await(self._running().up())

    def clear(self) -> None:
        """Forget all faults, and drop the connections of requests that hang or are delayed. Does not call
        `up`.
        """
        server = self._running()

        async def forget() -> None:
            server.script.clear()
            server.release()

        self._await(forget())

    # Its thread

    def _running(self) -> Server:
        if self._server is None:
            raise RuntimeError("the collector is not running: use it inside `with Collector() as collector:`")
        return self._server

    def _wait_until(self, is_so: Callable[[], bool], what: str, timeout: float) -> None:
        with self._news:
            if self._news.wait_for(is_so, timeout):
                return
            counts = self._running().store.counts()
            raise TimeoutError(
                f"waited {timeout} s for {what}: there are {counts.events} events, "
                f"{counts.receipts} receipts of events, {counts.sessions} sessions and "
                f"{len(self._requests)} requests"
            )

    def _add(self, fault: Fault) -> None:
        server = self._running()

        async def add() -> None:
            server.script.add(fault)

        self._await(add())

    def _await(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run *work* on the server's loop, so that what was asked for is in force when this returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CONTROL_TIMEOUT_S)

    async def _serve(self) -> None:
        server = Server(
            port=self._port,
            db=self._db,
            rules=self._rules,
            on_request=self._note_request,
            on_stored=self._note_stored,
            pages=self._pages,
        )
        async with server:
            self._server = server
            self._port = server.port
            try:
                self._ready()
                await self._closing.wait()
            finally:
                self._server = None

    def _note_request(self, request: Received) -> None:
        with self._news:
            self._requests.append(request)
            self._news.notify_all()

    def _note_stored(self) -> None:
        with self._news:
            self._news.notify_all()


def _encode(status: int, body: Union[str, bytes, Dict[str, Any], None]) -> Tuple[str, bytes]:
    """A scripted body's content type and bytes."""
    if status in _BODILESS:
        return "application/json", b""
    if body is None:
        body = {"statusCode": status, "message": f"scripted failure {status}", "success": False}
    if isinstance(body, dict):
        return "application/json", orjson.dumps(body)
    content = body.encode() if isinstance(body, str) else body
    return "text/html" if content.lstrip().startswith(b"<") else "text/plain", content
