from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import SERVER_ERROR

MESSAGES = [{"role": "user", "content": "hello"}]


def assert_once(collector: Collector, events: int) -> None:
    assert len(collector.events) == events
    assert set(collector.receipts.values()) == {1}


def test_a_sync_call_arrives_with_its_answer(traced: Collector) -> None:
    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="hi there")
    assert honeyhive_litellm.flush(5) == 0
    (event,) = traced.events
    assert event["outputs"]["content"] == "hi there"
    assert event["inputs"]["chat_history"] == MESSAGES
    assert event["metadata"]["status"] == "success"


async def test_an_async_call_arrives_with_its_answer(traced: Collector) -> None:
    await litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response="hi there")
    assert await honeyhive_litellm.aflush(5) == 0
    (event,) = traced.events
    assert event["outputs"]["content"] == "hi there"


async def test_a_stream_arrives_assembled(traced: Collector) -> None:
    stream = await litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response="one two three", stream=True)
    async for _ in stream:
        pass
    assert await honeyhive_litellm.aflush(5) == 0
    (event,) = traced.events
    assert event["outputs"]["content"] == "one two three"


def test_a_failure_arrives(traced: Collector) -> None:
    with pytest.raises(getattr(litellm, SERVER_ERROR)):
        litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response=Exception("boom"))
    assert honeyhive_litellm.flush(5) == 0
    (event,) = traced.events
    assert event["metadata"]["status"] == "failure"
    assert SERVER_ERROR in event["error"]


async def test_a_thousand_concurrent_calls_are_a_thousand_events(traced: Collector) -> None:
    answers = await asyncio.gather(
        *(litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response=f"answer {i}") for i in range(1000))
    )
    assert len(answers) == 1000
    assert await honeyhive_litellm.aflush(30) == 0
    assert_once(traced, 1000)
    assert {e["outputs"]["content"] for e in traced.events} == {f"answer {i}" for i in range(1000)}
    stats = honeyhive_litellm.stats()
    assert stats.accepted == stats.delivered + stats.pending + stats.dead + sum(stats.dropped.values())


def test_a_thousand_sync_calls_are_a_thousand_events(traced: Collector) -> None:
    for i in range(1000):
        litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response=f"answer {i}")
    assert honeyhive_litellm.flush(30) == 0
    assert_once(traced, 1000)


async def test_a_thousand_streams_are_a_thousand_events(traced: Collector) -> None:
    async def read(i: int) -> None:
        stream = await litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response=f"answer {i}", stream=True)
        async for _ in stream:
            pass

    await asyncio.gather(*(read(i) for i in range(1000)))
    assert await honeyhive_litellm.aflush(30) == 0
    assert_once(traced, 1000)
    assert {e["outputs"]["content"] for e in traced.events} == {f"answer {i}" for i in range(1000)}


def test_a_loop_per_call_in_one_process(traced: Collector) -> None:
    for i in range(20):
        asyncio.run(call(f"run {i}"))
    assert honeyhive_litellm.flush(15) == 0
    assert_once(traced, 20)
    assert {e["outputs"]["content"] for e in traced.events} == {f"run {i}" for i in range(20)}


def test_calls_from_eight_threads_and_from_two_loops_at_once(traced: Collector) -> None:
    async def many(name: str) -> None:
        await asyncio.gather(*(call(f"{name} {i}") for i in range(20)))

    def sync(name: str) -> None:
        for i in range(10):
            litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response=f"{name} {i}")

    threads = [threading.Thread(target=sync, args=(f"thread {n}",)) for n in range(8)]
    threads += [threading.Thread(target=lambda n=n: asyncio.run(many(f"loop {n}"))) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert honeyhive_litellm.flush(15) == 0
    assert_once(traced, 8 * 10 + 2 * 20)


async def call(answer: str, **options: Any) -> Any:
    return await litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response=answer, **options)


def test_init_twice_is_harmless(traced: Collector, tmp_path: Path) -> None:
    before = list(litellm.callbacks)
    honeyhive_litellm.init(api_key="hh_key", project="tests", api_url=traced.url, spool_path=tmp_path)
    assert litellm.callbacks == before
    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="hi")
    assert honeyhive_litellm.flush(5) == 0
    assert_once(traced, 1)


def test_a_logger_registered_by_hand_beside_init_records_a_call_once(traced: Collector, tmp_path: Path) -> None:
    logger = honeyhive_litellm.HoneyHiveLogger(
        api_key="hh_key", project="tests", api_url=traced.url, spool_path=tmp_path
    )
    litellm.callbacks.append(logger)
    try:
        litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="hi")
        assert honeyhive_litellm.flush(5) == 0
        assert_once(traced, 1)
    finally:
        from honeyhive_litellm._instrumentation.callback_lists import remove_everywhere

        remove_everywhere(logger)


async def test_a_dropped_stream_is_abandoned_and_a_cancelled_call_is_cancelled(traced: Collector) -> None:
    with ModelServer() as models:
        route: Any = {"api_base": models.url, "api_key": "sk-local", "messages": MESSAGES, "max_retries": 0}
        stream = await litellm.acompletion(model="openai/gpt-4o", stream=True, **route)
        async for _ in stream:
            break
        del stream
        task = asyncio.ensure_future(litellm.acompletion(model="openai/hang", **route))
        await asyncio.get_running_loop().run_in_executor(None, models.wait_for, 2, 10.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        del task
        await asyncio.get_running_loop().run_in_executor(None, traced.wait_for, 2, 10.0)
    assert sorted(e["metadata"]["status"] for e in traced.events) == ["abandoned", "cancelled"]
