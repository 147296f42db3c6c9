"""What others cost and keep, doing the same work against the same backend.

    python benchmarks/peers.py                                 # installs each peer into a venv of its own: minutes
    python benchmarks/peers.py --quick --peers honeyhive,langsmith,opik,otel    # LiteLLM's own need no venv

`acompletion(mock_response=…)`, 50 at a time, each with a word of its own in its question; before a kill the calls go to
a provider on loopback that takes 50 ms. The backend, on loopback in
the measuring process, answers 200 to everything and looks for those words in whatever arrives, so that no peer has to
speak HoneyHive's language: what arrived counts as kept. Each peer is set up as its documentation says; only its address
and key are ours, and its interval of sending is left at the default.

**Speed**: CPU time of all threads for each call, until `SETTLE_S` after the last one has returned, beside a bare
LiteLLM and a callback that does nothing; calls that load code and open connections come before, and `SETTLE_S` after
them. **Faults**: how many of the calls are kept when the process is killed right
after the last one has returned, when the backend is down until after the exit, when it answers 500 for some seconds,
and at a plain exit. A peer that has a store on disk is then started once more, makes no calls, and may deliver what was
left; of these only ours has one.
"""

from __future__ import annotations

import asyncio
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
from importlib.metadata import version
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from _backend import Backend
from _callers import beside, told_beside
from _common import PROSE, Json, environment, environment_line, in_turns, median, parse, parser_for, table, tell

AT_ONCE = 50
WARM_UP = 50
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
    importlib.import_module("openlit").init(otlp_endpoint=job["url"], disable_metrics=True)


def _noop(job: Json) -> None:
    import litellm
    from litellm.integrations.custom_logger import CustomLogger

    litellm.callbacks = [CustomLogger()]


def _use(name: str) -> None:
    import litellm

    litellm.callbacks = [name]


class Peer(NamedTuple):
    """How it is set up, and what is to be installed beside LiteLLM."""

    set_up: Callable[[Json], None]
    packages: Sequence[str] = ()
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
    # Its many instrumentations have to be of one release, which pip does not find by itself in any time.
    "openlit": Peer(_openlit, ("openlit", "opentelemetry-instrumentation==0.61b0")),
}
"""`langsmith`, `opik` and `otel` are LiteLLM's own callbacks of these names."""


def child(job: Json) -> None:
    """Make the calls and end as told; print what they cost."""
    PEERS[job["peer"]].set_up(job)
    result = asyncio.run(_work(job))
    print(json.dumps(result), flush=True)


async def _work(job: Json) -> Json:
    from litellm import acompletion

    for _ in range(job["warm_up"]):
        await acompletion(model="gpt-4o", messages=[{"role": "user", "content": "warm"}], mock_response="up")
    await asyncio.sleep(SETTLE_S if job["warm_up"] > 1 else 0.0)
    numbers = iter(range(job["calls"]))
    text = (PROSE * 7)[:614]

    async def caller() -> None:
        for number in numbers:
            messages = [
                {"role": "user", "content": f"question-{number:06d} {text}"},
                *({"role": "user", "content": text},) * 3,
            ]
            await acompletion(model="gpt-4o", messages=messages, **answered)

    answered = {"mock_response": text}
    if job["is_killed"]:
        answered = {"api_base": f"{job['url']}/v1", "api_key": "bench"}
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
    wall = time.perf_counter() - wall
    if job["is_killed"]:
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(job["stay_s"])
    calls = max(1, job["calls"])
    return {"cpu_us": (time.process_time() - cpu) / calls * 1e6, "wall_us": wall / calls * 1e6}


# ---- in the measuring process


def python_for(name: str, folder: Path) -> str:
    """The interpreter that has the peer: this one, or that of a venv which is made when it is first asked for."""
    packages = PEERS[name].packages
    if not packages or all(_is_installed(package) for package in packages):
        return sys.executable
    home = folder / f".venv-peer-{name}"
    python = str(home / ("Scripts" if os.name == "nt" else "bin") / "python")
    done = home / "complete"
    if not done.exists():
        venv.create(home, with_pip=True, clear=True)
        wanted = [f"litellm=={version('litellm')}", *packages]
        subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True, timeout=600)
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
    names = [package.partition("==")[0] for package in PEERS[name].packages]
    code = "import json, sys; from importlib.metadata import version; "
    code += "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    told = subprocess.run([python, "-c", code, *names], check=True, capture_output=True, text=True, timeout=60).stdout
    return dict(json.loads(told))


def run(python: str, job: Json) -> Json:
    """One process of a peer, to its expected end; what it printed."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HONEYHIVE_", "HH_", "OTEL_", "LANGSMITH_"))}
    done = subprocess.run(
        [python, __file__, "--child", json.dumps(job)],
        env={**inherited, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        timeout=PROCESS_TIMEOUT_S,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != (-signal.SIGKILL if job["is_killed"] else 0):
        raise RuntimeError(f"{job['peer']} ended with status {done.returncode}:\n{done.stderr[-2000:]}")
    return {} if job["is_killed"] else json.loads(done.stdout.splitlines()[-1])


def speed(python: str, name: str, calls: int) -> Json:
    """What a call costs with an attentive backend."""
    backend = Backend()
    try:
        with tempfile.TemporaryDirectory() as folder:
            told = run(python, _job(name, backend, folder, calls, stay_s=SETTLE_S, warm_up=WARM_UP))
    finally:
        backend.down()
    return {**told, "kept": len(backend.seen)}


FAULTS = ("kill right after the last call", "backend down across the exit", "500s", "plain exit")


def fault(python: str, name: str, what: str, calls: int, seconds: float) -> Json:
    """How many of the calls arrived, at last, and how many more than once."""
    backend = Backend()
    try:
        with tempfile.TemporaryDirectory() as folder:
            if what == "backend down across the exit":
                backend.down()
            backend.fails_for_s = seconds if what == "500s" else 0.0
            stay_s = seconds + SETTLE_S if what == "500s" else 0.0
            is_killed = what == "kill right after the last call"
            run(python, _job(name, backend, folder, calls, stay_s=stay_s, is_killed=is_killed))
            if what == "backend down across the exit":
                backend.up()
            if PEERS[name].stores:
                run(python, _job(name, backend, folder, 0, stay_s=NEXT_S))
    finally:
        backend.down()
    return {"sent": calls, "kept": len(backend.seen), "again": backend.received - len(backend.seen)}


def _job(name: str, backend: Backend, folder: str, calls: int, **more: Any) -> Json:
    how = {"stay_s": 0.0, "is_killed": False, "warm_up": 1, **more}
    return {"peer": name, "url": backend.url, "folder": folder, "calls": calls, **how}


def report(result: Json) -> str:
    """The result as Markdown."""
    rows: List[List[str]] = []
    noops = result["speed"].get("noop")
    for name, samples in result["speed"].items():
        beyond = told_beside(beside(samples, noops, "cpu_us")) if noops else ""
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
            [what, *(f"{told[name]['kept']:,} of {told[name]['sent']:,}" for name in names)]
            for what, told in result["faults"].items()
        )
        parts.append(table(["calls kept", *names], cells))
    parts += [f"{name} could not be measured: {why}" for name, why in result["left out"].items()]
    return "\n\n".join(parts)


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = parser_for(__doc__)
    parser.add_argument("--peers", default=",".join(PEERS), help="which (all)")
    parser.add_argument("--calls", type=int, help="calls a run (1000; quick 200)")
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
    for name in in_turns(list(pythons), options.rounds or (1 if options.quick else 3)):
        if name not in pythons:
            continue
        try:
            result["speed"][name].append(speed(pythons[name], name, calls))
        except (RuntimeError, subprocess.SubprocessError) as error:
            result["left out"][name] = str(error)
            del pythons[name], result["speed"][name]
    keeping = [name for name in pythons if PEERS[name].keeps]
    with ThreadPoolExecutor(2) as pool:  # most of the time they wait
        for what in FAULTS:
            if not options.only or any(part in what for part in options.only):
                told = pool.map(lambda name: fault(pythons[name], name, what, calls, seconds), keeping)  # noqa: B023
                result["faults"][what] = dict(zip(keeping, told))
    tell(result, report(result), options.json)


if __name__ == "__main__":
    main()
