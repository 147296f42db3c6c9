"""What LiteLLM's Router and proxy add to a call."""

from __future__ import annotations

from typing import Any

import pytest

from honeyhive_litellm._mapping.mapper import map_request, map_success
from honeyhive_litellm._mapping.model import CallContext

from .mapping_calls import MappingOptions, failed, mapped, with_metadata

ROUTED = {
    "model_group": "g",
    "model_info": {"id": "dep-1"},
    "deployment": "openai/gpt-4o",
    "attempted_retries": 1,
    "attempted_fallbacks": 1,
    "original_model_group": "first",
}


def test_a_routed_call_has_its_deployment() -> None:
    request = mapped(litellm_params={"metadata": ROUTED, "model_info": {"id": "dep-1"}})

    assert request.metadata["router"] == {
        "model_group": "g",
        "deployment_id": "dep-1",
        "deployment": "openai/gpt-4o",
        "retry_count": 1,
        "fallback_info": {"original_model_group": "first", "attempted_fallbacks": 1},
    }
    assert "router" not in with_metadata(k=1).metadata


def test_a_direct_call_has_nothing_of_a_router_that_wrote_into_its_metadata_before() -> None:
    metadata = {**ROUTED, "api_base": "http://x", "previous_models": [], "mine": 7, "session_id": "job"}
    request = mapped(litellm_params={"metadata": metadata, "model_info": None}, litellm_trace_id="own")
    assert "router" not in request.metadata
    assert request.metadata["mine"] == 7
    assert not {"deployment", "model_info", "previous_models"} & set(request.metadata)
    assert request.session == "job"
    metadata.pop("session_id")
    assert mapped(litellm_params={"metadata": metadata}, litellm_trace_id="own").session is None


def test_a_call_that_begins_while_a_router_is_at_work_is_routed() -> None:
    details = {"litellm_params": {"metadata": {"model_group": "g"}}, "litellm_trace_id": "r"}
    request = map_request(details, MappingOptions(), CallContext(in_router=True))
    assert request.metadata["router"] == {"model_group": "g"}
    assert request.session == "r"


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


def test_the_proxys_master_key_has_a_name_and_no_hash() -> None:
    metadata = {"user_api_key_hash": "litellm_proxy_master_key", "user_api_key_user_id": "admin"}
    request = mapped(litellm_call_id="call-1", litellm_params={"metadata": metadata})

    assert request.metadata["proxy"] == {"key_alias": "master key", "user_id": "admin", "request_id": "call-1"}


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


@pytest.mark.parametrize(
    ("call_details", "metadata", "expected"),
    [
        pytest.param({"litellm_no_upstream_llm_call": True}, {}, {"rejected": True}, id="rejected by the proxy"),
        pytest.param({}, {"tags": ["a"]}, {"tags": ["a"]}, id="tags"),
        pytest.param({}, {"client_disconnected": True}, {"client_disconnected": True}, id="client disconnected"),
        pytest.param(
            {},
            {"standard_logging_guardrail_information": {"guardrail_name": "pii"}},
            {"guardrails": [{"name": "pii"}]},
            id="one guardrail, as LiteLLM before 1.80 reports it",
        ),
        pytest.param(
            {},
            {"standard_logging_guardrail_information": [{"guardrail_response": {"choices": []}}, 7]},
            {},
            id="guardrails that say nothing",
        ),
    ],
)
def test_what_the_proxy_did_is_recorded(call_details: Any, metadata: Any, expected: object) -> None:
    key = {"user_api_key_hash": "88dc"}
    request = mapped(litellm_params={"metadata": {**key, **metadata}}, **call_details)

    assert request.metadata["proxy"] == {"virtual_key_hash": "88dc", **expected}  # type: ignore[dict-item]


class HTTPException(Exception):  # noqa: N818 as FastAPI calls it
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.status_code = 499


def test_a_client_that_disconnects_cancels_the_call_and_is_recorded() -> None:
    params = {"metadata": {"user_api_key_hash": "88dc"}}
    outcome = failed(HTTPException("gone"), litellm_params=params)

    assert outcome.status == "cancelled"
    assert outcome.metadata["proxy"] == {"client_disconnected": True}
    assert "proxy" not in failed(ValueError("x"), litellm_params=params).metadata
