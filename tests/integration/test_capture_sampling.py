"""`sample_rate`: whole sessions or none of them, whatever went wrong always, and every call counted."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any, Dict, Iterator, List

import litellm
import pytest
from hypothesis import given
from hypothesis import strategies as st

import honeyhive_litellm
from honeyhive_litellm._mapping.ids import is_in_sample, session_id
from honeyhive_litellm.testing import Collector, ModelServer

from ..faults.programs import drain, start, until_written

MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture
def route() -> Iterator[Dict[str, Any]]:
    with ModelServer() as models:
        yield {"api_base": models.url, "api_key": "sk-local", "messages": MESSAGES, "max_retries": 0}


def record(collector: Collector, folder: Path, **options: Any) -> None:
    honeyhive_litellm.init(api_key="hh_key", project="tests", api_url=collector.url, spool_path=folder, **options)


@pytest.mark.parametrize("options", [{}, {"strict": True}, {"capture_in_flight": False}])
def test_of_calls_outside_the_sample_only_those_that_went_wrong_are_recorded(
    collector: Collector, tmp_path: Path, route: Dict[str, Any], options: Dict[str, Any]
) -> None:
    record(collector, tmp_path, sample_rate=0, **options)

    async def calls() -> None:
        await litellm.acompletion(model="openai/gpt-4o", **route)
        async for _ in await litellm.acompletion(model="openai/gpt-4o", stream=True, **route):
            pass
        async for _ in await litellm.acompletion(model="openai/gpt-4o", stream=True, **route):
            break
        with pytest.raises(litellm.RateLimitError):
            await litellm.acompletion(model="openai/fail-429", **route)

    asyncio.run(calls())
    litellm.completion(model="openai/gpt-4o", **route)
    for _ in litellm.completion(model="openai/gpt-4o", stream=True, **route):
        pass
    with pytest.raises(litellm.BadRequestError):
        litellm.completion(model="openai/fail-400", **route)
    collector.wait_for(3, 30)
    assert honeyhive_litellm.flush(20) == 0
    stats = honeyhive_litellm.stats()
    seen = sorted((event["config"]["model"], event["metadata"]["status"]) for event in collector.events)
    assert seen == [("fail-400", "failure"), ("fail-429", "failure"), ("gpt-4o", "abandoned")]
    assert (stats.accepted, stats.delivered, stats.sampled, stats.in_flight) == (3, 3, 4, 0)
    assert honeyhive_litellm.shutdown(5) == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file() and b"hello" in path.read_bytes()] == []


def test_a_session_is_recorded_as_a_whole_or_not_at_all(collector: Collector, tmp_path: Path) -> None:
    record(collector, tmp_path, sample_rate=0.4)
    names = [f"chat {number}" for number in range(60)]
    for name in names * 2:
        metadata = {"session_id": name}
        litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="hi", metadata=metadata)
    assert honeyhive_litellm.flush(30) == 0
    stats = honeyhive_litellm.stats()
    honeyhive_litellm.shutdown(5)
    recorded: List[str] = [event["metadata"]["session_id"] for event in collector.events]
    kept = [name for name in names if is_in_sample(name, 0.4)]
    assert sorted(recorded) == sorted(kept * 2)
    assert 0 < len(kept) < 60
    assert stats.accepted == len(recorded)
    assert stats.accepted + stats.sampled == 120


def test_the_attempts_at_one_router_call_share_their_fate_and_a_failed_one_its_parent(
    collector: Collector, tmp_path: Path, route: Dict[str, Any]
) -> None:
    record(collector, tmp_path, sample_rate=0)
    served = {name: value for name, value in route.items() if name != "messages"}
    router = litellm.Router(
        model_list=[
            {"model_name": "main", "litellm_params": {"model": "openai/fail-500", **served}},
            {"model_name": "spare", "litellm_params": {"model": "openai/gpt-4o", **served}},
        ],
        fallbacks=[{"main": ["spare"]}],
        num_retries=0,
    )
    router.completion(model="main", messages=MESSAGES)
    router.completion(model="spare", messages=MESSAGES)
    assert honeyhive_litellm.flush(20) == 0
    assert honeyhive_litellm.stats().sampled == 2
    honeyhive_litellm.shutdown(5)
    events = {event["event_type"]: event for event in collector.events}
    assert set(events) == {"model", "chain"}
    assert events["model"]["metadata"]["status"] == "failure"
    assert events["model"]["parent_id"] == events["chain"]["event_id"]


@pytest.mark.parametrize("strict", ["0", "1"])
def test_a_kill_reports_the_call_it_interrupted_and_none_that_had_ended(tmp_path: Path, strict: str) -> None:
    with Collector() as collector, ModelServer() as models:
        code = f"""
async def main():
    for _ in range(20):
        await call("an answer outside the sample")
    await until_on_loop(lambda: honeyhive_litellm.stats().sampled == 20)
    messages = [{{"role": "user", "content": "the last question"}}]
    await litellm.acompletion(model="openai/hang", messages=messages, api_base="{models.url}", api_key="sk-x")
asyncio.run(main())
"""
        variables = {"HONEYHIVE_SAMPLE_RATE": "0", "HONEYHIVE_STRICT": strict}
        with start(code, collector.url, tmp_path, **variables) as process:
            models.wait_for(1, 60)
            until_written(tmp_path, b"the last question")
            process.kill()
            process.communicate()
        drain(collector.url, tmp_path)
        (event,) = collector.events
        assert event["metadata"]["status"] == "interrupted"
        assert event["config"]["model"] == "hang"


@given(st.uuids(), st.floats(0, 1), st.floats(0, 1))
def test_a_sample_is_part_of_every_larger_one(id_: uuid.UUID, one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert is_in_sample(str(id_), 1)
    assert not is_in_sample(str(id_), 0)
    assert is_in_sample(str(id_), large) or not is_in_sample(str(id_), small)
    assert is_in_sample(id_.hex.upper(), one) is is_in_sample(str(id_), one)
    assert is_in_sample(session_id("chat"), one) is is_in_sample("chat", one)


def test_a_sample_has_about_its_share_of_all_ids() -> None:
    ids = [str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))) for number in range(4000)]
    for share in (0.01, 0.25, 0.9):
        assert sum(is_in_sample(id_, share) for id_ in ids) / 4000 == pytest.approx(share, abs=0.03)
