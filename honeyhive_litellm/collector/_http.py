"""HTTP around the routes: keys, JSON and its refusals, and the faults of a script, which come before all
else.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import time
from dataclasses import dataclass, field
from typing import Any, Awaitable, Callable, Dict, Optional, Protocol, Tuple

import orjson
from aiohttp import web

from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm.collector import _auth

from ._auth import Need
from ._faults import Act, Fault, Script
from ._hosts import Hosts
from ._refusals import Refusals
from ._routes import Api, Call, Partial, Refusal

_log = logging.getLogger("honeyhive_litellm.collector")

_LONGEST_HOST_LOGGED = 100
_HOSTS_LOGGED = 20


@dataclass
class Received:
    """One request as it arrived, whatever became of it.

    *size* is the body's bytes as announced. *headers* have lower-case names, and what is secret in them is
    blanked; `has_key` still tells whether a given key was used. *status* is what was answered, None while
    there is no answer and for ever when there was none. *events* is how many events a well-formed body
    carried.
    """

    method: str
    path: str
    headers: Dict[str, str] = field(repr=False)
    size: int
    status: Optional[int] = None
    events: int = 0
    _key_digest: bytes = field(default=b"", repr=False)

    def has_key(self, key: str) -> bool:
        """Whether the request came with `Authorization: Bearer <key>`."""
        return self._key_digest == _digest(key)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


class Pages(Protocol):
    """What else is served beside the API."""

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add routes, which come before those of the API."""


class App:
    """The HTTP face of an `Api`, with a `Script` of faults; *on_request* is called as each request comes."""

    def __init__(
        self,
        api: Api,
        script: Script,
        on_request: Callable[[Received], None] = lambda request: None,
        hosts: Optional[Hosts] = None,
        refusals: Optional[Refusals] = None,
        pages: Optional[Pages] = None,
    ) -> None:
        self.api = api
        self.script = script
        self._on_request = on_request
        self._hosts = hosts or Hosts()
        self._refusals = refusals or Refusals()
        self._pages = pages
        self._released = asyncio.Event()

    def application(self) -> web.Application:
        """A new aiohttp application; one is needed for each time the server comes up."""
        # Versions of aiohttp differ on whether a body of the very maximum is too large, hence one more here
        # and the exact check in `_read`.
        application = web.Application(
            client_max_size=self.api.rules.max_body_bytes + 1, middlewares=[_host_check(self._hosts)]
        )
        if self._pages is not None:
            self._pages.add_routes(application.router)
        application.router.add_route("*", "/{path:.*}", self._serve)
        return application

    def release(self) -> None:
        """End all waiting: hanging and delayed requests lose their connection and are not processed."""
        self._released.set()
        self._released = asyncio.Event()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        released = self._released  # of now: a release while the body is still being read counts
        received = _describe(request)
        self._on_request(received)
        fault = self.script.take(request.method, request.path, size=received.size)
        if fault is not None and fault.act is Act.DROP and not fault.after:
            return cut(request)
        try:
            body = await self._read(request)
        except (ConnectionError, RuntimeError):  # its sender is gone, in aiohttp 3.14 by either of these
            return cut(request)
        if body is None:
            return self._refuse(received, Refusal(413, "the request is too large"))
        if fault is None:
            fault = self.script.take(request.method, request.path, body, received.size)
        if fault is None:
            return self._process(request, received, body)
        return await self._misbehave(fault, request, received, body, released)

    async def _read(self, request: web.Request) -> Optional[bytes]:
        """The body, or None when it is larger than allowed."""
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return None
        return None if len(body) > self.api.rules.max_body_bytes else body

    async def _misbehave(
        self, fault: Fault, request: web.Request, received: Received, body: bytes, released: asyncio.Event
    ) -> web.StreamResponse:
        if fault.act is Act.PARTIAL:
            return self._process(request, received, body, Partial(fault.keep, fault.event_id))
        if fault.act is Act.DELAY and not fault.after:
            if await _is_set_within(released, fault.seconds):
                return cut(request)
            return self._process(request, received, body)
        reply = self._process(request, received, body) if fault.after else web.Response()
        received.status = None
        if fault.act is Act.REPLY:
            received.status = fault.status
            return web.Response(status=fault.status, headers=fault.headers, body=fault.body)
        if fault.act is Act.HALF:
            return await _send_half(request, reply)
        if fault.act is Act.TRICKLE:
            return await _trickle(request, reply, fault.seconds, released)
        if fault.act is Act.DELAY and not await _is_set_within(released, fault.seconds):
            received.status = reply.status
            return reply
        if fault.act is Act.HANG:
            await released.wait()
        return cut(request)

    def _process(
        self, request: web.Request, received: Received, body: bytes, partial: Optional[Partial] = None
    ) -> web.Response:
        """Do what the route does; every refusal, and every accident, is an answer with a JSON body."""
        call = Call(partial=partial)
        try:
            return _answer(received, 200, self._call(call, request, body))
        except Refusal as refusal:
            return self._refuse(received, refusal)
        except Exception:
            _log.exception(
                "%s %s failed",
                request.method,
                request.path,
                extra={"event_code": LogCode.COLLECTOR_REQUEST_FAILED.code},
            )
            return _answer(received, 500, Refusal(500, "internal error").body)
        finally:
            received.events = call.carried

    def _refuse(self, received: Received, refusal: Refusal) -> web.Response:
        self._refusals.add(received.method, received.path, refusal.status, refusal.message, time.time() * 1000.0)
        return _answer(received, refusal.status, refusal.body)

    def _call(self, call: Call, request: web.Request, body: bytes) -> Any:
        need, action, call.target = self.api.find(request.method, request.path)
        self._check_key(request, need)
        if request.method != "GET":
            call.body = _read_json(request, body)
        return action(call)

    def _check_key(self, request: web.Request, need: Need) -> None:
        rules = self.api.rules
        key = _auth.bearer(request.headers.get("Authorization"))
        if not _auth.is_accepted(key, rules.keys):
            raise Refusal(rules.bad_key_status, "invalid or missing API key")
        if not _auth.may(key, need):
            status = 403 if rules.bad_key_status == 401 else 404
            raise Refusal(status, f"this kind of API key may not {need.value}")


_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _host_check(hosts: Hosts) -> Any:
    """Refuse requests that name another host than us, on every route and before all else; each such name is logged."""
    logged: Dict[str, None] = {}

    @web.middleware
    async def check(request: web.Request, handler: _Handler) -> web.StreamResponse:
        named = request.headers.getall("Host", [])
        if len(named) == 1 and hosts.allows(named[0], _own_address(request)):
            return await handler(request)
        name = repr(", ".join(named)[:_LONGEST_HOST_LOGGED])
        if name not in logged and len(logged) < _HOSTS_LOGGED:
            logged[name] = None
            _log.warning(
                "refused a request that names the host %s: a web page may have sent it",
                name,
                extra={"event_code": LogCode.COLLECTOR_HOST_REFUSED.code},
            )
        text = "This server is not called by that name. If it is yours, start it with --allow-host and the name.\n"
        return web.Response(status=421, text=text, headers={"Connection": "close"})

    return check


def _own_address(request: web.Request) -> Optional[str]:
    """The address of ours that the connection came to."""
    name = None if request.transport is None else request.transport.get_extra_info("sockname")
    return name[0] if isinstance(name, tuple) and name and isinstance(name[0], str) else None


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except asyncio.TimeoutError:
        return False
    return True


def cut(request: web.Request) -> web.Response:
    """Close the request's connection at once; what is returned never reaches anybody."""
    if request.transport is not None:
        cut_connection(request.transport)
    return web.Response()


def cut_connection(transport: asyncio.BaseTransport) -> None:
    """Shut a connection down and forget it.

    The shutdown matters where a forked child has inherited the socket: closing our copy alone would leave the
    client's connection open.
    """
    peer = transport.get_extra_info("socket")
    try:
        if peer is not None:
            peer.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # gone already
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()


async def _send_half(request: web.Request, reply: web.Response) -> web.StreamResponse:
    body = reply.body if isinstance(reply.body, bytes) else b""
    half = web.StreamResponse(status=reply.status, headers={"Content-Type": "application/json"})
    half.content_length = len(body)
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()  # after what is buffered
    return half


async def _trickle(
    request: web.Request, reply: web.Response, seconds: float, released: asyncio.Event
) -> web.StreamResponse:
    """Send the reply, from its very first line on, one byte every *seconds*."""
    body = reply.body if isinstance(reply.body, bytes) else b""
    head = f"HTTP/1.1 {reply.status} {reply.reason}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    for byte in head.encode() + body:
        if request.transport is None or await _is_set_within(released, seconds):
            return cut(request)
        request.transport.write(bytes([byte]))
    if request.transport is not None:
        request.transport.close()  # after what is buffered
    return web.Response()


def _read_json(request: web.Request, body: bytes) -> Any:
    """The body as JSON. Compression is documented nowhere, so any `Content-Encoding` is refused."""
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Refusal(400, "Content-Encoding is not supported")
    if request.content_type != "application/json":
        raise Refusal(400, "the Content-Type must be application/json")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refusal(400, "the body is not valid JSON") from None


def _answer(received: Received, status: int, value: Any) -> web.Response:
    received.status = status
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")


_SECRET_HEADERS: Tuple[str, ...] = ("authorization", "proxy-authorization", "cookie", "x-api-key")


def _describe(request: web.Request) -> Received:
    headers = {name.lower(): value for name, value in request.headers.items()}
    key = _auth.bearer(headers.get("authorization"))
    for name in _SECRET_HEADERS:
        if name in headers:
            headers[name] = "[redacted]"
    return Received(
        method=request.method,
        path=request.path,
        headers=headers,
        size=request.content_length or 0,
        _key_digest=_digest(key) if key else b"",
    )
