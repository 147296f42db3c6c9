"""LiteLLM calls in processes of their own, which make them block by block, in turns.

A `Caller` is such a process. It takes commands, a line of JSON each, and answers each with a line of JSON, so that
several of them can live at the same time and make their calls one after the other: whatever else the machine does then
falls on all of them alike. Between two blocks a process waits, with its loop standing still.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Type

from _common import CHILD_TIMEOUT_S, NOBODY, PROSE, Json, p99, spawn

CONFIGURATIONS: Dict[str, Optional[Json]] = {
    "bare": None,
    "noop": None,
    "honeyhive": {},
    "honeyhive, no in-flight records": {"capture_in_flight": False},
    "honeyhive, backend down": {},
}
"""By name: the options of `honeyhive_litellm.init`, None where it is not called."""

LOOPS = ("asyncio", "uvloop", "sync")
"""What calls are made on: one of two event loops, or none: `litellm.completion` from threads."""

HOOKS = (
    "log_pre_api_call",
    "log_post_api_call",
    "log_success_event",
    "log_failure_event",
    "async_log_success_event",
    "async_log_failure_event",
    "async_post_call_success_deployment_hook",
)
"""What our logger overrides, and therefore the do-nothing one too."""

WARM_UP = 50
SETTLE_S = 0.3
"""What LiteLLM and we do after the calls have returned belongs to their cost; so long it is waited for at least."""

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


# ---- in the measuring process


class Caller:
    """A process that makes calls when it is told to, inside `with`.

    `options` are for `honeyhive_litellm.init`, beside the configuration's; `core` is the only core that the process may
    use (Linux), None for all; `is_watched` times our hooks (`_watch.py`); `is_silent` says that the
    backend takes nothing.
    """

    def __init__(
        self,
        configuration: str,
        url: str = NOBODY,
        *,
        loop: str = "asyncio",
        core: Optional[int] = None,
        is_watched: bool = False,
        is_silent: bool = False,
        options: Optional[Json] = None,
        spool: Optional[str] = None,
    ) -> None:
        self.configuration = configuration
        url = NOBODY if configuration.endswith("down") else url
        self._job = {
            "configuration": configuration,
            "url": url,
            "loop": loop,
            "core": core,
            "is_watched": is_watched,
            "is_down": is_silent or url == NOBODY,
            "options": options or {},
        }
        self._spool = spool

    def __enter__(self) -> Caller:
        self._folder = tempfile.TemporaryDirectory()
        self._complaints = tempfile.TemporaryFile("w+")
        job = {**self._job, "spool": self._spool or self._folder.name}
        self._process = spawn(__file__, job, stderr=self._complaints)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._complaints.close()
        self._folder.cleanup()

    def do(self, what: str, timeout_s: float = CHILD_TIMEOUT_S, **more: Any) -> Json:
        """The process's answer to a command: a method of `_Calls`, and its arguments."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self._process.stdin.flush()
        killer = threading.Timer(timeout_s, self._process.kill)
        killer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            killer.cancel()
        if not line:
            self._complaints.seek(0)
            raise RuntimeError(f"the process {self.configuration!r} ended:\n{self._complaints.read()[-2000:]}")
        told: Json = json.loads(line)
        return told

    def calls(self, load: Load, count: int, timeout_s: float = CHILD_TIMEOUT_S) -> Json:
        """One block of calls; see `_Block.told`."""
        return self.do("calls", timeout_s, kb=load.kb, at_once=load.at_once, count=count)

    def warm_up(self) -> Json:
        """What the very first call takes; then calls enough that all code is loaded and all files are made."""
        first = self.calls(Load(3, 1), 1)
        self.calls(Load(3, 1), WARM_UP)
        return first

    def end_s(self) -> float:
        """How long the process takes to end, from its program's last line on."""
        assert self._process.stdin is not None
        began = time.perf_counter()
        self._process.stdin.close()
        status = self._process.wait(CHILD_TIMEOUT_S)
        took = time.perf_counter() - began
        self._process.stdin = None
        assert status == 0, f"it ended with status {status}"
        return took


def in_blocks(callers: Sequence[Caller], load: Load, count: int, block: int) -> Dict[str, Json]:
    """`count` calls of each, in blocks, there and back: a sample a caller, by configuration."""
    told: Dict[str, List[Json]] = {caller.configuration: [] for caller in callers}
    for number in range(0, count, block):
        for caller in callers if number // block % 2 == 0 else reversed(callers):
            told[caller.configuration].append(caller.calls(load, min(block, count - number)))
    return {name: sample_of(blocks) for name, blocks in told.items()}


def sample_of(blocks: Sequence[Json]) -> Json:
    """Blocks of one process put together."""
    calls = sum(len(block["latencies_s"]) for block in blocks)
    latencies = [each for block in blocks for each in block["latencies_s"]]
    late = [each for block in blocks for each in block["late_s"]]
    sample = {
        "cpu_us": sum(block["cpu_s"] for block in blocks) / calls * 1e6,
        "p50_us": statistics.median(latencies) * 1e6,
        "p99_us": p99(latencies) * 1e6,
        "calls_per_s": calls / sum(block["wall_s"] for block in blocks),
    }
    if late:
        sample.update(stall_p99_ms=p99(late) * 1e3, stall_max_ms=max(late) * 1e3)
    committed = [block["committed_s"] for block in blocks if block["committed_s"] is not None]
    if committed:
        sample["committed_ms"] = statistics.median(committed) * 1e3
    return sample


def beside(mine: Sequence[Json], noops: Sequence[Json], key: str) -> Json:
    """The difference to the do-nothing callback of the same round: median, least, most; and the median ratio."""
    beyond = [sample[key] - noop[key] for sample, noop in zip(mine, noops)]
    return {
        "beyond": statistics.median(beyond),
        "range": [min(beyond), max(beyond)],
        "ratio": statistics.median(sample[key] / noop[key] for sample, noop in zip(mine, noops)),
    }


def told_beside(told: Mapping[str, Any]) -> str:
    """The same for a reader."""
    low, high = told["range"]
    return f"{told['beyond']:+,.0f} ({low:+,.0f} to {high:+,.0f}), x{told['ratio']:.2f}"


# ---- in the measured process


def child(job: Json) -> None:
    """Obey until the standard input is closed."""
    if job["core"] is not None:
        os.sched_setaffinity(0, {job["core"]})
    if job["loop"] == "uvloop":
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    import litellm
    from litellm.integrations.custom_logger import CustomLogger

    if job["configuration"] == "noop":
        litellm.callbacks = [_noop(CustomLogger)]
    options = CONFIGURATIONS[job["configuration"]]
    watch = None
    if options is not None:
        import honeyhive_litellm

        if job["is_watched"]:
            from _watch import Watch

            watch = Watch(honeyhive_litellm.HoneyHiveLogger)
        where = {"api_url": job["url"], "spool_path": job["spool"], "shutdown_timeout": SHUTDOWN_S}
        honeyhive_litellm.init(api_key="hh_bench", project="bench", **{**where, **options, **job["options"]})
    calls = _Calls(is_recorded=options is not None, is_down=job["is_down"], watch=watch)
    if job["loop"] == "sync":
        _obey(calls)
    else:
        asyncio.run(_obey_on_a_loop(calls))


def _noop(base: Type[Any]) -> Any:
    def nothing(*_: Any, **__: Any) -> None:
        pass

    async def nothing_async(*_: Any, **__: Any) -> None:
        pass

    return type("Noop", (base,), {name: nothing_async if name.startswith("async") else nothing for name in HOOKS})()


def _obey(calls: _Calls) -> None:
    with ThreadPoolExecutor(32) as pool:
        for line in sys.stdin:
            command = json.loads(line)
            block = _Block()
            calls.make_sync(command, block, pool)
            block.returned()
            for wait_s in calls.settle(block):
                time.sleep(wait_s)
            print(json.dumps(block.told()), flush=True)


async def _obey_on_a_loop(calls: _Calls) -> None:
    for line in sys.stdin:  # the loop waits as well
        command = json.loads(line)
        told = await getattr(calls, command.pop("do"))(**command)
        print(json.dumps(told), flush=True)


class _Block:
    """What some calls take, all threads together."""

    def __init__(self) -> None:
        # A full collection looks at all of LiteLLM's half a million objects for a fifth of a second, in one block and
        # not in the next. Right after one no other is due for long.
        gc.collect()
        self.latencies: List[float] = []
        self.late: List[float] = []
        self.committed_s: Optional[float] = None
        self.wall = time.perf_counter()
        self._cpu = time.process_time()

    def returned(self) -> None:
        """The last call has returned to its caller."""
        self.wall = time.perf_counter() - self.wall

    def told(self) -> Json:
        """CPU of all threads until now, the time until the last call had returned, each call's latency, and how late
        a task was that wants to run every `TICK_S`; all in seconds."""
        return {
            "cpu_s": time.process_time() - self._cpu,
            "wall_s": self.wall,
            "latencies_s": self.latencies,
            "late_s": self.late,
            "committed_s": self.committed_s,
        }


class _Calls:
    """The commands; each but `make_sync` is a coroutine that returns what is told."""

    def __init__(self, *, is_recorded: bool, is_down: bool, watch: Any = None) -> None:
        self._is_recorded = is_recorded
        self._is_down = is_down
        self._watch = watch
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
        return block.told()

    async def streams(self, at_once: int, count: int) -> Json:
        """Open so many streams, and when all are open read them to their ends; until `count` were made."""
        from litellm import acompletion

        block = _Block()
        for _ in range(count // at_once):
            opened = []
            for _ in range(at_once):
                question = self._question(3)
                began = time.perf_counter()
                opened.append(await acompletion(**question, mock_response="yes", stream=True))
                block.latencies.append(time.perf_counter() - began)
            for stream in opened:
                async for _ in stream:
                    pass
        block.returned()
        for wait_s in self.settle(block):
            await asyncio.sleep(wait_s)
        return block.told()

    async def watched(self) -> Json:
        """What was seen of our hooks since this was last asked."""
        return dict(self._watch.told())

    async def resident(self) -> Json:
        """Memory that the process has in the machine, now, in bytes."""
        from _common import resident_bytes

        return {"bytes": resident_bytes()}

    async def _make(self, kb: int, at_once: int, count: int, block: _Block) -> None:
        from litellm import acompletion

        async def one() -> None:
            question = self._question(kb)
            began = time.perf_counter()
            await acompletion(**question, mock_response=question["messages"][0]["content"])
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
            completion(**question, mock_response=question["messages"][0]["content"])
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
        """A call's arguments: the four messages, like no others, and an answer as long as one are `kb` KB."""
        self._made += 1
        room = kb * 1024 // 5
        text = f"{self._made}: {PROSE * (room // len(PROSE) + 1)}"[:room]
        return {"model": "gpt-4o", "messages": [{"role": "user", "content": text} for _ in range(4)]}

    def settle(self, block: _Block) -> Iterator[float]:
        """Seconds to sleep, again and again, until all that follows the calls is done."""
        began = time.perf_counter()
        if self._is_recorded:
            yield from self._until(lambda stats: stats.committed - stats.adopted, 0.001)
            block.committed_s = time.perf_counter() - began
            if not self._is_down:
                yield from self._until(lambda stats: stats.delivered, 0.02)
        yield max(0.0, began + SETTLE_S - time.perf_counter())

    def _until(self, reached: Callable[[Any], int], every_s: float) -> Iterator[float]:
        from honeyhive_litellm import stats

        deadline = time.perf_counter() + CHILD_TIMEOUT_S / 4
        while reached(stats()) < self._made:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{self._made} calls were made, and this is what became of them: {stats()}")
            yield every_s


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
