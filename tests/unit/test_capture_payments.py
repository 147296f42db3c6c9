"""Which event has the tokens and the cost of what several calls report."""

from __future__ import annotations

import base64
from typing import Any, Dict

import pytest

from honeyhive_litellm import Settings
from honeyhive_litellm._capture.attempt import Attempt
from honeyhive_litellm._capture.open_attempts import OpenAttempts
from honeyhive_litellm._capture.outcomes import bare_outcome
from honeyhive_litellm._capture.payments import REMEMBERED_PAYMENTS, Payments
from honeyhive_litellm._capture.target import Target
from honeyhive_litellm._mapping.usage import FIGURES, is_payable_by_poll, provider_id

from ..faults.emitter import NoLiteLLM
from .mapping_calls import mapped

TARGET = Target(None, Settings(api_key="k", project="p"), lambda _: 0, NoLiteLLM(), OpenAttempts())

BACKGROUND = {"object": "response", "background": True}


def kept(payments: Payments, call_type: str, event_id: str, id_: Any = "r1", response: object = BACKGROUND) -> bool:
    """Whether an outcome of this call keeps its figures."""
    outcome = bare_outcome("success", None)
    outcome.metadata.update(dict.fromkeys(FIGURES, 1), response_id=id_, call="mine")
    payments.keep_once(Attempt(TARGET, event_id, 1, mapped(call_type=call_type), 0.0), outcome, response)
    assert outcome.metadata["call"] == "mine"
    found = [name for name in FIGURES if name in outcome.metadata]
    assert found in ([], list(FIGURES))
    return bool(found)


def test_the_first_poll_of_a_result_has_its_figures_however_often_it_is_resolved() -> None:
    payments = Payments()
    assert kept(payments, "aretrieve_batch", "first", response={"object": "batch"})
    assert kept(payments, "aretrieve_batch", "first", response={"object": "batch"})
    assert not kept(payments, "retrieve_batch", "second", response={"object": "batch"})
    assert kept(payments, "retrieve_batch", "third", id_="another", response={"object": "batch"})


def test_a_poll_after_the_call_that_was_paid_has_none() -> None:
    payments = Payments()
    assert kept(payments, "aresponses", "made")
    assert not kept(payments, "aget_responses", "polled")
    assert kept(payments, "aresponses", "the same answer from a cache")


@pytest.mark.parametrize("id_", [None, "", 7.5, ["odd"]])
def test_a_poll_of_what_has_no_id_has_none(id_: object) -> None:
    assert not kept(Payments(), "get_responses", "polled", id_=id_)


@pytest.mark.parametrize("response", [{"object": "response"}, {"object": "response", "background": 1}])
def test_nor_has_one_of_a_response_that_was_paid_when_it_was_made(response: Dict[str, object]) -> None:
    assert not kept(Payments(), "get_responses", "polled", response=response)
    assert not is_payable_by_poll(response)
    assert is_payable_by_poll(None)


def test_administration_has_none_and_other_calls_keep_theirs() -> None:
    payments = Payments()
    for call_type in ("cancel_batch", "retrieve_fine_tuning_job", "delete_responses", "avideo_list"):
        assert not kept(payments, call_type, call_type)
    for call_type in ("acompletion", "moderation", "rerank", "unheard_of"):
        assert kept(payments, call_type, call_type)


def test_the_memory_is_bounded() -> None:
    payments = Payments()
    for number in range(REMEMBERED_PAYMENTS + 1):
        assert kept(payments, "retrieve_batch", f"event {number}", id_=f"batch {number}", response=None)
    assert not kept(payments, "retrieve_batch", "later", id_=f"batch {REMEMBERED_PAYMENTS}", response=None)
    assert kept(payments, "retrieve_batch", "later", id_="batch 0", response=None)


def test_what_is_polled_stays_remembered_whatever_else_is_paid() -> None:
    payments = Payments()
    assert kept(payments, "retrieve_batch", "batch polled first", id_="batch", response={"object": "batch"})
    assert kept(payments, "aresponses", "made", id_="response")
    for number in range(REMEMBERED_PAYMENTS * 3 // 2):
        kept(payments, "aresponses", f"answer {number}", id_=f"response {number}")
        kept(payments, "retrieve_batch", f"other {number}", id_=f"other {number}", response={"object": "batch"})
        if number % 1000 == 0:
            assert not kept(payments, "retrieve_batch", "polled again", id_="batch", response={"object": "batch"})
            assert not kept(payments, "get_responses", "polled", id_="response")


def test_answers_do_not_push_out_what_a_poll_has_paid() -> None:
    payments = Payments()
    assert kept(payments, "retrieve_batch", "batch polled first", id_="batch", response={"object": "batch"})
    for number in range(REMEMBERED_PAYMENTS + 1):
        kept(payments, "aresponses", f"answer {number}", id_=f"response {number}")
    assert not kept(payments, "retrieve_batch", "batch polled later", id_="batch", response={"object": "batch"})


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("id_", "expected"),
    [
        ("resp_" + encoded("litellm:custom_llm_provider:openai;model_id:None;response_id:resp_1"), "resp_1"),
        ("video_" + encoded("litellm:custom_llm_provider:openai;model_id:sora-2;video_id:video_1"), "video_1"),
        ("resp_1", "resp_1"),
        ("batch-1", "batch-1"),
        ("resp_" + encoded("something else"), "resp_" + encoded("something else")),
        ("resp_é", "resp_é"),
        ("", ""),
    ],
)
def test_the_providers_id_is_read_from_litellms(id_: str, expected: str) -> None:
    assert provider_id(id_) == expected
