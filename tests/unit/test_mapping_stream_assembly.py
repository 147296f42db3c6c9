"""Responses assembled from streams in every form, complete or not."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, Dict, List, Optional

import pytest

from honeyhive_litellm._mapping.stream_assembly import add_estimated_usage, assembled, is_last


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
        {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "why"}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    )
    response: Any = assembled(chunks)

    assert response["usage"] == {"input_tokens": 4, "output_tokens": 2}
    assert response["choices"][0]["message"]["reasoning_content"] == "why"
    assert response["choices"][0]["finish_reason"] == "end_turn"


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
    assert is_last(chunks[1]) and not is_last(chunks[0])
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
        {"type": "response.output_item.done", "item": {"type": "message"}},
    ]
    last = {"type": "response.completed", "response": {"status": "completed", "output": output}}

    assert choice(*deltas)["message"] == {
        "role": "assistant",
        "content": "h!",
        "reasoning_content": "why",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    assert assembled([*deltas, last]) == last["response"]
    assert is_last(last) and not is_last(deltas[0])


def test_lines_in_text_and_lines_that_are_no_event() -> None:
    event = json.dumps({"choices": [{"text": "hi", "finish_reason": "length"}]})

    assert choice(f"event: x\ndata: {event}\ndata: [DONE]\ndata: {{}}\n")["finish_reason"] == "length"
    assert assembled([b"data: [DONE]\n", b": comment\n", ""]) is None
    assert choice(object())["message"] == {"role": "assistant", "content": ""}


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
    ("usage", "prompt", "expected"),
    [
        ({"prompt_tokens": 0, "completion_tokens": 4}, "123", (3, 7)),
        ({"prompt_tokens": 0, "completion_tokens": None}, "123", (3, 3)),
        ({"prompt_tokens": 2, "total_tokens": 6}, "123", (2, 6)),
        ({"prompt_tokens": 0, "total_tokens": 6}, None, (0, 6)),
    ],
)
def test_litellms_count_gets_the_tokens_of_the_prompt(usage: Dict[str, Any], prompt: object, expected: object) -> None:
    response = SimpleNamespace(usage=SimpleNamespace(**usage))

    add_estimated_usage(response, prompt, count)
    add_estimated_usage(SimpleNamespace(usage=None), prompt, count)

    assert (response.usage.prompt_tokens, response.usage.total_tokens) == expected
