"""Which messages are looked up after requests were lost: decisions without a broker."""

from __future__ import annotations

import time
from typing import Sequence

from honeyhive_litellm._relay.leader_changes import LeaderChanges


def picked(changes: LeaderChanges, published_at: Sequence[float]) -> int:
    """How many of these messages may be repeats."""
    return sum(changes.may_be_repeat(each) for each in published_at)


def test_without_a_loss_no_first_delivery_is_a_repeat() -> None:
    assert picked(LeaderChanges(10), [time.time() - 5] * 5) == 0


def test_after_a_loss_all_that_was_published_before_may_be_repeats_and_nothing_later() -> None:
    changes = LeaderChanges(10)
    changes.note_loss()
    noted_at = time.time()
    assert picked(changes, [noted_at - 3600, noted_at - 1, noted_at - 1]) == 3
    assert picked(changes, [noted_at + 3, noted_at + 60]) == 0
    assert picked(changes, [noted_at - 10]) == 1


def test_no_more_than_a_part_of_a_backlog_may_be_repeats_and_a_second_loss_begins_anew() -> None:
    changes = LeaderChanges(3)
    old = time.time() - 60
    changes.note_loss()
    assert picked(changes, [old] * 9) == 3
    changes.note_loss()
    assert picked(changes, [old] * 9) == 3
