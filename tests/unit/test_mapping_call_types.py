"""The names of events, and which functions map which type of call."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Dict

import pytest

from honeyhive_litellm._mapping import inputs
from honeyhive_litellm._mapping.call_types import (
    ADMINISTRATIVE,
    CALL_TYPES,
    NOTED_CALL_TYPES,
    call_type_of,
    event_name,
    named_arguments,
)

from .mapping_calls import mapped, with_metadata


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
def test_an_event_has_the_name_of_the_call_without_the_a_of_an_asynchronous_one(call_type: object, name: str) -> None:
    assert mapped(call_type=call_type).event_name == name


def test_the_caller_may_name_the_event() -> None:
    assert with_metadata(event_name="summarise").event_name == "summarise"


def test_every_type_of_call_is_found_by_its_event_name_and_any_other_is_a_chat() -> None:
    for name, row in CALL_TYPES.items():
        assert event_name(name) == event_name(f"a{name}") == name
        assert call_type_of(name) is row
    assert call_type_of("completion").inputs is inputs.chat
    assert mapped(call_type="call_mcp_tool").event_type == "tool"
    assert mapped(call_type="acompletion").event_type == "model"


def test_every_call_type_of_litellm_is_mapped_or_administrative() -> None:
    """Where this fails, LiteLLM has a new call type: add its row to CALL_TYPES, or its name to ADMINISTRATIVE."""
    listed = getattr(importlib.import_module("litellm.types.utils"), "CallTypes", ())
    assert [call.value for call in listed if event_name(call.value) not in {*CALL_TYPES, "completion"}] == []


def test_what_only_manages_something_is_no_request_to_a_model() -> None:
    assert {call_type_of(name).event_type for name in ADMINISTRATIVE} == {"tool"}
    tools = {name for name, row in CALL_TYPES.items() if row.event_type == "tool"} - ADMINISTRATIVE
    assert tools >= {"search", "moderation", "create_file", "create_batch", "ingest", "run_code", "add_message"}


def test_the_two_functions_that_litellm_reports_as_create_differ_in_their_arguments() -> None:
    assert mapped(call_type="create", honeyhive_arguments={"input": "hello"}).event_name == "create_interaction"
    store = mapped(call_type="acreate", honeyhive_arguments={"name": "letters"})
    assert (store.event_name, store.event_type, store.inputs) == ("vector_store_create", "tool", {"name": "letters"})


@pytest.mark.parametrize("call_type", sorted(NOTED_CALL_TYPES))
def test_an_argument_of_a_noted_call_is_found_by_its_place_and_by_its_name(call_type: str) -> None:
    row = call_type_of(event_name(call_type))
    by_place = [f"value of {name}" for name in row.positional]
    wanted = {name: f"value of {name}" for name in row.noted}
    by_name = {name: value for name, value in wanted.items() if name not in row.positional}
    assert named_arguments(call_type, by_place, {**by_name, "model": "m"}) == wanted
    assert named_arguments(call_type, (), {}) == {}


def test_of_files_and_pictures_only_the_name_is_noted() -> None:
    kwargs = {"file": ("big.jsonl", b"secret"), "image": open_file("cat.png"), "purpose": "batch"}
    assert named_arguments("create_file", (), kwargs) == {"file": "big.jsonl", "purpose": "batch"}
    assert named_arguments("image_edit", (), kwargs) == {"image": "cat.png"}
    assert named_arguments("moderation", ("hello",), {}) == {}


def test_of_a_call_that_litellm_may_translate_the_system_prompt_and_the_metadata_are_noted() -> None:
    kwargs: Dict[str, object] = {
        "system": "be nice",
        "metadata": {"a": 1},
        "instructions": None,
        "messages": [],
        "api_key": "k",
    }
    for call_type in ("anthropic_messages", "aresponses", "responses", "agenerate_content_stream"):
        assert call_type in NOTED_CALL_TYPES
        assert named_arguments(call_type, (), kwargs) == {"system": "be nice", "metadata": {"a": 1}}


def open_file(name: str) -> object:
    return SimpleNamespace(name=name, read=lambda: b"secret")
