"""What recording costs a LiteLLM call, beside a bare LiteLLM and a callback that does nothing.

    python benchmarks/overhead.py            # 3 KB on asyncio: 1 and 32 in flight, 100 calls/s: under four minutes
    python benchmarks/overhead.py --quick    # under one
    python benchmarks/overhead.py --all      # 1, 3, 60 KB on asyncio, uvloop, and without a loop: some thirty minutes
    python benchmarks/overhead.py --loop uvloop --sync --sizes 1,60 --json samples.json

Every configuration is an interpreter of its own. Those of a round live at the same time and make their calls in turns,
a block of some hundred each, so that what else the machine does falls on all of them alike; each round has new ones.
The backend is a process on loopback that only counts. Medians over the rounds are printed as Markdown, with the spread;
`--json FILE` writes all samples as well. `benchmarks/README.md` says what each number is.
"""

from __future__ import annotations

import os
import statistics
import time
from contextlib import ExitStack
from typing import Any, Dict, List, Mapping, Optional, Sequence

from _callers import Caller, difference, difference_text, in_blocks
from _calls import CONFIGURATIONS, LOOPS, PACED, Load, child
from _common import Json, environment, environment_line, parse, parser_for, table, write_report
from _counting_server import CountingServer

BLOCK = 128
AT_ONCE = (1, 32, PACED)
QUICK_S, FULL_S = 55.0, 225.0

Round = Dict[str, Any]
"""By loop: by load's name: by configuration, a sample (`_calls.sample_of`); and under `first` each one's first call."""


def one_round(
    names: Sequence[str], loops: Sequence[str], loads: Sequence[Load], calls: int, core: Optional[int] = None
) -> Round:
    """Every configuration on every loop under every load."""
    samples: Round = {}
    for loop in loops:
        with ExitStack() as stack:
            url = stack.enter_context(CountingServer()).url
            callers = [stack.enter_context(Caller(name, url, loop=loop, core=core)) for name in names]
            first = {caller.configuration: caller.warm_up() for caller in callers}
            samples[loop] = {load.name: in_blocks(callers, load, calls, BLOCK) for load in loads}
            samples[loop]["first"] = {name: {"cpu_us": block["cpu_s"] * 1e6} for name, block in first.items()}
    return samples


def rounds(
    count: int, ends: float, names: Sequence[str], loops: Sequence[str], loads: Sequence[Load], calls: int, **more: Any
) -> List[Round]:
    """`count` rounds, or fewer, but one, if the next would not be over when `time.monotonic()` is `ends`."""
    done: List[Round] = []
    longest = 0.0
    while len(done) < count and (not done or time.monotonic() + longest < ends):
        began = time.monotonic()
        done.append(one_round(names, loops, loads, calls, **more))
        longest = max(longest, time.monotonic() - began)
    return done


# ---- the report


def summary(done: Sequence[Round], loop: str, load: str) -> Dict[str, Json]:
    """Each configuration's medians over the rounds, and what it adds to the do-nothing callback of the same round."""
    result: Dict[str, Json] = {}
    for name in done[0][loop][load]:
        samples = [each[loop][load][name] for each in done]
        noops = [each[loop][load]["noop"] for each in done]
        row: Json = {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}
        for key in ("cpu_us", "p50_us"):
            if key in row:
                row[f"{key}_range"] = [min(s[key] for s in samples), max(s[key] for s in samples)]
                row[f"{key}_beside_noop"] = difference(samples, noops, key)
        result[name] = row
    return result


def _summary_table(summed: Mapping[str, Json]) -> str:
    def cells(name: str, row: Json) -> List[str]:
        low, high = row["cpu_us_range"]
        return [
            name,
            f"{row['cpu_us']:,.0f} ({low:,.0f}-{high:,.0f})",
            difference_text(row["cpu_us_beside_noop"]),
            f"{row['own_us']:,.0f}" if row["own_us"] else "",
            f"{row['p50_us']:,.0f}",
            difference_text(row["p50_us_beside_noop"]),
            f"{row['p99_us']:,.0f}",
            f"{row['stall_p99_ms']:.1f} / {row['stall_max_ms']:.1f}" if "stall_p99_ms" in row else "",
            f"{row['committed_ms']:.1f}" if "committed_ms" in row else "",
        ]

    head = ["configuration", "CPU us/call (min-max)", "beyond noop", "in our threads", "p50 us"]
    head += ["beyond noop", "p99 us", "loop stall p99 / max ms", "all committed after ms"]
    return table(head, (cells(name, row) for name, row in summed.items()))


def _first_table(loops: Mapping[str, Mapping[str, Mapping[str, Json]]]) -> str:
    rows = (
        [loop, name, f"{row['cpu_us'] / 1e3:,.1f}", f"{row['cpu_us_beside_noop']['beyond'] / 1e3:+,.1f}"]
        for loop, loads in loops.items()
        for name, row in loads["first"].items()
    )
    return table(["first call of a process", "configuration", "CPU ms", "beyond noop"], rows)


def report(result: Json) -> str:
    """The result as Markdown."""
    env = result["environment"]
    intro = (
        f"{result['calls']} calls under each load in each of {len(result['rounds'])} rounds. {environment_line(env)}"
    )
    parts = [intro + (", on one core" if env["one_core"] else "")]
    for loop, loads in result["summary"].items():
        for load, summed in loads.items():
            if load != "first":
                parts += [f"**{load}, {loop}**", _summary_table(summed)]
    return "\n\n".join([*parts, _first_table(result["summary"])])


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = parser_for(__doc__, "as many as fit in the time, up to 5; with --all 3")
    parser.add_argument(
        "--all",
        action="store_true",
        help="all sizes, both loops and sync; four configurations; three rounds",
    )
    parser.add_argument("--calls", type=int, help=f"calls a configuration, load and round ({2 * BLOCK})")
    parser.add_argument("--sizes", help="KB of question and answer together, for instance 1,3,60 (3)")
    parser.add_argument(
        "--concurrency", type=int, help="calls in flight; 0 for 100 calls/s (1, 32 and 0; quick 1 and 32)"
    )
    parser.add_argument("--loop", help="asyncio, uvloop, or both with a comma between (asyncio)")
    parser.add_argument("--sync", action="store_true", help="`completion` from threads, too; alone if no loop is named")
    parser.add_argument("--one-core", action="store_true", help="keep the measured processes on one core: less spread")
    options = parse(parser, child, arguments)

    began = time.monotonic()
    sizes = [int(kb) for kb in (options.sizes or ("1,3,60" if options.all else "3")).split(",")]
    at_once = AT_ONCE[: 2 if options.quick else 3] if options.concurrency is None else [options.concurrency]
    loads = [Load(kb, number) for kb in sizes for number in at_once]
    if options.loop or options.sync:
        loops = [*(options.loop.split(",") if options.loop else ()), *(["sync"] if options.sync else ())]
    else:
        loops = list(LOOPS) if options.all else ["asyncio"]
    calls = options.calls or 2 * BLOCK
    in_time = float("inf") if options.rounds or options.all else began + (QUICK_S if options.quick else FULL_S)
    core = min(os.sched_getaffinity(0)) if options.one_core else None
    result: Json = {"environment": {**environment(), "one_core": options.one_core}, "calls": calls}
    names = list(CONFIGURATIONS)[: 4 if options.quick or options.all else None]
    result["rounds"] = rounds(
        options.rounds or (3 if options.all else 5), in_time, names, loops, loads, calls, core=core
    )
    result["summary"] = {
        loop: {load: summary(result["rounds"], loop, load) for load in ("first", *(each.name for each in loads))}
        for loop in loops
    }
    write_report(result, report(result), options.json)


if __name__ == "__main__":
    main()
