from __future__ import annotations

import json
from typing import Any, Dict, List

import pytest

from honeyhive_litellm._mapping.mapper import map_request, map_success

from .test_mapping_outcome import Chosen

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}], "temperature": 0.5}


def call(**more: Any) -> Dict[str, Any]:
    return {
        "call_type": "pass_through_endpoint",
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": json.dumps(BODY)}],
        "passthrough_logging_payload": {"request_body": BODY},
        **more,
    }


def streamed(*events: Dict[str, Any]) -> Dict[str, str]:
    lines: List[str] = [f"data: {json.dumps(event)}" for event in events]
    return {"response": f"cannot parse chunks to standard response object. Chunks={[*lines, 'data: [DONE]']}"}


def test_the_body_is_mapped_like_any_request() -> None:
    request = map_request(call(), Chosen())

    assert request.inputs == {"chat_history": BODY["messages"]}
    assert request.config == {"model": "gpt-4o", "temperature": 0.5, "is_streaming": False}


def test_without_content_the_body_says_nothing() -> None:
    assert map_request(call(), Chosen(capture_message_content=False)).inputs == {"chat_history": [{"role": "user"}]}


def test_the_answer_is_mapped_like_any_answer() -> None:
    answer = {
        "id": "chatcmpl-1",
        "choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
    outcome = map_success(call(), {"response": json.dumps(answer)}, Chosen(), True)

    assert outcome.outputs == {"role": "assistant", "content": "hi", "finish_reason": "stop"}
    assert outcome.metadata["total_tokens"] == 5
    assert outcome.metadata["response_id"] == "chatcmpl-1"


@pytest.mark.parametrize(
    "events",
    [
        [
            {"choices": [{"delta": {"content": "h"}}]},
            {"choices": [{"delta": {"content": "i"}, "finish_reason": "end"}]},
        ],
        [
            {"type": "message_start", "message": {"id": "m", "model": "claude"}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "hi"}},
            {"type": "message_delta", "delta": {"stop_reason": "end"}},
        ],
        [{"choices": [{"text": "h"}]}, {"choices": [{"text": "i", "finish_reason": "end"}]}],
    ],
    ids=["chat", "Anthropic", "text"],
)
def test_a_streams_lines_are_put_together(events: List[Dict[str, Any]]) -> None:
    outcome = map_success(call(), streamed(*events), Chosen(), True)

    assert outcome.outputs == {"role": "assistant", "content": "hi", "finish_reason": "end"}


def test_a_stream_of_the_responses_api_has_its_answer_at_its_end() -> None:
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}
    last = {"type": "response.completed", "response": {"status": "completed", "output": [message]}}
    said = {"type": "response.output_text.delta", "delta": "h"}

    assert map_success(call(), streamed(said, last), Chosen(), True).outputs["content"] == "hi"


@pytest.mark.parametrize("odd", ["no JSON", "Chunks=[", "Chunks=os.abort()", "", "[1]", 7, None])
def test_what_is_no_answer_stays_as_it_is(odd: Any) -> None:
    outcome = map_success(call(), {"response": odd}, Chosen(), True)

    assert outcome.status == "success"
    assert outcome.outputs.get("content") is None


def test_what_the_proxy_hands_to_its_router_is_no_parameter() -> None:
    plumbing = {
        "proxy_server_request": {"headers": {}},
        "secret_fields": {"raw_headers": {}},
        "shared_session": object(),
    }
    request = map_request({"call_type": "acompletion", "optional_params": {**plumbing, "n": 1}}, Chosen())

    assert request.config == {"n": 1, "is_streaming": False}


def test_guardrails_may_quote_the_messages() -> None:
    guardrail = {"guardrail_name": "pii", "guardrail_status": "success", "guardrail_response": "SSN 078-05-1120"}
    metadata = {"user_api_key_hash": "88dc", "standard_logging_guardrail_information": [guardrail]}
    said = {"call_type": "acompletion", "litellm_params": {"metadata": metadata}}
    kept = {"name": "pii", "status": "success"}

    told = map_request(said, Chosen()).metadata["proxy"]
    assert told == {"virtual_key_hash": "88dc", "guardrails": [{**kept, "response": "SSN 078-05-1120"}]}
    told = map_request(said, Chosen(capture_message_content=False)).metadata["proxy"]
    assert told == {"virtual_key_hash": "88dc", "guardrails": [kept]}
    assert map_success(said, None, Chosen(), False).metadata["proxy"] == {"guardrails": [kept]}
