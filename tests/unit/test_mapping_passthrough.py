"""Requests that the proxy passed through, in the shapes that LiteLLM reports."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, Dict, List

import pytest

from honeyhive_litellm._capture.payments import Payments
from honeyhive_litellm._mapping.mapper import map_request, map_success
from honeyhive_litellm._mapping.reading import ARGUMENTS_KEY

from .mapping_calls import MappingOptions

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
    request = map_request(call(), MappingOptions())

    assert request.inputs == {"chat_history": BODY["messages"]}
    assert request.config == {"model": "gpt-4o", "temperature": 0.5, "is_streaming": False}


def test_without_content_the_body_is_left_out() -> None:
    assert map_request(call(), MappingOptions(capture_message_content=False)).inputs == {
        "chat_history": [{"role": "user"}]
    }


def test_the_response_is_mapped_like_any_response() -> None:
    answer = {
        "id": "chatcmpl-1",
        "choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
    outcome = map_success(call(), {"response": json.dumps(answer)}, MappingOptions(), True)

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
    ],
    ids=["chat", "Anthropic"],
)
def test_a_streams_lines_are_assembled(events: List[Dict[str, Any]]) -> None:
    outcome = map_success(call(), streamed(*events), MappingOptions(), True)

    assert outcome.outputs == {"role": "assistant", "content": "hi", "finish_reason": "end"}


def test_a_streamed_text_completion_is_a_text() -> None:
    events = [{"choices": [{"text": "h"}]}, {"choices": [{"text": "i", "finish_reason": "end"}]}]

    assert map_success(call(), streamed(*events), MappingOptions(), True).outputs == {
        "text": "hi",
        "finish_reason": "end",
    }


def test_a_stream_of_the_responses_api_ends_with_the_whole_response() -> None:
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}
    last = {"type": "response.completed", "response": {"status": "completed", "output": [message]}}
    delta = {"type": "response.output_text.delta", "delta": "h"}

    assert map_success(call(), streamed(delta, last), MappingOptions(), True).outputs["content"] == "hi"


@pytest.mark.parametrize("odd", ["no JSON", "Chunks=[", "Chunks=os.abort()", "", "[1]", 7, None])
def test_a_response_in_an_unknown_form_stays_as_it_is(odd: Any) -> None:
    outcome = map_success(call(), {"response": odd}, MappingOptions(), True)

    assert outcome.status == "success"
    assert outcome.outputs.get("content") is None


@pytest.mark.parametrize(
    ("method", "path", "is_tool"),
    [
        ("POST", "/v1/messages", False),
        ("GET", "/v1/messages/batches/msgbatch_1", True),
        ("POST", "/v1/messages/batches", True),
        ("post", "/v1/batches/b/cancel", True),
        ("DELETE", "/v1/files/f", True),
        ("GET", "/v1/models", True),
        ("", "/v1/chat/completions", False),
    ],
)
def test_a_request_about_what_is_stored_is_a_tool_without_cost(method: str, path: str, is_tool: bool) -> None:
    """Both ways to pass a request through: by the proxy, and by the SDK's function."""
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    ways: List[Dict[str, Any]] = [
        call(
            passthrough_logging_payload={"request_body": {}, "url": f"http://h{path}?key=k", "request_method": method}
        ),
        {"call_type": "allm_passthrough_route", "honeyhive_arguments": {"method": method, "endpoint": path[1:]}},
    ]
    for details in ways:
        request = map_request(details, MappingOptions())
        assert (request.event_type == "tool") is is_tool
        if is_tool:
            assert request.event_name == "pass_through_stored"
            assert request.inputs.pop("method").__str__() == method.upper()
            assert str(request.inputs.pop("path")).strip("/") == path.strip("/")
            assert request.inputs == {}
    attempt: Any = SimpleNamespace(request=map_request(ways[1], MappingOptions()), event_id="e")
    outcome = map_success(
        ways[1], SimpleNamespace(content=json.dumps({"id": "b", "usage": usage}).encode()), MappingOptions(), True
    )
    Payments().keep_once(attempt, outcome, None)
    assert ("total_tokens" in outcome.metadata) is not is_tool


@pytest.mark.parametrize("body", [BODY, json.dumps(BODY), json.dumps(BODY).encode()], ids=["object", "text", "bytes"])
@pytest.mark.parametrize("argument", ["json", "data", "content"])
def test_the_body_of_a_routed_request_is_an_argument_in_any_form(argument: str, body: object) -> None:
    details = {"call_type": "llm_passthrough_route", "model": "gpt-4o", ARGUMENTS_KEY: {argument: body}}
    assert map_request(details, MappingOptions()).inputs == {"chat_history": BODY["messages"]}


def test_a_response_about_what_is_stored_stays_as_it_came() -> None:
    about = {"request_method": "GET", "url": "https://api.example.com/v1/batches/b"}
    body = {"id": "b", "status": "completed"}
    details = call(passthrough_logging_payload={**about, "response_body": body})
    assert map_success(details, {"response": "made up"}, MappingOptions(), True).outputs == body
    details = call(passthrough_logging_payload=about)
    assert map_success(details, {"response": json.dumps(body)}, MappingOptions(), True).outputs == body
