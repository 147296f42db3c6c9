from __future__ import annotations

from typing import List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive_litellm._spool.ranges import SENDING, SETTLED, Span, Spans


def span(lo: int, hi: int, state: int = SETTLED) -> Span:
    return Span(lo, hi, state, hi - lo + 1, 0.0)


def test_settled_neighbours_melt_into_one_row() -> None:
    spans = Spans([span(1, 10)])
    change = spans.mark(span(11, 20))
    assert change == (1, 20, (Span(1, 20, SETTLED, 20, 0.0),))
    assert spans.settled_events() == 20


def test_a_batch_between_two_settled_ones_closes_the_gap_when_it_is_settled() -> None:
    spans = Spans([span(1, 10), span(11, 20, SENDING), span(21, 30)])
    assert spans.mark(span(11, 20)) == (1, 30, (Span(1, 30, SETTLED, 30, 0.0),))


def test_a_span_that_is_on_its_way_does_not_melt() -> None:
    spans = Spans([span(1, 10)])
    assert spans.mark(span(11, 20, SENDING)) == (11, 20, (span(11, 20, SENDING),))
    assert spans.sending() == [span(11, 20, SENDING)]


def test_a_split_batch_becomes_two_spans_on_their_way() -> None:
    spans = Spans([span(1, 10, SENDING)])
    halves = [span(1, 5, SENDING), span(6, 10, SENDING)]
    assert spans.replace((1, 10), halves) == (1, 10, tuple(halves))
    assert spans.sending() == halves


def test_a_span_may_not_cut_through_another() -> None:
    spans = Spans([span(1, 10)])
    with pytest.raises(ValueError, match=r"5\.\.12 cuts through"):
        spans.mark(span(5, 12))


@pytest.mark.parametrize(
    ("spans", "after", "last", "expected"),
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
def test_the_next_gap(spans: List[Tuple[int, int]], after: int, last: int, expected: Tuple[int, int]) -> None:
    assert Spans([span(lo, hi) for lo, hi in spans]).gap(after, last) == expected


@given(st.permutations(list(range(12))), st.lists(st.integers(1, 5), min_size=12, max_size=12))
def test_batches_settled_in_any_order_end_as_one_span_and_the_table_follows(
    order: List[int], lengths: List[int]
) -> None:
    spans = Spans()
    table = {}
    batches = []
    lo = 1
    for length in lengths:
        batches.append(span(lo, lo + length - 1, SENDING))
        lo += length
    for batch in batches:
        spans.mark(batch)
        table[batch.lo] = batch
    for index in order:
        change = spans.mark(batches[index]._replace(state=SETTLED))
        table = {k: v for k, v in table.items() if not change.lo <= k <= change.hi}
        table.update({s.lo: s for s in change.spans})
    assert list(table.values()) == [span(1, lo - 1)]
    assert spans.gap(0, lo - 1) is None
    assert spans.settled_events() == lo - 1
