"""How much the spool may hold, and when a segment is full."""

from __future__ import annotations

from typing import Optional

import pytest

from honeyhive_litellm._spool.limits import SEGMENT_BYTES, Ceiling, Limits

MB = 2**20


@pytest.mark.parametrize(
    ("max_bytes", "full_segment_bytes", "expected"),
    [(2**30, None, SEGMENT_BYTES), (64 * MB, None, 16 * MB), (2**30, 5 * MB, 5 * MB), (8 * MB, 5 * MB, 2 * MB)],
)
def test_a_segment_is_at_most_a_quarter_of_the_spool(
    max_bytes: int, full_segment_bytes: Optional[int], expected: int
) -> None:
    assert Limits(max_bytes=max_bytes, full_segment_bytes=full_segment_bytes).segment_bytes == expected


def test_events_expire_beyond_the_age_and_segments_rotate_four_times_as_often() -> None:
    limits = Limits(max_age_s=100.0)
    assert [limits.is_over_age(age) for age in (99.0, 100.0, 101.0)] == [False, False, True]
    assert [limits.rotation_due(age) for age in (24.0, 25.0, 26.0)] == [False, False, True]
    forever = Limits(max_age_s=0.0)
    assert not forever.is_over_age(1e9) and not forever.rotation_due(1e9)


def test_a_disk_that_others_fill_stops_the_spool_from_growing_until_there_is_space_again() -> None:
    ceiling = Ceiling(Limits(max_bytes=1024 * MB, min_free_bytes=100))
    assert (ceiling.bytes, ceiling.reason) == (1024 * MB, "capacity")
    ceiling.update(200 * MB, 99)
    assert (ceiling.bytes, ceiling.reason) == (200 * MB, "disk")
    ceiling.update(150 * MB, 98)
    assert ceiling.bytes == 200 * MB, "the size when the shortage began"
    ceiling.update(150 * MB, 100)
    assert (ceiling.bytes, ceiling.reason) == (1024 * MB, "capacity")


def test_a_small_spool_may_grow_to_16_mb_on_a_full_disk() -> None:
    ceiling = Ceiling(Limits(max_bytes=1024 * MB, min_free_bytes=100))
    ceiling.update(3 * MB, 0)
    assert ceiling.bytes == 16 * MB


def test_a_full_disk_raises_no_limit() -> None:
    ceiling = Ceiling(Limits(max_bytes=8 * MB, min_free_bytes=100))
    ceiling.update(3 * MB, 0)
    assert (ceiling.bytes, ceiling.reason) == (8 * MB, "disk")


def test_free_space_that_cannot_be_determined_is_no_shortage() -> None:
    ceiling = Ceiling(Limits(max_bytes=1024 * MB, min_free_bytes=100))
    ceiling.update(200 * MB, None)
    assert (ceiling.bytes, ceiling.reason) == (1024 * MB, "capacity")
