"""LiteLLM calls, made on command: what the processes do that `_callers.py` starts.

A command is a line of JSON, and so is the answer. Between two commands the process waits, with its loop standing still.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional

from _common import CHILD_TIMEOUT_S, PROSE, Json
from _noop import noop_logger

CONFIGURATIONS: Dict[str, Optional[Json]] = {
    "bare": None,
    "noop": None,
    "honeyhive": {},
    "least durable": None,
    "honeyhive, no in-flight records": {"capture_in_flight": False},
    "honeyhive, backend down": {},
}
"""By name: the options of `honeyhive_litellm.init`, None where it is not called. The fourth is `_least_durable.py`."""

LOOPS = ("asyncio", "uvloop", "sync")
"""What calls are made on: one of two event loops, or none: `litellm.completion` from threads."""

WARM_UP = 50
SETTLE_S = 1.3
"""What LiteLLM and we do in this time after the calls counts as their cost. The flusher waits less to fill a batch."""

TICK_S = 0.002
PACE_S = 0.01
PACED = 0
"""As the number of calls in flight: one call every `PACE_S`, however long each takes."""

SHUTDOWN_S = 1.0


class Load(NamedTuple):
    """What is measured: question and answer together have `kb` KB, and `at_once` calls are in flight."""

    kb: int
    at_once: int

    @property
    def name(self) -> str:
        return f"{self.kb} KB, " + (f"{self.at_once} in flight" if self.at_once else f"{1 / PACE_S:g} calls/s")


def child(job: Json) -> None:
    """Run commands until the standard input is closed."""
    if job["core"] is not None:
        os.sched_setaffinity(0, {job["core"]})
    if job["loop"] == "uvloop":
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    import litellm
    from litellm.integrations.custom_logger import CustomLogger

    if job["configuration"] == "noop":
        litellm.callbacks = [noop_logger(CustomLogger)]
    elif job["configuration"] == "least durable":
        from _least_durable import LeastDurableLogger

        litellm.callbacks = [LeastDurableLogger(job["folder"])]
    options = CONFIGURATIONS[job["configuration"]]
    hook_timer = None
    if options is not None:
        import honeyhive_litellm

        if job["times_hooks"]:
            from _hook_timer import HookTimer

            hook_timer = HookTimer(honeyhive_litellm.HoneyHiveLogger)
        where = {"api_url": job["url"], "spool_path": job["folder"], "shutdown_timeout": SHUTDOWN_S}
        honeyhive_litellm.init(api_key="hh_bench", project="bench", **{**where, **options, **job["options"]})
    calls = _Calls(is_recorded=options is not None, is_down=job["is_down"], hook_timer=hook_timer)
    if job["loop"] == "sync":
        _run_sync(calls)
    else:
        asyncio.run(_run_on_a_loop(calls))


def _run_sync(calls: _Calls) -> None:
    with ThreadPoolExecutor(32) as pool:
        for line in sys.stdin:
            command = json.loads(line)
            block = _Block()
            calls.make_sync(command, block, pool)
            block.returned()
            for wait_s in calls.settle(block):
                time.sleep(wait_s)
            print(json.dumps(block.result()), flush=True)


async def _run_on_a_loop(calls: _Calls) -> None:
    for line in sys.stdin:  # the loop waits as well
        command = json.loads(line)
        result = await getattr(calls, command.pop("do"))(**command)
        print(json.dumps(result), flush=True)


class _Block:
    """What some calls take, all threads together."""

    def __init__(self) -> None:
        # A full collection looks at all of LiteLLM's half a million objects for a fifth of a second, in one block and
        # not in the next. Right after one no other is due for long.
        gc.collect()
        self.latencies: List[float] = []
        self.late: List[float] = []
        self.committed_s: Optional[float] = None
        self.polling_s = 0.0
        self.wall = time.perf_counter()
        self._own = _own_cpu_s()
        self._cpu = time.process_time()

    def returned(self) -> None:
        """The last call has returned to its caller."""
        self.wall = time.perf_counter() - self.wall

    def result(self) -> Json:
        """What the calls took, in seconds.

        CPU of all threads until now, without the polling whether all is done, and of our own threads; the time until
        the last call had returned; each call's latency; how late a task was that wants to run every `TICK_S`.
        """
        return {
            "cpu_s": time.process_time() - self._cpu - self.polling_s,
            "own_cpu_s": _own_cpu_s() - self._own,
            "wall_s": self.wall,
            "latencies_s": self.latencies,
            "late_s": self.late,
            "committed_s": self.committed_s,
        }


class _Calls:
    """The commands; each but `make_sync` is a coroutine that returns the reply."""

    def __init__(self, *, is_recorded: bool, is_down: bool, hook_timer: Any = None) -> None:
        self._is_recorded = is_recorded
        self._is_down = is_down
        self._hook_timer = hook_timer
        self._made = 0

    async def calls(self, kb: int, at_once: int, count: int) -> Json:
        """Make the calls, and wait until all of them is done, delivered or, with the backend down, committed."""
        block = _Block()
        ticker = asyncio.ensure_future(_tick(block.late))
        await self._make(kb, at_once, count, block)
        block.returned()
        ticker.cancel()
        for wait_s in self.settle(block):
            await asyncio.sleep(wait_s)
        return block.result()

    async def streams(self, at_once: int, count: int) -> Json:
        """Open so many streams, and when all are open read them to their ends; until `count` were made."""
        from litellm import acompletion

        block = _Block()
        for _ in range(count // at_once):
            opened = []
            for _ in range(at_once):
                question = {**self._question(3), "mock_response": "yes"}
                began = time.perf_counter()
                opened.append(await acompletion(**question, stream=True))
                block.latencies.append(time.perf_counter() - began)
            for stream in opened:
                async for _ in stream:
                    pass
        block.returned()
        for wait_s in self.settle(block):
            await asyncio.sleep(wait_s)
        return block.result()

    async def hook_times(self) -> Json:
        """The times of our hooks since the last such command."""
        return dict(self._hook_timer.take())

    async def resident(self) -> Json:
        """Memory that the process has in the machine, now, in bytes."""
        from _common import resident_bytes

        return {"bytes": resident_bytes()}

    async def _make(self, kb: int, at_once: int, count: int, block: _Block) -> None:
        from litellm import acompletion

        async def one() -> None:
            question = self._question(kb)
            began = time.perf_counter()
            await acompletion(**question)
            block.latencies.append(time.perf_counter() - began)

        if at_once == PACED:
            tasks = []
            for wait_s in _pace(count):
                await asyncio.sleep(wait_s)
                tasks.append(asyncio.ensure_future(one()))
            await asyncio.gather(*tasks)
            return
        left = iter(range(count))

        async def caller() -> None:
            for _ in left:
                await one()

        await asyncio.gather(*(caller() for _ in range(at_once)))

    def make_sync(self, command: Mapping[str, Any], block: _Block, pool: ThreadPoolExecutor) -> None:
        """The same calls from threads, without a loop."""
        from litellm import completion

        kb, at_once, count = command["kb"], command["at_once"], command["count"]

        def one(_: object = None) -> None:
            question = self._question(kb)
            began = time.perf_counter()
            completion(**question)
            block.latencies.append(time.perf_counter() - began)

        if at_once == PACED:
            running = []
            for wait_s in _pace(count):
                time.sleep(wait_s)
                running.append(pool.submit(one))
            for each in running:
                each.result()
        elif at_once == 1:
            for _ in range(count):
                one()
        else:
            list(pool.map(one, range(count)))

    def _question(self, kb: int) -> Json:
        """A call's arguments: four messages and an answer, none like any other, of `kb` KB together."""
        self._made += 1
        room = kb * 1024 // 5
        texts = [f"{self._made}.{number}: {PROSE * (room // len(PROSE) + 1)}"[:room] for number in range(5)]
        messages = [{"role": "user", "content": text} for text in texts[:4]]
        return {"model": "gpt-4o", "messages": messages, "mock_response": texts[4]}

    def settle(self, block: _Block) -> Iterator[float]:
        """Seconds to sleep, again and again, until all that follows the calls is done."""
        began = time.perf_counter()
        if self._is_recorded:
            yield from self._until(lambda stats: stats.committed - stats.adopted, 0.001, block)
            block.committed_s = time.perf_counter() - began
        yield max(0.0, began + SETTLE_S - time.perf_counter())
        if self._is_recorded and not self._is_down:
            yield from self._until(lambda stats: stats.delivered, 0.02, block)

    def _until(self, reached: Callable[[Any], int], every_s: float, block: _Block) -> Iterator[float]:
        from honeyhive_litellm import stats

        deadline = time.perf_counter() + CHILD_TIMEOUT_S / 4
        while True:
            polled_at = time.thread_time()
            is_done = reached(stats()) >= self._made
            block.polling_s += time.thread_time() - polled_at  # an application does not poll
            if is_done:
                return
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{self._made} calls were made, and their numbers are {stats()}")
            yield every_s


def _own_cpu_s() -> float:
    """CPU that the threads of our package have used; 0 where the system has no such clock."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return 0.0
    own = [thread.ident for thread in threading.enumerate() if thread.name.startswith("honeyhive")]
    return sum(time.clock_gettime(time.pthread_getcpuclockid(ident)) for ident in own if ident is not None)


def _pace(count: int) -> Iterator[float]:
    """How long to wait before each call."""
    began = time.perf_counter()
    for number in range(count):
        yield max(0.0, began + number * PACE_S - time.perf_counter())


async def _tick(late: List[float]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(TICK_S)
        late.append(time.perf_counter() - began - TICK_S)


if __name__ == "__main__":
    if sys.argv[1:2] != ["--child"]:
        sys.exit(__doc__)
    child(json.loads(sys.argv[2]))
