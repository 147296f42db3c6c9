"""Calls that LiteLLM's cache answers, wholly or in part, have the inputs and counts that their caller sees."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any, Callable, Dict, Iterator, List

import litellm
import pytest
from litellm.caching.caching import Cache

import honeyhive_litellm
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import needs_litellm

pytestmark = [
    needs_litellm("1.110", "it caches fewer types of call"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def route(monkeypatch: pytest.MonkeyPatch) -> Iterator[Dict[str, Any]]:
    monkeypatch.setattr(litellm, "cache", Cache())
    with ModelServer() as running:
        yield {"api_base": running.url, "api_key": "sk-local"}
    litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()  # here, where unclosed sockets of LiteLLM's are forgiven


def after(traced: Collector, *calls: Callable[[], Any]) -> List[Dict[str, Any]]:
    """The events of these calls, made one after the other; async ones on one loop."""

    async def make() -> None:
        for call in calls:
            made = call()
            if asyncio.iscoroutine(made):
                await made
        await honeyhive_litellm.aflush(20)

    asyncio.run(make())
    honeyhive_litellm.flush(20)
    assert len(traced.events) == len(calls)
    return traced.events


def embedded(route: Dict[str, Any], *texts: Any) -> Callable[[], Any]:
    chosen = texts[0] if len(texts) == 1 and isinstance(texts[0], str) else list(texts)
    return lambda: litellm.aembedding(model="openai/text-embedding-3-small", input=chosen, **route)


def test_embeddings_keep_their_inputs_in_order_and_their_counts(traced: Collector, route: Dict[str, Any]) -> None:
    both, reversed_, mixed, bare, bare_again, tokens, tokens_again = after(
        traced,
        embedded(route, "bees fly", "cats"),
        embedded(route, "cats", "bees fly"),
        embedded(route, "dogs", "bees fly", "owls", "cats"),
        embedded(route, "ants"),
        embedded(route, "ants"),
        embedded(route, [1, 2], [3]),
        embedded(route, [3], [1, 2]),
    )
    assert both["inputs"] == {"chunks": ["bees fly", "cats"]}
    assert reversed_["inputs"] == {"chunks": ["cats", "bees fly"]}
    assert mixed["inputs"] == {"chunks": ["dogs", "bees fly", "owls", "cats"]}
    assert bare["inputs"] == bare_again["inputs"] == {"chunks": ["ants"]}
    assert tokens["inputs"] == {"chunks": [[1, 2], [3]]}
    assert tokens_again["inputs"] == {"chunks": [[3], [1, 2]]}
    for event in (both, reversed_, mixed, bare, bare_again, tokens, tokens_again):
        assert event["outputs"] == {"num_embeddings": len(event["inputs"]["chunks"]), "dimensions": 8}
    hits = [event["metadata"]["cache_hit"] for event in traced.events]
    assert hits == [False, True, False, False, True, False, True]
    counted = both["metadata"]["prompt_tokens"]
    assert reversed_["metadata"]["prompt_tokens"] == counted
    assert mixed["metadata"]["prompt_tokens"] == mixed["metadata"]["total_tokens"] > counted
    assert reversed_["metadata"]["cost"] == 0
    paid = mixed["metadata"]["cost"] / mixed["metadata"]["prompt_tokens"]
    assert 0 < paid < both["metadata"]["cost"] / counted, "the cost is that of the texts that the provider embedded"


def test_they_do_so_where_litellm_reports_nothing_any_more(traced: Collector, route: Dict[str, Any]) -> None:
    async def last_words() -> None:
        await litellm.aembedding(model="openai/text-embedding-3-small", input=["bees", "cats"], **route)
        await litellm.aembedding(model="openai/text-embedding-3-small", input=["bees", "owls"], **route)

    asyncio.run(last_words())
    honeyhive_litellm.flush(20)
    event = next(event for event in traced.events if "owls" in json.dumps(event["inputs"]))
    assert event["inputs"] == {"chunks": ["bees", "owls"]}
    assert event["outputs"]["num_embeddings"] == 2


def cached_twice(route: Dict[str, Any], is_async: bool) -> List[Callable[[], Any]]:
    """Calls of every type that LiteLLM caches; each has the name of a model in its request once."""
    prefix = "a" if is_async else ""

    def of(name: str, **request: Any) -> Callable[[], Any]:
        return lambda: getattr(litellm, prefix + name)(**{**route, **request})

    chat = [{"role": "system", "content": "Be terse."}, {"role": "user", "content": "Why?"}]
    return [
        of("completion", model="openai/gpt-4o-mini", messages=chat),
        of("text_completion", model="openai/gpt-3.5-turbo-instruct", prompt="Why?"),
        of("embedding", model="openai/text-embedding-3-small", input=["Why?", "How?"]),
        of("responses", model="openai/gpt-4o-mini", input="Why?", instructions="Be terse."),
        of("responses", model="hosted_vllm/foo", input="Why?", instructions="Be terse."),
        of("rerank", model="hosted_vllm/bge", query="honey", documents=["bees", "cats"]),
        of("transcription", model="openai/whisper-1", file=("a.wav", b"RIFF0000WAVE"), prompt="names: Ada"),
    ]


@pytest.mark.parametrize("is_async", [False, True])
def test_an_answer_from_the_cache_has_the_inputs_and_outputs_of_the_first(
    traced: Collector, route: Dict[str, Any], is_async: bool
) -> None:
    calls = cached_twice(route, is_async)
    events = after(traced, *calls, *calls)
    hits = [event for event in events if event["metadata"].get("cache_hit")]
    assert len(hits) == len(calls)
    for hit in hits:
        first = next(
            event
            for event in events
            if not event["metadata"].get("cache_hit")
            and (event["event_name"], event["config"]["model"]) == (hit["event_name"], hit["config"]["model"])
        )
        assert hit["inputs"] == first["inputs"]
        assert hit["outputs"] == first["outputs"], hit["event_name"]
        assert hit["metadata"].get("cost") == 0
    heard = next(event for event in hits if event["event_name"] == "transcription")
    assert heard["inputs"]["file"] == "a.wav" and heard["inputs"]["prompt"] == "names: Ada"
