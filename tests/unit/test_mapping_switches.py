"""The switches of one call."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from .mapping_calls import SECRET, MappingOptions, chat, failed, mapped, message, succeeded, user, with_metadata


@pytest.mark.parametrize(
    ("call_details", "is_captured"),
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
def test_any_one_switch_turns_content_off(call_details: Dict[str, Any], is_captured: bool) -> None:
    assert mapped(**call_details).capture_content is is_captured


def test_a_call_cannot_turn_on_what_the_settings_turned_off() -> None:
    request = with_metadata(MappingOptions(capture_message_content=False), honeyhive_capture_content=True)

    assert request.capture_content is False


@pytest.mark.parametrize(
    ("call_details", "skip"),
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
def test_a_call_may_switch_its_recording_off(call_details: Dict[str, Any], skip: bool) -> None:
    assert mapped(**call_details).skip is skip


def test_litellms_global_redaction_is_recognized_by_the_redacted_messages() -> None:
    messages = [{"role": "user", "content": "redacted-by-litellm"}]

    assert succeeded(chat(message(SECRET)), messages=messages).outputs == {"role": "assistant", "finish_reason": "stop"}
    assert failed(ValueError(SECRET), messages=messages).error == "ValueError"
