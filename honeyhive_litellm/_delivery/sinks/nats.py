"""A stream of a NATS broker as a sink: an event is delivered when a majority of the brokers has it on disk.

A batch is published message by message, and what was acknowledged of it is delivered at once: only the rest is sent
again. The broker drops a second message with the same id for two minutes; beyond that, the header "may be a duplicate"
makes a relay look the event up.

While nobody answers for the stream, no batch is sent: a small message that no stream stores asks whether somebody does
again.
"""

from __future__ import annotations

import time
from typing import List, Optional, Sequence, Tuple

from honeyhive_litellm._broker.connection import Connection, NotConnectedError
from honeyhive_litellm._broker.message import encoded, encrypted, headers_of
from honeyhive_litellm._broker.names import APPLICATION_INBOX, subject_of
from honeyhive_litellm._broker.publisher import ACK_TIMEOUT_S, NO_STREAM, UNANSWERED, Ack, DeniedError, Publisher
from honeyhive_litellm._broker.silence import Silence
from honeyhive_litellm._config.broker import BrokerAccess
from honeyhive_litellm._delivery.sink import LookUp, Result, Verdict
from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher
from honeyhive_litellm._spool.record import Row

from .http_status import LONGEST_PROBE_PAUSE_S, LONGEST_UNREACHABLE_PAUSE_S

MESSAGE_TOO_LARGE = 10054
"""JetStream's error for a message beyond the stream's `max_msg_size`; ours for one beyond `max_payload`."""

_LONGEST_ELECTION_PAUSE_S = 0.5
_ELECTION_PROBE_TIMEOUT_S = 1.0
"""Short: what is asked before there is a leader again may go to the one that hangs or is cut off."""

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
        self._silence = Silence()
        self._is_denied = False

    async def prepare(self, rows: Sequence[Row]) -> Optional[Result]:
        """Connect, and probe a stream that was silent or denied. While that fails, nothing is marked as being sent."""
        try:
            publisher = await self._connected()
            if self._silence.has_begun or self._is_denied:
                if self._silence.leaves_server():
                    await self._connection.leave()
                refusal = await publisher.probe(self._subject, self._probe_timeout_s)
                if refusal is not None and (refusal.code == NO_STREAM or refusal is UNANSWERED):
                    return _silent(refusal, self._longest_pause_s)
        except NotConnectedError as error:
            self._silence.end()  # of the stream: nobody knows
            return _not_connected(error)
        except DeniedError as error:
            return _denied(error, is_ambiguous=False)
        self._is_denied = False
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
            published_at = time.monotonic()
            acks = await publisher.publish(self._subject, messages) if messages else []
        except NotConnectedError as error:
            return _not_connected(error)
        except DeniedError as error:
            self._is_denied = True
            return _denied(error, is_ambiguous=error.may_be_stored)
        if any(map(_is_of_a_leader, acks)):
            self._silence.end()
        elif acks:
            self._silence.begin(published_at)
        return _result(sent, acks, refused, self._longest_pause_s)

    @property
    def _longest_pause_s(self) -> float:
        return _LONGEST_ELECTION_PAUSE_S if self._silence.may_be_election else LONGEST_UNREACHABLE_PAUSE_S

    @property
    def _probe_timeout_s(self) -> float:
        return _ELECTION_PROBE_TIMEOUT_S if self._silence.may_be_election else ACK_TIMEOUT_S

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


def _is_of_a_leader(ack: Optional[Ack]) -> bool:
    """Other answers come from one that is cut off as well, such as that a message is "in process" (10158)."""
    return ack is not None and (ack.is_stored or ack.code in (_STORE_FAILED, MESSAGE_TOO_LARGE))


def _result(
    rows: Sequence[Row], acks: Sequence[Optional[Ack]], refused: Sequence[Tuple[Row, Ack]], longest_pause_s: float
) -> Result:
    """What came of a batch: `acks` are the answers for `rows`, `refused` are others, which were not sent at all."""
    answered = [(row, ack) for row, ack in zip(rows, acks) if ack is not None]
    stored = tuple(row for row, ack in answered if ack.is_stored)
    too_large = [*refused, *((row, ack) for row, ack in answered if ack.code == MESSAGE_TOO_LARGE)]
    errors = [ack for _, ack in answered if not ack.is_stored and ack.code != MESSAGE_TOO_LARGE]
    unanswered = len(rows) - len(answered)
    if unanswered or errors:
        text = _log_text(UNANSWERED if unanswered else errors[0])
        return Result(
            Verdict.RETRY,
            ambiguous=unanswered > 0,
            delivered=stored,
            longest_pause_s=longest_pause_s,
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
    if ack is UNANSWERED:
        return ack.text
    return _LOG_TEXTS.get(ack.code, f"error {ack.code} of the broker")


def _silent(refusal: Ack, longest_pause_s: float) -> Result:
    return Result(
        Verdict.RETRY,
        longest_pause_s=longest_pause_s,
        log_text=_log_text(refusal),
        status=None if refusal is UNANSWERED else refusal.code,
        reason=refusal.text,
    )


def _not_connected(error: NotConnectedError) -> Result:
    if error.is_refused:
        return Result(Verdict.PAUSE, longest_pause_s=LONGEST_PROBE_PAUSE_S, log_text=str(error))
    return Result(Verdict.RETRY, longest_pause_s=LONGEST_UNREACHABLE_PAUSE_S, log_text=str(error))


def _denied(error: DeniedError, *, is_ambiguous: bool) -> Result:
    text = f"permission denied: {error}"
    return Result(Verdict.PAUSE, is_ambiguous, longest_pause_s=LONGEST_PROBE_PAUSE_S, log_text=text)
