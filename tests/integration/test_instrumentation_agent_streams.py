"""Streams of messages to A2A agents: one event each, with what the reader got, however they end."""

from __future__ import annotations

import asyncio
import gc
import importlib
import sys
from datetime import datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, AsyncIterator, Dict, List, Optional, Tuple

import litellm
import pytest
from litellm.litellm_core_utils.litellm_logging import Logging

import honeyhive_litellm
from honeyhive_litellm.testing import Collector

from ..versions import needs_litellm

pytestmark = needs_litellm("1.110", "older ones report other events, or none")

Event = Dict[str, Any]


def update(kind: str, **result: Any) -> Event:
    return {"id": "1", "jsonrpc": "2.0", "result": {"kind": kind, "taskId": "t", **result}}


def artifact(text: str, append: bool, id_: str = "a") -> Event:
    found = {"artifactId": id_, "parts": [{"kind": "text", "text": text}]}
    return update("artifact-update", artifact=found, append=append)


SUBMITTED = update("task", id="t", status={"state": "submitted"})
WORKING = update("status-update", status={"state": "working"}, final=False)
HELLO = [artifact("Hel", False), artifact("lo", True)]
COMPLETED = update("status-update", status={"state": "completed"}, final=True)
MESSAGE = update("message", role="agent", parts=[{"kind": "text", "text": "Hello"}])
REFUSED = {"id": "1", "jsonrpc": "2.0", "error": {"code": -32603, "message": "no such agent"}}
OBJECT = SimpleNamespace(root=SimpleNamespace(**COMPLETED))
"""As the A2A package wraps an event."""

WHOLE = [SUBMITTED, WORKING, *HELLO, COMPLETED]
CASES: Dict[str, Tuple[List[Any], str, str, Optional[str]]] = {
    "whole": (WHOLE, "success", "Hello", "completed"),
    "of objects": ([SUBMITTED, *HELLO, OBJECT], "success", "Hello", "completed"),
    "one message": ([MESSAGE], "success", "Hello", None),
    "two artifacts": ([SUBMITTED, HELLO[0], artifact("p", False, "b"), COMPLETED], "success", "Help", "completed"),
    "an error event": ([SUBMITTED, HELLO[0], REFUSED], "failure", "Hel", "submitted"),
    "without its last event": ([SUBMITTED, WORKING, *HELLO], "failure", "Hello", "working"),
    "cut": ([SUBMITTED, WORKING, HELLO[0], ConnectionError("cut")], "failure", "Hel", "working"),
    "left": ([SUBMITTED, HELLO[0], "leave", *WHOLE], "abandoned", "Hel", "submitted"),
    "cancelled": ([SUBMITTED, HELLO[0], "cancel"], "cancelled", "Hel", "submitted"),
}


async def agent(events: List[Any]) -> AsyncIterator[Event]:
    for event in events:
        if isinstance(event, Exception):
            raise event
        if event == "cancel":
            await asyncio.get_running_loop().create_future()
        if event != "leave":
            yield event


@pytest.fixture
def stream_class(monkeypatch: pytest.MonkeyPatch) -> Any:
    """LiteLLM's class of these streams. The package that it is in cannot be imported without the A2A package."""
    if "litellm.a2a_protocol" not in sys.modules:
        package = ModuleType("litellm.a2a_protocol")
        package.__path__ = [str(Path(litellm.__file__).parent / "a2a_protocol")]
        monkeypatch.setitem(sys.modules, package.__name__, package)
    return importlib.import_module("litellm.a2a_protocol.streaming_iterator").A2AStreamingIterator


async def messages(stream_class: Any, events: List[Any]) -> AsyncIterator[Event]:
    """What LiteLLM's function for such a stream does with its answers."""
    message = {"role": "user", "parts": [{"kind": "text", "text": "Hi"}], "messageId": "m"}
    request: Any = SimpleNamespace(id="1", params={"message": message})
    call = Logging(
        model="a2a_agent/guide", messages=[], stream=False, call_type="asend_message_streaming",
        start_time=datetime.now(), litellm_call_id="1", function_id="1",  # noqa: DTZ005 - LiteLLM's are naive
    )  # fmt: skip
    call.model_call_details.update(
        model="a2a_agent/guide",
        custom_llm_provider="a2a_agent",
        call_type="asend_message_streaming",
        litellm_params={"metadata": {"session_id": "job"}},
    )
    stream = stream_class(stream=agent(events), request=request, logging_obj=call, agent_name="guide")
    try:
        async for event in stream:
            yield event
    except (GeneratorExit, asyncio.CancelledError):
        await stream.abill_on_disconnect()
        raise


async def read(stream_class: Any, events: List[Any]) -> None:
    stream = messages(stream_class, events)
    count = 0
    async for _ in stream:
        count += 1
        if events[count : count + 1] == ["leave"]:
            break


async def run(stream_class: Any, events: List[Any]) -> None:
    task = asyncio.ensure_future(read(stream_class, events))
    if "cancel" in events:
        done, _ = await asyncio.wait([task], timeout=0.2)
        assert not done
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    gc.collect()
    await honeyhive_litellm.aflush(10)


def test_a_stream_of_an_agent_ends_as_its_reader_saw_it(traced: Collector, stream_class: Any) -> None:
    for name, (events, status, text, reason) in CASES.items():
        asyncio.run(run(stream_class, events))
        event = traced.events[-1]
        metadata = event["metadata"]
        assert (name, metadata["status"]) == (name, status)
        assert event["event_name"] == "send_message_streaming"
        assert event["inputs"] == {"chat_history": [{"role": "user", "content": "Hi"}]}
        assert event["outputs"].get("content") == text, name
        assert event["outputs"].get("finish_reason") == reason, name
        assert metadata["session_id"] == "job"
        assert (metadata["provider"], metadata["model"]) == ("a2a_agent", "guide")
        assert 0 < metadata["time_to_first_token_ms"] <= metadata["duration_ms"]
        assert bool(event.get("error")) is (status == "failure")
        assert "total_tokens" not in metadata or metadata["usage_estimated"] is True, name
    assert len(traced.events) == len(CASES), "two events of one stream, or one event of two calls with one id"
    assert len({event["event_id"] for event in traced.events}) == len(CASES)
