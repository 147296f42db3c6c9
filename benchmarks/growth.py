"""Whether a call's cost grows: with the backlog, with the calls in flight, with an event's size, with the calls made.

    python benchmarks/growth.py            # some twenty minutes, most of them for 100,000 calls in one process
    python benchmarks/growth.py --quick    # under three
    python benchmarks/growth.py --only backlog --only size

**backlog**: the spool holds so many undelivered events of 1 KB, left by a process that has ended, and nobody listens at
the backend's address. **memory**: what a process has in the machine after so many calls, and how much more that is than
after the first thousand. **in flight**: so many streams are opened, and when all are open they are read. **size**:
question and answer together have so many KB. A process with a callback that does nothing takes turns with the measured
one; CPU is of all threads, until everything is delivered or, with the backend down, committed.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from _callers import Caller, difference, difference_text, in_blocks, sample_of
from _calls import Load, child
from _common import (
    UNREACHABLE,
    Json,
    environment,
    environment_line,
    parse,
    parser_for,
    result_of,
    spawn,
    table,
    write_report,
)
from _counting_server import CountingServer
from _internals import fill

NAMES = ("noop", "honeyhive")
BLOCK = 50
BACKLOG_BYTES = 1024
SLOWEST_PER_S = 500
MB = 1024 * 1024

Samples = Dict[str, List[Json]]
"""Each round's samples, by configuration."""


@contextmanager
def _pair(url: str, spool: Optional[str] = None) -> Iterator[List[Caller]]:
    """A process whose callback does nothing, and one that records."""
    with ExitStack() as stack:
        yield [stack.enter_context(Caller(name, url, spool=spool)) for name in NAMES]


def _warm_up(callers: Sequence[Caller]) -> None:
    for caller in callers:
        caller.warm_up()
        caller.do("streams", at_once=1, count=BLOCK)


def _in_rounds(rounds: int, one: Callable[[], Mapping[str, Json]]) -> Samples:
    samples: Samples = {name: [] for name in NAMES}
    for _ in range(rounds):
        for name, sample in one().items():
            samples[name].append(sample)
    return samples


def by_backlog(sizes: Sequence[int], calls: int, rounds: int) -> Dict[str, Samples]:
    """Calls with so many events in the spool."""
    samples = {}
    for events in sizes:
        with tempfile.TemporaryDirectory() as spool:
            job = {"fill": spool, "events": events}
            result_of(spawn(__file__, job), 60 + events / SLOWEST_PER_S)
            with _pair(UNREACHABLE, spool) as callers:
                _warm_up(callers)
                samples[f"{events:,}"] = _in_rounds(rounds, partial(in_blocks, callers, Load(3, 1), calls, BLOCK))
    return samples


def by_calls(callers: Sequence[Caller], marks: Sequence[int]) -> Dict[str, Dict[str, int]]:
    """The memory of fresh processes after so many calls, in bytes, by configuration."""
    resident: Dict[str, Dict[str, int]] = {}
    made = 0
    with ThreadPoolExecutor(len(callers)) as pool:
        for mark in marks:
            while made < mark:
                count = min(1000, mark - made)
                list(pool.map(partial(Caller.calls, load=Load(3, 32), count=count), callers))
                made += count
            resident[f"{mark:,}"] = {caller.configuration: caller.do("resident")["bytes"] for caller in callers}
    return resident


def by_in_flight(callers: Sequence[Caller], numbers: Sequence[int], calls: int, rounds: int) -> Dict[str, Samples]:
    """Calls of which so many are in flight at the same time."""

    def one(at_once: int) -> Dict[str, Json]:
        count = max(1, calls // at_once) * at_once
        return {each.configuration: sample_of([each.do("streams", at_once=at_once, count=count)]) for each in callers}

    return {f"{at_once:,}": _in_rounds(rounds, partial(one, at_once)) for at_once in numbers}


def by_size(callers: Sequence[Caller], sizes: Sequence[int], calls: int, rounds: int) -> Dict[str, Samples]:
    """Calls whose questions and answers have so many KB; of large ones fewer are made."""

    def one(kb: int) -> Dict[str, Json]:
        return in_blocks(callers, Load(kb, 1), max(10, min(calls, calls * 10 // kb)), BLOCK)

    return {f"{kb:,}": _in_rounds(rounds, partial(one, kb)) for kb in sizes}


# ---- the report

_HEADS = {"backlog": "events of backlog", "in flight": "calls in flight", "size": "KB"}


def _cost_table(what: str, samples_of: Mapping[str, Samples]) -> str:
    rows = []
    for step, samples in samples_of.items():
        ours, noops = samples["honeyhive"], samples["noop"]
        cells = [
            step,
            f"{statistics.median(sample['cpu_us'] for sample in noops):,.0f}",
            f"{statistics.median(sample['cpu_us'] for sample in ours):,.0f}",
            difference_text(difference(ours, noops, "cpu_us")),
        ]
        if what == "size":
            cells.append(f"{difference(ours, noops, 'cpu_us')['beyond'] / int(step.replace(',', '')):+,.1f}")
        rows.append(cells)
    head = [_HEADS[what], "CPU us/call, noop", "honeyhive", "beyond noop (least to most)"]
    return table([*head, *(["the same per KB"] if what == "size" else [])], rows)


def _memory_table(resident: Mapping[str, Mapping[str, int]]) -> str:
    base = resident[list(resident)[min(1, len(resident) - 1)]]
    rows = (
        [mark, *(f"{at[name] / MB:.1f} ({(at[name] - base[name]) / MB:+.1f})" for name in NAMES)]
        for mark, at in resident.items()
    )
    return table(["calls made", "resident MB, noop (beyond 1,000 calls)", "honeyhive"], rows)


def report(result: Json) -> str:
    """The result as Markdown."""
    parts = [f"{result['rounds']} rounds. {environment_line(result['environment'])}"]
    parts += [_cost_table(what, result[what]) for what in _HEADS if what in result]
    if "memory" in result:
        parts.append(_memory_table(result["memory"]))
    return "\n\n".join(parts)


def _filling(job: Json) -> None:
    if "fill" not in job:
        child(job)
        return
    fill(job["fill"], job["events"], BACKLOG_BYTES)
    print(json.dumps({}), flush=True)


def _numbers(text: str) -> List[int]:
    return [int(number) for number in text.split(",")]


_STEPS: Dict[str, Tuple[str, str]] = {
    "backlog": ("10,1000,100000,1000000", "10,1000,100000"),
    "memory": ("1,1000,10000,100000", "1,1000,4000"),
    "in flight": ("1,10,100,1000", "1,10,100,1000"),
    "size": ("1,10,100,1000", "1,10,100,1000"),
}
"""The steps of the full run, and of the quick one."""


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = parser_for(__doc__)
    parser.add_argument("--calls", type=int, help="calls a step and round (500; quick 150)")
    parser.add_argument("--only", action="append", choices=list(_STEPS), help="only this part")
    for what, (full, quick) in _STEPS.items():
        option = f"--{what.replace(' ', '-')}"
        parser.add_argument(option, dest=what, type=_numbers, help=f"its steps ({full}; quick {quick})")
    options = parse(parser, _filling, arguments)
    calls = options.calls or (150 if options.quick else 500)
    rounds = options.rounds or (1 if options.quick else 3)
    result: Json = {"environment": environment(), "calls": calls, "rounds": rounds}
    steps = {
        what: getattr(options, what) or _numbers(both[1 if options.quick else 0])
        for what, both in _STEPS.items()
        if not options.only or what in options.only
    }
    if "backlog" in steps:
        result["backlog"] = by_backlog(steps.pop("backlog"), calls, rounds)
    if steps:
        with CountingServer() as sink, _pair(sink.url) as callers:
            if "memory" in steps:
                result["memory"] = by_calls(callers, steps["memory"])
            _warm_up(callers)
            if "in flight" in steps:
                result["in flight"] = by_in_flight(callers, steps["in flight"], calls, rounds)
            if "size" in steps:
                result["size"] = by_size(callers, steps["size"], calls, rounds)
    write_report(result, report(result), options.json)


if __name__ == "__main__":
    main()
