"""What arrives of 1,000 LiteLLM calls under each of the faults that lose calls elsewhere.

    python benchmarks/faults.py                       # under four minutes
    python benchmarks/faults.py --only kill --calls 200
    python benchmarks/faults.py --http                # through LiteLLM's HTTP path, against a local model server

For every fault a worker process makes the calls, 50 at a time, and ends right after the last one has returned: killed
by SIGKILL, or plainly, without a flush. Then the fault is over and the next process drains the spool. The backend is
this package's collector, on loopback, in the measuring process. A Markdown table is printed; `--json FILE` writes the
rows as well. `benchmarks/README.md` says what each column is.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import mmap
import multiprocessing
import os
import signal
import struct
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Callable, ContextManager, Iterator, List, NamedTuple, Optional, Sequence

from _common import (
    CHILD_TIMEOUT_S,
    Json,
    measured_environment,
    output_of,
    parse,
    parser_for,
    spawn,
    table,
    write_report,
)

AT_ONCE = 50
LOOKUP_DELAY_S = 1.0
"""As `lookup_delay`, which is 20 s by default: so long we would wait for nothing, since the collector is no slower."""

VISIBLE_AFTER_S = 0.5
"""The collector shows an event that much later, as HoneyHive does."""

TROUBLED_REQUESTS = 5
"""So many requests are refused or dropped in a row; 1,000 calls need some ten."""

FEWER_FORKS = 50
"""A process for each call takes that much longer than a task, so there are so many times fewer."""

KILLS = 20
"""So many processes make the calls of a row "answered at once", and each of them is killed."""

_TIME = struct.Struct("d")


# ---- in the worker


def child(job: Json) -> None:
    """Make the calls of `job` and end as it says; without calls, be the next process on the spool."""
    import honeyhive_litellm

    honeyhive_litellm.init()
    if not job["calls"]:
        print(honeyhive_litellm.flush(CHILD_TIMEOUT_S / 2), flush=True)
        return
    if job["way"] == "pool":
        with multiprocessing.get_context("spawn").Pool(2) as pool:  # ends its workers by SIGTERM, in mid-call or not
            pool.map(functools.partial(_call_in_pool, job), range(job["calls"]), chunksize=1)
        return
    import litellm

    with Board(Path(job["board"]), job["calls"]) as board:
        if job["way"] == "forks":
            _call_in_forks(job, litellm.completion, board)
        elif job["way"] in ("killed tasks", "killed threads"):
            _call_in_killed_forks(job, board)
        else:
            asyncio.run(_make_calls(job, litellm.acompletion, board))


def _arguments(job: Json, number: int) -> Json:
    messages = [{"role": "user", "content": f"question {number}"}]
    if job["model_url"]:
        return {"model": "openai/gpt-4o", "messages": messages, "api_base": job["model_url"], "api_key": "sk-x"}
    return {"model": "gpt-4o", "messages": messages, "mock_response": f"answer {number}"}


def _call_in_pool(job: Json, number: int) -> None:
    """Make one call, in a process of a pool that has imported nothing yet."""
    import litellm

    import honeyhive_litellm

    honeyhive_litellm.init()
    litellm.completion(**_arguments(job, number))
    with Board(Path(job["board"]), job["calls"]) as board:
        board.note(number)
        board.note_end()


def _call_in_forks(job: Json, completion: Callable[..., Any], board: Board) -> None:
    """Make each call as the only one of a process that is forked for it, and dies right after it."""
    for number in range(job["calls"]):
        pid = os.fork()
        if pid == 0:
            completion(**_arguments(job, number))
            board.note(number)
            if job["kill_after_s"] is None:
                os._exit(0)
            time.sleep(job["kill_after_s"])
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
    board.note_end()


def _call_in_killed_forks(job: Json, board: Board) -> None:
    """Make the calls in KILLS processes, each of which is killed as soon as its last call has returned."""
    import litellm

    for number in range(KILLS):
        share = range(number, job["calls"], KILLS)
        pid = os.fork()
        if pid == 0 and job["way"] == "killed tasks":
            asyncio.run(_make_calls({**job, "numbers": share}, litellm.acompletion, board))
        elif pid == 0:
            for each in share:
                litellm.completion(**_arguments(job, each))
                board.note(each)
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
    board.note_end()


async def _make_calls(job: Json, acompletion: Callable[..., Any], board: Board) -> None:
    mine = job.get("numbers", range(job["calls"]))
    numbers, left = iter(mine), len(mine)

    async def caller() -> None:
        nonlocal left
        for number in numbers:
            await acompletion(**_arguments(job, number))
            board.note(number)
            left -= 1
            if not left:
                board.note_end()
                if job["kill_after_s"] is not None:
                    if job["kill_after_s"]:
                        await asyncio.sleep(job["kill_after_s"])
                    os.kill(os.getpid(), signal.SIGKILL)

    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))


class Board:
    """Which calls have returned to their caller, in a file that both processes see: one byte a call.

    It is mapped into memory, so that noting costs no system call, does not let other threads in before the kill, and
    survives it.
    """

    def __init__(self, path: Path, calls: int) -> None:
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.truncate(calls + _TIME.size)
            self._map = mmap.mmap(file.fileno(), calls + _TIME.size)
        self._calls = calls

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *_: object) -> None:
        self._map.close()

    def note(self, number: int) -> None:
        self._map[number] = 1

    def note_end(self) -> None:
        _TIME.pack_into(self._map, self._calls, time.time())

    @property
    def returned(self) -> List[int]:
        return [number for number in range(self._calls) if self._map[number]]

    @property
    def ended_at(self) -> float:
        """Unix time at which the last call had returned."""
        return float(_TIME.unpack_from(self._map, self._calls)[0])


# ---- the faults


class Fault(NamedTuple):
    """A row of the table: how the worker ends, its options of `init`, and what the backend does meanwhile.

    `way` is how it makes its calls: "tasks" of one loop; "forks", a process each, of which there are fewer; "killed
    tasks" and "killed threads", KILLS forked processes with a loop or without one; "pool", a pool of two spawned
    processes.
    """

    name: str
    kill_after_s: Optional[float] = None
    options: Json = {}  # noqa: RUF012  never changed
    trouble: Optional[Callable[[Any], ContextManager[None]]] = None
    way: str = "tasks"

    @property
    def is_killed(self) -> bool:
        """Whether the worker itself is."""
        return self.kill_after_s is not None and self.way == "tasks"


def faults(seconds: float) -> List[Fault]:
    """The rows, in order."""
    from honeyhive_litellm import Settings

    rows = [
        Fault("kill -9 at 0 ms", 0.0),
        Fault("kill -9 at 0 ms, strict", 0.0, {"strict": True}),
        Fault("answered at once, 20 kills, async", 0.0, way="killed tasks"),
        Fault("answered at once, 20 kills, sync", 0.0, way="killed threads"),
        Fault("kill -9 after 200 ms", 0.2),
        Fault("kill -9 after 2 s", 2.0),
        Fault("backend down across a restart", trouble=_down),
        Fault(f"{seconds:g} s of 500s", trouble=lambda collector: _errors(collector, seconds)),
        Fault("429s with Retry-After", trouble=_too_many),
        Fault("connections dropped, nothing stored", trouble=lambda collector: _drops(collector, after=False)),
        Fault("connections dropped, all stored", trouble=lambda collector: _drops(collector, after=True)),
        Fault("backend hangs", trouble=_hang),
        Fault("plain exit", trouble=None),
        *(Fault(f"first call, kill -9 after {ms} ms", ms / 1000, way="forks") for ms in (0, 1, 5)),
        Fault("first call after a fork, os._exit", way="forks"),
        Fault("a pool that ends its processes", way="pool"),
    ]
    supported = {field.name for field in dataclasses.fields(Settings)}
    return [row for row in rows if supported.issuperset(row.options)]


@contextmanager
def _down(collector: Any) -> Iterator[None]:
    collector.down()
    yield
    collector.up()


@contextmanager
def _errors(collector: Any, seconds: float) -> Iterator[None]:
    """500 to everything, for so long from the first request on, whether the worker lives on or not."""
    collector.fail(500)

    def mend() -> None:
        collector.wait_for_requests(1, CHILD_TIMEOUT_S)
        time.sleep(seconds)
        collector.clear()

    mending = threading.Thread(target=mend)
    mending.start()
    yield
    mending.join()


@contextmanager
def _too_many(collector: Any) -> Iterator[None]:
    collector.fail(429, times=TROUBLED_REQUESTS, headers={"Retry-After": "1"})
    yield


@contextmanager
def _drops(collector: Any, *, after: bool) -> Iterator[None]:
    collector.drop(times=TROUBLED_REQUESTS, after=after)
    yield


@contextmanager
def _hang(collector: Any) -> Iterator[None]:
    collector.hang()
    yield
    collector.clear()


# ---- in the measuring process


class Row(NamedTuple):
    """What became of the calls under one fault; `exit_s` is None if the process that made them was ended."""

    fault: str
    sent: int
    delivered: int
    duplicates: int
    lost: int
    with_text: int
    exit_s: Optional[float]


def measure(fault: Fault, calls: int, *, http: bool) -> Row:
    """Let a worker make its calls under `fault`, drain what it left, and count."""
    from honeyhive_litellm.testing import Collector, ModelServer

    calls = max(1, calls // FEWER_FORKS) if fault.way == "forks" else calls
    with ExitStack() as stack:
        collector = stack.enter_context(Collector(visible_after_s=VISIBLE_AFTER_S))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model_url = stack.enter_context(ModelServer()).url if http else None
        board = stack.enter_context(Board(folder / "board", calls))
        settings = {"api_key": "hh_bench", "project": "faults", "lookup_delay": LOOKUP_DELAY_S, **fault.options}
        environment = measured_environment(api_url=collector.url, spool_path=folder / "spool", **settings)
        job = {
            "board": str(folder / "board"),
            "calls": calls,
            "kill_after_s": fault.kill_after_s,
            "model_url": model_url,
            "way": fault.way,
        }
        with fault.trouble(collector) if fault.trouble is not None else ExitStack():
            worker = spawn(__file__, job, environment=environment)
            output_of(worker, expected_status=-signal.SIGKILL if fault.is_killed else 0)
            ended = time.time()
        left, _ = output_of(spawn(__file__, {"calls": 0}, environment=environment))
        if left.split() != ["0"]:
            raise RuntimeError(f"{fault.name}: the next process could not deliver everything: {left}")
        exit_s = ended - board.ended_at if fault.way == "tasks" and not fault.is_killed else None
        return _count(fault.name, board.returned, collector, "answer to: question" if http else "answer", exit_s)


def _count(name: str, sent: Sequence[int], collector: Any, answer: str, exit_s: Optional[float]) -> Row:
    texts = {e["inputs"]["chat_history"][0]["content"]: e.get("outputs", {}).get("content") for e in collector.events}
    delivered = [number for number in sent if f"question {number}" in texts]
    return Row(
        fault=name,
        sent=len(sent),
        delivered=len(delivered),
        duplicates=sum(collector.receipts.values()) - len(texts),
        lost=len(sent) - len(delivered),
        with_text=sum(texts[f"question {number}"] == f"{answer} {number}" for number in delivered),
        exit_s=exit_s,
    )


def report(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = []
    for row in rows:
        counts = (row.sent, row.delivered, row.duplicates, row.lost, row.with_text)
        exit_s = "killed" if row.exit_s is None else f"{row.exit_s:.1f}"
        lines.append([row.fault, *(f"{count:,}" for count in counts), exit_s])
    return table(["fault", "sent", "delivered", "duplicates", "lost", "with the output text", "exit s"], lines)


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = parser_for(__doc__, rounds=None)
    parser.add_argument("--calls", type=int, default=1000, help="calls under each fault (1000)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long the 500s last (3)")
    parser.add_argument("--only", metavar="NAME", action="append", help="only the faults with this in their names")
    parser.add_argument("--http", action="store_true", help="call a model server on loopback, not mock_response")
    options = parse(parser, child, arguments)
    chosen = [f for f in faults(options.seconds) if not options.only or any(part in f.name for part in options.only)]
    rows = [measure(fault, options.calls, http=options.http) for fault in chosen]
    write_report([row._asdict() for row in rows], report(rows), options.json)


if __name__ == "__main__":
    main()
