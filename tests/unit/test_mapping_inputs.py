"""The content of a request, with content and without."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Dict, List, Tuple

import pytest

from honeyhive_litellm._mapping.call_types import inputs_of
from honeyhive_litellm._mapping.reading import ARGUMENTS_KEY

from .mapping_calls import SECRET, TOOL, MappingOptions, mapped, user

ITEMS = [
    user("hi"),
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "done"},
]
NICE_SYSTEM = {"role": "system", "content": "be brief"}
NICE = {"role": "system", "content": "be nice"}
TRANSLATED: List[Tuple[List[Any], List[Any]]] = [
    ([user("hi")], [user("hi")]),
    ([NICE, user("hi")], [user("hi")]),
    ([{"role": "developer", "content": [{"text": "be nice"}]}, user("hi")], [user("hi")]),
    ([{"role": "system", "content": "be bad"}], [{"role": "system", "content": "be bad"}]),
    ([7, user("hi")], [7, user("hi")]),
]
"""Messages that LiteLLM made of the caller's and of a system prompt, and those of the caller alone."""

SYSTEM_ARGUMENTS: List[Tuple[object, List[Any]]] = [
    ({"systemInstruction": {"parts": [{"text": "be "}, {"text": "nice"}]}}, [NICE]),
    ({"config": {"system_instruction": "be nice"}}, [NICE]),
    ({"config": SimpleNamespace(system_instruction="be nice")}, [NICE]),
    ({"system_instruction": {"parts": [{"fileData": 1}]}}, [{**NICE, "content": [{"fileData": 1}]}]),
    ({"system_instruction": 7}, [{**NICE, "content": 7}]),
    ({"config": 7, "system": ""}, []),
    (7, []),
]
"""The arguments of a call for Gemini's contents, and the messages that they make."""

CALLED = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("call_details", "expected"),
    [
        pytest.param({"call_type": "acompletion", "messages": [user("hi")]}, {"chat_history": [user("hi")]}, id="chat"),
        pytest.param(
            {"call_type": "completion", "messages": [user("hi")], "optional_params": {"tools": [TOOL]}},
            {"chat_history": [user("hi")], "functions": [TOOL]},
            id="tools",
        ),
        pytest.param(
            {"call_type": "completion", "messages": [user("hi")], "optional_params": {"functions": [{"name": "f"}]}},
            {"chat_history": [user("hi")], "functions": [{"name": "f"}]},
            id="old functions",
        ),
        pytest.param({"call_type": "completion", "messages": "hi"}, {"chat_history": [user("hi")]}, id="bare text"),
        pytest.param(
            {"call_type": "anthropic_messages", "messages": [user("hi")], "optional_params": {"system": "be nice"}},
            {"chat_history": [{"role": "system", "content": "be nice"}, user("hi")]},
            id="anthropic messages",
        ),
        pytest.param({"call_type": "aresponses", "input": "hi"}, {"chat_history": [user("hi")]}, id="responses"),
        pytest.param(
            {"call_type": "responses", "messages": [user("hi")], "optional_params": {"instructions": "be nice"}},
            {"chat_history": [{"role": "system", "content": "be nice"}, user("hi")]},
            id="responses with instructions",
        ),
        pytest.param(
            {"call_type": "responses", "messages": ITEMS, "input": None},
            {
                "chat_history": [
                    user("hi"),
                    {"role": "assistant", "content": None, "tool_calls": [CALLED]},
                    {"role": "tool", "tool_call_id": "c", "content": "done"},
                ]
            },
            id="responses items",
        ),
        *(
            pytest.param(
                {"call_type": "anthropic_messages", "messages": messages, ARGUMENTS_KEY: {"system": "be nice"}},
                {"chat_history": [{"role": "system", "content": "be nice"}, *others]},
                id=f"translated messages {number}",
            )
            for number, (messages, others) in enumerate(TRANSLATED)
        ),
        *(
            pytest.param(
                {"call_type": "agenerate_content", "messages": [user("hi")], ARGUMENTS_KEY: arguments},
                {"chat_history": [*system, user("hi")]},
                id=f"contents {number}",
            )
            for number, (arguments, system) in enumerate(SYSTEM_ARGUMENTS)
        ),
        pytest.param({"call_type": "aembedding", "input": "a"}, {"chunks": ["a"]}, id="one embedding"),
        pytest.param({"call_type": "embedding", "input": ["a", "b"]}, {"chunks": ["a", "b"]}, id="embeddings"),
        pytest.param({"call_type": "embedding", "input": [1, 2]}, {"chunks": [[1, 2]]}, id="tokens"),
        pytest.param({"call_type": "embedding", "input": [[1], [2]]}, {"chunks": [[1], [2]]}, id="token lists"),
        pytest.param(
            {"call_type": "embedding", "input": None, "messages": [user("a"), user("b")]},
            {"chunks": ["a", "b"]},
            id="embeddings after the call",
        ),
        pytest.param(
            {
                "call_type": "atext_completion",
                "messages": [user("a")],
                "additional_args": {"complete_input_dict": {"prompt": ["a"]}},
            },
            {"prompt": ["a"]},
            id="text completion",
        ),
        pytest.param(
            {"call_type": "text_completion", "messages": [user("a")]}, {"prompt": "a"}, id="text completion after"
        ),
        pytest.param(
            {"call_type": "aimage_generation", "input": "a cat", "messages": [user("a cat")]},
            {"prompt": "a cat"},
            id="image",
        ),
        pytest.param(
            {"call_type": "arerank", "input": "q", "optional_params": {"query": "q", "documents": ["d"]}},
            {"query": "q", "documents": ["d"]},
            id="rerank",
        ),
        pytest.param({"call_type": "amoderation", "input": "bad"}, {"input": "bad"}, id="moderation"),
        pytest.param(
            {"call_type": "moderation", "input": [{"type": "text", "text": "bad"}]},
            {"input": [{"type": "text", "text": "bad"}]},
            id="moderation of parts",
        ),
        pytest.param(
            {"call_type": "aspeech", "input": "say", "messages": [user("say")]}, {"input": "say"}, id="speech"
        ),
        pytest.param(
            {
                "call_type": "atranscription",
                "messages": [user("abc")],
                "additional_args": {"complete_input_dict": {"file": ("a.wav", b"RIFF")}},
                "litellm_params": {"metadata": {"file_checksum": "abc"}},
            },
            {"file": "a.wav", "sha256": "abc"},
            id="transcription",
        ),
        pytest.param(
            {
                "call_type": "transcription",
                "additional_args": {"complete_input_dict": {"file": ("a.wav", b"RIFF")}},
                "litellm_params": {"metadata": {"file_checksum": "('a.wav', b'RIFF" + "\\x00" * 40 + "')"}},
            },
            {"file": "a.wav"},
            id="transcription whose digest is the file",
        ),
        pytest.param(
            {
                "call_type": "transcription",
                "additional_args": {"complete_input_dict": {"file": SimpleNamespace(name="b.wav")}},
            },
            {"file": "b.wav"},
            id="transcription of an open file",
        ),
        pytest.param({"call_type": "asearch", "messages": [user("q")]}, {"query": "q"}, id="search"),
        pytest.param({"call_type": "acreate_file", "messages": [user("default-message-value")]}, {}, id="no input"),
        pytest.param({"call_type": "completion"}, {}, id="nothing"),
        pytest.param({}, {}, id="no keyword at all"),
    ],
)
def test_inputs_hold_the_content_of_the_request(call_details: Dict[str, Any], expected: Dict[str, Any]) -> None:
    assert mapped(**call_details).inputs == expected


def test_messages_are_not_copied() -> None:
    messages = [user("hi")]

    assert mapped(call_type="completion", messages=messages).inputs["chat_history"] is messages


@pytest.mark.parametrize(
    ("call_type", "expected"),
    [
        ("embedding", {"num_chunks": 2}),
        ("text_completion", {"num_prompts": 2}),
        ("image_generation", {"num_prompts": 2}),
        ("rerank", {"num_documents": 1}),
        ("moderation", {}),
        ("speech", {}),
        ("search", {}),
        ("transcription", {"sha256": "abc"}),
        ("responses", {"chat_history": [{"role": "user"}, {"role": "assistant"}]}),
    ],
)
def test_without_content_every_type_of_input_is_only_counted(call_type: str, expected: object) -> None:
    is_chat = call_type == "responses"
    request = mapped(
        MappingOptions(capture_message_content=False),
        call_type=call_type,
        input=None if is_chat else [SECRET, SECRET],
        messages=[user(SECRET), {"type": "function_call", "arguments": SECRET}] if is_chat else None,
        optional_params={
            "query": SECRET,
            "documents": [SECRET],
            "prompt": SECRET if call_type == "transcription" else None,
        },
        additional_args={"complete_input_dict": {"file": (SECRET, b"")}},
        litellm_params={"metadata": {"file_checksum": "abc"}},
    )

    assert request.inputs == expected
    assert SECRET not in repr(request)


MCP = {
    "name": "weather",
    "arguments": {"city": "Bern"},
    "mcp_server_name": "sky",
    "namespaced_tool_name": "sky-weather",
}


def test_a_call_of_an_mcp_tool_names_server_tool_and_arguments() -> None:
    details = {"mcp_tool_call_metadata": MCP, "input": [{"role": "tool", "content": {}}]}
    assert inputs_of("call_mcp_tool", details, {}, True) == {
        "server": "sky",
        "tool": "weather",
        "arguments": {"city": "Bern"},
    }
    assert inputs_of("call_mcp_tool", details, {}, False) == {"server": "sky", "tool": "weather"}


PLACEHOLDER = [user("default-message-value")]
PDF = {"type": "document_url", "document_url": "https://x/y.pdf"}


@pytest.mark.parametrize(
    ("call_type", "call_details", "expected", "without_content"),
    [
        pytest.param(
            "image_edit",
            {"input": SECRET, ARGUMENTS_KEY: {"image": SECRET}},
            {"prompt": SECRET, "image": SECRET},
            {},
            id="a picture that a patch has noted",
        ),
        pytest.param(
            "image_variation",
            {"additional_args": {"complete_input_dict": {"data": {"image": ("cat.png", b"")}}}},
            {"image": "cat.png"},
            {},
            id="a picture in the request",
        ),
        pytest.param(
            "ocr", {"additional_args": {"complete_input_dict": {"document": PDF}}}, {"document": PDF}, {}, id="document"
        ),
        pytest.param("ocr", {"messages": [user(SECRET)]}, {"document": SECRET}, {}, id="document after the call"),
        pytest.param(
            "create_batch",
            {ARGUMENTS_KEY: {"input_file_id": "file-1", "file": SECRET}},
            {"input_file_id": "file-1", "file": SECRET},
            {"input_file_id": "file-1"},
            id="arguments",
        ),
        pytest.param(
            "call_mcp_tool",
            {"input": SECRET},
            {"chat_history": [user(SECRET)]},
            {"chat_history": [{"role": "user"}]},
            id="a tool without its name",
        ),
        pytest.param("moderation", {"messages": PLACEHOLDER}, {}, {}, id="no input"),
        pytest.param("completion", {"messages": PLACEHOLDER}, {}, {}, id="no messages"),
        pytest.param("completion", {"messages": 7}, {}, {}, id="messages of another type"),
        pytest.param("embedding", {"input": 7}, {"chunks": 7}, {}, id="an embedding of another type"),
        pytest.param("text_completion", {"input": 7}, {"prompt": 7}, {}, id="a prompt of another type"),
        pytest.param("rerank", {"documents": 7}, {"documents": 7}, {}, id="documents of another type"),
        pytest.param("text_completion", {}, {}, {}, id="no prompt"),
        pytest.param("embedding", {}, {}, {}, id="no texts"),
    ],
)
def test_inputs_of_rare_types_and_of_malformed_calls(
    call_type: str, call_details: Dict[str, Any], expected: object, without_content: object
) -> None:
    bare = MappingOptions(capture_message_content=False)

    assert mapped(call_type=call_type, **call_details).inputs == expected
    assert mapped(bare, call_type=call_type, **call_details).inputs == without_content


def test_without_content_a_tool_has_its_name_or_its_type() -> None:
    tools = [{"type": "web_search", "filters": SECRET}, {"type": "custom", "name": "sql"}, "odd"]
    request = mapped(MappingOptions(capture_message_content=False), messages="hi", optional_params={"tools": tools})

    assert request.inputs["functions"] == [{"type": "web_search"}, {"type": "custom", "name": "sql"}, {}]


def test_a_message_to_an_agent_that_cannot_be_read_is_recorded_as_a_chat() -> None:
    found = mapped(call_type="send_message", messages=[user("hi")], **{ARGUMENTS_KEY: {"request": 7}})
    assert found.inputs == {"chat_history": [user("hi")]}


@pytest.mark.parametrize(
    ("noted", "expected"),
    [
        ({}, [user("hi")]),
        ({"input": "hello"}, [user("hello")]),
        ({"input": "hello", "system_instruction": "be brief"}, [NICE_SYSTEM, user("hello")]),
    ],
)
def test_the_turns_of_an_interaction(noted: Dict[str, Any], expected: List[Any]) -> None:
    call_details: Dict[str, Any] = {
        "call_type": "create_interaction",
        "messages": [user("hi")],
        ARGUMENTS_KEY: noted,
    }
    assert mapped(**call_details).inputs == {"chat_history": expected}
    silent = mapped(MappingOptions(capture_message_content=False), **call_details)
    assert silent.inputs == {"chat_history": [{"role": turn["role"]} for turn in expected]}
