"""What recording costs a LiteLLM call, beside a bare LiteLLM and a callback that does nothing.

    python benchmarks/overhead.py            # about two minutes
    python benchmarks/overhead.py --quick

Every configuration runs in a process of its own, in turns, round after round, so that what else the machine does
falls on all of them alike. Medians are printed as a Markdown table, with the spread. Traffic goes to a collector on
loopback, in the measuring process, so that its CPU is not counted. `--json FILE` writes all samples.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any, Dict, List

CONFIGURATIONS = ("bare", "noop", "honeyhive", "honeyhive, backend down")
TEXT = ("The spool keeps what was committed until the server accepts it. " * 10)[:600]
MESSAGES = [{"role": "user", "content": TEXT} for _ in range(4)]
WARM_UP = 50
REFUSED = "http://127.0.0.1:9"


def child(configuration: str, url: str, calls: int, at_once: int) -> Dict[str, float]:
    """Make the calls in this process and measure them: microseconds of CPU (all threads) and of latency."""
    import litellm
    from litellm.integrations.custom_logger import CustomLogger

    import honeyhive_litellm

    class Noop(CustomLogger):  # type: ignore[misc]
        def log_pre_api_call(self, *_: Any, **__: Any) -> None: ...
        def log_post_api_call(self, *_: Any, **__: Any) -> None: ...
        async def async_log_success_event(self, *_: Any, **__: Any) -> None: ...
        async def async_post_call_success_deployment_hook(self, *_: Any, **__: Any) -> None: ...

    if configuration == "noop":
        litellm.callbacks = [Noop()]
    elif configuration.startswith("honeyhive"):
        folder = tempfile.mkdtemp(prefix="overhead-")
        address = REFUSED if configuration.endswith("down") else url
        honeyhive_litellm.init(api_key="hh_bench", project="bench", api_url=address, spool_path=folder)

    latencies: List[float] = []
    late: List[float] = []

    async def tick() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.005)
            late.append(time.perf_counter() - began - 0.005)

    async def one(gate: asyncio.Semaphore) -> None:
        async with gate:
            began = time.perf_counter()
            await litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response=TEXT)
            latencies.append(time.perf_counter() - began)

    async def main(count: int) -> None:
        gate = asyncio.Semaphore(at_once)
        ticker = asyncio.ensure_future(tick())
        await asyncio.gather(*(one(gate) for _ in range(count)))
        await asyncio.sleep(0.5)  # what comes after the calls belongs to their cost
        ticker.cancel()

    asyncio.run(main(WARM_UP))
    latencies.clear()
    late.clear()
    cpu = time.process_time()
    asyncio.run(main(calls))
    cpu = time.process_time() - cpu
    return {
        "cpu_us": cpu / calls * 1e6,
        "p50_us": statistics.median(latencies) * 1e6,
        "p99_us": sorted(latencies)[int(len(latencies) * 0.99) - 1] * 1e6,
        "stall_p99_us": sorted(late)[int(len(late) * 0.99) - 1] * 1e6,
    }


def sample(configuration: str, url: str, calls: int, at_once: int) -> Dict[str, float]:
    """`child` in a fresh interpreter."""
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    arguments = ["--child", configuration, "--url", url, "--calls", str(calls), "--at-once", str(at_once)]
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
    )
    measured: Dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def import_ms() -> float:
    """The median time that `import honeyhive_litellm` adds to an interpreter's start."""

    def start(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
        return (time.perf_counter() - began) * 1000

    return statistics.median(start("import honeyhive_litellm") - start("pass") for _ in range(9))


def table(samples: Dict[str, List[Dict[str, float]]]) -> str:
    """The medians as Markdown, with the least and the most of the CPU, and the ratio to the do-nothing callback."""
    lines = [
        "| configuration | CPU us/call (min-max) | beyond noop | p50 us | p99 us | loop stall p99 us |",
        "|---|---|---|---|---|---|",
    ]
    noop = statistics.median(s["cpu_us"] for s in samples["noop"])
    for name, rows in samples.items():
        middle = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        cpu = [row["cpu_us"] for row in rows]
        lines.append(
            f"| {name} | {middle['cpu_us']:.0f} ({min(cpu):.0f}-{max(cpu):.0f}) | "
            f"{middle['cpu_us'] - noop:+.0f} (x{middle['cpu_us'] / noop:.2f}) | "
            f"{middle['p50_us']:.0f} | {middle['p99_us']:.0f} | {middle['stall_p99_us']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few calls, two rounds")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--calls", type=int)
    parser.add_argument("--at-once", type=int, default=1, help="calls in flight (1)")
    parser.add_argument("--json", help="file for all samples")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    calls = options.calls or (100 if options.quick else 400)
    if options.child:
        print(json.dumps(child(options.child, options.url, calls, options.at_once)))
        return

    from honeyhive_litellm.testing import Collector

    samples: Dict[str, List[Dict[str, float]]] = {name: [] for name in CONFIGURATIONS}
    with Collector() as collector:
        for _ in range(options.rounds or (2 if options.quick else 5)):
            for name in CONFIGURATIONS:
                samples[name].append(sample(name, collector.url, calls, options.at_once))
    environment = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores"
    print(f"{calls} `acompletion` calls, {options.at_once} in flight, 3 KB each; {environment}\n")
    print(table(samples))
    print(f"\n`import honeyhive_litellm`: {import_ms():.0f} ms")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"environment": environment, "samples": samples}, file, indent=1)


if __name__ == "__main__":
    main()
