"""Each example, run as a user runs it: a process of its own, real HTTP, a collector and a model server on loopback."""

from __future__ import annotations

import importlib
import json
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Tuple

import pytest

from honeyhive_litellm.testing import Collector, ModelServer

from ..faults.programs import environment
from ..support.forked_programs import PythonProcess, run_python
from ..waiting import until

EXAMPLES = Path(__file__).parents[2] / "examples"
Json = Dict[str, Any]


@pytest.fixture
def servers() -> Iterator[Tuple[Collector, ModelServer]]:
    with Collector() as collector, ModelServer() as models:
        yield collector, models


def variables(collector: Collector, models: ModelServer, folder: Path, **more: str) -> Dict[str, str]:
    provider = {"OPENAI_API_KEY": "sk-local", "OPENAI_API_BASE": models.url, "OPENAI_BASE_URL": models.url}
    return environment(collector.url, folder / "spool", **provider, **more)


def run(name: str, *arguments: str, env: Dict[str, str]) -> str:
    """Run an example to its end and return what it printed."""
    done = run_python(str(EXAMPLES / name), *arguments, env=env, timeout=100)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


# ---- the agent


def test_the_agents_turns_are_events_of_one_session(servers: Tuple[Collector, ModelServer], tmp_path: Path) -> None:
    collector, models = servers
    printed = run("agent_loop.py", "Bern", env=variables(collector, models, tmp_path))
    assert "the tool said: Bern: snow, -2 degrees" in printed
    first, second = sorted(collector.events, key=lambda event: event["metadata"]["turn"])
    assert first["outputs"]["tool_calls"][0]["function"]["name"] == "weather"
    assert second["inputs"]["chat_history"][-1]["role"] == "tool"
    assert second["outputs"]["content"] in printed
    assert {event["event_name"] for event in (first, second)} == {"agent turn"}
    (session,) = collector.sessions
    assert first["session_id"] == second["session_id"] == session["session_id"]
    assert session["event_name"].startswith("agent-")


# ---- the batch job


def test_the_batch_job_delivers_an_event_for_each_prompt(
    servers: Tuple[Collector, ModelServer], tmp_path: Path
) -> None:
    collector, models = servers
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(f"prompt {number}" for number in range(30)), encoding="utf-8")
    printed = run("batch_job.py", str(prompts), env=variables(collector, models, tmp_path))
    assert "30 prompts answered, 0 failed" in printed
    assert "events: 30 accepted, 30 delivered, 0 refused, 0 left" in printed
    answers = {event["outputs"]["content"] for event in collector.events}
    assert answers == {f"answer to: prompt {number}" for number in range(30)}
    assert set(collector.receipts.values()) == {1}


def test_what_the_batch_job_could_not_deliver_goes_out_with_its_next_run(
    servers: Tuple[Collector, ModelServer], tmp_path: Path
) -> None:
    collector, models = servers
    env = variables(collector, models, tmp_path, FLUSH_TIMEOUT="1", HONEYHIVE_SHUTDOWN_TIMEOUT="1")
    (tmp_path / "first.txt").write_text("one\ntwo\n", encoding="utf-8")
    (tmp_path / "second.txt").write_text("three\n", encoding="utf-8")
    collector.down()
    printed = run("batch_job.py", str(tmp_path / "first.txt"), env=env)
    assert "2 left" in printed and "go out with the next run" in printed
    collector.up()
    printed = run("batch_job.py", str(tmp_path / "second.txt"), env={**env, "FLUSH_TIMEOUT": "30"})
    assert "events: 3 accepted, 3 delivered, 0 refused, 0 left" in printed
    assert {event["inputs"]["chat_history"][0]["content"] for event in collector.events} == {"one", "two", "three"}
    assert set(collector.receipts.values()) == {1}


# ---- the service


class Service:
    """The FastAPI example under uvicorn, on a free port."""

    def __init__(self, env: Dict[str, str]) -> None:
        self._process = PythonProcess(
            str(EXAMPLES / "fastapi_service.py"),
            env={**env, "PORT": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._output = ""
        self._url: Optional[str] = None
        self._started = threading.Event()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> Service:
        assert self._started.wait(60) and self._url is not None, self._output[-4000:]
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def _listen(self) -> None:
        """Read the log to its end, so that its pipe never fills, and note the address in it."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._output += line
            match = re.search(r"running on (http://[\d.:]+)", line)
            if match:
                self._url = match.group(1)
                self._started.set()
        self._started.set()

    def get(self, path: str) -> Json:
        with urllib.request.urlopen(f"{self._url}{path}", timeout=30) as reply:
            answer: Json = json.load(reply)
        return answer

    def post(self, path: str, **body: str) -> Any:
        """An open reply."""
        request = urllib.request.Request(
            f"{self._url}{path}", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        return urllib.request.urlopen(request, timeout=30)

    def stop(self) -> str:
        """End it as an orchestrator does; what it printed."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)
        self._listener.join(10)
        assert self._process.stdout is not None
        assert "Application shutdown complete" in self._output, self._output[-4000:]
        return self._process.stdout.read()


def test_the_service_answers_and_streams_and_each_request_is_an_event(
    servers: Tuple[Collector, ModelServer], tmp_path: Path
) -> None:
    collector, models = servers
    with Service(variables(collector, models, tmp_path)) as service:
        with service.post("/chat", question="sky", session_id="visit-1", user_id="u-1") as reply:
            assert json.load(reply) == {"answer": "answer to: sky"}
        with service.post("/stream", question="sea", session_id="visit-1") as reply:
            assert reply.read().decode() == "answer to: sea"
        collector.wait_for(2, 20)
        until(lambda: service.get("/stats")["delivered"] == 2)
        stats = service.get("/stats")
        assert stats["accepted"] == stats["delivered"] + stats["pending"] + stats["dead"] == 2
        assert "HoneyHive events left on disk: 0" in service.stop()
    events = {event["event_name"]: event for event in collector.events}
    assert events["chat"]["user_properties"] == {"user_id": "u-1"}
    assert events["chat stream"]["outputs"]["content"] == "answer to: sea"
    assert events["chat"]["session_id"] == events["chat stream"]["session_id"]
    assert set(collector.receipts.values()) == {1}


def test_the_service_stopped_during_an_outage_delivers_after_its_next_start(
    servers: Tuple[Collector, ModelServer], tmp_path: Path
) -> None:
    collector, models = servers
    env = variables(collector, models, tmp_path, HONEYHIVE_SHUTDOWN_TIMEOUT="1")
    collector.down()
    with Service(env) as service:
        with service.post("/chat", question="during the outage") as reply:
            assert reply.status == 200
        assert "HoneyHive events left on disk: 1" in service.stop()
    collector.up()
    with Service(env) as service:
        with service.post("/chat", question="afterwards") as reply:
            assert reply.status == 200
        collector.wait_for(2, 30)
        assert "HoneyHive events left on disk: 0" in service.stop()
    questions = {event["inputs"]["chat_history"][0]["content"] for event in collector.events}
    assert questions == {"during the outage", "afterwards"}
    assert set(collector.receipts.values()) == {1}


# ---- the demo and the fleet


def test_a_demo_whose_worker_is_late_shows_the_workers_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text("import sys, time; print('[late]', file=sys.stderr, flush=True); time.sleep(60)")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    demo = importlib.import_module("demo")
    monkeypatch.setattr(demo, "WORKER", worker)
    monkeypatch.setattr(demo, "STEP_TIMEOUT_S", 4.0)
    assert demo.main() == 1
    printed = capsys.readouterr().out
    assert re.search(r"waited 4 s for this: .*\nThe end of the worker's log:\n\[late\]\n", printed)


def test_a_fleet_that_does_not_start_says_which_process_is_late(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    fleet = importlib.import_module("fleet")
    monkeypatch.setattr(fleet, "NATS_SERVER", sys.executable)  # it takes the configuration for a program, and ends
    monkeypatch.setattr(fleet, "TIMEOUT_S", 1.0)
    assert fleet.main() == 1
    printed = capsys.readouterr().out
    assert "Waited 1 s for this: the nodes\n--- n1, ended with 1; the end of its log:\n" in printed
    assert "SyntaxError" in printed and "--- n3, ended with 1" in printed and "Traceback" not in printed
    assert "relay" not in printed
