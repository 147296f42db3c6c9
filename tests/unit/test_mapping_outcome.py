"""How calls ended, over hand-made responses: dictionaries and attribute objects alike."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, Dict, List, Mapping, Optional

import pytest

from honeyhive_litellm._mapping.mapper import map_failure, map_success
from honeyhive_litellm._mapping.model import OUTCOME_METADATA, Outcome

SECRET = "a very secret sentence"
START = datetime(2026, 3, 1, 12, 0, 0)  # noqa: DTZ001 - LiteLLM's are naive


@dataclass(frozen=True)
class Chosen:
    project: str = "demo"
    environment: str = "test"
    custom_attributes: Optional[Mapping[str, Any]] = None
    capture_message_content: bool = True
    capture_headers: bool = False
    capture_raw_request: bool = False


class Answer(SimpleNamespace):
    """An attribute object that can tell its fields, as pydantic's do."""

    def model_dump(self) -> Dict[str, Any]:
        return {name: _dumped(part) for name, part in vars(self).items()}


def _dumped(value: Any) -> Any:
    return value.model_dump() if isinstance(value, Answer) else value


def objects(value: Any) -> Any:
    """The same answer as attribute objects."""
    if isinstance(value, dict):
        return Answer(**{name: objects(part) for name, part in value.items()})
    return [objects(part) for part in value] if isinstance(value, list) else value


def succeeded(response: object, keep: bool = True, settings: Chosen = Chosen(), **kwargs: Any) -> Outcome:
    return map_success(kwargs, response, settings, keep)


def failed(exception: object, keep: bool = True, **kwargs: Any) -> Outcome:
    return map_failure(kwargs, exception, Chosen(), keep)


def chat(*messages: Dict[str, Any], **more: Any) -> Dict[str, Any]:
    choices = [{"index": n, "message": m, "finish_reason": "stop"} for n, m in enumerate(messages)]
    return {"id": "r-1", "model": "gpt-4o-2024", "choices": choices, **more}


def said(content: object, **more: Any) -> Dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


# Outputs

CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": f'{{"city": "{SECRET}"}}'}}
CASES: List[Any] = [
    pytest.param(
        "completion",
        chat(said(SECRET)),
        {"role": "assistant", "content": SECRET, "finish_reason": "stop"},
        {"role": "assistant", "finish_reason": "stop"},
        id="chat",
    ),
    pytest.param(
        "completion",
        chat(said(None, tool_calls=[CALL], function_call=None)),
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
        chat(said(None, function_call={"name": "f", "arguments": SECRET})),
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
        chat(said("one"), said("two"), said("three")),
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
        chat(said("x", reasoning_content=SECRET, refusal="no", annotations=[{"type": "url_citation"}])),
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
        chat(said("x", thinking_blocks=[{"thinking": "a"}, {"type": "redacted_thinking"}, {"thinking": "b"}])),
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
        chat(said(SECRET)),
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
def test_outputs_hold_what_the_model_answered(
    call_type: str, response: Any, expected: object, without_content: object, shape: Any
) -> None:
    answer = shape(response)
    kept = succeeded(answer, call_type="a" + call_type).outputs
    bare = succeeded(answer, keep=False, call_type=call_type)

    assert kept == expected
    assert bare.outputs == without_content
    assert SECRET not in repr(bare)


def test_speech_is_told_by_its_size() -> None:
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
def test_an_unknown_answer_is_kept_by_its_fields_or_its_type(response: object, kept: object, bare: object) -> None:
    assert succeeded(response).outputs == kept
    assert succeeded(response, keep=False).outputs == bare


def test_a_response_that_cannot_be_read_costs_the_outputs_only() -> None:
    outcome = succeeded(SimpleNamespace(response=Unread(), id="r"))

    assert outcome.status == "success"
    assert outcome.metadata["response_id"] == "r"


def test_a_streams_answer_is_found_in_the_keyword_arguments() -> None:
    outcome = succeeded(None, async_complete_streaming_response=chat(said("hi")))

    assert outcome.outputs["content"] == "hi"


def test_litellms_global_redaction_is_noticed_by_its_traces() -> None:
    messages = [{"role": "user", "content": "redacted-by-litellm"}]

    assert succeeded(chat(said(SECRET)), messages=messages).outputs == {"role": "assistant", "finish_reason": "stop"}
    assert failed(ValueError(SECRET), messages=messages).error == "ValueError"


# Tokens


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 15,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 15,
                "cache_read_tokens": 4,
                "reasoning_tokens": 3,
            },
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "cache_read_input_tokens": 2,
                "cache_creation_input_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": None},
            },
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 15,
                "cache_read_tokens": 2,
                "cache_creation_tokens": 3,
            },
        ),
        (
            {"input_tokens": 7, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 1}},
            {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9, "cache_read_tokens": 1},
        ),
        ({"prompt_tokens": 3, "total_tokens": 3}, {"prompt_tokens": 3, "total_tokens": 3}),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, {}),
        ({"prompt_tokens": True, "completion_tokens": "5", "total_tokens": -1}, {}),
        (None, {}),
        ("many", {}),
    ],
)
@pytest.mark.parametrize("shape", [lambda value: value, objects], ids=["dictionaries", "objects"])
def test_tokens_that_somebody_counted_are_told(usage: Any, expected: object, shape: Any) -> None:
    metadata = succeeded(shape(chat(said("x"), usage=usage))).metadata

    assert {name: value for name, value in metadata.items() if "token" in name} == expected


def test_a_rerankers_tokens_are_in_its_meta() -> None:
    response = {"results": [], "meta": {"tokens": {"input_tokens": 3, "output_tokens": 0}}}

    assert succeeded(response).metadata["prompt_tokens"] == 3


# Money

PRICED = {"model_map_information": {"model_map_value": {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}}}
FREE = {"model_map_information": {"model_map_value": {"input_cost_per_token": 0.0, "output_cost_per_token": 0}}}


@pytest.mark.parametrize(
    ("kwargs", "hidden", "cost"),
    [
        ({"response_cost": 0.5}, {}, 0.5),
        ({}, {"response_cost": 0.25}, 0.25),
        ({"standard_logging_object": {"response_cost": 0.125}}, {}, 0.125),
        ({"response_cost": None}, {}, None),
        ({"response_cost": 0.0, "standard_logging_object": PRICED}, {}, None),
        ({"response_cost": None, "standard_logging_object": {"response_cost": 0.0}}, {}, None),
        ({"response_cost": 0.0, "cache_hit": True}, {}, 0.0),
        ({"response_cost": 0.0, "standard_logging_object": FREE}, {}, 0.0),
        ({"response_cost": 0.0, "litellm_params": {"input_cost_per_token": 0.0}}, {}, 0.0),
        ({"response_cost": 0.0, "litellm_params": {"input_cost_per_token": 0, "output_cost_per_token": 1}}, {}, None),
        ({"response_cost": float("nan")}, {}, None),
        ({"response_cost": -1.0}, {}, None),
        ({"response_cost": "0.5"}, {}, None),
    ],
)
def test_a_cost_is_told_if_it_is_known_and_zero_only_if_it_is_proven(
    kwargs: Dict[str, Any], hidden: Dict[str, Any], cost: Optional[float]
) -> None:
    metadata = succeeded(SimpleNamespace(_hidden_params=hidden), **kwargs).metadata

    assert metadata.get("cost") == cost
    assert metadata.get("estimated_cost") == cost


# Times


def test_times_are_unix_milliseconds_from_the_payload_or_from_local_datetimes() -> None:
    payload = {"startTime": 1000.0, "endTime": 1002.5, "completionStartTime": 1001.25, "stream": True}
    outcome = succeeded(None, standard_logging_object=payload)

    assert (outcome.start_ms, outcome.end_ms) == (1_000_000.0, 1_002_500.0)
    assert outcome.metadata["duration_ms"] == 2500.0
    assert outcome.metadata["time_to_first_token_ms"] == 1250.0

    later = succeeded(None, start_time=START, end_time=START + timedelta(seconds=2))
    assert later.start_ms == START.timestamp() * 1000
    assert later.metadata["duration_ms"] == 2000.0


@pytest.mark.parametrize(
    ("stream", "first", "expected"),
    [
        (True, START + timedelta(milliseconds=300), 300.0),
        (True, START + timedelta(seconds=2), None),  # LiteLLM's stand-in for "no chunk seen"
        (True, None, None),
        (True, START - timedelta(seconds=1), None),
        (False, START + timedelta(milliseconds=300), None),
        (None, START + timedelta(milliseconds=300), None),
    ],
)
def test_only_a_stream_has_a_time_to_its_first_token(
    stream: object, first: Optional[datetime], expected: Optional[float]
) -> None:
    end = START + timedelta(seconds=2)
    outcome = succeeded(None, stream=stream, start_time=START, completion_start_time=first, end_time=end)

    assert outcome.metadata.get("time_to_first_token_ms") == expected


def test_unknown_times_are_none() -> None:
    outcome = succeeded(chat(said("x")))

    assert (outcome.start_ms, outcome.end_ms) == (None, None)
    assert "duration_ms" not in outcome.metadata


# What came with the answer


def test_ids_overhead_and_cache_hit_are_told() -> None:
    response = objects(chat(said("x"), system_fingerprint="fp"))
    response._hidden_params = {"litellm_overhead_time_ms": 1.5}
    metadata = succeeded(response, cache_hit=True, response_headers={"x-request-id": "req-1"}).metadata

    assert metadata == {
        "status": "success",
        "success": True,
        "cache_hit": True,
        "response_id": "r-1",
        "response_model": "gpt-4o-2024",
        "system_fingerprint": "fp",
        "litellm_overhead_ms": 1.5,
        "provider_request_id": "req-1",
    }
    assert "cache_hit" not in succeeded(response).metadata
    assert succeeded(response, cache_hit=None).metadata["cache_hit"] is False


@pytest.mark.parametrize(
    ("kwargs", "hidden"),
    [
        ({"response_headers": {"X-Limit": "5", "Set-Cookie": SECRET, "x-auth-token": SECRET}}, {}),
        ({}, {"headers": {"x-limit": "5", "authorization": SECRET}}),
        ({}, {"additional_headers": {"llm_provider-x-limit": "5", "llm_provider-set-cookie": SECRET, "own": "1"}}),
    ],
)
def test_response_headers_come_without_credentials_when_they_are_asked_for(
    kwargs: Dict[str, Any], hidden: Dict[str, Any]
) -> None:
    response = SimpleNamespace(_hidden_params=hidden, text="x")
    outcome = succeeded(response, settings=Chosen(capture_headers=True), **kwargs)

    assert outcome.metadata["response_headers"] == {"x-limit": "5"}
    assert "response_headers" not in succeeded(response, **kwargs).metadata


# Failures


class RateLimitError(Exception):
    status_code = 0

    def __init__(self, message: str, status: Any = 429) -> None:
        super().__init__(message)
        self.status_code = status


class SilentError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("exception", "error"),
    [
        (RateLimitError("litellm.RateLimitError: slow down"), "RateLimitError: slow down"),
        (
            RateLimitError("litellm.RateLimitError: RateLimitError: OpenAIException - x"),
            "RateLimitError: OpenAIException - x",
        ),
        (RateLimitError("slow: down"), "RateLimitError: slow: down"),
        (RateLimitError(""), "RateLimitError"),
        (RateLimitError("RateLimitErrors: many"), "RateLimitError: RateLimitErrors: many"),
        (RateLimitError("x\nTraceback (most recent call last):\n  File"), "RateLimitError: x"),
        (RateLimitError("litellm.RateLimitError: x\n\nThis looks like a bug in LiteLLM rather"), "RateLimitError: x"),
        (SilentError(), "SilentError"),
        ("went wrong", "Error: went wrong"),
        (None, "Error"),
        (object(), "Error"),
    ],
)
def test_an_error_reads_class_and_message_once(exception: object, error: str) -> None:
    outcome = failed(exception)

    assert outcome.error == error
    assert outcome.metadata["error_class"] == error.partition(":")[0]
    assert (outcome.status, outcome.metadata["status"], outcome.metadata["success"]) == ("failure", "failure", False)


@pytest.mark.parametrize(
    ("status", "told"), [(429, 429), ("503", 503), (7, None), ("x", None), (None, None), ([], None)]
)
def test_the_http_status_is_told_where_there_was_one(status: object, told: Optional[int]) -> None:
    assert failed(RateLimitError("x", status)).metadata.get("status_code") == told


def test_without_content_an_error_is_its_class() -> None:
    outcome = failed(RateLimitError(SECRET), keep=False)

    assert outcome.error == "RateLimitError"
    assert outcome.metadata["status_code"] == 429
    assert SECRET not in repr(outcome)


def test_litellms_payload_serves_where_the_exception_is_missing() -> None:
    told = {
        "error_class": "Timeout",
        "error_code": "408",
        "error_message": "litellm.Timeout: late",
        "error_provider_request_id": "req-1",
    }
    outcome = failed(None, standard_logging_object={"error_information": told})

    assert outcome.error == "Timeout: late"
    assert outcome.metadata["status_code"] == 408
    assert outcome.metadata["provider_request_id"] == "req-1"
    assert map_failure({"exception": RateLimitError("x")}, None, Chosen(), True).error == "RateLimitError: x"


def test_the_providers_request_id_is_found_on_the_exception() -> None:
    exception = RateLimitError("x")
    exception.response = SimpleNamespace(headers={"x-request-id": "req-2"})  # type: ignore[attr-defined]

    assert failed(exception).metadata["provider_request_id"] == "req-2"


def test_a_cancelled_call_is_no_failure() -> None:
    assert failed(asyncio.CancelledError()).status == "cancelled"


def test_a_broken_stream_keeps_its_words_and_litellms_own_count_of_tokens() -> None:
    usage = SimpleNamespace(prompt_tokens=8, completion_tokens=4, total_tokens=12)
    exception = RateLimitError("x")
    exception.generated_content = "half an"  # type: ignore[attr-defined]
    outcome = failed(exception, combined_usage_object=usage, response_cost=0.5, stream=True)

    assert outcome.outputs == {"role": "assistant", "content": "half an"}
    assert outcome.metadata["total_tokens"] == 12
    assert outcome.metadata["usage_estimated"] is True
    assert outcome.metadata["estimated_cost"] == 0.5
    assert "cost" not in outcome.metadata
    assert failed(exception, keep=False).outputs == {}


def test_a_client_who_hung_up_cancelled_the_call() -> None:
    told = {"error_class": "ClientDisconnected", "error_code": "499"}
    outcome = succeeded(chat(said("half")), standard_logging_object={"error_information": told})

    assert outcome.status == "cancelled"
    assert outcome.error is None
    assert outcome.outputs["content"] == "half"
    assert outcome.metadata["status_code"] == 499
    assert outcome.metadata["success"] is False


# Odd input


@pytest.mark.parametrize("odd", [None, 7, "text", [], [1], {"a": {}}, object(), float("inf"), 10**400])
def test_odd_parts_cost_those_parts_only(odd: Any) -> None:
    names = (
        "standard_logging_object", "litellm_params", "start_time", "end_time", "completion_start_time", "stream",
        "response_cost", "response_headers", "cache_hit", "combined_usage_object", "call_type", "messages",
        "complete_streaming_response",
    )  # fmt: skip
    kwargs = dict.fromkeys(names, odd)
    response = chat(said("x"), usage=odd, _hidden_params=odd)

    assert map_success(kwargs, response, Chosen(capture_headers=True), True).outputs["content"] == "x"
    assert map_success(odd, odd, Chosen(), True).status == "success"
    assert map_failure(kwargs, odd, Chosen(), True).status == "failure"
    assert map_success({}, {"choices": [odd, chat(said("x"))["choices"][0]]}, Chosen(), True).status == "success"
    assert set(map_failure(kwargs, RateLimitError("x"), Chosen(), True).metadata) <= OUTCOME_METADATA
