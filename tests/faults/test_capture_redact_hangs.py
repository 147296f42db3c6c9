"""A `redact` function that does not return holds up nothing for long, and no content passes it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Dict

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm._capture import bounded_calls
from honeyhive_litellm._spool import queue
from honeyhive_litellm.testing import Collector

from ..waiting import until
from .programs import HEAD, run

MESSAGES = [{"role": "user", "content": "a secret"}]


def call() -> None:
    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="another secret")


def test_calls_go_on_without_content_and_the_function_is_tried_again_later(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bounded_calls, "LIMIT_S", 0.3)
    monkeypatch.setattr(bounded_calls, "SUSPENDED_S", 2.0)
    monkeypatch.setattr(queue, "MAX_UNENCODED", 10)  # from then on the callers' threads encode
    may_return = threading.Event()
    begun = []

    def redact(content: Dict[str, Any]) -> Dict[str, Any]:
        begun.append(content)
        may_return.wait(60)
        return content

    honeyhive_litellm.init(api_key="k", project="p", api_url=collector.url, spool_path=tmp_path, redact=redact)
    try:
        longest = 0.0
        for _ in range(60):
            before = time.monotonic()
            call()
            longest = max(longest, time.monotonic() - before)
        assert longest < 2
        assert honeyhive_litellm.flush(30) == 0
        assert honeyhive_litellm.stats().delivered == honeyhive_litellm.stats().withheld == 60
        assert len(begun) <= 3
        assert all(event["metadata"]["redaction_failed"] for event in collector.events)
        assert "secret" not in str(collector.events)
        assert "has not returned within 0.3 s" in caplog.text
        may_return.set()

        def is_called_again() -> bool:
            call()
            honeyhive_litellm.flush(10)
            return honeyhive_litellm.stats().withheld < len(collector.events)

        until(is_called_again)
        assert collector.events[-1]["inputs"]["chat_history"] == MESSAGES
    finally:
        may_return.set()
        honeyhive_litellm.shutdown(5)


def test_so_many_calls_that_never_return_are_not_followed_by_another() -> None:
    calls = bounded_calls.BoundedCalls()
    calls.hurry()
    hang, called = threading.Event(), []

    def never(argument: object) -> object:
        called.append(argument)
        return hang.wait(60)

    try:
        for number in range(bounded_calls.MAX_OVERDUE + 3):
            calls._suspended_until = 0.0  # a minute later
            calls._limit_s = 0.01
            with pytest.raises(Exception, match="TimeoutError"):
                calls.call(never, number)
        assert called == list(range(bounded_calls.MAX_OVERDUE))
    finally:
        hang.set()
    until(lambda: not any(worker.is_alive for worker in calls._overdue))
    calls._suspended_until = 0.0
    calls._limit_s = 5.0
    assert calls.call(str, 7) == "7"


def test_no_thread_of_a_user_function_outlasts_its_runtime(collector: Collector, tmp_path: Path) -> None:
    def waiting() -> int:
        return sum(thread.name == "honeyhive-redact" for thread in threading.enumerate())

    before = waiting()
    calls = bounded_calls.BoundedCalls()
    assert [calls.call(str, number) for number in range(3)] == ["0", "1", "2"]
    assert waiting() == before + 1
    calls.close()
    until(lambda: waiting() == before)
    assert calls.call(str, 7) == "7"  # of a call that ends after the shutdown
    until(lambda: waiting() == before)
    for project in ("a", "b"):
        honeyhive_litellm.init(
            api_key="k", project=project, api_url=collector.url, spool_path=tmp_path / project, redact=lambda text: text
        )
        call()
    assert honeyhive_litellm.flush(20) == 0
    until(lambda: waiting() <= before + 1)  # those of the replaced runtime are gone
    honeyhive_litellm.shutdown(5)
    until(lambda: waiting() == before)


def test_the_exit_is_in_time_and_every_event_is_delivered(collector: Collector, tmp_path: Path) -> None:
    never = "honeyhive_litellm.init(redact=lambda content: threading.Event().wait())"
    program = """
import atexit, time
ENDED = []
atexit.register(lambda: print(time.monotonic() - ENDED[0]))  # after ours, which is registered later
"""
    calls = """
for _ in range(2):
    asyncio.run(call("hi"))
ENDED.append(time.monotonic())
"""
    head = program + HEAD.replace("honeyhive_litellm.init()", never)
    seconds = float(run(calls, collector.url, tmp_path, head=head))
    assert seconds < 5.5  # shutdown_timeout and what is allowed beyond it
    assert [event["metadata"]["redaction_failed"] for event in collector.events] == [True] * 2
    assert {event["metadata"]["status"] for event in collector.events} == {"success"}
