"""Hours of bad weather in some minutes: four processes on one spool, killed at random, and a collector that misbehaves.

    python benchmarks/soak.py                        # 15 minutes and more than 100,000 calls; `make soak`
    python benchmarks/soak.py --seconds 180

Four workers make LiteLLM calls to a model server on loopback: awaited, streamed, failing, cancelled. One of them lives
through it all, and its memory is followed; the others are killed by SIGKILL at random and started again. The collector
(on loopback, in the measuring process) answers 500, 502, 503 and 429, drops connections before and after it has stored
what they bring, is slow, stores parts of batches, and is down for a second now and then. At the end the workers exit
plainly, one more process drains the spool, and every call that had returned to its caller is looked for. Ends with
status 1 if one is missing, something came twice, a file was damaged or left behind, or the memory grew.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

from _common import Json, measured_environment, parse, parser_for, spawn, write_report
from _internals import dead_letters

AT_ONCE = 50
CALL_MS = (100, 500)
"""A provider takes so long. By the time it answers the start of the call is on disk."""

VISIBLE_AFTER_S = 0.5
LONGEST_DELAY_S = 0.5
LOOKUP_DELAY_S = 3.0
"""Longer than the two above together, as the real one is (20 s by default)."""

SAMPLE_S = 1.0
START_TIMEOUT_S = 120
EXIT_TIMEOUT_S = 60
DRAIN_S = 120
DRAIN = "drain"
"""The name of the process that does it."""

MOST_GROWTH = 1.1
"""Of the spared worker's memory, from the first quarter of its life to the last."""

KINDS = ("stream", "failing", "cancelled", *["awaited"] * 9)
STATUS = {"stream": "success", "failing": "failure", "cancelled": "cancelled", "awaited": "success"}
EXPECTED_WARNINGS = ("takes no events now", "takes events again")


def kind_of(call: int) -> str:
    return KINDS[call % len(KINDS)]


# ---- a worker


def child(job: Json) -> None:
    """Be a worker or, at the end, the process that drains."""
    if job["name"] == DRAIN:
        drain()
    else:
        worker(job)


def worker(job: Json) -> None:
    """Make calls at the pace of `job` until the file `stop` is there, and note those that have returned."""
    import litellm
    from litellm.integrations.custom_logger import CustomLogger

    import honeyhive_litellm

    litellm.suppress_debug_info = True
    honeyhive_litellm.init()
    with open(job["returned"], "ab", buffering=0) as returned:  # what is written survives a kill
        calls = _Calls(job, litellm.acompletion, lambda call: returned.write(b"%d\n" % call))

        class Canceller(CustomLogger):  # type: ignore[misc]
            def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
                calls.has_begun(messages)

        litellm.callbacks.append(Canceller())  # LiteLLM calls it after ours
        asyncio.run(calls.make())


class _Calls:
    """The calls of one worker."""

    def __init__(self, job: Json, acompletion: Callable[..., Any], note: Callable[[int], object]) -> None:
        self._job = job
        self._acompletion = acompletion
        self._note = note
        self._chance = random.Random(job["name"])
        self._cancels: Dict[str, Callable[[], object]] = {}

    async def make(self) -> None:
        """Keep the pace, or fall behind it where the machine is too slow for so many at once."""
        began = time.monotonic()
        tasks: List[asyncio.Future[None]] = []
        calls = 0
        while time.time() < self._job["ends_at_latest"] and not os.path.exists(self._job["stop"]):  # noqa: ASYNC240
            while calls < (time.monotonic() - began) * self._job["calls_per_s"] and len(tasks) < AT_ONCE:
                tasks.append(asyncio.ensure_future(self._noted(calls)))
                calls += 1
            await asyncio.sleep(0.01)
            tasks = [task for task in tasks if not task.done() or task.exception() is not None]
        await asyncio.gather(*tasks)

    async def _noted(self, call: int) -> None:
        await self._call(f"{self._job['name']} {call}", kind_of(call))
        self._note(call)

    async def _call(self, name: str, kind: str) -> None:
        """One call that ends as `kind` says, and takes a provider's time."""
        question = f"{name} {'?' * self._chance.randrange(3000)}"
        model = f"openai/slow-{self._chance.randint(*CALL_MS)}"
        calling = asyncio.ensure_future(
            self._acompletion(
                model=model + ("-fail-400" if kind == "failing" else ""),
                messages=[{"role": "user", "content": question}],
                api_base=self._job["model_url"],
                api_key="sk-local",
                stream=kind == "stream",
                max_retries=0,
            )
        )
        if kind == "cancelled":
            self._cancels[question] = calling.cancel
        try:
            response = await calling
            if kind == "stream":
                async for _ in response:
                    pass
        except asyncio.CancelledError:
            assert kind == "cancelled"
        except Exception:
            if kind != "failing":
                raise

    def has_begun(self, messages: Any) -> None:
        """Cancel what is to be cancelled. Of an earlier cancellation LiteLLM tells no callback."""
        cancel = self._cancels.pop(messages[0]["content"], None)
        if cancel is not None:
            asyncio.get_running_loop().call_later(CALL_MS[0] / 2000, cancel)


def drain() -> None:
    """Deliver all that is left, as the next process, and say how much it could not."""
    import honeyhive_litellm

    honeyhive_litellm.init()
    print(honeyhive_litellm.flush(DRAIN_S), flush=True)


# ---- the weather


def misbehave(collector: Any, chance: random.Random) -> None:
    """One more fault, for the next few requests."""
    times = chance.randint(1, 3)
    if chance.random() < 0.1:
        collector.down()
        time.sleep(chance.uniform(0.2, 1.5))
        collector.up()
        return
    faults: List[Callable[[], None]] = [
        lambda: collector.fail(chance.choice([500, 502, 503]), times=times),
        lambda: collector.fail(503, times=1, after=True),
        lambda: collector.fail(429, times=1, headers={"Retry-After": "1"}),
        lambda: collector.drop(times=times),
        lambda: collector.drop(times=times, after=True),
        lambda: collector.half_reply(times=1),
        lambda: collector.fail_partly(chance.randint(1, 20), times=1),
        lambda: collector.delay(chance.uniform(0, LONGEST_DELAY_S), times=times),
        lambda: collector.delay(chance.uniform(0, LONGEST_DELAY_S), times=times, after=True),
    ]
    chance.choice(faults)()


# ---- in the measuring process


class Soak:
    """The processes, and what was seen of them."""

    def __init__(
        self, folder: Path, url: str, model_url: str, seconds: float, workers: int, calls_per_s: float
    ) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.kills = 0
        self.rss_mb: List[float] = []
        self.most_rss_mb = 0.0
        self._model_url = model_url
        self._seconds = seconds
        self._count = workers
        self._calls_per_s = calls_per_s / workers
        self._ends_at_latest = time.time() + START_TIMEOUT_S + seconds
        self._started = 0
        self._workers: List[subprocess.Popen[str]] = []
        settings = {"api_key": "hh_bench", "project": "soak", "api_url": url, "lookup_delay": LOOKUP_DELAY_S}
        self._environment = measured_environment(**settings, spool_path=self.spool)
        self._environment["PYTHONWARNINGS"] = "ignore"  # LiteLLM's; ours are in the log

    def _start(self) -> subprocess.Popen[str]:
        self._started += 1
        name = f"worker-{self._started}"
        job = {
            "name": name,
            "returned": str(self.folder / f"{name}.returned"),
            "model_url": self._model_url,
            "stop": str(self.folder / "stop"),
            "ends_at_latest": self._ends_at_latest,
            "calls_per_s": self._calls_per_s,
        }
        return self._spawn(job)

    def _spawn(self, job: Json) -> subprocess.Popen[str]:
        with (self.folder / f"{job['name']}.log").open("wb") as log:
            return spawn(__file__, job, stderr=log, environment=self._environment)

    def run(self, chance: random.Random, kill_every_s: float) -> None:
        """Start the workers, kill and replace all but the first of them until the time is up."""
        self._workers = [self._start() for _ in range(self._count)]
        while len(self.returned()) < self._count:
            if time.time() > self._ends_at_latest - self._seconds:
                raise RuntimeError(f"the workers made no calls in {START_TIMEOUT_S} s: {self.warnings()}")
            time.sleep(0.1)
        ends_at = time.time() + self._seconds
        next_kill = time.time() + chance.expovariate(1 / kill_every_s)
        while time.time() < ends_at:
            time.sleep(min(SAMPLE_S, max(0.0, next_kill - time.time()), max(0.0, ends_at - time.time())))
            if time.time() >= next_kill:
                next_kill += chance.expovariate(1 / kill_every_s)
                victim = chance.randrange(1, self._count)
                self._workers[victim].kill()
                self._workers[victim].communicate()
                self._workers[victim] = self._start()
                self.kills += 1
            sizes = [_rss_mb(worker.pid) for worker in self._workers]
            self.rss_mb.append(sizes[0])
            self.most_rss_mb = max(self.most_rss_mb, *sizes)
        (self.folder / "stop").touch()

    def finish(self) -> str:
        """Wait for the workers to end, then drain; how many events are left, as the last process says."""
        for worker in self._workers:
            worker.communicate(timeout=EXIT_TIMEOUT_S)
            if worker.returncode:
                raise RuntimeError(f"a worker ended with status {worker.returncode}: see {self.warnings()}")
        self._workers = [self._spawn({"name": DRAIN})]
        return self._workers[0].communicate(timeout=DRAIN_S + EXIT_TIMEOUT_S)[0].strip()

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()
            worker.communicate()

    def returned(self) -> Dict[str, str]:
        """The calls that had returned to their caller, and their kind. A line that a kill cut off is none."""
        calls = {}
        for path in self.folder.glob("*.returned"):
            for line in path.read_text(encoding="ascii").split("\n")[:-1]:
                calls[f"{path.stem} {line}"] = kind_of(int(line))
        return calls

    def warnings(self) -> Dict[str, int]:
        """What the processes logged, beyond what the weather explains, and how often."""
        lines: Counter[str] = Counter()
        for path in self.folder.glob("*.log"):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                if not any(words in line for words in EXPECTED_WARNINGS):
                    lines[line[:300]] += 1
        return dict(lines)


def _rss_mb(pid: int) -> float:
    """Resident memory in MB; 0 where the system has no /proc, or the process is gone."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0.0
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(seconds: float, workers: int, calls_per_s: float, kill_every_s: float, seed: int) -> Json:
    """Let it rain, drain, and count."""
    from honeyhive_litellm.testing import Collector, ModelServer

    with ExitStack() as stack:
        collector = stack.enter_context(Collector(visible_after_s=VISIBLE_AFTER_S))
        models = stack.enter_context(ModelServer())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        soak = Soak(Path(folder), collector.url, models.url, seconds, workers, calls_per_s)
        over = threading.Event()
        chance = random.Random(seed)

        def weather() -> None:
            sky = random.Random(f"{seed} weather")
            while not over.wait(sky.uniform(0.2, 1.5)):
                misbehave(collector, sky)

        changing = threading.Thread(target=weather)
        changing.start()
        try:
            soak.run(chance, kill_every_s)
            over.set()
            changing.join()
            collector.clear()
            left = soak.finish()
        finally:
            over.set()
            changing.join()
            soak.close()
        returned = soak.returned()
        arrived = {
            " ".join(event["inputs"]["chat_history"][0]["content"].split(" ")[:2]): event["metadata"]["status"]
            for event in collector.events
        }
        statuses = Counter(arrived.values())
        quarter = max(1, len(soak.rss_mb) // 4)
        return {
            "seconds": seconds,
            "seed": seed,
            "kills": soak.kills,
            "calls that returned": len(returned),
            "events": sum(statuses.values()),
            "events by status": dict(statuses.most_common()),
            "lost": sum(name not in arrived for name in returned),
            "duplicates": sum(collector.receipts.values()) - len(arrived),
            "returned, reported as interrupted": sum(arrived.get(name) == "interrupted" for name in returned),
            "of a wrong status": sum(
                arrived.get(name, "") not in ("", "interrupted", STATUS[kind]) for name, kind in returned.items()
            ),
            "undelivered": int(left),
            "dead letters": dead_letters(soak.spool),
            # The ledger stays; the lease of a worker that was killed before its first commit goes after some seconds.
            "files left": sorted(path.name for path in soak.spool.rglob("*.spool*")),
            "requests": len(collector.requests),
            "answered otherwise than 200 or 404": sum(r.status not in (200, 404) for r in collector.requests),
            "memory MB, first quarter": round(statistics.median(soak.rss_mb[:quarter]), 1),
            "memory MB, last quarter": round(statistics.median(soak.rss_mb[-quarter:]), 1),
            "memory MB, most of any": round(soak.most_rss_mb, 1),
            "warnings": soak.warnings(),
        }


def is_sound(result: Json) -> bool:
    """Whether all arrived once, nothing was damaged or left, and the memory is flat (if there was time to see it)."""
    none = ("lost", "duplicates", "of a wrong status", "undelivered", "dead letters", "files left", "warnings")
    grown = result["memory MB, last quarter"] / (result["memory MB, first quarter"] or 1.0)
    is_flat = grown <= MOST_GROWTH or result["seconds"] < 120
    return result["calls that returned"] > 0 and is_flat and not any(result[name] for name in none)


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = parser_for(__doc__, rounds=None)
    parser.add_argument("--seconds", type=float, default=900.0, help="how long the workers make calls (900)")
    parser.add_argument("--workers", type=int, default=4, help="processes, two at least (4)")
    parser.add_argument("--calls-per-s", type=float, default=140.0, help="of all workers together (140)")
    parser.add_argument("--kill-every-s", type=float, default=8.0, help="on average (8)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of what happens when")
    options = parse(parser, child, arguments)
    result = measure(options.seconds, options.workers, options.calls_per_s, options.kill_every_s, options.seed)
    write_report(result, "\n".join(f"{name}: {value}" for name, value in result.items()), options.json)
    sys.exit(0 if is_sound(result) else 1)


if __name__ == "__main__":
    main()
