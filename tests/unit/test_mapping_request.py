"""What was asked, over hand-made keyword arguments in the shapes that LiteLLM 1.106 was seen to hand out."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from types import MappingProxyType, SimpleNamespace
from typing import Any, Dict, Mapping, Optional

import pytest

from honeyhive_litellm._mapping.mapper import map_request
from honeyhive_litellm._mapping.model import OUTCOME_METADATA, Request

SECRET = "a very secret sentence"


@dataclass(frozen=True)
class Chosen:
    project: str = "demo"
    environment: str = "test"
    custom_attributes: Optional[Mapping[str, Any]] = None
    capture_message_content: bool = True
    capture_headers: bool = False
    capture_raw_request: bool = False


def user(text: object) -> Dict[str, object]:
    return {"role": "user", "content": text}


def mapped(*settings: Chosen, **kwargs: Any) -> Request:
    (chosen,) = settings or (Chosen(),)
    return map_request(kwargs, chosen)


def with_metadata(*settings: Chosen, **metadata: Any) -> Request:
    return mapped(*settings, call_type="completion", litellm_params={"metadata": metadata})


# Names


@pytest.mark.parametrize(
    ("call_type", "name"),
    [
        ("completion", "completion"),
        ("acompletion", "completion"),
        ("aembedding", "embedding"),
        ("atext_completion", "text_completion"),
        ("arerank", "rerank"),
        ("atranscription", "transcription"),
        ("aspeech", "speech"),
        ("aimage_generation", "image_generation"),
        ("aresponses", "responses"),
        ("amoderation", "moderation"),
        ("agenerate_content", "generate_content"),
        ("anthropic_messages", "anthropic_messages"),
        ("aanthropic_messages", "anthropic_messages"),
        ("a_add_message", "add_message"),
        ("add_message", "add_message"),
        ("acreate_file", "create_file"),
        ("_arealtime", "realtime"),
        ("pass_through_endpoint", "pass_through_endpoint"),
        ("a", "a"),
        ("", "unknown"),
        (None, "unknown"),
        (7.5, "unknown"),
    ],
)
def test_an_event_is_named_after_the_call_without_the_a_of_asynchronous_calls(call_type: object, name: str) -> None:
    assert mapped(call_type=call_type).event_name == name


def test_the_caller_may_name_the_event() -> None:
    assert with_metadata(event_name="summarise").event_name == "summarise"


@pytest.mark.parametrize(
    ("model", "provider", "expected"),
    [
        ("gpt-4o", "openai", ("openai", "gpt-4o")),
        ("claude-3-5-sonnet", "anthropic", ("anthropic", "claude-3-5-sonnet")),
        ("anthropic/claude-3-5-sonnet", None, ("anthropic", "claude-3-5-sonnet")),
        ("openai/gpt-4o", "openai", ("openai", "gpt-4o")),
        ("anthropic.claude-3-v1:0", "bedrock", ("bedrock", "anthropic.claude-3-v1:0")),
        ("anthropic/claude-3", "openrouter", ("openrouter", "anthropic/claude-3")),
        ("gpt-3.5-turbo-instruct", "text-completion-openai", ("openai", "gpt-3.5-turbo-instruct")),
        ("nosuch", None, (None, "nosuch")),
        (None, None, (None, None)),
        (["odd"], {"odd": 1}, (None, None)),
    ],
)
def test_provider_and_model_are_told_apart(model: object, provider: object, expected: object) -> None:
    request = mapped(call_type="completion", model=model, custom_llm_provider=provider)

    assert (request.provider, request.model) == expected
    assert (request.config.get("provider"), request.config.get("model")) == expected
    assert (request.metadata.get("provider"), request.metadata.get("model")) == expected


# Parameters


def test_every_parameter_is_in_the_config_and_the_extra_body_is_flattened_under_them() -> None:
    request = mapped(
        call_type="completion",
        model="gpt-4o",
        stream=True,
        optional_params={
            "temperature": 0.2,
            "max_tokens": 10,
            "top_p": None,
            "tool_choice": "auto",
            "response_format": {"type": "json_object"},
            "stop": ["END"],
            "stream": True,
            "extra_body": {"temperature": 0.9, "top_k": 3, "provider": {"order": ["x"]}},
        },
    )

    assert request.config == {
        "model": "gpt-4o",
        "is_streaming": True,
        "temperature": 0.2,
        "max_tokens": 10,
        "top_k": 3,
        "tool_choice": "auto",
        "response_format": {"type": "json_object"},
        "stop": ["END"],
        "extra_body": {"provider": {"order": ["x"]}},
    }


@pytest.mark.parametrize(
    "name",
    [
        "api_key", "azure_ad_token", "aws_access_key_id", "aws_secret_access_key", "aws_session_token",
        "vertex_credentials", "vertex_ai_credentials", "extra_headers", "headers", "client_secret", "client",
        "azure_password", "access_token", "langfuse_secret", "Api_Key",
    ],
)  # fmt: skip
def test_no_container_of_credentials_comes_into_the_config(name: str) -> None:
    given = {name: "hunter2", "extra_body": {name: "hunter2"}, "seed": 1}
    request = mapped(call_type="completion", optional_params=given, litellm_params={name: "hunter2"}, api_key="hunter2")

    assert request.config == {"seed": 1, "is_streaming": False}
    assert "hunter2" not in repr(request)


def test_parameters_that_only_sound_like_credentials_stay() -> None:
    given = {
        "max_tokens": 1,
        "prompt_cache_key": "k",
        "logit_bias": {"1": 2},
        "stream_options": {"include_usage": True},
    }

    assert mapped(optional_params=given).config == {**given, "is_streaming": False}


# Inputs

TOOL = {"type": "function", "function": {"name": "weather", "description": SECRET, "parameters": {"x": SECRET}}}
ITEMS = [
    user("hi"),
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "done"},
]
CALLED = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("kwargs", "expected"),
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
def test_inputs_hold_what_the_model_was_given(kwargs: Dict[str, Any], expected: Dict[str, Any]) -> None:
    assert mapped(**kwargs).inputs == expected


def test_messages_are_taken_over_without_a_copy() -> None:
    messages = [user("hi")]

    assert mapped(call_type="completion", messages=messages).inputs["chat_history"] is messages


# Content


def test_without_content_only_shape_and_harmless_parameters_stay() -> None:
    request = mapped(
        Chosen(capture_message_content=False, capture_raw_request=True),
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
def test_without_content_every_kind_of_input_is_counted_only(call_type: str, expected: object) -> None:
    is_chat = call_type == "responses"
    request = mapped(
        Chosen(capture_message_content=False),
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


@pytest.mark.parametrize(
    ("kwargs", "keeps"),
    [
        ({}, True),
        ({"litellm_params": {"metadata": {"honeyhive_capture_content": False}}}, False),
        ({"litellm_params": {"metadata": {"honeyhive_capture_content": "false"}}}, False),
        ({"litellm_params": {"metadata": {"honeyhive_capture_content": True}}}, True),
        ({"litellm_params": {"litellm_metadata": {"honeyhive_capture_content": 0}}}, False),
        ({"standard_callback_dynamic_params": {"turn_off_message_logging": True}}, False),
        ({"standard_callback_dynamic_params": {"turn_off_message_logging": "True"}}, False),
        ({"standard_callback_dynamic_params": {"turn_off_message_logging": False}}, True),
        ({"extra_body": {"turn_off_message_logging": True}}, False),
        ({"turn_off_message_logging": True}, False),
        ({"litellm_params": {"metadata": {"headers": {"x-litellm-enable-message-redaction": "1"}}}}, False),
        ({"messages": [user("redacted-by-litellm")]}, False),
    ],
)
def test_any_one_switch_turns_content_off(kwargs: Dict[str, Any], keeps: bool) -> None:
    assert mapped(**kwargs).capture_content is keeps


def test_a_call_cannot_turn_on_what_the_settings_turned_off() -> None:
    request = with_metadata(Chosen(capture_message_content=False), honeyhive_capture_content=True)

    assert request.capture_content is False


# Session, parent, user, skip

A_UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("kwargs", "session"),
    [
        pytest.param({"litellm_trace_id": "generated"}, None, id="a plain call has none"),
        pytest.param({"litellm_params": {"metadata": {"session_id": "s"}}}, "s", id="metadata"),
        pytest.param({"litellm_params": {"metadata": {"session_id": 7}}}, "7", id="a number"),
        pytest.param({"litellm_params": {"metadata": {"session_id": A_UUID}}}, str(A_UUID), id="a UUID object"),
        pytest.param(
            {"litellm_params": {"metadata": {"session_id": "s", "honeyhive_session_id": "h"}}}, "h", id="ours first"
        ),
        pytest.param({"litellm_params": {"litellm_metadata": {"session_id": "s"}}}, "s", id="litellm_metadata"),
        pytest.param({"optional_params": {"metadata": {"session_id": "s"}}}, "s", id="the Responses API's metadata"),
        pytest.param(
            {"litellm_params": {"litellm_session_id": "l", "litellm_trace_id": "t"}}, "l", id="litellm_session_id"
        ),
        pytest.param({"litellm_params": {"litellm_trace_id": "t"}, "litellm_trace_id": "t"}, "t", id="explicit trace"),
        pytest.param({"litellm_params": {"metadata": {"model_group": "g"}}, "litellm_trace_id": "r"}, "r", id="router"),
        pytest.param(
            {"litellm_params": {"metadata": {"user_api_key_hash": "x"}}, "litellm_trace_id": "p"}, "p", id="proxy"
        ),
        pytest.param({"litellm_params": {"metadata": {"session_id": ""}}}, None, id="empty"),
        pytest.param({"litellm_params": {"metadata": {"session_id": ["odd"]}}}, None, id="odd"),
    ],
)
def test_the_session_is_the_first_that_was_named(kwargs: Dict[str, Any], session: Optional[str]) -> None:
    assert mapped(**kwargs).session == session


def test_the_callers_trace_id_beats_the_generated_one() -> None:
    params = {"metadata": {"trace_id": "theirs"}}

    assert mapped(litellm_trace_id="generated").metadata["trace_id"] == "generated"
    assert mapped(litellm_trace_id="generated", litellm_params=params).metadata["trace_id"] == "theirs"


def test_parent_user_and_tags_are_taken_out_of_the_metadata() -> None:
    request = with_metadata(
        honeyhive_parent_id="p", user_id="u", user_properties={"plan": "pro"}, tags=["a"], honeyhive_other=1, k="v"
    )

    assert request.parent_id == "p"
    assert request.user_properties == {"plan": "pro", "user_id": "u"}
    assert request.metadata["tags"] == ["a"]
    assert request.metadata["k"] == "v"
    assert not {"user_id", "user_properties", "honeyhive_parent_id", "honeyhive_other"} & set(request.metadata)


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({"user": "u"}, {"user_id": "u"}),
        ({"user": "", "optional_params": {"user": "o"}}, {"user_id": "o"}),
        ({"user": "u", "litellm_params": {"metadata": {"user_id": "m"}}}, {"user_id": "m"}),
        ({"user": None}, {}),
    ],
)
def test_the_user_comes_from_metadata_or_the_user_parameter(kwargs: Dict[str, Any], expected: object) -> None:
    assert mapped(**kwargs).user_properties == expected


@pytest.mark.parametrize(
    ("kwargs", "skip"),
    [
        ({}, False),
        ({"litellm_params": {"metadata": {"honeyhive_skip": True}}}, True),
        ({"litellm_params": {"metadata": {"honeyhive_skip": "yes"}}}, True),
        ({"litellm_params": {"metadata": {"honeyhive_skip": "false"}}}, False),
        ({"litellm_params": {"no-log": True}}, True),
        ({"litellm_params": {"no-log": None}}, False),
        ({"no-log": True}, True),
    ],
)
def test_a_call_may_ask_not_to_be_traced(kwargs: Dict[str, Any], skip: bool) -> None:
    assert mapped(**kwargs).skip is skip


# Metadata


def test_what_is_ours_wins_and_what_the_caller_had_there_is_kept_aside() -> None:
    settings = Chosen(custom_attributes=MappingProxyType({"team": "a", "region": "eu", "project": "other"}))
    request = with_metadata(settings, team="b", cost=5, model="mine", k=None, nested={"x": [1]})

    assert request.metadata == {
        "call_type": "completion",
        "project": "demo",
        "team": "b",
        "region": "eu",
        "nested": {"x": [1]},
        "user_metadata": {"project": "other", "cost": 5, "model": "mine"},
    }


def test_a_request_never_writes_what_an_outcome_may_write() -> None:
    theirs = dict.fromkeys(OUTCOME_METADATA - {"litellm_overhead_ms"}, 1)
    request = with_metadata(**theirs)

    assert not OUTCOME_METADATA & set(request.metadata)
    assert request.metadata["user_metadata"] == theirs


def test_the_metadata_of_every_place_is_merged() -> None:
    request = mapped(
        litellm_params={
            "metadata": {"a": 1, "requester_metadata": {"a": 9, "r": 4}},
            "litellm_metadata": {"a": 2, "b": 2},
        },
        optional_params={"metadata": {"b": 3, "c": 3}},
    )

    assert {name: request.metadata.get(name) for name in "abcr"} == {"a": 1, "b": 2, "c": 3, "r": 4}


def test_what_litellm_wrote_into_the_metadata_is_no_metadata_of_the_callers() -> None:
    written = {
        "hidden_params": {"x": 1},
        "llm_api_timing_windows": [[1, 2]],
        "previous_models": [{"exception_string": SECRET}],
        "requester_metadata": {},
        "raw_request": SECRET,
        "_litellm_router_usage_counted_tokens": 30,
        "_routing_request_tags": ["a"],
        "user_api_key_metadata": {"x": 1},
        "standard_logging_guardrail_information": {},
        "litellm_parent_otel_span": object(),
    }
    request = with_metadata(**written)

    assert request.metadata == {"call_type": "completion", "project": "demo"}


def test_common_words_are_litellms_own_only_in_a_routed_call() -> None:
    mine = {"deployment": "blue", "endpoint": "/x", "user_agent": "me"}

    assert with_metadata(**mine).metadata["deployment"] == "blue"
    assert not set(mine) & set(with_metadata(**mine, model_group="g").metadata)


def test_a_routed_call_tells_of_its_deployment() -> None:
    request = with_metadata(
        model_group="g",
        model_info={"id": "dep-1"},
        deployment="openai/gpt-4o",
        attempted_retries=1,
        attempted_fallbacks=1,
        original_model_group="first",
    )

    assert request.metadata["router"] == {
        "model_group": "g",
        "deployment_id": "dep-1",
        "deployment": "openai/gpt-4o",
        "retry_count": 1,
        "fallback_info": {"original_model_group": "first", "attempted_fallbacks": 1},
    }
    assert "router" not in with_metadata(k=1).metadata


def test_a_proxied_call_tells_who_asked() -> None:
    request = mapped(
        litellm_call_id="call-1",
        litellm_params={
            "metadata": {
                "user_api_key": "sk-raw",
                "user_api_key_hash": "abc",
                "user_api_key_alias": "dev",
                "user_api_key_team_id": "t",
                "user_api_key_spend": 0.0,
                "user_api_key_max_budget": None,
                "user_api_key_request_route": "/chat/completions",
            }
        },
    )

    assert request.metadata["proxy"] == {
        "virtual_key_hash": "abc",
        "key_alias": "dev",
        "team_id": "t",
        "spend": 0.0,
        "route": "/chat/completions",
        "request_id": "call-1",
    }
    assert "sk-raw" not in repr(request)
    assert "proxy" not in with_metadata(k=1).metadata


def test_the_timestamp_is_utc() -> None:
    moment = datetime(2026, 3, 1, 12, 30, 15, 250000, tzinfo=timezone.utc)
    local = moment.astimezone().replace(tzinfo=None)  # LiteLLM's are naive and local

    assert mapped(start_time=local).metadata["timestamp"] == "2026-03-01T12:30:15.250+00:00"
    assert "timestamp" not in mapped(start_time="yesterday").metadata


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("https://user:pass@x.azure.com:8443/openai/deployments?key=1", "https://x.azure.com:8443"),
        ("http://[::1]:80/v1", "http://[::1]:80"),
        ("https://API.openai.com", "https://api.openai.com"),
        ("http://x:99999999/", None),
        ("no address", None),
        ("", None),
        (["http"], None),
    ],
)
def test_of_the_api_base_only_the_origin_is_told(address: object, told: Optional[str]) -> None:
    assert mapped(litellm_params={"api_base": address}).metadata.get("api_base") == told


def test_the_raw_request_comes_without_credentials_when_it_is_asked_for() -> None:
    kwargs = {
        "litellm_params": {"api_base": "http://h/v1"},
        "additional_args": {
            "complete_input_dict": {
                "model": "m",
                "messages": [],
                "api_key": "hunter2",
                "extra_headers": {"a": "hunter2"},
            },
            "headers": {
                "Authorization": "hunter2",
                "X-Api-Key": "hunter2",
                "x-ratelimit-tokens": "5",
                "OpenAI-Beta": "y",
            },
        },
    }
    raw = mapped(Chosen(capture_raw_request=True), **kwargs).metadata["raw_request"]

    assert raw == {
        "api_base": "http://h",
        "headers": {"x-ratelimit-tokens": "5", "openai-beta": "y"},
        "body": {"model": "m", "messages": []},
    }
    assert "raw_request" not in mapped(**kwargs).metadata
    assert json.dumps(raw)


# Odd input


@pytest.mark.parametrize("odd", [None, 7, "text", [], [1], {"a": {}}, object(), float("nan"), 10**400])
def test_odd_parts_cost_those_parts_only(odd: Any) -> None:
    names = (
        "model", "messages", "input", "optional_params", "litellm_params", "additional_args", "litellm_call_id",
        "litellm_trace_id", "start_time", "user", "stream", "custom_llm_provider", "standard_callback_dynamic_params",
    )  # fmt: skip
    request = map_request({**dict.fromkeys(names, odd), "call_type": "completion"}, Chosen())

    assert request.event_name == "completion"
    assert isinstance(request.inputs, dict)
    assert map_request(odd, Chosen()).metadata["project"] == "demo"
    assert (
        with_metadata(tags=odd, session_id=odd, event_name=odd, user_id=odd, model_info=odd, k="v").metadata["k"] == "v"
    )
