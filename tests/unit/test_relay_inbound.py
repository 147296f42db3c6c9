"""Which message is sent, which waits as a copy, and which is acknowledged: decisions without a broker."""

from __future__ import annotations

from typing import List, Optional

import pytest

from honeyhive_litellm._relay import inbound
from honeyhive_litellm._relay.inbound import Inbound, Message, Numbers, numbers_in
from honeyhive_litellm._spool.limits import BATCH_BYTES, BATCH_EVENTS
from honeyhive_litellm._spool.record import Row


def message(seq: int, id_: str = "e", *, size: int = 1, is_ambiguous: bool = False) -> Message:
    return Message(f"reply.{seq}", Row(seq, id_, 1.0, None, b"x" * size), "p", is_ambiguous)


def seqs(messages: List[Message]) -> List[int]:
    return [each.row.seq for each in messages]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("$JS.ACK.stream.consumer.3.71.5.1500000000.9", Numbers(71, 3, 1.5)),
        ("$JS.ACK.domain.account.stream.consumer.3.71.5.1500000000.9.token", Numbers(71, 3, 1.5)),
        ("_INBOX.hhapp.1", None),
        ("", None),
        ("$JS.ACK.stream.consumer.three.71.5.0.0", None),
        ("$JS.ACK.short", None),
        ("$JS.ACK.stream.consumer.3.71.5", None),
    ],
)
def test_only_the_reply_subject_of_a_stream_has_numbers(reply: str, expected: Optional[Numbers]) -> None:
    assert numbers_in(reply) == expected


def test_a_message_that_comes_again_while_it_is_in_hand_counts_once() -> None:
    held = Inbound()
    for seq in (1, 1, 2, 2, 3, 2):
        assert held.add(message(seq, size=10)) is None
    assert (held.in_hand, held.waiting, held.copies, held.copies_bytes) == (1, 1, 2, 20)
    assert seqs(list(held.messages())) == [1, 2, 3]


def test_with_a_delivered_event_its_copies_are_acknowledged_and_later_ones_at_once() -> None:
    held = Inbound()
    for seq in (1, 2, 3):
        held.add(message(seq))
    batch = held.take()
    assert batch is not None
    assert seqs(held.settle(batch.messages, are_delivered=True)) == [1, 2, 3]
    assert (held.in_hand, held.copies, held.copies_bytes) == (0, 0, 0)
    late = message(4)
    assert held.add(late) is late
    assert held.take() is None


def test_each_copy_of_a_refused_event_goes_out_after_the_other() -> None:
    held = Inbound()
    for seq in (1, 2, 3):
        held.add(message(seq, size=10))
    for seq, copies in ((1, 1), (2, 0), (3, 0)):
        batch = held.take()
        assert batch is not None and seqs(list(batch.messages)) == [seq]
        assert (batch.ambiguous_since is not None) is (seq > 1)  # the server may have one that it refused
        assert held.take() is None
        assert seqs(held.settle(batch.messages, are_delivered=False)) == [seq]
        assert (held.copies, held.copies_bytes) == (copies, 10 * copies)
    assert held.in_hand == held.waiting == held.waiting_bytes == 0


def test_no_more_delivered_events_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbound, "_REMEMBERED", 2)
    held = Inbound()
    for number in range(3):
        held.add(message(number, f"e{number}"))
    batch = held.take()
    assert batch is not None
    held.settle(batch.messages, are_delivered=True)
    assert [held.add(message(10 + number, f"e{number}")) is not None for number in range(3)] == [False, True, True]


def test_a_batch_has_events_of_one_kind_up_to_its_bounds_and_both_kinds_take_turns() -> None:
    held = Inbound()
    for seq in range(2 * BATCH_EVENTS + 1):
        held.add(message(seq, f"e{seq}", is_ambiguous=seq % 2 == 1))
    sizes = []
    while True:
        batch = held.take()
        if batch is None:
            break
        assert {each.is_ambiguous for each in batch.messages} == {batch.ambiguous_since is not None}
        sizes.append((len(batch.rows), batch.ambiguous_since is not None))
    assert sizes == [(BATCH_EVENTS, True), (BATCH_EVENTS, False), (1, False)]
    for seq in (1001, 1002, 1003):
        held.add(message(seq, f"large{seq}", size=BATCH_BYTES // 2 if seq < 1003 else 2 * BATCH_BYTES))
    assert [len(batch.rows) for batch in (held.take(), held.take()) if batch is not None] == [2, 1]


def test_what_no_batch_has_goes_back_with_all_copies() -> None:
    held = Inbound()
    held.add(message(1, "sent"))
    batch = held.take()
    assert batch is not None
    for seq, id_ in ((2, "sent"), (3, "waits"), (4, "waits")):
        held.add(message(seq, id_))
    assert sorted(seqs(held.give_up_waiting())) == [2, 3, 4]
    assert (held.in_hand, held.waiting, held.copies) == (1, 0, 0)
    assert seqs(held.settle(batch.messages, are_delivered=True)) == [1]
