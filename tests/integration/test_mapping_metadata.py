"""The caller's metadata, in a dictionary that LiteLLM writes into and that the caller uses for its next call."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Dict

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import NEEDS_RESPONSES, has_litellm, needs_litellm
from ..waiting import until

MESSAGES = [{"role": "user", "content": "hello"}]
Options = Dict[str, Any]


def sync(options: Options) -> None:
    litellm.completion(model="openai/gpt-4o", messages=MESSAGES, **options)


def sync_stream(options: Options) -> None:
    assert list(litellm.completion(model="openai/gpt-4o", messages=MESSAGES, stream=True, **options))


def embedding(options: Options) -> None:
    litellm.embedding(model="openai/text-embedding-3-small", input=["hello"], **options)


def on_a_loop(call: Callable[[Options], Any]) -> Callable[[Options], None]:
    """The call, on a loop that lives until LiteLLM has reported it."""

    async def run(options: Options) -> None:
        await call(options)
        await honeyhive_litellm.aflush(20)

    def in_a_loop(options: Options) -> None:
        asyncio.run(run(options))

    return in_a_loop


@on_a_loop
async def chat(options: Options) -> None:
    await litellm.acompletion(model="openai/gpt-4o", messages=MESSAGES, **options)


@on_a_loop
async def failure(options: Options) -> None:
    with pytest.raises(Exception, match="scripted failure"):
        await litellm.acompletion(model="openai/fail-500", messages=MESSAGES, **options)


@on_a_loop
async def responses(options: Options) -> None:
    await litellm.aresponses(model="openai/gpt-4o", input="hello", **options)


@on_a_loop
async def messages(options: Options) -> None:
    await litellm.anthropic_messages(model="openai/gpt-4o", messages=MESSAGES, max_tokens=9, **options)


WAYS = {
    "chat, sync": sync,
    "stream, sync": sync_stream,
    "embedding, sync": embedding,
    "chat": chat,
    "failure": failure,
    "responses": responses,
    "messages": messages,
}


@needs_litellm("1.80", "it leaves nothing, and calls on another loop with the connections of the first")
@pytest.mark.parametrize(
    "way",
    [pytest.param(name, marks=NEEDS_RESPONSES if name in ("responses", "messages") else ()) for name in WAYS],
)
def test_what_litellm_left_in_a_dictionary_is_not_the_callers_metadata_of_the_next_call(
    traced: Collector, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(litellm, "log_raw_request_response", True)  # one more thing that it leaves
    metadata: Dict[str, Any] = {"mine": 1}
    with ModelServer() as models:
        route = {"api_base": models.url, "api_key": "k", "max_retries": 0}
        for number in (1, 2):
            WAYS[way]({**route, "metadata": metadata})
            until(lambda done=number: honeyhive_litellm.flush(20) == 0 and len(traced.events) == done)  # type: ignore[misc]
    assert metadata.keys() > {"mine"} or not has_litellm("1.110")  # or this tests nothing
    for event in traced.events:
        assert event["metadata"]["mine"] == 1
        assert event["metadata"].get("user_metadata") is None
