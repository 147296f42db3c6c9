"""What the caller gives as metadata comes back whole, under `metadata` or `user_metadata`, on every way of a call."""

from __future__ import annotations

import asyncio
import copy
import functools
import itertools
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import litellm
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import honeyhive_litellm
from honeyhive_litellm._mapping.metadata import _LITELLM_PREFIXES, _LITELLM_ROUTED
from honeyhive_litellm._mapping.model import RESERVED_METADATA
from honeyhive_litellm._privacy.sanitize import clean
from honeyhive_litellm.testing import Collector

from ..versions import NEEDS_RESPONSES, needs_litellm
from ..waiting import until

READ = ("headers", "model_info", "requester_metadata")
"""LiteLLM itself fails over values of these that are no objects."""

SWITCHES = {"no-log", "honeyhive_skip"}
"""A call with one of these may get no event."""

OURS = sorted(RESERVED_METADATA | {"event_name", "user_properties", "honeyhive_capture_content", "honeyhive_parent_id"})
LITELLMS = sorted({*_LITELLM_ROUTED, *(f"{prefix}x" for prefix in _LITELLM_PREFIXES), "litellm_parent_otel_span"})

texts = st.text(st.characters(codec="utf-8"), max_size=12)
names = st.sampled_from(OURS) | st.sampled_from(LITELLMS) | texts.filter(lambda name: name not in SWITCHES)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | texts
objects = st.dictionaries(texts, scalars, max_size=3)
values = st.recursive(scalars, lambda part: st.lists(part, max_size=3) | st.dictionaries(texts, part, max_size=3))
metadata_of_calls = st.lists(
    st.builds(
        lambda any_, read: {**any_, **read},
        st.dictionaries(names.filter(lambda name: name not in READ), values, min_size=1, max_size=8),
        st.dictionaries(st.sampled_from(READ), objects, max_size=2),
    ),
    min_size=1,
    max_size=8,
)

numbers = itertools.count()
MESSAGES = [{"role": "user", "content": "hello"}]
Json = Dict[str, Any]


def by_call(metadata: Json) -> None:
    litellm.completion(model="openai/gpt-4o", messages=MESSAGES, mock_response="yes", metadata=metadata)


def by_async_call(metadata: Json) -> None:
    call = litellm.acompletion(model="openai/gpt-4o", messages=MESSAGES, mock_response="yes", metadata=metadata)
    asyncio.run(call)


def by_litellm_metadata(metadata: Json) -> None:
    litellm.responses(model="openai/gpt-4o", input="hello", mock_response="yes", litellm_metadata=metadata)


def by_responses(metadata: Json) -> None:
    litellm.responses(model="openai/gpt-4o", input="hello", mock_response="yes", metadata=metadata)


@functools.lru_cache(maxsize=1)
def router() -> Any:
    deployment = {"model": "openai/gpt-4o", "api_key": "sk-local", "mock_response": "yes"}
    return litellm.Router(model_list=[{"model_name": "main", "litellm_params": deployment}])


def by_router(metadata: Json) -> None:
    router().completion(model="main", messages=MESSAGES, metadata=metadata)


def events_of(collector: Collector) -> Dict[int, Json]:
    return {event["metadata"]["number of the call"]: event for event in collector.events}


def held(event: Json, name: str, value: object) -> bool:
    """Whether the event has the value, as privacy leaves it, under one of the two names."""
    for holder in (event["metadata"], event["metadata"].get("user_metadata", {})):
        if name in holder and holder[name] == value and type(holder[name]) is type(value):
            return True
    return False


WAYS = [
    by_call,
    by_async_call,
    pytest.param(by_litellm_metadata, marks=NEEDS_RESPONSES),
    pytest.param(by_responses, marks=NEEDS_RESPONSES),
    pytest.param(by_router, marks=needs_litellm("1.83", "its Router writes into the metadata before the call begins")),
]


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with Collector() as running:
        folder: Path = tmp_path_factory.mktemp("spool")
        honeyhive_litellm.init(
            api_key="hh_key", project="tests", api_url=running.url, spool_path=folder, capture_in_flight=False
        )
        yield running
        honeyhive_litellm.shutdown(5)


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(calls=metadata_of_calls)
def test_all_metadata_of_the_caller_comes_back(
    collector: Collector, way: Callable[[Json], None], calls: List[Json]
) -> None:
    collector.clear()
    calls_by_number = {next(numbers): metadata for metadata in calls}
    for number, metadata in calls_by_number.items():
        way({**copy.deepcopy(metadata), "number of the call": number})
    until(lambda: honeyhive_litellm.flush(5) == 0 and calls_by_number.keys() <= events_of(collector).keys(), 30)
    events = events_of(collector)
    for number, metadata in calls_by_number.items():
        expected = clean(metadata, 2**18)
        assert isinstance(expected, dict)
        lost = {name: value for name, value in expected.items() if not held(events[number], name, value)}
        assert lost == {}
