"""What the benchmarks share: processes of their own, a backend that costs next to nothing, tables.

    python benchmarks/_common.py --sink      # that backend alone, until its standard input is closed

`Sink` answers 200 to every POST and counts the events in it without decoding them: what is measured against it is the
sender. It is a process of its own, so that its CPU and its lock of Python are nobody else's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence

Json = Dict[str, Any]

PROSE = "The spool keeps what was committed until the server has accepted it; 42 calls took 3.14 s each. "
CHILD_TIMEOUT_S = 120
NOBODY = "http://127.0.0.1:9"
"""An address where nobody listens."""

_ID = b'"event_id":'
_FILL_AT_ONCE = 10_000


# ---- events, without LiteLLM


def records(count: int, size: int, first: int = 0) -> List[Any]:
    """So many records of finished events, each with a body of `size` bytes."""
    return [event_record(number, size) for number in range(first, first + count)]


def event_record(number: int, size: int) -> Any:
    """A finished event like those of the callback, `size` bytes of JSON; the number is in its id."""
    from honeyhive_litellm._spool.record import EVENT, Record

    id_ = f"{number:08x}-0000-4000-8000-{os.getpid():012x}"
    start = 1_700_000_000_000.0 + number
    body = f'{{"event_id":"{id_}","event_type":"model","source":"bench","start_time":{start},"end_time":{start + 1},'
    body += '"duration":1,"config":{"provider":"openai","model":"gpt-4o"},"metadata":{},"inputs":{"text":"'
    room = max(0, size - len(body) - 3)
    text = f"{number}: {PROSE * (room // len(PROSE) + 1)}"[:room]
    return Record(EVENT, id_, start, None, f'{body}{text}"}}}}'.encode())


def runtime(url: str, spool: str, **settings: Any) -> Any:
    """The package's runtime on this spool, without LiteLLM."""
    from honeyhive_litellm import Settings
    from honeyhive_litellm._runtime.lifecycle import runtime_for

    no_host: Any = None  # no call of LiteLLM's is recorded
    given = {"spool_max_bytes": 2**40, **settings}  # a backlog of any size
    return runtime_for(
        Settings(api_key="hh_bench", project="bench", api_url=url, spool_path=Path(spool), **given), no_host
    )


def fill(spool: str, count: int, size: int) -> None:
    """Leave so many events of `size` bytes in the spool, as a process does whose backend was down."""
    filling = runtime(NOBODY, spool)
    for first in range(0, count, _FILL_AT_ONCE):
        for record in records(min(_FILL_AT_ONCE, count - first), size, first):
            filling.submit(record)
        await_commit(filling)
    left = filling.shutdown(5.0)
    if left != count or filling.stats().dropped:
        raise RuntimeError(f"the spool was not filled: {filling.stats()}")


def await_commit(writing: Any) -> None:
    """Wait until all that the runtime has taken in is committed."""
    done = threading.Event()
    writing._queue.when_committed(done.set)
    if not done.wait(CHILD_TIMEOUT_S):
        raise TimeoutError(f"not committed in time: {writing.stats()}")


# ---- processes


_OTHERS_SETTINGS = ("HONEYHIVE_", "HH_", "OTEL_", "LANGSMITH_")


def surroundings(**settings: object) -> Dict[str, str]:
    """The environment of a process that is measured: nobody else's settings, and these options of `init`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS_SETTINGS)}
    given = {f"HONEYHIVE_{name.upper()}": str(value) for name, value in settings.items()}
    return {**inherited, "LITELLM_LOCAL_MODEL_COST_MAP": "True", **given}


def spawn(script: str, job: Json, stderr: Any = subprocess.PIPE, python: str = sys.executable) -> subprocess.Popen[str]:
    """`script --child job` in a fresh interpreter."""
    return subprocess.Popen(
        [python, script, "--child", json.dumps(job)],
        env=surroundings(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def result_of(process: subprocess.Popen[str], timeout_s: float = CHILD_TIMEOUT_S) -> Json:
    """The JSON object that the process prints as its last line. Raises RuntimeError with its complaints if it fails."""
    try:
        out, errors = process.communicate(timeout=timeout_s)
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        raise RuntimeError(f"a measured process failed with status {process.returncode}:\n{errors[-2000:]}")
    result: Json = json.loads(out.splitlines()[-1])
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
    """The memory that this process has in the machine now; where the system does not tell that, the most it has had."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else peak_bytes()


# ---- the backend


class Sink:
    """The backend's process, listening on loopback inside `with`."""

    def __enter__(self) -> Sink:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--sink"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def counts(self) -> Json:
        """`requests`, `events`, `bytes`, and the Unix times of the first and the last request, 0 for none."""
        with urllib.request.urlopen(f"{self.url}/counts", timeout=10) as reply:
            counted: Json = json.loads(reply.read())
            return counted


class _Counting(asyncio.Protocol):
    """HTTP as far as a sender of known length needs it."""

    def __init__(self, counts: Json) -> None:
        self._counts = counts
        self._pieces: List[bytes] = []
        self._got = self._needed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        self._got += len(data)
        while self._got and self._got >= self._needed:
            whole = b"".join(self._pieces)
            self._pieces = [whole]
            head = whole.find(b"\r\n\r\n")
            if head < 0:
                return
            self._needed = head + 4 + _length(whole[:head])
            if self._got < self._needed:
                return
            self._answer(whole[: self._needed], head + 4)
            self._pieces = [whole[self._needed :]]
            self._got -= self._needed
            self._needed = 0

    def _answer(self, request: bytes, body: int) -> None:
        said, status = b"{}", b"200 OK"
        if request.startswith(b"POST"):
            now = time.time()
            counts = self._counts
            counts["requests"] += 1
            counts["events"] += request.count(_ID, body)
            counts["bytes"] += len(request) - body
            counts["first_at"] = counts["first_at"] or now
            counts["last_at"] = now
        elif request.startswith(b"GET /counts"):
            said = json.dumps(self._counts).encode()
        else:
            status = b"404 Not Found"  # it stores nothing
        self._transport.write(
            b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (status, len(said), said)
        )


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _sink() -> None:
    loop = asyncio.get_running_loop()
    counts: Json = {"requests": 0, "events": 0, "bytes": 0, "first_at": 0.0, "last_at": 0.0}
    server = await loop.create_server(lambda: _Counting(counts), "127.0.0.1", 0)
    async with server:
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await loop.run_in_executor(None, sys.stdin.read)


# ---- what is told


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


def tell(result: Any, report: str, file: Optional[str]) -> None:
    """Print the report, and write the result to the file if there is to be one."""
    print(report)
    if file:
        Path(file).write_text(json.dumps(result, indent=1), encoding="utf-8")


def parser_for(about: Optional[str], rounds: str = "3; quick 1") -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has; `rounds` says how many there are."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less of everything: well under a minute")
    parser.add_argument("--rounds", type=int, help=f"how often each is measured ({rounds})")
    parser.add_argument("--json", metavar="FILE", help="write all samples there")
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


if __name__ == "__main__":
    if sys.argv[1:] != ["--sink"]:
        sys.exit(__doc__)
    asyncio.run(_sink())
