"""The content of a response, as a dictionary and as an object, with content and without."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Dict, List

import pytest

from honeyhive_litellm._mapping.call_types import inputs_of, outputs_of
from honeyhive_litellm._mapping.logprobs import MAX_TOKENS, bounded
from honeyhive_litellm._mapping.reading import ARGUMENTS_KEY, CACHED_PART

from .mapping_calls import SECRET, chat, message, objects, succeeded

CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": f'{{"city": "{SECRET}"}}'}}
CASES: List[Any] = [
    pytest.param(
        "completion",
        chat(message(SECRET)),
        {"role": "assistant", "content": SECRET, "finish_reason": "stop"},
        {"role": "assistant", "finish_reason": "stop"},
        id="chat",
    ),
    pytest.param(
        "completion",
        chat(message(None, tool_calls=[CALL], function_call=None)),
        {"role": "assistant", "content": None, "tool_calls": [CALL], "finish_reason": "stop"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather"}}],
            "finish_reason": "stop",
        },
        id="tool call",
    ),
    pytest.param(
        "completion",
        chat(message(None, function_call={"name": "f", "arguments": SECRET})),
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "f", "arguments": SECRET},
            "finish_reason": "stop",
        },
        {"role": "assistant", "function_call": {"name": "f"}, "finish_reason": "stop"},
        id="old function call",
    ),
    pytest.param(
        "completion",
        chat(message("one"), message("two"), message("three")),
        {
            "role": "assistant",
            "content": "one",
            "finish_reason": "stop",
            "choices": [
                {"role": "assistant", "content": "two", "finish_reason": "stop"},
                {"role": "assistant", "content": "three", "finish_reason": "stop"},
            ],
        },
        {
            "role": "assistant",
            "finish_reason": "stop",
            "choices": [{"role": "assistant", "finish_reason": "stop"}] * 2,
        },
        id="three choices",
    ),
    pytest.param(
        "completion",
        chat(message("x", reasoning_content=SECRET, refusal="no", annotations=[{"type": "url_citation"}])),
        {
            "role": "assistant",
            "content": "x",
            "reasoning_content": SECRET,
            "refusal": "no",
            "annotations": [{"type": "url_citation"}],
            "finish_reason": "stop",
        },
        {"role": "assistant", "finish_reason": "stop"},
        id="reasoning, refusal, annotations",
    ),
    pytest.param(
        "completion",
        chat(message("x", thinking_blocks=[{"thinking": "a"}, {"type": "redacted_thinking"}, {"thinking": "b"}])),
        {"role": "assistant", "content": "x", "reasoning_content": "a\nb", "finish_reason": "stop"},
        {"role": "assistant", "finish_reason": "stop"},
        id="thinking blocks",
    ),
    pytest.param(
        "text_completion",
        {"choices": [{"text": SECRET, "finish_reason": "length"}, {"text": "b", "finish_reason": "stop"}]},
        {"text": SECRET, "finish_reason": "length", "choices": [{"text": "b", "finish_reason": "stop"}]},
        {"finish_reason": "length", "choices": [{"finish_reason": "stop"}]},
        id="text completion",
    ),
    pytest.param(
        "text_completion",
        chat(message(SECRET)),
        {"text": SECRET, "finish_reason": "stop"},
        {"finish_reason": "stop"},
        id="streamed text completion",
    ),
    pytest.param(
        "embedding",
        {"object": "list", "data": [{"embedding": [0.1, 0.2]}, {"embedding": [0.3, 0.4]}]},
        {"num_embeddings": 2, "dimensions": 2},
        {"num_embeddings": 2, "dimensions": 2},
        id="embeddings",
    ),
    pytest.param("embedding", {"data": []}, {"num_embeddings": 0}, {"num_embeddings": 0}, id="redacted embeddings"),
    pytest.param(
        "embedding",
        {"data": [{"embedding": "AAAA"}]},
        {"num_embeddings": 1},
        {"num_embeddings": 1},
        id="base64 embeddings",
    ),
    pytest.param(
        "image_generation",
        {"data": [{"url": "https://x/y.png", "b64_json": None, "revised_prompt": SECRET}]},
        {"num_images": 1, "images": [{"url": "https://x/y.png", "revised_prompt": SECRET}]},
        {"num_images": 1},
        id="images",
    ),
    pytest.param(
        "rerank",
        {"results": [{"index": 0, "relevance_score": 0.5, "document": {"text": SECRET}}]},
        {"results": [{"index": 0, "relevance_score": 0.5, "document": {"text": SECRET}}]},
        {"results": [{"index": 0, "relevance_score": 0.5}]},
        id="rerank",
    ),
    pytest.param(
        "moderation",
        {"results": [{"flagged": True, "categories": {"violence": True}}]},
        {"results": [{"flagged": True, "categories": {"violence": True}}]},
        {"results": [{"flagged": True, "categories": {"violence": True}}]},
        id="moderation",
    ),
    pytest.param(
        "transcription",
        {"text": SECRET, "language": "en", "duration": 3.5},
        {"text": SECRET, "language": "en", "duration": 3.5},
        {"language": "en", "duration": 3.5},
        id="transcription",
    ),
    pytest.param(
        "responses",
        {
            "status": "completed",
            "output": [
                {"type": "reasoning", "summary": [{"text": SECRET}]},
                {"type": "message", "content": [{"text": "a"}, {"text": "b"}, {"refusal": "never"}]},
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": SECRET},
                {"type": "web_search_call", "query": SECRET},
            ],
        },
        {
            "role": "assistant",
            "content": "ab",
            "reasoning_content": SECRET,
            "refusal": "never",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": SECRET}}],
            "finish_reason": "completed",
            "items": [{"type": "web_search_call", "query": SECRET}],
        },
        {
            "role": "assistant",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f"}}],
            "finish_reason": "completed",
            "items": [{"type": "web_search_call"}],
        },
        id="responses",
    ),
    pytest.param(
        "responses",
        {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": []},
        {"role": "assistant", "content": None, "finish_reason": "max_output_tokens"},
        {"role": "assistant", "finish_reason": "max_output_tokens"},
        id="responses cut short",
    ),
    pytest.param(
        "anthropic_messages",
        {
            "type": "message",
            "role": "assistant",
            "stop_reason": "tool_use",
            "content": [
                {"type": "thinking", "thinking": SECRET},
                {"type": "text", "text": "hi"},
                {"type": "tool_use", "id": "t", "name": "f", "input": SECRET},
            ],
        },
        {
            "role": "assistant",
            "content": "hi",
            "reasoning_content": SECRET,
            "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": SECRET}}],
            "finish_reason": "tool_use",
        },
        {
            "role": "assistant",
            "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f"}}],
            "finish_reason": "tool_use",
        },
        id="anthropic messages",
    ),
]


@pytest.mark.parametrize(("call_type", "response", "expected", "without_content"), CASES)
@pytest.mark.parametrize("shape", [lambda value: value, objects], ids=["dictionaries", "objects"])
def test_outputs_hold_the_content_of_the_response(
    call_type: str, response: Any, expected: object, without_content: object, shape: Any
) -> None:
    answer = shape(response)
    kept = succeeded(answer, call_type="a" + call_type).outputs
    bare = succeeded(answer, capture_content=False, call_type=call_type)

    assert kept == expected
    assert bare.outputs == without_content
    assert SECRET not in repr(bare)


def test_speech_is_recorded_as_its_size() -> None:
    body = SimpleNamespace(content=b"12345", headers={"content-type": "audio/mpeg"})

    assert succeeded(SimpleNamespace(response=body)).outputs == {"bytes": 5, "content_type": "audio/mpeg"}


class Unread:
    @property
    def content(self) -> bytes:
        raise RuntimeError("not read yet")


class Bare:
    __slots__ = ()


class Dumps:
    def model_dump(self) -> Dict[str, object]:
        return {"what": SECRET}


@pytest.mark.parametrize(
    ("response", "kept", "bare"),
    [
        (None, {}, {}),
        ("text", {"content": "text"}, {}),
        (Dumps(), {"response": {"what": SECRET}}, {"response_type": "Dumps"}),
        (SimpleNamespace(a=1), {"response": {"a": 1}}, {"response_type": "SimpleNamespace"}),
        (Bare(), {"response": "Bare"}, {"response_type": "Bare"}),
        ({"choices": []}, {"response": {"choices": []}}, {"response_type": "dict"}),
        ({"choices": None, "a": 1}, {"response": {"choices": None, "a": 1}}, {"response_type": "dict"}),
        ({"choices": ["odd"]}, {"text": None}, {}),
    ],
)
def test_an_unrecognized_response_is_recorded_by_its_fields_or_type(
    response: object, kept: object, bare: object
) -> None:
    assert succeeded(response).outputs == kept
    assert succeeded(response, capture_content=False).outputs == bare


def test_an_unreadable_response_costs_the_outputs_only() -> None:
    outcome = succeeded(SimpleNamespace(response=Unread(), id="r"))

    assert outcome.status == "success"
    assert outcome.metadata["response_id"] == "r"


def test_without_content_pages_files_and_batches_are_only_counted() -> None:
    assert outputs_of("ocr", {"pages": [{"markdown": "secret"}]}, False) == {"num_pages": 1}
    file = {"object": "file", "id": "file-1", "filename": "secret.txt", "bytes": 9, "purpose": "batch"}
    assert outputs_of("create_file", file, False) == {"id": "file-1", "object": "file", "bytes": 9, "purpose": "batch"}
    assert inputs_of("ocr", {"messages": [{"role": "user", "content": "secret"}]}, {}, False) == {}


def test_an_mcp_tools_result_is_recorded_once_and_without_content_only_counted() -> None:
    picture = {"type": "image", "data": "aGk=", "mimeType": "image/png"}
    text_part = {"type": "text", "text": "snow", "annotations": None}
    result = {"content": [text_part, picture], "structuredContent": {"city": "Bern"}, "isError": False}
    assert outputs_of("call_mcp_tool", result, True) == {
        "content": "snow",
        "items": [picture],
        "structured_content": {"city": "Bern"},
    }
    assert outputs_of("call_mcp_tool", {"content": [text_part], "structured_content": {"result": "snow"}}, True) == {
        "content": "snow"
    }
    assert outputs_of("call_mcp_tool", {"content": [text_part], "is_error": True}, False) == {
        "is_error": True,
        "num_items": 1,
    }
    tool = {"name": "weather", "description": "Tell it", "input_schema": {}}
    assert outputs_of("list_mcp_tools", [tool], True)["tools"] == [{"name": "weather", "description": "Tell it"}]
    assert outputs_of("list_mcp_tools", [tool], False) == {"num_tools": 1, "tools": [{"name": "weather"}]}


@pytest.mark.parametrize(
    ("call_type", "response", "expected", "without_content"),
    [
        pytest.param(
            "acompletion",
            chat(message(None, tool_calls=[{"id": "c", "type": "custom", "custom": {"name": "sql", "input": SECRET}}])),
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "sql", "input": SECRET}}],
                "finish_reason": "stop",
            },
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}], "finish_reason": "stop"},
            id="custom tool",
        ),
        pytest.param(
            "acompletion",
            chat(message("x", audio={"id": "a"}, provider_specific_fields={"reasoning": SECRET, "refusal": "no"})),
            {
                "role": "assistant",
                "content": "x",
                "reasoning_content": SECRET,
                "refusal": "no",
                "audio": {"id": "a"},
                "finish_reason": "stop",
            },
            {"role": "assistant", "finish_reason": "stop"},
            id="audio, and a provider's own fields",
        ),
        pytest.param(
            "aimage_generation",
            {"data": [{"b64_json": "aGk="}]},
            {"num_images": 1, "images": [{"b64_json": "aGk="}]},
            {"num_images": 1},
            id="image as base64",
        ),
        pytest.param(
            "aembedding",
            {"data": [{"b64_json": "aGk="}]},
            {"num_images": 1, "images": [{"b64_json": "aGk="}]},
            {"num_images": 1},
            id="an embedding that is an image",
        ),
        pytest.param(
            "aimage_generation",
            {"data": [{"embedding": [1.0]}]},
            {"num_embeddings": 1, "dimensions": 1},
            {"num_embeddings": 1, "dimensions": 1},
            id="an image that is an embedding",
        ),
        pytest.param("afile_list", {"data": []}, {"num_images": 0}, {"num_images": 0}, id="empty list"),
        pytest.param(
            "afile_list",
            {"data": [{"id": "f", "filename": SECRET, "gone": None}]},
            {"num_items": 1, "items": [{"id": "f", "filename": SECRET}]},
            {"num_items": 1},
            id="files",
        ),
        pytest.param(
            "aocr",
            {"pages": [{"markdown": SECRET, "images": None}]},
            {"num_pages": 1, "pages": [{"markdown": SECRET}]},
            {"num_pages": 1},
            id="pages",
        ),
        pytest.param(
            "acreate_batch",
            {"object": "batch", "id": "b", "status": "done", "errors": None, "metadata": {"k": SECRET}, "_private": 1},
            {"object": "batch", "id": "b", "status": "done", "metadata": {"k": SECRET}},
            {"object": "batch", "id": "b", "status": "done"},
            id="batch",
        ),
        pytest.param(
            "aresponses",
            {"output": [{"type": "custom_tool_call", "call_id": "c", "name": "f", "input": SECRET}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": SECRET}}],
            },
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}]},
            id="custom tool of the Responses API",
        ),
        pytest.param(
            "aanthropic_messages",
            {"role": "assistant", "content": [{"type": "thinking"}, {"type": "image", "data": SECRET}]},
            {"role": "assistant", "content": None, "items": [{"type": "image", "data": SECRET}]},
            {"role": "assistant", "items": [{"type": "image"}]},
            id="blocks without text",
        ),
        pytest.param(
            "acompletion",
            {
                "choices": [
                    {"message": {"content": "a", "provider_specific_fields": {"citations": [SECRET], "refusal": None}}}
                ]
            },
            {"role": "assistant", "content": "a", "provider_specific_fields": {"citations": [SECRET]}},
            {"role": "assistant"},
            id="citations of a chat",
        ),
        pytest.param(
            "acompletion",
            {"choices": [{"message": {"content": "a"}}], "citations": [SECRET]},
            {"role": "assistant", "content": "a", "citations": [SECRET]},
            {"role": "assistant"},
            id="citations beside the choices",
        ),
        pytest.param(
            "aanthropic_messages",
            {"role": "assistant", "content": [{"type": "text", "text": "a", "citations": [{"cited_text": SECRET}]}]},
            {"role": "assistant", "content": "a", "citations": [{"cited_text": SECRET}]},
            {"role": "assistant"},
            id="citations of Anthropic's messages",
        ),
        pytest.param(
            "aresponses",
            {"output": [{"type": "message", "content": [{"text": "a", "annotations": [{"url": SECRET}]}]}]},
            {"role": "assistant", "content": "a", "annotations": [{"url": SECRET}]},
            {"role": "assistant"},
            id="annotations of the Responses API",
        ),
        pytest.param("atext_completion", {"choices": [], "text": "x"}, {"text": "x"}, {}, id="text without choices"),
    ],
)
def test_outputs_of_rare_and_malformed_responses(
    call_type: str, response: Any, expected: object, without_content: object
) -> None:
    assert succeeded(response, call_type=call_type).outputs == expected
    assert succeeded(response, capture_content=False, call_type=call_type).outputs == without_content


def test_binary_data_is_recorded_as_its_size_even_without_a_type() -> None:
    assert succeeded(SimpleNamespace(response=SimpleNamespace(content=b"123", headers={}))).outputs == {"bytes": 3}
    assert "response" in succeeded(SimpleNamespace(response=SimpleNamespace(content="text"))).outputs


def test_an_mcp_tool_without_text_has_no_content() -> None:
    assert outputs_of("call_mcp_tool", {"isError": True}, True) == {"is_error": True, "content": None}


@pytest.mark.parametrize(
    ("cached", "response", "expected"),
    [
        ({"data": [None, {"embedding": [1]}]}, {"data": [{"embedding": [2]}]}, {"num_embeddings": 2, "dimensions": 1}),
        ({"data": [None, None]}, {"data": [{"embedding": [2, 3]}]}, {"num_embeddings": 2, "dimensions": 2}),
        ({"data": 7, "usage": 7}, {"data": [{"embedding": [2]}]}, {"num_embeddings": 1, "dimensions": 1}),
        (7, {"data": []}, {"num_embeddings": 0}),
        ({"data": [None], "usage": 7}, {"data": "odd"}, {"num_embeddings": 1}),
        (None, {"data": [{"embedding": [2]}]}, {"num_embeddings": 1, "dimensions": 1}),
    ],
)
def test_embeddings_that_the_cache_had_are_counted_with_the_others(
    cached: object, response: Dict[str, Any], expected: Dict[str, Any]
) -> None:
    details: Dict[str, Any] = {ARGUMENTS_KEY: {CACHED_PART: cached}}
    for form in (response, objects(response)):
        assert succeeded(form, call_type="aembedding", **details).outputs == expected


def test_the_tokens_of_cached_embeddings_are_counted_with_the_others() -> None:
    cached = {"data": [{"embedding": [1]}, None], "usage": {"prompt_tokens": 3, "total_tokens": 3}}
    response = {"data": [{"embedding": [2]}], "usage": {"prompt_tokens": 4, "total_tokens": 4}}
    details: Dict[str, Any] = {ARGUMENTS_KEY: {CACHED_PART: cached}}
    outcome = succeeded(response, call_type="embedding", **details)
    assert (outcome.metadata["prompt_tokens"], outcome.metadata["total_tokens"]) == (7, 7)


TOKEN = {"token": "hi", "logprob": -0.1, "bytes": [104, 105]}
SHOWN = {"token": "hi", "logprob": -0.1}


@pytest.mark.parametrize(
    ("call_type", "response", "expected"),
    [
        (
            "completion",
            {"choices": [{"message": message("hi"), "logprobs": {"content": [{**TOKEN, "top_logprobs": [TOKEN]}]}}]},
            {"content": [{**SHOWN, "top_logprobs": [SHOWN]}]},
        ),
        (
            "text_completion",
            {"choices": [{"text": "hi", "logprobs": {"tokens": ["hi"], "token_logprobs": [-0.1], "text_offset": [0]}}]},
            {"tokens": ["hi"], "token_logprobs": [-0.1], "text_offset": [0]},
        ),
        (
            "responses",
            {"output": [{"type": "message", "content": [{"text": "hi", "logprobs": [TOKEN]}, {"text": "!"}]}]},
            {"content": [SHOWN]},
        ),
        (
            "completion",
            {"choices": [{"message": message("hi"), "logprobs": {"content": [7, None]}}]},
            {"content": [7, None]},
        ),
        ("completion", {"choices": [{"message": message("hi"), "logprobs": {"content": []}}]}, None),
        ("completion", {"choices": [{"message": message("hi"), "logprobs": 7}]}, None),
    ],
)
def test_log_probabilities_are_content(call_type: str, response: Dict[str, Any], expected: object) -> None:
    for form in (response, objects(response)):
        assert outputs_of(call_type, form, True).get("logprobs") == expected
        assert "logprobs" not in outputs_of(call_type, form, False)


def test_log_probabilities_are_bounded() -> None:
    listed = bounded({"content": [TOKEN] * (MAX_TOKENS + 5)})["content"]
    assert isinstance(listed, list)
    assert listed[-1] == "[5 more]" and len(listed) == MAX_TOKENS + 1


@pytest.mark.parametrize("odd", ["a text", 7, [1]])
def test_a_record_that_is_none_is_recorded_as_it_came(odd: object) -> None:
    assert succeeded(odd, call_type="run_code").outputs == succeeded(odd, call_type="completion").outputs
