"""What becomes of calls when the application replaces one of LiteLLM's lists of callbacks after `init`."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Iterator, List

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm import _log
from honeyhive_litellm._instrumentation.callback_lists import CALLBACK_LISTS
from honeyhive_litellm.testing import Collector

MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture(autouse=True)
def _lists_are_as_before() -> Iterator[None]:
    lists = {name: getattr(litellm, name) for name in CALLBACK_LISTS}
    yield
    for name, callbacks in lists.items():
        setattr(litellm, name, callbacks)


def make_calls() -> None:
    async def call() -> None:
        await litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response="answer")

    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="answer")
    asyncio.run(call())


def warnings_in(caplog: pytest.LogCaptureFixture) -> List[str]:
    return [record.message for record in caplog.records if getattr(record, "event_code", "").startswith("capture.")]


@pytest.mark.parametrize("has_called", [False, True], ids=["before the first call", "after it"])
@pytest.mark.parametrize("name", CALLBACK_LISTS)
def test_a_list_that_was_replaced_costs_no_call_or_is_warned_of(
    traced: Collector, caplog: pytest.LogCaptureFixture, name: str, has_called: bool
) -> None:
    caplog.set_level(logging.WARNING, "honeyhive_litellm")
    if has_called:
        make_calls()
    setattr(litellm, name, [])
    make_calls()
    make_calls()
    assert honeyhive_litellm.flush(10) == 0
    warned = warnings_in(caplog)
    if name == "callbacks":
        assert len(warned) == 1
        assert "litellm.callbacks no longer has the logger of init()" in warned[0]
    else:
        assert warned == []
        assert [event["metadata"]["status"] for event in traced.events] == ["success"] * (6 if has_called else 4)


def test_after_another_init_calls_are_recorded_and_a_further_replacement_is_warned_of(
    traced: Collector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "honeyhive_litellm")
    litellm.callbacks = []
    make_calls()
    honeyhive_litellm.init(api_key="hh_key", project="tests", api_url=traced.url, spool_path=tmp_path)
    make_calls()
    assert honeyhive_litellm.flush(10) == 0
    assert len(warnings_in(caplog)) == 1
    assert len(traced.events) == 2
    _log.reset()  # as a minute later
    litellm.callbacks = []
    make_calls()
    assert len(warnings_in(caplog)) == 2


def test_a_full_list_of_litellms_is_warned_of(
    traced: Collector, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(list):  # type: ignore[type-arg]
        def append(self, item: object) -> None:
            pass

    caplog.set_level(logging.WARNING, "honeyhive_litellm")
    monkeypatch.setattr(litellm, "input_callback", Full())
    make_calls()
    assert len(warnings_in(caplog)) == 1


def test_what_the_application_may_do_with_its_lists_is_not_warned_of(
    traced: Collector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "honeyhive_litellm")
    options = {"api_key": "hh_key", "project": "tests", "api_url": traced.url, "spool_path": tmp_path}
    litellm.callbacks = [lambda *_: None, *reversed(litellm.callbacks)]  # moved to another place
    make_calls()
    litellm.callbacks = [honeyhive_litellm.HoneyHiveLogger(**options)]  # an equal one
    make_calls()
    assert honeyhive_litellm.flush(10) == 0
    assert [event["metadata"]["status"] for event in traced.events] == ["success"] * 4
    honeyhive_litellm.init(**{**options, "project": "others", "spool_path": tmp_path / "others"})
    make_calls()
    honeyhive_litellm.shutdown(5)
    make_calls()
    assert warnings_in(caplog) == []
