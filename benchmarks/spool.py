"""What it takes until events are committed, beside SQLite alone and a plain file.

    python benchmarks/spool.py            # 1, 3, 60 KB; 1, 4, 8 processes; three rounds: some four minutes
    python benchmarks/spool.py --quick    # 3 KB; 1 and 4 processes

**spool** puts events into the package's runtime, from the queue to the commit, with nobody listening at the backend's
address; **encrypted** does so with a key; **executemany** writes the same bodies with sqlite3 alone, 100 a transaction,
in WAL mode; **file** appends them to a file, 100 a `write`. Each process has a file of its own in all four. All run in
fresh interpreters, in turns.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

from _common import (
    UNREACHABLE,
    Json,
    environment,
    environment_line,
    in_turns,
    median,
    p99,
    parse,
    parser_for,
    result_of,
    spawn,
    table,
    write_report,
)
from _internals import await_commit, new_key, records, runtime

WRITERS = ("spool", "encrypted", "executemany", "file")
GROUP = 100
MEGABYTES = 60
"""What each process writes at full speed: more than one segment."""
FEWEST = 1000
PACE_S = 0.01


# ---- in the measured process


def child(job: Json) -> None:
    """Write on command, all at once and then one at a time; print the times."""
    Path(job["folder"]).mkdir(exist_ok=True)
    kb, count = job["kb"], job["events"]
    rows = records(count, kb * 1024)
    alone = records(job["alone"], kb * 1024, count)
    writer = _CHILDREN[job["writer"]](job)
    writer.write(records(GROUP, kb * 1024, count + len(alone)))  # files are made, code is loaded
    print("ready", flush=True)
    sys.stdin.readline()
    began, cpu = time.time(), time.process_time()
    writer.write(rows)
    ended, cpu = time.time(), time.process_time() - cpu
    late = []
    for row in alone:
        at = time.perf_counter()
        writer.write([row])
        late.append(time.perf_counter() - at)
        time.sleep(PACE_S)
    writer.close()
    measured = {"began": began, "ended": ended, "cpu_us": cpu / count * 1e6}
    print(json.dumps({**measured, "p50_us": sorted(late)[len(late) // 2] * 1e6, "p99_us": p99(late) * 1e6}), flush=True)


class _Spool:
    def __init__(self, job: Json) -> None:
        key = new_key() if job["writer"] == "encrypted" else None
        self._runtime = runtime(UNREACHABLE, f"{job['folder']}/spool", shutdown_timeout=1.0, spool_key=key)

    def write(self, rows: Sequence[Any]) -> None:
        for row in rows:
            self._runtime.submit(row)
        await_commit(self._runtime)

    def close(self) -> None:
        stats = self._runtime.stats()
        assert stats.committed == stats.accepted and not stats.dropped, stats
        self._runtime.shutdown(0.6)


class _Executemany:
    def __init__(self, job: Json) -> None:
        self._db = sqlite3.connect(f"{job['folder']}/bare{os.getpid()}.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("CREATE TABLE event (id TEXT NOT NULL, body BLOB NOT NULL)")

    def write(self, rows: Sequence[Any]) -> None:
        for first in range(0, len(rows), GROUP):
            self._db.execute("BEGIN")
            group = [(row.id, row.body) for row in rows[first : first + GROUP]]
            self._db.executemany("INSERT INTO event VALUES (?, ?)", group)
            self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()


class _File:
    def __init__(self, job: Json) -> None:
        self._fd = os.open(f"{job['folder']}/plain{os.getpid()}", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def write(self, rows: Sequence[Any]) -> None:
        for first in range(0, len(rows), GROUP):
            os.write(self._fd, b"\n".join([row.body for row in rows[first : first + GROUP]]))

    def close(self) -> None:
        os.close(self._fd)


_CHILDREN: Dict[str, Callable[[Json], Any]] = {
    "spool": _Spool,
    "encrypted": _Spool,
    "executemany": _Executemany,
    "file": _File,
}


# ---- in the measuring process


def measure(writer: str, kb: int, processes: int, events: int, alone: int) -> Json:
    """So many processes at once, each with so many events: events/s of all together, and the latency of one alone."""
    with tempfile.TemporaryDirectory() as folder:
        job = {"writer": writer, "kb": kb, "folder": folder, "events": events, "alone": alone}
        children = [spawn(__file__, job) for _ in range(processes)]
        for each in children:
            assert each.stdout is not None
            each.stdout.readline()
        for each in children:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        measured = [result_of(each) for each in children]
    took_s = max(each["ended"] for each in measured) - min(each["began"] for each in measured)
    sample = {"events_per_s": events * processes / took_s}
    return {**sample, **{key: median(measured, key) for key in ("cpu_us", "p50_us", "p99_us")}}


def report(result: Json) -> str:
    """The result as Markdown."""
    head = ["KB", "processes", "writer", "events/s", "beside executemany", "CPU us/event", "one alone p50 us", "p99 us"]
    rows: List[List[str]] = []
    for load, samples in result["loads"].items():
        kb, processes = json.loads(load)
        for name in WRITERS:
            mine = samples[name]
            ratio = median(
                [{"r": a["events_per_s"] / b["events_per_s"]} for a, b in zip(mine, samples["executemany"])], "r"
            )
            cells = [median(mine, key) for key in ("cpu_us", "p50_us", "p99_us")]
            rate = f"{median(mine, 'events_per_s'):,.0f}"
            rows.append([str(kb), str(processes), name, rate, f"x{ratio:.2f}", *(f"{cell:,.0f}" for cell in cells)])
    intro = f"Events until committed, {result['rounds']} rounds. {environment_line(result['environment'])}"
    return f"{intro}\n\n{table(head, rows)}"


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = parser_for(__doc__)
    parser.add_argument("--sizes", help="KB of an event, for instance 1,3,60 (these; quick 3)")
    parser.add_argument("--processes", help="how many write at once (1,4,8; quick 1,4)")
    parser.add_argument("--events", type=int, help=f"events a process (as many as fill {MEGABYTES} MB)")
    parser.add_argument("--alone", type=int, default=100, help="events written one at a time (100)")
    options = parse(parser, child, arguments)
    sizes = [int(kb) for kb in (options.sizes or ("3" if options.quick else "1,3,60")).split(",")]
    at_once = [int(n) for n in (options.processes or ("1,4" if options.quick else "1,4,8")).split(",")]
    rounds = options.rounds or (1 if options.quick else 3)
    result: Json = {"environment": environment(), "rounds": rounds, "loads": {}}
    for kb in sizes:
        events = options.events or max(FEWEST, MEGABYTES * 1024 // kb)
        for processes in at_once:
            samples: Dict[str, List[Json]] = {name: [] for name in WRITERS}
            for name in in_turns(WRITERS, rounds):
                samples[name].append(measure(name, kb, processes, events, options.alone))
            result["loads"][str([kb, processes])] = samples
    write_report(result, report(result), options.json)


if __name__ == "__main__":
    main()
