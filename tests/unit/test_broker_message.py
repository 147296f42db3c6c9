"""Events as messages: nothing of a row is lost on the way, and the size is what a broker counts."""

from __future__ import annotations

import pytest

from honeyhive_litellm._broker import names
from honeyhive_litellm._broker.message import headers_of, received, size_of
from honeyhive_litellm._spool.record import Row

SESSION = "0e8a3f52-5d0e-4f0a-8a54-0d6a2f6a3a11 "


@pytest.mark.parametrize("session", [None, SESSION + "plain", SESSION + "  Größe\r\nNats-Msg-Id: x % 日本 "])
@pytest.mark.parametrize("may_be_duplicate", [False, True])
def test_a_row_comes_out_as_it_went_in(session: str, may_be_duplicate: bool) -> None:
    row = Row(7, "id-1", 1700000000123.25, session, b'{"event_id":"id-1"}')
    headers = headers_of(row, "Projekt ä:b", may_be_duplicate=may_be_duplicate)
    assert received(7, headers, row.body) == (row, "Projekt ä:b", may_be_duplicate)
    assert all(name.isascii() and value.isascii() and value.isprintable() for name, value in headers.items())


def test_only_the_id_is_a_header_of_the_broker() -> None:
    row = Row(1, "id-1", 0.0, SESSION + "name", b"{}")
    headers = headers_of(row, "p", may_be_duplicate=True)
    assert [name for name in headers if name.lower().startswith("nats-")] == [names.MESSAGE_ID]


@pytest.mark.parametrize("headers", [None, {}, {names.PROJECT: "p"}, {names.MESSAGE_ID: "a", names.STARTED: "soon"}])
def test_a_foreign_message_is_refused(headers: object) -> None:
    with pytest.raises(ValueError):
        received(1, headers, b"{}")  # type: ignore[arg-type]


def test_the_size_is_that_on_the_wire() -> None:
    headers = {"A": "bc", "Nats-Msg-Id": "x"}
    assert size_of(headers, b"12345") == len(b"NATS/1.0\r\nA: bc\r\nNats-Msg-Id: x\r\n\r\n12345")
