"""Streams that are no chats', the Responses API's and Gemini's own: one event each, however they end."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import json
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm._mapping.outputs import outputs
from honeyhive_litellm._mapping.streams.answer import assembled
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import needs_litellm

pytestmark = [
    needs_litellm("1.110", "its streams of other forms break otherwise, or there are none"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

HAS_PROXY = all(importlib.util.find_spec(name) is not None for name in ("backoff", "redis", "apscheduler"))
Stream = Callable[..., Any]


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running
    litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()  # here, where unclosed sockets of LiteLLM's are forgiven


def gemini(is_async: bool, route: Dict[str, Any]) -> Any:
    contents = [{"role": "user", "parts": [{"text": "hello"}]}]
    ask = litellm.google_genai.agenerate_content_stream if is_async else litellm.google_genai.generate_content_stream
    return ask(model="gemini/gemini-2.5-flash", contents=contents, **route)


def responses(is_async: bool, route: Dict[str, Any]) -> Any:
    ask = litellm.aresponses if is_async else litellm.responses
    return ask(model="openai/gpt-4o", input="hello", stream=True, **route)


STREAMS = [
    pytest.param(gemini, marks=pytest.mark.skipif(not HAS_PROXY, reason="LiteLLM needs its extra `proxy` for it")),
    responses,
]
each_way = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
each_form = pytest.mark.parametrize("ask", STREAMS)


def read(stream: Any, count: int) -> None:
    for _, _ in zip(range(count), stream):
        pass


async def aread(stream: Any, count: int) -> None:
    for _ in range(count):
        try:
            await stream.__anext__()
        except StopAsyncIteration:
            return


def events_after(traced: Collector, models: ModelServer, ask: Stream, is_async: bool, count: int) -> List[Any]:
    """The events, once `count` chunks of the stream have been read and it has been let go."""
    route = {"api_base": models.url, "api_key": "sk-local", "max_retries": 0}

    async def later() -> None:
        await aread(await ask(True, route), count)
        gc.collect()
        await honeyhive_litellm.aflush(10)

    if is_async:
        asyncio.run(later())
    else:
        read(ask(False, route), count)
        gc.collect()
        honeyhive_litellm.flush(10)
    return list(traced.wait_for(1, timeout=30))


@each_way
@each_form
def test_one_read_to_its_end_succeeds(traced: Collector, models: ModelServer, ask: Stream, is_async: bool) -> None:
    (event,) = events_after(traced, models, ask, is_async, 999)
    assert event["metadata"]["status"] == "success"
    assert event["config"]["is_streaming"] is True
    assert event["outputs"]["content"] == "answer to: hello"
    assert event["outputs"]["finish_reason"] in ("stop", "completed")
    assert event["metadata"]["prompt_tokens"] == 2
    assert event["metadata"]["cost"] > 0
    assert "usage_estimated" not in event["metadata"]
    assert event["metadata"]["time_to_first_token_ms"] > 0


@each_way
@each_form
def test_one_that_is_dropped_is_abandoned_with_its_text_and_estimated_tokens(
    traced: Collector, models: ModelServer, ask: Stream, is_async: bool
) -> None:
    models.behave("gemini-2.5-flash", "stall-2")
    models.behave("gpt-4o", "stall-4")
    (event,) = events_after(traced, models, ask, is_async, 2)
    metadata = event["metadata"]
    assert metadata["status"] == "abandoned"
    assert "answer to: hello".startswith(event["outputs"]["content"])
    assert event["outputs"]["content"]
    assert "finish_reason" not in event["outputs"]
    assert metadata["usage_estimated"] is True
    assert metadata["total_tokens"] == metadata["prompt_tokens"] + metadata["completion_tokens"] > 8
    assert metadata["estimated_cost"] > 0
    assert "cost" not in metadata


@each_form
def test_one_whose_reader_is_cancelled_is_cancelled(traced: Collector, models: ModelServer, ask: Stream) -> None:
    models.behave("gemini-2.5-flash", "stall-2")
    models.behave("gpt-4o", "stall-4")
    route = {"api_base": models.url, "api_key": "sk-local"}

    async def wait_in_vain() -> None:
        stream = await ask(True, route)
        for _ in range(2):
            await stream.__anext__()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(aread(stream, 999), 0.5)
        del stream
        gc.collect()
        await honeyhive_litellm.aflush(10)

    asyncio.run(wait_in_vain())
    (event,) = traced.wait_for(1, timeout=30)
    assert event["metadata"]["status"] == "cancelled"
    assert "answer to: hello".startswith(event["outputs"]["content"])


@each_way
@each_form
def test_one_that_breaks_is_a_failure_with_its_text(
    traced: Collector, models: ModelServer, ask: Stream, is_async: bool
) -> None:
    models.behave("gemini-2.5-flash", "break-2")
    models.behave("gpt-4o", "break-5")
    # Class and text differ by form and by way.
    with pytest.raises(Exception, match=r"incomplete chunked read|not completed"):
        events_after(traced, models, ask, is_async, 999)
    gc.collect()
    honeyhive_litellm.flush(10)
    (event,) = traced.wait_for(1, timeout=30)
    assert event["metadata"]["status"] == "failure"
    assert event["error"]
    assert event["outputs"]["content"].startswith("answer")


@each_form
def test_a_strict_one_is_on_disk_when_its_reader_knows_its_end(
    collector: Collector, models: ModelServer, tmp_path: Path, ask: Stream
) -> None:
    collector.down()  # and a process that delivers gives no file another name
    honeyhive_litellm.init(api_key="hh_key", project="tests", api_url=collector.url, spool_path=tmp_path, strict=True)

    async def until_end() -> bytes:
        await aread(await ask(True, {"api_base": models.url, "api_key": "sk-local"}), 999)
        return b"".join(path.read_bytes() for path in tmp_path.glob("*.spool*"))

    try:
        assert b"answer to: hello" in asyncio.run(until_end())
    finally:
        honeyhive_litellm.shutdown(5)


def line(candidate: Dict[str, Any], **rest: Any) -> bytes:
    return b"data: " + json.dumps({"candidates": [candidate], **rest}).encode() + b"\n\n"


def test_thoughts_and_called_functions_are_put_together() -> None:
    thought = line({"content": {"parts": [{"text": "hm", "thought": True}]}})
    function = {"name": "weather", "args": {"city": "Bern"}}
    called = line({"content": {"parts": [{"functionCall": function}]}})
    count = {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 3, "totalTokenCount": 18}
    last = line({"finishReason": "STOP"}, usageMetadata=count, modelVersion="g", responseId="r")
    answer: Any = assembled([thought, called, last, b"data: [DONE]\n\n"])
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["reasoning_content"] == "hm"
    assert choice["message"]["content"] == ""
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city":"Bern"}'}
    assert (answer["id"], answer["model"]) == ("r", "g")
    assert answer["usage"]["completion_tokens"] == 8
    assert answer["usage"]["completion_tokens_details"] == {"reasoning_tokens": 3}


def test_the_last_event_of_the_responses_api_is_the_answer_and_without_it_the_deltas_are() -> None:
    events: List[Dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "r", "model": "m", "status": "in_progress", "output": []}},
        {"type": "response.reasoning_summary_text.delta", "delta": "hm"},
        {"type": "response.output_text.delta", "delta": "h"},
        {"type": "response.output_item.done", "item": {"type": "function_call", "name": "f", "arguments": "{}"}},
        {"type": "response.output_text.delta", "delta": "i"},
    ]
    partial: Any = assembled(events)
    found: Any = outputs(partial, True)
    assert (found["content"], found["reasoning_content"]) == ("hi", "hm")
    assert found["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert partial["id"] == "r"
    assert "finish_reason" not in found
    whole = {"id": "r", "status": "completed", "output": []}
    assert outputs(assembled([*events, {"type": "response.completed", "response": whole}]), True) == {
        **found,
        "finish_reason": "completed",
    }


@pytest.mark.parametrize("odd", [[], [b"\xff\xfe"], [b"data: [1]"], ["data: {"], [None, 7]])
def test_what_is_no_event_says_nothing(odd: List[Any]) -> None:
    answer: Any = assembled(odd)
    assert answer is None
