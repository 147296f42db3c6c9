"""What holds for every reply and every history of failures."""

from __future__ import annotations

from typing import List, Optional

from hypothesis import given
from hypothesis import strategies as st

from honeyhive_litellm._delivery.backoff import BackOff
from honeyhive_litellm._delivery.poison import PoisonEvidence, final_verdict
from honeyhive_litellm._delivery.sink import WAITING, Verdict
from honeyhive_litellm._delivery.sinks.http_status import Reply, parse_retry_after, result_of

texts = st.one_of(st.text(max_size=50), st.sampled_from(['{"success": false}', '{"success":true}', "<html>"]))
replies = st.builds(
    Reply,
    status=st.one_of(st.none(), st.integers(100, 599)),
    body=texts,
    retry_after_s=st.one_of(st.none(), st.floats(0, 3600)),
    error=st.one_of(st.none(), st.just("dropped")),
    was_sent=st.booleans(),
)
sizes = st.integers(1, 100)
failures = st.integers(1, 1000)
chances = st.floats(0, 1)


@given(replies, sizes, failures)
def test_only_a_success_delivers_and_nothing_delivered_is_ambiguous(reply: Reply, events: int, count: int) -> None:
    result = result_of(reply, events)
    if final_verdict(result, events, count) is Verdict.DELIVERED:
        assert reply.status in range(200, 205)
        assert not result.ambiguous


@given(replies, sizes, failures, chances)
def test_only_a_batch_is_split_and_only_a_single_event_is_rejected(
    reply: Reply, events: int, count: int, chance: float
) -> None:
    verdict = final_verdict(result_of(reply, events), events, count, chance)
    assert verdict is not Verdict.SPLIT or events > 1
    assert verdict is not Verdict.REJECT or events == 1


@given(replies, sizes, failures, chances)
def test_repetition_changes_only_a_failure_for_which_the_events_may_be_to_blame(
    reply: Reply, events: int, count: int, chance: float
) -> None:
    result = result_of(reply, events)
    later = final_verdict(result, events, count, chance)
    if result.verdict is not later:
        assert result.verdict in WAITING
        assert result.may_be_event
        assert later is (Verdict.SPLIT if events > 1 else Verdict.REJECT)


@given(replies, st.integers(1, 10**6))
def test_no_number_of_failures_alone_makes_a_dead_letter_of_an_event_in_an_outage(reply: Reply, count: int) -> None:
    evidence = PoisonEvidence()
    for _ in range(min(count, 100)):
        evidence.note_failure(0, may_be_event=True)
    result = result_of(reply, 1)
    assert final_verdict(result, 1, count, evidence.chance(0, 0)) is result.verdict


@given(replies)
def test_what_certainly_never_left_is_no_fault_of_the_events(reply: Reply) -> None:
    assert reply.status is not None or reply.was_sent or not result_of(reply, 1).may_be_event


@given(st.lists(st.booleans(), max_size=50), st.integers(0, 1000), st.integers(0, 1000))
def test_the_chance_is_a_probability(others_went_out: List[bool], delivered: int, failed: int) -> None:
    evidence = PoisonEvidence()
    deliveries = 0
    for went_out in others_went_out:
        deliveries += went_out
        evidence.note_failure(deliveries, may_be_event=True)
    assert 0.0 <= evidence.chance(deliveries + delivered, failed) <= 1.0


@given(st.one_of(st.none(), st.text(max_size=60), st.from_regex(r"\d{1,20}", fullmatch=True)), st.floats(0, 1e11))
def test_any_retry_after_gives_a_bounded_wait_or_none(value: Optional[str], now: float) -> None:
    seconds = parse_retry_after(value, now)
    assert seconds is None or 0 <= seconds <= 3600


@given(failures, st.one_of(st.none(), st.floats(0, 3600)), st.floats(0, 1))
def test_every_wait_is_bounded_and_honours_the_server(
    attempt: int, retry_after_s: Optional[float], draw: float
) -> None:
    least_s = retry_after_s or 0.0
    wait_s = BackOff(draw=lambda: draw).seconds(attempt, retry_after_s)
    assert least_s <= wait_s <= max(60.0, least_s + 0.5)
