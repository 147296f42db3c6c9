"""One connection to a broker that comes back by itself, for one event loop."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Callable, Optional

from nats.errors import AuthorizationError, StaleConnectionError

from honeyhive_litellm._config.broker import BrokerAccess

from .client import BrokerClient

CONNECT_TIMEOUT_S = 5.0
"""How long a caller waits for a connection. The attempts go on meanwhile and afterwards."""

_ATTEMPT_TIMEOUT_S = 2
_RETRY_S = 0.25
_PING_EVERY_S = 5
_MAX_PINGS = 2
_PONG_TIMEOUT_S = 1.0
_CANCELLING_S = 0.1
_CLOSING_S = 1.0
_LOST = "connection lost"
_DENIED = "permissions violation"
_NO_LOGIN = ("authorization violation", "authentication", "account")


class NotConnectedError(Exception):
    """There is no connection now. The text says why, without anything that the server wrote."""

    def __init__(self, reason: str, *, is_refused: bool) -> None:
        """`is_refused`: the broker is there and does not accept the login, so that waiting alone does not help."""
        super().__init__(reason)
        self.is_refused = is_refused


class _LoginError(Exception):
    """The files of the login or of the certificates cannot be used; the text says which."""


class Connection:
    """Connects when first used, and again, for ever, whatever ends the connection. Used on one event loop.

    `denial` is the newest operation that the broker did not permit: its only sign, besides this, is an answer that
    never comes. `forget_denial` before an attempt that may work by now.
    """

    def __init__(self, access: BrokerAccess, *, name: str, inbox_prefix: str) -> None:
        """`name` is what the broker's monitoring shows. Nothing is connected yet."""
        self._access = access
        self._name = name
        self._inbox_prefix = inbox_prefix
        self._client: Optional[BrokerClient] = None
        self._connecting: Optional[asyncio.Future[None]] = None
        self._changed = asyncio.Event()
        self._failure: Optional[Exception] = None
        self._is_closed = False
        self.denial: Optional[str] = None
        self.on_trouble: Callable[[], None] = _nothing
        """Called when the connection is lost and when an operation is denied."""

    @property
    def servers(self) -> str:
        """The addresses, for a message."""
        return self._access.name

    @property
    def is_connected(self) -> bool:
        return self._client is not None and self._client.is_connected

    def forget_denial(self) -> None:
        self.denial = None

    async def client(self, timeout_s: float = CONNECT_TIMEOUT_S) -> BrokerClient:
        """A connected client. It is another object after the broker has closed a connection for good.

        Subscriptions survive a reconnect and belong to their client: subscribe again when the object changes. Raises
        NotConnectedError after `timeout_s`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        has_started = False
        while not self._is_closed:
            client = self._client
            if client is not None and client.is_connected:
                return client
            if client is None and has_started:
                break  # it cannot even try: a file of the login or of the certificates is missing or wrong
            if client is None or (client.is_closed and not self._is_connecting):
                self._start_connecting()
                has_started = True
            self._changed.clear()
            alarm = loop.call_at(deadline, self._changed.set)
            try:
                await self._changed.wait()
            finally:
                alarm.cancel()
            if loop.time() >= deadline and not self.is_connected:
                break
        raise NotConnectedError(_words(self._failure), is_refused=_is_refused(self._failure))

    @property
    def _is_connecting(self) -> bool:
        return self._connecting is not None and not self._connecting.done()

    async def check(self) -> None:
        """Leave a server that does not answer a ping: it may be stopped, with its connection still open."""
        client = self._client
        if client is None or not client.is_connected:
            return
        reconnects = client.stats["reconnects"]
        try:
            await client.flush(_PONG_TIMEOUT_S)  # type: ignore[arg-type]  # it takes any number
            is_alive = not client.is_deaf  # then `flush` waits for nothing
        except Exception:
            is_alive = False
        if not is_alive and client.stats["reconnects"] == reconnects:  # else another check has left it meanwhile
            await client.leave()

    async def leave(self) -> None:
        """Go to another server, if the broker has one."""
        if self._client is not None:
            await self._client.leave()

    async def aclose(self) -> None:
        """Close the connection. Idempotent."""
        self._is_closed = True
        self._changed.set()
        connecting, self._connecting = self._connecting, None
        while connecting is not None and not connecting.done():
            connecting.cancel()  # again: nats-py swallows a cancellation that comes while it flushes
            await asyncio.wait([connecting], timeout=_CANCELLING_S)
        client, self._client = self._client, None
        if client is not None:
            try:
                await asyncio.wait_for(client.close(), _CLOSING_S)
            except asyncio.TimeoutError:
                pass  # the server hangs and reads nothing any more

    def _start_connecting(self) -> None:
        self._client = client = BrokerClient(is_tls=self._access.is_tls)
        self._connecting = asyncio.ensure_future(self._connect(client))

    async def _connect(self, client: BrokerClient) -> None:
        access = self._access
        try:
            _check_files(access)
            await client.connect(
                list(access.servers),
                name=self._name,
                user=access.user,
                password=access.password,
                user_credentials=None if access.credentials is None else str(access.credentials),
                nkeys_seed=None if access.nkey is None else str(access.nkey),
                tls=_tls_context(access),
                inbox_prefix=self._inbox_prefix,
                connect_timeout=_ATTEMPT_TIMEOUT_S,
                max_reconnect_attempts=-1,
                reconnect_time_wait=_RETRY_S,  # type: ignore[arg-type]  # it takes any number
                ping_interval=_PING_EVERY_S,
                max_outstanding_pings=_MAX_PINGS,
                # Nothing is buffered while disconnected, and a publish never waits for the socket: the window of
                # unacknowledged messages is what bounds the memory.
                pending_size=0,
                error_cb=self._note_error,
                disconnected_cb=self._note_loss,
                reconnected_cb=self._note_change,
                closed_cb=self._note_change,
            )
        except asyncio.CancelledError:
            raise
        except Exception as error:  # it is of our side: a failure of the network is tried again for ever
            self._failure = error if isinstance(error, _LoginError) else _LoginError(type(error).__name__)
            self._client = None
        else:
            self._failure = None
        self._changed.set()

    async def _note_error(self, error: Exception) -> None:
        if _DENIED in str(error).lower():
            self.denial = _denied_words(str(error))
            self.on_trouble()
        elif not (_is_refused(self._failure) and _words(error) == _LOST):
            self._failure = error  # the end of a connection that was refused says less than the refusal

    async def _note_loss(self) -> None:
        self._changed.set()
        self.on_trouble()

    async def _note_change(self) -> None:
        self._changed.set()


def _nothing() -> None:
    pass


def _check_files(access: BrokerAccess) -> None:
    """Read them once: the client reads a file during the handshake, where its absence looks like a lost connection."""
    files = {"broker_credentials": access.credentials, "broker_nkey": access.nkey, "broker_ca": access.ca}
    for option, path in files.items():
        try:
            if path is not None:
                path.read_bytes()
        except OSError as error:
            raise _LoginError(f"the file of {option} cannot be read: {error.strerror}") from None


def _tls_context(access: BrokerAccess) -> Optional[ssl.SSLContext]:
    if not access.is_tls and access.ca is None:
        return None
    return ssl.create_default_context(cafile=None if access.ca is None else str(access.ca))


def _denied_words(text: str) -> str:
    """`publish to "honeyhive.events.default"` out of `nats: permissions violation for publish to "..."`."""
    return text.lower().partition("violation for ")[2].strip("'\" ") + '"'


def _is_refused(failure: Optional[Exception]) -> bool:
    text = str(failure).lower()
    return isinstance(failure, (AuthorizationError, ssl.SSLError, _LoginError)) or any(
        word in text for word in _NO_LOGIN
    )


def _words(failure: Optional[Exception]) -> str:
    """What happened, in a few words of a closed list."""
    if failure is None:
        return "no connection in time"
    if isinstance(failure, _LoginError):
        return str(failure)
    if isinstance(failure, ssl.SSLError):
        return "TLS failed"
    if _is_refused(failure):
        return "the broker refuses the login"
    if isinstance(failure, socket.gaierror):
        return "the name cannot be resolved"
    if isinstance(failure, ConnectionRefusedError):
        return "connection refused"
    if isinstance(failure, asyncio.TimeoutError):
        return "no answer in time"
    if "no tls" in str(failure).lower():
        return "the server offers no TLS"
    if isinstance(failure, (OSError, StaleConnectionError)):
        return _LOST
    return type(failure).__name__
