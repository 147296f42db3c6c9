"""What a process pays at its two ends: the import, and the exit while the backend hangs.

    python benchmarks/ends.py            # nine imports, three exits
    python benchmarks/ends.py --quick    # three and one

An exit is timed from the program's last line until the process is gone, with `shutdown_timeout` 1 s, after 20 calls of
which the backend answers none. LiteLLM's own exit takes its time too: compare with noop.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from typing import Dict, List, Optional, Sequence

from _callers import Caller
from _calls import SHUTDOWN_S, Load, child
from _common import CHILD_TIMEOUT_S, Json, environment, environment_line, in_turns, parse, parser_for, write_report

CALLS = 20


_TIMED_IMPORT = """
import time
began = time.perf_counter()
import honeyhive_litellm
print((time.perf_counter() - began) * 1e3)
"""


def import_ms(times: int) -> float:
    """The median time that `import honeyhive_litellm` takes in an interpreter of its own."""

    def took() -> float:
        return float(subprocess.check_output([sys.executable, "-c", _TIMED_IMPORT], timeout=CHILD_TIMEOUT_S))

    took()  # fills the caches
    return statistics.median(took() for _ in range(times))


def exit_s(configuration: str) -> float:
    """How long the interpreter takes to end while the backend hangs."""
    from honeyhive_litellm.testing import Collector

    with Collector() as collector, Caller(configuration, collector.url, is_silent=True) as caller:
        collector.hang()
        caller.calls(Load(3, 1), CALLS)
        if configuration != "noop":
            collector.wait_for_requests(1)
        return caller.end_s()


def report(result: Json) -> str:
    """The result as Markdown."""
    exits = ", ".join(f"{name} {statistics.median(each):.2f} s" for name, each in result["exit_s"].items())
    lines = [
        environment_line(result["environment"]),
        f"`import honeyhive_litellm`: {result['import_ms']:.0f} ms",
        f"Exit with the backend hanging, `shutdown_timeout` {SHUTDOWN_S:g} s: {exits}",
    ]
    return "\n\n".join(lines)


def main(arguments: Optional[Sequence[str]] = None) -> None:
    options = parse(parser_for(__doc__), child, arguments)
    times = options.rounds or (1 if options.quick else 3)
    result: Json = {"environment": environment(), "import_ms": import_ms(3 * times)}
    exits: Dict[str, List[float]] = {"noop": [], "honeyhive": []}
    for name in in_turns(list(exits), times):
        exits[name].append(exit_s(name))
    write_report({**result, "exit_s": exits}, report({**result, "exit_s": exits}), options.json)


if __name__ == "__main__":
    main()
