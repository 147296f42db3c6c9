"""Threads that LiteLLM starts for a call: the session and the span of the caller hold there, too."""

from __future__ import annotations

import asyncio
import gc
from typing import Any, Callable, Dict, Iterator, List

import litellm
import pytest
from opentelemetry.sdk.trace import TracerProvider

import honeyhive_litellm
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import needs_litellm
from ..waiting import until

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ASK = [{"role": "user", "content": "Why?"}]
MODELS = ["openai/gpt-4o-mini", "openai/gpt-4o"]
Route = Dict[str, Any]


@pytest.fixture
def route() -> Iterator[Route]:
    with ModelServer() as running:
        yield {"api_base": running.url, "api_key": "sk-local", "max_retries": 0}
    litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()  # here, where unclosed sockets of LiteLLM's are forgiven


def batch(route: Route) -> None:
    litellm.batch_completion(model=MODELS[0], messages=[ASK, ASK], **route)


def first_of_models(route: Route) -> None:
    litellm.batch_completion_models(models=MODELS, messages=ASK, **route)


def deployments(route: Route) -> None:
    each = [{"model": model, **route} for model in MODELS]
    litellm.batch_completion_models(model="any", messages=ASK, deployments=each, model_list=[])


def all_models(route: Route) -> None:
    litellm.batch_completion_models_all_responses(models=MODELS, messages=ASK, **route)


def fallbacks_on_a_loop(route: Route) -> None:
    async def call() -> None:
        litellm.completion(model="openai/fail-500", messages=ASK, fallbacks=[MODELS[0]], **route)

    asyncio.run(call())


@pytest.mark.parametrize(
    "call",
    [
        batch,
        first_of_models,
        deployments,
        pytest.param(all_models, marks=needs_litellm("1.80", "it returns the answers of one model only")),
        pytest.param(fallbacks_on_a_loop, marks=needs_litellm("1.80", "it has no fallbacks on a running loop")),
    ],
)
def test_calls_on_litellms_threads_are_in_the_session_and_the_span_of_their_caller(
    traced: Collector, route: Route, call: Callable[[Route], None]
) -> None:
    tracer = TracerProvider().get_tracer("tests")
    with honeyhive_litellm.session(name="job") as session, tracer.start_as_current_span("step") as span:
        call(route)
    span_id = f"{span.get_span_context().span_id:016x}"
    until(lambda: honeyhive_litellm.flush(1) == 0 and len(traced.events) >= 2)
    assert {event["session_id"] for event in traced.events} == {session.session_id}
    assert {event["metadata"]["otel"]["span_id"] for event in traced.events} == {span_id}


def test_calls_after_the_session_are_outside_of_it(traced: Collector, route: Route) -> None:
    with honeyhive_litellm.session(name="job") as session:
        batch(route)
    batch(route)
    honeyhive_litellm.flush(20)
    sessions: List[str] = [event["session_id"] for event in traced.events]
    assert len(sessions) == 4
    assert sessions.count(session.session_id) == 2


@needs_litellm("1.110", "it makes no silent experiments on threads")
def test_a_silent_experiment_is_in_the_session_of_the_request(traced: Collector, route: Route) -> None:
    router = litellm.Router(
        model_list=[
            {"model_name": "main", "litellm_params": {"model": MODELS[0], "silent_model": "other", **route}},
            {"model_name": "other", "litellm_params": {"model": MODELS[1], **route}},
        ]
    )
    with honeyhive_litellm.session(name="job") as session:
        router.completion(model="main", messages=ASK)
    until(lambda: honeyhive_litellm.flush(1) == 0 and len(traced.events) >= 2)
    assert {event["config"]["model"] for event in traced.events} == {"gpt-4o-mini", "gpt-4o"}
    assert {event["session_id"] for event in traced.events} == {session.session_id}
