"""What a Router does with a request: each attempt an event, all in one session, several under one parent."""

from __future__ import annotations

import asyncio
import gc
from typing import Any, Dict, List, Tuple

import litellm
import openai
import pytest

import honeyhive_litellm
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import SERVER_ERROR, needs_litellm

KEY = {"api_key": "sk-local"}
MESSAGES = [{"role": "user", "content": "hello"}]
Json = Dict[str, Any]


def router_of(models: ModelServer, *groups: Tuple[str, str, str], **options: Any) -> Any:
    """A Router with a deployment for each (group, model, id)."""
    return litellm.Router(
        model_list=[
            {
                "model_name": group,
                "litellm_params": {
                    "model": f"openai/{model}", "api_base": models.url, "api_key": "sk-x", "max_retries": 0,
                },
                "model_info": {"id": id_},
            }
            for group, model, id_ in groups
        ],
        **{"num_retries": 0, "retry_after": 0, **options},
    )  # fmt: skip


def ask(router: Any, way: str, model: str, **options: Any) -> None:
    """Make one request in this way, and read its answer to the end."""

    async def later() -> None:
        response = await router.acompletion(model=model, messages=MESSAGES, stream="stream" in way, **options)
        if "stream" in way:
            async for _ in response:
                pass

    if way.startswith("async"):
        asyncio.run(later())
        return
    response = router.completion(model=model, messages=MESSAGES, stream="stream" in way, **options)
    if "stream" in way:
        for _ in response:
            pass


def events_of(collector: Collector) -> Tuple[List[Json], List[Json]]:
    """The parents, and the attempts in their order; all in one session, each arrived once."""
    assert honeyhive_litellm.flush(20) == 0
    events = sorted(collector.events, key=lambda event: event["start_time"])
    assert set(collector.receipts.values()) == {1}
    assert len({event["session_id"] for event in events}) == 1
    chains = [event for event in events if event["event_type"] == "chain"]
    return chains, [event for event in events if event["event_type"] == "model"]


WAYS = ["sync", "async", "sync stream", "async stream"]


@pytest.mark.parametrize("way", WAYS)
def test_one_attempt_is_one_event_without_a_parent(traced: Collector, models: ModelServer, way: str) -> None:
    ask(router_of(models, ("main", "gpt-4o", "one")), way, "main")
    chains, (attempt,) = events_of(traced)
    assert chains == []
    assert attempt["metadata"]["status"] == "success"
    assert "parent_id" not in attempt or attempt["parent_id"] == attempt["session_id"]
    assert attempt["metadata"]["router"] == {
        "model_group": "main", "deployment_id": "one", "deployment": "openai/gpt-4o", "attempt": 1, "retry_count": 0,
        "routing_strategy": "simple-shuffle",
    }  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_a_fallback_makes_two_attempts_under_one_parent(traced: Collector, models: ModelServer, way: str) -> None:
    groups = ("main", "fail-500", "one"), ("spare", "gpt-4o", "two")
    router = router_of(models, *groups, fallbacks=[{"main": ["spare"]}])
    ask(router, way, "main", metadata={"team": "search"})
    (chain,), attempts = events_of(traced)

    assert [a["metadata"]["status"] for a in attempts] == ["failure", "success"]
    assert [a["parent_id"] for a in attempts] == [chain["event_id"]] * 2
    assert [a["metadata"]["router"]["attempt"] for a in attempts] == [1, 2]
    failed = {"attempt": 1, "model_group": "main", "deployment_id": "one", "error_class": SERVER_ERROR}
    assert attempts[1]["metadata"]["router"]["fallback_info"] == [failed]

    assert chain["metadata"]["status"] == "success"
    assert chain["metadata"]["team"] == "search"
    assert chain["inputs"]["chat_history"] == MESSAGES
    assert chain["metadata"]["router"] == {
        "attempts": 2, "model_group": "main", "routing_strategy": "simple-shuffle", "fallback_info": [failed],
    }  # fmt: skip
    assert chain["outputs"]["served_by"]["deployment_id"] == "two"
    assert chain["outputs"].items() >= {"role": "assistant", "content": "answer to: hello"}.items()
    assert chain["metadata"].items() >= {"finish_reason": "stop", "provider": "openai", "model": "main"}.items()
    assert chain["metadata"]["trace_id"] == attempts[0]["metadata"]["trace_id"]
    assert chain["start_time"] <= attempts[0]["start_time"]
    assert chain["end_time"] >= attempts[1]["end_time"]


def test_the_event_of_a_request_ends_as_its_reader_ended_the_stream(traced: Collector, models: ModelServer) -> None:
    router = router_of(
        models, ("main", "fail-500", "one"), ("spare", "stall-3", "two"), fallbacks=[{"main": ["spare"]}]
    )

    async def later() -> None:
        stream = await router.acompletion(model="main", messages=MESSAGES, stream=True)
        await stream.__anext__()

    asyncio.run(later())
    gc.collect()
    traced.wait_for(3, timeout=20)  # the sweep finds the stream dropped
    (chain,), attempts = events_of(traced)
    assert attempts[1]["metadata"]["status"] == chain["metadata"]["status"] == "abandoned"
    assert chain["outputs"]["content"] == attempts[1]["outputs"]["content"]
    assert chain["end_time"] == attempts[1]["end_time"]
    assert "finish_reason" not in chain["metadata"]


@needs_litellm("1.110", "its Router has neither routing groups nor a strategy for one request")
@pytest.mark.parametrize("way", ["sync", "async"])
def test_the_strategy_is_the_requests_else_its_groups_else_the_routers(
    traced: Collector, models: ModelServer, way: str
) -> None:
    group = {"group_name": "quick", "models": ["spare"], "routing_strategy": "least-busy"}
    groups = ("main", "fail-500", "one"), ("spare", "gpt-4o", "two")
    router = router_of(models, *groups, fallbacks=[{"main": ["spare"]}], routing_groups=[group])
    session = {"metadata": {"session_id": "s"}}
    ask(router, way, "main", **session)
    ask(router, way, "spare", routing_strategy="latency-based-routing", **session)
    (chain,), attempts = events_of(traced)
    used = [event["metadata"]["router"]["routing_strategy"] for event in (chain, *attempts)]
    assert used == ["simple-shuffle", "simple-shuffle", "least-busy", "latency-based-routing"]


@pytest.mark.parametrize("way", ["sync", "async"])
def test_retries_are_counted_by_us(traced: Collector, models: ModelServer, way: str) -> None:
    router = router_of(models, ("main", "flaky-2", "one"), num_retries=3)
    ask(router, way, "main")
    (chain,), attempts = events_of(traced)
    assert [a["metadata"]["status"] for a in attempts] == ["failure", "failure", "success"]
    assert [a["metadata"]["router"]["retry_count"] for a in attempts] == [0, 1, 2]
    assert [a["metadata"]["router"]["attempt"] for a in attempts] == [1, 2, 3]
    assert {a["parent_id"] for a in attempts} == {chain["event_id"]}


@pytest.mark.parametrize("way", ["sync", "async"])
def test_all_fallbacks_fail(traced: Collector, models: ModelServer, way: str) -> None:
    groups = ("main", "fail-500", "one"), ("spare", "fail-429", "two")
    router = router_of(models, *groups, fallbacks=[{"main": ["spare"]}])
    with pytest.raises(openai.APIError):
        ask(router, way, "main")
    (chain,), attempts = events_of(traced)
    assert [a["metadata"]["error_class"] for a in attempts] == [SERVER_ERROR, "RateLimitError"]
    assert {a["parent_id"] for a in attempts} == {chain["event_id"]}
    assert chain["metadata"]["status"] == "failure"
    assert chain["error"].startswith(chain["metadata"]["error_class"])
    hops = [(hop["model_group"], hop["error_class"]) for hop in chain["metadata"]["router"]["fallback_info"]]
    assert hops == [("main", SERVER_ERROR), ("spare", "RateLimitError")]


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_rejection_that_litellm_tells_nobody_about_is_a_failed_event(
    traced: Collector, models: ModelServer, way: str
) -> None:
    router = router_of(models, ("main", "gpt-4o", "one"))
    with pytest.raises(openai.APIError):
        ask(router, way, "unknown", metadata={"team": "search"})
    chains, (event,) = events_of(traced)
    assert chains == []
    assert event["metadata"]["status"] == "failure"
    assert event["error"].startswith("BadRequestError")
    assert event["event_name"] == "completion"
    assert event["inputs"]["chat_history"] == MESSAGES
    assert event["metadata"]["team"] == "search"
    assert event["metadata"]["router"]["model_group"] == "unknown"


def test_no_healthy_deployment(traced: Collector, models: ModelServer) -> None:
    router = router_of(
        models, ("main", "fail-500", "one"), ("main", "fail-500", "two"), allowed_fails=0, cooldown_time=60
    )
    for _ in range(3):
        with pytest.raises(Exception, match=r"500|No deployments|RateLimit"):
            ask(router, "sync", "main", metadata={"session_id": "s"})
    _, attempts = events_of(traced)
    rejected = [a for a in attempts if "attempts" in a["metadata"]["router"]]
    assert rejected, attempts
    assert rejected[-1]["metadata"]["router"]["attempts"] == 0


@pytest.mark.parametrize(
    "strategy",
    ["simple-shuffle", "least-busy", "latency-based-routing", "cost-based-routing", "usage-based-routing-v2"],
)
def test_every_strategy_is_named(traced: Collector, models: ModelServer, strategy: str) -> None:
    ask(router_of(models, ("main", "gpt-4o", "one"), routing_strategy=strategy), "async", "main")
    _, (attempt,) = events_of(traced)
    assert attempt["metadata"]["router"]["routing_strategy"] == strategy


def test_routers_side_by_side_keep_their_requests_apart(traced: Collector, models: ModelServer) -> None:
    async def main() -> None:
        routers = [
            router_of(
                models,
                ("main", "fail-500", f"{n} one"),
                ("spare", "gpt-4o", f"{n} two"),
                fallbacks=[{"main": ["spare"]}],
            )
            for n in range(2)
        ]
        await asyncio.gather(
            *(
                router.acompletion(model="main", messages=MESSAGES, metadata={"session_id": f"{n} {i}"})
                for n, router in enumerate(routers)
                for i in range(5)
            )
        )

    asyncio.run(main())
    assert honeyhive_litellm.flush(20) == 0
    by_session: Dict[str, List[Json]] = {}
    for event in traced.events:
        by_session.setdefault(event["session_id"], []).append(event)
    assert sorted(map(len, by_session.values())) == [3] * 10
    for events in by_session.values():
        (chain,) = (e for e in events if e["event_type"] == "chain")
        children = [e for e in events if e is not chain]
        assert {e["parent_id"] for e in children} == {chain["event_id"]}
        assert {e["metadata"]["router"]["attempt"] for e in children} == {1, 2}


def test_the_callers_parent_is_the_parent_of_the_request(traced: Collector, models: ModelServer) -> None:
    parent = "11111111-2222-4333-8444-555555555555"
    groups = ("main", "fail-500", "one"), ("spare", "gpt-4o", "two")
    router = router_of(models, *groups, fallbacks=[{"main": ["spare"]}])
    ask(router, "async", "main", metadata={"honeyhive_parent_id": parent})
    (chain,), attempts = events_of(traced)
    assert chain["parent_id"] == parent
    assert {a["parent_id"] for a in attempts} == {chain["event_id"]}


@needs_litellm("1.80", "it makes no such error up")
def test_a_fallback_for_a_prompt_that_is_too_long(traced: Collector) -> None:
    error = "litellm.ContextWindowExceededError"
    router = litellm.Router(
        model_list=[
            {"model_name": "main", "litellm_params": {"model": "gpt-4o", "mock_response": error, **KEY}},
            {"model_name": "big", "litellm_params": {"model": "gpt-4o", "mock_response": "big answer", **KEY}},
        ],
        num_retries=0,
        context_window_fallbacks=[{"main": ["big"]}],
    )
    ask(router, "async", "main")
    (chain,), attempts = events_of(traced)
    assert [a["metadata"]["status"] for a in attempts] == ["failure", "success"]
    assert attempts[0]["metadata"]["error_class"] == "ContextWindowExceededError"
    assert chain["outputs"]["served_by"]["model_group"] == "big"


@pytest.mark.parametrize("way", WAYS)
def test_a_fallback_for_what_a_content_filter_refuses(traced: Collector, way: str) -> None:
    refusal = Exception("invalid_request_error content_policy_violation: Your request was rejected")
    router = litellm.Router(
        model_list=[
            {"model_name": "main", "litellm_params": {"model": "gpt-4o", "mock_response": refusal, **KEY}},
            {"model_name": "lax", "litellm_params": {"model": "gpt-4o", "mock_response": "lax answer", **KEY}},
        ],
        num_retries=0,
        content_policy_fallbacks=[{"main": ["lax"]}],
    )
    ask(router, way, "main")
    (chain,), attempts = events_of(traced)
    assert [a["metadata"]["status"] for a in attempts] == ["failure", "success"]
    assert attempts[0]["metadata"]["error_class"] == "ContentPolicyViolationError"
    assert chain["outputs"]["served_by"]["model_group"] == "lax"
    assert {a["parent_id"] for a in attempts} == {chain["event_id"]}


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_request_over_the_rate_limit_of_its_deployments_is_a_failed_event(
    traced: Collector, models: ModelServer, way: str
) -> None:
    router = litellm.Router(
        model_list=[
            {
                "model_name": "main",
                "litellm_params": {
                    "model": "openai/gpt-4o", "api_base": models.url, "api_key": "sk-x", "max_retries": 0, "rpm": 1,
                },
            }
        ],
        routing_strategy="usage-based-routing-v2",
        num_retries=0,
        retry_after=0,
    )  # fmt: skip
    refused: List[Exception] = []
    for _ in range(4):
        try:
            ask(router, way, "main", metadata={"session_id": "s"})
        except (openai.APIError, ValueError) as error:
            refused.append(error)
    # One without a status, of the synchronous Router's, if the requests before were counted in time.
    expected = {(type(error).__name__, getattr(error, "status_code", None)) for error in refused}
    assert refused and expected <= {("RateLimitError", 429), ("ValueError", None)}
    _, events = events_of(traced)
    assert len(events) == 4
    failed = [event for event in events if event["metadata"]["status"] == "failure"]
    assert len(failed) == len(refused)
    errors = {(event["metadata"]["error_class"], event["metadata"].get("status_code")) for event in failed}
    assert errors == expected
    assert all(event["inputs"]["chat_history"] == MESSAGES for event in failed)


def test_why_a_request_ended_is_on_its_parent(traced: Collector, models: ModelServer) -> None:
    groups = ("main", "fail-500", "one"), ("spare", "fail-401", "two")
    router = router_of(models, *groups, fallbacks=[{"main": ["spare"]}])
    with pytest.raises(openai.APIError) as raised:
        ask(router, "async", "main")
    (chain,), attempts = events_of(traced)
    assert chain["metadata"]["error_class"] == type(raised.value).__name__  # what the caller got, first or last
    assert chain["metadata"]["status_code"] == getattr(raised.value, "status_code", None) is not None
    assert chain["duration"] >= attempts[-1]["end_time"] - attempts[0]["start_time"]


@needs_litellm("1.80", "its Router asks on another loop with the connections of the first")
def test_a_cooled_down_deployment_is_passed_over_and_the_attempts_say_so(
    traced: Collector, models: ModelServer
) -> None:
    router = router_of(
        models, ("main", "fail-500", "bad"), ("spare", "gpt-4o", "good"),
        fallbacks=[{"main": ["spare"]}], allowed_fails=0, cooldown_time=60,
    )  # fmt: skip
    for _ in range(2):
        ask(router, "async", "main", metadata={"session_id": "s"})
    chains, (failed, fallen_back, passed_over) = events_of(traced)
    assert len(chains) == 1  # of the request with two attempts
    assert failed["metadata"]["router"]["deployment_id"] == "bad"
    for event in fallen_back, passed_over:
        assert event["metadata"]["router"]["deployment_id"] == "good"
        assert event["metadata"]["router"]["requested_model_group"] == "main"


def test_a_router_embeds(traced: Collector, models: ModelServer) -> None:
    groups = ("main", "fail-500", "one"), ("spare", "embed", "two")
    router = router_of(models, *groups, fallbacks=[{"main": ["spare"]}])
    router.embedding(model="main", input=["a", "b"])
    asyncio.run(router.aembedding(model="main", input=["a", "b"]))
    assert honeyhive_litellm.flush(20) == 0
    chains = [event for event in traced.events if event["event_type"] == "chain"]
    assert len(chains) == 2 and len(traced.events) == 6
    assert {chain["event_name"] for chain in chains} == {"embedding"}
    assert {tuple(chain["inputs"]["chunks"]) for chain in chains} == {("a", "b")}


# ---- what a Router leaves behind, and calls that fall back without one


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_later_direct_call_with_the_same_metadata_has_nothing_of_the_router(
    traced: Collector, models: ModelServer, way: str
) -> None:
    router = router_of(models, ("main", "fail-500", "d1"), ("spare", "gpt-4o", "d2"), fallbacks=[{"main": ["spare"]}])
    metadata = {"session_id": "job"}
    ask(router, way, "main", metadata=metadata)
    assert "model_group" in metadata, "LiteLLM writes into the caller's dictionary"
    direct = {"model": "openai/gpt-4o-mini", "api_base": models.url, "metadata": metadata, **KEY}
    litellm.completion(messages=MESSAGES, **direct)
    litellm.embedding(input=["bees"], **{**direct, "model": "openai/text-embedding-3-small"})
    honeyhive_litellm.flush(20)
    later = [event for event in traced.events if event["config"]["model"] in ("gpt-4o-mini", "text-embedding-3-small")]
    assert len(later) == 2
    assert all("router" not in event["metadata"] and event["parent_id"] == event["session_id"] for event in later)
    assert len({event["session_id"] for event in traced.events}) == 1
    assert {event["metadata"]["router"]["model_group"] for event in traced.events if event not in later} == {
        "main", "spare",
    }  # fmt: skip


@needs_litellm("1.80", "it ends the first attempt's record with the whole call")
@pytest.mark.parametrize("way", ["sync", "async", "async stream"])
def test_a_call_with_fallbacks_is_one_request_like_a_routers(traced: Collector, models: ModelServer, way: str) -> None:
    request: Json = {
        "model": "openai/fail-500",
        "messages": MESSAGES,
        "fallbacks": ["openai/fail-429", {"model": "openai/gpt-4o"}],
        "api_base": models.url,
        "max_retries": 0,
        "stream": way == "async stream",
        **KEY,
    }

    async def later() -> None:
        response = await litellm.acompletion(**request)
        if request["stream"]:
            async for _ in response:
                pass
        await honeyhive_litellm.aflush(20)

    if way == "sync":
        litellm.completion(**request)
    else:
        asyncio.run(later())
    honeyhive_litellm.flush(20)
    (parent,), attempts = events_of(traced)
    statuses = [(attempt["config"]["model"], attempt["metadata"]["status"]) for attempt in attempts]
    assert statuses == [("fail-500", "failure"), ("fail-429", "failure"), ("gpt-4o", "success")]
    assert {attempt["parent_id"] for attempt in attempts} == {parent["event_id"]}
    assert len({event["session_id"] for event in traced.events}) == 1
    assert [attempt["metadata"]["router"]["attempt"] for attempt in attempts] == [1, 2, 3]
    failed = [failure["model"] for failure in parent["metadata"]["router"]["fallback_info"]]
    assert failed == ["openai/fail-500", "openai/fail-429"]
    assert parent["outputs"]["served_by"] == {"attempt": 3, "model": "openai/gpt-4o"}
    assert parent["metadata"]["status"] == "success"
    assert KEY["api_key"] not in str(traced.events)


@needs_litellm("1.80", "it ends the first attempt's record with the whole call")
def test_a_call_whose_fallbacks_all_fail_is_a_failed_request(traced: Collector, models: ModelServer) -> None:
    request: Json = {"model": "openai/fail-500", "fallbacks": ["openai/fail-429"], "api_base": models.url, **KEY}
    with pytest.raises(Exception, match="All fallback attempts failed"):
        litellm.completion(messages=MESSAGES, max_retries=0, **request)
    honeyhive_litellm.flush(20)
    (parent,), attempts = events_of(traced)
    assert [attempt["metadata"]["status"] for attempt in attempts] == ["failure", "failure"]
    assert parent["metadata"]["status"] == "failure"
