"""What destinations cost: ten of them for each call, and two hundred idle ones in memory.

    python benchmarks/destinations.py            # 10 blocks of 1,000 calls each: under a minute
    python benchmarks/destinations.py --quick    # 3 blocks

The calls are those of our hooks, without LiteLLM, whose own time would hide the difference. The configurations make
their calls in one process, block by block in turns, there and back. CPU time is that of the whole process until all is
delivered to a server on loopback that only counts. For the memory, each configuration is a process of its own.
"""

from __future__ import annotations

import gc
import itertools
import json
import statistics
import tempfile
import threading
import time
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from _common import (
    PROSE,
    Json,
    environment,
    environment_line,
    in_turns,
    parse,
    parser_for,
    resident_bytes,
    result_of,
    spawn,
    table,
    write_report,
)
from _counting_server import CountingServer
from _internals import close_idle_channels, hooks_of, runtime

CONFIGURATIONS = {"none": 0, "one": 1, "ten": 10}
IDLE = 200
_TEXT = PROSE * 15
_NUMBERS = itertools.count()


def options(count: int, url: str) -> Json:
    """The option that names so many destinations, `t0` and on."""
    if not count:
        return {}
    names = [f"t{number}" for number in range(count)]
    return {
        "destinations": {
            name: {"project": name, "api_key": "hh_bench", "api_url": url, "match": {"team": name}} for name in names
        }
    }


class Calls:
    """A runtime with so many destinations, and calls that go to each in turn."""

    def __init__(self, count: int, url: str, spool: Path) -> None:
        self._count = count
        self.runtime = runtime(url, str(spool), **options(count, url))
        self._start, self._succeed = hooks_of(self.runtime)

    def make(self, calls: int) -> None:
        for _ in range(calls):
            number = next(_NUMBERS)
            details = self._details(number)
            self._start(details)
            now = time.time()
            details["standard_logging_object"] = {"startTime": now, "endTime": now, "response_cost": 0.001}
            self._succeed(details, _response(number))

    def _details(self, number: int) -> Dict[str, Any]:
        team = f"t{number % self._count}" if self._count else "t"
        return {
            "litellm_call_id": str(uuid.uuid4()),
            "call_type": "acompletion",
            "model": "gpt-4o",
            "custom_llm_provider": "openai",
            "messages": [{"role": "user", "content": f"{number} {_TEXT}"}],
            "start_time": datetime.now(timezone.utc),
            "optional_params": {"temperature": 0.5},
            "litellm_params": {"metadata": {"user_api_key_hash": "h", "user_api_key_team_id": team}},
        }

    def block(self, calls: int) -> Json:
        """CPU microseconds a call: of this thread in the hooks, and of the process until all is delivered."""
        gc.collect()
        process, thread = time.process_time(), time.thread_time()
        self.make(calls)
        in_hooks = time.thread_time() - thread
        if self.runtime.flush(60):
            raise RuntimeError(f"not delivered in time: {self.runtime.stats()}")
        return {"hooks_us": in_hooks / calls * 1e6, "cpu_us": (time.process_time() - process) / calls * 1e6}


def _response(number: int) -> Json:
    answer = {"message": {"role": "assistant", "content": f"{number} {_TEXT}"}, "finish_reason": "stop"}
    return {"id": "c", "model": "gpt-4o", "choices": [answer], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}


def measure_calls(blocks: int, calls: int) -> Dict[str, Json]:
    """The median of each configuration's blocks."""
    with CountingServer() as server, tempfile.TemporaryDirectory() as folder:
        callers = {name: Calls(count, server.url, Path(folder, name)) for name, count in CONFIGURATIONS.items()}
        samples: Dict[str, List[Json]] = {name: [] for name in callers}
        for caller in callers.values():
            caller.block(calls)
        for name in in_turns(list(callers), blocks):
            samples[name].append(callers[name].block(calls))
        for caller in callers.values():
            caller.runtime.shutdown(10)
    return {
        name: {key: statistics.median(sample[key] for sample in found) for key in ("hooks_us", "cpu_us")}
        for name, found in samples.items()
    }


def child(job: Json) -> None:
    """Memory and threads of a process with so many destinations; `used`: each has had a call, and is idle again."""
    with CountingServer() as server, tempfile.TemporaryDirectory() as folder:
        close_idle_channels()
        calls = Calls(job["destinations"], server.url, Path(folder))
        calls.make(1 if not job["used"] else max(job["destinations"], 1))
        calls.runtime.flush(60)
        deadline = time.monotonic() + 30
        while any(channel.pipeline for channel in calls.runtime.channels.named.values()) and job["used"]:
            if time.monotonic() > deadline:
                raise TimeoutError("the channels stay open")
            time.sleep(0.05)
        gc.collect()
        print(json.dumps({"bytes": resident_bytes(), "threads": threading.active_count()}))
        calls.runtime.shutdown(10)


def measure_memory(rounds: int) -> Dict[str, Json]:
    """Beyond a process without destinations, the medians."""
    jobs = {
        "without": {"destinations": 0, "used": False},
        f"{IDLE} unused": {"destinations": IDLE, "used": False},
        f"{IDLE} used, idle again": {"destinations": IDLE, "used": True},
    }
    samples = {name: [result_of(spawn(__file__, job)) for _ in range(rounds)] for name, job in jobs.items()}
    medians = {
        name: {key: statistics.median(sample[key] for sample in found) for key in ("bytes", "threads")}
        for name, found in samples.items()
    }
    without = medians.pop("without")
    return {name: {key: row[key] - without[key] for key in row} for name, row in medians.items()}


def _beyond(row: Json, none: Json, key: str) -> List[str]:
    return [f"{row[key]:.1f}", f"{row[key] - none[key]:+.1f}"]


def report(result: Json) -> str:
    """The result as Markdown."""
    none = result["calls"]["none"]
    calls = table(
        ["destinations", "CPU us a call", "beyond none", "in the hooks, us", "beyond none"],
        (
            [name, *_beyond(row, none, "cpu_us"), *_beyond(row, none, "hooks_us")]
            for name, row in result["calls"].items()
        ),
    )
    memory = table(
        ["destinations", "MB beyond none", "threads beyond none"],
        ([name, f"{row['bytes'] / 1e6:.1f}", f"{row['threads']:.0f}"] for name, row in result["memory"].items()),
    )
    return "\n\n".join([environment_line(result["environment"]), calls, memory])


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = parser_for(__doc__, "10 blocks; quick 3")
    chosen = parse(parser, child, arguments)
    blocks = chosen.rounds or (3 if chosen.quick else 10)
    result: Json = {"environment": environment(), "calls": measure_calls(blocks, 1000)}
    result["memory"] = measure_memory(1 if chosen.quick else 3)
    write_report(result, report(result), chosen.json)


if __name__ == "__main__":
    main()
