"""The names of events, and which functions map which type of call."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Dict

import pytest

from honeyhive_litellm._mapping import inputs
from honeyhive_litellm._mapping.call_types import (
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
