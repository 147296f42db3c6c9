"""The mapping of a whole call: what no single part decides, and odd input."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from honeyhive_litellm._mapping.mapper import map_failure, map_request, map_success
from honeyhive_litellm._mapping.model import OUTCOME_METADATA

from .mapping_calls import (
    SECRET,
    TOOL,
    MappingOptions,
    RateLimitError,
    chat,
    failed,
    mapped,
    message,
    objects,
    succeeded,
    user,
    with_metadata,
)


def test_without_content_only_shape_and_harmless_parameters_stay() -> None:
    request = mapped(
        MappingOptions(capture_message_content=False, capture_raw_request=True),
        call_type="acompletion",
        model="gpt-4o",
        messages=[{"role": "system", "content": SECRET}, user([{"type": "text", "text": SECRET}]), user(SECRET)],
        input=SECRET,
        optional_params={
            "temperature": 0.5,
            "reasoning_effort": "low",
            "tools": [TOOL, {"type": "web_search", "user_location": SECRET}],
            "tool_choice": {"type": "function", "function": {"name": SECRET}},
            "response_format": {"type": "json_schema", "json_schema": {"description": SECRET}},
            "stop": [SECRET],
            "prediction": {"content": SECRET},
            "instructions": SECRET,
            "extra_body": {"guidance": SECRET, "seed": 4},
            "max_tokens": [SECRET],
        },
        additional_args={"complete_input_dict": {"messages": [user(SECRET)]}},
        litellm_params={"metadata": {"purpose": "kept", "tags": ["kept"]}},
    )

    assert request.capture_content is False
    assert SECRET not in repr(request)
    assert request.inputs == {
        "chat_history": [{"role": "system"}, {"role": "system"}, {"role": "user"}, {"role": "user"}],
        "functions": [{"type": "function", "function": {"name": "weather"}}, {"type": "web_search"}],
    }
    assert request.config == {
        "model": "gpt-4o",
        "is_streaming": False,
        "temperature": 0.5,
        "seed": 4,
        "reasoning_effort": "low",
        "tool_choice": {"type": "function"},
        "response_format": {"type": "json_schema"},
    }
    assert request.metadata["purpose"] == "kept"


@pytest.mark.parametrize("odd", [None, 7, "text", [], [1], {"a": {}}, object(), float("nan"), 10**400])
def test_odd_parts_of_a_request_cost_those_parts_only(odd: Any) -> None:
    names = (
        "model", "messages", "input", "optional_params", "litellm_params", "additional_args", "litellm_call_id",
        "litellm_trace_id", "start_time", "user", "stream", "custom_llm_provider", "standard_callback_dynamic_params",
    )  # fmt: skip
    request = map_request({**dict.fromkeys(names, odd), "call_type": "completion"}, MappingOptions())

    assert request.event_name == "completion"
    assert isinstance(request.inputs, dict)
    assert map_request(odd, MappingOptions()).metadata["project"] == "demo"
    assert (
        with_metadata(tags=odd, session_id=odd, event_name=odd, user_id=odd, model_info=odd, k="v").metadata["k"] == "v"
    )


def test_a_streams_response_is_found_in_the_call_details() -> None:
    outcome = succeeded(None, async_complete_streaming_response=chat(message("hi")))

    assert outcome.outputs["content"] == "hi"


def test_ids_overhead_and_cache_hit_are_recorded() -> None:
    response = objects(chat(message("x"), system_fingerprint="fp"))
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


def test_a_broken_stream_keeps_its_text_and_litellms_count_of_tokens() -> None:
    usage = SimpleNamespace(prompt_tokens=8, completion_tokens=4, total_tokens=12)
    exception = RateLimitError("x")
    exception.generated_content = "half an"  # type: ignore[attr-defined]
    outcome = failed(exception, combined_usage_object=usage, response_cost=0.5, stream=True)

    assert outcome.outputs == {"role": "assistant", "content": "half an"}
    assert outcome.metadata["total_tokens"] == 12
    assert outcome.metadata["usage_estimated"] is True
    assert outcome.metadata["estimated_cost"] == 0.5
    assert "cost" not in outcome.metadata
    assert failed(exception, capture_content=False).outputs == {}


def test_a_call_whose_client_disconnected_is_cancelled() -> None:
    reported = {"error_class": "ClientDisconnected", "error_code": "499"}
    outcome = succeeded(chat(message("half")), standard_logging_object={"error_information": reported})

    assert outcome.status == "cancelled"
    assert outcome.error is None
    assert outcome.outputs["content"] == "half"
    assert outcome.metadata["status_code"] == 499
    assert outcome.metadata["success"] is False


@pytest.mark.parametrize("odd", [None, 7, "text", [], [1], {"a": {}}, object(), float("inf"), 10**400])
def test_odd_parts_of_an_outcome_cost_those_parts_only(odd: Any) -> None:
    names = (
        "standard_logging_object", "litellm_params", "start_time", "end_time", "completion_start_time", "stream",
        "response_cost", "response_headers", "cache_hit", "combined_usage_object", "call_type", "messages",
        "complete_streaming_response",
    )  # fmt: skip
    call_details = dict.fromkeys(names, odd)
    response = chat(message("x"), usage=odd, _hidden_params=odd)

    assert map_success(call_details, response, MappingOptions(capture_headers=True), True).outputs["content"] == "x"
    assert map_success(odd, odd, MappingOptions(), True).status == "success"
    assert map_failure(call_details, odd, MappingOptions(), True).status == "failure"
    assert (
        map_success({}, {"choices": [odd, chat(message("x"))["choices"][0]]}, MappingOptions(), True).status
        == "success"
    )
    assert set(map_failure(call_details, RateLimitError("x"), MappingOptions(), True).metadata) <= OUTCOME_METADATA


def test_an_unknown_cost_of_a_failure_is_left_out() -> None:
    free: Any = {"response_cost": 0.0, "cache_hit": True}

    assert not {"cost", "estimated_cost"} & set(failed(RateLimitError("x"), **free).metadata)
    assert succeeded(chat(message("x")), **free).metadata["cost"] == 0.0


def test_an_error_that_litellm_reports_with_a_success_is_recorded_and_the_call_stays_a_success() -> None:
    reported = {"error_class": "GuardrailError", "error_code": "400"}
    outcome = succeeded(chat(message("x")), standard_logging_object={"error_information": reported})

    assert outcome.status == "success"
    assert (outcome.metadata["error_class"], outcome.metadata["status_code"]) == ("GuardrailError", 400)
