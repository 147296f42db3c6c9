from __future__ import annotations

import functools
import json
import signal
from typing import Callable, Iterator, List, Optional, Type

import pytest

from honeyhive_litellm._spool import queue
from honeyhive_litellm._spool.queue import GROUP_BYTES, GROUP_RECORDS, GROUP_UNENCODED, RecordQueue
from honeyhive_litellm._spool.record import CLOSED, EVENT, START, Record
from honeyhive_litellm._stats import Counters


class Draft:
    """An entry whose record `make` returns."""

    def __init__(self, kind: int, make: Callable[[], Optional[Record]]) -> None:
        self.kind = kind
        self.id = "an id"
        self.encode = make


def event(number: int, size: int = 10) -> Record:
    return Record(EVENT, f"e{number}", 1.0, None, json.dumps({"x": "x" * size}).encode())


def taken(entries: RecordQueue) -> List[Record]:
    """A group, as the writer takes and commits it."""
    group = entries.take()
    assert entries.take() == group  # until it is committed
    entries.committed()
    return group


def test_the_order_is_kept_and_an_entry_that_encodes_to_nothing_is_left_out() -> None:
    entries = RecordQueue(Counters())
    first, second, third = (event(number) for number in range(3))
    entries.put(Draft(EVENT, lambda: first))
    entries.put(Draft(START, lambda: None))
    entries.put(second)
    entries.put(Draft(EVENT, lambda: third))
    assert taken(entries) == [first, second, third]
    assert taken(entries) == []


def test_waiting_callers_are_called_once_all_that_they_put_is_committed() -> None:
    entries = RecordQueue(Counters())
    called: List[str] = []
    entries.when_committed(lambda: called.append("nothing to wait for"))
    entries.put(event(0))
    entries.when_committed(lambda: called.append("first"))
    assert called == ["nothing to wait for"]
    entries.take()
    entries.put(event(1))
    entries.when_committed(lambda: called.append("second"))
    entries.committed()
    assert called == ["nothing to wait for", "first"]
    entries.take()
    entries.committed()
    assert called == ["nothing to wait for", "first", "second"]


def test_a_caller_that_gave_up_waiting_is_forgotten() -> None:
    # Else each strict call would leave something behind for as long as a disk hangs.
    entries = RecordQueue(Counters())
    entries.put(event(0))
    called: List[str] = []
    patient, impatient = (functools.partial(called.append, name) for name in ("patient", "impatient"))
    entries.when_committed(impatient)
    entries.when_committed(patient)
    entries.stop_waiting(impatient)
    assert len(entries._waiting) == 1
    entries.take()
    entries.committed()
    entries.stop_waiting(patient)  # too late, and no error
    assert called == ["patient"]


def test_few_entries_are_encoded_for_one_group_and_an_empty_group_means_an_empty_queue() -> None:
    entries = RecordQueue(Counters())
    for number in range(2 * GROUP_UNENCODED):
        entries.put(Draft(EVENT, functools.partial(event, number)))
    for _ in range(2 * GROUP_UNENCODED):
        entries.put(Draft(START, lambda: None))
    last = Record(CLOSED, "last", 1.0, None, b"")
    entries.put(last)
    sizes = []
    group = taken(entries)
    while group:
        sizes.append(len(group))
        final, group = group, taken(entries)
    assert sizes == [GROUP_UNENCODED, GROUP_UNENCODED, 1]
    assert final == [last]


@pytest.mark.parametrize(
    ("count", "size", "expected"), [(GROUP_RECORDS + 5, 10, GROUP_RECORDS), (6, GROUP_BYTES // 4, 4)]
)
def test_a_group_is_bounded_in_records_and_in_bytes(count: int, size: int, expected: int) -> None:
    entries = RecordQueue(Counters())
    for number in range(count):
        entries.put(event(number, size))
    assert [len(taken(entries)), len(taken(entries))] == [expected, count - expected]


def test_a_queue_that_is_full_refuses_until_some_of_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "MAX_BYTES", 100_000)
    monkeypatch.setattr(queue, "GROUP_BYTES", 50_000)
    entries = RecordQueue(Counters())
    accepted = [number for number in range(40) if entries.put(event(number, 10_000))]
    assert accepted == list(range(10))
    assert len(taken(entries)) == 5
    assert entries.put(event(40, 10_000))
    rest = [record.id for record in [*taken(entries), *taken(entries)]]
    assert rest == ["e5", "e6", "e7", "e8", "e9", "e40"]


def test_with_many_entries_waiting_put_encodes_so_that_their_bytes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "MAX_UNENCODED", 3)
    monkeypatch.setattr(queue, "MAX_BYTES", 100_000)
    entries = RecordQueue(Counters())
    encoded: List[int] = []

    def encode(number: int) -> Record:
        encoded.append(number)
        return event(number, 10_000)

    accepted = [n for n in range(40) if entries.put(Draft(EVENT, functools.partial(encode, n)))]
    assert accepted == list(range(14))
    assert encoded == list(range(4, 40))
    assert entries.put(Draft(START, lambda: None))  # it encodes to nothing, and needs no room


def test_a_closed_queue_takes_nothing_more_and_still_gives_what_it_has() -> None:
    entries = RecordQueue(Counters())
    entries.put(event(0))
    entries.close()
    assert not entries.put(event(1))
    assert taken(entries) == [event(0)]


def test_the_wakeup_is_used_once_and_only_while_the_queue_is_empty() -> None:
    entries = RecordQueue(Counters())
    woken: List[int] = []
    assert entries.arm_wakeup(lambda: woken.append(1))
    entries.put(event(0))
    entries.put(event(1))
    assert woken == [1]
    assert not entries.arm_wakeup(lambda: woken.append(2))
    entries.put(event(2))
    assert woken == [1]


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_an_event_that_cannot_be_encoded_is_counted_and_voids_its_start(error: Type[BaseException]) -> None:
    def fail() -> Optional[Record]:
        raise error("words of the call")

    counters = Counters()
    entries = RecordQueue(counters)
    entries.put(event(0))
    entries.put(Draft(EVENT, fail))
    entries.put(Draft(START, fail))
    entries.put(event(1))
    assert [(record.kind, record.id) for record in taken(entries)] == [
        (EVENT, "e0"),
        (CLOSED, "an id"),
        (EVENT, "e1"),
    ]
    assert counters.snapshot().dropped == {"fault": 1}


def test_a_full_queue_still_takes_what_voids_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "MAX_BYTES", 10)
    entries = RecordQueue(Counters())
    void = Record(CLOSED, "e0", 1.0, None, b"")
    assert entries.put(event(0))
    assert not entries.put(event(1))
    assert entries.put(void)
    assert taken(entries) == [event(0), void]


class Interrupt(BaseException):
    """What a signal handler of the application raises, in the frame that happens to run."""


@pytest.fixture
def interrupt() -> Iterator[Callable[[], None]]:
    """Raises as a signal of this moment would."""

    def handler(_number: int, _frame: object) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGINT, handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_of_a_thread_that_encodes_loses_no_entry(
    monkeypatch: pytest.MonkeyPatch, interrupt: Callable[[], None]
) -> None:
    monkeypatch.setattr(queue, "MAX_UNENCODED", 0)
    entries = RecordQueue(Counters())
    entries.put(event(0))
    made = []

    def make() -> Record:
        made.append(1)
        if len(made) == 1:
            interrupt()
        return event(1)

    with pytest.raises(Interrupt):
        entries.put(Draft(EVENT, make))
    assert taken(entries) == [event(0), event(1)]


@pytest.mark.parametrize(("interrupts", "expected"), [(1, [event(1)]), (2, [Record(CLOSED, "an id", 0.0, None, b"")])])
def test_an_entry_is_encoded_once_more_after_an_interrupt_and_lost_if_it_interrupts_each_time(
    interrupt: Callable[[], None], interrupts: int, expected: List[Record]
) -> None:
    counters = Counters()
    entries = RecordQueue(counters)
    made = []

    def make() -> Record:
        made.append(1)
        if len(made) <= interrupts:
            interrupt()
        return event(1)

    entries.put(Draft(EVENT, make))
    assert taken(entries) == expected
    assert counters.snapshot().dropped == ({} if interrupts == 1 else {"fault": 1})
