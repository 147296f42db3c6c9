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


def test_events_in_results_make_a_history_an_answer_and_the_sum_of_tokens() -> None:
    usage = {"input_tokens": 4, "output_tokens": 2, "total_tokens": 6, "input_token_details": {"cached_tokens": 1}}
    answer = {"type": "message", "id": "i", "role": "assistant", "content": [{"transcript": "hi"}]}
    events = [
        {"type": "session.created", "session": {"id": "s", "model": "gpt-realtime"}},
        {"type": "response.done", "response": {"status": "completed", "output": [answer], "usage": usage}},
        {"type": "response.done", "response": {"status": "completed", "output": [], "usage": {"total_tokens": 1}}},
    ]
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hello"},
        {"role": "user", "content": "again"},
    ]
    typed = item("added", id="u", role="user", content=[{"text": "hello"}])
    call_details = {"call_type": "_arealtime", "messages": messages}
    outcome = map_success(call_details, {"results": [typed, *events]}, MappingOptions(), True)

    assert outcome.outputs == {"role": "assistant", "content": "hi", "finish_reason": "completed"}
    assert (outcome.metadata["response_id"], outcome.metadata["response_model"]) == ("s", "gpt-realtime")
    assert outcome.metadata["total_tokens"] == 7
    assert outcome.metadata["cache_read_tokens"] == 1
    assert late_inputs(call_details, [typed, *events], True)["chat_history"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "again"},
        {"role": "user", "content": "hello"},
    ]
    uncached = map_success(call_details, [events[-1]], MappingOptions(), True).metadata
    assert uncached["total_tokens"] == 1
    assert "cache_read_tokens" not in uncached


def test_an_item_of_a_session_that_cannot_be_read_costs_itself_only() -> None:
    messages = [{"role": "user", "content": "x"}]
    call_details = {"call_type": "_arealtime", "messages": [{"role": "user", "content": 7}, {"content": "x"}]}
    events = [item("added", role="user", content=[]), {"type": "conversation.item.added", "item": {"type": "odd"}}]

    assert late_inputs({**call_details, "messages": messages}, [Unreadable()], True) == {"chat_history": messages}
    assert map_success(call_details, events, MappingOptions(), True).outputs == {"response": {"choices": []}}


class Unreadable:
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


def test_a_session_that_cannot_be_read_and_any_other_call_have_no_late_inputs() -> None:
    assert late_inputs({"call_type": "acompletion"}, [], True) == {}
    assert late_inputs({"call_type": "_arealtime", "messages": 7}, 7, True) == {}


def test_a_session_whose_items_have_odd_ids_is_a_success_without_late_inputs() -> None:
    events = [item("added", id=["no", "text"], role="user", content=[{"text": "hello"}])]
    call_details = {"call_type": "_arealtime", "messages": [{"role": "user", "content": "hello"}]}

    assert late_inputs(call_details, events, True) == {}
    assert map_success(call_details, events, MappingOptions(), True).status == "success"
