"""The arithmetic that distinguishes a poison event from an outage."""

from __future__ import annotations

import pytest

from honeyhive_litellm._delivery.poison import MAX_CHANCE, POISON_ATTEMPTS, PoisonEvidence, final_verdict
from honeyhive_litellm._delivery.sink import Result, Verdict

MAYBE = Result(Verdict.RETRY, may_be_event=True)


def failing(evidence: PoisonEvidence, times: int, *, others_per_failure: int, may_be_event: bool = True) -> int:
    """Let a batch fail so often, while others are delivered in between; the number of those."""
    deliveries = evidence.deliveries_at_start
    for _ in range(times):
        evidence.note_failure(deliveries, may_be_event=may_be_event)
        deliveries += others_per_failure
    return deliveries


def test_failures_in_an_outage_are_no_evidence() -> None:
    evidence = PoisonEvidence()
    deliveries = failing(evidence, 1000, others_per_failure=0)
    assert (evidence.blamable_failures, evidence.contradictions, evidence.lone_failures) == (1000, 0, 0)
    assert evidence.chance(deliveries, 0) == 1.0


def test_the_first_failure_contradicts_nothing_and_the_second_does_if_another_batch_went_out_in_between() -> None:
    evidence = PoisonEvidence()
    evidence.note_failure(0, may_be_event=True)
    assert (evidence.contradictions, evidence.lone_failures) == (0, 0)
    evidence.note_failure(1, may_be_event=True)
    assert (evidence.contradictions, evidence.lone_failures, evidence.lone_blamable_failures) == (1, 1, 1)
    evidence.note_failure(1, may_be_event=True)  # nothing was delivered in between
    assert (evidence.contradictions, evidence.lone_failures, evidence.lone_blamable_failures) == (1, 2, 2)


def test_a_failure_that_cannot_be_the_events_fault_is_not_held_against_them() -> None:
    evidence = PoisonEvidence()
    failing(evidence, 5, others_per_failure=1, may_be_event=False)
    assert (evidence.contradictions, evidence.lone_failures) == (4, 4)
    assert (evidence.blamable_failures, evidence.lone_blamable_failures) == (0, 0)


def test_one_contradiction_may_be_an_accident() -> None:
    evidence = PoisonEvidence()
    deliveries = failing(evidence, 2, others_per_failure=100)
    assert evidence.contradictions == 1
    assert evidence.chance(deliveries, 0) == 1.0


def test_the_chance_is_the_others_share_of_failures_to_the_power_of_the_own_ones() -> None:
    evidence = PoisonEvidence(deliveries_at_start=50, failures_at_start=7, own_failures=3)
    deliveries = failing(evidence, 4, others_per_failure=5)
    assert evidence.lone_blamable_failures == 3
    # 20 deliveries of others since, and 12 - 7 - 3 = 2 failures of others
    assert evidence.chance(deliveries, 12) == pytest.approx(((2 + 1) / (2 + 20 + 1)) ** 3)


def test_an_event_that_fails_while_all_others_are_delivered_is_poison_after_ten_failures() -> None:
    evidence = PoisonEvidence()
    deliveries = failing(evidence, POISON_ATTEMPTS, others_per_failure=1)
    chance = evidence.chance(deliveries, 0)
    assert chance < MAX_CHANCE
    assert final_verdict(MAYBE, 1, evidence.blamable_failures, chance) is Verdict.REJECT
    assert final_verdict(MAYBE, 1, evidence.blamable_failures - 1, chance) is Verdict.RETRY


def test_where_most_requests_fail_ten_failures_are_chance() -> None:
    evidence = PoisonEvidence()
    deliveries = failing(evidence, POISON_ATTEMPTS, others_per_failure=1)
    chance = evidence.chance(deliveries, 3 * deliveries)
    assert chance > MAX_CHANCE
    assert final_verdict(MAYBE, 1, evidence.blamable_failures, chance) is Verdict.RETRY


def test_a_batch_is_split_at_its_second_failure_whatever_the_chance() -> None:
    assert final_verdict(MAYBE, 2, 1, 0.0) is Verdict.RETRY
    assert final_verdict(MAYBE, 2, 2, 1.0) is Verdict.SPLIT


@pytest.mark.parametrize("verdict", [Verdict.DELIVERED, Verdict.REJECT, Verdict.SPLIT])
def test_a_final_verdict_of_the_server_stands(verdict: Verdict) -> None:
    assert final_verdict(Result(verdict, may_be_event=True), 1, 99, 0.0) is verdict


@pytest.mark.parametrize("verdict", [Verdict.RETRY, Verdict.PAUSE])
def test_what_cannot_be_the_events_fault_waits_for_ever(verdict: Verdict) -> None:
    assert final_verdict(Result(verdict), 1, 10**6, 0.0) is verdict
    assert final_verdict(Result(verdict), 100, 10**6, 0.0) is verdict
