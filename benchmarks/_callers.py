"""Processes that make LiteLLM calls block by block, in turns.

Several of them live at the same time and make their calls one after the other: whatever else the machine does then
falls on all of them alike.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import threading
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, TypeVar

import _calls
from _calls import WARM_UP, Load
from _common import CHILD_TIMEOUT_S, UNREACHABLE, Json, p99, spawn

T = TypeVar("T", bound="CommandedProcess")


class ChildError(RuntimeError):
    """A process did not do its work; `name` is its name."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name} {why}")
        self.name = name


class CommandedProcess:
    """A process, inside `with`, that takes commands as lines of JSON, and replies in such lines.

    It is `script --child job`; `python` is its interpreter, and its environment is that of `spawn`.
    """

    def __init__(
        self,
        name: str,
        script: str,
        job: Json,
        python: str = sys.executable,
        environment: Optional[Dict[str, str]] = None,
    ) -> None:
        self.name = name
        self._script = script
        self._job = job
        self._python = python
        self._environment = environment

    def __enter__(self: T) -> T:
        self._folder = tempfile.TemporaryDirectory()
        self._errors = tempfile.TemporaryFile("w+")
        job = {"folder": self._folder.name, **self._job}
        self._process = spawn(
            self._script, job, stderr=self._errors, python=self._python, environment=self._environment
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()
        self._folder.cleanup()

    def send(self, command: Json) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def reply(self, timeout_s: float = CHILD_TIMEOUT_S) -> Json:
        """The next line of its replies. Raises ChildError with its standard error if it has ended."""
        assert self._process.stdout is not None
        killer = threading.Timer(timeout_s, self._process.kill)
        killer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            killer.cancel()
        if not line:
            self._errors.seek(0)
            raise ChildError(self.name, f"ended:\n{self._errors.read()[-2000:]}")
        reply: Json = json.loads(line)
        return reply


class Caller(CommandedProcess):
    """One that makes calls by a configuration of `_calls.py`.

    `options` are for `honeyhive_litellm.init`, with the configuration's; `core` is the only core that the process may
    use (Linux), None for all; `times_hooks` times our hooks (`_hook_timer.py`); `is_silent` says that the
    backend takes nothing.
    """

    def __init__(
        self,
        configuration: str,
        url: str = UNREACHABLE,
        *,
        loop: str = "asyncio",
        core: Optional[int] = None,
        times_hooks: bool = False,
        is_silent: bool = False,
        options: Optional[Json] = None,
        spool: Optional[str] = None,
    ) -> None:
        self.configuration = configuration
        url = UNREACHABLE if configuration.endswith("down") else url
        job = {
            "configuration": configuration,
            "url": url,
            "loop": loop,
            "core": core,
            "times_hooks": times_hooks,
            "is_down": is_silent or url == UNREACHABLE,
            "options": options or {},
        }
        super().__init__(configuration, _calls.__file__, {**job, "folder": spool} if spool else job)

    def do(self, what: str, timeout_s: float = CHILD_TIMEOUT_S, **more: Any) -> Json:
        """The process's reply to a command: a method of `_Calls`, and its arguments."""
        self.send({"do": what, **more})
        return self.reply(timeout_s)

    def calls(self, load: Load, count: int, timeout_s: float = CHILD_TIMEOUT_S) -> Json:
        """One block of calls; see `_Block.result`."""
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
    blocks_of: Dict[str, List[Json]] = {caller.configuration: [] for caller in callers}
    for number in range(0, count, block):
        for caller in callers if number // block % 2 == 0 else reversed(callers):
            blocks_of[caller.configuration].append(caller.calls(load, min(block, count - number)))
    return {name: sample_of(blocks) for name, blocks in blocks_of.items()}


def sample_of(blocks: Sequence[Json]) -> Json:
    """Blocks of one process put together."""
    calls = sum(len(block["latencies_s"]) for block in blocks)
    latencies = [each for block in blocks for each in block["latencies_s"]]
    late = [each for block in blocks for each in block["late_s"]]
    sample = {
        "cpu_us": statistics.median(block["cpu_s"] / len(block["latencies_s"]) for block in blocks) * 1e6,
        "own_us": statistics.median(block["own_cpu_s"] / len(block["latencies_s"]) for block in blocks) * 1e6,
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


def difference(mine: Sequence[Json], noops: Sequence[Json], key: str) -> Json:
    """The difference to what the same round has without us: median, least, most; the median ratio, and mine alone."""
    beyond = [sample[key] - noop[key] for sample, noop in zip(mine, noops)]
    return {
        "median": statistics.median(sample[key] for sample in mine),
        "beyond": statistics.median(beyond),
        "range": [min(beyond), max(beyond)],
        "ratio": statistics.median(sample[key] / noop[key] for sample, noop in zip(mine, noops)),
    }


def difference_text(compared: Mapping[str, Any]) -> str:
    """The same for a reader."""
    low, high = compared["range"]
    return f"{compared['beyond']:+,.0f} ({low:+,.0f} to {high:+,.0f}), x{compared['ratio']:.2f}"
