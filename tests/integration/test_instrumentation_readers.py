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

from ..property.streams import BROKEN, ENDED, WHOLE, Event, Script, ScriptServer
from ..versions import needs_litellm

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
