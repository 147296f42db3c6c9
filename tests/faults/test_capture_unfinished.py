"""Calls that never ended: each is one event all the same, and says how far it came."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any, AsyncIterator, Awaitable, Callable, Dict, Iterator, List, TypeVar

import litellm
import openai
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

import honeyhive_litellm
from honeyhive_litellm._instrumentation import logger as logger_module
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import needs_litellm
from .programs import drain, signal_ready, start, until_written

MESSAGES = [{"role": "user", "content": "hello"}]
T = TypeVar("T")


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture
def route(models: ModelServer) -> Dict[str, Any]:
    return {"api_base": models.url, "api_key": "sk-local", "messages": MESSAGES, "max_retries": 0}


async def elsewhere(work: Callable[..., T], *arguments: Any) -> T:
    """Wait for `work` while the loop goes on."""
    return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)


async def cancelled_under_way(work: Awaitable[Any]) -> None:
    """Cancel a task that is under way."""
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def only(collector: Collector, status: str) -> Dict[str, Any]:
    collector.wait_for(1, 30)
    (event,) = collector.events
    assert set(collector.receipts.values()) == {1}
    assert event["metadata"]["status"] == status
    assert event["metadata"]["success"] is False
    assert event["inputs"]["chat_history"] == MESSAGES
    assert event["end_time"] - event["start_time"] == pytest.approx(event["duration"], abs=0.01)
    return event


async def test_a_call_whose_task_is_cancelled(traced: Collector, models: ModelServer, route: Dict[str, Any]) -> None:
    began = time.time() * 1000
    task = asyncio.ensure_future(litellm.acompletion(model="openai/hang", **route))
    await elsewhere(models.wait_for, 1, 20.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    event = await elsewhere(only, traced, "cancelled")
    assert event["error"].startswith("Cancelled")
    assert began <= event["start_time"] <= event["end_time"] <= time.time() * 1000
    assert "outputs" not in event or not event["outputs"].get("content")


@needs_litellm("1.80", "it states no usage of what it counted itself")
async def test_a_stream_whose_reader_is_cancelled_keeps_the_text_that_had_come(
    traced: Collector, route: Dict[str, Any]
) -> None:
    stream = await litellm.acompletion(model="openai/stall-2", stream=True, **route)
    text = ""
    for _ in range(2):
        text += (await stream.__anext__()).choices[0].delta.content or ""
    await cancelled_under_way(stream.__anext__())
    del stream
    event = await elsewhere(only, traced, "cancelled")
    assert text and event["outputs"]["content"] == text
    assert event["metadata"]["usage_estimated"] is True
    assert event["metadata"]["completion_tokens"] > 0


async def test_a_cancelled_stream_that_something_still_refers_to_is_recorded_soon(
    traced: Collector, route: Dict[str, Any]
) -> None:
    stream = await litellm.acompletion(model="openai/stall-1", stream=True, **route)
    await stream.__anext__()
    await cancelled_under_way(stream.__anext__())
    event = await elsewhere(only, traced, "cancelled")
    assert event["outputs"]["content"]
    # The last sign of life was the chunk, seconds before it was plain that nobody reads on.
    assert event["duration"] < 4000
    del stream


@pytest.mark.parametrize("read", [0, 2])
def test_a_sync_stream_that_is_dropped(traced: Collector, route: Dict[str, Any], read: int) -> None:
    stream = litellm.completion(model="openai/long-1", stream=True, **route)
    text = "".join(next(stream).choices[0].delta.content or "" for _ in range(read))
    gc.disable()  # this must not wait for some collection
    try:
        del stream
        event = only(traced, "abandoned")
    finally:
        gc.enable()
    assert event["outputs"].get("content", "") == text


@pytest.mark.parametrize("read", [0, 2])
async def test_an_async_stream_that_is_dropped(traced: Collector, route: Dict[str, Any], read: int) -> None:
    stream = await litellm.acompletion(model="openai/long-1", stream=True, **route)
    text = ""
    for _ in range(read):
        text += (await stream.__anext__()).choices[0].delta.content or ""
    del stream
    event = await elsewhere(only, traced, "abandoned")
    assert event["outputs"].get("content", "") == text


@pytest.mark.parametrize(
    "is_async",
    [
        False,
        pytest.param(True, marks=needs_litellm("1.110", "it reports an async stream that broke as a success")),
    ],
)
def test_a_stream_that_breaks_is_a_failure_with_the_text_that_had_come(
    traced: Collector, route: Dict[str, Any], is_async: bool
) -> None:
    text: List[str] = []

    async def read() -> None:
        stream = await litellm.acompletion(model="openai/break-2", stream=True, **route)
        while True:
            text.append((await stream.__anext__()).choices[0].delta.content or "")

    with pytest.raises(openai.APIError):
        if is_async:
            asyncio.run(read())
        else:
            stream = litellm.completion(model="openai/break-2", stream=True, **route)
            text.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    event = only(traced, "failure")
    assert text and event["outputs"]["content"] == "".join(text)
    assert event["metadata"]["error_class"] and event["error"]


def test_the_client_of_a_service_that_goes_away(traced: Collector, route: Dict[str, Any]) -> None:
    app = FastAPI()

    @app.get("/")
    async def answer() -> StreamingResponse:
        async def text() -> AsyncIterator[str]:
            async for chunk in await litellm.acompletion(model="openai/stall-2", stream=True, **route):
                yield chunk.choices[0].delta.content or ""

        return StreamingResponse(text())

    # An older LiteLLM leaves the provider's connection open. uvloop cannot close over the warning, an error here.
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off", loop="asyncio"))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with socket.create_connection(listening.getsockname()) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
                received = b""
                while b"answer" not in received:
                    received += client.recv(4096)
            event = only(traced, "cancelled")
        finally:
            server.should_exit = True
            thread.join(20)
    assert not thread.is_alive()
    assert event["outputs"]["content"]


def test_streams_that_are_open_when_the_process_ends(tmp_path: Path) -> None:
    with Collector() as collector, ModelServer() as models:
        route = f"api_base={models.url!r}, api_key='sk-x', messages=MESSAGES"
        code = f"""
sync = litellm.completion(model="openai/stall-1", stream=True, {route})
next(sync)
async def main():
    global kept
    kept = await litellm.acompletion(model="openai/stall-1", stream=True, {route})
    await kept.__anext__()
asyncio.run(main())
"""
        with start(code, collector.url, tmp_path) as process:
            _, err = process.communicate(timeout=60)
        # Python 3.13.0 crashes at its very end when it collects a sync stream of httpx's, without us as well.
        crashes = (-signal.SIGSEGV,) if sys.version_info[:2] == (3, 13) else ()
        assert process.returncode in (0, *crashes), (process.returncode, err[-4000:])
        collector.wait_for(2, 20)
        assert [event["metadata"]["status"] for event in collector.events] == ["abandoned"] * 2
        assert all(event["outputs"]["content"] for event in collector.events)
        assert set(collector.receipts.values()) == {1}


@needs_litellm("1.80", "it tries a call less often")
def test_the_attempts_of_one_call_are_events_of_their_own(traced: Collector, route: Dict[str, Any]) -> None:
    async def calls() -> None:
        # LiteLLM hands `num_retries` to the provider's client as well: three requests are one attempt of its own.
        await litellm.acompletion(model="openai/flaky-4", num_retries=2, **route)
        await litellm.acompletion(model="openai/fail-500", fallbacks=["openai/spare"], **route)

    asyncio.run(calls())
    assert honeyhive_litellm.flush(20) == 0
    seen = [(event["event_type"], event["config"]["model"], event["metadata"]["status"]) for event in traced.events]
    assert sorted(seen) == sorted(
        [
            *[("model", "flaky-4", "failure")] * 2,
            ("model", "flaky-4", "success"),
            ("chain", "fail-500", "success"),  # the call as a whole, with the model that the caller named
            ("model", "fail-500", "failure"),
            ("model", "spare", "success"),
        ]
    )
    assert set(traced.receipts.values()) == {1}


def test_calls_leave_nothing_behind(traced: Collector, route: Dict[str, Any]) -> None:
    """Memory of a call must not outlive it: what grows is counted after many calls of every ending."""

    async def many() -> None:
        for _ in range(60):
            await asyncio.gather(
                *(litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response="hi") for _ in range(25))
            )
            stream = await litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response="a b", stream=True)
            await stream.__anext__()
            with pytest.raises(openai.APIError):
                await litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response=Exception("no"))

    asyncio.run(many())
    gc.collect()
    assert honeyhive_litellm.flush(30) == 0
    traced.wait_for(60 * 27, 30)  # an older LiteLLM may still hold the last stream: its event comes some seconds later
    assert len(traced.events) == 60 * 27
    logger = logger_module._installed
    assert logger is not None
    recorder = logger._runtime.recorder
    pipeline = logger._runtime.channels.main.pipeline
    assert pipeline is not None
    assert (recorder.in_flight, len(recorder._open._freed), honeyhive_litellm.stats().in_flight) == (0, 0, 0)
    assert [segment.open_starts for segment in pipeline.spool.segments()] == [{}]


def test_a_call_that_a_living_process_finds_interrupted_says_when(tmp_path: Path) -> None:
    with Collector() as collector, ModelServer() as models:
        code = f"""
async def main():
    await litellm.acompletion(model="openai/hang", messages=MESSAGES, api_base="{models.url}", api_key="sk-x")
asyncio.run(main())
"""
        began = time.time() * 1000
        with start(code, collector.url, tmp_path) as process:
            models.wait_for(1, 60)
            until_written(tmp_path, b"hello")
            process.kill()
            process.communicate()
        with start(
            """
litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="living")
print("here", flush=True)
sys.stdin.readline()
""",
            collector.url,
            tmp_path,
        ) as living:
            assert signal_ready(living) == "here"
            collector.wait_for(2, 20)
            living.communicate("\n", timeout=30)
        (event,) = [e for e in collector.events if e["metadata"]["status"] == "interrupted"]
        assert began <= event["start_time"] <= time.time() * 1000
        assert event["inputs"]["chat_history"] == MESSAGES
        drain(collector.url, tmp_path)
        assert set(collector.receipts.values()) == {1}


def test_a_call_that_outlives_a_shutdown_and_the_next_init_is_interrupted_when_its_process_dies(tmp_path: Path) -> None:
    with Collector() as collector, ModelServer() as models:
        code = f"""
route = {{"api_base": "{models.url}", "api_key": "sk-x", "messages": MESSAGES}}
threading.Thread(target=litellm.completion, kwargs={{"model": "openai/hang", **route}}, daemon=True).start()
sys.stdin.readline()
honeyhive_litellm.shutdown(0)
honeyhive_litellm.init()
litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="answer")
print(honeyhive_litellm.flush(30), flush=True)
sys.stdin.readline()
"""
        with start(code, collector.url, tmp_path) as process:
            models.wait_for(1, 60)
            until_written(tmp_path, b"hello")
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            assert signal_ready(process) == "0"  # what dead processes left is delivered as well
            assert [event["metadata"]["status"] for event in collector.events] == ["success"]
            process.kill()
            process.communicate()
        drain(collector.url, tmp_path)
        assert [event["metadata"]["status"] for event in collector.events] == ["success", "interrupted"]
        assert set(collector.receipts.values()) == {1}
