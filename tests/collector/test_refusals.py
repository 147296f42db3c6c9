"""What the delivery page remembers of refused requests."""

from __future__ import annotations

from honeyhive_litellm.collector._refusals import _KINDS_KEPT, Refusals


def test_the_kinds_that_were_not_seen_for_longest_are_forgotten() -> None:
    refusals = Refusals()
    refusals.add("POST", "/v1/events", 401, "no key", 0.0)
    for number in range(2 * _KINDS_KEPT):
        refusals.add("GET", f"/{number}" + "x" * 1000, 404, "y" * 1000, float(number))
        if number % 100 == 0:
            refusals.add("POST", "/v1/events", 401, "no key", float(number))
    kept = refusals.newest_first()
    assert len(kept) == _KINDS_KEPT
    assert [kept[0].path[:4], kept[0].last_ms] == ["/399", 399.0]
    assert [(k.requests, k.last_ms) for k in kept if k.status == 401] == [(5, 300.0)]
    assert max(len(k.path) + len(k.reason) for k in kept) == 300
