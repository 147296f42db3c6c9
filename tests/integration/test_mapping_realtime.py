"""A realtime session is one event, which tells the conversation and no sound."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Dict, List

import pytest

import honeyhive_litellm
from honeyhive_litellm.testing import Collector, ModelServer

from ..realtime import SPOKEN, converse, typed
from ..versions import needs_litellm

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
through_litellm = needs_litellm("1.110", "it tells of a session in another form, and needs its extra `proxy` for it")
Json = Dict[str, Any]


def event_of(traced: Collector, models: ModelServer, *turns: List[Json]) -> Json:
    async def hold() -> List[Json]:
        got = await converse(turns, models.url, model="openai/gpt-realtime")
        await honeyhive_litellm.aflush(10)
        return got

    assert sum(event["type"] == "response.done" for event in asyncio.run(hold())) == len(turns)
    honeyhive_litellm.flush(10)
    (event,) = traced.wait_for(1, timeout=30)
    assert set(traced.receipts.values()) == {1}
    return event


@through_litellm
def test_what_was_spoken_is_recorded_as_its_transcript(traced: Collector, models: ModelServer) -> None:
    event = event_of(traced, models, SPOKEN)
    heard = "100000 bytes of sound"
    assert event["event_name"] == "realtime"
    assert event["metadata"]["status"] == "success"
    assert event["inputs"]["chat_history"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": heard},
    ]
    assert event["outputs"] == {"role": "assistant", "content": f"answer to: {heard}", "finish_reason": "completed"}
    assert event["metadata"]["total_tokens"] == 30
    assert event["metadata"]["cache_read_tokens"] == 4
    assert event["metadata"]["cost"] > 0
    assert len(json.dumps(event)) < 4000


@through_litellm
def test_several_turns_are_one_conversation_with_all_its_tokens(traced: Collector, models: ModelServer) -> None:
    event = event_of(traced, models, SPOKEN, typed("why?"), typed("and then?"))
    turns = [(message["role"], message["content"]) for message in event["inputs"]["chat_history"]]
    assert turns == [
        ("system", "be brief"),
        ("user", "100000 bytes of sound"),
        ("assistant", "answer to: 100000 bytes of sound"),
        ("user", "why?"),
        ("assistant", "answer to: why?"),
        ("user", "and then?"),
    ]
    assert event["outputs"]["content"] == "answer to: and then?"
    assert event["metadata"]["total_tokens"] == 90


@through_litellm
def test_a_tool_that_the_model_wants_is_recorded_as_in_a_chat(traced: Collector, models: ModelServer) -> None:
    tool = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
    session = {"type": "session.update", "session": {"type": "realtime", "tools": [tool]}}
    event = event_of(traced, models, [session, *typed("rain?")])
    (call,) = event["outputs"]["tool_calls"]
    assert call["function"] == {"name": "weather", "arguments": "{}"}
    assert event["inputs"]["functions"] == [tool]


@through_litellm
def test_without_content_only_roles_and_tokens_stay(collector: Collector, models: ModelServer, tmp_path: Path) -> None:
    honeyhive_litellm.init(
        api_key="hh_key", project="tests", api_url=collector.url, spool_path=tmp_path, capture_message_content=False
    )
    try:
        event = event_of(collector, models, SPOKEN)
    finally:
        honeyhive_litellm.shutdown(5)
    assert event["inputs"] == {"chat_history": [{"role": "system"}, {"role": "user"}]}
    assert event["outputs"] == {"role": "assistant", "finish_reason": "completed"}
    assert "bytes of sound" not in str(event)
