"""The sum `accepted = delivered + pending + dead + dropped` in the metrics, while processes are killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from honeyhive_litellm.testing import Collector

from ..waiting import until
from .programs import environment, signal_ready

ROOT = Path(__file__).parents[2]

# The emitter, with an OpenTelemetry SDK whose every collection becomes a line of a file.
WRITER = """
import json, sys, threading, time
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from honeyhive_litellm import metrics
from tests.faults import emitter
reader = InMemoryMetricReader()
metrics.register(MeterProvider([reader], shutdown_on_exit=False))
def collect(path):
    with open(path, "a") as file:
        while True:
            found = {}
            for resource in reader.get_metrics_data().resource_metrics:
                for metric in (m for scope in resource.scope_metrics for m in scope.metrics):
                    if metric.name.startswith("honeyhive.events."):
                        found[metric.name] = sum(point.value for point in metric.data.data_points)
            file.write(json.dumps(found) + "\\n")
            file.flush()
            time.sleep(0.005)
threading.Thread(target=collect, args=(sys.argv[1],), daemon=True).start()
emitter.main(sys.argv[2], 0, 0.002)
"""


@pytest.fixture
def processes() -> Iterator[List[subprocess.Popen[str]]]:
    started: List[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def started(url: str, spool: Path, *command: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        env=environment(url, spool, **variables),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def scraped(url: str) -> Dict[str, float]:
    """The events' metrics of the whole spool, the drops added up."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    found: Dict[str, float] = {"dropped": 0.0}
    for line in lines:
        match = re.fullmatch(r"honeyhive_events_(\w+?)(?:_total)?(?:\{.*\})? (\S+)", line)
        if match is not None:
            found[match.group(1)] = found.get(match.group(1), 0.0) + float(match.group(2))
    return found


def adds_up(numbers: Dict[str, Any], prefix: str = "") -> bool:
    parts = ("delivered", "pending", "dead", "dropped")
    return bool(numbers[f"{prefix}accepted"] == sum(numbers.get(f"{prefix}{part}", 0) for part in parts))


def test_the_sum_holds_in_every_scrape_and_in_every_collection(
    tmp_path: Path, processes: List[subprocess.Popen[str]]
) -> None:
    pytest.importorskip("prometheus_client", reason="the extra prometheus")
    spool = tmp_path / "spool"
    scrapes: List[Dict[str, float]] = []
    with Collector() as collector:
        follow = ("-m", "honeyhive_litellm", "drain", "--follow", "--metrics-host", "127.0.0.1", "--metrics-port", "0")
        beside = started(collector.url, spool, *follow)
        processes.append(beside)
        assert beside.stderr is not None
        url = beside.stderr.readline().partition(" ")[2].strip()
        committed = 0
        for run in ("first", "second"):
            writer = started(collector.url, spool, "-c", WRITER, str(tmp_path / run), run, HONEYHIVE_FLUSH="no")
            processes.append(writer)
            committed += int(signal_ready(writer))
            until_at = time.monotonic() + 2.5
            while time.monotonic() < until_at:
                scrapes.append(scraped(url))
            os.kill(writer.pid, signal.SIGKILL)
            writer.wait()
            scrapes.append(scraped(url))

        def is_settled() -> bool:
            scrapes.append(scraped(url))
            return scrapes[-1]["pending"] == 0 and scrapes[-1]["delivered"] == len(collector.events) >= committed

        until(is_settled, 60, what=lambda: scrapes[-1])
    assert [numbers for numbers in scrapes if not adds_up(numbers)] == []
    for name in ("accepted", "delivered"):
        values = [numbers[name] for numbers in scrapes]
        assert values == sorted(values), f"{name} is a counter"
    for run in ("first", "second"):
        lines = [line for line in (tmp_path / run).read_text().splitlines(keepends=True) if line.endswith("\n")]
        collections = [json.loads(line) for line in lines]
        assert len(collections) > 20
        assert [numbers for numbers in collections if not adds_up(numbers, "honeyhive.events.")] == []
