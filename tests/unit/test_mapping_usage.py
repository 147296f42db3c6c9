"""Tokens and money."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Dict, Optional

import pytest

from honeyhive_litellm._mapping.usage import mark_estimate

from .mapping_calls import chat, message, objects, succeeded


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 15,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 15,
                "cache_read_tokens": 4,
                "reasoning_tokens": 3,
            },
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "cache_read_input_tokens": 2,
                "cache_creation_input_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": None},
            },
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 15,
                "cache_read_tokens": 2,
                "cache_creation_tokens": 3,
            },
        ),
        (
            {"input_tokens": 7, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 1}},
            {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9, "cache_read_tokens": 1},
        ),
        ({"prompt_tokens": 3, "total_tokens": 3}, {"prompt_tokens": 3, "total_tokens": 3}),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, {}),
        ({"prompt_tokens": True, "completion_tokens": "5", "total_tokens": -1}, {}),
        (None, {}),
        ("many", {}),
    ],
)
@pytest.mark.parametrize("shape", [lambda value: value, objects], ids=["dictionaries", "objects"])
def test_token_counts_of_every_api_are_recorded_and_zeros_are_not(usage: Any, expected: object, shape: Any) -> None:
    metadata = succeeded(shape(chat(message("x"), usage=usage))).metadata

    assert {name: value for name, value in metadata.items() if "token" in name} == expected


def test_a_rerankers_tokens_are_in_its_meta() -> None:
    response = {"results": [], "meta": {"tokens": {"input_tokens": 3, "output_tokens": 0}}}

    assert succeeded(response).metadata["prompt_tokens"] == 3


PRICED = {"model_map_information": {"model_map_value": {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}}}
FREE = {"model_map_information": {"model_map_value": {"input_cost_per_token": 0.0, "output_cost_per_token": 0}}}


@pytest.mark.parametrize(
    ("call_details", "hidden", "cost"),
    [
        ({"response_cost": 0.5}, {}, 0.5),
        ({}, {"response_cost": 0.25}, 0.25),
        ({"standard_logging_object": {"response_cost": 0.125}}, {}, 0.125),
        ({"response_cost": None}, {}, None),
        ({"response_cost": 0.0, "standard_logging_object": PRICED}, {}, None),
        ({"response_cost": None, "standard_logging_object": {"response_cost": 0.0}}, {}, None),
        ({"response_cost": 0.0, "cache_hit": True}, {}, 0.0),
        ({"response_cost": 0.0, "standard_logging_object": FREE}, {}, 0.0),
        ({"response_cost": 0.0, "litellm_params": {"input_cost_per_token": 0.0}}, {}, 0.0),
        ({"response_cost": 0.0, "litellm_params": {"input_cost_per_token": 0, "output_cost_per_token": 1}}, {}, None),
        ({"response_cost": float("nan")}, {}, None),
        ({"response_cost": -1.0}, {}, None),
        ({"response_cost": "0.5"}, {}, None),
    ],
)
def test_a_cost_is_recorded_if_it_is_certain_and_zero_only_for_a_price_of_zero(
    call_details: Dict[str, Any], hidden: Dict[str, Any], cost: Optional[float]
) -> None:
    metadata = succeeded(SimpleNamespace(_hidden_params=hidden), **call_details).metadata

    assert metadata.get("cost") == cost
    assert metadata.get("estimated_cost") == cost


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"cache_hit": True, "cost": 0.0}, {"cache_hit": True, "cost": 0.0}),
        (
            {"total_tokens": 5, "prompt_tokens": 3, "completion_tokens": 2, "cost": 1.0, "estimated_cost": 1.0},
            {
                "total_tokens": 5,
                "prompt_tokens": 3,
                "completion_tokens": 2,
                "estimated_cost": 1.0,
                "usage_estimated": True,
            },
        ),
        (
            {
                "total_tokens": 2,
                "prompt_tokens": 0,
                "completion_tokens": 2,
                "reasoning_tokens": 0,
                "estimated_cost": 1.0,
            },
            {"completion_tokens": 2, "usage_estimated": True},
        ),
        (
            {"total_tokens": 2, "completion_tokens": 2, "cache_hit": True, "cost": 0.0, "estimated_cost": 0.0},
            {
                "completion_tokens": 2,
                "cache_hit": True,
                "cost": 0.0,
                "estimated_cost": 0.0,
                "usage_estimated": True,
            },
        ),
    ],
    ids=["no tokens", "all counted", "no prompt", "from the cache"],
)
def test_an_estimate_is_marked_and_has_no_exact_cost_and_no_count_of_zero(
    metadata: Dict[str, object], expected: object
) -> None:
    mark_estimate(metadata)

    assert metadata == expected


@pytest.mark.parametrize(
    ("hit", "saved", "expected"), [(True, 0.5, 0.5), (True, 0.0, None), (True, None, None), (False, 0.5, None)]
)
def test_only_an_answer_from_the_cache_has_a_saved_cost(hit: bool, saved: object, expected: object) -> None:
    payload = {"cache_hit": hit, "saved_cache_cost": saved}

    assert succeeded(None, standard_logging_object=payload).metadata.get("saved_cost") == expected
