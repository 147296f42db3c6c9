"""How a call failed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Optional

import pytest

from honeyhive_litellm._mapping.mapper import map_failure

from .mapping_calls import SECRET, MappingOptions, RateLimitError, failed


class SilentError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("exception", "error"),
    [
        (RateLimitError("litellm.RateLimitError: slow down"), "RateLimitError: slow down"),
        (
            RateLimitError("litellm.RateLimitError: RateLimitError: OpenAIException - x"),
            "RateLimitError: OpenAIException - x",
        ),
        (RateLimitError("slow: down"), "RateLimitError: slow: down"),
        (RateLimitError(""), "RateLimitError"),
        (RateLimitError("RateLimitErrors: many"), "RateLimitError: RateLimitErrors: many"),
        (RateLimitError("x\nTraceback (most recent call last):\n  File"), "RateLimitError: x"),
        (RateLimitError("litellm.RateLimitError: x\n\nThis looks like a bug in LiteLLM rather"), "RateLimitError: x"),
        (SilentError(), "SilentError"),
        ("went wrong", "Error: went wrong"),
        (None, "Error"),
        (object(), "Error"),
    ],
)
def test_an_error_reads_class_and_message_once(exception: object, error: str) -> None:
    outcome = failed(exception)

    assert outcome.error == error
    assert outcome.metadata["error_class"] == error.partition(":")[0]
    assert (outcome.status, outcome.metadata["status"], outcome.metadata["success"]) == ("failure", "failure", False)


@pytest.mark.parametrize(
    ("status", "expected"), [(429, 429), ("503", 503), (7, None), ("x", None), (None, None), ([], None)]
)
def test_the_http_status_is_recorded_where_there_is_one(status: object, expected: Optional[int]) -> None:
    assert failed(RateLimitError("x", status)).metadata.get("status_code") == expected


def test_without_content_an_error_is_its_class() -> None:
    outcome = failed(RateLimitError(SECRET), capture_content=False)

    assert outcome.error == "RateLimitError"
    assert outcome.metadata["status_code"] == 429
    assert SECRET not in repr(outcome)


def test_litellms_payload_replaces_a_missing_exception() -> None:
    reported = {
        "error_class": "Timeout",
        "error_code": "408",
        "error_message": "litellm.Timeout: late",
        "error_provider_request_id": "req-1",
    }
    outcome = failed(None, standard_logging_object={"error_information": reported})

    assert outcome.error == "Timeout: late"
    assert outcome.metadata["status_code"] == 408
    assert outcome.metadata["provider_request_id"] == "req-1"
    assert map_failure({"exception": RateLimitError("x")}, None, MappingOptions(), True).error == "RateLimitError: x"


def test_the_providers_request_id_is_found_on_the_exception() -> None:
    exception = RateLimitError("x")
    exception.response = SimpleNamespace(headers={"x-request-id": "req-2"})  # type: ignore[attr-defined]

    assert failed(exception).metadata["provider_request_id"] == "req-2"


def test_a_cancelled_call_is_not_a_failure() -> None:
    assert failed(asyncio.CancelledError()).status == "cancelled"
