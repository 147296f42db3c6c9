"""`honeyhive-litellm events` and `serve`, as processes, over a running collector and over its file."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import httpx
import pytest

from honeyhive_litellm.testing import Collector

FAILED = str(uuid.uuid4())
WORKED = str(uuid.uuid4())


def event(event_id: str, status: str, question: str) -> Dict[str, Any]:
    return {
        "event_id": event_id,
        "event_type": "model",
        "event_name": "completion",
        "config": {"model": "gpt-4o", "provider": "openai"},
        "inputs": {"chat_history": [{"role": "user", "content": question}]},
        "outputs": {"role": "assistant", "content": "the answer"} if status == "success" else {},
        "metadata": {"status": status, "prompt_tokens": 12, "completion_tokens": 5, "cost": 0.0031},
        "start_time": 1_700_000_000_000.0,
        "duration": 420.0,
        **({} if status == "success" else {"error": "Timeout: too late"}),
    }


def post(url: str, *events: Dict[str, Any]) -> None:
    headers = {"Authorization": "Bearer k"}
    answer = httpx.post(f"{url}/v1/events/batch", json={"events": events}, headers=headers, trust_env=False)
    assert answer.status_code == 200, answer.text


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "honeyhive_litellm", *arguments]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", **variables}
    return subprocess.run(program, capture_output=True, text=True, env=environment, timeout=60, check=False)


@pytest.fixture(scope="module", params=["running", "file"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[List[str]]:
    """The options that name a collector with two events."""
    path = tmp_path_factory.mktemp("events") / "local.db"
    with Collector(db=path, pages=True) as collector:
        post(collector.url, event(FAILED, "failure", "=1+1"), event(WORKED, "success", "why is the sky blue?"))
        if request.param == "running":
            yield ["--url", collector.url]
            return
    yield ["--db", str(path)]


def test_a_list_is_a_line_for_each_event(source: List[str]) -> None:
    done = command("events", "list", *source)
    assert (done.returncode, done.stderr) == (0, "")
    newest, other = done.stdout.splitlines()
    assert re.search(rf"{WORKED}  success  gpt-4o  12>5 tok  \$0\.0031  420 ms  why is the sky blue\?$", newest)
    assert re.search(rf"{FAILED}  failure  gpt-4o .* Timeout: too late$", other)


def test_a_list_takes_the_filters_of_the_pages(source: List[str]) -> None:
    def ids(*filters: str) -> List[str]:
        done = command("events", "list", *source, *filters, "--json")
        assert done.returncode == 0, done.stderr
        return [found["event_id"] for found in json.loads(done.stdout)["events"]]

    assert ids("--status", "failure") == [FAILED]
    assert ids("--q", "blue sky") == [WORKED]
    assert ids("--model", "gpt-4o", "--cost-min", "1") == []
    assert ids("--limit", "1") == [WORKED]


def test_an_event_is_markdown_or_json(source: List[str]) -> None:
    shown = command("events", "show", *source, FAILED).stdout
    assert shown.startswith("# completion: failure\n") and "**Error:** Timeout: too late" in shown
    shown_as_json = json.loads(command("events", "show", *source, WORKED, "--json").stdout)
    assert (shown_as_json["schema"], shown_as_json["event"]["outputs"]["content"]) == (1, "the answer")
    missing = command("events", "show", *source, str(uuid.uuid4()))
    assert missing.returncode == 1 and "there is no event" in missing.stderr


def test_an_export_has_all_and_no_formulas(source: List[str]) -> None:
    lines = command("events", "export", *source).stdout.splitlines()
    assert [json.loads(line)["event_id"] for line in lines] == [WORKED, FAILED]
    rows = list(csv.DictReader(io.StringIO(command("events", "export", *source, "--format", "csv").stdout)))
    assert [row["question"] for row in rows] == ["why is the sky blue?", "'=1+1"]


def test_a_filter_that_makes_no_sense_is_refused_in_words(source: List[str]) -> None:
    done = command("events", "list", *source, "--last", "soon")
    assert done.returncode == 1 and "last must be a span of time" in done.stderr


def test_an_absent_server_is_reported_with_what_to_do() -> None:
    done = command("events", "list", "--url", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "honeyhive-litellm serve" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a process is not signalled like this on Windows")
@pytest.mark.parametrize("kind", ["running", "file"])
def test_tail_prints_what_arrives(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "local.db"
    with Collector(db=path, pages=True) as collector:
        post(collector.url, event(FAILED, "failure", "before"))
        source = ["--url", collector.url] if kind == "running" else ["--db", str(path)]
        program = [sys.executable, "-u", "-m", "honeyhive_litellm", "events", "tail", *source]
        with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            arrived = ""
            for number in range(100):  # the first of these may come before it listens
                post(collector.url, event(str(uuid.uuid4()), "success", f"while it runs {number}"))
                if number == 0:
                    continue
                if kind == "running" and number < 3:
                    continue
                arrived = _line_within(process, 0.3)
                if arrived:
                    break
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
    assert "while it runs" in arrived and "before" not in arrived


def _line_within(process: subprocess.Popen[str], seconds: float) -> str:
    import select

    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    return process.stdout.readline() if ready else ""


def started(*arguments: str, **variables: str) -> Tuple[subprocess.Popen[str], str, str]:
    """A server process, with the first two lines that it prints."""
    program = [sys.executable, "-u", "-m", "honeyhive_litellm", "serve", "--port", "0", *arguments]
    environment = {**{k: v for k, v in os.environ.items() if k != "HONEYHIVE_API_KEY"}, **variables}
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    assert process.stdout is not None
    return process, process.stdout.readline(), process.stdout.readline()


def test_serve_prints_one_link_and_the_next_one_when_it_was_used() -> None:
    process, first, second = started()
    try:
        assert first.startswith('honeyhive_litellm.init(api_key="hh_local"')
        link = second[len("pages: ") :].strip()
        with httpx.Client(trust_env=False) as client:
            assert client.get(link).status_code == 303
            assert client.get(link.partition("/open")[0]).status_code == 200
        assert process.stdout is not None
        following = process.stdout.readline()
        assert following.startswith("for another browser: ") and link not in following
        assert httpx.get(link, trust_env=False).status_code == 401
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("own_key", ["", "hh_of_mine"])
def test_on_an_address_that_others_reach_everything_needs_the_key(own_key: str) -> None:
    process, first, _ = started("--host", "0.0.0.0", **({"HONEYHIVE_API_KEY": own_key} if own_key else {}))
    try:
        key, url = re.findall(r'(?:api_key|api_url)="([^"]*)"', first)
        assert key == own_key or (not own_key and len(key) > 30)
        body = {"event_type": "model", "inputs": {}}
        for right, bearer in ((False, "hh_local"), (True, key)):
            headers = {"Authorization": f"Bearer {bearer}"}
            stored = httpx.post(f"{url}/v1/events", json=body, headers=headers, trust_env=False)
            read = httpx.get(f"{url}/export.jsonl", headers=headers, trust_env=False)
            assert (stored.status_code == 200) is right
            assert (read.status_code == 200) is right
        assert httpx.get(url, headers={"Authorization": f"Bearer {key}"}, trust_env=False).status_code == 401
    finally:
        process.kill()
        process.communicate()
