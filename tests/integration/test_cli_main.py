from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import honeyhive_litellm

from ..faults.programs import run

COMMAND = [sys.executable, "-m", "honeyhive_litellm"]


def serve(db: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--db", str(db)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stored(url: str) -> Any:
    body = json.dumps({"filters": [], "limit": 10}).encode()
    headers = {"Authorization": "Bearer hh_local", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/events/search", body, headers)
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)["events"]


def test_serve_prints_a_line_to_paste_and_keeps_what_it_gets(tmp_path: Path) -> None:
    for round_number in (1, 2):
        with serve(tmp_path / "events.db") as server:
            assert server.stdout is not None
            printed = server.stdout.readline()
            try:
                match = re.search(r'honeyhive_litellm\.init\(.*api_url="(http://[^"]+)"\)', printed)
                assert match is not None, printed
                url = match.group(1)
                code = f"""
{match.group(0)}
litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="round {round_number}")
"""
                run(code, url, tmp_path / "spool")
                assert len([e for e in stored(url) if e["event_type"] == "model"]) == round_number
            finally:
                server.send_signal(signal.SIGTERM)
                server.communicate(timeout=20)
        assert server.returncode == 0


def test_the_command_tells_its_version() -> None:
    answer = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert honeyhive_litellm.__version__ in answer.stdout


def test_a_port_that_is_taken_is_told_in_one_line(tmp_path: Path) -> None:
    with serve(tmp_path / "events.db") as server:
        assert server.stdout is not None
        match = re.search(r":(\d+)", server.stdout.readline())
        assert match is not None
        try:
            second = subprocess.run(
                [*COMMAND, "serve", "--port", match.group(1)], capture_output=True, text=True, check=False, timeout=30
            )
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=20)
    assert second.returncode == 1
    assert second.stderr.startswith("Error: ") and match.group(1) in second.stderr
    assert "Traceback" not in second.stderr
