"""Hours of bad weather in some minutes: four processes on one spool, killed at random, and a collector that misbehaves.

    python benchmarks/soak.py                        # 15 minutes and more than 100,000 calls; `make soak`
    python benchmarks/soak.py --seconds 180

Four workers make LiteLLM calls: awaited, streamed, failing, cancelled. One of them lives through it all, and its memory
is followed; the others are killed by SIGKILL at random and started again. The collector (on loopback, in the measuring
process) answers 500, 502, 503 and 429, drops connections before and after it has stored what they bring, is slow,
stores parts of batches, and is down for a second now and then. At the end the workers exit plainly, one more process
drains the spool, and every call that had returned to its caller is looked for. Ends with status 1 if one is missing,
something came twice, a file was damaged or left behind, or the memory grew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

Json = Dict[str, Any]

WORKERS = 4
AT_ONCE = 200
LONGEST_CALL_S = 0.4
SHORTEST_CALL_S = 0.05
"""Even the quickest provider takes so long; by then the start of the call is on disk."""

VISIBLE_AFTER_S = 0.5
LONGEST_DELAY_S = 0.5
LOOKUP_DELAY_S = 3.0
"""Longer than the two above together, as the real one is (20 s by default)."""

SAMPLE_S = 1.0
EXIT_TIMEOUT_S = 60
DRAIN_S = 120
MOST_GROWTH = 1.1
"""Of the spared worker's memory, from the first quarter of its life to the last."""

KINDS = ("stream", "failing", "cancelled", *["awaited"] * 9)
STATUS = {"stream": "success", "failing": "failure", "cancelled": "cancelled", "awaited": "success"}
EXPECTED_WARNINGS = ("takes no events now", "takes events again")


def kind_of(call: int) -> str:
    return KINDS[call % len(KINDS)]


# ---- a worker


def worker(job: Json) -> None:
    """Make calls at the given pace until the given time, and note those that have returned."""
    import litellm

    import honeyhive_litellm

    litellm.suppress_debug_info = True
    honeyhive_litellm.init()
    with open(job["returned"], "ab", buffering=0) as returned:  # what is written survives a kill
        asyncio.run(_make_calls(job, litellm.acompletion, lambda call: returned.write(b"%d\n" % call)))


async def _make_calls(job: Json, acompletion: Callable[..., Any], note: Callable[[int], object]) -> None:
    chance = random.Random(job["name"])
    gate = asyncio.Semaphore(AT_ONCE)

    async def make(call: int) -> None:
        async with gate:
            await _call(acompletion, f"{job['name']} {call}", kind_of(call), chance)
        note(call)

    began = time.monotonic()
    tasks: List[asyncio.Future[None]] = []
    calls = 0
    while time.time() < job["ends_at"]:
        while calls < (time.monotonic() - began) * job["calls_per_s"]:
            tasks.append(asyncio.ensure_future(make(calls)))
            calls += 1
        await asyncio.sleep(0.01)
        tasks = [task for task in tasks if not task.done() or task.exception() is not None]
    await asyncio.gather(*tasks)


async def _call(acompletion: Callable[..., Any], name: str, kind: str, chance: random.Random) -> None:
    messages = [{"role": "user", "content": name + " " + "?" * chance.randrange(3000)}]
    answer = "litellm.RateLimitError" if kind == "failing" else "answer to " + name
    seconds = chance.uniform(SHORTEST_CALL_S, LONGEST_CALL_S)
    calling = acompletion(
        model="gpt-4o",
        messages=messages,
        mock_response=answer,
        mock_delay=seconds,
        stream=kind == "stream",
        num_retries=0,
    )
    if kind == "cancelled":
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(calling, seconds / 2)
    elif kind == "failing":
        with suppress(Exception):
            await calling
    else:
        response = await calling
        if kind == "stream":
            async for _ in response:
                pass


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

    def __init__(self, folder: Path, url: str, ends_at: float, calls_per_s: float) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.kills = 0
        self.rss_mb: List[float] = []
        self.most_rss_mb = 0.0
        self._ends_at = ends_at
        self._calls_per_s = calls_per_s
        self._started = 0
        self._workers: List[subprocess.Popen[bytes]] = []
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HONEYHIVE_", "HH_"))}
        self._environment = {
            **inherited,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "HONEYHIVE_API_KEY": "hh_bench",
            "HONEYHIVE_PROJECT": "soak",
            "HONEYHIVE_API_URL": url,
            "HONEYHIVE_SPOOL_PATH": str(self.spool),
            "HONEYHIVE_LOOKUP_DELAY": str(LOOKUP_DELAY_S),
        }

    def _start(self) -> subprocess.Popen[bytes]:
        self._started += 1
        name = f"worker-{self._started}"
        job = {
            "name": name,
            "returned": str(self.folder / f"{name}.returned"),
            "ends_at": self._ends_at,
            "calls_per_s": self._calls_per_s / WORKERS,
        }
        return self._popen(name, "--worker", json.dumps(job))

    def _popen(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, __file__, *arguments], env=self._environment, stdout=subprocess.PIPE, stderr=log
            )

    def run(self, chance: random.Random, kill_every_s: float) -> None:
        """Start the workers, kill and replace all but the first of them until the time is up."""
        self._workers = [self._start() for _ in range(WORKERS)]
        next_kill = time.time() + chance.expovariate(1 / kill_every_s)
        while time.time() < self._ends_at:
            time.sleep(min(SAMPLE_S, max(0.0, next_kill - time.time()), max(0.0, self._ends_at - time.time())))
            if time.time() >= next_kill:
                next_kill += chance.expovariate(1 / kill_every_s)
                victim = chance.randrange(1, WORKERS)
                self._workers[victim].kill()
                self._workers[victim].communicate()
                self._workers[victim] = self._start()
                self.kills += 1
            sizes = [_rss_mb(worker.pid) for worker in self._workers]
            self.rss_mb.append(sizes[0])
            self.most_rss_mb = max(self.most_rss_mb, *sizes)

    def finish(self) -> str:
        """Wait for the workers to end, then drain; how many events are left, as the last process says."""
        for worker in self._workers:
            worker.communicate(timeout=EXIT_TIMEOUT_S)
            if worker.returncode:
                raise RuntimeError(f"a worker ended with status {worker.returncode}: see {self.warnings()}")
        self._workers = [self._popen("drain", "--drain")]
        return self._workers[0].communicate(timeout=DRAIN_S + EXIT_TIMEOUT_S)[0].decode().strip()

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
    """Resident memory in MB; 0 where the system does not tell, or the process is gone."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0.0
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(seconds: float, calls_per_s: float, kill_every_s: float, seed: int) -> Json:
    """Let it rain, drain, and count."""
    from honeyhive_litellm._dead import letters
    from honeyhive_litellm.testing import Collector

    with Collector(visible_after_s=VISIBLE_AFTER_S) as collector, tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder), collector.url, time.time() + seconds, calls_per_s)
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
            "dead letters": len(letters(soak.spool)),
            "files left": sorted(path.name for path in soak.spool.rglob("*")),
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=900.0, help="how long the workers make calls (900)")
    parser.add_argument("--calls-per-s", type=float, default=140.0, help="of all workers together (140)")
    parser.add_argument("--kill-every-s", type=float, default=5.0, help="on average (5)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of what happens when")
    parser.add_argument("--json", metavar="FILE", help="write the result there")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--drain", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        worker(json.loads(options.worker))
        return
    if options.drain:
        drain()
        return

    result = measure(options.seconds, options.calls_per_s, options.kill_every_s, options.seed)
    print("\n".join(f"{name}: {value}" for name, value in result.items()))
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1), encoding="utf-8")
    sys.exit(0 if is_sound(result) else 1)


if __name__ == "__main__":
    main()
