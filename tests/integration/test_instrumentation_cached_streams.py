"""Streams that LiteLLM's cache answers: one event each, read to the end or dropped, marked as hits."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
from typing import Any, Dict, Iterator, List

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import needs_litellm

pytestmark = [
    needs_litellm("1.110", "it reports what its cache streams in another way"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture
def models() -> Iterator[ModelServer]:
    litellm.cache = litellm.Cache()
    try:
        with ModelServer() as running:
            yield running
    finally:
        litellm.cache = None
        litellm.in_memory_llm_clients_cache.flush_cache()
        gc.collect()


def arguments_of(kind: str, url: str) -> Dict[str, Any]:
    content: Dict[str, Any] = {"input": "hello"} if kind == "responses" else {"messages": MESSAGES}
    return {
        "model": "openai/gpt-4o",
        "stream": True,
        "caching": True,
        "api_base": url,
        "api_key": "sk-local",
        **content,
    }


def events_of(collector: Collector, models: ModelServer, kind: str, is_async: bool, count: int) -> List[Any]:
    """The events, after one stream that was read and so cached, and one of which `count` chunks were read."""
    function = getattr(litellm, f"a{kind}" if is_async else kind)

    async def later() -> None:
        for number in (999, count):
            stream = await function(**arguments_of(kind, models.url))
            for _ in range(number):
                try:
                    await stream.__anext__()
                except StopAsyncIteration:
                    break
            del stream
            gc.collect()
            await honeyhive_litellm.aflush(10)

    if is_async:
        asyncio.run(later())
    else:
        for number in (999, count):
            stream = function(**arguments_of(kind, models.url))
            for _ in zip(range(number), stream):
                pass
            del stream
            gc.collect()
            honeyhive_litellm.flush(10)
    events = collector.wait_for(2, timeout=30)
    assert len(models.requests) == 1
    assert set(collector.receipts.values()) == {1}
    return sorted(events, key=lambda event: event["start_time"])


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("kind", ["completion", "responses"])
def test_one_that_is_dropped_is_abandoned_and_a_hit(
    traced: Collector, models: ModelServer, kind: str, is_async: bool
) -> None:
    first, second = events_of(traced, models, kind, is_async, 1)
    assert first["metadata"]["cache_hit"] is False
    assert second["metadata"]["status"] == "abandoned"
    assert second["event_name"] == kind
    assert second["metadata"].get("cost", 0) == 0
    assert second["metadata"]["cache_hit"] is True
    if kind == "completion":  # a stream of responses says nothing at first
        assert "answer to: hello".startswith(second["outputs"]["content"])
        assert second["metadata"]["usage_estimated"] is True


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("kind", ["completion", "responses"])
def test_one_that_is_read_is_a_success_and_a_hit(
    traced: Collector, models: ModelServer, kind: str, is_async: bool
) -> None:
    _, second = events_of(traced, models, kind, is_async, 999)
    assert second["metadata"]["status"] == "success"
    assert second["metadata"]["cache_hit"] is True
    assert second["metadata"]["saved_cost"] > 0
    assert second["outputs"]["content"] == "answer to: hello"


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("backoff", "redis", "apscheduler")),
    reason="streams of messages need parts of LiteLLM's Proxy",
)
def test_streams_of_messages_end_as_their_reader_saw_them(traced: Collector, models: ModelServer) -> None:
    arguments = {**arguments_of("completion", models.url), "model": "anthropic/claude-sonnet-4-5", "max_tokens": 9}
    arguments["api_base"] = models.url[: -len("/v1")] if models.url.endswith("/v1") else models.url

    async def read_and_drop() -> None:
        for count in (999, 999, 4):
            stream = await litellm.anthropic.messages.acreate(**arguments)
            for _ in range(count):
                try:
                    await stream.__anext__()
                except StopAsyncIteration:
                    break
            del stream
            gc.collect()
            await honeyhive_litellm.aflush(10)

    asyncio.run(read_and_drop())
    assert honeyhive_litellm.flush(10) == 0
    events = sorted(traced.events, key=lambda event: event["start_time"])
    assert len(models.requests) == 1
    assert [event["metadata"]["status"] for event in events] == ["success", "success", "abandoned"]
    assert [event["metadata"]["cache_hit"] for event in events] == [False, True, True]
    assert events[0]["outputs"] == events[1]["outputs"]
    assert events[0]["outputs"]["content"].startswith(events[2]["outputs"]["content"])
    assert "finish_reason" not in events[2]["outputs"]
