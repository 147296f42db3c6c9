from __future__ import annotations

from honeyhive_litellm._delivery.backoff import BackOff


def test_waits_double_from_half_a_second_to_a_minute() -> None:
    back_off = BackOff(draw=lambda: 1.0)
    assert [back_off.seconds(n) for n in range(1, 10)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert back_off.seconds(10**9) == 60


def test_a_pause_may_be_shortened_but_never_below_what_the_server_asks_for() -> None:
    back_off = BackOff(draw=lambda: 1.0)
    assert [back_off.seconds(n, longest_s=5.0) for n in (1, 4, 99)] == [0.5, 4, 5]
    assert back_off.seconds(1, 30.0, 5.0) == 30.5


def test_jitter_is_full() -> None:
    assert BackOff(draw=lambda: 0.0).seconds(5) == 0
    assert BackOff(draw=lambda: 0.25).seconds(5) == 2


def test_a_wait_is_never_shorter_than_the_server_asks_nor_than_the_own_back_off() -> None:
    assert BackOff(draw=lambda: 0.0).seconds(1, 30.0) == 30
    assert BackOff(draw=lambda: 1.0).seconds(1, 30.0) == 30.5
    assert BackOff(draw=lambda: 1.0).seconds(8, 30.0) == 60
    assert BackOff(draw=lambda: 1.0).seconds(3, 0.0) == 2
