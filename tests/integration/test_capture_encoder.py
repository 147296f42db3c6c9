"""What a hook hands over is redacted and encoded on our own thread, a little later, and is what it was then."""

from __future__ import annotations

import asyncio
import functools
import threading
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm import Settings
from honeyhive_litellm._runtime.lifecycle import runtime_for
from honeyhive_litellm._runtime.runtime import Runtime
from honeyhive_litellm._spool import queue
from honeyhive_litellm._spool.record import EVENT, START, Record
from honeyhive_litellm.testing import Collector

from ..faults.emitter import NoLiteLLM, record

PATIENCE_S = 20


class Gate:
    """A `redact` function that waits until it is opened, and notes on which threads it is called."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.threads: List[str] = []

    def __call__(self, content: Dict[str, Any]) -> Dict[str, Any]:
        self.threads.append(threading.current_thread().name)
        self.entered.set()
        assert self.opened.wait(PATIENCE_S)
        return content


@pytest.fixture
def gate(collector: Collector, tmp_path: Path) -> Iterator[Gate]:
    gate = Gate()
    honeyhive_litellm.init(api_key="hh_key", project="tests", api_url=collector.url, spool_path=tmp_path, redact=gate)
    yield gate
    gate.opened.set()
    honeyhive_litellm.shutdown(5)


def ask(is_async: bool, **call: Any) -> None:
    if is_async:
        asyncio.run(litellm.acompletion(model="gpt-4o", mock_response="yes", **call))
    else:
        litellm.completion(model="gpt-4o", mock_response="yes", **call)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_call_returns_while_its_content_waits_to_be_redacted(
    collector: Collector, gate: Gate, is_async: bool
) -> None:
    ask(is_async, messages=[{"role": "user", "content": "hello"}])  # no deadlock: it has returned
    assert gate.entered.wait(PATIENCE_S)
    assert honeyhive_litellm.stats().committed == 0
    gate.opened.set()
    assert honeyhive_litellm.flush(PATIENCE_S) == 0
    (event,) = collector.events
    assert event["outputs"]["content"] == "yes"
    assert set(gate.threads) == {"honeyhive-redact"}


@pytest.mark.parametrize("is_async", [False, True])
def test_what_the_caller_changes_meanwhile_does_not_change_the_event(
    collector: Collector, gate: Gate, is_async: bool
) -> None:
    part = {"type": "text", "text": "before"}
    messages: List[Dict[str, Any]] = [{"role": "system", "content": "first"}, {"role": "user", "content": [part]}]
    steps = {"done": [1, 2]}
    metadata: Dict[str, Any] = {"steps": steps, "user_properties": {"plan": "pro"}}
    schema = {"type": "json_object", "more": {"deep": ["a"]}}
    ask(is_async, messages=messages, metadata=metadata, response_format=schema)
    part["text"] = "changed"
    messages[0]["content"] = "changed"
    messages.append({"role": "assistant", "content": "yes"})
    steps["done"].append(3)
    metadata["user_properties"]["plan"] = ["changed"]
    schema["more"] = "changed"
    gate.opened.set()
    assert honeyhive_litellm.flush(PATIENCE_S) == 0
    (event,) = collector.events
    assert event["inputs"]["chat_history"] == [
        {"role": "system", "content": "first"},
        {"role": "user", "content": [{"type": "text", "text": "before"}]},
    ]
    assert event["metadata"]["steps"] == {"done": [1, 2]}
    assert event["user_properties"]["plan"] == "pro"
    assert event["config"]["response_format"] == {"type": "json_object", "more": {"deep": ["a"]}}


class Draft:
    """An entry of the queue whose record `make` returns."""

    def __init__(self, kind: int, make: Callable[[], Optional[Record]]) -> None:
        self.kind = kind
        self.id = "an id"
        self.encode = make


@pytest.fixture
def runtime(collector: Collector, tmp_path: Path) -> Iterator[Runtime]:
    settings = Settings(api_key="k", project="p", api_url=collector.url, spool_path=tmp_path)
    runtime = runtime_for(settings, NoLiteLLM())
    yield runtime
    runtime.shutdown(5)


def fails() -> Record:
    raise RuntimeError("a secret")


def test_a_fault_in_encoding_costs_that_event_alone_and_is_counted(
    collector: Collector, runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    put = runtime.submit
    put(record(EVENT, "fault", 1))
    put(Draft(START, fails))
    put(Draft(EVENT, fails))
    put(Draft(EVENT, lambda: record(EVENT, "fault", 2)))
    assert runtime.flush(PATIENCE_S) == 0
    assert len([event for event in collector.events if event["event_name"] == "e"]) == 2
    stats = runtime.stats()
    assert stats.dropped == {"fault": 1}
    assert stats.accepted == stats.delivered + sum(stats.dropped.values())
    assert "RuntimeError" in caplog.text
    assert "a secret" not in caplog.text


def test_who_is_too_fast_for_our_thread_encodes_by_itself(
    collector: Collector, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "MAX_UNENCODED", 3)
    opened = threading.Event()
    threads: Dict[int, str] = {}

    def make(number: int) -> Record:
        threads[number] = threading.current_thread().name
        assert number or opened.wait(PATIENCE_S)
        return record(EVENT, "fast", number)

    for number in range(8):
        runtime.submit(Draft(EVENT, functools.partial(make, number)))
    here = [number for number, name in threads.items() if name == threading.current_thread().name]
    assert here and here == list(range(here[0], 8))
    opened.set()
    assert runtime.flush(PATIENCE_S) == 0
    assert len(collector.events) == 8
    assert set(threads.values()) == {threading.current_thread().name, "honeyhive-litellm"}


def test_events_for_which_the_queue_has_no_room_are_dropped_counted_and_logged(
    collector: Collector, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(queue, "MAX_BYTES", -1)  # as full as a disk that hangs makes it
    runtime.submit(record(START, "full", 1))
    runtime.submit(record(EVENT, "full", 1))
    monkeypatch.undo()
    runtime.submit(record(EVENT, "full", 2))
    assert runtime.flush(PATIENCE_S) == 0
    assert [event["inputs"] for event in collector.events if event["event_name"] == "e"] == [{"n": 2}]
    stats = runtime.stats()
    assert stats.dropped == {"memory": 1}
    assert stats.accepted == stats.delivered + 1  # the report on it may be among them already
    assert "events are dropped" in caplog.text
