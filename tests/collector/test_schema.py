"""What the server takes for well-formed, as a table: a body, a specification, what is wrong."""

from __future__ import annotations

from typing import Any, Dict, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive_litellm.collector import _schema as schema
from honeyhive_litellm.collector._schema import Spec, find_problem, find_problems, is_uuid

ID = "7f22137a-6911-4ed3-bc36-110f1dde6b66"
MODEL: Dict[str, Any] = {"event_type": "model", "inputs": {}}
# HoneyHive's own example of an event, with every other allowed field beside it.
FULL = {
    "event_type": "model",
    "event_name": "llm_call",
    "event_id": ID,
    "session_id": ID.upper(),
    "parent_id": ID,
    "children_ids": ["any string"],
    "project_id": "p",
    "inputs": {"prompt": "hello"},
    "outputs": {"response": "hi"},
    "config": {"model": "gpt-4", "temperature": 0.7},
    "metadata": {"cost": 0.00008, "completion_tokens": 23, "prompt_tokens": 35},
    "feedback": {"rating": 5},
    "metrics": {"num_words": 2},
    "user_properties": {"user_id": "u"},
    "source": "sdk-python",
    "error": None,
    "start_time": 1700000000000,
    "end_time": 1700000001500.5,
    "duration": 1500,
}
FILTER = {"field": "metadata.cost", "operator": "greater than", "value": 0.01}

CASES = [
    # events
    (FULL, schema.EVENT, None),
    (MODEL, schema.EVENT, None),
    ({**MODEL, "error": "RateLimitError: slow down"}, schema.EVENT, None),
    ([], schema.EVENT, "the body must be an object"),
    (None, schema.EVENT, "the body must be an object"),
    ({"inputs": {}}, schema.EVENT, "the body is missing event_type"),
    ({"event_type": "model"}, schema.EVENT, "the body is missing inputs"),
    (
        {**MODEL, "event_type": "span"},
        schema.EVENT,
        "event_type of the body must be one of chain, model, session, tool",
    ),
    (
        {**MODEL, "event_type": ["model"]},
        schema.EVENT,
        "event_type of the body must be one of chain, model, session, tool",
    ),
    ({**MODEL, "inputs": None}, schema.EVENT, "inputs of the body must be an object"),
    ({**MODEL, "inputs": []}, schema.EVENT, "inputs of the body must be an object"),
    ({**MODEL, "error": 429}, schema.EVENT, "error of the body must be a string or null"),
    ({**MODEL, "start_time": "1700000000000"}, schema.EVENT, "start_time of the body must be a number below 2**63"),
    ({**MODEL, "end_time": None}, schema.EVENT, "end_time of the body must be a number below 2**63"),
    ({**MODEL, "duration": True}, schema.EVENT, "duration of the body must be a number below 2**63"),
    ({**MODEL, "event_name": None}, schema.EVENT, "event_name of the body must be a string"),
    ({**MODEL, "children_ids": None}, schema.EVENT, "children_ids of the body must be an array of strings"),
    ({**MODEL, "children_ids": [1]}, schema.EVENT, "children_ids of the body must be an array of strings"),
    ({**MODEL, "project": "p"}, schema.EVENT, "the body has the unknown field 'project'"),
    ({**MODEL, "tenant": "t"}, schema.EVENT, "the body has the unknown field 'tenant'"),
    ({**MODEL, "project": "p", "session_name": "s"}, schema.LEGACY_EVENT, None),
    ({**MODEL, "metadata": None}, schema.LEGACY_EVENT, "metadata of the body must be an object"),
    # sessions
    ({}, schema.SESSION, None),
    ({"session_id": "not a uuid", "start_time": "now", "end_time": "later"}, schema.SESSION, None),
    ({"session_id": None}, schema.SESSION, "session_id of the body must be a string"),
    ({"start_time": None}, schema.SESSION, "start_time of the body must be a number below 2**63"),
    ({"duration": "1"}, schema.SESSION, "duration of the body must be a number below 2**63"),
    ({"error": "e"}, schema.SESSION, "the body has the unknown field 'error'"),
    ({"project": "p"}, schema.SESSION, "the body has the unknown field 'project'"),
    ({"project": "p"}, schema.LEGACY_SESSION, None),
    # updates
    ({"outputs": None, "inputs": 1, "anything": []}, schema.UPDATE, None),
    ({"outputs": "text"}, schema.UPDATE, "outputs of the body must be an object or null"),
    ({"outputs": []}, schema.UPDATE, "outputs of the body must be an object or null"),
    ({"metadata": None}, schema.UPDATE, "metadata of the body must be an object"),
    ({"event_id": ID}, schema.LEGACY_UPDATE, None),
    ({}, schema.LEGACY_UPDATE, "the body is missing event_id"),
    # batches
    ({"events": [], "single_session": True, "session_properties": {}}, schema.BATCH, None),
    ({}, schema.BATCH, "the body is missing events"),
    ({"events": {}}, schema.BATCH, "events of the body must be an array"),
    ({"events": [], "single_session": 1}, schema.BATCH, "single_session of the body must be true or false"),
    (
        {"events": [], "is_single_session": True},
        schema.BATCH,
        "the body has the unknown field 'is_single_session'",
    ),
    ({"events": [], "session": {}}, schema.BATCH, "the body has the unknown field 'session'"),
    ({"events": [], "is_single_session": True, "session": {}}, schema.LEGACY_BATCH, None),
    ({"session_name": "s", "anything": 1}, schema.SESSION_PROPERTIES, None),
    ({"start_time": "now"}, schema.SESSION_PROPERTIES, "start_time of the body must be a number below 2**63"),
    (
        {"events": [], "single_session": True},
        schema.SESSION_BATCH,
        "the body has the unknown field 'single_session'",
    ),
    # searches
    ({"limit": 1000, "page": 1, "ignore_order": True, "evaluation_id": "r"}, schema.SEARCH, None),
    ({"limit": 1001}, schema.SEARCH, "limit of the body must be a whole number from 1 to 1000"),
    ({"limit": 1.0}, schema.SEARCH, "limit of the body must be a whole number from 1 to 1000"),
    ({"page": 0}, schema.SEARCH, "page of the body must be a whole number from 1"),
    ({"projections": ["inputs"]}, schema.SEARCH, "the body has the unknown field 'projections'"),
    ({"limit": 7500, "projections": ["inputs"], "project": "p"}, schema.EXPORT, None),
    (FILTER, schema.FILTER, None),
    (FILTER, schema.LEGACY_FILTER, "the body is missing type"),
    ({**FILTER, "extra": 1}, schema.FILTER, "the body has the unknown field 'extra'"),
    (
        {**FILTER, "value": [1]},
        schema.FILTER,
        "value of the body must be a string, a number, true, false or null",
    ),
    (
        {**FILTER, "type": "id"},
        schema.FILTER,
        "type of the body must be one of boolean, datetime, number, string",
    ),
]


@pytest.mark.parametrize(("value", "spec", "problem"), CASES)
def test_a_body_is_judged_as_documented(value: object, spec: Spec, problem: Optional[str]) -> None:
    assert find_problem(value, spec) == problem


@pytest.mark.parametrize("field", ["config", "outputs", "metadata", "feedback", "metrics", "user_properties", "inputs"])
@pytest.mark.parametrize("value", [None, "text", [], 1, True])
def test_the_objects_of_an_event_are_objects_and_never_null(field: str, value: object) -> None:
    assert find_problem({**MODEL, field: value}, schema.EVENT) == f"{field} of the body must be an object"


@pytest.mark.parametrize("field", ["event_id", "session_id", "parent_id"])
@pytest.mark.parametrize("value", ["", "call-1", ID[:-1], ID + "0", f"{{{ID}}}", ID.replace("-", ""), None, 1])
def test_an_id_that_is_no_uuid_is_refused(field: str, value: object) -> None:
    assert find_problem({**MODEL, field: value}, schema.EVENT) == f"{field} of the body must be a UUID"


def test_a_problem_names_fields_and_never_their_values() -> None:
    secret = "the prompt of somebody"
    for field in schema.EVENT.fields:
        problem = find_problem({**MODEL, field: {"x": secret}, "start_time": secret}, schema.EVENT)
        assert problem is not None
        assert secret not in problem


def test_a_batch_names_the_position_of_each_faulty_event() -> None:
    problems = find_problems([MODEL, {"inputs": {}}, MODEL, 7], schema.EVENT, "events")
    assert problems == {1: "events[1] is missing event_type", 3: "events[3] must be an object"}


def test_a_long_unknown_name_is_quoted_in_part() -> None:
    problem = find_problem({"x" * 10_000: 1}, schema.EVENT)
    assert problem is not None
    assert len(problem) < 200


@given(st.uuids())
def test_every_uuid_is_one(value: object) -> None:
    assert is_uuid(str(value))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*schema.EVENT.fields, "other"]), JSON))
def test_whatever_is_sent_is_judged_and_never_raises(value: Dict[str, Any]) -> None:
    for spec in (
        schema.EVENT,
        schema.LEGACY_EVENT,
        schema.SESSION,
        schema.UPDATE,
        schema.SEARCH,
        schema.FILTER,
    ):
        problem = find_problem(value, spec)
        assert problem is None or "the body" in problem
