"""LiteLLM's habits that would make events wrong: each is made to happen here, by LiteLLM's own code."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import litellm
import pytest
from litellm.integrations.custom_logger import CustomLogger

import honeyhive_litellm
from honeyhive_litellm import HoneyHiveLogger
from honeyhive_litellm.testing import Collector, ModelServer

MESSAGES = [{"role": "user", "content": "hello"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
Json = Dict[str, Any]


def ask(**options: Any) -> None:
    litellm.completion(**{"model": "gpt-4o", "messages": MESSAGES, "mock_response": "hi", **options})


def events_of(collector: Collector) -> List[Json]:
    assert honeyhive_litellm.flush(20) == 0
    assert set(collector.receipts.values()) == {1}
    return sorted(collector.events, key=lambda event: event["start_time"])


class Vandal(CustomLogger):  # type: ignore[misc]
    """Another callback, that takes things out of the dictionaries that all callbacks share."""

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._spoil(kwargs)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._spoil(kwargs)

    def _spoil(self, kwargs: Any) -> None:
        kwargs.get("optional_params", {}).pop("tools", None)
        kwargs["messages"] = [{"role": "user", "content": "something else"}]


@pytest.mark.parametrize("is_async", [False, True])
def test_what_another_callback_does_to_the_shared_details_does_not_change_the_event(
    traced: Collector, is_async: bool
) -> None:
    vandal = Vandal()
    litellm.callbacks.insert(0, vandal)
    options: Dict[str, Any] = {"model": "gpt-4o", "messages": MESSAGES, "tools": TOOLS, "mock_response": "hi"}
    try:
        if is_async:
            asyncio.run(litellm.acompletion(**options))
        else:
            litellm.completion(**options)
        (event,) = events_of(traced)
    finally:
        for callbacks in lists():  # LiteLLM copies it from one to others
            callbacks[:] = [callback for callback in callbacks if callback is not vandal]
    assert event["inputs"]["chat_history"] == MESSAGES
    assert event["inputs"]["functions"] == TOOLS


def others(count: int, is_async: bool) -> List[Callable[..., Any]]:
    """Callbacks that are no two the same, and do nothing."""

    def one() -> Callable[..., Any]:
        async def later(*args: Any) -> None: ...

        def now(*args: Any) -> None: ...

        return later if is_async else now

    return [one() for _ in range(count)]


def test_where_litellm_takes_no_more_callbacks_every_call_has_its_event_all_the_same(traced: Collector) -> None:
    """A Router registers itself in each list, and one that holds 30 (newer LiteLLMs: 100) takes nobody else."""
    for name in ("success_callback", "failure_callback"):
        getattr(litellm, name).extend(others(100, is_async=False))
        getattr(litellm, f"_async_{name}").extend(others(100, is_async=True))
    failure: Dict[str, Any] = {"model": "gpt-4o", "messages": MESSAGES, "mock_response": RuntimeError("broken")}
    ask()
    with pytest.raises(Exception, match="broken"):
        litellm.completion(**failure)

    async def later() -> None:
        await litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response="hi")
        with pytest.raises(Exception, match="broken"):
            await litellm.acompletion(**failure)

    asyncio.run(later())
    statuses = [event["metadata"]["status"] for event in events_of(traced)]
    assert statuses == ["success", "failure", "success", "failure"]


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not hasattr(time, "tzset"):
        pytest.skip("this system sets no time zone for one process")
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_east")
@pytest.mark.parametrize("stream", [False, True])
def test_times_are_right_whatever_the_time_zone(traced: Collector, stream: bool) -> None:
    assert time.timezone == -20700
    before = time.time() * 1000
    response = litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="hi", stream=stream)
    if stream:
        list(response)
    after = time.time() * 1000
    (event,) = events_of(traced)
    assert before - 50 <= event["start_time"] <= event["end_time"] <= after + 500
    utc = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(event["start_time"] / 1000))
    assert event["metadata"]["timestamp"].startswith(utc)


def test_loggers_with_settings_of_their_own_are_not_taken_for_one_and_show_no_key(tmp_path: Path) -> None:
    """LiteLLM takes two loggers for one if their public attributes match, and writes these into its debug log."""
    key = "hh_canary_5Zr5Zr5Zr5Zr5Zr5Zr"
    with Collector() as one, Collector() as two:
        loggers = [
            HoneyHiveLogger(project=name, api_key=key, api_url=collector.url, spool_path=tmp_path / name)
            for name, collector in (("one", one), ("two", two))
        ]
        litellm.callbacks.extend(loggers)
        try:
            ask()
            assert honeyhive_litellm.flush(20) == 0
        finally:
            honeyhive_litellm.shutdown(5)
            for callbacks in lists():
                callbacks[:] = [callback for callback in callbacks if callback not in loggers]
        assert [event["metadata"]["project"] for event in one.events + two.events] == ["one", "two"]
    assert all(key not in str(value) for logger in loggers for value in [vars(logger), repr(logger)])


def test_two_projects_on_one_server_each_have_an_event_of_a_call_with_an_id_of_its_own(
    collector: Collector, tmp_path: Path
) -> None:
    loggers = [
        HoneyHiveLogger(project=name, api_key="hh_key", api_url=collector.url, spool_path=tmp_path / name)
        for name in ("one", "two")
    ]
    litellm.callbacks.extend(loggers)
    try:
        ask()
        with pytest.raises(litellm.RateLimitError):
            ask(mock_response="litellm.RateLimitError")
        assert honeyhive_litellm.flush(20) == 0
    finally:
        honeyhive_litellm.shutdown(5)
        for callbacks in lists():
            callbacks[:] = [callback for callback in callbacks if callback not in loggers]
    ids = {(event["metadata"]["project"], event["metadata"]["status"]): event["event_id"] for event in collector.events}
    assert len(collector.events) == len(ids) == 4
    for status in ("success", "failure"):
        assert ids["two", status] == str(uuid.uuid5(uuid.UUID(ids["one", status]), "two"))


def lists() -> List[List[Any]]:
    """LiteLLM's lists of callbacks."""
    names = [name for name in dir(litellm) if name.endswith("callback") or name == "callbacks"]
    return [getattr(litellm, name) for name in names if isinstance(getattr(litellm, name), list)]


def test_a_logger_that_one_call_brings_along_records_each_call_once(traced: Collector) -> None:
    """LiteLLM keeps what `callbacks=` of one call names, for ever."""
    (ours,) = (callback for callback in litellm.callbacks if isinstance(callback, HoneyHiveLogger))
    ask(callbacks=[ours])
    ask()
    assert len(events_of(traced)) == 2


def test_after_shutdown_no_list_of_litellms_names_us(collector: Collector, tmp_path: Path) -> None:
    honeyhive_litellm.init(api_key="hh_key", project="tests", api_url=collector.url, spool_path=tmp_path)
    ask()
    asyncio.run(litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response="hi"))
    assert honeyhive_litellm.shutdown(10) == 0
    assert len(lists()) >= 4
    assert not any(isinstance(callback, HoneyHiveLogger) for callbacks in lists() for callback in callbacks)
    ask()
    assert len(collector.events) == 2


@pytest.mark.parametrize("is_async", [False, True])
def test_a_call_that_is_no_stream_has_no_time_to_a_first_token(traced: Collector, is_async: bool) -> None:
    if is_async:
        asyncio.run(litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response="hi"))
    else:
        ask()
    (event,) = events_of(traced)
    assert "time_to_first_token_ms" not in event["metadata"]


def test_a_provider_that_repeats_its_ids_does_not_make_two_calls_one(traced: Collector) -> None:
    with ModelServer() as models:
        for _ in range(2):
            litellm.completion(
                model="openai/gpt-4o", messages=MESSAGES, api_base=models.url, api_key="sk-x", max_retries=0, seed=1
            )
    first, second = events_of(traced)
    assert first["event_id"] != second["event_id"]


def test_a_price_that_is_unknown_is_not_zero(traced: Collector) -> None:
    ask(model="openai/no-such-model-in-the-list")
    (event,) = events_of(traced)
    assert "cost" not in event["metadata"]
    assert event["metadata"]["total_tokens"] > 0


def test_no_log_is_obeyed_by_its_only_name(traced: Collector) -> None:
    """LiteLLM ignores `no_log=True`, so the call is logged there, and here."""
    ask(**{"no-log": True})
    ask(metadata={"kept": True}, user=os.environ.get("USER", "u"))
    (event,) = events_of(traced)
    assert event["metadata"]["kept"] is True
