"""The names of events, and which functions map which type of call."""

from __future__ import annotations

import pytest

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
