"""A stream of a NATS broker as a sink: an event is delivered when a majority of the brokers has it on disk.

A batch is published message by message, and what was acknowledged of it is delivered at once: only the rest is sent
again. The broker drops a second message with the same id for two minutes; beyond that, the header "may be a duplicate"
makes a relay look the event up.
"""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

from honeyhive_litellm._broker.connection import Connection, NotConnectedError
from honeyhive_litellm._broker.message import encoded, encrypted, headers_of
from honeyhive_litellm._broker.names import APPLICATION_INBOX, subject_of
from honeyhive_litellm._broker.publisher import NO_STREAM, Ack, DeniedError, Publisher
from honeyhive_litellm._config.broker import BrokerAccess
from honeyhive_litellm._delivery.sink import LookUp, Result, Verdict
from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher
from honeyhive_litellm._spool.record import Row

from .http_status import LONGEST_PROBE_PAUSE_S, LONGEST_UNREACHABLE_PAUSE_S

MESSAGE_TOO_LARGE = 10054
"""JetStream's error for a message beyond the stream's `max_msg_size`; ours for one beyond `max_payload`."""

_STORE_FAILED = 10077
_LOG_TEXTS = {
    NO_STREAM: "no stream takes the subject now, so that it has no leader or does not exist",
    _STORE_FAILED: "the stream stores nothing more, it may be full; error 10077",
}


class NatsSink:
    """One destination of a broker. See `Sink` for the methods."""

    can_look_up = False
    suspicion = "the address, the login or its permissions are"

    def __init__(
        self, access: BrokerAccess, *, destination: str, project: str, client_name: str, cipher: Cipher = NO_CIPHER
    ) -> None:
        """`client_name` is what the broker's monitoring shows. The `cipher` encrypts what is published."""
        self.name = access.name
        self.remedy = (
            "check broker / HONEYHIVE_BROKER, its login, and that it may publish "
            f"{subject_of(destination)} and subscribe {APPLICATION_INBOX}.>"
        )
        self._subject = subject_of(destination)
        self._project = project
        self._cipher = cipher
        self._connection = Connection(access, name=client_name, inbox_prefix=APPLICATION_INBOX)
        self._publisher: Optional[Publisher] = None

    async def prepare(self, rows: Sequence[Row]) -> Optional[Result]:
        """Connect: while that fails, nothing is marked as being on its way."""
        try:
            await self._connected()
        except NotConnectedError as error:
            return _not_connected(error)
        except DeniedError as error:
            return _denied(error)
        return None

    async def send(self, rows: Sequence[Row], *, may_be_stored: bool = False) -> Result:
        try:
            publisher = await self._connected()
            limit = (await publisher.connect()).max_payload
            messages: List[Tuple[bytes, bytes]] = []
            sent: List[Row] = []
            refused: List[Tuple[Row, Ack]] = []
            for row in rows:
                published = encrypted(row, self._cipher)
                headers = encoded(headers_of(published, self._project, may_be_duplicate=may_be_stored))
                size = len(headers) + len(published.body)
                if size > limit:
                    refused.append((row, Ack(MESSAGE_TOO_LARGE, f"{size} bytes are more than max_payload, {limit}")))
                else:
                    messages.append((headers, published.body))
                    sent.append(row)
            acks = await publisher.publish(self._subject, messages) if messages else []
        except NotConnectedError as error:
            return _not_connected(error)
        except DeniedError as error:
            return _denied(error)
        return _result(sent, acks, refused)

    async def look_up(self, rows: Sequence[Row]) -> LookUp:
        """Find nothing: an application may only publish."""
        return LookUp([], list(rows), None)

    def may_have_stored(self, status: Optional[int]) -> bool:
        return status != MESSAGE_TOO_LARGE

    async def aclose(self) -> None:
        await self._connection.aclose()

    async def _connected(self) -> Publisher:
        if self._publisher is None:
            self._publisher = Publisher(self._connection)
        await self._publisher.connect()
        return self._publisher


def _result(rows: Sequence[Row], acks: Sequence[Optional[Ack]], refused: Sequence[Tuple[Row, Ack]]) -> Result:
    """What came of a batch: `acks` are the answers for `rows`, `refused` are others, which were not sent at all."""
    answered = [(row, ack) for row, ack in zip(rows, acks) if ack is not None]
    stored = tuple(row for row, ack in answered if ack.is_stored)
    too_large = [*refused, *((row, ack) for row, ack in answered if ack.code == MESSAGE_TOO_LARGE)]
    errors = [ack for _, ack in answered if not ack.is_stored and ack.code != MESSAGE_TOO_LARGE]
    unanswered = len(rows) - len(answered)
    if unanswered or errors:
        text = "no acknowledgement in time" if unanswered else _log_text(errors[0])
        return Result(
            Verdict.RETRY,
            ambiguous=unanswered > 0,
            delivered=stored,
            longest_pause_s=LONGEST_UNREACHABLE_PAUSE_S,
            log_text=text,
            status=errors[0].code if errors else None,
            reason=errors[0].text if errors else "",
        )
    if too_large:
        return Result(
            Verdict.REJECT if len(too_large) == 1 else Verdict.SPLIT,
            delivered=stored,
            log_text=f"too large for the broker, error {MESSAGE_TOO_LARGE}",
            status=MESSAGE_TOO_LARGE,
            reason=too_large[0][1].text,
        )
    return Result(Verdict.DELIVERED)


def _log_text(ack: Ack) -> str:
    return _LOG_TEXTS.get(ack.code, f"error {ack.code} of the broker")


def _not_connected(error: NotConnectedError) -> Result:
    if error.is_refused:
        return Result(Verdict.PAUSE, longest_pause_s=LONGEST_PROBE_PAUSE_S, log_text=str(error))
    return Result(Verdict.RETRY, longest_pause_s=LONGEST_UNREACHABLE_PAUSE_S, log_text=str(error))


def _denied(error: DeniedError) -> Result:
    return Result(Verdict.PAUSE, longest_pause_s=LONGEST_PROBE_PAUSE_S, log_text=f"permission denied: {error}")
