"""The time inside each of our hooks, and the time from there until the record is on disk.

    python benchmarks/hooks.py            # 1,000 calls of 3 KB one after the other, 1,000 at 100 calls/s
    python benchmarks/hooks.py --quick    # 200

The calls are made in a process of its own, against a backend on loopback that only counts.
"""

from __future__ import annotations

from typing import Mapping, Optional, Sequence

from _callers import Caller
from _calls import PACED, Load, child
from _common import Json, environment, environment_line, parse, parser_for, table, write_report
from _counting_server import CountingServer


def measure(calls: int, kb: int) -> Json:
    """`hooks`: times of each, with one call in flight; `commits`: of both kinds of record, at 100 calls/s."""
    with CountingServer() as sink, Caller("honeyhive", sink.url, times_hooks=True) as caller:
        caller.warm_up()
        caller.do("hook_times")
        caller.calls(Load(kb, 1), calls)
        hooks = caller.do("hook_times")["hooks"]
        caller.calls(Load(kb, PACED), calls)
        return {"hooks": hooks, "commits": caller.do("hook_times")["commits"]}


def report(result: Json) -> str:
    """The result as Markdown."""
    hooks = {
        name: {"calls": f"{row['calls'] / result['calls']:.2f}", **row_of(row, "us")}
        for name, row in result["hooks"].items()
    }
    commits = {name: row_of(row, "ms") for name, row in result["commits"].items()}
    parts = [
        f"{result['calls']} calls of {result['kb']} KB. {environment_line(result['environment'])}",
        table(
            ["hook", "per call", "p50 us", "p99 us", "max us"], ([name, *row.values()] for name, row in hooks.items())
        ),
        table(
            ["100 calls/s, from hook to disk", "p50 ms", "p99 ms", "max ms"],
            ([name, *row.values()] for name, row in commits.items()),
        ),
    ]
    return "\n\n".join(parts)


def row_of(row: Mapping[str, float], unit: str) -> Json:
    return {key: f"{row[f'{key}_{unit}']:.2f}" for key in ("p50", "p99", "max")}


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = parser_for(__doc__)
    parser.add_argument("--calls", type=int, help="calls of each kind (1000; quick 200)")
    parser.add_argument("--kb", type=int, default=3, help="of question and answer together (3)")
    options = parse(parser, child, arguments)
    calls = options.calls or (200 if options.quick else 1000)
    result: Json = {"environment": environment(), "calls": calls, "kb": options.kb, **measure(calls, options.kb)}
    write_report(result, report(result), options.json)


if __name__ == "__main__":
    main()
