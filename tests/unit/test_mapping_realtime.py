"""A realtime session in the shapes that a server may send."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from honeyhive_litellm._mapping.mapper import late_inputs, map_success

from .mapping_calls import MappingOptions

Json = Dict[str, Any]


def item(kind: str, **item: Any) -> Json:
    return {"type": f"conversation.item.{kind}", "item": {"type": "message", **item}}


def test_items_that_the_server_lists_late_or_twice_are_recorded_once_and_in_order() -> None:
    question = {"id": "i1", "role": "user", "content": [{"type": "input_audio", "transcript": None}]}
    tool_call = {"id": "i2", "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    tool_result = {"id": "i3", "type": "function_call_output", "call_id": "c", "output": "snow"}
    answer = {"type": "message", "id": "i4", "role": "assistant", "content": [{"type": "output_text", "text": "snow!"}]}
    events = [
        item("added", **question),
        item("done", **question),
        {"type": "response.done", "response": {"status": "completed", "output": [tool_call]}},
        item("created", **tool_result),
        {"type": "response.done", "response": {"status": "incomplete", "output": [answer]}},
    ]
    call = {"call_type": "_arealtime", "messages": [{"role": "user", "content": "snow?"}]}
    history = late_inputs(call, events, True)["chat_history"]
    assert [(message["role"], message.get("content")) for message in history] == [  # type: ignore[attr-defined]
        ("user", "snow?"),
        ("assistant", None),
        ("tool", "snow"),
    ]
    outcome = map_success(call, events, MappingOptions(), True)
    assert outcome.outputs == {"role": "assistant", "content": "snow!", "finish_reason": "incomplete"}
    assert "total_tokens" not in outcome.metadata


@pytest.mark.parametrize("odd", [None, [], [7], [{}], {"results": [None]}, [{"type": 7, "item": "x", "response": []}]])
def test_a_session_without_readable_events_is_a_success_without_content(odd: Any) -> None:
    outcome = map_success({"call_type": "_arealtime"}, odd, MappingOptions(), True)
    assert outcome.status == "success"
    assert late_inputs({"call_type": "_arealtime"}, odd, True) == {}
    assert late_inputs({"call_type": "acompletion"}, odd, True) == {}
