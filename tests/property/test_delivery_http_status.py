"""What holds for every reply and every list of events."""

from __future__ import annotations

from typing import Optional

from hypothesis import given
from hypothesis import strategies as st

from honeyhive_litellm._delivery.sinks.http_status import (
    WAITING,
    BackOff,
    Reply,
    Verdict,
    classify,
    is_ambiguous,
    may_be_the_events,
    parse_retry_after,
)

bodies = st.one_of(st.text(max_size=50), st.sampled_from(['{"success": false}', '{"success":true}', "<html>"]))
replies = st.builds(
    Reply,
    status=st.one_of(st.none(), st.integers(100, 599)),
    body=bodies,
    retry_after_s=st.one_of(st.none(), st.floats(0, 3600)),
    error=st.one_of(st.none(), st.just("dropped")),
    was_sent=st.booleans(),
)
sizes = st.integers(1, 100)
attempts = st.integers(1, 1000)
chances = st.floats(0, 1)


@given(replies, sizes, attempts)
def test_only_a_success_delivers_and_nothing_delivered_is_ambiguous(
    reply: Reply, batch_size: int, attempt: int
) -> None:
    if classify(reply, batch_size, attempt) is Verdict.DELIVERED:
        assert reply.status in range(200, 205)
        assert not is_ambiguous(reply)


@given(replies, sizes, attempts, chances)
def test_only_a_batch_is_split_and_only_a_single_event_is_rejected(
    reply: Reply, batch_size: int, attempt: int, chance: float
) -> None:
    verdict = classify(reply, batch_size, attempt, chance)
    assert verdict is not Verdict.SPLIT or batch_size > 1
    assert verdict is not Verdict.REJECT or batch_size == 1


@given(replies, sizes, attempts, chances)
def test_repetition_changes_only_a_failure_for_which_the_events_may_be_to_blame(
    reply: Reply, batch_size: int, attempt: int, chance: float
) -> None:
    first, later = classify(reply, batch_size), classify(reply, batch_size, attempt, chance)
    if first is not later:
        assert first in WAITING
        assert may_be_the_events(reply)
        assert later is (Verdict.SPLIT if batch_size > 1 else Verdict.REJECT)


@given(replies, st.integers(1, 10**6))
def test_no_number_of_failures_alone_makes_a_dead_letter_of_an_event_in_an_outage(reply: Reply, attempt: int) -> None:
    assert classify(reply, 1, attempt) is classify(reply, 1)


@given(replies)
def test_what_certainly_never_left_is_no_fault_of_the_events(reply: Reply) -> None:
    assert reply.status is not None or reply.was_sent or not may_be_the_events(reply)


@given(st.one_of(st.none(), st.text(max_size=60), st.from_regex(r"\d{1,20}", fullmatch=True)), st.floats(0, 1e11))
def test_any_retry_after_gives_a_bounded_wait_or_none(value: Optional[str], now: float) -> None:
    seconds = parse_retry_after(value, now)
    assert seconds is None or 0 <= seconds <= 3600


@given(replies, attempts, st.floats(0, 1))
def test_every_wait_is_bounded_and_honours_the_server(reply: Reply, attempt: int, draw: float) -> None:
    asked = reply.retry_after_s or 0.0
    wait = BackOff(draw=lambda: draw).seconds(attempt, reply)
    assert asked <= wait <= max(60.0, asked + 0.5)
