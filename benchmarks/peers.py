"""What others cost and keep, doing the same work against the same backend.

    python benchmarks/peers.py                                 # installs each peer into a venv of its own: minutes
    python benchmarks/peers.py --quick --peers bare,honeyhive,langsmith,opik    # LiteLLM's own need no venv
    python benchmarks/peers.py --only none --beside FOLDER     # another checkout of this package takes part as `beside`

Calls go to a provider on loopback that answers after some time, by HTTP, each with a word of its own in its question.
The backend, on loopback in the measuring process, answers 200 to everything and looks for those words in whatever
arrives, so that no peer has to speak HoneyHive's language: what arrived counts as kept. Each peer is set up as its
documentation says (`_peers.py`); only its address and key are ours, and its interval of sending is left at the default.

**Speed**: CPU time of all threads for each call, until `SETTLE_S` after the last one has returned, beyond a bare
LiteLLM, for each way of making calls in `COLUMNS`. All peers live at the same time and make calls in turns, a block
each; calls that load code and open connections come before. **Faults**: how many of the calls are kept when the process
is killed right after the last one has returned, when the backend is down until after the exit, when it answers 500 for
some seconds, and at a plain exit. A peer that has a store on disk is then started once more, makes no calls, and may
deliver what was left; of these only ours has one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import venv
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence

import _peers
from _backend import Backend
from _callers import ChildError, CommandedProcess, difference
from _common import (
    Json,
    environment,
    environment_line,
    measured_environment,
    parse,
    parser_for,
    spawn,
    table,
    write_report,
)
from _peers import COLUMNS, KILL, PEERS, SETTLE_S, child
from _provider import Provider

BLOCK = 100

APART = 100_000
"""The numbers of two columns' calls are so far apart."""

WARM_UP_TIMEOUT_S = 300.0
NEXT_S = 2.0
PROCESS_TIMEOUT_S = 120


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


def speed(pythons: Mapping[str, str], calls: int, columns: Sequence[str], beside: Optional[str]) -> Dict[str, Json]:
    """By peer, by column, what a call costs and how many of the calls arrived, with an attentive backend.

    The peers live at the same time and make calls in turns. Raises ChildError if one of them ends.
    """
    with ExitStack() as stack:
        provider = stack.enter_context(Provider()).api_base
        backends = {name: stack.enter_context(Backend()) for name in pythons}
        peers = []
        for name, python in pythons.items():
            job = {"peer": name, "url": backends[name].url, "fault": None, "provider": provider}
            env = {**measured_environment(), "PYTHONPATH": beside} if name == "beside" and beside else None
            peers.append(stack.enter_context(CommandedProcess(name, _peers.__file__, job, python, env)))
        for peer in peers:
            peer.reply(WARM_UP_TIMEOUT_S)
        samples: Dict[str, Json] = {name: {} for name in pythons}
        for place, column in enumerate(columns):
            blocks = _in_turns(peers, column, place * APART, calls)
            for name, made in blocks.items():
                cpu, wall = (sum(block[key] for block in made) / calls * 1e6 for key in ("cpu_s", "wall_s"))
                samples[name][column] = {"cpu_us": cpu, "wall_us": wall}
    for name, backend in backends.items():
        for place, column in enumerate(columns):
            mine = range(place * APART, place * APART + calls)
            samples[name][column]["kept"] = sum(number in backend.seen for number in mine)
    return samples


def _in_turns(peers: Sequence[CommandedProcess], column: str, first: int, calls: int) -> Dict[str, List[Json]]:
    """The blocks of each peer, by its name."""
    blocks: Dict[str, List[Json]] = {peer.name: [] for peer in peers}
    for number, begin in enumerate(range(0, calls, BLOCK)):
        turn = peers if number % 2 == 0 else peers[::-1]
        for peer in turn:
            peer.send({"column": column, "first": first + begin, "count": min(BLOCK, calls - begin)})
            peer.reply()  # the calls have returned; what follows them may take its time while others make theirs
        for peer in turn:
            blocks[peer.name].append(peer.reply())
    return blocks


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
    process = spawn(_peers.__file__, job, python=python)
    try:
        _, errors = process.communicate(timeout=PROCESS_TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
    if process.returncode != expected:
        raise ChildError(job["peer"], f"ended with status {process.returncode}:\n{errors[-2000:]}")


def beyond_bare(speeds: Mapping[str, Sequence[Json]], name: str, column: str) -> Json:
    """The CPU time that a peer adds to a call: the difference to bare LiteLLM in the same round."""
    mine, bare = ([sample[column] for sample in speeds[each]] for each in (name, "bare"))
    return difference(mine, bare, "cpu_us")


def report(result: Json) -> str:
    """The result as Markdown."""
    speeds = result["speed"]
    columns = result["columns"]
    parts = [environment_line(result["environment"])]
    parts.append(
        "; ".join(
            f"{name}: " + ", ".join(" ".join(pair) for pair in each.items())
            for name, each in result["versions"].items()
        )
    )
    if "bare" in speeds:
        rows = [[name, *(_cost_cell(result, name, column) for column in columns)] for name in speeds]
        parts.append(table(["CPU us/call beyond bare", *columns], rows))
    kept = [
        [name, *(f"{min(sample[column]['kept'] for sample in samples):,}" for column in columns)]
        for name, samples in speeds.items()
        if PEERS[name].keeps
    ]
    parts.append(table([f"arrived of {result['calls']:,}", *columns], kept))
    if result["faults"]:
        names = list(next(iter(result["faults"].values())))
        cells = (
            [what, *(f"{counts[name]['kept']:,} of {counts[name]['sent']:,}" for name in names)]
            for what, counts in result["faults"].items()
        )
        parts.append(table(["calls kept", *names], cells))
    parts += [f"{name} could not be measured: {why}" for name, why in result["left out"].items()]
    return "\n\n".join(parts)


def _cost_cell(result: Json, name: str, column: str) -> str:
    """What a peer adds, least to most, and whether all arrived; of bare LiteLLM, what it takes."""
    speeds = result["speed"]
    compared = beyond_bare(speeds, name, column)
    if name == "bare":
        return f"({compared['median']:,.0f})"
    low, high = compared["range"]
    is_complete = all(sample[column]["kept"] == result["calls"] for sample in speeds[name])
    lost = "" if is_complete or not PEERS[name].keeps else ", not all arrived"
    return f"{compared['beyond']:+,.0f} ({low:+,.0f} to {high:+,.0f}){lost}"


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = parser_for(__doc__)
    parser.add_argument("--peers", default=",".join(name for name in PEERS if name != "beside"), help="which (all)")
    parser.add_argument("--calls", type=int, help="calls of each in each column and fault (400; quick 100)")
    parser.add_argument("--columns", help=f"which of {', '.join(COLUMNS)} (all)")
    parser.add_argument("--beside", metavar="FOLDER", help="another checkout of this package, as the peer `beside`")
    parser.add_argument("--seconds", type=float, help="how long the 500s last (10; quick 3)")
    parser.add_argument("--only", metavar="NAME", action="append", help="only the faults with this in their names")
    parser.add_argument("--venvs", default=".", help="the folder for the peers' venvs (the current one)")
    options = parse(parser, child, arguments)

    calls = options.calls or (100 if options.quick else 400)
    columns = options.columns.split(",") if options.columns else list(COLUMNS)
    seconds = options.seconds or (3.0 if options.quick else 10.0)
    result: Json = {"environment": environment(), "calls": calls, "columns": columns, "left out": {}}
    pythons: Dict[str, str] = {}
    for name in [*options.peers.split(","), *(["beside"] if options.beside else [])]:
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
            samples = speed(pythons, calls, columns, options.beside)
        except ChildError as error:  # once more, without it
            result["left out"][error.name] = str(error)
            del pythons[error.name], result["speed"][error.name]
        else:
            rounds_left -= 1
            for name, sample in samples.items():
                result["speed"][name].append(sample)
    keeping = [name for name in pythons if PEERS[name].keeps and name != "beside"]
    with ThreadPoolExecutor(2) as pool:  # most of the time they wait
        for what in FAULTS:
            if not options.only or any(part in what for part in options.only):
                counts = pool.map(lambda name: fault(pythons[name], name, what, calls, seconds), keeping)  # noqa: B023
                result["faults"][what] = dict(zip(keeping, counts))
    write_report(result, report(result), options.json)


if __name__ == "__main__":
    main()
