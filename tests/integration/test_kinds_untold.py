"""What LiteLLM tells to no callback, or only in part: README names it, and these fail once LiteLLM begins to tell."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import has_litellm, needs_litellm, needs_python

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

README = Path(__file__).parents[2] / "README.md"
MESSAGES = [{"role": "user", "content": "hello"}]
HAS_PROXY = all(importlib.util.find_spec(name) is not None for name in ("backoff", "redis", "apscheduler"))
"""Whether `litellm[proxy]` is installed: a newer LiteLLM needs it to stream Anthropic's and Gemini's own forms."""


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running
    litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()  # here, where unclosed sockets of LiteLLM's are forgiven


def cancel_batch(**route: Any) -> None:
    litellm.cancel_batch(batch_id="batch-1", custom_llm_provider="openai", **route)


def moderation(**route: Any) -> None:
    litellm.moderation(model="openai/omni-moderation-latest", input="hello", **route)


UNTOLD: List[Callable[..., None]] = [moderation, cancel_batch]


@needs_litellm("1.80", "its moderation has one address, and it cancels no batch")
@pytest.mark.parametrize("untold", UNTOLD)
def test_what_litellm_reports_to_no_callback_has_no_event_and_is_named_in_the_readme(
    traced: Collector, models: ModelServer, untold: Callable[..., None]
) -> None:
    untold(api_base=models.url, api_key="sk-local")
    assert len(models.requests) == 1
    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="hi")
    assert honeyhive_litellm.flush(10) == 0
    assert [event["event_name"] for event in traced.events] == ["completion"]
    assert f"`litellm.{untold.__name__}`" in README.read_text()


async def events_of_stream(traced: Collector, stream: Any) -> List[Dict[str, Any]]:
    async for _ in stream:
        pass
    loop = asyncio.get_running_loop()
    await honeyhive_litellm.aflush(10)
    return await loop.run_in_executor(None, lambda: traced.wait_for(1, timeout=30))


@needs_litellm("1.80", "it does not speak Anthropic's own form")
async def test_anthropics_own_stream_is_one_event_whether_or_not_litellm_can_read_it(
    traced: Collector, models: ModelServer
) -> None:
    asked: Dict[str, Any] = {"model": "anthropic/claude-sonnet-4-5", "messages": MESSAGES, "max_tokens": 9}
    route = {"api_base": models.url[: -len("/v1")], "api_key": "sk-local"}
    if HAS_PROXY or not has_litellm("1.83"):
        (event,) = await events_of_stream(
            traced, await litellm.anthropic.messages.acreate(stream=True, **asked, **route)
        )
        assert event["outputs"]["content"] == "answer to: hello"
        assert event["metadata"]["completion_tokens"] > 0
    else:
        with pytest.raises(ImportError):
            await litellm.anthropic.messages.acreate(stream=True, **asked, **route)
        assert await honeyhive_litellm.aflush(10) == 0
        (event,) = traced.events
        assert event["error"].partition(":")[0] in ("ImportError", "ModuleNotFoundError")
    assert event["event_name"] == "anthropic_messages"
    assert event["config"]["is_streaming"] is True
    assert event["inputs"]["chat_history"] == MESSAGES


@needs_litellm("1.83", "its headers for a stream of Gemini's own form are wrong, or it has none")
@needs_python((3, 10), "what LiteLLM needs for Gemini's own form does not import")
def test_of_a_sync_stream_of_contents_litellm_tells_no_end(traced: Collector, models: ModelServer) -> None:
    contents = [{"role": "user", "parts": [{"text": "hello"}]}]
    asked: Dict[str, Any] = {"model": "gemini/gemini-2.5-flash", "contents": contents}
    route = {"api_base": models.url, "api_key": "sk-local"}
    assert b"".join(litellm.google_genai.generate_content_stream(**asked, **route)).startswith(b"data:")
    gc.collect()
    honeyhive_litellm.flush(10)
    (event,) = traced.wait_for(1, timeout=30)
    assert event["event_name"] == "generate_content_stream"
    assert event["metadata"]["status"] == "cancelled"
    assert "`generate_content_stream`" in README.read_text()


def test_mcp_tools_that_a_client_calls_by_itself_have_no_event() -> None:
    """LiteLLM's client passes the call on to the session; only its proxy logs it, as `call_mcp_tool`."""
    tools = pytest.importorskip("litellm.experimental_mcp_client.tools")
    assert "logging" not in tools.call_mcp_tool.__code__.co_names
    assert "experimental_mcp_client" in README.read_text()
