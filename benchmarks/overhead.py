"""What recording costs a LiteLLM call, beside a bare LiteLLM and a callback that does nothing.

    python benchmarks/overhead.py            # under four minutes
    python benchmarks/overhead.py --quick    # under one

Every configuration runs in a fresh interpreter of its own, in turns, round after round, so that what else the machine
does falls on all of them alike. The collector listens on loopback in the measuring process, so that its CPU is not
counted. Medians over the rounds are printed as Markdown, with the spread; `--json FILE` writes all samples as well.
`benchmarks/README.md` says what each number is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Type

from _common import CHILD_TIMEOUT_S, PROSE, Json, environment, environment_line, p99, spawn, table, tell

CONFIGURATIONS: Dict[str, Optional[Json]] = {
    "bare": None,
    "noop": None,
    "honeyhive": {},
    "honeyhive, no in-flight records": {"capture_in_flight": False},
    "honeyhive, backend down": {},
}
"""By name: the options of `honeyhive_litellm.init`, None where it is not called."""

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
SETTLE_S = 0.5
"""What LiteLLM and we do after the calls have returned belongs to their cost; so long it is waited for at least."""

TICK_S = 0.002
PACE_S = 0.01
SHUTDOWN_S = 1.0
EXIT_CALLS = 20


# ---- in the measured process


def child(job: Json) -> None:
    """Do what `job` says in this process, and print the result as the last line, in JSON."""
    if job["core"] is not None:
        os.sched_setaffinity(0, {job["core"]})
    import litellm
    from litellm.integrations.custom_logger import CustomLogger

    if job["configuration"] == "noop":
        litellm.callbacks = [_noop(CustomLogger)]
    options = CONFIGURATIONS[job["configuration"]]
    watch = None
    if options is not None:
        import honeyhive_litellm

        if job["kind"] in ("hooks", "paced"):
            watch = _Watch()
            watch.look_at(honeyhive_litellm.HoneyHiveLogger)
        where = {"api_url": job["url"], "spool_path": job["spool"], "shutdown_timeout": SHUTDOWN_S}
        honeyhive_litellm.init(api_key="hh_bench", project="bench", **where, **options)
    result = asyncio.run(_work(job, _Calls(litellm.acompletion, options is not None), watch))
    print(json.dumps(result), flush=True)
    if job["kind"] == "exit":
        sys.stdin.readline()  # the exit is timed from here


def _noop(base: Type[Any]) -> Any:
    def nothing(*_: Any, **__: Any) -> None:
        pass

    async def nothing_async(*_: Any, **__: Any) -> None:
        pass

    return type("Noop", (base,), {name: nothing_async if name.startswith("async") else nothing for name in HOOKS})()


async def _work(job: Json, calls: _Calls, watch: Optional[_Watch]) -> Json:
    count = job["calls"]
    await calls.make(WARM_UP if job["kind"] != "exit" else 1, 3, 1)
    await calls.settle(job["down"])
    if job["kind"] == "calls":
        return {
            str([kb, at_once]): await calls.measure(count, kb, at_once, job["down"]) for kb, at_once in job["loads"]
        }
    if watch is not None:
        watch.clear()
    if job["kind"] == "paced":
        await calls.pace(count)
    else:
        await calls.make(count, 3, 1)
    if job["kind"] == "exit":
        await asyncio.sleep(SETTLE_S)
        return {}
    await calls.settle(job["down"])
    return watch.told(count) if watch is not None else {}


class _Calls:
    """The calls to `acompletion`, and what was seen of them."""

    def __init__(self, acompletion: Callable[..., Any], is_recorded: bool) -> None:
        self._acompletion = acompletion
        self._is_recorded = is_recorded
        self._made = 0
        self._latencies: List[float] = []

    async def one(self, kb: int) -> None:
        """One call. Question and answer together have `kb` KB, and are like no others."""
        self._made += 1
        text = f"{self._made}: " + PROSE * (kb * 1024 // 5 // len(PROSE) + 1)
        text = text[: kb * 1024 // 5]
        messages = [{"role": "user", "content": text} for _ in range(4)]
        began = time.perf_counter()
        await self._acompletion(model="gpt-4o", messages=messages, mock_response=text)
        self._latencies.append(time.perf_counter() - began)

    async def make(self, count: int, kb: int, at_once: int) -> None:
        gate = asyncio.Semaphore(at_once)

        async def gated() -> None:
            async with gate:
                await self.one(kb)

        if at_once == 1:
            for _ in range(count):
                await self.one(kb)
        else:
            await asyncio.gather(*(gated() for _ in range(count)))

    async def pace(self, count: int) -> None:
        """One call every `PACE_S`, however long each takes."""
        began = time.perf_counter()
        tasks = []
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number * PACE_S - time.perf_counter()))
            tasks.append(asyncio.ensure_future(self.one(3)))
        await asyncio.gather(*tasks)

    async def measure(self, count: int, kb: int, at_once: int, is_down: bool) -> Json:
        """CPU of all threads until all is delivered (committed, if it cannot be), latencies, stalls of the loop."""
        late = [0.0]  # for the case that all is over before the first tick
        self._latencies.clear()
        ticker = asyncio.ensure_future(_tick(late))
        wall, cpu = time.perf_counter(), time.process_time()
        await self.make(count, kb, at_once)
        wall = time.perf_counter() - wall
        ticker.cancel()
        committed_s = await self.settle(is_down)
        cpu = time.process_time() - cpu
        sample = {
            "cpu_us": cpu / count * 1e6,
            "p50_us": statistics.median(self._latencies) * 1e6,
            "p99_us": p99(self._latencies) * 1e6,
            "stall_p99_ms": p99(late) * 1e3,
            "stall_max_ms": max(late) * 1e3,
            "calls_per_s": count / wall,
        }
        if committed_s is not None:
            sample["committed_ms"] = committed_s * 1e3
        return sample

    async def settle(self, is_down: bool) -> Optional[float]:
        """Wait for what comes after the calls; the seconds until all was committed, None if nothing is recorded."""
        began = time.perf_counter()
        committed_s = None
        if self._is_recorded:
            await self._until("committed", 0.001)
            committed_s = time.perf_counter() - began
            if not is_down:
                await self._until("delivered", 0.02)
        await asyncio.sleep(max(0.0, began + SETTLE_S - time.perf_counter()))
        return committed_s

    async def _until(self, state: str, every_s: float) -> None:
        from honeyhive_litellm import stats

        deadline = time.perf_counter() + CHILD_TIMEOUT_S / 4
        while getattr(stats(), state) < self._made:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{self._made} events were not {state} in time: {stats()}")
            await asyncio.sleep(every_s)


async def _tick(late: List[float]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(TICK_S)
        late.append(time.perf_counter() - began - TICK_S)


class _Watch:
    """How long our hooks take, and how long it takes from there until the record is committed."""

    def __init__(self) -> None:
        self._entered = threading.local()
        self._put: Dict[Tuple[int, str], float] = {}
        self._hooks: Dict[str, List[float]] = {}
        self._committed: Dict[int, List[float]] = {}

    def look_at(self, logger: Any) -> None:
        """Wrap the hooks of this class, and the two ends of the way from them to the disk."""
        from honeyhive_litellm._runtime import Runtime
        from honeyhive_litellm._spool import Spool

        for name in HOOKS:
            wrap = self._async_hook if name.startswith("async") else self._hook
            setattr(logger, name, wrap(name, getattr(logger, name)))
        put, append = Runtime._put, Spool.append

        def noting_put(runtime: Any, record: Any) -> None:
            self._put[record.kind, record.id] = getattr(self._entered, "at", time.perf_counter())
            put(runtime, record)

        async def noting_append(spool: Any, records: Sequence[Any]) -> None:
            await append(spool, records)
            now = time.perf_counter()
            for record in records:
                began = self._put.pop((record.kind, record.id), None)
                if began is not None:
                    self._committed.setdefault(record.kind, []).append(now - began)

        Runtime._put = noting_put  # type: ignore[assignment,method-assign]
        Spool.append = noting_append  # type: ignore[assignment,method-assign]

    def _hook(self, name: str, hook: Callable[..., None]) -> Callable[..., None]:
        def timed(*arguments: Any, **named: Any) -> None:
            began = self._entered.at = time.perf_counter()
            hook(*arguments, **named)
            self._hooks.setdefault(_place(name), []).append(time.perf_counter() - began)

        return timed

    def _async_hook(self, name: str, hook: Callable[..., Any]) -> Callable[..., Any]:
        async def timed(*arguments: Any, **named: Any) -> None:
            began = self._entered.at = time.perf_counter()
            await hook(*arguments, **named)
            self._hooks.setdefault(_place(name), []).append(time.perf_counter() - began)

        return timed

    def clear(self) -> None:
        self._hooks.clear()
        self._committed.clear()

    def told(self, calls: int) -> Json:
        from honeyhive_litellm._record import EVENT, START

        kinds = {"start": START, "event": EVENT}
        hooks = {
            name: {"per_call": len(took) / calls, **_spread(took, 1e6, "us")} for name, took in self._hooks.items()
        }
        commits = {kind: _spread(self._committed[number], 1e3, "ms") for kind, number in kinds.items()}
        return {"hooks": hooks, "commits": commits}


def _place(hook: str) -> str:
    """With the thread it is called on: what runs on the loop's holds everybody up."""
    on_loop = threading.current_thread() is threading.main_thread()
    return f"{hook} ({'loop' if on_loop else 'another thread'})"


def _spread(values: Sequence[float], scale: float, unit: str) -> Json:
    return {
        f"p50_{unit}": statistics.median(values) * scale,
        f"p99_{unit}": p99(values) * scale,
        f"max_{unit}": max(values) * scale,
    }


# ---- in the measuring process

one_core: Optional[int] = None
"""The only core that the measured processes may use; None for all."""


def start(kind: str, configuration: str, collector: Any, calls: int, **more: Any) -> subprocess.Popen[str]:
    """`child` in a fresh interpreter; its spool is the one in the folder that `more` names."""
    job = {"kind": kind, "configuration": configuration, "url": collector.url, "calls": calls, **more}
    job["core"] = one_core
    job["down"] = configuration.endswith("down") or kind == "exit"  # nothing is delivered, then
    if configuration.endswith("down"):
        collector.down()
    return spawn(__file__, job)


def run(kind: str, configuration: str, calls: int, **more: Any) -> Json:
    """What `child` measured, with a collector and a spool of its own."""
    from honeyhive_litellm.testing import Collector

    with Collector() as collector, tempfile.TemporaryDirectory() as spool:
        process = start(kind, configuration, collector, calls, spool=spool, **more)
        try:
            out, errors = process.communicate(timeout=CHILD_TIMEOUT_S)
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        raise RuntimeError(f"the process that measures {configuration!r} failed:\n{errors[-2000:]}")
    result: Json = json.loads(out.splitlines()[-1])
    return result


def exit_s(configuration: str) -> float:
    """How long the interpreter takes to end, from the program's last line on, while the backend hangs."""
    from honeyhive_litellm.testing import Collector

    with Collector() as collector, tempfile.TemporaryDirectory() as spool:
        collector.hang()
        with start("exit", configuration, collector, EXIT_CALLS, spool=spool) as process:
            assert process.stdin is not None and process.stdout is not None
            killer = threading.Timer(CHILD_TIMEOUT_S, process.kill)
            killer.start()
            try:
                assert process.stdout.readline(), "it ended too early"
                if configuration != "noop":
                    collector.wait_for_requests(1)
                began = time.perf_counter()
                process.stdin.close()
                status = process.wait()
                took = time.perf_counter() - began
                assert status == 0, f"it ended with status {status}"
                return took
            finally:
                killer.cancel()
                process.kill()


def import_ms(times: int) -> float:
    """The median time that `import honeyhive_litellm` adds to an interpreter's start."""

    def took(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, timeout=CHILD_TIMEOUT_S)
        return (time.perf_counter() - began) * 1e3

    took("import honeyhive_litellm")  # fills the caches
    return statistics.median(took("import honeyhive_litellm") - took("pass") for _ in range(times))


Rounds = List[Dict[str, Dict[str, Dict[str, float]]]]
"""Each round's samples, by configuration and by load."""


def rounds(count: int, calls: int, loads: Sequence[Tuple[int, int]], ends: float) -> Rounds:
    """`count` rounds, or fewer, but one, if the next would not be over when `time.monotonic()` is `ends`."""
    done: Rounds = []
    longest = 0.0
    while len(done) < count and (not done or time.monotonic() + longest < ends):
        began = time.monotonic()
        # There and back, so that what drifts does not favour the first.
        names = list(CONFIGURATIONS) if len(done) % 2 == 0 else list(reversed(list(CONFIGURATIONS)))
        done.append({name: run("calls", name, calls, loads=loads) for name in names})
        longest = max(longest, time.monotonic() - began)
    return done


# ---- the report


def summary(done: Rounds, load: str) -> Dict[str, Json]:
    """Each configuration's medians over the rounds, and what it adds to the do-nothing callback of the same round."""
    result: Dict[str, Json] = {}
    for name in CONFIGURATIONS:
        samples = [each[name][load] for each in done]
        noops = [each["noop"][load] for each in done]
        row: Json = {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}
        for key in ("cpu_us", "p50_us"):
            row[f"{key}_range"] = [min(s[key] for s in samples), max(s[key] for s in samples)]
            beyond = [sample[key] - noop[key] for sample, noop in zip(samples, noops)]
            row[f"{key}_beyond_noop"] = statistics.median(beyond)
            row[f"{key}_beyond_noop_range"] = [min(beyond), max(beyond)]
            row[f"{key}_to_noop"] = statistics.median(s[key] / n[key] for s, n in zip(samples, noops))
        result[name] = row
    return result


def _summary_table(summed: Mapping[str, Json]) -> str:
    def beyond(row: Json, key: str) -> str:
        low, high = row[f"{key}_beyond_noop_range"]
        return f"{row[f'{key}_beyond_noop']:+.0f} ({low:+.0f} to {high:+.0f}), x{row[f'{key}_to_noop']:.2f}"

    def cells(name: str, row: Json) -> List[str]:
        low, high = row["cpu_us_range"]
        return [
            name,
            f"{row['cpu_us']:.0f} ({low:.0f}-{high:.0f})",
            beyond(row, "cpu_us"),
            f"{row['p50_us']:.0f}",
            beyond(row, "p50_us"),
            f"{row['p99_us']:.0f}",
            f"{row['stall_p99_ms']:.1f} / {row['stall_max_ms']:.1f}",
            f"{row['committed_ms']:.1f}" if "committed_ms" in row else "",
        ]

    head = ["configuration", "CPU us/call (min-max)", "beyond noop", "p50 us", "beyond noop", "p99 us"]
    head += ["loop stall p99 / max ms", "all committed after ms"]
    return table(head, (cells(name, row) for name, row in summed.items()))


def _spread_table(head: str, unit: str, rows: Mapping[str, Json]) -> str:
    keys = [*(key for key in ("per_call",) if any(key in row for row in rows.values()))]
    keys += [f"{key}_{unit}" for key in ("p50", "p99", "max")]
    cells = ([name, *(f"{row[key]:.2f}" if key in row else "" for key in keys)] for name, row in rows.items())
    return table([head, *(key.replace("_", " ") for key in keys)], cells)


def report(result: Json) -> str:
    """The result as Markdown."""
    env = result["environment"]
    intro = f"{result['calls']} `acompletion` calls in each of {len(result['rounds'])} rounds. {environment_line(env)}"
    intro += ", on one core" if env["one_core"] else ""
    parts = [intro]
    for load, summed in result["summary"].items():
        kb, at_once = json.loads(load)
        parts += [f"**{kb} KB, {at_once} in flight**", _summary_table(summed)]
    if "hooks" in result:
        parts.append(_spread_table("hook", "us", result["hooks"]))
    parts.append(_spread_table("100 calls/s, from hook to disk", "ms", result["commits"]))
    exits = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in result["exit_s"].items())
    parts.append(f"`import honeyhive_litellm`: {result['import_ms']:.0f} ms")
    parts.append(f"Exit with the backend hanging, `shutdown_timeout` {SHUTDOWN_S:g} s: {exits}")
    return "\n\n".join(parts)


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few calls, as many rounds as fit in a minute")
    parser.add_argument("--calls", type=int, help="calls a configuration, load and round (300; quick 100)")
    parser.add_argument("--rounds", type=int, help="rounds (5, or as many as fit in the time; given, exactly so many)")
    parser.add_argument("--sizes", default="3", help="KB of question and answer together, for instance 1,3,60 (3)")
    parser.add_argument("--concurrency", "--at-once", type=int, help="calls in flight (1, then 32; quick 1)")
    parser.add_argument("--hooks", action="store_true", help="also the time spent in each of our hooks")
    parser.add_argument("--one-core", action="store_true", help="keep the measured processes on one core: less spread")
    parser.add_argument("--json", metavar="FILE", help="write all samples there")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        child(json.loads(options.child))
        return

    global one_core
    one_core = min(os.sched_getaffinity(0)) if options.one_core else None
    began = time.monotonic()
    calls = options.calls or (100 if options.quick else 300)
    at_once = [options.concurrency] if options.concurrency else [1] if options.quick else [1, 32]
    loads = [(int(kb), n) for kb in options.sizes.split(",") for n in at_once]
    env = {**environment(), "one_core": options.one_core}
    result: Json = {"environment": env, "calls": calls, "import_ms": import_ms(3 if options.quick else 9)}
    result["exit_s"] = {name: exit_s(name) for name in ("noop", "honeyhive")}
    result["commits"] = run("paced", "honeyhive", calls)["commits"]
    if options.hooks:
        result["hooks"] = run("hooks", "honeyhive", calls)["hooks"]
    ends = began + (55 if options.quick else 225) if options.rounds is None else float("inf")
    result["rounds"] = rounds(options.rounds or 5, calls, loads, ends)
    result["summary"] = {str(list(load)): summary(result["rounds"], str(list(load))) for load in loads}
    tell(result, report(result), options.json)


if __name__ == "__main__":
    main()
