"""Calls of one API that LiteLLM translates for a provider with another: the input is what the caller gave."""

from __future__ import annotations

import asyncio
import gc
from typing import Any, Callable, Dict, Iterator, List

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import needs_litellm

pytestmark = [
    needs_litellm("1.110", "it translates other calls, or in other ways"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SYSTEM = "Be terse."
BLOCKS = [{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}]
QUESTION = [{"role": "user", "content": "Why?"}]
CONTENTS = [{"role": "user", "parts": [{"text": "Why?"}]}]
METADATA = {"session_id": "s1", "user_id": "u1", "mine": 7}
MODELS = ("openai/gpt-4o-mini", "hosted_vllm/foo", "gemini/gemini-2.0-flash", "anthropic/claude-sonnet-4-5")


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running
    litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()  # here, where unclosed sockets of LiteLLM's are forgiven


def made(traced: Collector, models: ModelServer, call: Callable[..., Any], names: Any, **request: Any) -> List[Any]:
    """The events of a call of each of these models, async ones on one loop; streams are read to their end."""

    def address(model: str) -> Dict[str, Any]:
        is_anthropic = model.startswith("anthropic/")
        return {"model": model, "api_base": models.url[: -len("/v1")] if is_anthropic else models.url, "api_key": "k"}

    async def later() -> None:
        for name in names:
            response = await call(**address(name), **request)
            if hasattr(response, "__aiter__"):
                async for _ in response:
                    pass
        await honeyhive_litellm.aflush(20)

    if asyncio.iscoroutinefunction(call):
        asyncio.run(later())
    else:
        for name in names:
            response = call(**address(name), **request)
            if hasattr(response, "__next__"):
                list(response)
    honeyhive_litellm.flush(20)
    assert len(traced.events) == len(names)
    return traced.events


def assert_is_what_the_caller_gave(events: List[Dict[str, Any]], system: object) -> None:
    for event in events:
        history = event["inputs"]["chat_history"]
        assert history[0] == {"role": "system", "content": system}, event["config"]["provider"]
        assert [message["role"] for message in history] == ["system", "user"]
        assert event["metadata"]["session_id"] == "s1"
        assert event["metadata"]["mine"] == 7
        assert event["user_properties"]["user_id"] == "u1"
    assert len({event["session_id"] for event in events}) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("system", [SYSTEM, BLOCKS])
def test_messages_for_any_provider_keep_their_system_prompt_and_session(
    traced: Collector, models: ModelServer, system: object, stream: bool
) -> None:
    request = {"max_tokens": 9, "messages": QUESTION, "system": system, "metadata": METADATA, "stream": stream}
    events = made(traced, models, litellm.anthropic.messages.acreate, MODELS, **request)
    assert_is_what_the_caller_gave(events, system)
    assert {event["event_name"] for event in events} == {"anthropic_messages"}


def test_synchronous_messages_keep_them_although_litellm_records_another_call(
    traced: Collector, models: ModelServer
) -> None:
    request = {"max_tokens": 9, "messages": QUESTION, "system": BLOCKS, "metadata": METADATA}
    create = litellm.anthropic.messages.create
    assert_is_what_the_caller_gave(made(traced, models, create, MODELS[:3], **request), BLOCKS)
    litellm.completion(model=MODELS[0], messages=QUESTION, api_base=models.url, api_key="k")
    honeyhive_litellm.flush(20)
    later = traced.events[-1]
    assert later["inputs"] == {"chat_history": QUESTION}
    assert "session_id" not in later["metadata"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("call", ["responses", "aresponses"])
def test_responses_of_any_provider_keep_their_instructions_and_session(
    traced: Collector, models: ModelServer, call: str, stream: bool
) -> None:
    request = {"input": "Why?", "instructions": SYSTEM, "metadata": METADATA, "stream": stream}
    assert_is_what_the_caller_gave(made(traced, models, getattr(litellm, call), MODELS, **request), SYSTEM)


@pytest.mark.parametrize("call", ["generate_content", "agenerate_content", "agenerate_content_stream"])
def test_contents_keep_their_system_instruction(traced: Collector, models: ModelServer, call: str) -> None:
    from litellm import google_genai

    request = {"contents": CONTENTS, "systemInstruction": {"parts": [{"text": SYSTEM}]}, "metadata": METADATA}
    function = getattr(google_genai, call)
    assert_is_what_the_caller_gave(made(traced, models, function, MODELS[1:3], **request), SYSTEM)


def test_without_content_the_system_prompt_shows_as_a_role(traced: Collector, models: ModelServer) -> None:
    metadata = {"honeyhive_capture_content": False}
    request = {"max_tokens": 9, "messages": QUESTION, "system": SYSTEM, "metadata": metadata}
    for event in made(traced, models, litellm.anthropic.messages.acreate, MODELS[:2], **request):
        assert event["inputs"] == {"chat_history": [{"role": "system"}, {"role": "user"}]}
