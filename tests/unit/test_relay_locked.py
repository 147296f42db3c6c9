"""Messages whose key is missing: they come again, but not often, and whoever may publish cannot fill memory or logs."""

from __future__ import annotations

import time

import pytest

from honeyhive_litellm._relay.locked import LONGEST_DELAY_S, LockedMessages


def test_a_message_comes_again_ever_later_and_counts_until_another_relay_must_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    messages = LockedMessages()
    assert [messages.add(7, deliveries) for deliveries in (1, 2, 3, 4, 5, 6, 7)] == [2, 4, 8, 16, 32, 60, 60]
    assert messages.add(8, 10**9) == LONGEST_DELAY_S and messages.add(9, 1) == 2
    assert messages.count() == 3
    now += 7  # the third, which was to be here after 2 s, has been delivered
    assert messages.count() == 2
    now += 3 * LONGEST_DELAY_S
    assert messages.count() == 0


def test_each_missing_key_is_named_once_and_of_invented_ones_a_few() -> None:
    messages = LockedMessages()
    assert messages.is_new_key([b"a"]) and not messages.is_new_key([b"a"]) and messages.is_new_key([b"b"])
    named = sum(messages.is_new_key([b"%d" % number]) for number in range(1000))
    assert named == 18
