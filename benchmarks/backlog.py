"""What a large backlog costs the process that takes it over: memory, time to open, time to drain, disk.

    python benchmarks/backlog.py                      # 1,000,000 events of 1 KB: some minutes, and 1.2 GB of disk
    python benchmarks/backlog.py --quick              # 50,000
    python benchmarks/backlog.py --events 200000 --bytes 3072

A process fills the spool while nobody listens at the backend's address, and ends. The next one, without LiteLLM, takes
it over and delivers it to a process on loopback that only counts. The same is done with a backlog of 1,000 events: what
the large one needs beyond that is what it costs.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Optional, Sequence

from _common import (
    Json,
    environment,
    environment_line,
    parse,
    parser_for,
    peak_bytes,
    result_of,
    spawn,
    table,
    write_report,
)
from _counting_server import CountingServer
from _internals import fill, runtime

SMALL = 1000
SLOWEST_PER_S = 500
"""A drain slower than this is given up."""


# ---- in the measured process


def child(job: Json) -> None:
    """Fill the spool, or drain it and print what that took."""
    if job["part"] == "fill":
        began = time.perf_counter()
        fill(job["spool"], job["events"], job["bytes"])
        print(json.dumps({"fill_s": time.perf_counter() - began}), flush=True)
        return
    import aiohttp  # noqa: F401  its memory is not the backlog's

    before, began = peak_bytes(), time.time()
    draining = runtime(job["url"], job["spool"])
    left = draining.flush(60 + job["events"] / SLOWEST_PER_S)
    measured = {"began": began, "drain_s": time.time() - began, "peak_bytes": peak_bytes(), "before_bytes": before}
    stats = draining.stats()
    if left or stats.delivered != job["events"]:
        raise RuntimeError(f"not all was delivered: {stats}")
    draining.shutdown(5.0)
    print(json.dumps(measured), flush=True)


# ---- in the measuring process


def measure(events: int, size: int) -> Json:
    """Fill and drain a spool with so many events."""
    with tempfile.TemporaryDirectory() as folder, CountingServer() as sink:
        job = {"events": events, "bytes": size, "spool": f"{folder}/spool", "url": sink.url}
        timeout_s = 120 + events / SLOWEST_PER_S
        filled = result_of(spawn(__file__, {**job, "part": "fill"}), timeout_s)
        full = _disk_bytes(folder)
        drained = result_of(spawn(__file__, {**job, "part": "drain"}), timeout_s)
        counts = sink.counts()
        empty = _disk_bytes(folder)
    if counts["events"] != events:
        raise RuntimeError(f"{counts['events']} of {events} events arrived")
    return {
        **filled,
        "events": events,
        "first_post_s": counts["first_at"] - drained["began"],
        "drain_s": drained["drain_s"],
        "events_per_s": events / drained["drain_s"],
        "added_bytes": drained["peak_bytes"] - drained["before_bytes"],
        "peak_bytes": drained["peak_bytes"],
        "disk_full_bytes": full,
        "disk_empty_bytes": empty,
    }


def _disk_bytes(folder: str) -> int:
    return sum(os.stat(path).st_blocks * 512 for path in Path(folder).rglob("*") if path.is_file())


def report(result: Json) -> str:
    """The result as Markdown."""
    mb = 1024 * 1024
    rows = [
        [
            f"{run['events']:,}",
            f"{run['disk_full_bytes'] / mb:,.1f}",
            f"{run['first_post_s']:.2f}",
            f"{run['events_per_s']:,.0f}",
            f"{run['peak_bytes'] / mb:.1f}",
            f"{run['added_bytes'] / mb:.1f}",
            f"{run['disk_empty_bytes'] / mb:.1f}",
        ]
        for run in result["runs"]
    ]
    head = ["events", "disk MB", "first POST after s", "drained events/s", "peak memory MB", "of it since the start MB"]
    beyond = result["runs"][-1]["added_bytes"] - result["runs"][0]["added_bytes"]
    intro = f"Events of {result['bytes']:,} bytes. {environment_line(result['environment'])}"
    return f"{intro}\n\n{table([*head, 'disk MB after'], rows)}\n\nMemory for the backlog: {beyond / mb:+.1f} MB"


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = parser_for(__doc__)
    parser.add_argument("--events", type=int, help="events in the spool (1000000; quick 50000)")
    parser.add_argument("--bytes", type=int, default=1024, help="of each (1024)")
    options = parse(parser, child, arguments)
    events = options.events or (50_000 if options.quick else 1_000_000)
    result: Json = {"environment": environment(), "bytes": options.bytes}
    result["runs"] = [measure(count, options.bytes) for count in (min(SMALL, events), events)]
    write_report(result, report(result), options.json)


if __name__ == "__main__":
    main()
