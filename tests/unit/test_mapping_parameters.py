"""The parameters of a request, and the request as the provider got it."""

from __future__ import annotations

import json

import pytest

from honeyhive_litellm._mapping.mapper import map_request

from .mapping_calls import MappingOptions, mapped


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
def test_no_container_of_credentials_gets_into_the_config(name: str) -> None:
    parameters = {name: "hunter2", "extra_body": {name: "hunter2"}, "seed": 1}
    request = mapped(
        call_type="completion", optional_params=parameters, litellm_params={name: "hunter2"}, api_key="hunter2"
    )

    assert request.config == {"seed": 1, "is_streaming": False}
    assert "hunter2" not in repr(request)


def test_parameters_that_only_sound_like_credentials_stay() -> None:
    parameters = {
        "max_tokens": 1,
        "prompt_cache_key": "k",
        "logit_bias": {"1": 2},
        "stream_options": {"include_usage": True},
    }

    assert mapped(optional_params=parameters).config == {**parameters, "is_streaming": False}


def test_the_proxys_own_arguments_to_its_router_are_no_parameters() -> None:
    internal = {
        "proxy_server_request": {"headers": {}},
        "secret_fields": {"raw_headers": {}},
        "shared_session": object(),
    }
    request = map_request({"call_type": "acompletion", "optional_params": {**internal, "n": 1}}, MappingOptions())

    assert request.config == {"n": 1, "is_streaming": False}


def test_without_content_numbers_switches_and_single_words_stay() -> None:
    harmless = {
        "temperature": 0.5,
        "store": True,
        "service_tier": "auto",
        "size": "1024x1024",
        "voice": "en-US-Wavenet-A",
        "thinking": {"type": "enabled", "budget_tokens": 9},
    }
    others = {
        "n": "Alice has a cold",
        "language": "x" * 65,
        "quality": "",
        "seed": ["Alice"],
        "stop": "Alice",
        "response_format": {"type": "Alice has a cold"},
    }
    config = mapped(MappingOptions(capture_message_content=False), optional_params={**harmless, **others}).config
    found = {name: value for name, value in config.items() if name in {**harmless, **others}}
    assert found == {**harmless, "thinking": {"type": "enabled"}, "response_format": {}}


def test_the_raw_request_is_recorded_without_credentials_if_configured() -> None:
    call_details = {
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
    raw = mapped(MappingOptions(capture_raw_request=True), **call_details).metadata["raw_request"]

    assert raw == {
        "api_base": "http://h",
        "headers": {"x-ratelimit-tokens": "5", "openai-beta": "y"},
        "body": {"model": "m", "messages": []},
    }
    assert "raw_request" not in mapped(**call_details).metadata
    assert json.dumps(raw)


def test_litellms_own_mark_of_an_asynchronous_call_is_no_parameter_and_a_voice_is_one() -> None:
    speech = mapped(
        call_type="aspeech",
        optional_params={"speed": 2, "aspeech": True},
        additional_args={"complete_input_dict": {"voice": "alloy"}},
    )

    assert speech.config == {"speed": 2, "voice": "alloy", "is_streaming": False}


def test_a_raw_request_that_is_not_a_dictionary_is_recorded_as_it_is() -> None:
    raw = MappingOptions(capture_raw_request=True)

    assert mapped(raw, additional_args={"complete_input_dict": "text"}).metadata["raw_request"] == {"body": "text"}
    assert "raw_request" not in mapped(raw, additional_args={}).metadata
