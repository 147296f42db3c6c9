"""Whatever foreign code raises inside ours: our thread goes on, and the application does not see it."""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import logging
import random
import sys
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List, Type

import litellm
import pytest
from litellm.integrations.custom_logger import CustomLogger

import honeyhive_litellm
from honeyhive_litellm._runtime import lifecycle
from honeyhive_litellm._spool import queue
from honeyhive_litellm.testing import Collector

from ..versions import has_litellm, needs_litellm
from ..waiting import until, until_committed


class Own(BaseException):
    pass


KINDS = (RuntimeError, SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, Own)
MESSAGES = [{"role": "user", "content": "hello"}]


def call(**options: Any) -> None:
    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="hi", **options)


def delivered(collector: Collector, calls: int) -> List[Dict[str, Any]]:
    assert honeyhive_litellm.flush(30) == 0
    stats = honeyhive_litellm.stats()
    assert (stats.accepted, stats.delivered, stats.in_flight, stats.dropped) == (calls, calls, 0, {})
    assert len(collector.events) == calls
    return collector.events


def hostile(method: str, kind: Type[BaseException]) -> object:
    """A value whose `method` raises."""

    def raises(self: object, *_: Any, **__: Any) -> Any:
        raise kind("words of the call")

    base = {"__iter__": list, "__len__": list, "items": dict, "lower": str}.get(method, object)
    members: Dict[str, Any] = {method: property(raises) if method == "__class__" else raises}
    if method == "__eq__":
        members["__hash__"] = object.__hash__
    return type("Hostile", (base,), members)()


METHODS = (
    "__class__",
    "__str__",
    pytest.param("__repr__", marks=needs_litellm("1.80", "it fails itself, as it prints the request")),
    "__iter__",
    "__len__",
    "__bool__",
    "__eq__",
    "__hash__",
    "__getattribute__",
    "model_dump",
    "items",
    "lower",
)


@pytest.mark.parametrize("method", METHODS)
def test_a_value_that_raises_anything_costs_at_most_itself(traced: Collector, method: str) -> None:
    litellms_own = {"__bool__", "__len__"}  # LiteLLM itself looks whether a session id is true
    names = ("x", "tags", "event_name", "honeyhive_capture_content", "user_properties", "session_id")
    positions = [name for name in names if name != "session_id" or method not in litellms_own]
    if method in ("__class__", "__getattribute__") and not has_litellm("1.80"):
        positions.remove("tags")  # LiteLLM itself looks at their type, on the thread that is to report the call
    for kind, name in itertools.product(KINDS, positions):
        call(metadata={name: hostile(method, kind)})
    events = delivered(traced, len(KINDS) * len(positions))
    assert all(event["outputs"]["role"] == "assistant" for event in events)
    assert "words of the call" not in str(events)


@pytest.mark.parametrize("kind", KINDS)
def test_a_redact_function_that_raises_anything_costs_the_content(
    collector: Collector, tmp_path: Path, kind: Type[BaseException]
) -> None:
    def redact(_content: Dict[str, Any]) -> Dict[str, Any]:
        raise kind("words of the call")

    honeyhive_litellm.init(api_key="k", project="p", api_url=collector.url, spool_path=tmp_path, redact=redact)
    try:
        call()
        (event,) = delivered(collector, 1)
        assert event["metadata"]["redaction_failed"] is True
        assert event["inputs"] == event["outputs"] == {}
    finally:
        honeyhive_litellm.shutdown(5)


class Callback:
    """A callback of the application in LiteLLM's lists."""

    def __init__(self, kind: Type[BaseException]) -> None:
        self.kind = kind

    def __call__(self, *_: object) -> None:
        pass

    def __eq__(self, _other: object) -> bool:
        raise self.kind

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("kind", KINDS)
def test_init_asks_no_callback_and_no_function_of_the_application_whether_it_equals_ours(
    collector: Collector, tmp_path: Path, kind: Type[BaseException]
) -> None:
    litellm.callbacks.append(Callback(kind))
    for _ in range(2):
        honeyhive_litellm.init(
            api_key="k", project="p", api_url=collector.url, spool_path=tmp_path, redact=Callback(kind)
        )
    honeyhive_litellm.shutdown(5)


class RaisingHandler(logging.Handler):
    kinds = itertools.cycle(KINDS)

    def handle(self, record: logging.LogRecord) -> bool:
        raise next(self.kinds)


class RaisingStream:
    def __init__(self) -> None:
        self.kinds = itertools.cycle(KINDS)

    def write(self, _text: str) -> int:
        raise next(self.kinds)

    def flush(self) -> None:
        pass


def test_logging_handlers_and_a_standard_output_that_raise_stop_nothing(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = len(KINDS)
    handler = RaisingHandler()
    logging.getLogger("honeyhive_litellm").addHandler(handler)
    monkeypatch.setattr("honeyhive_litellm._log._QUIET_S", 0.0)  # each warning is written
    try:
        collector.fail(500, times=1)
        honeyhive_litellm.init(
            api_key="k", project="p", api_url=collector.url, spool_path=tmp_path, debug=True, lookup_delay=0
        )
        monkeypatch.setattr(sys, "stdout", RaisingStream())
        for _ in range(calls):
            call()
        delivered(collector, calls)
    finally:
        monkeypatch.undo()
        honeyhive_litellm.shutdown(5)
        logging.getLogger("honeyhive_litellm").removeHandler(handler)


class Fills(CustomLogger):  # type: ignore[misc]
    """Fills the queue once a call has begun."""

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
        queue.MAX_BYTES = -1


def test_an_event_for_which_there_is_no_memory_is_counted_once_and_leaves_no_open_start(
    traced: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    call()
    until_committed(1)
    monkeypatch.setattr(queue, "MAX_BYTES", queue.MAX_BYTES)
    litellm.callbacks.append(Fills())
    call()
    honeyhive_litellm.flush(10)
    stats = honeyhive_litellm.stats()
    assert (stats.accepted, stats.delivered, stats.dropped) == (2, 1, {"memory": 1})
    pipeline = lifecycle._runtimes[-1].channels.main.pipeline
    assert pipeline is not None
    until(lambda: [segment for segment in pipeline.spool.segments() if segment.open_starts] == [])


# ---- the thread itself


def our_thread() -> threading.Thread:
    return next(thread for thread in threading.enumerate() if thread.name == "honeyhive-litellm")


def raise_in(thread: threading.Thread, kind: Type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(kind))


@pytest.fixture
def _quiet_asyncio() -> Iterator[None]:
    logger = logging.getLogger("asyncio")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


def test_an_exception_that_is_raised_in_the_thread_at_any_step_costs_no_event(
    collector: Collector, tmp_path: Path, _quiet_asyncio: None
) -> None:
    honeyhive_litellm.init(
        api_key="k", project="p", api_url=collector.url, spool_path=tmp_path, lookup_delay=0, request_timeout=2
    )
    draw = random.Random(8)
    call()
    calls = 1
    for kind in KINDS * 8:
        raise_in(our_thread(), kind)
        for _ in range(draw.randint(1, 3)):
            call()
            calls += 1
        threading.Event().wait(draw.random() * 0.02)  # so that it falls into another step
    assert honeyhive_litellm.flush(30) == 0  # at worst an answer was lost, and its request has to time out
    stats = honeyhive_litellm.stats()
    assert our_thread().is_alive()
    assert (stats.accepted, stats.delivered, stats.pending, stats.dropped) == (calls, calls, 0, {})
    assert len({event["event_id"] for event in collector.events}) == len(collector.events) == calls
    honeyhive_litellm.shutdown(5)


def test_if_the_loop_cannot_go_on_its_events_are_written_at_once_and_the_next_process_delivers_them(
    collector: Collector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def start() -> None:
        honeyhive_litellm.init(api_key="k", project="p", api_url=collector.url, spool_path=tmp_path)

    def cancel_everything(loop: asyncio.AbstractEventLoop) -> None:
        for task in asyncio.all_tasks(loop):
            task.cancel()

    collector.down()
    start()
    call()
    until_committed(1)
    runtime = lifecycle._runtimes[-1]
    assert runtime.channels.main.pipeline is not None
    runtime.channels.main.pipeline.call_soon(cancel_everything, runtime.channels.main.pipeline.loop)
    until(runtime._has_ended.is_set)
    call()
    assert honeyhive_litellm.flush(5) == 2
    assert honeyhive_litellm.stats().committed == 2
    assert honeyhive_litellm.shutdown(5) == 2
    assert "the background thread of this package ended by CancelledError" in caplog.text
    late = runtime.channels.main.late_writer
    assert late is not None and late._lease is not None and late._db is not None
    late._db.close()  # as the end of the process does
    late._lease.release(remove=False)
    collector.up()
    start()
    try:
        assert honeyhive_litellm.flush(30) == 0
        assert [event["metadata"]["status"] for event in collector.events] == ["success", "success"]
    finally:
        honeyhive_litellm.shutdown(5)
