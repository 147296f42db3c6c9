"""When requests may be made, and what is logged when that changes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import List

import pytest

from honeyhive_litellm import _log
from honeyhive_litellm._delivery.backoff import BackOff
from honeyhive_litellm._delivery.circuit_breaker import WORKERS, CircuitBreaker
from honeyhive_litellm._delivery.sink import Result, Verdict
from honeyhive_litellm._delivery.sinks.honeyhive import HoneyHiveSink
from honeyhive_litellm._stats import Counters

from ..waiting import let_others_run, until_on_loop

URL = "https://hive.example"
OK = Result(Verdict.DELIVERED)
DOWN = Result(Verdict.RETRY, log_text="HTTP 503")
REFUSED = Result(Verdict.PAUSE, log_text="HTTP 401")


class Bench:
    """A breaker, its numbers, and how many pauses it computed."""

    def __init__(self, pause_s: float = 0.0) -> None:
        _log.reset()
        self.pauses = 0
        self.counters = Counters()
        sink = HoneyHiveSink(URL, "hh_key", project="p", source="test", timeout_s=1.0)  # which connects to nothing
        self.breaker = CircuitBreaker(
            sink, self.counters, BackOff(pause_s, pause_s, self._draw), events_stay_in="the spool"
        )

    def _draw(self) -> float:
        self.pauses += 1
        return 1.0

    async def record(self, result: Result, *, is_delivery: bool = True, is_suspect: bool = False) -> None:
        async with self.breaker.slot() as round_number:
            self.breaker.record_result(result, round_number, is_delivery=is_delivery, is_suspect=is_suspect)


async def test_so_many_requests_run_side_by_side_and_the_next_waits() -> None:
    breaker = Bench().breaker
    release = asyncio.Event()
    inside: List[int] = []

    async def request() -> None:
        async with breaker.slot() as round_number:
            inside.append(round_number)
            await release.wait()

    tasks = [asyncio.ensure_future(request()) for _ in range(WORKERS + 1)]
    await until_on_loop(lambda: len(inside) == WORKERS)
    await asyncio.sleep(0)
    assert len(inside) == WORKERS
    release.set()
    await asyncio.gather(*tasks)
    assert len(inside) == WORKERS + 1


async def test_a_failure_opens_it_and_then_one_request_at_a_time_probes() -> None:
    bench = Bench()
    at_once = most_at_once = probes = 0

    async def probe() -> None:
        nonlocal at_once, most_at_once, probes
        async with bench.breaker.slot() as round_number:
            probes += 1
            at_once += 1
            most_at_once = max(most_at_once, at_once)
            await asyncio.sleep(0)
            bench.breaker.record_result(DOWN, round_number, is_delivery=False, is_suspect=False)
            at_once -= 1

    await bench.record(DOWN)
    assert bench.breaker.is_open
    await asyncio.gather(*(probe() for _ in range(10)))
    assert (probes, most_at_once, bench.breaker.failures) == (10, 1, 11)


async def test_one_that_waits_for_a_slot_when_it_opens_becomes_a_probe() -> None:
    bench = Bench()
    async with contextlib.AsyncExitStack() as stack:
        slots = [await stack.enter_async_context(bench.breaker.slot()) for _ in range(WORKERS)]
        waiting = asyncio.ensure_future(bench.record(OK))
        await asyncio.sleep(0)
        bench.breaker.record_result(DOWN, slots[0], is_delivery=False, is_suspect=False)
        assert (waiting.done(), bench.breaker.is_open) == (False, True)
    await asyncio.wait_for(waiting, 10)
    assert (bench.breaker.is_open, bench.breaker.deliveries) == (False, 1)


async def test_requests_that_started_together_and_fail_together_are_one_failure() -> None:
    bench = Bench()

    async def fail_with_the_others() -> None:
        async with bench.breaker.slot() as round_number:
            together.append(None)
            await until_on_loop(lambda: len(together) == WORKERS)
            bench.breaker.record_result(DOWN, round_number, is_delivery=False, is_suspect=False)

    together: List[None] = []
    await asyncio.gather(*(fail_with_the_others() for _ in range(WORKERS)))
    assert (bench.breaker.failures, bench.pauses) == (WORKERS, 1)


async def test_the_failure_of_a_suspect_counts_and_opens_nothing() -> None:
    bench = Bench()
    await bench.record(DOWN, is_suspect=True)
    assert (bench.breaker.is_open, bench.breaker.failures, bench.counters.last_error) == (False, 1, None)
    await bench.record(DOWN)
    await bench.record(DOWN, is_suspect=True)  # while it is open a suspect is a probe like any other
    assert (bench.breaker.is_open, bench.pauses) == (True, 2)


async def test_a_success_closes_it_and_counts_if_something_was_delivered() -> None:
    bench = Bench()
    await bench.record(DOWN)
    await bench.record(OK, is_delivery=False)  # a look-up that found all of the batch
    assert (bench.breaker.is_open, bench.breaker.deliveries) == (False, 0)
    await bench.record(Result(Verdict.REJECT), is_delivery=False)  # an answer, too
    await bench.record(OK)
    assert bench.breaker.deliveries == 1


async def test_a_pause_is_waited_for_unless_a_caller_waits_for_delivery() -> None:
    bench = Bench(pause_s=3600.0)
    await bench.record(DOWN)
    probe = asyncio.ensure_future(bench.record(OK))
    await let_others_run()
    assert not probe.done()
    bench.breaker.probe_now()
    await asyncio.wait_for(probe, 10)
    assert not bench.breaker.is_open


async def test_a_pause_ends_by_itself() -> None:
    bench = Bench(pause_s=0.1)
    began = time.monotonic()
    await bench.record(DOWN)
    await asyncio.wait_for(bench.record(OK), 10)
    assert time.monotonic() - began >= 0.1


async def test_retry_after_is_honoured_by_those_in_a_hurry_and_by_successes_of_earlier_requests() -> None:
    bench = Bench()
    began = time.monotonic()
    async with bench.breaker.slot() as early:
        await bench.record(Result(Verdict.RETRY, retry_after_s=0.3))
        bench.breaker.record_result(OK, early, is_delivery=True, is_suspect=False)
    assert (bench.breaker.is_open, bench.breaker.deliveries) == (True, 1)
    bench.breaker.probe_now()
    await asyncio.wait_for(bench.record(OK), 10)
    assert time.monotonic() - began >= 0.3
    assert not bench.breaker.is_open


async def test_a_success_wakes_those_that_wait_for_the_pause() -> None:
    bench = Bench(pause_s=3600.0)
    async with bench.breaker.slot() as early:
        await bench.record(DOWN)
        waiting = asyncio.ensure_future(bench.record(OK))
        await let_others_run()
        bench.breaker.record_result(OK, early, is_delivery=True, is_suspect=False)
    await asyncio.wait_for(waiting, 10)
    assert bench.breaker.deliveries == 2


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (
            DOWN,
            f"{URL} takes no events now (HTTP 503); they stay in the spool and are sent again until it does",
        ),
        (
            REFUSED,
            (
                f"{URL} answers HTTP 401, so the key or the address is wrong: check api_key / HONEYHIVE_API_KEY and "
                "api_url / HONEYHIVE_API_URL (a key works at one of HoneyHive's addresses: https://api.honeyhive.ai or "
                "https://api.dp1.us.honeyhive.ai). All events stay in the spool and go out once it works"
            ),
        ),
    ],
)
async def test_the_second_failure_is_logged_once_and_so_is_its_end(
    result: Result, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench()
    await bench.record(result)
    assert bench.counters.snapshot().last_error == sentence
    assert caplog.messages == []  # a single failure may be an accident
    for _ in range(5):
        await bench.record(result)
    assert caplog.messages == [f"honeyhive: {sentence}"]
    await bench.record(OK)
    assert bench.counters.snapshot().last_error is None
    assert caplog.messages[1:] == [f"honeyhive: {URL} takes events again"]
