"""The broker, for `--connect`: its login, and whether an event would be stored and acknowledged. Stores nothing."""

from __future__ import annotations

from typing import List, Optional

from honeyhive_litellm._broker.connection import Connection, NotConnectedError
from honeyhive_litellm._broker.names import APPLICATION_INBOX, stream_of, subject_of
from honeyhive_litellm._broker.publisher import NO_STREAM, DeniedError, Publisher
from honeyhive_litellm._config.broker import BrokerAccess

from .finding import Finding, ok, problem

_PUBLISHES = "broker.publishes"


async def check_broker(access: BrokerAccess, destination: str, key_id: Optional[bytes]) -> List[Finding]:
    """Connect and log in, then publish a message that the stream refuses and answers.

    `key_id`: of the key that encrypts the events, None without one.
    """
    connection = Connection(access, name="honeyhive-litellm doctor", inbox_prefix=APPLICATION_INBOX)
    try:
        try:
            await connection.client()
        except NotConnectedError as error:
            remedy = "Check the login." if error.is_refused else "Check broker, the firewall and the DNS."
            return [problem("broker.reachable", f"No connection to {access.name}: {error}", remedy)]
        reached = ok("broker.reachable", f"{access.name} answers{' with TLS' if access.is_tls else ', without TLS'}")
        findings = [reached, await _publishes(Publisher(connection), destination)]
        if key_id is not None:
            text = f"Events are published encrypted, with the key {key_id.hex()}; the relays need it"
            findings.append(ok("broker.encrypted", text))
        return findings
    finally:
        await connection.aclose()


async def _publishes(publisher: Publisher, destination: str) -> Finding:
    try:
        refusal = await publisher.probe(subject_of(destination))
    except DeniedError as error:
        remedy = f"Permit publish on {subject_of(destination)} and subscribe on {APPLICATION_INBOX}.>."
        return problem(_PUBLISHES, f"The broker denies {error}", remedy)
    except NotConnectedError as error:
        return problem(_PUBLISHES, f"The connection was lost: {error}", "Try again.")
    if refusal is None:
        return ok(_PUBLISHES, f"The stream {stream_of(destination)} answers; events will be acknowledged")
    if refusal.code == NO_STREAM:
        remedy = f"Check broker_destination, and that `honeyhive-litellm relay init` made {stream_of(destination)}."
        return problem(_PUBLISHES, f"No stream takes {subject_of(destination)} now", remedy)
    return problem(_PUBLISHES, f"The broker answers {refusal.text}, {refusal.code}", "Ask who runs the broker.")
