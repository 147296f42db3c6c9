"""How long a stream may be silent before another server is asked."""

from __future__ import annotations

from hypothesis import given, strategies

from honeyhive_litellm._broker.silence import ELECTION_S, FIRST_LEAVE_S, LONGEST_STAY_S, Silence


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_without_a_silence_no_server_is_left() -> None:
    clock = Clock()
    silence = Silence(clock)
    clock.now += 1e6
    found = (silence.has_begun, silence.lasts_s, silence.may_be_election, silence.leaves_server())
    assert found == (False, 0, False, False)


def test_it_may_be_an_election_for_some_seconds_from_its_beginning() -> None:
    clock = Clock()
    silence = Silence(clock)
    silence.begin(clock.now)
    clock.now += ELECTION_S - 1
    silence.begin(clock.now)
    found = [silence.may_be_election]
    clock.now += 1
    found.append(silence.may_be_election)
    silence.end()
    silence.begin(clock.now)
    found.append(silence.may_be_election)
    assert found == [True, False, True]


@given(strategies.floats(0.01, 5), strategies.integers(0, 2000))
def test_servers_are_left_after_times_that_double_up_to_a_minute(tick_s: float, ticks: int) -> None:
    clock = Clock()
    silence = Silence(clock)
    silence.begin(clock.now)
    left = []
    for _ in range(ticks):
        clock.now += tick_s
        if silence.leaves_server():
            left.append(clock.now - 1000.0)
    assert bool(left) == (clock.now - 1000.0 >= FIRST_LEAVE_S)
    for earlier, later in zip([FIRST_LEAVE_S / 2, *left], left):
        due = earlier + min(earlier, LONGEST_STAY_S)
        assert due - 1e-6 <= later <= due + tick_s + 1e-6
    silence.end()
    silence.begin(clock.now)
    clock.now += FIRST_LEAVE_S
    assert silence.leaves_server()
