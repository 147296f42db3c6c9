"""The option `redact` on the two parts of an event, and what is left of them when it fails."""

from __future__ import annotations

import logging
from typing import Any, Callable, Dict, Mapping

import pytest

from honeyhive_litellm._privacy.redactor import Redactor

REQUEST: Dict[str, Any] = {
    "metadata": {"call_type": "acompletion", "project": "p", "note": "joe@x.io"},
    "event_name": "of joe@x.io",
    "config": {"provider": "openai", "model": "gpt-4o", "is_streaming": False, "stop": ["joe@x.io"]},
    "inputs": {"chat_history": [{"role": "user", "content": "I am joe@x.io"}]},
}
OUTCOME: Dict[str, Any] = {
    "metadata": {"status": "failure", "error_class": "Timeout", "duration_ms": 5.0, "response_id": "joe@x.io"},
    "error": "Timeout: joe@x.io",
    "outputs": {"content": "hello joe@x.io"},
}
OUTCOME_METADATA = {"status", "error_class", "duration_ms", "response_id", "cost", "redaction_failed"}


def redactor(*steps: object) -> Redactor:
    return Redactor(steps or None, 1000, OUTCOME_METADATA)


def test_without_the_option_only_credentials_are_removed() -> None:
    assert redactor().redact_request(REQUEST) == REQUEST
    assert redactor().redact_outcome(OUTCOME) == OUTCOME


def test_a_name_reaches_every_part_and_an_empty_text_is_left_out() -> None:
    found = redactor("email").redact_request({**REQUEST, "event_name": ""})
    assert "joe@" not in str(found)
    assert "event_name" not in found
    assert found["inputs"] == {"chat_history": [{"role": "user", "content": "I am [redacted: email]"}]}
    assert redactor("email").redact_outcome(OUTCOME)["error"] == "Timeout: [redacted: email]"


def test_a_function_may_take_a_part_away_and_may_not_write_what_the_other_half_writes() -> None:
    def change(content: Dict[str, Any]) -> Mapping[str, Any]:
        return {**content, "inputs": None, "metadata": {**content["metadata"], "cost": 9, "added": 1}}

    request, outcome = redactor(change).redact_request(REQUEST), redactor(change).redact_outcome(OUTCOME)

    assert request["inputs"] == {}
    assert request["metadata"] == {**REQUEST["metadata"], "added": 1}
    assert outcome["metadata"] == OUTCOME["metadata"]


@pytest.mark.parametrize(
    "function",
    [
        lambda content: 1 / 0,
        lambda content: "text",
        lambda content: {**content, "metadata": "text"},
        lambda content: {**content, "error": 7},
    ],
    ids=["raises", "no dict", "a part of another type", "a text of another type"],
)
def test_a_function_that_fails_costs_the_content_and_the_event_stays(
    function: Callable[[Dict[str, Any]], Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        request = redactor(function).redact_request(REQUEST)
        outcome = redactor(function).redact_outcome(OUTCOME)

    assert request == {
        "metadata": {"call_type": "acompletion", "project": "p", "redaction_failed": True},
        "config": {"provider": "openai", "model": "gpt-4o", "is_streaming": False},
        "inputs": {},
    }
    assert outcome == {
        "metadata": {"status": "failure", "error_class": "Timeout", "duration_ms": 5.0, "redaction_failed": True},
        "error": "Timeout",
        "outputs": {},
    }
    assert "joe@" not in caplog.text
    (record,) = caplog.records
    assert "the option redact failed with" in record.getMessage()
