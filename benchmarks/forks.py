"""What becomes of a process that is forked right after LiteLLM calls, and of the calls of parent and child.

    python benchmarks/forks.py                       # 48 combinations, 50 forks each: some twenty minutes
    python benchmarks/forks.py --forks 5             # some two minutes
    python benchmarks/forks.py --forks 1 --before 1 --ending exit

A process makes 0, 1, 5 or 20 calls, sync or async, waits or does not, and forks. The child makes one call and ends: by
`sys.exit`, by `os._exit` in the next instruction, or as a child of multiprocessing. Every child must end in time, and
every call that returned must have exactly one event, with the right status. The exit status is 1 if not. A Markdown
table is printed; `--json FILE` writes the rows as well.

Each process that forks is forked itself, from one in which LiteLLM has answered a call and this package was never used:
importing them takes longer than all the rest.
"""

from __future__ import annotations

import asyncio
import collections
import gc
import itertools
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any, Counter, Dict, Iterator, List, NamedTuple, Optional, Sequence

from _common import Json, measured_environment, parse, parser_for, spawn, table, write_report
from _internals import import_all_that_a_first_call_imports

BEFORE = (0, 1, 5, 20)
PAUSES_S = (0.0, 0.3)
KINDS = ("sync", "async")
ENDINGS = ("exit", "_exit", "multiprocessing")

CHILD_LIMIT_S = 30.0
"""A child that has not ended by then hangs. On an idle machine one takes well under a second."""

PARENT_LIMIT_S = CHILD_LIMIT_S + 30.0


class Cell(NamedTuple):
    """A row of the table: the calls before the fork, the wait between them and it, and how the child ends."""

    before: int
    pause_s: float
    kind: str
    ending: str

    @property
    def allowed(self) -> Sequence[str]:
        """What a child's call may be recorded as: `os._exit` may come before its outcome is on disk."""
        return ("success", "interrupted") if self.ending == "_exit" else ("success",)


class Trial(NamedTuple):
    """One fork."""

    cell: Cell
    number: int

    def label(self, call: object) -> str:
        """The question of a call, which says whose it is."""
        return f"{'/'.join(map(str, self.cell))}/{self.number}/{call}"


# ---- in the processes that are forked


def child(job: Json) -> None:
    """Fork a parent for each trial of `job`, some at a time; in each of them, be that parent."""
    import_all_that_a_first_call_imports()
    _call("async", ["warm up"])  # imports the rest, and starts none of LiteLLM's logging threads
    if threading.active_count() > 1:
        raise RuntimeError(f"these threads would be missing in every parent: {threading.enumerate()}")
    gc.collect()
    gc.freeze()  # else every process that ends looks at all of LiteLLM's objects, which copies their memory
    warnings.simplefilter("ignore")  # of a fork while threads run
    trials = (Trial(Cell(*cell), number) for number in range(job["forks"]) for cell in job["cells"])
    trial = _fork_parents(trials, job["at_once"])
    if trial is not None:
        _be_parent(trial)


def _fork_parents(trials: Iterator[Trial], at_once: int) -> Optional[Trial]:
    """In each forked parent its trial; None in this process, when all parents have ended."""
    deadlines: Dict[int, float] = {}
    while True:
        for trial in itertools.islice(trials, at_once - len(deadlines)):
            pid = os.fork()
            if pid == 0:
                return trial
            deadlines[pid] = time.monotonic() + PARENT_LIMIT_S
        if not deadlines:
            return None
        for pid, deadline in list(deadlines.items()):
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                del deadlines[pid]
            elif time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def _be_parent(trial: Trial) -> None:
    import honeyhive_litellm

    honeyhive_litellm.init()
    cell = trial.cell
    if cell.before:
        _call(cell.kind, [trial.label(number) for number in range(cell.before)])
    time.sleep(cell.pause_s)
    began = time.monotonic()
    if cell.ending == "multiprocessing":
        process = multiprocessing.get_context("fork").Process(target=_call, args=(cell.kind, [trial.label("child")]))
        process.start()
        process.join(CHILD_LIMIT_S)
        status = process.exitcode
        if status is None:
            process.kill()
            process.join()
    else:
        pid = os.fork()
        if pid == 0:
            _call(cell.kind, [trial.label("child")])
            if cell.ending == "_exit":
                os._exit(0)
            sys.exit(0)
        status = _status_of(pid, began + CHILD_LIMIT_S)
    result = {"cell": cell, "status": status, "seconds": time.monotonic() - began}
    os.write(1, json.dumps(result).encode() + b"\n")  # at once: several parents write to this pipe
    honeyhive_litellm.shutdown()
    os._exit(0)  # the interpreter's own exit takes long


def _call(kind: str, questions: Sequence[str]) -> None:
    import litellm

    calls: List[Dict[str, Any]] = [
        {"model": "gpt-4o", "messages": [{"role": "user", "content": question}], "mock_response": "answer"}
        for question in questions
    ]
    if kind == "sync":
        for arguments in calls:
            litellm.completion(**arguments)
        return

    async def make_calls() -> None:
        for arguments in calls:
            await litellm.acompletion(**arguments)

    asyncio.run(make_calls())


def _status_of(pid: int, deadline: float) -> Optional[int]:
    """The exit status of the child; None if it had to be killed."""
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


# ---- in the measuring process


class Row(NamedTuple):
    """What became of one cell's forks. `hung` and `failed` are children, `lost_parents` reported nothing."""

    cell: Cell
    forks: int
    hung: int
    failed: int
    lost_parents: int
    median_s: float
    longest_s: float
    calls: int
    success: int
    interrupted: int
    missing: int
    doubled: int
    wrong: int

    @property
    def is_good(self) -> bool:
        bad = (self.hung, self.failed, self.lost_parents, self.missing, self.doubled, self.wrong)
        return not any(bad)


def measure(cells: Sequence[Cell], forks: int, at_once: int) -> List[Row]:
    """Make the forks of all cells, deliver what they left, and count."""
    from honeyhive_litellm.testing import Collector

    with Collector() as collector, tempfile.TemporaryDirectory() as folder:
        environment = measured_environment(
            api_url=collector.url,
            spool_path=Path(folder) / "spool",
            api_key="hh_bench",
            project="forks",
            lookup_delay=0,
        )
        process = spawn(__file__, {"cells": cells, "forks": forks, "at_once": at_once}, environment=environment)
        try:
            out, errors = process.communicate(timeout=60 + len(cells) * forks * PARENT_LIMIT_S)
        finally:
            process.kill()
        if process.returncode:
            raise RuntimeError(f"the process that forks the parents failed:\n{errors[-2000:]}")
        print(errors[-2000:], end="", file=sys.stderr)
        drain = [sys.executable, "-m", "honeyhive_litellm", "drain", "--timeout", "60"]
        subprocess.run(drain, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=120)
        results = [json.loads(line) for line in out.splitlines()]
        found = _statuses_by_question(collector)
        return [_count(cell, forks, results, found) for cell in cells]


def _statuses_by_question(collector: Any) -> Dict[str, List[str]]:
    """The status of each event about a question, as often as the event was received."""
    found: Dict[str, List[str]] = collections.defaultdict(list)
    receipts = collector.receipts
    for event in collector.events:
        question = event["inputs"]["chat_history"][0]["content"]
        found[question] += [event["metadata"]["status"]] * receipts[event["event_id"]]
    return found


def _count(cell: Cell, forks: int, results: Sequence[Json], found: Dict[str, List[str]]) -> Row:
    ended = [result for result in results if Cell(*result["cell"]) == cell]
    seconds = [result["seconds"] for result in ended if result["status"] is not None] or [0.0]
    statuses: Counter[str] = collections.Counter()
    missing = doubled = wrong = 0
    trials = [Trial(cell, number) for number in range(forks)]
    for trial, call in itertools.product(trials, [*range(cell.before), "child"]):
        events = found[trial.label(call)]
        statuses.update(events[:1])
        missing += not events
        doubled += len(events) > 1
        wrong += bool(events) and events[0] not in (cell.allowed if call == "child" else ("success",))
    return Row(
        cell=cell,
        forks=forks,
        hung=sum(result["status"] is None for result in ended),
        failed=sum(bool(result["status"]) for result in ended),
        lost_parents=forks - len(ended),
        median_s=statistics.median(seconds),
        longest_s=max(seconds),
        calls=forks * (cell.before + 1),
        success=statuses["success"],
        interrupted=statuses["interrupted"],
        missing=missing,
        doubled=doubled,
        wrong=wrong,
    )


HEAD = ("calls before", "pause s", "kind", "child ends by", "forks", "hung", "failed", "lost parents", "median s")
COUNTS = ("longest s", "calls", "success", "interrupted", "missing", "doubled", "wrong")


def report(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = []
    for row in rows:
        ended = (row.forks, row.hung, row.failed, row.lost_parents)
        counts = (row.calls, row.success, row.interrupted, row.missing, row.doubled, row.wrong)
        times = (f"{row.median_s:.2f}", f"{row.longest_s:.2f}")
        lines.append([*map(str, row.cell), *map(str, ended), *times, *(f"{count:,}" for count in counts)])
    return table([*HEAD, *COUNTS], lines)


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = parser_for(__doc__, rounds=None)
    parser.add_argument("--forks", type=int, default=50, help="forks of each combination (50)")
    parser.add_argument("--at-once", type=int, default=4, help="how many processes fork at the same time (4)")
    parser.add_argument("--before", type=int, action="append", choices=BEFORE, help="only with so many calls before")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only these calls")
    parser.add_argument("--ending", action="append", choices=ENDINGS, help="only children that end so")
    options = parse(parser, child, arguments)
    chosen = (options.before or BEFORE, PAUSES_S, options.kind or KINDS, options.ending or ENDINGS)
    rows = measure([Cell(*cell) for cell in itertools.product(*chosen)], options.forks, options.at_once)
    write_report([{**row._asdict(), "cell": row.cell._asdict()} for row in rows], report(rows), options.json)
    if not all(row.is_good for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
