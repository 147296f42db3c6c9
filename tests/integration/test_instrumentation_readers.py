"""Streams whose events LiteLLM reports as they are not: the event has what the reader got."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any, Dict, List, Tuple

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm.testing import Collector

from ..property.streams import BROKEN, ENDED, HELD, WHOLE, Event, Script, ScriptServer
from ..versions import needs_litellm
from ..waiting import PATIENCE_S

pytestmark = [
    needs_litellm("1.110", "its streams break otherwise, or are reported in less detail"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

START = {
    "type": "message_start",
    "message": {
        "id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 4, "output_tokens": 1},
    },
}  # fmt: skip
TEXT: Event = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
HELLO: Event = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}
ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
END = [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}]
STOP = {"type": "message_stop"}


def chunk(**delta: Any) -> Event:
    reason = delta.pop("end", None)
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini", "choices": [choice]}


def script(protocol: str, *events: Event, ending: str = WHOLE, reads: int = 0) -> Script:
    return Script(protocol, protocol, tuple(events), True, ending, 1000, 4096, reads)


async def read(stream: Any, script: Script) -> None:
    try:
        count = 0
        async for _ in stream:
            count += 1
            if count == script.reads:
                break
    except Exception:
        pass  # what the event says of it is looked at
    del stream
    await honeyhive_litellm.aflush(10)


def event_of(traced: Collector, script: Script, **arguments: Any) -> Dict[str, Any]:
    with ScriptServer() as server:
        server.scripts = {1: script}
        content = [{"role": "user", "content": "case-1"}]
        route = {"api_base": server.url, "api_key": "sk-local", "stream": True, "messages": content}

        async def ask() -> None:
            if script.protocol == "messages":
                create: Any = litellm.anthropic.messages.acreate
                stream = await create(model="anthropic/claude-sonnet-4-5", max_tokens=9, **route)
            else:
                stream = await litellm.acompletion(model="openai/gpt-4o-mini", max_retries=0, **route, **arguments)
            await read(stream, script)

        asyncio.run(ask())
        gc.collect()
        assert honeyhive_litellm.flush(10) == 0
    (event,) = traced.events
    found: Dict[str, Any] = event
    return found


MESSAGES: List[Tuple[str, Script, str, Dict[str, Any]]] = [
    ("whole", script("messages", START, TEXT, HELLO, *END, STOP), "success", {"finish_reason": "end_turn"}),
    ("an error event", script("messages", START, TEXT, HELLO, ERROR), "failure", {}),
    ("an end without the last event", script("messages", START, TEXT, HELLO, ending=ENDED), "failure", {}),
    ("a cut connection", script("messages", START, TEXT, HELLO, ending=BROKEN), "failure", {}),
]


@pytest.mark.parametrize(
    ("script", "status", "outputs"), [case[1:] for case in MESSAGES], ids=[case[0] for case in MESSAGES]
)
def test_a_stream_of_messages_ends_as_its_reader_saw_it(
    traced: Collector, script: Script, status: str, outputs: Dict[str, Any]
) -> None:
    event = event_of(traced, script)
    assert event["metadata"]["status"] == status
    assert event["outputs"] == {"role": "assistant", "content": "Hello", **outputs}
    assert 0 < event["metadata"]["time_to_first_token_ms"] <= event["metadata"]["duration_ms"]
    if ERROR in script.events:
        assert event["error"] == "overloaded_error: Overloaded"
        assert event["metadata"]["error_class"] == "overloaded_error"


def test_a_stream_with_sound_has_its_transcript(traced: Collector, capfd: pytest.CaptureFixture[str]) -> None:
    sound = [{"audio": {"id": "a", "transcript": "hel"}}, {"audio": {"data": "QUJD", "transcript": "lo"}}]
    event = event_of(traced, script("chat", *(chunk(**delta) for delta in sound), chunk(end="stop")))
    assert event["metadata"]["status"] == "success"
    assert event["outputs"]["audio"]["transcript"] == "hello"
    assert capfd.readouterr().err.count("Traceback (most recent call last)") <= 1


def test_an_empty_stream_that_was_read_to_its_end_is_a_success(traced: Collector) -> None:
    event = event_of(traced, script("chat"))
    assert event["metadata"]["status"] == "success"
    assert not event["outputs"].get("content")
    assert json.dumps(event["metadata"]).count("time_to_first_token_ms") == 0


def open_stream(api: str, number: int, url: str) -> Any:
    content = f"case-{number}"
    messages = [{"role": "user", "content": content}]
    route: Dict[str, Any] = {"api_base": url, "api_key": "sk-local"}
    if api == "passed through":
        route.update(method="POST", endpoint="v1/messages", model="vllm/m", custom_llm_provider="vllm")
        return litellm.allm_passthrough_route(json={"model": "m", "stream": True, "messages": messages}, **route)
    route.update(model="anthropic/claude-sonnet-4-5", stream=True)
    if api == "messages":
        return litellm.anthropic.messages.acreate(messages=messages, max_tokens=9, **route)
    if api == "responses":
        return litellm.aresponses(input=content, **route)
    return litellm.acompletion(messages=messages, **route)


APIS = ("messages", "passed through", "responses", "chat")
LEAVES = {"drops it": "abandoned", "keeps it": "abandoned", "waits": "cancelled"}
"""How a reader has its stream when the loop ends, and the status."""


def test_a_stream_that_is_open_when_its_loop_ends_is_an_event_at_once(traced: Collector) -> None:
    kept: List[Any] = []

    async def read_one(stream: Any, has_one: asyncio.Event) -> None:
        async for chunk in stream:
            if b"Hello" in chunk if isinstance(chunk, bytes) else "Hello" in str(chunk):
                has_one.set()

    async def leave(api: str, how: str, number: int, url: str) -> None:
        stream = await open_stream(api, number, url)
        if how == "waits":
            has_one = asyncio.Event()
            kept.append(asyncio.ensure_future(read_one(stream, has_one)))
            await asyncio.wait_for(has_one.wait(), PATIENCE_S)
            return
        if how == "keeps it":
            kept.append(stream)
        async for chunk in stream:
            if b"Hello" in chunk if isinstance(chunk, bytes) else "Hello" in str(chunk):
                break

    cases = [(api, how) for api in APIS for how in LEAVES]
    with ScriptServer() as server:
        held = Script("messages", "messages", (START, TEXT, HELLO), True, HELD, 1000, 4096, 0)
        server.scripts = dict.fromkeys(range(len(cases)), held)
        for number, (api, how) in enumerate(cases):
            asyncio.run(leave(api, how, number, server.url))
            assert honeyhive_litellm.flush(10) == 0
            event = traced.events[-1]
            assert len(traced.events) == number + 1
            assert (api, how, event["metadata"]["status"]) == (api, how, LEAVES[how])
            assert event["outputs"]["content"] == "Hello", (api, how)
    kept.clear()
    gc.collect()
    assert honeyhive_litellm.flush(10) == 0
    assert set(traced.receipts.values()) == {1}
    assert len(traced.events) == len(cases)
    litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()


def test_a_passed_through_stream_has_the_report_of_its_end_and_not_of_its_beginning(traced: Collector) -> None:
    """LiteLLM reports a success when it has opened the stream, and another one when the stream has ended."""
    pieces = (START, TEXT, HELLO)
    scripts = {
        "success": script("messages", *pieces, *END, STOP),
        "failure": script("messages", *pieces, ending=BROKEN),
        "abandoned": script("messages", *pieces, ending=HELD),
    }

    async def read_until_hello(stream: Any) -> None:
        async for chunk in stream:
            if b"Hello" in chunk:
                return

    async def ask(url: str) -> None:
        for number, status in enumerate(scripts):
            stream = await open_stream("passed through", number, url)
            await (read_until_hello(stream) if status == "abandoned" else read(stream, scripts[status]))
            del stream
            gc.collect()
            assert await honeyhive_litellm.aflush(10) == 0

    with ScriptServer() as server:
        server.scripts = dict(enumerate(scripts.values()))
        asyncio.run(ask(server.url))
    assert [event["metadata"]["status"] for event in traced.events] == list(scripts)
    assert [event["outputs"]["content"] for event in traced.events] == ["Hello"] * len(scripts)
    assert traced.events[0]["metadata"]["total_tokens"] == 9
    litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()
