"""What the benchmarks share: processes of their own, options, reports."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, Optional, Sequence, Tuple

Json = Dict[str, Any]

PROSE = "The spool keeps what was committed until the server has accepted it; 42 calls took 3.14 s each. "
CHILD_TIMEOUT_S = 120
UNREACHABLE = "http://127.0.0.1:9"
"""An address where nobody listens."""


# ---- processes


_FOREIGN_SETTINGS = ("HONEYHIVE_", "HH_", "OTEL_", "LANGSMITH_")


def measured_environment(**options: object) -> Dict[str, str]:
    """The environment of a process that is measured: no observability settings but these options of `init`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_SETTINGS)}
    ours = {f"HONEYHIVE_{name.upper()}": str(value) for name, value in options.items()}
    return {**inherited, "LITELLM_LOCAL_MODEL_COST_MAP": "True", **ours}


def spawn(
    script: str,
    job: Json,
    *,
    stderr: Any = subprocess.PIPE,
    python: str = sys.executable,
    environment: Optional[Dict[str, str]] = None,
) -> subprocess.Popen[str]:
    """`script --child job` in a fresh interpreter, with `measured_environment()` unless there is another."""
    return subprocess.Popen(
        [python, script, "--child", json.dumps(job)],
        env=measured_environment() if environment is None else environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def output_of(
    process: subprocess.Popen[str], timeout_s: float = CHILD_TIMEOUT_S, expected_status: int = 0
) -> Tuple[str, str]:
    """What the process prints, and what it logs. Raises RuntimeError if it ends with another status."""
    try:
        out, errors = process.communicate(timeout=timeout_s)
    finally:
        process.kill()
        process.wait()
    if process.returncode != expected_status:
        status = process.returncode
        raise RuntimeError(f"a process ended with status {status}, not {expected_status}:\n{errors[-2000:]}")
    return out, errors


def result_of(process: subprocess.Popen[str], timeout_s: float = CHILD_TIMEOUT_S) -> Json:
    """The JSON object that the process prints as its last line."""
    result: Json = json.loads(output_of(process, timeout_s)[0].splitlines()[-1])
    return result


def in_turns(names: Sequence[str], rounds: int) -> Iterator[str]:
    """Each name once a round, there and back, so that what drifts does not favour the first."""
    for number in range(rounds):
        yield from names if number % 2 == 0 else reversed(names)


def peak_bytes() -> int:
    """The most memory that this process has had in the machine since it began."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def resident_bytes() -> int:
    """The memory that this process has in the machine now; where the system has no such number, the most it has had."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else peak_bytes()


# ---- reports


def environment() -> Json:
    """What the numbers depend on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "litellm": version("litellm"),
        "sqlite": sqlite3.sqlite_version,
        "honeyhive_litellm": version("honeyhive-litellm"),
        "spools_in": tempfile.gettempdir(),
    }


def environment_line(env: Json) -> str:
    """The same for a reader."""
    line = f"{env['cpu']}, {env['cores']} cores, Python {env['python']}, LiteLLM {env['litellm']}, "
    line += f"SQLite {env['sqlite']}"
    if env["load_average"]:
        line += f", load average {env['load_average'][0]:.1f} at the start"
    return line


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    lines = [list(head), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def median(samples: Sequence[Json], key: str) -> float:
    return float(statistics.median(sample[key] for sample in samples))


def p99(values: Sequence[float]) -> float:
    return sorted(values)[max(0, int(len(values) * 0.99) - 1)]


def write_report(result: Any, report: str, file: Optional[str]) -> None:
    """Print the report, and write the result to the file if there is to be one."""
    print(report)
    if file:
        Path(file).write_text(json.dumps(result, indent=1), encoding="utf-8")


def parser_for(about: Optional[str], rounds: Optional[str] = "3; quick 1") -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has; `rounds` says how many, None that there are none."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    if rounds is not None:
        parser.add_argument("--quick", action="store_true", help="less of everything: well under a minute")
        parser.add_argument("--rounds", type=int, help=f"how often each is measured ({rounds})")
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser


def parse(
    parser: argparse.ArgumentParser, child: Callable[[Json], None], arguments: Optional[Sequence[str]]
) -> argparse.Namespace:
    """The options. In a process that `spawn` began: do the child's part, and end."""
    options = parser.parse_args(arguments)
    if options.child:
        child(json.loads(options.child))
        sys.exit()
    return options
