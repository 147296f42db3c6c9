from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path
from typing import Any, Tuple

import pytest

import honeyhive_litellm

from ..faults.programs import run

COMMAND = [sys.executable, "-m", "honeyhive_litellm"]


def serve(db: Path, *options: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--db", str(db), *options],
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


def post(url: str, body: Any) -> None:
    headers = {"Authorization": "Bearer hh_local", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/events/batch", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert reply.status == 200


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


@pytest.mark.parametrize("options", [(), ("--quiet",)])
def test_serve_prints_a_line_for_each_event_unless_it_is_to_be_quiet(tmp_path: Path, options: Tuple[str, ...]) -> None:
    with serve(tmp_path / "events.db", *options) as server:
        assert server.stdout is not None
        match = re.search(r'api_url="(http://[^"]+)"', server.stdout.readline())
        assert match is not None
        try:
            common = {"event_type": "model", "source": "test", "inputs": {}, "outputs": {}}
            times = {"start_time": 1.0, "end_time": 4.0, "duration": 3.0}
            events = [
                {"event_id": str(uuid.uuid4()), "event_name": name, "config": {"model": name}, **common, **times}
                for name in ("first", "second")
            ]
            post(match.group(1), {"events": events})
        finally:
            server.send_signal(signal.SIGTERM)
            printed = server.communicate(timeout=20)[0]
    lines = [re.sub(" +", " ", line) for line in printed.splitlines() if line.endswith(" ms")]
    ends = [f"model {name} success - tokens 3 ms" for name in ("first", "second")]
    assert [line.partition(" ")[2] for line in lines] == ([] if options else ends)


def test_serve_and_drain_log_one_json_object_a_line(tmp_path: Path) -> None:
    with serve(tmp_path / "events.db", "--log-format", "json") as server:
        assert server.stderr is not None
        # `communicate` does not get what `readline` has read ahead: both lines, if they came together.
        serving, link = (json.loads(server.stderr.readline()) for _ in range(2))
        try:
            (url,) = re.findall(r'api_url="([^"]+)"', serving["message"])
            run('litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="hi")', url, tmp_path / "spool")
            drained = subprocess.run(
                [*COMMAND, "drain", "--log-format", "json", "--spool-path", str(tmp_path / "spool")],
                env={**os.environ, "HONEYHIVE_API_KEY": "hh_local", "HONEYHIVE_PROJECT": "p", "HONEYHIVE_API_URL": url},
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            )
        finally:
            server.send_signal(signal.SIGTERM)
            printed, logged = server.communicate(timeout=20)
    records = [serving, link, *map(json.loads, logged.splitlines())]
    assert [record["event_code"] for record in records] == ["collector.serving", "collector.link", "collector.event"]
    assert {"model": "gpt-4o", "status": "success", "level": "info"}.items() <= records[-1].items()
    started, ended = map(json.loads, drained.stderr.splitlines())
    assert [started["event_code"], ended["event_code"]] == ["drain.started", "drain.ended"]
    assert {"delivered": 0, "dead": 0, "dropped": 0, "pending": 0}.items() <= ended.items()
    assert printed == drained.stdout == ""


def test_the_command_prints_its_version() -> None:
    answer = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert honeyhive_litellm.__version__ in answer.stdout


def test_a_port_that_is_taken_is_an_error_of_one_line(tmp_path: Path) -> None:
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
