"""What others cost and keep, doing the same work against the same backend.

    python benchmarks/peers.py                                 # installs each peer into a venv of its own: minutes
    python benchmarks/peers.py --quick --peers honeyhive,langsmith,opik,otel    # LiteLLM's own need no venv

`acompletion(mock_response=…)`, 50 at a time, each with a word of its own in its question; before a kill the calls go to
a provider on loopback that takes 50 ms. The backend, on loopback in the measuring process, answers 200 to everything
and looks for those words in whatever arrives, so that no peer has to speak HoneyHive's language: what arrived counts as
kept. Each peer is set up as its documentation says; only its address and key are ours, and its interval of sending is
left at the default.

**Speed**: CPU time of all threads for each call, until `SETTLE_S` after the last one has returned, beside a bare
LiteLLM and a callback that does nothing. All live at the same time and make calls in turns, BLOCK each; calls that load
code and open connections come before. **Faults**: how many of the calls are kept when the process is killed right
after the last one has returned, when the backend is down until after the exit, when it answers 500 for some seconds,
and at a plain exit. A peer that has a store on disk is then started once more, makes no calls, and may deliver what was
left; of these only ours has one.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

from _backend import Backend
from _callers import ChildError, CommandedProcess, difference, difference_text
from _common import PROSE, Json, environment, environment_line, median, parse, parser_for, spawn, table, write_report

AT_ONCE = 50
WARM_UP = 50
BLOCK = 100
_TEXT = (PROSE * 7)[:614]
SETTLE_S = 6.0
"""LiteLLM's own loggers send every 5 s."""
NEXT_S = 2.0
PROCESS_TIMEOUT_S = 120


# ---- in the measured process, perhaps in a venv without this package


def _honeyhive(job: Json) -> None:
    honeyhive_litellm = importlib.import_module("honeyhive_litellm")
    honeyhive_litellm.init(
        api_key="hh_bench", project="peers", api_url=job["url"], spool_path=f"{job['folder']}/spool", lookup_delay=1.0
    )


def _langsmith(job: Json) -> None:
    os.environ.update(LANGSMITH_API_KEY="bench", LANGSMITH_PROJECT="bench", LANGSMITH_BASE_URL=job["url"])
    _use("langsmith")


def _opik(job: Json) -> None:
    os.environ.update(OPIK_API_KEY="bench", OPIK_WORKSPACE="default", OPIK_URL_OVERRIDE=f"{job['url']}/api")
    _use("opik")


def _otel(job: Json) -> None:
    os.environ.update(OTEL_EXPORTER="otlp_http", OTEL_ENDPOINT=f"{job['url']}/v1/traces")
    _use("otel")


def _openinference(job: Json) -> None:
    trace = importlib.import_module("opentelemetry.sdk.trace")
    export = importlib.import_module("opentelemetry.sdk.trace.export")
    otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    provider = trace.TracerProvider()
    exporter = otlp.OTLPSpanExporter(endpoint=f"{job['url']}/v1/traces")
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    instrumentor = importlib.import_module("openinference.instrumentation.litellm").LiteLLMInstrumentor
    instrumentor().instrument(tracer_provider=provider)


def _openlit(job: Json) -> None:
    prices = Path(job["folder"], "prices.json")  # it would fetch them
    prices.write_text("{}", encoding="utf-8")
    importlib.import_module("openlit").init(otlp_endpoint=job["url"], disable_metrics=True, pricing_json=str(prices))


def _noop(job: Json) -> None:
    import litellm
    from litellm.integrations.custom_logger import CustomLogger

    litellm.callbacks = [CustomLogger()]


def _use(name: str) -> None:
    import litellm

    litellm.callbacks = [name]


class Peer(NamedTuple):
    """How it is set up, and what is to be installed beside LiteLLM; `alone` without what these packages require."""

    set_up: Callable[[Json], None]
    packages: Sequence[str] = ()
    alone: Sequence[str] = ()
    keeps: bool = True
    stores: bool = False


_OTLP = ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
PEERS: Dict[str, Peer] = {
    "bare": Peer(lambda _: None, keeps=False),
    "noop": Peer(_noop, keeps=False),
    "honeyhive": Peer(_honeyhive, stores=True),
    "langsmith": Peer(_langsmith),
    "opik": Peer(_opik),
    "otel": Peer(_otel, _OTLP),
    "openinference": Peer(_openinference, ("openinference-instrumentation-litellm", *_OTLP)),
    # What it requires cannot be had beside this LiteLLM: openai before 3, anthropic before 1, a dozen instrumentations.
    "openlit": Peer(
        _openlit,
        ("opentelemetry-instrumentation", "opentelemetry-exporter-otlp", "anthropic", "boto3", "requests", "schedule"),
        alone=("openlit",),
    ),
}
"""`langsmith`, `opik` and `otel` are LiteLLM's own callbacks of these names."""


def child(job: Json) -> None:
    """Set the peer up, and make calls: those of the job, or a block for each line of the standard input."""
    PEERS[job["peer"]].set_up(job)
    asyncio.run(_in_blocks(job) if job["fault"] is None else _amid(job))


async def _in_blocks(job: Json) -> None:
    """For each line make so many calls and print a line when they have returned, and what they cost SETTLE_S later."""
    first = 0
    await _make(range(WARM_UP), _mocked(), "warm")
    await asyncio.sleep(SETTLE_S)
    print("{}", flush=True)
    for line in sys.stdin:  # the loop waits as well
        numbers = range(first, first + json.loads(line)["count"])
        first = numbers.stop
        # A full collection looks at all of LiteLLM's objects for a fifth of a second, in one block and not in the next.
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        await _make(numbers, _mocked())
        wall = time.perf_counter() - wall
        print("{}", flush=True)
        await asyncio.sleep(SETTLE_S)
        print(json.dumps({"cpu_s": time.process_time() - cpu, "wall_s": wall}), flush=True)


async def _amid(job: Json) -> None:
    """Make the calls, and end as the fault wants it."""
    is_killed = job["fault"] == KILL
    await _make(range(1), _mocked(), "warm")
    provided = {"api_base": f"{job['url']}/v1", "api_key": "bench"}
    await _make(range(job["calls"]), provided if is_killed else _mocked())
    if is_killed:
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(job["stay_s"])


def _mocked() -> Json:
    return {"mock_response": _TEXT}


async def _make(numbers: Sequence[int], answered: Json, word: str = "question") -> None:
    """Calls of 3 KB, AT_ONCE in flight; each has a word of its own in its question."""
    from litellm import acompletion

    left = iter(numbers)

    async def caller() -> None:
        for number in left:
            texts = [f"{word}-{number:06d} {_TEXT}", *(_TEXT,) * 3]
            messages = [{"role": "user", "content": text} for text in texts]
            await acompletion(model="gpt-4o", messages=messages, **answered)

    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))


# ---- in the measuring process


def python_for(name: str, folder: Path) -> str:
    """The interpreter that has the peer: this one, or that of a venv which is made at its first use."""
    packages, alone = PEERS[name].packages, PEERS[name].alone
    if not packages or all(_is_installed(package) for package in packages):
        return sys.executable
    home = folder / f".venv-peer-{name}"
    python = str(home / ("Scripts" if os.name == "nt" else "bin") / "python")
    done = home / "complete"
    if not done.exists():
        venv.create(home, with_pip=True, clear=True)
        wanted = [f"litellm=={version('litellm')}", *packages]
        subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True, timeout=600)
        if alone:
            subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", *alone], check=True, timeout=600)
        done.touch()
    return python


def _is_installed(package: str) -> bool:
    name, _, wanted = package.partition("==")
    try:
        return version(name) == wanted if wanted else bool(version(name))
    except ImportError:  # PackageNotFoundError is one
        return False


def versions(python: str, name: str) -> Dict[str, str]:
    """The peer's packages as they are installed."""
    names = [package.partition("==")[0] for package in (*PEERS[name].packages, *PEERS[name].alone)]
    code = "import json, sys; from importlib.metadata import version; "
    code += "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    printed = subprocess.run(
        [python, "-c", code, *names], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    return dict(json.loads(printed))


def speed(pythons: Mapping[str, str], calls: int) -> Dict[str, Json]:
    """What a call costs each of them with an attentive backend. They live at the same time and make calls in turns.

    Raises ChildError if one of them ends.
    """
    with ExitStack() as stack:
        backends = {name: stack.enter_context(Backend()) for name in pythons}
        jobs = {name: {"peer": name, "url": backends[name].url, "fault": None} for name in pythons}
        peers = [stack.enter_context(CommandedProcess(name, __file__, jobs[name], pythons[name])) for name in pythons]
        for peer in peers:
            peer.reply()  # it is warm
        blocks: Dict[str, List[Json]] = {name: [] for name in pythons}
        for number, first in enumerate(range(0, calls, BLOCK)):
            turn = peers if number % 2 == 0 else peers[::-1]
            for peer in turn:
                peer.send({"count": min(BLOCK, calls - first)})
                peer.reply()  # the calls have returned; what follows them may take its time while others make theirs
            for peer in turn:
                blocks[peer.name].append(peer.reply())
    return {
        name: {
            "cpu_us": sum(block["cpu_s"] for block in blocks[name]) / calls * 1e6,
            "wall_us": sum(block["wall_s"] for block in blocks[name]) / calls * 1e6,
            "kept": len(backends[name].seen),
        }
        for name in pythons
    }


KILL = "kill right after the last call"
DOWN = "backend down across the exit"
FAILS = "500s"
FAULTS = (KILL, DOWN, FAILS, "plain exit")


def fault(python: str, name: str, what: str, calls: int, seconds: float) -> Json:
    """How many of the calls arrived, at last, and how many more than once."""
    with Backend() as backend, tempfile.TemporaryDirectory() as folder:
        job = {"peer": name, "url": backend.url, "folder": folder, "fault": what, "calls": calls, "stay_s": 0.0}
        if what == DOWN:
            backend.down()
        if what == FAILS:
            backend.fails_for_s = seconds
            job["stay_s"] = seconds + SETTLE_S
        _run(python, job, -signal.SIGKILL if what == KILL else 0)
        if what == DOWN:
            backend.up()
        if PEERS[name].stores:
            _run(python, {**job, "fault": "", "calls": 0, "stay_s": NEXT_S}, 0)
    return {"sent": calls, "kept": len(backend.seen), "again": backend.received - len(backend.seen)}


def _run(python: str, job: Json, expected: int) -> None:
    """One process of a peer, to its expected end."""
    process = spawn(__file__, job, python=python)
    try:
        _, errors = process.communicate(timeout=PROCESS_TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
    if process.returncode != expected:
        raise ChildError(job["peer"], f"ended with status {process.returncode}:\n{errors[-2000:]}")


def report(result: Json) -> str:
    """The result as Markdown."""
    rows: List[List[str]] = []
    noops = result["speed"].get("noop")
    for name, samples in result["speed"].items():
        beyond = difference_text(difference(samples, noops, "cpu_us")) if noops else ""
        kept = f"{min(sample['kept'] for sample in samples):,}" if PEERS[name].keeps else ""
        cpu, wall = (f"{median(samples, key):,.0f}" for key in ("cpu_us", "wall_us"))
        rows.append([name, cpu, beyond, wall, kept])
    head = ["peer", "CPU us/call", "beyond noop (least to most)", "wall us/call", f"arrived of {result['calls']:,}"]
    installed = "; ".join(
        f"{name}: " + ", ".join(" ".join(pair) for pair in each.items()) for name, each in result["versions"].items()
    )
    parts = [environment_line(result["environment"]), installed, table(head, rows)]
    if result["faults"]:
        names = list(next(iter(result["faults"].values())))
        cells = (
            [what, *(f"{counts[name]['kept']:,} of {counts[name]['sent']:,}" for name in names)]
            for what, counts in result["faults"].items()
        )
        parts.append(table(["calls kept", *names], cells))
    parts += [f"{name} could not be measured: {why}" for name, why in result["left out"].items()]
    return "\n\n".join(parts)


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = parser_for(__doc__)
    parser.add_argument("--peers", default=",".join(PEERS), help="which (all)")
    parser.add_argument("--calls", type=int, help="calls of each (1000; quick 200)")
    parser.add_argument("--seconds", type=float, help="how long the 500s last (10; quick 3)")
    parser.add_argument("--only", metavar="NAME", action="append", help="only the faults with this in their names")
    parser.add_argument("--venvs", default=".", help="the folder for the peers' venvs (the current one)")
    options = parse(parser, child, arguments)

    calls = options.calls or (200 if options.quick else 1000)
    seconds = options.seconds or (3.0 if options.quick else 10.0)
    result: Json = {"environment": environment(), "calls": calls, "left out": {}}
    pythons: Dict[str, str] = {}
    for name in options.peers.split(","):
        try:
            pythons[name] = python_for(name, Path(options.venvs).absolute())
        except subprocess.SubprocessError as error:
            result["left out"][name] = str(error)
    result["versions"] = {name: versions(python, name) for name, python in pythons.items() if PEERS[name].packages}
    result["speed"] = {name: [] for name in pythons}
    result["faults"] = {}
    rounds_left = options.rounds or (1 if options.quick else 3)
    while rounds_left and pythons:
        try:
            samples = speed(pythons, calls)
        except ChildError as error:  # once more, without it
            result["left out"][error.name] = str(error)
            del pythons[error.name], result["speed"][error.name]
        else:
            rounds_left -= 1
            for name, sample in samples.items():
                result["speed"][name].append(sample)
    keeping = [name for name in pythons if PEERS[name].keeps]
    with ThreadPoolExecutor(2) as pool:  # most of the time they wait
        for what in FAULTS:
            if not options.only or any(part in what for part in options.only):
                counts = pool.map(lambda name: fault(pythons[name], name, what, calls, seconds), keeping)  # noqa: B023
                result["faults"][what] = dict(zip(keeping, counts))
    write_report(result, report(result), options.json)


if __name__ == "__main__":
    main()
