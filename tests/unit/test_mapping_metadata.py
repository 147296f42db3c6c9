"""Session, trace, user, tags, and the rest of the caller's metadata."""

from __future__ import annotations

import uuid
from types import MappingProxyType
from typing import Any, Dict, Optional

import pytest

from honeyhive_litellm._mapping.metadata import note_metadata
from honeyhive_litellm._mapping.model import OUTCOME_METADATA, Request

from .mapping_calls import SECRET, MappingOptions, mapped, with_metadata

A_UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("call_details", "session"),
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
        pytest.param(
            {"litellm_params": {"metadata": {"model_group": "g"}, "model_info": {"id": "d"}}, "litellm_trace_id": "r"},
            "r",
            id="router",
        ),
        pytest.param(
            {"litellm_params": {"metadata": {"model_group": "g"}}, "litellm_trace_id": "r"}, None, id="a Router before"
        ),
        pytest.param(
            {"litellm_params": {"metadata": {"user_api_key_hash": "x"}}, "litellm_trace_id": "p"}, "p", id="proxy"
        ),
        pytest.param({"litellm_params": {"metadata": {"session_id": ""}}}, None, id="empty"),
        pytest.param({"litellm_params": {"metadata": {"session_id": ["odd"]}}}, None, id="odd"),
    ],
)
def test_the_session_is_the_first_that_was_named(call_details: Dict[str, Any], session: Optional[str]) -> None:
    assert mapped(**call_details).session == session


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
    assert request.metadata["user_id"] == "u"
    assert not {"user_properties", "honeyhive_parent_id", "honeyhive_other"} & set(request.metadata)


def noted(*sources: Dict[str, Any], **details: Any) -> Request:
    """A call whose caller gave these, the first the strongest, and to which LiteLLM has added a `raw_request`."""
    merged: Dict[str, Any] = {}
    for source in reversed(sources):
        merged.update(source)
    params = {"metadata": {**merged, "raw_request": "LiteLLM's"}}
    return mapped(call_type="completion", litellm_params=params, honeyhive_metadata=list(sources), **details)


def test_what_the_caller_gave_is_there_whole_whatever_its_name() -> None:
    theirs = {
        "k": None, "raw_request": {"mine": 1}, "litellm_x": [1], "honeyhive_parent_id": "p", "event_name": "e",
        "user_properties": {"plan": "pro"}, "user_id": 7, "tags": ["a"], "session_id": str(A_UUID), "status": "open",
        "no-log": False,
    }  # fmt: skip
    metadata = noted(theirs).metadata
    renamed = metadata["user_metadata"]
    assert isinstance(renamed, dict)
    assert {name: renamed.get(name, metadata.get(name)) for name in theirs} == theirs
    assert renamed.keys() == {
        "raw_request", "litellm_x", "honeyhive_parent_id", "user_id", "session_id", "status",
    }  # fmt: skip
    assert (metadata["user_id"], metadata["tags"], metadata["k"]) == ("7", ["a"], None)


def test_of_two_sources_the_stronger_is_in_metadata_and_the_other_beside_it() -> None:
    metadata = noted({"k": 1, "same": 1}, {"k": 2, "same": 1}).metadata
    assert (metadata["k"], metadata["same"], metadata["user_metadata"]) == (1, 1, {"k": 2})


def test_of_a_dictionary_that_a_router_wrote_into_its_entries_are_not_the_callers() -> None:
    stale = {
        "mine": 1, "model_group": "g", "model_group_size": 1, "deployment": "d", "caching_groups": None,
        "api_base": "https://x", "model_info": {"id": "one"},
    }  # fmt: skip
    assert note_metadata({"metadata": stale}) == [{"mine": 1}]
    assert note_metadata({"metadata": {"model_group": "g"}, "litellm_metadata": {"a": 1}}) == [
        {"model_group": "g"}, {"a": 1},
    ]  # fmt: skip
    assert note_metadata({"metadata": {"user_api_key_auth": object()}}) == []


def test_what_litellm_left_of_an_earlier_call_is_not_the_callers_and_what_only_has_its_name_is() -> None:
    left = {
        "hidden_params": {"model_id": None, "api_base": "https://x", "response_cost": 0.1},
        "llm_api_timing_windows": ((1.0, 2.0),),
        "raw_request": "\n\nPOST Request Sent from LiteLLM:\ncurl",
    }
    assert "user_metadata" not in noted({"mine": 1, **left}).metadata
    theirs = {"hidden_params": {"api_base": 1}, "llm_api_timing_windows": [[1.0, 2.0]], "raw_request": "POST /x"}
    assert noted(theirs).metadata["user_metadata"] == theirs


def test_what_a_client_sent_to_the_proxy_is_the_callers() -> None:
    sent = {"litellm_x": 1, "error_information": 2, "headers": {"host": "h"}, "mine": None}
    params = {"metadata": {**sent, "user_api_key_hash": "k", "requester_metadata": sent, "litellm_api_version": "1"}}
    metadata = mapped(litellm_params=params).metadata
    assert metadata["user_metadata"] == {"litellm_x": 1, "error_information": 2}
    assert metadata["mine"] is None


@pytest.mark.parametrize(
    ("call_details", "expected"),
    [
        ({"user": "u"}, {"user_id": "u"}),
        ({"user": "", "optional_params": {"user": "o"}}, {"user_id": "o"}),
        ({"user": "u", "litellm_params": {"metadata": {"user_id": "m"}}}, {"user_id": "m"}),
        ({"user": None}, {}),
    ],
)
def test_the_user_comes_from_metadata_or_the_user_parameter(call_details: Dict[str, Any], expected: object) -> None:
    assert mapped(**call_details).user_properties == expected


def test_the_callers_metadata_under_a_reserved_name_moves_to_user_metadata() -> None:
    settings = MappingOptions(custom_attributes=MappingProxyType({"team": "a", "region": "eu", "project": "other"}))
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


def test_metadata_of_all_sources_is_merged_and_the_strongest_source_wins() -> None:
    request = mapped(
        litellm_params={
            "metadata": {"a": 1, "requester_metadata": {"a": 9, "r": 4}},
            "litellm_metadata": {"a": 2, "b": 2},
        },
        optional_params={"metadata": {"b": 3, "c": 3}},
    )

    assert {name: request.metadata.get(name) for name in "abcr"} == {"a": 1, "b": 2, "c": 3, "r": 4}


def test_keys_that_litellm_added_to_the_metadata_are_left_out() -> None:
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


def test_ordinary_keys_are_litellms_only_in_a_routed_call() -> None:
    mine = {"deployment": "blue", "endpoint": "/x", "user_agent": "me"}

    assert with_metadata(**mine).metadata["deployment"] == "blue"
    assert not set(mine) & set(with_metadata(**mine, model_group="g").metadata)


@pytest.mark.parametrize(
    ("tags", "expected"), [("a", ["a"]), (("a", "b"), ("a", "b")), ([], None), ("", None), (7, None)]
)
def test_tags_are_a_list_or_one_word(tags: object, expected: object) -> None:
    assert with_metadata(tags=tags).metadata.get("tags") == expected


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (f"00-{TRACE}-{SPAN}-01", {"trace_id": TRACE, "span_id": SPAN}),
        (f"01-{TRACE}-{SPAN}-01-more", {"trace_id": TRACE, "span_id": SPAN}),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        ("00-short", None),
        (7, None),
    ],
)
def test_a_trace_that_a_client_sends_to_the_proxy_is_recorded(sent: object, expected: object) -> None:
    params = {"proxy_server_request": {"headers": {"traceparent": sent}}}

    assert mapped(litellm_params={**params, "metadata": {"user_api_key": "k"}}).metadata.get("otel") == expected
    assert "otel" not in mapped(litellm_params=params).metadata
