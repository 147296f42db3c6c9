"""What LiteLLM reports to no callback, or only in part, and what is recorded of it all the same."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import socket
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import has_litellm, needs_litellm

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

AGENTS_PAGE = Path(__file__).parents[2] / "docs/how-to/agents.md"
MESSAGES = [{"role": "user", "content": "hello"}]
HAS_PROXY = all(importlib.util.find_spec(name) is not None for name in ("backoff", "redis", "apscheduler"))
"""Whether `litellm[proxy]` is installed: a newer LiteLLM needs it to stream Anthropic's and Gemini's own forms."""


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running
    litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()  # here, where unclosed sockets of LiteLLM's are forgiven


def cancel_batch(is_async: bool, **more: Any) -> Any:
    function = litellm.acancel_batch if is_async else litellm.cancel_batch
    return function(batch_id="batch-1", custom_llm_provider="openai", **more)


def moderation(is_async: bool, **more: Any) -> Any:
    assert not is_async, "LiteLLM reports `amoderation`"
    return litellm.moderation(model="openai/omni-moderation-latest", input="hello", **more)


not_before_1_80 = needs_litellm("1.80", "it sends a moderation to OpenAI whatever the address, and cancels no batches")
UNREPORTED = [(moderation, False), (cancel_batch, False), (cancel_batch, True)]


def events_after(traced: Collector, call: Callable[..., Any], is_async: bool, **more: Any) -> List[Dict[str, Any]]:
    async def later() -> None:
        await call(True, **more)
        await honeyhive_litellm.aflush(10)

    if is_async:
        asyncio.run(later())
    else:
        call(False, **more)
    honeyhive_litellm.flush(10)
    return traced.events


@not_before_1_80
@pytest.mark.parametrize(("call", "is_async"), UNREPORTED)
def test_what_litellm_reports_to_no_callback_is_one_event_all_the_same(
    traced: Collector, models: ModelServer, call: Callable[..., Any], is_async: bool
) -> None:
    (event,) = events_after(traced, call, is_async, api_base=models.url, api_key="sk-local")
    assert len(models.requests) == 1
    assert event["event_name"] == call.__name__
    assert event["metadata"]["status"] == "success"
    assert event["config"]["provider"] == "openai"
    assert event["metadata"]["api_base"] == models.url[: -len("/v1")]
    assert event["inputs"] in ({"input": "hello"}, {"batch_id": "batch-1"})
    assert event["outputs"].get("results") or event["outputs"]["status"] == "cancelling"
    assert "cost" not in event["metadata"]


@not_before_1_80
@pytest.mark.parametrize(("call", "is_async"), UNREPORTED)
def test_its_failure_is_one_event_too_and_is_the_callers(
    traced: Collector, call: Callable[..., Any], is_async: bool
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
        with pytest.raises(Exception, match="onnection"):
            events_after(traced, call, is_async, api_base=nowhere, api_key="sk-local", max_retries=0)
    honeyhive_litellm.flush(10)
    (event,) = traced.wait_for(1, timeout=30)
    assert event["metadata"]["status"] == "failure"
    assert event["metadata"]["error_class"] in event["error"]


@not_before_1_80
def test_the_switches_of_a_call_are_obeyed_and_nothing_is_recorded_after_shutdown(
    traced: Collector, models: ModelServer
) -> None:
    route = {"api_base": models.url, "api_key": "sk-local"}
    moderation(False, metadata={"honeyhive_skip": True}, **route)
    moderation(False, metadata={"session_id": "s 1", "honeyhive_capture_content": False}, **route)
    honeyhive_litellm.flush(10)
    (event,) = traced.events
    assert event["metadata"]["session_id"] == "s 1"
    assert event["inputs"] == {}
    assert honeyhive_litellm.shutdown(10) == 0
    moderation(False, **route)
    assert len(models.requests) == 3
    assert len(traced.events) == 1


@not_before_1_80
def test_a_call_that_cannot_be_is_refused_by_litellm_itself(traced: Collector) -> None:
    with pytest.raises(TypeError, match="batch_id"):
        litellm.cancel_batch()
    assert honeyhive_litellm.flush(10) == 0
    assert traced.events == []


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
    request: Dict[str, Any] = {"model": "anthropic/claude-sonnet-4-5", "messages": MESSAGES, "max_tokens": 9}
    route = {"api_base": models.url[: -len("/v1")], "api_key": "sk-local"}
    if HAS_PROXY or not has_litellm("1.83"):
        (event,) = await events_of_stream(
            traced, await litellm.anthropic.messages.acreate(stream=True, **request, **route)
        )
        assert event["outputs"]["content"] == "answer to: hello"
        assert event["metadata"]["completion_tokens"] > 0
    else:
        with pytest.raises(ImportError):
            await litellm.anthropic.messages.acreate(stream=True, **request, **route)
        assert await honeyhive_litellm.aflush(10) == 0
        (event,) = traced.events
        assert event["error"].partition(":")[0] in ("ImportError", "ModuleNotFoundError")
    assert event["event_name"] == "anthropic_messages"
    assert event["config"]["is_streaming"] is True
    assert event["inputs"]["chat_history"] == MESSAGES


def test_mcp_tools_that_a_client_calls_by_itself_have_no_event() -> None:
    """LiteLLM's client passes the call on to the session; only its proxy logs it, as `call_mcp_tool`."""
    tools = pytest.importorskip("litellm.experimental_mcp_client.tools")
    assert "logging" not in tools.call_mcp_tool.__code__.co_names
    assert "experimental_mcp_client" in AGENTS_PAGE.read_text()
