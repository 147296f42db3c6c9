"""Whether repeated failures lie in the events or in the server: pure arithmetic.

A poison event is one that the server fails on every time. Nothing in a single failure distinguishes it from an outage,
and an outage must not fill the dead letters. What does distinguish it: other batches are delivered meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .sink import WAITING, Result, Verdict

POISON_ATTEMPTS = 10
"""A single event becomes a dead letter at the earliest after so many failures that may be its fault ..."""

MAX_CHANCE = 1e-6
"""... and only if an innocent event would fail as often with less than this probability."""

_MIN_CONTRADICTIONS = 2


@dataclass
class PoisonEvidence:
    """What one batch's failures say about its events, compared with what became of other batches meanwhile.

    `deliveries` and `failures` in the arguments are the circuit breaker's running totals over all batches.
    """

    blamable_failures: int = 0
    """Failures that may lie in the events. The halves of a split batch inherit it as 0 or 1."""
    contradictions: int = 0
    """Failures between which and the previous one another batch was delivered: the server was up."""
    lone_failures: int = 0
    """Failures since the first contradiction, that one included."""
    lone_blamable_failures: int = 0
    """Those of `lone_failures` that may lie in the events."""
    own_failures: int = 0
    """How many of the breaker's failures are this batch's own."""
    deliveries_at_start: int = 0
    failures_at_start: int = 0
    deliveries_at_last_failure: Optional[int] = None

    def note_failure(self, deliveries: int, *, may_be_event: bool) -> None:
        """Note that the batch failed when so many deliveries had succeeded."""
        before, self.deliveries_at_last_failure = self.deliveries_at_last_failure, deliveries
        self.contradictions += before is not None and before < deliveries
        is_lone = self.contradictions > 0
        self.lone_failures += is_lone
        if may_be_event:
            self.blamable_failures += 1
            self.lone_blamable_failures += is_lone

    def chance(self, deliveries: int, failures: int) -> float:
        """The probability that events no worse than the others would have failed as often as these."""
        if self.contradictions < _MIN_CONTRADICTIONS:
            return 1.0
        delivered = deliveries - self.deliveries_at_start
        failed = failures - self.failures_at_start - self.own_failures
        return float(((failed + 1) / (failed + delivered + 1)) ** self.lone_blamable_failures)


def final_verdict(result: Result, events: int, blamable_failures: int = 1, chance: float = 1.0) -> Verdict:
    """What becomes of a batch of so many events after so many failures that may lie in them, this one included.

    A batch that fails again is split: perhaps the server crashes on one event or a firewall refuses it, or all
    together are too much. A single event waits, or is rejected if `chance` says that the server alone fails on it.
    """
    if result.verdict in WAITING and result.may_be_event:
        if events > 1 and blamable_failures > 1:
            return Verdict.SPLIT
        if events == 1 and blamable_failures >= POISON_ATTEMPTS and chance < MAX_CHANCE:
            return Verdict.REJECT
    return result.verdict
