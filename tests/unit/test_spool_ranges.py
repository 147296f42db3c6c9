from __future__ import annotations

from typing import List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive_litellm._spool.ranges import SENDING, SETTLED, RangeSet, SeqRange


def seq_range(lo: int, hi: int, state: int = SETTLED) -> SeqRange:
    return SeqRange(lo, hi, state, hi - lo + 1, 0.0)


def test_adjacent_settled_ranges_merge_into_one_row() -> None:
    ranges = RangeSet([seq_range(1, 10)])
    change = ranges.mark(seq_range(11, 20))
    assert change == (1, 20, (SeqRange(1, 20, SETTLED, 20, 0.0),))
    assert ranges.settled_events() == 20


def test_a_batch_between_two_settled_ranges_merges_with_both_when_it_is_settled() -> None:
    ranges = RangeSet([seq_range(1, 10), seq_range(11, 20, SENDING), seq_range(21, 30)])
    assert ranges.mark(seq_range(11, 20)) == (1, 30, (SeqRange(1, 30, SETTLED, 30, 0.0),))


def test_settled_ranges_with_unsent_records_between_them_stay_apart() -> None:
    ranges = RangeSet([seq_range(1, 10), seq_range(40, 50)])
    assert ranges.mark(seq_range(20, 30)) == (20, 30, (seq_range(20, 30),))
    assert ranges.unsettled(50) == [(11, 19), (31, 39)]


def test_a_range_that_is_being_sent_does_not_merge() -> None:
    ranges = RangeSet([seq_range(1, 10)])
    assert ranges.mark(seq_range(11, 20, SENDING)) == (11, 20, (seq_range(11, 20, SENDING),))
    assert ranges.sending() == [seq_range(11, 20, SENDING)]


def test_a_split_batch_becomes_two_ranges_that_are_being_sent() -> None:
    ranges = RangeSet([seq_range(1, 10, SENDING)])
    halves = [seq_range(1, 5, SENDING), seq_range(6, 10, SENDING)]
    assert ranges.replace((1, 10), halves) == (1, 10, tuple(halves))
    assert ranges.sending() == halves


def test_a_range_may_not_cut_through_another() -> None:
    ranges = RangeSet([seq_range(1, 10)])
    with pytest.raises(ValueError, match=r"5\.\.12 cuts through"):
        ranges.mark(seq_range(5, 12))


@pytest.mark.parametrize(
    ("covered", "after", "last", "expected"),
    [
        ([], 0, 0, None),
        ([], 0, 5, (1, 5)),
        ([(1, 5)], 0, 5, None),
        ([(1, 5)], 0, 9, (6, 9)),
        ([(3, 5)], 0, 9, (1, 2)),
        ([(3, 5)], 2, 9, (6, 9)),
        ([(3, 5)], 6, 9, (7, 9)),
        ([(2, 3), (5, 6)], 1, 9, (4, 4)),
        ([(2, 9)], 5, 9, None),
    ],
)
def test_the_next_unsent_records(
    covered: List[Tuple[int, int]], after: int, last: int, expected: Tuple[int, int]
) -> None:
    assert RangeSet([seq_range(lo, hi) for lo, hi in covered]).next_unsent(after, last) == expected


@given(st.permutations(list(range(12))), st.lists(st.integers(1, 5), min_size=12, max_size=12))
def test_batches_settled_in_any_order_end_as_one_range_and_the_table_follows(
    order: List[int], lengths: List[int]
) -> None:
    ranges = RangeSet()
    table = {}
    batches = []
    lo = 1
    for length in lengths:
        batches.append(seq_range(lo, lo + length - 1, SENDING))
        lo += length
    for batch in batches:
        ranges.mark(batch)
        table[batch.lo] = batch
    for index in order:
        change = ranges.mark(batches[index]._replace(state=SETTLED))
        table = {k: v for k, v in table.items() if not change.lo <= k <= change.hi}
        table.update({r.lo: r for r in change.ranges})
        assert ranges.settled_events() == sum(r.events for r in table.values() if r.state == SETTLED)
        assert [(r.lo, r.hi) for r in ranges.sending()] == sorted(
            (r.lo, r.hi) for r in table.values() if r.state != SETTLED
        )
    assert list(table.values()) == [seq_range(1, lo - 1)]
    assert ranges.next_unsent(0, lo - 1) is None
    assert ranges.settled_events() == lo - 1


@pytest.mark.parametrize(
    ("covered", "last", "expected"),
    [
        ([], 0, []),
        ([], 3, [(1, 3)]),
        ([(1, 3)], 3, []),
        ([(2, 3), (6, 6)], 9, [(1, 1), (4, 5), (7, 9)]),
        ([(1, 2), (5, 9)], 9, [(3, 4)]),
    ],
)
def test_the_unsettled_records(covered: List[Tuple[int, int]], last: int, expected: List[Tuple[int, int]]) -> None:
    ranges = [seq_range(lo, hi, SETTLED) for lo, hi in covered]
    assert RangeSet(ranges).unsettled(last) == expected
