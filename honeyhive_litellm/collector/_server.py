"""The listening server: up, down and up again on one port, and the blocking `run` of the command line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, List, Optional, Tuple, Type, Union

from aiohttp import web

from honeyhive_litellm._errors import ConfigError

from ._faults import Script
from ._hosts import Hosts
from ._http import App, Received, cut_connection
from ._refusals import Refusals
from ._routes import Api, Rules
from ._semantics import Event
from ._store import Store
from .spool_view import ReadSpool

if TYPE_CHECKING:
    from .viewer.app import Viewer

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8787
# Connections are cut before aiohttp's own shutdown, so this bounds handlers that are busy, and those only.
_SHUTDOWN_TIMEOUT_S = 1.0
# A server that listens everywhere is reached here.
_REACHED_AS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104

_Address = Tuple[Any, ...]


@dataclass(frozen=True)
class PageOptions:
    """How the pages are served: *key* is what they tell programs to take as `api_key`.

    *read_spool* reads the spool that the delivery page shows. *on_link* is called with the link that opens the pages
    in one browser: by `show_link`, and each time that a link was used with the next one.
    """

    key: str = "hh_local"
    read_spool: Optional[ReadSpool] = None
    on_link: Callable[[str], None] = lambda link: None


class Server:
    """One store behind one port, on the running loop. An async context manager: it is up inside `async with`.

    *port* 0 takes a free one; `url` tells which. *db* is the path of the database, None for a temporary one.
    *on_request*, *on_stored* and *on_events* are called on the loop: as a request arrives, after each transaction, and
    with the events of each request that brought some.
    With *pages* there are pages to look at what is stored; *allow_hosts* are further names of this machine.
    Raise ConfigError when the address is taken or the database cannot be used.
    """

    def __init__(
        self,
        host: str = DEFAULT_HOST,
        port: int = 0,
        db: Optional[Union[str, Path]] = None,
        *,
        rules: Optional[Rules] = None,
        on_request: Callable[[Received], None] = lambda request: None,
        on_stored: Callable[[], None] = lambda: None,
        on_events: Callable[[List[Event]], None] = lambda events: None,
        pages: Optional[PageOptions] = None,
        allow_hosts: Iterable[str] = (),
    ) -> None:
        self.script = Script()
        self.store = Store(db)
        self._on_stored = on_stored
        self._api = Api(self.store, rules or Rules(), self._stored, on_events)
        self._on_request = on_request
        self._hosts = Hosts((host, *allow_hosts))
        self._refusals = Refusals()
        self._page_options = pages
        self._viewer: Optional[Viewer] = None
        self._host = host
        self._address: _Address = (host, port)
        self._family = socket.AF_INET
        self._socket: Optional[socket.socket] = None
        self._runner: Optional[web.AppRunner] = None
        self._app: App

    async def __aenter__(self) -> Server:
        try:
            self._family, self._address = _resolve(self._host, self._address[1])
            self._socket = _bind(self._family, self._address)
            self._address = self._socket.getsockname()
            if self._page_options is not None:
                self._viewer = self._start_viewer(self._page_options)
            self._app = App(self._api, self.script, self._on_request, self._hosts, self._refusals, self._viewer)
            await self.up()
        except BaseException as error:
            await self.aclose()
            if isinstance(error, OSError):
                where = f"{self._host}:{self._address[1]}"
                raise ConfigError(f"the collector cannot listen on {where}: {error.strerror}") from error
            raise
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"Server({self.url}, {'up' if self._runner is not None else 'down'})"

    @property
    def port(self) -> int:
        """The port, the same for as long as this server lives."""
        return int(self._address[1])

    @property
    def url(self) -> str:
        """What a client on this machine takes as the API's URL."""
        host = _REACHED_AS.get(self._host, self._host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def page_link(self) -> str:
        """The link that opens the pages in one browser."""
        if self._viewer is None:
            raise RuntimeError("this server has no pages: give it PageOptions")
        return self._viewer.link(self.url)

    def _start_viewer(self, options: PageOptions) -> Viewer:
        from .viewer.app import Viewer  # templates, Markdown and Pygments: of no use to a server without pages

        viewer = Viewer(self.store, self._api.rules, self._refusals, options.read_spool, self.show_link)
        viewer.start(self.url, self.port, options.key)
        return viewer

    def show_link(self) -> None:
        """Call `on_link` with the link of now."""
        if self._page_options is not None:
            self._page_options.on_link(self.page_link)

    def _stored(self) -> None:
        if self._viewer is not None:
            self._viewer.notify()
        self._on_stored()

    async def up(self) -> None:
        """Listen; does nothing when up already."""
        if self._runner is not None or self._socket is None:
            return
        self._runner = web.AppRunner(self._app.application(), access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    async def down(self) -> None:
        """Refuse connections and cut those that are open, as a server that has crashed; what is stored stays.

        The port stays ours: a socket is bound to it that does not listen. Otherwise a client that keeps
        trying could be given this very port for its own end, and find itself connected to itself.
        """
        if self._runner is None:
            return
        await self._stop_listening()
        self._socket = _bind(self._family, self._address)

    def release(self) -> None:
        """Close the connections of the requests that a fault keeps waiting."""
        self._app.release()

    async def aclose(self) -> None:
        """Go down and close the database; a second call does nothing."""
        try:
            await self._stop_listening()
        finally:
            if self._viewer is not None:
                self._viewer.close()
            self.store.close()

    async def _stop_listening(self) -> None:
        listening, self._socket = self._socket, None
        runner, self._runner = self._runner, None
        if listening is not None:
            # A forked child may hold a copy of the socket, which would go on listening if ours were only
            # closed.
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
        if runner is not None:
            for site in list(runner.sites):
                await site.stop()
            self.release()
            if self._viewer is not None:
                self._viewer.hang_up()
            for connection in [] if runner.server is None else runner.server.connections:
                if connection.transport is not None:
                    cut_connection(connection.transport)
            await runner.cleanup()
        if listening is not None:
            listening.close()


def _resolve(host: str, port: int) -> Tuple[socket.AddressFamily, _Address]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    return family, address


def _bind(family: socket.AddressFamily, address: _Address) -> socket.socket:
    """A socket bound to *address* that does not listen yet: connections are still refused."""
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # on Windows the option means something else
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound


async def serve(
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    db: Optional[Union[str, Path]] = None,
    *,
    rules: Optional[Rules] = None,
    ready: Callable[[str], None] = lambda url: None,
    pages: Optional[PageOptions] = None,
    allow_hosts: Iterable[str] = (),
    on_events: Callable[[List[Event]], None] = lambda events: None,
) -> None:
    """Run a server until this coroutine is cancelled; *ready* is called with its URL once it listens."""
    server = Server(host, port, db, rules=rules, pages=pages, allow_hosts=allow_hosts, on_events=on_events)
    async with server:
        ready(server.url)
        server.show_link()
        await asyncio.Event().wait()


def run(
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    db: Optional[Union[str, Path]] = None,
    echo: Callable[[str], None] = lambda line: None,
    *,
    rules: Optional[Rules] = None,
    pages: Optional[PageOptions] = None,
    allow_hosts: Iterable[str] = (),
    on_events: Callable[[List[Event]], None] = lambda events: None,
) -> None:
    """Run a server until SIGINT or SIGTERM, then clean up and return.

    *echo* is called once, as soon as it listens, with the line to paste into a program, and *on_events* with the
    events of each request that brought some. Raise ConfigError when the address is taken or the database cannot be
    used. Call it on the main thread: signals arrive only there.
    """
    key = "hh_local" if pages is None else pages.key

    def ready(url: str) -> None:
        echo(f'honeyhive_litellm.init(api_key="{key}", project="local", api_url="{url}")')

    async def main() -> None:
        serving = serve(
            host, port, db, rules=rules, ready=ready, pages=pages, allow_hosts=allow_hosts, on_events=on_events
        )
        task = asyncio.ensure_future(serving)
        with _cancelled_by_signals(task), contextlib.suppress(asyncio.CancelledError):
            await task

    with contextlib.suppress(KeyboardInterrupt):  # where the loop cannot handle signals
        asyncio.run(main())


@contextlib.contextmanager
def _cancelled_by_signals(task: asyncio.Future[None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    handled: List[signal.Signals] = []
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, task.cancel)
                handled.append(number)
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
