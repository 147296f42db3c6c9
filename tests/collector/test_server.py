"""The blocking server of the command line: a real process with real signals."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import List, Tuple

import httpx
import pytest

from honeyhive_litellm._errors import ConfigError
from honeyhive_litellm.collector import run
from honeyhive_litellm.testing import Collector

PROGRAM = """
import sys
from honeyhive_litellm.collector import run
run(host=sys.argv[1], port=0, db=sys.argv[2], echo=lambda line: print(line, flush=True))
print("cleaned up", flush=True)
"""


def start(db: Path, host: str = "127.0.0.1") -> Tuple[subprocess.Popen[str], str]:
    """Start a server process; return it with the URL from the line it echoes."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, host, str(db)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.fullmatch(
        r'honeyhive_litellm\.init\(api_key="hh_local", project="local", api_url="(http://[^"]+)"\)\n', line
    )
    assert match is not None, line
    return process, match[1]


def post_event(url: str) -> str:
    event_id = str(uuid.uuid4())
    body = {"event_type": "model", "inputs": {}, "event_id": event_id}
    answer = httpx.post(f"{url}/v1/events", json=body, headers={"Authorization": "Bearer k"}, trust_env=False)
    assert answer.status_code == 200
    return event_id


def stored_in(db: Path) -> List[str]:
    with Collector(db=db) as collector:
        return [event["event_id"] for event in collector.events]


@pytest.mark.skipif(sys.platform == "win32", reason="a process is not signalled like this on Windows")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_cleanly_and_keeps_the_events(tmp_path: Path, number: signal.Signals) -> None:
    process, url = start(tmp_path / "local.db")
    event_id = post_event(url)
    process.send_signal(number)
    output, errors = process.communicate(timeout=10.0)

    assert (process.returncode, output, errors) == (0, "cleaned up\n", "")
    assert list(tmp_path.iterdir()) == [tmp_path / "local.db"]
    assert stored_in(tmp_path / "local.db") == [event_id]


def test_a_killed_server_has_kept_what_it_answered(tmp_path: Path) -> None:
    process, url = start(tmp_path / "local.db")
    event_ids = [post_event(url) for _ in range(3)]
    process.kill()
    process.communicate(timeout=10.0)

    assert stored_in(tmp_path / "local.db") == event_ids


def test_a_server_that_listens_everywhere_is_reached_on_the_loopback(tmp_path: Path) -> None:
    process, url = start(tmp_path / "local.db", host="0.0.0.0")
    try:
        assert url.startswith("http://127.0.0.1:")
        assert post_event(url)
    finally:
        process.kill()
        process.communicate(timeout=10.0)


def test_a_port_that_is_taken_is_a_configuration_error() -> None:
    with Collector() as collector:
        port = int(collector.url.rpartition(":")[2])
        with pytest.raises(ConfigError, match="cannot listen"):
            run(port=port)
