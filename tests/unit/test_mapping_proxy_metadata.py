"""What LiteLLM's Router and proxy add to a call."""

from __future__ import annotations

from honeyhive_litellm._mapping.mapper import map_request, map_success

from .mapping_calls import MappingOptions, mapped, with_metadata


def test_a_routed_call_has_its_deployment() -> None:
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


def test_a_proxied_call_has_its_key_and_team() -> None:
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


def test_a_guardrails_response_is_content() -> None:
    guardrail = {"guardrail_name": "pii", "guardrail_status": "success", "guardrail_response": "SSN 078-05-1120"}
    metadata = {"user_api_key_hash": "88dc", "standard_logging_guardrail_information": [guardrail]}
    call_details = {"call_type": "acompletion", "litellm_params": {"metadata": metadata}}
    kept = {"name": "pii", "status": "success"}

    found = map_request(call_details, MappingOptions()).metadata["proxy"]
    assert found == {"virtual_key_hash": "88dc", "guardrails": [{**kept, "response": "SSN 078-05-1120"}]}
    found = map_request(call_details, MappingOptions(capture_message_content=False)).metadata["proxy"]
    assert found == {"virtual_key_hash": "88dc", "guardrails": [kept]}
    assert map_success(call_details, None, MappingOptions(), False).metadata["proxy"] == {"guardrails": [kept]}
