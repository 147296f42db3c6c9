"""Outcomes that LiteLLM's callbacks report in part only, with every LiteLLM from the oldest supported one.

The golden events hold the same calls exactly, with the newest one.
"""

from __future__ import annotations

import asyncio
from typing import Any, Dict, Iterator

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import needs_litellm

MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture
def route() -> Iterator[Dict[str, Any]]:
    with ModelServer() as models:
        yield {"api_base": models.url, "api_key": "sk-local", "max_retries": 0}


def only_event(collector: Collector) -> Dict[str, Any]:
    assert honeyhive_litellm.flush(10) == 0
    (event,) = collector.events
    assert set(collector.receipts.values()) == {1}
    return event


@pytest.mark.parametrize("is_async", [False, True])
def test_a_failure_has_its_class_message_status_and_input(
    traced: Collector, route: Dict[str, Any], is_async: bool
) -> None:
    with pytest.raises(litellm.RateLimitError):
        if is_async:
            asyncio.run(litellm.acompletion(model="openai/fail-429", messages=MESSAGES, **route))
        else:
            litellm.completion(model="openai/fail-429", messages=MESSAGES, **route)
    event = only_event(traced)
    assert event["error"].startswith("RateLimitError: ")
    assert event["metadata"]["status_code"] == 429
    assert event["metadata"]["error_class"] == "RateLimitError"
    assert event["inputs"]["chat_history"] == MESSAGES
    assert event["config"]["model"] == "fail-429"


def test_a_broken_stream_has_the_text_that_had_arrived(traced: Collector, route: Dict[str, Any]) -> None:
    received = ""
    # Text and class differ between LiteLLM's releases.
    with pytest.raises(Exception, match=r"incomplete chunked read|Connection error"):
        for chunk in litellm.completion(model="openai/break-3", messages=MESSAGES, stream=True, **route):
            received += chunk.choices[0].delta.content or ""
    event = only_event(traced)
    assert event["outputs"]["content"] == received != ""


@needs_litellm("1.80", "it has no hook before a call returns")
@pytest.mark.parametrize("is_async", [False, True])
def test_an_answer_that_its_caller_changes_is_recorded_as_the_caller_got_it(
    traced: Collector, route: Dict[str, Any], is_async: bool
) -> None:
    arguments = dict(model="openai/gpt-4o", messages=MESSAGES, **route)

    async def ask() -> None:
        answer = await litellm.acompletion(**arguments)
        answer.choices[0].message.content = "changed"
        await honeyhive_litellm.aflush(10)

    if is_async:
        asyncio.run(ask())
    else:
        litellm.completion(**arguments).choices[0].message.content = "changed"
    assert only_event(traced)["outputs"]["content"] == "answer to: hello"


@pytest.mark.parametrize("is_async", [False, True])
def test_chunks_that_their_reader_changes_are_recorded_as_the_reader_got_them(
    traced: Collector, route: Dict[str, Any], is_async: bool
) -> None:
    arguments = dict(model="openai/gpt-4o", messages=MESSAGES, stream=True, **route)

    async def read() -> None:
        async for chunk in await litellm.acompletion(**arguments):
            chunk.choices[0].delta.content = "changed"
        await honeyhive_litellm.aflush(10)

    if is_async:
        asyncio.run(read())
    else:
        for chunk in litellm.completion(**arguments):
            chunk.choices[0].delta.content = "changed"
    assert only_event(traced)["outputs"]["content"] == "answer to: hello"


@pytest.mark.parametrize("is_async", [False, True])
def test_token_counts_that_a_streams_provider_did_not_send_are_marked_as_an_estimate(
    traced: Collector, route: Dict[str, Any], is_async: bool
) -> None:
    """LiteLLM counts them itself or writes 0, and marks neither."""
    arguments = dict(model="openai/gpt-4o", messages=MESSAGES, stream=True, **route)
    if is_async:

        async def read() -> None:
            async for _ in await litellm.acompletion(**arguments):
                pass

        asyncio.run(read())
    else:
        for _ in litellm.completion(**arguments):
            pass
    metadata = only_event(traced)["metadata"]
    assert "cost" not in metadata
    if "total_tokens" in metadata:
        assert metadata["total_tokens"] > 0
        assert metadata["usage_estimated"] is True
