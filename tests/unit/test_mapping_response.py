"""Times, headers and ids of a call."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, Dict, Optional

import pytest

from .mapping_calls import SECRET, START, MappingOptions, chat, message, succeeded


def test_times_are_unix_milliseconds_from_the_payload_or_from_local_datetimes() -> None:
    payload = {"startTime": 1000.0, "endTime": 1002.5, "completionStartTime": 1001.25, "stream": True}
    outcome = succeeded(None, standard_logging_object=payload)

    assert (outcome.start_ms, outcome.end_ms) == (1_000_000.0, 1_002_500.0)
    assert outcome.metadata["duration_ms"] == 2500.0
    assert outcome.metadata["time_to_first_token_ms"] == 1250.0

    later = succeeded(None, start_time=START, end_time=START + timedelta(seconds=2))
    assert later.start_ms == START.timestamp() * 1000
    assert later.metadata["duration_ms"] == 2000.0


@pytest.mark.parametrize(
    ("stream", "first", "expected"),
    [
        (True, START + timedelta(milliseconds=300), 300.0),
        (True, START + timedelta(seconds=2), None),  # LiteLLM's stand-in for "no chunk seen"
        (True, None, None),
        (True, START - timedelta(seconds=1), None),
        (False, START + timedelta(milliseconds=300), None),
        (None, START + timedelta(milliseconds=300), None),
    ],
)
def test_only_a_stream_has_a_time_to_its_first_token(
    stream: object, first: Optional[datetime], expected: Optional[float]
) -> None:
    end = START + timedelta(seconds=2)
    outcome = succeeded(None, stream=stream, start_time=START, completion_start_time=first, end_time=end)

    assert outcome.metadata.get("time_to_first_token_ms") == expected


def test_unknown_times_are_none() -> None:
    outcome = succeeded(chat(message("x")))

    assert (outcome.start_ms, outcome.end_ms) == (None, None)
    assert "duration_ms" not in outcome.metadata


@pytest.mark.parametrize(
    ("call_details", "hidden"),
    [
        ({"response_headers": {"X-Limit": "5", "Set-Cookie": SECRET, "x-auth-token": SECRET}}, {}),
        ({}, {"headers": {"x-limit": "5", "authorization": SECRET}}),
        ({}, {"additional_headers": {"llm_provider-x-limit": "5", "llm_provider-set-cookie": SECRET, "own": "1"}}),
    ],
)
def test_response_headers_are_recorded_without_credentials_if_configured(
    call_details: Dict[str, Any], hidden: Dict[str, Any]
) -> None:
    response = SimpleNamespace(_hidden_params=hidden, text="x")
    outcome = succeeded(response, options=MappingOptions(capture_headers=True), **call_details)

    assert outcome.metadata["response_headers"] == {"x-limit": "5"}
    assert "response_headers" not in succeeded(response, **call_details).metadata
