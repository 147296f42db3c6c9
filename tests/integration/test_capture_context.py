"""Whose session a call is in: ours, HoneyHive's tracer's, the caller's; read where the call is made."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import uuid
from typing import Any, Dict, Iterator, List

import litellm
import pytest
from opentelemetry import baggage, context
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import TracerProvider

import honeyhive_litellm
from honeyhive_litellm._mapping.ids import session_id
from honeyhive_litellm.testing import Collector

from ..versions import needs_litellm
from ..waiting import until_on_loop

MESSAGES = [{"role": "user", "content": "hello"}]
ONE = "11111111-2222-4333-8444-555555555555"
Json = Dict[str, Any]


def ask(**options: Any) -> None:
    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="hi", **options)


async def ask_later(**options: Any) -> None:
    response = await litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response="hi", **options)
    if options.get("stream"):
        async for _ in response:
            pass


def events_of(collector: Collector) -> List[Json]:
    assert honeyhive_litellm.flush(20) == 0
    return sorted(collector.events, key=lambda event: event["start_time"])


def only(collector: Collector) -> Json:
    (event,) = events_of(collector)
    return event


def names_of(collector: Collector) -> Dict[str, str]:
    return {s["session_id"]: s["session_name"] for s in collector.sessions}


def test_calls_inside_a_session_are_in_it_and_those_outside_are_not(traced: Collector) -> None:
    with honeyhive_litellm.session(name="checkout", user_properties={"user_id": "u1", "plan": "pro"}) as session:
        ask()
        ask(metadata={"user_id": "u2"})
    ask()
    first, second, outside = events_of(traced)
    assert first["session_id"] == second["session_id"] == session.session_id != outside.get("session_id")
    assert first["metadata"]["session_name"] == "checkout"
    assert first["user_properties"] == {"user_id": "u1", "plan": "pro"}
    assert second["user_properties"] == {"user_id": "u2", "plan": "pro"}
    assert "user_properties" not in outside
    assert names_of(traced)[session.session_id] == "checkout"


@pytest.mark.parametrize("stream", [False, True])
def test_a_session_holds_across_tasks_and_not_beside_them(traced: Collector, stream: bool) -> None:
    async def request(name: str) -> str:
        async with honeyhive_litellm.session(name=name) as session:
            await asyncio.gather(*(ask_later(stream=stream) for _ in range(3)))
            return session.session_id

    async def main() -> List[str]:
        return list(await asyncio.gather(*(request(f"s{n}") for n in range(4))))

    sessions = asyncio.run(main())
    assert len(set(sessions)) == 4
    assert sorted(event["session_id"] for event in events_of(traced)) == sorted(sessions * 3)


def test_a_session_holds_in_threads_that_inherit_the_context(traced: Collector) -> None:
    with honeyhive_litellm.session() as session:
        inheriting = threading.Thread(target=contextvars.copy_context().run, args=(ask,))
        inheriting.start()
        inheriting.join()
    assert only(traced)["session_id"] == session.session_id


def test_the_inner_session_wins_and_then_the_outer_one_is_back(traced: Collector) -> None:
    with honeyhive_litellm.session() as outer:
        with honeyhive_litellm.session(session_id="chat-42", name="chat") as inner:
            ask()
        ask()
    first, second = events_of(traced)
    assert inner.session_id == session_id("chat-42") == first["session_id"]
    assert first["metadata"]["session_id"] == "chat-42"
    assert second["session_id"] == outer.session_id


def test_tasks_that_share_a_session_each_leave_it_in_any_order(traced: Collector) -> None:
    session = honeyhive_litellm.session()

    async def request(entered: asyncio.Event, leave: asyncio.Event) -> None:
        with session:
            entered.set()
            await leave.wait()
        await ask_later()

    async def main() -> None:
        first_entered, first_leaves, second_entered, second_leaves = (asyncio.Event() for _ in range(4))
        first = asyncio.ensure_future(request(first_entered, first_leaves))
        await first_entered.wait()
        second = asyncio.ensure_future(request(second_entered, second_leaves))
        await second_entered.wait()
        for leaves, task in ((first_leaves, first), (second_leaves, second)):
            leaves.set()
            await asyncio.wait_for(task, 30)

    asyncio.run(main())
    assert [event.get("session_id") == session.session_id for event in events_of(traced)] == [False, False]


def test_what_the_call_says_wins(traced: Collector) -> None:
    with honeyhive_litellm.session(name="outer"):
        ask(metadata={"session_id": ONE})
    event = only(traced)
    assert event["session_id"] == ONE
    assert "session_name" not in event["metadata"]


def test_a_session_wins_over_litellms_own_ids(traced: Collector) -> None:
    with honeyhive_litellm.session() as session:
        ask(litellm_session_id="other")
    assert only(traced)["session_id"] == session.session_id


def test_all_that_a_router_does_for_a_call_is_in_its_session(traced: Collector) -> None:
    error = "litellm.InternalServerError"
    router = litellm.Router(
        model_list=[
            {"model_name": "main", "litellm_params": {"model": "gpt-4o", "mock_response": error, "api_key": "sk-x"}},
            {"model_name": "spare", "litellm_params": {"model": "gpt-4o", "mock_response": "hi", "api_key": "sk-x"}},
        ],
        fallbacks=[{"main": ["spare"]}],
        num_retries=0,
    )
    with honeyhive_litellm.session(name="routed") as session:
        router.completion(model="main", messages=MESSAGES)
        with pytest.raises(litellm.BadRequestError):
            router.completion(model="nosuch", messages=MESSAGES)
    events = events_of(traced)
    assert sorted(event["event_type"] for event in events) == ["chain", "model", "model", "model"]
    assert {event["session_id"] for event in events} == {session.session_id}


@needs_litellm("1.80", "its cache cannot read the types of today's openai package, and keeps nothing")
def test_a_cached_answer_is_in_the_session_too(traced: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "cache", None)
    litellm.enable_cache(type="local")
    try:

        async def main() -> str:
            await ask_later(caching=True)
            async with honeyhive_litellm.session() as session:
                await until_on_loop(lambda: litellm.cache.cache.cache_dict)  # LiteLLM fills it in the background
                ask_again = litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response="hi", caching=True)
                assert (await ask_again)._hidden_params["cache_hit"]
                return session.session_id

        session = asyncio.run(main())
    finally:
        litellm.disable_cache()
    (hit,) = (event for event in events_of(traced) if event["metadata"].get("cache_hit"))
    assert hit["session_id"] == session


def test_a_session_left_in_another_context_raises_nothing() -> None:
    session = honeyhive_litellm.session()
    contextvars.copy_context().run(session.__enter__)
    session.__exit__()


@pytest.mark.parametrize("options", [{"name": 3}, {"session_id": b"x"}, {"user_properties": "u"}])
def test_a_value_of_another_kind_is_refused_with_a_word_on_which(options: Any) -> None:
    with pytest.raises(TypeError, match=next(iter(options))):
        honeyhive_litellm.session(**options)


# ---- OpenTelemetry, and HoneyHive's SDK on top of it


@pytest.fixture
def tracer() -> otel.Tracer:
    return TracerProvider().get_tracer("tests")


@pytest.mark.parametrize("is_async", [False, True])
def test_the_ids_of_the_span_that_a_call_is_in_are_kept(traced: Collector, tracer: otel.Tracer, is_async: bool) -> None:
    with tracer.start_as_current_span("request") as span:
        if is_async:
            asyncio.run(ask_later(stream=True))
        else:
            ask()
    ids = span.get_span_context()
    event = only(traced)
    assert event["metadata"]["otel"] == {"trace_id": f"{ids.trace_id:032x}", "span_id": f"{ids.span_id:016x}"}
    assert "session_id" not in event or event["session_id"] != session_id(f"{ids.trace_id:032x}")


def test_baggage_names_the_session_the_parent_and_the_experiment(traced: Collector) -> None:
    members = {"session_id": ONE, "parent_id": str(uuid.UUID(int=7)), "run_id": "run-1", "datapoint_id": "d"}
    surroundings = context.get_current()
    for name, value in members.items():
        surroundings = baggage.set_baggage(name, value, surroundings)
    token = context.attach(surroundings)
    try:
        ask()
    finally:
        context.detach(token)
    event = only(traced)
    assert event["session_id"] == ONE
    assert event["parent_id"] == members["parent_id"]
    assert {name: event["metadata"][name] for name in ("run_id", "datapoint_id")} == {
        "run_id": "run-1",
        "datapoint_id": "d",
    }


def test_a_parent_set_on_the_span_is_the_parent(traced: Collector, tracer: otel.Tracer) -> None:
    with tracer.start_as_current_span("step", attributes={"honeyhive_event_id": ONE}):
        ask()
    assert only(traced)["parent_id"] == ONE


def test_our_session_wins_over_baggage_and_keeps_the_trace(traced: Collector, tracer: otel.Tracer) -> None:
    token = context.attach(baggage.set_baggage("session_id", ONE))
    try:
        with honeyhive_litellm.session() as session, tracer.start_as_current_span("request"):
            ask()
    finally:
        context.detach(token)
    event = only(traced)
    assert event["session_id"] == session.session_id
    assert event["metadata"]["otel"]["trace_id"]


@pytest.fixture
def honeyhive_tracer() -> Iterator[Any]:
    honeyhive = pytest.importorskip("honeyhive", reason="HoneyHive's SDK needs Python 3.11")
    from honeyhive.tracer import registry

    running = honeyhive.HoneyHiveTracer.init(api_key="hh_x", test_mode=True)
    yield running
    registry.clear_registry()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_call_inside_a_honeyhive_trace_is_in_its_session(traced: Collector, honeyhive_tracer: Any) -> None:
    from honeyhive import trace

    def step() -> None:
        ask()

    trace(step)()
    event = only(traced)
    assert event["session_id"] == honeyhive_tracer.session_id
    assert event["metadata"]["otel"]["span_id"]


def test_without_opentelemetry_no_span_is_recorded(
    traced: Collector, monkeypatch: pytest.MonkeyPatch, tracer: otel.Tracer
) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    with tracer.start_as_current_span("request"):
        ask()
    assert "otel" not in only(traced)["metadata"]


def test_a_session_is_created_with_the_users_of_its_first_event(traced: Collector) -> None:
    with honeyhive_litellm.session("checkout", user_properties={"plan": "pro"}) as first:
        ask(metadata={"user_id": "u1"})
    ask(metadata={"session_id": "other", "user_properties": {"plan": "free"}})
    assert honeyhive_litellm.flush(20) == 0
    users = {session["session_name"]: session.get("user_properties") for session in traced.sessions}
    assert users == {"checkout": {"plan": "pro", "user_id": "u1"}, "other": {"plan": "free"}}
    assert first.session_id in {session["session_id"] for session in traced.sessions}
