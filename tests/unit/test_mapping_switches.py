"""The switches of one call."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import pytest

from honeyhive_litellm._mapping.switches import hides_messages

from .mapping_calls import MappingOptions, mapped, user, with_metadata


@pytest.mark.parametrize(
    ("call_details", "is_captured"),
    [
        ({}, True),
        ({"litellm_params": {"metadata": {"honeyhive_capture_content": False}}}, False),
        ({"litellm_params": {"metadata": {"honeyhive_capture_content": "false"}}}, False),
        ({"litellm_params": {"metadata": {"honeyhive_capture_content": True}}}, True),
        ({"litellm_params": {"litellm_metadata": {"honeyhive_capture_content": 0}}}, False),
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


def with_headers(*names: str, key: str = "metadata", **more: Any) -> Dict[str, Any]:
    return {"litellm_params": {key: {"headers": dict.fromkeys(names, "true")}}, **more}


def dynamic(value: object) -> Dict[str, Any]:
    return {"standard_callback_dynamic_params": {"turn_off_message_logging": value}}


DISABLE, ENABLE = "litellm-disable-message-redaction", "litellm-enable-message-redaction"
HIDES: Tuple[Tuple[Dict[str, Any], bool, bool], ...] = (
    # details of the call, whether they are hidden while the global switch is off, and while it is on
    ({}, False, True),
    ({"litellm_params": None, "standard_callback_dynamic_params": None}, False, True),
    (dynamic(True), True, True),
    (dynamic("True"), True, True),
    (dynamic(False), False, False),
    (dynamic("false"), False, False),
    (dynamic(None), False, True),
    (with_headers(ENABLE), True, True),
    (with_headers(f"x-{ENABLE}"), True, True),
    (with_headers(ENABLE, key="litellm_metadata"), True, True),
    (with_headers(DISABLE), False, False),
    (with_headers(DISABLE, key="litellm_metadata"), False, False),
    (with_headers(DISABLE, ENABLE), False, False),
    (with_headers(DISABLE, **dynamic(True)), False, False),
    (with_headers(ENABLE, **dynamic(False)), False, False),
)


@pytest.mark.parametrize(("call_details", "if_off", "if_on"), HIDES)
def test_litellms_switches_hide_messages_by_litellms_rules(
    call_details: Dict[str, Any], if_off: bool, if_on: bool
) -> None:
    assert hides_messages(call_details, by_default=False) is if_off
    assert hides_messages(call_details, by_default=True) is if_on


@pytest.mark.parametrize("where", [{"extra_body": {"turn_off_message_logging": True}}, {"turn_off_message_logging": 1}])
def test_the_switch_of_a_call_is_found_where_an_older_litellm_leaves_it(where: Dict[str, Any]) -> None:
    assert hides_messages(where, by_default=False) is True
