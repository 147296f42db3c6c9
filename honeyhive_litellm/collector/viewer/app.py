"""The routes of the pages: who may, what is answered, and with which headers."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Awaitable, Callable, Dict, Optional
from urllib.parse import quote

from aiohttp import web

from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm.collector import _auth
from honeyhive_litellm.collector._auth import Need
from honeyhive_litellm.collector._database import QueryTimeoutError
from honeyhive_litellm.collector._filter import read_filter
from honeyhive_litellm.collector._index import Index, Indexer
from honeyhive_litellm.collector._queries import Row
from honeyhive_litellm.collector._refusals import Refusals
from honeyhive_litellm.collector._routes import Rules
from honeyhive_litellm.collector._store import Store
from honeyhive_litellm.collector.spool_view import ReadSpool

from .downloads import CONTENT_TYPES, Downloads
from .live import Live
from .numbers import NumberPages
from .pages import Ask, Pages, Reply, frame, not_found, took_too_long
from .preferences import read_preferences
from .rendering import STATIC_FOLDER, render
from .security import HEADERS, Doorkeeper, cookie_name, is_same_origin

_log = logging.getLogger("honeyhive_litellm.collector")

_STATIC_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_STATIC: Dict[str, str] = {
    path.name: _STATIC_TYPES[path.suffix] for path in STATIC_FOLDER.iterdir() if path.suffix in _STATIC_TYPES
}
_THREADS = 3
_LONGEST_FORM = 10_000

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Viewer:
    """The pages of one server, from `start` to `close`, both on the server's loop."""

    def __init__(
        self,
        store: Store,
        rules: Rules,
        refusals: Refusals,
        read_spool: Optional[ReadSpool] = None,
        on_link_used: Callable[[], None] = lambda: None,
    ) -> None:
        self.doorkeeper = Doorkeeper()
        self._store = store
        self._rules = rules
        self._refusals = refusals
        self._read_spool = read_spool
        self._on_link_used = on_link_used
        self._index = Index(store.database)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="collector-page")
        self._port = 0
        self._written = 0
        self._live: Live
        self._indexer: Indexer
        self._pages: Pages
        self._numbers: NumberPages
        self._downloads = Downloads(store.database, self._index)

    def start(self, url: str, port: int, key: str) -> None:
        """Begin to index, and serve pages that name *url* and *key* as what a program is given."""
        database = self._store.database
        self._port = port
        self._live = Live(database, self._index, asyncio.get_running_loop())
        self._indexer = Indexer(self._index, self._live.announce)
        self._pages = Pages(database, self._index, url, key)
        self._numbers = NumberPages(database, self._refusals, self._read_spool, time.time() * 1000.0)
        self._indexer.start()

    def link(self, url: str) -> str:
        """The link that opens the pages in one browser."""
        return f"{url}/open?token={quote(self.doorkeeper.token)}"

    def notify(self) -> None:
        """Announce that something was stored."""
        written, self._written = self._written, self._store.written
        self._indexer.notify(self._written - written)

    def hang_up(self) -> None:
        """End the live connections."""
        self._live.hang_up()

    def close(self) -> None:
        """Stop indexing, and wait for the pages that are being made."""
        self._live.hang_up()
        self._indexer.close()
        self._threads.shutdown(wait=True)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the pages' routes; what is none of these is the API's."""
        get, page, pages, numbers = router.add_get, self._page, self._pages, self._numbers
        get("/open", self._open)
        get("/live", self._data(self._follow), allow_head=False)
        get("/export.{form:jsonl|rows|csv|txt}", self._data(self._export))
        get("/events/{id}.{form:json|md}", self._data(self._download_event))
        get("/traces/{id}.{form:json|md}", self._data(self._download_trace))
        get("/", page(pages.events))
        get("/events/{id}", page(pages.event))
        get("/traces/{id}", page(pages.trace))
        get("/sessions/{id}", page(pages.session))
        get("/compare", page(pages.compare))
        get("/overview", page(numbers.overview))
        get("/delivery", page(numbers.delivery))
        get("/help", page(pages.help))
        get("/clear", page(self._ask_before_clearing))
        router.add_post("/clear", self._admitted(self._clear))
        get("/static/{name}", self._static)
        get("/favicon.ico", self._static)

    # Who may

    def _may_see(self, request: web.Request) -> bool:
        return self.doorkeeper.admits(request.cookies, self._port)

    def _has_key(self, request: web.Request) -> bool:
        key = _auth.bearer(request.headers.get("Authorization"))
        return _auth.is_accepted(key, self._rules.keys) and _auth.may(key, Need.READ)

    def _admitted(self, handler: Handler, by_key: bool = False) -> Handler:
        async def admitted(request: web.Request) -> web.StreamResponse:
            if not (self._may_see(request) or (by_key and self._has_key(request))):
                return _response(self._closed_door(request))
            try:
                return await handler(request)
            except QueryTimeoutError:
                return _response(took_too_long(_ask(request)))

        return admitted

    def _data(self, handler: Handler) -> Handler:
        """For programs, too: they come with a key as to the API."""
        return self._admitted(handler, by_key=True)

    def _page(self, make: Callable[[Ask], Reply]) -> Handler:
        async def page(request: web.Request) -> web.StreamResponse:
            ask = _ask(request)
            try:
                reply = await self._in_thread(make, ask)
            except QueryTimeoutError:
                reply = took_too_long(ask)
            except Exception:
                _log.exception(
                    "the page %s failed",
                    request.rel_url.path[:100],
                    extra={"event_code": LogCode.COLLECTOR_PAGE_FAILED.code},
                )
                text = "The log of the server says why."
                heading = "This page failed"
                reply = Reply(render("message.html", **frame(ask, heading), heading=heading, text=text), 500)
            return _response(reply)

        return self._admitted(page)

    async def _open(self, request: web.Request) -> web.StreamResponse:
        """Exchange the token for a cookie, and lead away from the URL that has it."""
        cookie = self.doorkeeper.exchange(request.query.get("token", "")) if request.method == "GET" else None
        if cookie is None and not self._may_see(request):
            return _response(self._closed_door(request))
        response = web.Response(status=303, headers={**HEADERS, "Location": "/"})
        if cookie is not None:
            response.set_cookie(cookie_name(self._port), cookie, httponly=True, samesite="Strict", path="/")
            self._on_link_used()
        return response

    def _closed_door(self, request: web.Request) -> Reply:
        ask = _ask(request)
        here = "/" if request.path == "/open" else "/" + request.rel_url.path_qs.lstrip("/\\")  # not to another host
        return Reply(render("closed.html", **frame(ask, "Open the pages by their link"), here=here), 401)

    # What is answered

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def _follow(self, request: web.Request) -> web.StreamResponse:
        if self._live.is_full:
            return web.Response(status=503, headers={**HEADERS, "Retry-After": "10"}, text="too many live connections")
        meant, _ = read_filter(request.query.items())
        since = request.headers.get("Last-Event-ID") or request.query.get("since", "")
        if since == "now":
            since = str(await self._in_thread(self._pages.last_seq))
        stream = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        await stream.prepare(request)
        try:
            await stream.write(b"retry: 2000\n\n")
            number = int(since) if since.isdigit() and len(since) < 19 else 0
            await self._live.follow(meant, number, self._row_maker(request.query.get("as", "")), stream.write)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the browser has gone
        return stream

    def _row_maker(self, form: str) -> Callable[[Row, Dict[str, str]], str]:
        """How the live list writes an event: as the row of a page, or in a form of lines."""
        if form in ("jsonl", "rows", "csv", "txt"):
            return lambda row, names: self._downloads.line(row, form)
        return self._pages.row

    async def _export(self, request: web.Request) -> web.StreamResponse:
        meant, problems = read_filter(request.query.items())
        if problems:
            return web.Response(status=400, headers=HEADERS, text="; ".join(problems))
        form, limit = request.match_info["form"], request.query.get("limit", "")
        most = int(limit) if limit.isdigit() and len(limit) < 10 else None
        headers = {**HEADERS, "Content-Disposition": f'attachment; filename="events.{form}"'}
        stream = web.StreamResponse(headers={**headers, "Content-Type": f"{CONTENT_TYPES[form]}; charset=utf-8"})
        await stream.prepare(request)
        chunks = self._downloads.events(meant, form, most)
        while True:
            chunk = await self._in_thread(next, chunks, None)
            if chunk is None:
                break
            await stream.write(chunk)
        await stream.write_eof()
        return stream

    async def _download_event(self, request: web.Request) -> web.StreamResponse:
        return await self._download(request, self._downloads.event, "event")

    async def _download_trace(self, request: web.Request) -> web.StreamResponse:
        return await self._download(request, self._downloads.trace, "trace")

    async def _download(
        self, request: web.Request, make: Callable[[str, str], Optional[bytes]], what: str
    ) -> web.StreamResponse:
        id_, form = request.match_info["id"], request.match_info["form"]
        body = await self._in_thread(make, id_, form)
        if body is None:
            return _response(not_found(_ask(request), f"There is no {what} {id_} here."))
        return web.Response(body=body, headers=HEADERS, content_type=CONTENT_TYPES[form], charset="utf-8")

    async def _static(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info.get("name", "icon.svg")
        if name not in _STATIC:
            return web.Response(status=404, headers=HEADERS)
        body = (STATIC_FOLDER / name).read_bytes()
        return web.Response(body=body, headers=HEADERS, content_type=_STATIC[name], charset="utf-8")

    def _ask_before_clearing(self, ask: Ask) -> Reply:
        proof = self.doorkeeper.form_value("clear")
        counts = self._store.counts()
        return Reply(render("clear.html", **frame(ask, "Clear"), counts=counts, proof=proof))

    async def _clear(self, request: web.Request) -> web.StreamResponse:
        """Delete everything, if a form of ours says so."""
        if (request.content_length or 0) > _LONGEST_FORM:
            return web.Response(status=413, headers=HEADERS)
        form = await request.post()
        is_ours = is_same_origin(request.headers, request.scheme)
        if not (is_ours and self.doorkeeper.is_own_form("clear", str(form.get("proof", "")))):
            return web.Response(status=403, headers=HEADERS, text="this form is none of ours")
        await self._in_thread(self._index.clear)
        self._live.announce()
        return web.Response(status=303, headers={**HEADERS, "Location": "/"})


def _ask(request: web.Request) -> Ask:
    preferences = read_preferences(request.cookies, request.query)
    return Ask(tuple(request.query.items()), request.match_info.get("id", ""), preferences)


def _response(reply: Reply) -> web.Response:
    return web.Response(
        text=reply.body,
        status=reply.status,
        content_type=reply.content_type,
        charset="utf-8",
        headers={**HEADERS, **reply.headers},
    )
