"""One request against real sockets that answer, misbehave or are not there."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
import re
import socket
import threading
import time
from typing import Any, AsyncIterator, Awaitable, Callable, Dict, List, Optional, Tuple

import pytest

from honeyhive_litellm._delivery.sink import Verdict
from honeyhive_litellm._delivery.sinks.http_status import Reply, result_of
from honeyhive_litellm._delivery.sinks.http_transport import HttpTransport

from ..waiting import until_on_loop

KEY = "hh_ingst_the0key"
DEADLINE_S = 10.0
Handler = Callable[["Connection"], Awaitable[None]]


class Connection:
    """The server's end of one connection, with the requests read from it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read_request(self) -> Tuple[str, Dict[str, str], bytes]:
        """The request line, its headers (names in lower case) and its body."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        line, *rest = head.rstrip().split("\r\n")
        headers = {name.lower(): value for name, value in (entry.split(": ", 1) for entry in rest)}
        return line, headers, await self._reader.readexactly(int(headers.get("content-length", "0")))

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self, status: int, body: bytes = b"", headers: str = "") -> None:
        await self.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)

    def reset(self) -> None:
        self._writer.transport.abort()


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A loopback server that gives every connection to *handler* and then closes it; yields its address."""
    tasks: List[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())  # type: ignore[arg-type]
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handler(Connection(reader, writer))
        writer.close()
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def connected(url: str, timeout_s: float = DEADLINE_S) -> AsyncIterator[HttpTransport]:
    transport = HttpTransport(url, KEY, timeout_s=timeout_s)
    try:
        yield transport
    finally:
        await transport.aclose()


def idle_connections(transport: HttpTransport) -> List[object]:
    """The kept connections whose end has not reached us."""
    assert transport._session is not None and transport._session.connector is not None
    pools = transport._session.connector._conns.values()
    return [protocol for pool in pools for protocol, _ in pool if protocol.is_connected()]


async def post_to(handler: Handler, body: bytes = b"{}", timeout_s: float = DEADLINE_S) -> Reply:
    async with serving(handler) as url, connected(url, timeout_s) as transport:
        return await asyncio.wait_for(transport.post("/v1/events/batch", body), DEADLINE_S)


async def hang() -> None:
    await asyncio.Event().wait()


async def test_what_reads_has_the_key_that_may_read() -> None:
    seen: List[Tuple[str, Dict[str, str], bytes]] = []

    async def handler(connection: Connection) -> None:
        for _ in range(2):
            seen.append(await connection.read_request())
            await connection.answer(400, b"bad key " + seen[-1][1]["authorization"].encode())

    async with serving(handler) as url:
        transport = HttpTransport(url, KEY, timeout_s=DEADLINE_S, read_key="hh_ro_reads")
        replies = [await transport.post("/v1/events", b"{}"), await transport.get("/v1/events/a")]
        await transport.aclose()

    assert [headers["authorization"] for _, headers, _ in seen] == [f"Bearer {KEY}", "Bearer hh_ro_reads"]
    assert [reply.body for reply in replies] == ["bad key Bearer [api key]"] * 2


async def test_a_request_carries_key_and_names_and_its_body_unchanged() -> None:
    seen: List[Tuple[str, Dict[str, str], bytes]] = []

    async def handler(connection: Connection) -> None:
        for _ in range(2):
            seen.append(await connection.read_request())
            await connection.answer(200, b'{"success": true}')

    async with serving(handler) as url:
        transport = HttpTransport(url + "/", KEY, timeout_s=DEADLINE_S, version="1.2.3")
        replies = [
            await transport.post("/v1/events/batch", b'{"events":[]}'),
            await transport.get("/v1/events/a"),
        ]
        await transport.aclose()

    assert replies == [Reply(200, '{"success": true}')] * 2
    (post, headers, body), (get, get_headers, nothing) = seen
    assert (post, get) == ("POST /v1/events/batch HTTP/1.1", "GET /v1/events/a HTTP/1.1")
    assert (body, nothing) == (b'{"events":[]}', b"")
    ours = {
        "authorization": f"Bearer {KEY}",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": "honeyhive-litellm/1.2.3",
        "hh-client-version": "1.2.3",
        "hh-client-language": "python",
        "hh-client-package": "honeyhive-litellm",
    }
    assert ours.items() <= headers.items()
    assert ours.items() <= get_headers.items()
    assert headers["content-type"] == "application/json"
    assert "content-encoding" not in headers


@pytest.mark.parametrize("status", [200, 201, 202, 400, 401, 404, 413, 422, 429, 500, 503])
async def test_a_status_and_its_body_are_reported_as_they_came(status: int) -> None:
    async def handler(connection: Connection) -> None:
        await connection.read_request()
        await connection.answer(status, '{"message": "naïve"}'.encode())

    reply = await post_to(handler)
    assert reply == Reply(status, '{"message": "naïve"}')
    assert result_of(reply, 2).ambiguous is (status >= 500)


async def test_an_answer_without_content_delivers() -> None:
    async def handler(connection: Connection) -> None:
        await connection.read_request()
        await connection.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await hang()

    reply = await post_to(handler)
    assert reply == Reply(204)
    assert result_of(reply, 2).verdict is Verdict.DELIVERED


async def test_an_html_page_is_reported_and_pauses() -> None:
    async def handler(connection: Connection) -> None:
        await connection.read_request()
        await connection.answer(200, b"<html>Sign in</html>", "Content-Type: text/html\r\n")

    reply = await post_to(handler)
    assert reply == Reply(200, "<html>Sign in</html>")
    assert result_of(reply, 2).verdict is Verdict.PAUSE
    assert not result_of(reply, 2).ambiguous


async def test_a_redirect_is_reported_and_not_followed() -> None:
    requests = 0

    async def handler(connection: Connection) -> None:
        nonlocal requests
        while True:
            await connection.read_request()
            requests += 1
            await connection.answer(307, b"<html>Moved</html>", "Location: /elsewhere\r\n")

    reply = await post_to(handler)
    assert reply == Reply(307, "redirects to /elsewhere")
    assert (requests, result_of(reply, 2).ambiguous) == (1, False)


async def test_a_redirect_to_bytes_that_are_no_text_is_reported_all_the_same() -> None:
    async def handler(connection: Connection) -> None:
        await connection.read_request()
        await connection.write(b"HTTP/1.1 301 X\r\nContent-Length: 0\r\nLocation: /\xff\xfe\r\n\r\n")

    assert await post_to(handler) == Reply(301, "redirects to /??")


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("soon", None)])
async def test_retry_after_is_read(header: str, seconds: Optional[float]) -> None:
    async def handler(connection: Connection) -> None:
        await connection.read_request()
        await connection.answer(429, b"", f"Retry-After: {header}\r\n")

    assert await post_to(handler) == Reply(429, "", seconds)


async def test_a_connection_refused_is_certainly_not_sent() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        async with connected(f"http://127.0.0.1:{free.getsockname()[1]}") as transport:
            reply = await transport.post("/v1/events/batch", b"{}")
    assert reply == Reply(None, error="refused", was_sent=False)
    assert not result_of(reply, 2).ambiguous


async def test_a_name_that_does_not_exist_is_certainly_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved: List[Any] = []

    def getaddrinfo(host: str, *_: object, **__: object) -> None:
        resolved.append((host, threading.current_thread().daemon))
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with connected("http://collector.invalid") as transport:
        reply = await transport.post("/v1/events/batch", b"{}")
    assert reply == Reply(None, error="dns", was_sent=False)
    assert resolved == [("collector.invalid", True)]


async def test_a_name_is_looked_up_and_connected_to() -> None:
    async def handler(connection: Connection) -> None:
        await connection.read_request()
        await connection.answer(200)

    async with serving(handler) as url, connected(url.replace("127.0.0.1", "localhost")) as transport:
        assert await transport.post("/v1/events/batch", b"{}") == Reply(200)


async def test_a_hanging_name_server_holds_neither_the_request_nor_the_exit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entered, release = threading.Event(), threading.Event()
    lookups: List[threading.Thread] = []

    def getaddrinfo(*_: object, **__: object) -> None:
        lookups.append(threading.current_thread())
        entered.set()
        release.wait(DEADLINE_S)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with connected("http://collector.invalid", timeout_s=0.2) as transport:
        reply = await transport.post("/v1/events/batch", b"{}")
    assert entered.is_set()
    assert reply == Reply(None, error="timeout", was_sent=False)
    assert not result_of(reply, 2).ambiguous
    assert [thread.daemon for thread in lookups] == [True]
    release.set()
    lookups[0].join(DEADLINE_S)
    assert not lookups[0].is_alive()


async def test_plain_text_where_tls_was_expected_is_certainly_not_sent() -> None:
    async def handler(connection: Connection) -> None:
        await connection.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(handler) as url, connected(url.replace("http:", "https:")) as transport:
        reply = await transport.post("/v1/events/batch", b"{}")
    assert reply == Reply(None, error="tls", was_sent=False)
    assert not result_of(reply, 2).ambiguous


@pytest.mark.parametrize("hard", [False, True])
async def test_a_connection_dropped_before_the_answer_leaves_the_outcome_open(hard: bool) -> None:
    async def handler(connection: Connection) -> None:
        await connection.read_request()
        if hard:
            connection.reset()

    reply = await post_to(handler)
    assert reply == Reply(None, error="dropped")
    assert result_of(reply, 2).ambiguous
    assert result_of(reply, 2).verdict is Verdict.RETRY


async def test_half_a_head_leaves_the_outcome_open() -> None:
    async def handler(connection: Connection) -> None:
        await connection.read_request()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Le")

    reply = await post_to(handler)
    assert (reply.status, reply.error) == (None, "dropped")
    assert result_of(reply, 2).ambiguous


async def test_half_a_body_keeps_the_status() -> None:
    async def handler(connection: Connection) -> None:
        await connection.read_request()
        await connection.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"success": tr')

    reply = await post_to(handler)
    assert reply == Reply(200, '{"success": tr', error="dropped")
    assert result_of(reply, 2).verdict is Verdict.DELIVERED
    assert not result_of(reply, 2).ambiguous


async def test_an_answer_in_another_language_leaves_the_outcome_open() -> None:
    async def handler(connection: Connection) -> None:
        await connection.read_request()
        await connection.write(b"220 mail.example ESMTP ready\r\n")

    reply = await post_to(handler)
    assert reply == Reply(None, error="garbled")
    assert result_of(reply, 2).ambiguous


async def test_an_address_that_no_connection_can_be_made_to_is_unreachable() -> None:
    async with connected("http://255.255.255.255:9") as transport:  # broadcast: no TCP, on any network
        reply = await transport.post("/", b"{}")
    assert reply == Reply(None, error="unreachable", was_sent=False)
    assert result_of(reply, 2).verdict is Verdict.RETRY and not result_of(reply, 2).ambiguous


async def test_a_connection_dropped_after_an_answer_costs_the_next_request_nothing() -> None:
    closed = asyncio.Event()

    async def handler(connection: Connection) -> None:
        await connection.read_request()
        await connection.answer(200)
        closed.set()

    async with serving(handler) as url, connected(url) as transport:
        first = await transport.post("/v1/events/batch", b"{}")
        await asyncio.wait_for(closed.wait(), DEADLINE_S)
        await until_on_loop(lambda: not idle_connections(transport))
        assert [first, await transport.post("/v1/events/batch", b"{}")] == [Reply(200)] * 2


async def test_a_post_into_a_dying_connection_is_not_sent_twice() -> None:
    requests = 0

    async def handler(connection: Connection) -> None:
        nonlocal requests
        await connection.read_request()
        requests += 1
        await connection.answer(200)
        await connection.read_request()
        requests += 1

    async with serving(handler) as url, connected(url) as transport:
        await transport.post("/v1/events/batch", b"{}")
        reply = await transport.post("/v1/events/batch", b"{}")
    assert (reply, requests) == (Reply(None, error="dropped"), 2)
    assert result_of(reply, 2).ambiguous


async def test_a_server_that_never_answers_ends_at_the_timeout_with_the_outcome_open() -> None:
    async def handler(connection: Connection) -> None:
        await connection.read_request()
        await hang()

    begun = time.monotonic()
    reply = await post_to(handler, timeout_s=0.2)
    assert reply == Reply(None, error="timeout")
    assert result_of(reply, 2).ambiguous
    assert 0.15 < time.monotonic() - begun < 2


async def test_a_trickling_answer_ends_at_the_timeout_and_keeps_its_status() -> None:
    async def handler(connection: Connection) -> None:
        await connection.read_request()
        await connection.write(b"HTTP/1.1 503 X\r\nContent-Length: 100000\r\n\r\n")
        while True:
            await connection.write(b".")
            await asyncio.sleep(0.01)

    begun = time.monotonic()
    reply = await post_to(handler, timeout_s=0.3)
    assert (reply.status, reply.error, set(reply.body)) == (503, "timeout", {"."})
    assert result_of(reply, 2).ambiguous
    assert time.monotonic() - begun < 2


async def test_an_endless_answer_is_left_after_a_bounded_part() -> None:
    async def handler(connection: Connection) -> None:
        await connection.read_request()
        await connection.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await connection.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")

    assert await post_to(handler) == Reply(200, "x" * 2048)


async def test_an_answer_longer_than_what_is_kept_lets_the_connection_serve_again() -> None:
    connections = 0

    async def handler(connection: Connection) -> None:
        nonlocal connections
        connections += 1
        while True:
            await connection.read_request()
            await connection.answer(200, b"y" * 30_000)

    async with serving(handler) as url, connected(url) as transport:
        replies = [await transport.post("/v1/events/batch", b"{}") for _ in range(3)]
    assert replies == [Reply(200, "y" * 2048)] * 3
    assert connections == 1


async def test_what_is_kept_is_two_kilobytes_whatever_the_bytes() -> None:
    async def handler(connection: Connection) -> None:
        await connection.read_request()
        await connection.answer(400, b"\xff" * 5000)

    reply = await post_to(handler)
    assert set(reply.body) == {"\ufffd"}
    assert 2040 < len(reply.body.encode()) <= 2048


async def test_a_compressed_answer_is_not_inflated() -> None:
    async def handler(connection: Connection) -> None:
        await connection.read_request()
        await connection.answer(200, gzip.compress(b"z" * 10_000_000), "Content-Encoding: gzip\r\n")

    reply = await post_to(handler)
    assert (reply.status, reply.error, "zzz" in reply.body) == (200, None, False)


async def test_a_body_of_megabytes_arrives_whole_and_without_a_warning() -> None:
    sizes: List[int] = []
    body = b'{"events":[' + b'"' + b"e" * 4_000_000 + b'"]}'

    async def handler(connection: Connection) -> None:
        _, headers, received = await connection.read_request()
        sizes.append(len(received))
        await connection.answer(200)
        assert (received == body, headers["content-length"]) == (True, str(len(body)))

    assert await post_to(handler, body) == Reply(200)
    assert sizes == [len(body)]


async def test_a_refusal_before_the_whole_body_was_read_is_reported() -> None:
    async def handler(connection: Connection) -> None:
        await connection._reader.readuntil(b"\r\n\r\n")
        await connection.answer(413, b"too large", "Connection: close\r\n")
        while await connection._reader.read(65536):  # as nginx does: read on, so that the answer is not lost
            pass

    assert await post_to(handler, b"e" * 4_000_000) == Reply(413, "too large")


async def test_the_key_is_hidden_where_a_server_echoes_it(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(connection: Connection) -> None:
        await connection.read_request()
        await connection.answer(401, f"bad key {KEY} ".encode() + b"-" * 2020 + KEY.encode() * 3)
        await connection.read_request()
        await connection.answer(302, b"", f"Location: https://other.example/?key={KEY}\r\n")

    with caplog.at_level(logging.DEBUG):
        async with serving(handler) as url, connected(url) as transport:
            replies = [await transport.post("/v1/events", b"{}") for _ in range(2)]
            shown = repr(transport) + repr(replies) + caplog.text
    assert replies[0].body.startswith("bad key [api key] ---")
    assert replies[1].body == "redirects to https://other.example/?key=[api key]"
    assert not re.search("hh_in|0key", shown)


async def test_repr_shows_the_host_only() -> None:
    transport = HttpTransport("https://api.honeyhive.ai/base", KEY)
    assert repr(transport) == "<HttpTransport to api.honeyhive.ai>"
    await transport.aclose()
    assert repr(transport) == "<HttpTransport to api.honeyhive.ai (closed)>"


async def test_cancellation_passes_through_and_leaves_the_transport_usable() -> None:
    received = asyncio.Event()

    async def handler(connection: Connection) -> None:
        _, _, body = await connection.read_request()
        if body == b"hang":
            received.set()
            await hang()
        await connection.answer(200)

    async with serving(handler) as url, connected(url) as transport:
        request = asyncio.ensure_future(transport.post("/v1/events", b"hang"))
        await asyncio.wait_for(received.wait(), DEADLINE_S)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert await transport.post("/v1/events", b"{}") == Reply(200)


async def test_closing_ends_requests_under_way_and_refuses_later_ones() -> None:
    received = asyncio.Event()

    async def handler(connection: Connection) -> None:
        await connection.read_request()
        received.set()
        await hang()

    async with serving(handler) as url, connected(url) as transport:
        request = asyncio.ensure_future(transport.post("/v1/events", b"{}"))
        await asyncio.wait_for(received.wait(), DEADLINE_S)
        await transport.aclose()
        await transport.aclose()
        ended = await asyncio.wait_for(request, DEADLINE_S)
        assert ended == Reply(None, error="dropped")
        assert result_of(ended, 2).ambiguous
        assert await transport.get("/v1/events/a") == Reply(None, error="closed", was_sent=False)


async def test_many_requests_share_a_few_connections() -> None:
    connections = 0
    arrived = asyncio.Event()

    async def handler(connection: Connection) -> None:
        nonlocal connections
        connections += 1
        if connections == 8:
            arrived.set()
        while True:
            _, _, body = await connection.read_request()
            await asyncio.wait_for(arrived.wait(), DEADLINE_S)
            await connection.answer(200, body)

    async with serving(handler) as url, connected(url) as transport:
        payloads = [json.dumps(number) for number in range(50)]
        replies = await asyncio.gather(*(transport.post("/v1/events", body.encode()) for body in payloads))
    assert [reply.body for reply in replies] == payloads
    assert connections == 8


async def test_no_cookie_of_the_server_is_sent_back() -> None:
    sent: List[Dict[str, str]] = []

    async def handler(connection: Connection) -> None:
        while True:
            sent.append((await connection.read_request())[1])
            await connection.answer(200, b"", "Set-Cookie: a=b\r\n")

    async with serving(handler) as url, connected(url) as transport:
        assert [await transport.get("/v1/events/a") for _ in range(2)] == [Reply(200)] * 2
    assert len(sent) == 2
    assert all("cookie" not in headers for headers in sent)


async def test_the_environments_proxy_is_used_except_for_this_machine_and_no_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines: List[str] = []

    async def handler(connection: Connection) -> None:
        while True:
            line, headers, _ = await connection.read_request()
            lines.append(" ".join([line, headers.get("authorization", "-"), headers.get("proxy-authorization", "-")]))
            await connection.answer(502 if line.startswith("CONNECT") else 200)

    async with serving(handler) as url:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "REQUEST_METHOD"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("https_proxy", url.replace("//", "//user:pass@"))
        monkeypatch.setenv("no_proxy", "excepted.invalid")
        async with connected("http://collector.invalid") as plain:
            assert await plain.post("/v1/events", b"{}") == Reply(200)
        async with connected("https://collector.invalid") as tunnelled:
            refused = await tunnelled.post("/v1/events", b"{}")
        async with connected("http://excepted.invalid") as direct:
            excepted = await direct.post("/v1/events", b"{}")
        async with connected(url) as local:
            assert await local.post("/v1/events", b"{}") == Reply(200)
    assert lines == [
        f"POST http://collector.invalid/v1/events HTTP/1.1 Bearer {KEY} -",
        "CONNECT collector.invalid:443 HTTP/1.1 - Basic dXNlcjpwYXNz",
        f"POST /v1/events HTTP/1.1 Bearer {KEY} -",
    ]
    assert refused == Reply(None, error="proxy", was_sent=False)
    assert (excepted.status, excepted.was_sent) == (None, False)


async def test_a_proxy_that_is_not_there_is_named_and_a_socks_proxy_is_passed_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{free.getsockname()[1]}")
        async with connected("http://collector.invalid") as transport:
            reply = await transport.post("/v1/events", b"{}")
    assert reply == Reply(None, error="proxy", was_sent=False)
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1080")
    async with connected("http://collector.invalid", timeout_s=2) as direct:
        assert (await direct.post("/v1/events", b"{}")).error in ("dns", "timeout")
