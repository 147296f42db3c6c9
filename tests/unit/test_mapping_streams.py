"""Responses assembled from streams in every form, complete or not."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, Dict, List, Optional

import pytest

from honeyhive_litellm._mapping.outputs import outputs
from honeyhive_litellm._mapping.streams.answer import add_estimated_usage, answer_of, assembled, may_be_last
from honeyhive_litellm._mapping.streams.snapshot import snapshot


def lines(*events: object) -> List[bytes]:
    return [f"data: {json.dumps(event)}\n\n".encode() for event in events]


def choice(*chunks: object) -> Dict[str, Any]:
    response: Any = assembled(chunks)
    found: List[Dict[str, Any]] = response["choices"]
    return found[0]


def test_a_chat_of_chunks_that_are_objects() -> None:
    def chunk(reason: Optional[str] = None, **delta: str) -> SimpleNamespace:
        return SimpleNamespace(id="r", model="m", choices=[{"delta": delta, "finish_reason": reason}])

    response: Any = assembled([chunk(reasoning_content="why"), chunk(content="h"), chunk("stop", content="i")])

    assert (response["id"], response["model"]) == ("r", "m")
    assert response["choices"] == [
        {
            "message": {"role": "assistant", "content": "hi", "reasoning_content": "why"},
            "finish_reason": "stop",
        }
    ]


def test_anthropics_messages_with_thinking_and_usage_in_two_parts() -> None:
    chunks = lines(
        {"type": "message_start", "message": {"id": "m", "model": "claude", "usage": {"input_tokens": 4}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "why"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    )
    response: Any = assembled(chunks)

    assert response["usage"] == {"input_tokens": 4, "output_tokens": 2}
    assert outputs(response, True) == {
        "role": "assistant",
        "content": "hi",
        "reasoning_content": "why",
        "finish_reason": "end_turn",
    }


def test_geminis_contents_with_thoughts_a_function_and_usage() -> None:
    usage = {
        "promptTokenCount": 3,
        "candidatesTokenCount": 2,
        "thoughtsTokenCount": 5,
        "totalTokenCount": 10,
        "cachedContentTokenCount": 1,
    }
    parts = [{"text": "why", "thought": True}, {"text": "hi"}, {"functionCall": {"name": "f", "args": {"a": 1}}}, {}]
    chunks = lines(
        {"responseId": "r", "modelVersion": "gemini", "candidates": [{"content": {"parts": parts}}]},
        {"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage},
    )
    response: Any = assembled(chunks)

    assert (response["id"], response["model"]) == ("r", "gemini")
    assert response["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 7,
        "total_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    assert response["choices"] == [
        {
            "message": {
                "role": "assistant",
                "content": "hi",
                "reasoning_content": "why",
                "tool_calls": [{"id": None, "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
            },
            "finish_reason": "stop",
        }
    ]
    assert answer_of(chunks).is_complete and not answer_of(chunks[:1]).is_complete
    assert assembled(lines({"usageMetadata": {"promptTokenCount": 3}}))["usage"] == {"prompt_tokens": 3}  # type: ignore[index]


def test_the_responses_api_whole_or_cut_off() -> None:
    output = [{"type": "message", "content": [{"type": "output_text", "text": "hi"}]}]
    deltas = [
        {"type": "response.reasoning_summary_text.delta", "delta": "why"},
        {"type": "response.output_text.delta", "delta": "h"},
        {"type": "response.output_text.delta", "delta": None},
        {"type": "response.refusal.delta", "delta": "!"},
        {
            "type": "response.output_item.done",
            "item": {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        },
    ]
    last = {"type": "response.completed", "response": {"status": "completed", "output": output}}

    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    streamed = {"role": "assistant", "content": "h", "reasoning_content": "why", "tool_calls": [call], "refusal": "!"}
    assert outputs(assembled(deltas), True) == streamed
    assert not answer_of(deltas).is_complete
    whole = answer_of([*deltas, last])
    assert whole.is_complete
    streamed.pop("refusal")
    assert outputs(whole.response, True) == {**streamed, "content": "hi", "finish_reason": "completed"}


def test_the_items_that_the_last_event_of_the_responses_api_lacks_are_those_that_were_streamed() -> None:
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "content": []}},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "h"},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "i"},
        *(
            {"type": "response.output_item.added", "output_index": place, "item": item}
            for place, item in ((1, function_call("a")), (2, function_call("b")))
        ),
        {"type": "response.function_call_arguments.delta", "output_index": 2, "delta": "[2"},
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "[1]"},
        {"type": "response.function_call_arguments.delta", "output_index": 2, "delta": "]"},
        {"type": "response.completed", "response": {"status": "completed", "output": []}},
    ]
    found = outputs(assembled(events), True)

    assert found["content"] == "hi"
    assert found["tool_calls"] == [
        {"id": id_, "type": "function", "function": {"name": "f", "arguments": arguments}}
        for id_, arguments in (("a", "[1]"), ("b", "[2]"))
    ]


def test_a_whole_item_of_the_responses_api_without_a_text_keeps_what_was_streamed() -> None:
    call = {**function_call("a"), "arguments": "[1]"}
    message = {"type": "message", "content": []}
    events = [
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "hi"},
        {"type": "response.output_text.done", "output_index": 0, "content_index": 0},
        {"type": "response.completed", "response": {"status": "completed", "output": [message, call]}},
    ]
    found: Dict[str, Any] = outputs(assembled(events), True)

    assert found["content"] == "hi"
    assert [tool_call["function"]["arguments"] for tool_call in found["tool_calls"]] == ["[1]"]


def function_call(id_: str) -> Dict[str, str]:
    return {"type": "function_call", "call_id": id_, "name": "f", "arguments": ""}


def test_lines_in_text_and_lines_that_are_no_event() -> None:
    event = json.dumps({"choices": [{"text": "hi", "finish_reason": "length"}]})

    assert choice(f"event: x\ndata: {event}\ndata: [DONE]\ndata: {{}}\n")["finish_reason"] == "length"
    assert assembled([b"data: [DONE]\n", b": comment\n", ""]) is None
    assert assembled([object()]) is None


def test_bytes_may_be_cut_anywhere() -> None:
    body = b"".join(lines({"choices": [{"delta": {"content": "h\u00e9"}}]}, {"choices": [{"delta": {"content": "y"}}]}))
    for size in range(1, len(body)):
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        assert choice(*pieces)["message"]["content"] == "h\u00e9y"


def test_parallel_tool_calls_under_one_index_stay_apart() -> None:
    def delta(**call: Any) -> Dict[str, Any]:
        return {"choices": [{"delta": {"tool_calls": [{"index": 0, **call}]}}]}

    found = choice(
        delta(id="a", function={"name": "f", "arguments": '{"a":'}),
        delta(function={"arguments": "1}"}),
        delta(id="b", function={"name": "g", "arguments": '{"a":'}),
        delta(id="b", function={"arguments": "2}"}),
        delta(function={"name": "h", "arguments": "{}"}),
    )["message"]["tool_calls"]

    assert [(call["id"], call["function"]) for call in found] == [
        ("a", {"name": "f", "arguments": '{"a":1}'}),
        ("b", {"name": "g", "arguments": '{"a":2}'}),
        (None, {"name": "h", "arguments": "{}"}),
    ]


def test_sound_and_citations_of_a_chat() -> None:
    deltas: List[Dict[str, Any]] = [
        {"audio": {"id": "a", "transcript": "hel"}},
        {"audio": {"data": "QUJD", "transcript": "lo"}},
        {"provider_specific_fields": {"citation": {"cited_text": "x"}}},
        {"provider_specific_fields": {"citation": {"cited_text": "y"}, "thinking_blocks": []}},
    ]
    message = choice(*({"choices": [{"delta": delta}]} for delta in deltas))["message"]

    assert message["audio"] == {"id": "a", "transcript": "hello", "data": "QUJD"}
    assert message["provider_specific_fields"] == {"citations": [{"cited_text": "x"}, {"cited_text": "y"}]}


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}, ("overloaded_error", "Busy")),
        ({"type": "error", "code": "server_error", "message": "Busy"}, ("server_error", "Busy")),
        ({"error": {"code": 503, "status": "UNAVAILABLE", "message": "Busy"}}, ("UNAVAILABLE", "Busy")),
        ({"error": {"type": "rate_limit", "code": None, "message": "Busy"}}, ("rate_limit", "Busy")),
        ({"error": "Busy"}, ("Error", "Busy")),
        ({"type": "response.failed", "response": {"error": {"code": "x", "message": "Busy"}}}, ("x", "Busy")),
    ],
)
def test_an_error_that_the_provider_sends_as_an_event(event: Dict[str, Any], error: object) -> None:
    assert answer_of(lines({"type": "ping"}, event)).error == error


@pytest.mark.parametrize(
    ("pieces", "is_readable"),
    [
        ([], True),
        ([b"event: message_st"], True),
        ([b"da", b"ta"], True),
        ([": ping"], True),
        ([b"\x00\x00\x01\x0b"], False),
        ([{"kind": "task"}], False),
    ],
)
def test_chunks_of_another_protocol_are_not_taken_for_an_empty_answer(pieces: List[Any], is_readable: bool) -> None:
    assert answer_of(pieces)[::3] == (None, is_readable)


# ---- token counts


def count(text: object) -> Optional[int]:
    return None if text == "unknown" else len(str(text))


@pytest.mark.parametrize(
    ("response", "prompt", "usage"),
    [
        pytest.param(
            {"choices": [{"message": {"content": "1234", "reasoning_content": "56"}}]},
            "123",
            {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9},
            id="none",
        ),
        pytest.param({"choices": [{"message": {}}]}, "123", {"prompt_tokens": 3}, id="no text"),
        pytest.param({"choices": []}, None, {}, id="nothing to count"),
        pytest.param(
            {"choices": [{"message": {"content": "unknown"}}]}, "123", {"prompt_tokens": 3}, id="nobody can count"
        ),
        pytest.param({"usage": {"prompt_tokens": 4}}, "123", {"prompt_tokens": 4}, id="counted by the provider"),
    ],
)
def test_an_estimated_usage_has_the_counts_that_can_be_made(response: Any, prompt: object, usage: object) -> None:
    add_estimated_usage(response, prompt, count)

    assert response["usage"] == usage


@pytest.mark.parametrize(
    ("event", "is_message"),
    [
        ({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 11, "output_tokens": 1}}}, True),
        ({"choices": [{"index": 0, "delta": {"content": "hi"}}]}, False),
        ({"type": "response.created", "response": {"id": "r"}}, False),
    ],
)
def test_the_events_show_whether_a_stream_is_one_of_anthropics_messages(
    event: Dict[str, Any], is_message: bool
) -> None:
    """Whatever call it belongs to: a proxy passes such streams through."""
    assert answer_of([f"data: {json.dumps(event)}\n\n".encode()]).is_message is is_message


def test_a_chat_of_an_older_kind_of_functions_with_probabilities_and_sources() -> None:
    found = assembled(
        lines(
            {"choices": [{"delta": {"function_call": {"name": "weather", "arguments": '{"a"'}}}], "citations": ["s1"]},
            {
                "choices": [
                    {
                        "delta": {"function_call": {"arguments": ": 1}"}},
                        "logprobs": {"content": [{"token": "x"}], "refusal": None},
                        "finish_reason": "function_call",
                    }
                ],
                "citations": ["s1", "s2"],
            },
        )
    )
    assert found is not None
    assert found["citations"] == ["s1", "s2"]
    (only,) = found["choices"]
    assert only["message"]["function_call"] == {"name": "weather", "arguments": '{"a": 1}'}
    assert only["logprobs"] == {"content": [{"token": "x"}]}


def test_a_providers_own_fields_are_all_kept() -> None:
    pieces = [{"trace": [1], "region": "eu", "kind": "a"}, {"trace": 2, "region": "eu", "kind": "b"}, {"trace": [3]}]
    found = choice(*({"choices": [{"delta": {"provider_specific_fields": piece}}]} for piece in pieces))
    kept = {"trace": [1, 2, 3], "region": "eu", "kind": ["a", "b"]}
    assert found["message"]["provider_specific_fields"] == kept


@pytest.mark.parametrize(("begun", "calls"), [('{"a": 1}', 2), ('{"a":', 1)])
def test_a_tool_call_without_an_id_begins_where_the_one_before_is_whole(begun: str, calls: int) -> None:
    deltas = [{"name": "f", "arguments": begun}, {"name": "g", "arguments": " 2}", "strict": True}]
    chunks = ({"choices": [{"delta": {"tool_calls": [{"function": function}]}}]} for function in deltas)
    found = choice(*chunks)["message"]["tool_calls"]
    assert len(found) == calls
    assert all("strict" not in call["function"] for call in found)


def test_anthropics_citations_are_those_of_their_block() -> None:
    found = assembled(
        lines(
            {"type": "message_start", "message": {"role": "assistant"}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {"n": 1}}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "a_new_kind", "text": "?"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "so"}},
        )
    )
    assert found is not None
    assert found["content"] == [{"type": "text", "text": "so", "citations": [{"n": 1}]}]


def test_a_response_has_the_annotations_of_its_text() -> None:
    found = assembled(
        lines(
            {
                "type": "response.output_text.delta",
                "item_id": "i",
                "output_index": 0,
                "content_index": 0,
                "delta": "so",
            },
            {
                "type": "response.output_text.annotation.added",
                "item_id": "i",
                "output_index": 0,
                "annotation": {"n": 1},
            },
        )
    )
    assert found is not None
    ((part,),) = (item["content"] for item in found["output"])
    assert part == {"type": "output_text", "text": "so", "annotations": [{"n": 1}]}


@pytest.mark.parametrize(("piece", "is_last"), [("data: message_stop", False), ('{"type": "message_stop"}', True)])
def test_a_text_may_be_the_last_piece(piece: str, is_last: bool) -> None:
    assert may_be_last(piece) is is_last


def test_a_chunk_is_kept_as_it_was_although_its_buffer_is_used_again() -> None:
    buffer = bytearray(b"data: 1")
    kept = snapshot(buffer)
    buffer[:] = b"data: 2"
    assert kept == b"data: 1"
    chunk = {"choices": [{"text": "so", "logprobs": {"tokens": ["so"]}}], "usage": {"odd": object()}}
    taken: Any = snapshot(chunk)
    assert taken["choices"][0]["logprobs"] == {"tokens": ["so"]}
    assert taken["usage"] == {"odd": "object"}
