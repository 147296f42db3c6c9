"""The NATS client with what it lacks.

A TLS address means TLS. A closed connection never waits for its peer. Many messages are sent in one go, and their
answers come without a queue and a task in between: both halve the CPU time of an event.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Callable, Dict, Optional, Sequence, Union
from urllib.parse import ParseResult

from nats.aio.client import PING_PROTO, Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport
from nats.errors import Error

from honeyhive_litellm._aio import addresses_of

_CLOSING_S = 0.5

Taker = Callable[[bytes, bytes, bytes], None]
"""Takes the subject, the body and the headers of a message."""


class BrokerClient(Client):
    """A client for tls:// addresses refuses a server without TLS: nats-py would send it the password in plain text."""

    def __init__(self, *, is_tls: bool) -> None:
        super().__init__()
        self._is_tls = is_tls
        self._transport = _Transport()
        self._takers: Dict[int, Taker] = {}
        self._left_id: object = None
        self._others = 0
        """How many servers are to be tried before the one that was left."""

    @staticmethod
    def _parse_header_lines(raw: bytes) -> Dict[str, str]:
        """Our headers are ASCII and have no spaces in their names. nats-py's own way takes a fifth of a relay's CPU."""
        found = {}
        for line in raw.decode("utf-8", "replace").split("\r\n"):
            name, colon, value = line.partition(":")
            if colon:
                found[name.strip()] = value.strip()
        return found

    async def listen(self, subject: str, taker: Taker) -> Subscription:
        """Subscribe, and have `taker` called with the subject, the body and the headers of each message as it comes."""
        subscription = await self.subscribe(subject, cb=_ignore)
        self._takers[subscription._id] = taker  # noqa: SLF001 - what the server calls it
        return subscription

    async def unlisten(self, subscription: Subscription) -> None:
        """End what `listen` began."""
        self._takers.pop(subscription._id, None)  # noqa: SLF001 - as in `listen`
        if not self.is_closed:
            await subscription.unsubscribe()

    async def send(self, pieces: Sequence[bytes]) -> None:
        """Send these pieces of the protocol, complete commands together."""
        self._pending.extend(pieces)
        self._pending_data_size += sum(map(len, pieces))
        await self._flush_pending()

    async def _send_ping(self, future: Optional[asyncio.Future[bool]] = None) -> None:
        """Send it after what is pending.

        nats-py's ping overtakes that: the denial of a subscription then comes after the answer that is to prove that
        the subscription is permitted.
        """
        self._pongs.append(future or asyncio.Future())
        await self._send_command(PING_PROTO)
        await self._flush_pending()

    async def leave(self) -> None:
        """Reconnect, to another server if there is one."""
        if self.is_connected:
            self._left_id = self._server_info.get("server_id")
            self._others = len(self._server_pool) - 1
            await self.force_reconnect()

    @property
    def is_deaf(self) -> bool:
        """Whether it looks connected and reads nothing: nats-py ends its reading task after an error of its own."""
        return self.is_connected and (self._reading_task is None or self._reading_task.done())

    async def _attempt_reconnect(self) -> None:
        """Go on after any failure.

        nats-py gives up for ever after one that it does not expect, such as the file of a login that is just being
        written, or an answer that is not NATS.
        """
        while not self.is_closed:
            try:
                await super()._attempt_reconnect()
                return
            except Exception as error:
                await self._error_cb(error)
                if not self.is_closed:
                    self._status = Client.RECONNECTING
                await asyncio.sleep(self.options["reconnect_time_wait"])

    async def _process_pong(self) -> None:
        """Let the answer to a ping that nobody waits for any more be one: nats-py's reading task ends by it."""
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.Future()
        await super()._process_pong()

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: Optional[bytes]) -> None:
        taker = self._takers.get(sid)
        if taker is not None:
            taker(subject, data, headers or b"")
        else:
            await super()._process_msg(sid, subject, reply, data, headers)  # type: ignore[arg-type]  # it takes None

    async def _process_info(self, info: Dict[str, Any], initial_connection: bool = False) -> None:
        if initial_connection and self._is_tls:
            if not (info.get("tls_required") or info.get("tls_available")):
                raise Error("nats: the server offers no TLS")
            info["tls_required"] = True
        if initial_connection:
            self._refuse_what_was_left(info.get("server_id"))
        await super()._process_info(info, initial_connection)

    def _refuse_what_was_left(self, server_id: object) -> None:
        """A server has several addresses in the pool if it advertises another one than it is configured with."""
        if self._others > 0 and server_id == self._left_id:
            self._others -= 1
            raise Error("nats: the server that was left")
        self._others = 0


class _Transport(TcpTransport):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __bool__(self) -> bool:
        return True  # else the client replaces it: a transport that is not connected is false there

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        """Connect anew. An attempt that failed half-way, as at a server that is stopped, leaves its socket open."""
        self._abort()
        found = await asyncio.wait_for(addresses_of(uri.hostname or "", uri.port or 0), connect_timeout)
        for index, (*_, (address, *_rest)) in enumerate(found):
            netloc = f"[{address}]:{uri.port}" if ":" in address else f"{address}:{uri.port}"
            try:
                await super().connect(uri._replace(netloc=netloc), buffer_size, connect_timeout)
            except (OSError, asyncio.TimeoutError):
                if index + 1 == len(found):
                    raise
            else:
                return

    async def connect_tls(
        self, uri: Union[str, ParseResult], ssl_context: ssl.SSLContext, buffer_size: int, connect_timeout: int
    ) -> None:
        """Go on with TLS on the connection that there is."""
        assert self._io_writer is not None
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=buffer_size)
        protocol = _TlsProtocol(reader)
        hostname = uri if isinstance(uri, str) else uri.hostname
        starting = loop.start_tls(self._io_writer.transport, protocol, ssl_context, server_hostname=hostname)
        transport = await asyncio.wait_for(starting, connect_timeout)
        assert transport is not None
        self._io_reader, self._io_writer = reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def wait_closed(self) -> None:
        """Wait until what was written is sent, but not for ever: a peer that is stopped reads nothing any more."""
        if self._io_writer is None:
            return
        try:
            await asyncio.wait_for(self._io_writer.wait_closed(), _CLOSING_S)
        except asyncio.TimeoutError:
            pass  # else it would count as the reason why there is no connection, instead of what came before
        finally:
            self._abort()

    def _abort(self) -> None:
        if self._io_writer is not None:
            self._io_writer.transport.abort()


class _TlsProtocol(asyncio.StreamReaderProtocol):
    def eof_received(self) -> bool:
        """Let the connection close. With the base's answer asyncio logs a warning whenever a server closes it."""
        super().eof_received()
        return False


async def _ignore(_message: Msg) -> None:
    pass
