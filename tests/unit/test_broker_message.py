"""Events as messages: nothing of a row is lost on the way, and the size is what a broker counts."""

from __future__ import annotations

import pytest

from honeyhive_litellm._broker import names
from honeyhive_litellm._broker.message import decrypted, encoded, encrypted, headers_of, received
from honeyhive_litellm._errors import DamagedBodyError, UnknownKeyError
from honeyhive_litellm._privacy.cipher import KEY_BYTES, NO_CIPHER, Cipher
from honeyhive_litellm._spool.record import Row

SESSION = "0e8a3f52-5d0e-4f0a-8a54-0d6a2f6a3a11 "


@pytest.mark.parametrize("session", [None, SESSION + "plain", SESSION + "  Größe\r\nNats-Msg-Id: x % 日本 "])
@pytest.mark.parametrize("may_be_duplicate", [False, True])
def test_a_row_comes_out_as_it_went_in(session: str, may_be_duplicate: bool) -> None:
    row = Row(7, "id-1", 1700000000123.25, session, b'{"event_id":"id-1"}')
    headers = headers_of(row, "Projekt ä:b", may_be_duplicate=may_be_duplicate)
    assert received(7, headers, row.body) == (row, "Projekt ä:b", may_be_duplicate)
    assert all(name.isascii() and value.isascii() and value.isprintable() for name, value in headers.items())


@pytest.mark.parametrize("id_", ["id-1", "a\r\nB: c"])
@pytest.mark.parametrize("session", [None, SESSION + "  Größe\r\n"])
def test_an_encrypted_row_comes_out_as_it_went_in_and_its_headers_show_the_id_and_the_project_alone(
    id_: str, session: str
) -> None:
    old, new = Cipher([bytes(KEY_BYTES)]), Cipher([bytes(range(KEY_BYTES)), bytes(KEY_BYTES)])
    row = Row(7, id_, 1700000000123.25, session, b'{"event_id":"id-1"}')
    for cipher in (old, new):
        published = encrypted(row, cipher)
        headers = headers_of(published, "p", may_be_duplicate=False)
        assert set(headers) == {names.MESSAGE_ID, names.PROJECT}
        found = received(7, headers, published.body)
        assert decrypted(found.row, new)._replace(id=id_) == row
        with pytest.raises(UnknownKeyError):
            decrypted(found.row, NO_CIPHER)
        for changed in (
            found.row._replace(id="id-2"),
            found.row._replace(body=found.row.body[:-1] + bytes([found.row.body[-1] ^ 1])),
            found.row._replace(body=found.row.body[:40]),
            found.row._replace(body=cipher.seal("id-1", 1, b"another kind")),
        ):
            with pytest.raises(DamagedBodyError):
                decrypted(changed, new)
    assert decrypted(row, new) is row and encrypted(row, NO_CIPHER) is row


def test_only_the_id_is_a_header_of_the_broker() -> None:
    row = Row(1, "id-1", 0.0, SESSION + "name", b"{}")
    headers = headers_of(row, "p", may_be_duplicate=True)
    assert [name for name in headers if name.lower().startswith("nats-")] == [names.MESSAGE_ID]


@pytest.mark.parametrize("headers", [None, {}, {names.PROJECT: "p"}, {names.MESSAGE_ID: "a", names.STARTED: "soon"}])
def test_a_foreign_message_is_refused(headers: object) -> None:
    with pytest.raises(ValueError):
        received(1, headers, b"{}")  # type: ignore[arg-type]


def test_headers_are_encoded_as_they_are_sent() -> None:
    assert encoded({"A": "bc", "Nats-Msg-Id": "x"}) == b"NATS/1.0\r\nA: bc\r\nNats-Msg-Id: x\r\n\r\n"


def test_an_id_cannot_end_its_header() -> None:
    headers = encoded(headers_of(Row(1, "a\r\nB: c", 0.0, None, b"{}"), "p", may_be_duplicate=False))
    assert b"\r\nB:" not in headers
