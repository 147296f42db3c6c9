"""Each kind of call, through LiteLLM's own HTTP path, becomes one event that says what was asked and answered."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Dict, Iterator, List

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import has_litellm, needs_litellm

MESSAGES = [{"role": "user", "content": "hello"}]
KEY = "sk-canary-Zq7Zq7Zq7Zq7Zq7Zq7Zq7Zq7"
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture
def route(models: ModelServer) -> Dict[str, Any]:
    return {"api_base": models.url, "api_key": KEY, "max_retries": 0}


def only_event(collector: Collector) -> Dict[str, Any]:
    assert honeyhive_litellm.flush(10) == 0
    (event,) = collector.events
    assert set(collector.receipts.values()) == {1}
    metadata = event["metadata"]
    assert metadata["project"] == "tests"
    assert event["source"] == "production"
    assert event["duration"] == pytest.approx(event["end_time"] - event["start_time"], abs=0.01)
    assert metadata["status"] == ("failure" if "error" in event else "success")
    return event


def test_a_chat(traced: Collector, route: Dict[str, Any]) -> None:
    litellm.completion(model="openai/gpt-4o", messages=MESSAGES, temperature=0.5, max_tokens=99, **route)
    event = only_event(traced)
    assert event["event_name"] == "completion"
    assert event["config"]["provider"] == "openai"
    assert event["config"]["model"] == "gpt-4o"
    assert (event["config"]["temperature"], event["config"]["max_tokens"]) == (0.5, 99)
    assert event["inputs"]["chat_history"] == MESSAGES
    assert event["outputs"]["content"] == "answer to: hello"
    assert event["outputs"]["finish_reason"] == "stop"
    assert (
        event["metadata"]["total_tokens"] == event["metadata"]["prompt_tokens"] + event["metadata"]["completion_tokens"]
    )
    assert event["metadata"]["cost"] > 0


def test_a_stream_has_its_assembled_answer_and_its_time_to_the_first_token(
    traced: Collector, route: Dict[str, Any]
) -> None:
    for _ in litellm.completion(model="openai/gpt-4o", messages=MESSAGES, stream=True, **route):
        pass
    event = only_event(traced)
    if has_litellm("1.80"):  # an older one may lose a piece of a sync stream's text, between threads of its own
        assert event["outputs"]["content"] == "answer to: hello"
    assert event["outputs"]["content"].startswith("answer")
    assert event["config"]["is_streaming"] is True
    assert 0 < event["metadata"]["time_to_first_token_ms"] <= event["duration"]


def test_tools_and_the_calls_made_of_them(traced: Collector, route: Dict[str, Any]) -> None:
    litellm.completion(model="openai/gpt-4o", messages=MESSAGES, tools=TOOLS, tool_choice="auto", **route)
    event = only_event(traced)
    assert event["inputs"]["functions"] == TOOLS
    assert event["config"]["tool_choice"] == "auto"
    (call,) = event["outputs"]["tool_calls"]
    assert call["function"]["name"] == "weather"
    assert isinstance(json.loads(call["function"]["arguments"]), dict)
    assert event["outputs"]["finish_reason"] == "tool_calls"


def test_several_choices(traced: Collector, route: Dict[str, Any]) -> None:
    litellm.completion(model="openai/gpt-4o", messages=MESSAGES, n=3, **route)
    event = only_event(traced)
    assert len([event["outputs"], *event["outputs"]["choices"]]) == 3


@needs_litellm("1.80", "it drops what a model of OpenAI's reasons")
def test_reasoning_and_cached_tokens(traced: Collector, route: Dict[str, Any]) -> None:
    litellm.completion(model="openai/reason-cached", messages=MESSAGES, **route)
    event = only_event(traced)
    assert event["outputs"]["reasoning_content"]
    assert event["metadata"]["cache_read_tokens"] > 0


@pytest.mark.parametrize("is_async", [False, True])
def test_an_embedding_without_its_vectors(traced: Collector, route: Dict[str, Any], is_async: bool) -> None:
    call: Dict[str, Any] = {"model": "openai/text-embedding-3-small", "input": ["a", "b"], **route}
    if is_async:
        asyncio.run(litellm.aembedding(**call))
    else:
        litellm.embedding(**call)
    event = only_event(traced)
    assert event["event_name"] == "embedding"
    assert event["inputs"]["chunks"] == ["a", "b"]
    assert event["outputs"]["num_embeddings"] == 2
    assert event["outputs"]["dimensions"] > 0
    assert "embeddings" not in event["outputs"]


def test_a_text_completion(traced: Collector, route: Dict[str, Any]) -> None:
    litellm.text_completion(model="text-completion-openai/gpt-3.5-turbo-instruct", prompt="hello", **route)
    event = only_event(traced)
    assert event["event_name"] == "text_completion"
    assert event["inputs"]["prompt"] == "hello"
    assert event["outputs"]["text"] == "answer to: hello"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_failure_has_class_message_status_and_input(traced: Collector, route: Dict[str, Any], is_async: bool) -> None:
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


def test_a_stream_that_breaks_is_a_failure_with_what_had_come(traced: Collector, route: Dict[str, Any]) -> None:
    seen = ""
    # Text and class differ between LiteLLM's releases.
    with pytest.raises(Exception, match=r"incomplete chunked read|Connection error"):
        for chunk in litellm.completion(model="openai/break-3", messages=MESSAGES, stream=True, **route):
            seen += chunk.choices[0].delta.content or ""
    event = only_event(traced)
    assert event["outputs"]["content"] == seen != ""


@pytest.mark.parametrize("is_async", [False, True])
def test_token_counts_that_a_streams_provider_did_not_tell_are_no_facts(
    traced: Collector, route: Dict[str, Any], is_async: bool
) -> None:
    """LiteLLM counts by itself then, or writes 0, and marks neither."""
    ask = dict(model="openai/gpt-4o", messages=MESSAGES, stream=True, **route)
    if is_async:

        async def read() -> None:
            async for _ in await litellm.acompletion(**ask):
                pass

        asyncio.run(read())
    else:
        for _ in litellm.completion(**ask):
            pass
    metadata = only_event(traced)["metadata"]
    assert "cost" not in metadata
    if "total_tokens" in metadata:
        assert metadata["total_tokens"] > 0
        assert metadata["usage_estimated"] is True


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("anthropic/claude-3-5-sonnet-20240620", "anthropic"),
        ("bedrock/anthropic.claude-v2", "bedrock"),
        ("gpt-4o", "openai"),
    ],
)
def test_the_provider_is_named(traced: Collector, model: str, provider: str) -> None:
    litellm.completion(model=model, messages=MESSAGES, mock_response="hi")
    assert only_event(traced)["config"]["provider"] == provider


def test_what_the_caller_says_of_a_call_is_on_its_event(traced: Collector, route: Dict[str, Any]) -> None:
    metadata = {"session_id": "chat 42", "event_name": "greeting", "user_id": "u1", "tags": ["a"], "ours": {"x": 1}}
    litellm.completion(model="openai/gpt-4o", messages=MESSAGES, metadata=metadata, **route)
    event = only_event(traced)
    assert event["event_name"] == "greeting"
    assert event["user_properties"]["user_id"] == "u1"
    assert event["metadata"]["tags"] == ["a"]
    assert event["metadata"]["ours"] == {"x": 1}
    assert event["metadata"]["session_id"] == "chat 42"
    (session,) = [s for s in traced.sessions if s["session_id"] == event["session_id"]]
    assert session["event_name"] == "chat 42"


@pytest.mark.parametrize("capture", [False, True])
def test_headers_and_the_raw_request_come_only_when_asked_for_and_never_with_the_key(
    collector: Collector, route: Dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture, capture: bool
) -> None:
    collector.down()
    honeyhive_litellm.init(
        api_key="hh_secret_Yw6Yw6Yw6Yw6Yw6Yw6",
        project="tests",
        api_url=collector.url,
        spool_path=tmp_path,
        capture_headers=capture,
        capture_raw_request=capture,
        custom_attributes={"team": "core"},
    )
    extra = {"extra_headers": {"Authorization": f"Bearer {KEY}", "X-Team": "blue"}, "metadata": {"api_key": KEY}}
    litellm.completion(model="openai/gpt-4o", messages=MESSAGES, **route, **extra)
    with pytest.raises(litellm.AuthenticationError):
        litellm.completion(model="openai/fail-401", messages=MESSAGES, **route)
    honeyhive_litellm.flush(1)
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("*.spool*"))
    assert b"hello" in stored
    collector.up()
    assert honeyhive_litellm.shutdown(10) == 0
    wire: List[Any] = collector.events
    success = next(event for event in wire if "error" not in event)
    assert ("response_headers" in success["metadata"]) is capture
    assert ("raw_request" in success["metadata"]) is capture
    assert success["metadata"]["team"] == "core"
    for text in (stored.decode("utf-8", "replace"), str(wire), caplog.text):
        assert "Zq7Zq7" not in text
        assert "Yw6Yw6" not in text
