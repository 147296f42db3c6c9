"""The address of a broker: what it may be, and that a refusal shows nothing of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from honeyhive_litellm._config.broker import BrokerAccess, is_destination


def test_servers_have_ports_and_no_login() -> None:
    access = BrokerAccess.of("nats://us%40er:p%3Aw@n1, n2:4223,nats://n1:4222,[::1]:99")
    assert access.servers == ("nats://n1:4222", "nats://n2:4223", "nats://[::1]:99")
    assert (access.user, access.password, access.is_tls) == ("us@er", "p:w", False)
    assert "p:w" not in repr(access) and "us@er" not in repr(access) and "us@er" not in access.name


def test_tls_holds_for_all() -> None:
    access = BrokerAccess.of("tls://n1,n2", ca=Path("ca.pem"))
    assert access.is_tls and access.servers == ("tls://n1:4222", "tls://n2:4222")


@pytest.mark.parametrize(
    "address",
    [
        "",
        " , ",
        "http://secret",
        "nats://",
        "nats://secret:port",
        "nats://secret:99999",
        "nats://secret@n1",
        "nats://u:secret@n1,nats://u:other@n2",
        "nats://secret,tls://n2",
        "nats://secret/path",
        "nats://secret?x=1",
    ],
)
def test_a_refusal_shows_no_secret(address: str) -> None:
    with pytest.raises(ValueError) as refusal:
        BrokerAccess.of(address)
    assert "secret" not in str(refusal.value)


def test_there_is_one_login() -> None:
    with pytest.raises(ValueError, match="credentials file"):
        BrokerAccess.of("nats://u:p@n1", credentials=Path("c"))
    with pytest.raises(ValueError, match="nkey"):
        BrokerAccess.of("nats://n1", credentials=Path("c"), nkey=Path("n"))


@pytest.mark.parametrize("name", ["default", "team-a", "a_1", "0"])
def test_destinations(name: str) -> None:
    assert is_destination(name)


@pytest.mark.parametrize("name", ["", "Team", "a.b", "a*", "dead", "-a", "a b", "x" * 65, "ä"])
def test_names_that_no_destination_may_have(name: str) -> None:
    assert not is_destination(name)
