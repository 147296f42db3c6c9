"""One request, one `Reply`: HoneyHive over a single keep-alive aiohttp session, without policy.

It does not retry, wait or log. A network error is returned like an answer: a `Reply` without a status that says what
happened and whether the request may have arrived. Only cancellation is raised.

What is chosen here, and why:
- Redirects are not followed: the key is for the host that the user named.
- `trust_env` stays off: with it, some aiohttp versions let ~/.netrc replace our Authorization header. The
  variables HTTP_PROXY, HTTPS_PROXY and NO_PROXY are read here instead.
- An idle connection is kept for 4 s, a little less than the 5 s after which Node's and uvicorn's servers
  close theirs: the outcome of a POST into a connection that is just being closed is unknown.
- Requests are not compressed: HoneyHive documents no gzip. Answers are requested uncompressed and never
  decompressed, so that none can grow in memory.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
import urllib.request
from types import SimpleNamespace
from typing import TYPE_CHECKING, AsyncIterator, Dict, List, Optional, Tuple, Union
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver

from honeyhive_litellm._aio import addresses_of
from honeyhive_litellm._version import __version__

from .http_status import REDIRECTS_TO, Reply, parse_http_date, parse_retry_after

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

_MAX_BODY_BYTES = 2048  # kept of an answer
_MAX_DRAIN_BYTES = 64 * 1024  # read of an answer so that its connection can serve again
_PIECE_BYTES = 64 * 1024
_MAX_CONNECTIONS = 8
_IDLE_S = 4.0
_CONNECT_TIMEOUT_S = 10.0
_HIDDEN = "[api key]"

_Failure = Union[aiohttp.ClientError, OSError, asyncio.TimeoutError]
_FAILURES = (aiohttp.ClientError, OSError, asyncio.TimeoutError)


class _Sent:
    """Whether a request's first bytes were written. Set by tracing, because aiohttp's exceptions do not say it."""

    yes = False


class HttpTransport:
    """HTTP to one HoneyHive server. Belongs to the event loop of its first request; `aclose` it there."""

    def __init__(
        self,
        api_url: str,
        api_key: str,
        *,
        timeout_s: float = 30.0,
        version: str = __version__,
        read_key: Optional[str] = None,
    ) -> None:
        """*timeout_s* bounds a whole request, from waiting for a connection to the answer's last byte.

        GET requests have *read_key* instead of *api_key*, if there is one.
        """
        self._api_url = api_url.rstrip("/")
        self._keys = (api_key, read_key or api_key)
        self._timeout_s = timeout_s
        self._proxy = _proxy_for(self._api_url)
        # For each request, never on the session: aiohttp shows a session's own headers to the proxy too.
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"honeyhive-litellm/{version}",
            # HoneyHive's own SDK names itself in these three.
            "hh-client-version": version,
            "hh-client-language": "python",
            "hh-client-package": "honeyhive-litellm",
        }
        self._session: Optional[aiohttp.ClientSession] = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<HttpTransport to {urlsplit(self._api_url).hostname}{' (closed)' if self._closed else ''}>"

    async def post(self, path: str, body: bytes) -> Reply:
        """POST *body*, encoded JSON, to *path*, which begins with a slash."""
        return await self._request("POST", path, body)

    async def get(self, path: str) -> Reply:
        """GET *path*, which begins with a slash."""
        return await self._request("GET", path, None)

    async def aclose(self) -> None:
        """Close the connections. Requests under way end as "dropped", later ones as "closed". Idempotent."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _request(self, method: str, path: str, body: Optional[bytes]) -> Reply:
        if self._closed:
            return Reply(None, error="closed", was_sent=False)
        sent = _Sent()
        try:
            async with self._opened().request(
                method,
                self._api_url + path,
                data=None if body is None else _pieces(body),
                headers=self._headers_of(body),
                proxy=self._proxy,
                allow_redirects=False,
                trace_request_ctx=sent,
            ) as response:
                text, error = await self._read(response)
                if 300 <= response.status < 400 and "Location" in response.headers:
                    # It says more than the page that comes with it.
                    text = self._kept(f"{REDIRECTS_TO}{response.headers['Location']}".encode("utf-8", "replace"))
                retry_after_s = parse_retry_after(response.headers.get("Retry-After"), _now_of(response))
                return Reply(response.status, text, retry_after_s, error)
        except _FAILURES as failure:
            return Reply(None, error=_word(failure), was_sent=sent.yes)

    def _headers_of(self, body: Optional[bytes]) -> Dict[str, str]:
        write_key, read_key = self._keys
        if body is None:
            return {**self._headers, "Authorization": f"Bearer {read_key}"}
        return {**self._headers, "Authorization": f"Bearer {write_key}", **_body_headers(body)}

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            tracing = aiohttp.TraceConfig()
            tracing.on_request_headers_sent.append(_note_sent)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_MAX_CONNECTIONS, keepalive_timeout=_IDLE_S, resolver=_Resolver()),
                timeout=aiohttp.ClientTimeout(
                    total=self._timeout_s, sock_connect=min(self._timeout_s, _CONNECT_TIMEOUT_S)
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trace_configs=[tracing],
            )
        return self._session

    async def _read(self, response: aiohttp.ClientResponse) -> Tuple[str, Optional[str]]:
        """The text to keep of the body, and a word if it broke off. A status once received stands anyhow."""
        body = bytearray()
        seen = 0
        error = None
        try:
            while seen < _MAX_DRAIN_BYTES:
                piece = await response.content.read(_MAX_DRAIN_BYTES)
                if not piece:
                    break
                seen += len(piece)
                # A key that the server echoes across the cut must still be found whole.
                body += piece[: max(0, _MAX_BODY_BYTES + max(map(len, self._keys)) - len(body))]
        except _FAILURES as failure:
            error = _word(failure)
        return self._kept(bytes(body)), error

    def _kept(self, body: bytes) -> str:
        """The first 2 KB of *body* as text, without the key."""
        text = body.decode("utf-8", "replace")
        for key in self._keys:
            text = text.replace(key, _HIDDEN)
        return text.encode()[:_MAX_BODY_BYTES].decode("utf-8", "ignore")


def _now_of(response: aiohttp.ClientResponse) -> float:
    """The Unix time of an answer by the server's own clock: it is that clock by which a Retry-After date is meant."""
    date = parse_http_date(response.headers.get("Date", ""))
    return time.time() if date is None else date


def _body_headers(body: bytes) -> Dict[str, str]:
    return {"Content-Type": "application/json", "Content-Length": str(len(body))}


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    # aiohttp warns of plain bytes over 1 MiB; its older versions read a BytesIO in a thread, which ends so
    # late that the answer has come meanwhile, and then they close the connection instead of keeping it.
    for start in range(0, len(body), _PIECE_BYTES):
        yield body[start : start + _PIECE_BYTES]


async def _note_sent(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.yes = True


def _word(failure: _Failure) -> str:
    """What happened, in one word of a closed list; never text from the network."""
    if isinstance(failure, (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError)):
        return "proxy"
    if isinstance(failure, (aiohttp.ClientSSLError, ssl.SSLError)):
        return "tls"
    cause = failure.os_error if isinstance(failure, aiohttp.ClientConnectorError) else failure
    if isinstance(cause, socket.gaierror):
        return "dns"
    if isinstance(cause, asyncio.TimeoutError) or getattr(cause, "errno", None) == errno.ETIMEDOUT:
        return "timeout"
    if isinstance(cause, ConnectionRefusedError):
        return "refused"
    if isinstance(failure, aiohttp.ClientConnectorError):
        return "unreachable"
    if isinstance(failure, aiohttp.ClientResponseError):
        return "garbled"
    return "dropped"


def _proxy_for(url: str) -> Optional[str]:
    """The http(s) proxy the environment names for *url*; None for this machine and what NO_PROXY lists."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127."):
        return None
    proxy = urllib.request.getproxies_environment().get(parts.scheme, "")
    if not proxy or urllib.request.proxy_bypass(parts.netloc):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    return proxy if proxy.startswith(("http://", "https://")) else None  # aiohttp speaks no SOCKS


class _Resolver(AbstractResolver):
    """Looks names up without asyncio's threads."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> List[ResolveResult]:
        """The addresses of *host*, as aiohttp wants them. Raises `OSError` where there are none."""
        return [
            {
                "hostname": host,
                "host": address[0],
                "port": address[1],
                "family": kind,
                "proto": proto,
                "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            }
            for kind, _, proto, _, address in await addresses_of(host, port, family)
        ]

    async def close(self) -> None:
        """Nothing is held open."""
