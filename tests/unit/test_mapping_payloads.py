"""Calls that no scripted provider can be made to answer: LiteLLM's own shapes of their arguments and results."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, Dict, Iterator, NamedTuple, Optional

import pytest

from honeyhive_litellm._mapping.call_types import ADMINISTRATIVE, CALL_TYPES, named_arguments
from tests.coverage_table import BY_PAYLOAD

from .mapping_calls import MappingOptions, mapped, objects, succeeded

Json = Dict[str, Any]


class Payload(NamedTuple):
    """The arguments of a call, its result, and what of both is in the event."""

    arguments: Json
    response: Any
    inputs: Json
    outputs: Json
    event_type: str = "model"
    details: Optional[Json] = None


def sent(text: str) -> Json:
    return {"chat_history": [{"role": "user", "content": text}]}


def reply(text: str, reason: str) -> Json:
    return {"role": "assistant", "content": text, "finish_reason": reason}


def parts(text: str) -> Json:
    return {"parts": [{"kind": "text", "text": text}]}


RESPONSE = {
    "id": "resp_1", "status": "completed",
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "hi"}]}],
}  # fmt: skip
CHAT = {"id": "c", "choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}
TO_AGENT = {"request": objects({"id": "1", "params": {"message": {"role": "user", **parts("hello")}}})}
TASK = {"result": {"kind": "task", "status": {"state": "completed"}, "artifacts": [parts("hi")]}}
RAN = {"stdout": "2\n", "stderr": "", "exit_code": 0}
VIDEO = {"id": "v", "object": "video"}
ANSWERS = {"answers": {"q": {"value": True}}, "model": "m"}
PAYLOADS: Dict[str, Payload] = {
    "vector_store_search": Payload({}, {"data": []}, {"query": "honey"}, {"num_images": 0}, "tool", {"input": "honey"}),
    "pass_through_endpoint": Payload(
        {},
        {"response": json.dumps(CHAT)},
        sent("hello"),
        reply("hi", "stop"),
        details={"passthrough_logging_payload": {"request_body": {"messages": sent("hello")["chat_history"]}}},
    ),
    "pass_through_stored": Payload(
        {},
        {"response": json.dumps({"id": "msgbatch_1", "processing_status": "in_progress"})},
        {"method": "GET", "path": "/v1/messages/batches/msgbatch_1"},
        {"id": "msgbatch_1", "processing_status": "in_progress"},
        "tool",
        details={
            "call_type": "pass_through_endpoint",
            "messages": [{"role": "user", "content": "{}"}],
            "passthrough_logging_payload": {
                "url": "http://host/v1/messages/batches/msgbatch_1?key=k",
                "request_method": "GET",
                "request_body": {},
            },
        },
    ),
    "list_mcp_tools": Payload({}, [{"name": "add"}], {}, {"num_tools": 1, "tools": [{"name": "add"}]}, "tool"),
    "responses_websocket": Payload(
        {},
        [{"type": "response.created"}, {"type": "response.completed", "response": RESPONSE}],
        sent("hello"),
        reply("hi", "completed"),
        details={"messages": sent("hello")["chat_history"]},
    ),
    "llm_passthrough_route": Payload(
        {"json": {"messages": sent("hello")["chat_history"], "temperature": 0}},
        SimpleNamespace(content=json.dumps(CHAT).encode()),
        sent("hello"),
        reply("hi", "stop"),
    ),
    "send_message": Payload(TO_AGENT, objects(TASK), sent("hello"), reply("hi", "completed")),
    "send_message_streaming": Payload(
        TO_AGENT, {"result": {"kind": "message", **parts("hi")}}, sent("hello"), {"role": "assistant", "content": "hi"}
    ),
    "ingest": Payload(
        {"file_data": ("a.txt", b"secret", "text/plain"), "ingest_options": {"name": "n"}},
        {"id": "i", "status": "completed", "vector_store_id": "vs_1"},
        {"file_data": "a.txt", "ingest_options": {"name": "n"}},
        {"id": "i", "status": "completed", "vector_store_id": "vs_1"},
        "tool",
    ),
    "extraction": Payload(
        {"fields": {"total": {"type": "number"}}, "state": "the total is 7"},
        ANSWERS,
        {"fields": {"total": {"type": "number"}}, "state": "the total is 7"},
        ANSWERS,
    ),
    "decisions": Payload(
        {"input": "is it?", "questions": ["q"]}, ANSWERS, {"input": "is it?", "questions": ["q"]}, ANSWERS
    ),
    "systemone": Payload({"state": "s", "questions": ["q"]}, ANSWERS, {"state": "s", "questions": ["q"]}, ANSWERS),
    "run_code": Payload({"code": "print(1+1)"}, objects(RAN), {"code": "print(1+1)"}, RAN, "tool"),
    "code_interpreter_tool": Payload({"code": "print(1+1)"}, RAN, {"code": "print(1+1)"}, RAN, "tool"),
    "create_video": Payload(
        {"prompt": "a cat"}, {"id": "v", "object": "video"}, {"prompt": "a cat"}, {"id": "v", "object": "video"}
    ),
    "run_thread_stream": Payload(
        {"thread_id": "t", "assistant_id": "a"},
        {"id": "r", "object": "thread.run"},
        {"thread_id": "t", "assistant_id": "a"},
        {"id": "r", "object": "thread.run"},
    ),
}


TEXTS = {"hello", "hi", "honey", "secret", "print(1+1)", "2\n", "the total is 7", "is it?", "q", "a cat"}
"""What the payloads above have of content."""


def strings_in(value: object) -> Iterator[str]:
    """Each text within a value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from strings_in([*value.keys(), *value.values()])
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from strings_in(item)


def details_of(name: str) -> Json:
    """LiteLLM's details of the call that has this payload."""
    payload = PAYLOADS[name]
    arguments = named_arguments(name, (), payload.arguments)
    return {"call_type": name, "honeyhive_arguments": arguments, **(payload.details or {})}


def test_each_call_type_without_a_golden_event_has_a_payload() -> None:
    assert PAYLOADS.keys() == set(BY_PAYLOAD)


@pytest.mark.parametrize("name", PAYLOADS)
def test_what_the_caller_gave_and_what_it_got_are_in_the_event(name: str) -> None:
    payload, call = PAYLOADS[name], details_of(name)
    request = mapped(**call)
    assert (request.event_name, request.event_type) == (name, payload.event_type)
    assert request.inputs == payload.inputs
    assert succeeded(payload.response, **call).outputs == payload.outputs


@pytest.mark.parametrize("name", PAYLOADS)
def test_without_content_the_event_has_none_of_the_texts(name: str) -> None:
    payload, call = PAYLOADS[name], details_of(name)
    inputs = mapped(MappingOptions(capture_message_content=False), **call).inputs
    outputs = succeeded(payload.response, False, MappingOptions(capture_message_content=False), **call).outputs
    assert not TEXTS & set(strings_in([inputs, outputs]))


@pytest.mark.parametrize("name", sorted(ADMINISTRATIVE))
def test_an_administrative_call_is_a_tool_with_its_ids(name: str) -> None:
    request = mapped(call_type=f"a{name}", honeyhive_arguments=named_arguments(name, (), {"file_id": "f"}))
    assert (request.event_name, request.event_type, request.metadata["tool_name"]) == (name, "tool", name)
    assert request.inputs == ({"file_id": "f"} if "file_id" in CALL_TYPES[name].noted else {})


def test_the_answer_of_an_interaction_is_in_its_outputs_or_its_steps() -> None:
    call: Json = {"call_type": "create", "honeyhive_arguments": {"input": [{"role": "user", "content": "hello"}]}}
    function = {"type": "function_call", "id": "1", "name": "weather", "arguments": {"city": "Bern"}}
    old = {"outputs": [{"type": "text", "text": "hi"}, function], "status": "requires_action"}
    new = {
        "steps": [
            {"type": "user_input", "content": [{"type": "text", "text": "hello"}]},
            {"type": "model_output", "content": [{"type": "text", "text": "hi"}]},
            function,
        ],
        "status": "requires_action",
    }
    expected = {
        **reply("hi", "requires_action"),
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bern"}'}}
        ],
    }
    assert mapped(**call).inputs == sent("hello")
    for response in (old, new):
        assert succeeded(response, **call).outputs == expected
