"""Which messages are looked up after requests were lost: decisions without a broker."""

from __future__ import annotations

from typing import List

from honeyhive_litellm._relay.leader_changes import LeaderChanges


def picked(changes: LeaderChanges, first: int, last: int, behind: int) -> List[int]:
    """Those of these messages that may be repeats; behind the first of them are so many."""
    return [seq for seq in range(first, last + 1) if changes.may_be_repeat(seq, behind - (seq - first))]


def test_without_a_loss_no_first_delivery_is_a_repeat() -> None:
    assert picked(LeaderChanges(10), 1, 5, 4) == []


def test_after_a_loss_all_that_was_in_the_stream_then_may_be_repeats() -> None:
    changes = LeaderChanges(10)
    changes.note_loss()
    assert picked(changes, 7, 12, 3) == [7, 8, 9, 10]


def test_no_more_than_a_part_of_a_backlog_may_be_repeats_and_a_second_loss_begins_anew() -> None:
    changes = LeaderChanges(3)
    changes.note_loss()
    assert picked(changes, 1, 9, 100) == [1, 2, 3]
    changes.note_loss()
    assert picked(changes, 10, 19, 5) == [10, 11, 12]


def test_what_is_published_later_is_no_repeat_and_what_comes_late_still_is() -> None:
    changes = LeaderChanges(10)
    changes.note_loss()
    assert changes.may_be_repeat(20, 0)
    assert not changes.may_be_repeat(21, 5)
    assert changes.may_be_repeat(19, 7)
