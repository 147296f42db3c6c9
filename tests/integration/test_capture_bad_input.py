"""Whatever a caller hands over: no exception in the call, and an event for each."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import logging
import threading
from typing import Any, Dict, List

import litellm
import pytest
from pydantic import BaseModel

import honeyhive_litellm
from honeyhive_litellm.testing import Collector

from ..versions import SERVER_ERROR
from ..waiting import until_committed

MESSAGES = [{"role": "user", "content": "hello"}]


class Model(BaseModel):
    name: str = "pydantic"


@dataclasses.dataclass
class Data:
    name: str = "dataclass"


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


def cycle() -> List[Any]:
    loop: List[Any] = []
    loop.append(loop)
    return loop


async def never_awaited() -> None: ...


def values() -> Dict[str, Any]:
    return {
        "lock": threading.Lock(),
        "nan": float("nan"),
        "cycle": cycle(),
        "bytes": b"\x00\xff",
        "pydantic": Model(),
        "dataclass": Data(),
        "datetime": datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
        "surrogate": "\ud800 half a pair",
        "huge number": 2**80,
        "unspeakable": Unspeakable(),
        "set": {1, 2},
        "exception": ValueError("inside"),
    }


@pytest.mark.parametrize("name", list(values()))
def test_a_value_that_json_does_not_know_costs_at_most_itself(traced: Collector, name: str) -> None:
    metadata = {"odd": values()[name], "beside": "kept"}
    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="hi", metadata=metadata)
    until_committed(1)
    assert honeyhive_litellm.flush(5) == 0
    (event,) = traced.events
    assert event["metadata"]["beside"] == "kept"
    assert event["outputs"]["content"] == "hi"
    assert "odd" in event["metadata"]


def test_a_coroutine_among_the_metadata_is_neither_awaited_nor_lost_with_the_event(traced: Collector) -> None:
    coroutine = never_awaited()
    try:
        litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="hi", metadata={"odd": coroutine})
        assert honeyhive_litellm.flush(5) == 0
    finally:
        coroutine.close()
    (event,) = traced.events
    assert "odd" in event["metadata"]


def test_a_lone_surrogate_in_a_message_is_replaced(traced: Collector) -> None:
    messages = [{"role": "user", "content": "before \ud83d after"}]
    litellm.completion(model="gpt-4o", messages=messages, mock_response="hi")
    assert honeyhive_litellm.flush(5) == 0
    (event,) = traced.events
    content = event["inputs"]["chat_history"][0]["content"]
    assert content.startswith("before ") and content.endswith(" after")


async def test_a_message_of_20_megabytes_is_cut_and_says_so(traced: Collector) -> None:
    messages = [{"role": "user", "content": "word " * 4_000_000}]
    await litellm.acompletion(model="gpt-4o", messages=messages, mock_response="hi")
    assert await honeyhive_litellm.aflush(20) == 0
    (event,) = traced.events
    content = event["inputs"]["chat_history"][0]["content"]
    assert len(content) <= 262144
    assert "20000000 bytes" in content


def test_many_long_messages_still_make_an_event_that_the_server_takes(traced: Collector) -> None:
    messages = [{"role": "user", "content": f"{i} " + "word " * 40_000} for i in range(40)]
    litellm.completion(model="gpt-4o", messages=messages, mock_response="hi")
    (event,) = traced.wait_for(1, timeout=20)  # LiteLLM itself takes a second for these in its logging thread
    assert event["outputs"]["content"] == "hi"
    assert honeyhive_litellm.stats().dead == 0


class OfUnknownClass:
    pass


@pytest.mark.parametrize("response", [None, OfUnknownClass(), litellm.ModelResponse(choices=[]), "text", {"a": 1}, 7])
def test_a_response_that_is_none_of_litellms_is_an_event_all_the_same(traced: Collector, response: object) -> None:
    (logger,) = [c for c in litellm.callbacks if isinstance(c, honeyhive_litellm.HoneyHiveLogger)]
    now = datetime.datetime.now()  # noqa: DTZ005 as LiteLLM does
    kwargs = {"litellm_call_id": "odd", "call_type": "completion", "start_time": now, "messages": MESSAGES}
    logger.log_pre_api_call("gpt-4o", MESSAGES, kwargs)
    logger.log_success_event(kwargs, response, now, now)
    assert honeyhive_litellm.flush(5) == 0
    (event,) = traced.events
    assert event["metadata"]["status"] == "success"
    assert event["inputs"]["chat_history"] == MESSAGES


@pytest.mark.parametrize("kwargs", [{}, {"litellm_params": 5}, {"metadata": "x", "litellm_params": {"metadata": "x"}}])
def test_details_that_lack_everything_are_an_event_all_the_same(traced: Collector, kwargs: Dict[str, Any]) -> None:
    (logger,) = [c for c in litellm.callbacks if isinstance(c, honeyhive_litellm.HoneyHiveLogger)]
    logger.log_success_event(kwargs, None, None, None)
    assert honeyhive_litellm.flush(5) == 0
    assert len(traced.events) == 1


def test_what_goes_wrong_inside_is_logged_once_without_content_and_not_raised(
    traced: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    (logger,) = [c for c in litellm.callbacks if isinstance(c, honeyhive_litellm.HoneyHiveLogger)]
    for _ in range(3):
        logger.log_success_event("secret prompt", None, None, None)  # not even a dictionary
        asyncio.run(logger.async_log_failure_event("secret prompt", None, None, None))
    lines = [r.getMessage() for r in caplog.records if r.name == "honeyhive_litellm" and r.levelno >= logging.WARNING]
    assert len(lines) == 1
    assert "secret" not in lines[0]


def test_debug_prints_where_each_event_stands(
    collector: Collector, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    honeyhive_litellm.init(api_key="hh_key", project="tests", api_url=collector.url, spool_path=tmp_path, debug=True)
    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="hi")
    assert honeyhive_litellm.shutdown(5) == 0
    (event,) = collector.events
    printed = capsys.readouterr().out
    assert f"HoneyHive Trace Logged: event {event['event_id']} is in the spool" in printed
    assert f"HoneyHive Trace Logged: event {event['event_id']} is delivered" in printed


def test_without_content_no_text_is_on_disk_or_on_the_wire(collector: Collector, tmp_path: Any) -> None:
    word = "xyzzy"
    honeyhive_litellm.init(
        api_key="hh_key",
        project="tests",
        api_url=collector.url,
        spool_path=tmp_path,
        capture_message_content=False,
    )
    tools = [{"type": "function", "function": {"name": "f", "description": word, "parameters": {"type": "object"}}}]
    messages = [{"role": "system", "content": word}, {"role": "user", "content": [{"type": "text", "text": word}]}]
    collector.down()
    litellm.completion(model="gpt-4o", messages=messages, mock_response=word, tools=tools, stop=word)
    for _ in litellm.completion(model="gpt-4o", messages=messages, mock_response=word, stream=True):
        pass
    litellm.embedding(model="text-embedding-3-small", input=[word], mock_response=[0.1])
    with pytest.raises(getattr(litellm, SERVER_ERROR)):
        litellm.completion(model="gpt-4o", messages=messages, mock_response=Exception(word))
    until_committed(4)
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("*.spool*"))
    assert b"gpt-4o" in stored
    assert word.encode() not in stored
    collector.up()
    assert honeyhive_litellm.shutdown(10) == 0
    assert len(collector.events) == 4
    assert word not in str(collector.events)
    errors = [event["error"] for event in collector.events if "error" in event]
    assert errors == [SERVER_ERROR]
