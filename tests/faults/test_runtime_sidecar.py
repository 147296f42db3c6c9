"""Applications that only write, and a process beside them that delivers."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Set

from honeyhive_litellm.testing import Collector

from . import emitter
from .programs import drain, environment, signal_ready, start

COMMAND = [sys.executable, "-m", "honeyhive_litellm"]

# As `python -m honeyhive_litellm`, and tells at its end whether LiteLLM came in.
WITHOUT_LITELLM = """
import atexit, sys
atexit.register(lambda: print("litellm" in sys.modules))
from honeyhive_litellm.cli import main
main()
"""


@contextmanager
def running(url: str, spool: Path, *command: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A process of ours that is gone afterwards, whatever happens."""
    process = subprocess.Popen(
        list(command),
        env=environment(url, spool, **variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def writes(run: str, count: int, url: str, spool: Path, pause_s: float = 0.0, flush: str = "no") -> Any:
    return running(url, spool, sys.executable, emitter.__file__, run, str(count), str(pause_s), HONEYHIVE_FLUSH=flush)


def is_committed(application: subprocess.Popen[str]) -> None:
    while signal_ready(application) != "committed":
        pass


def sidecar(url: str, spool: Path) -> Any:
    return running(url, spool, *COMMAND, "drain", "--follow")


def status(url: str, spool: Path) -> Dict[str, Any]:
    done = subprocess.run(
        [*COMMAND, "status", "--json"],
        env=environment(url, spool),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    numbers: Dict[str, Any] = json.loads(done.stdout)
    dropped = sum(numbers["dropped"].values())
    assert numbers["accepted"] == numbers["delivered"] + numbers["pending"] + numbers["dead"] + dropped
    return numbers


def test_a_sidecar_delivers_what_a_living_application_only_writes(tmp_path: Path) -> None:
    code = """
import json
async def main():
    await asyncio.gather(call("answer"), read("streamed"))
asyncio.run(main())
left = honeyhive_litellm.flush(20)
print(json.dumps([left, honeyhive_litellm.stats().delivered]), flush=True)
sys.stdin.readline()
"""
    with Collector() as collector:
        delivering = running(collector.url, tmp_path, sys.executable, "-c", WITHOUT_LITELLM, "drain", "--follow")
        with delivering as beside, start(code, collector.url, tmp_path, HONEYHIVE_FLUSH="off") as application:
            assert json.loads(signal_ready(application)) == [2, 0]
            handed_over_at = time.monotonic()
            collector.wait_for(2, 30)
            assert time.monotonic() - handed_over_at < 15
            numbers = status(collector.url, tmp_path)
            assert sorted(p["flushes"] for p in numbers["processes"]) == [False, True]
            application.communicate("\n", timeout=30)
            beside.send_signal(signal.SIGTERM)
            out, err = beside.communicate(timeout=30)
            assert beside.returncode == 0, err
            assert out.splitlines() == ["delivered 2, dead letters 0, dropped 0, left 0", "False"]
        assert sorted(e["outputs"]["content"] for e in collector.events) == ["answer", "streamed"]
        assert set(collector.receipts.values()) == {1}
        numbers = status(collector.url, tmp_path)
        assert (numbers["accepted"], numbers["delivered"], numbers["processes"], numbers["leftovers"]) == (2, 2, [], [])


def test_events_are_handed_off_while_calls_go_on_and_none_is_reported_as_interrupted(tmp_path: Path) -> None:
    with Collector() as collector, sidecar(collector.url, tmp_path):
        with writes("long", 2000, collector.url, tmp_path, pause_s=0.001) as application:
            collector.wait_for(1, 30)  # long before the end
            is_committed(application)
            collector.wait_for(2000, 40)
            # The call that is still in flight goes from segment to segment with its process.
            assert {e["event_id"] for e in collector.events} == {emitter.event_id("long", n) for n in range(2000)}
            assert not any("status" in e.get("metadata", {}) for e in collector.events)
            os.kill(application.pid, signal.SIGKILL)
            collector.wait_for(2001, 40)
        (lost,) = [e for e in collector.events if e.get("metadata", {}).get("status") == "interrupted"]
        assert lost["event_id"] == emitter.event_id("long", 2000)
        assert lost["end_time"] >= lost["start_time"]
        assert lost["duration"] == lost["metadata"]["duration_ms"]
        assert set(collector.receipts.values()) == {1}


def test_kills_of_writers_and_sidecars_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    draw = random.Random(7)
    acknowledged: Set[str] = set()
    with Collector() as collector:
        for run in map(str, range(5)):
            with sidecar(collector.url, tmp_path) as beside, writes(
                run, 0, collector.url, tmp_path, 0.002
            ) as application:
                signal_ready(application)
                time.sleep(draw.random() * 1.5)  # the moments of the kills are what is tried
                victims = [beside, application]
                draw.shuffle(victims)
                for victim in victims:
                    os.kill(victim.pid, signal.SIGKILL)
                    victim.wait()
                committed = int(["0", *application.communicate()[0].split()][-1])
            acknowledged.update(emitter.event_id(run, number) for number in range(committed))
            status(collector.url, tmp_path)
        drain(collector.url, tmp_path)
        arrived = {event["event_id"] for event in collector.events}
        assert acknowledged <= arrived
        assert set(collector.receipts.values()) == {1}
        numbers = status(collector.url, tmp_path)
        assert (numbers["accepted"], numbers["delivered"], numbers["pending"]) == (len(arrived), len(arrived), 0)
        # The lease of a process that was killed before its first commit is left alone for some seconds.
        assert list(tmp_path.glob("*.spool*")) == []


def test_a_sidecar_that_is_terminated_while_the_server_hangs_ends_in_time_and_loses_nothing(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.hang()
        with sidecar(collector.url, tmp_path) as beside, writes("hang", 50, collector.url, tmp_path) as application:
            is_committed(application)
            collector.wait_for_requests(1, 30)
            signalled_at = time.monotonic()
            beside.send_signal(signal.SIGTERM)
            _, err = beside.communicate(timeout=30)
            assert time.monotonic() - signalled_at < 15  # shutdown_timeout is 5
            assert beside.returncode == 3
            assert "events stay in" in err
            os.kill(application.pid, signal.SIGKILL)
            application.wait()
        collector.clear()
        with sidecar(collector.url, tmp_path):
            collector.wait_for(51, 40)
        assert set(collector.receipts.values()) == {1}
