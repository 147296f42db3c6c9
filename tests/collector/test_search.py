"""Searching: what a request means and which events answer it."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import pytest

from honeyhive_litellm.collector._search import read_export, read_search

EVENT: Dict[str, Any] = {
    "event_id": "e",
    "event_name": "completion",
    "error": None,
    "start_time": 1_700_000_000_000,
    "children_ids": ["a", "b"],
    "metadata": {"cost": 0.02, "success": True, "run_id": "r1", "at": "2023-11-14T22:13:20+00:00"},
}


def condition(field: str, operator: str, value: object, kind: Optional[str] = None) -> Dict[str, Any]:
    made = {"field": field, "operator": operator, "value": value}
    return made if kind is None else {**made, "type": kind}


@pytest.mark.parametrize(
    ("field", "operator", "value", "kind", "holds"),
    [
        ("event_name", "is", "completion", "string", True),
        ("event_name", "is", "Completion", "string", False),
        ("event_name", "is not", "embedding", None, True),
        ("event_name", "contains", "plet", None, True),
        ("event_name", "not contains", "plet", None, False),
        ("children_ids", "contains", "a", None, True),
        ("metadata.cost", "greater than", "0.01", "number", True),
        ("metadata.cost", "greater than", 0.02, None, False),
        ("metadata.cost", "less than", 1, "number", True),
        ("metadata.cost", "is", 0.02, None, True),
        ("metadata.success", "is", True, None, True),
        ("metadata.success", "is", "false", "boolean", False),
        ("metadata", "exists", None, None, True),
        ("metadata.cost", "not exists", None, None, False),
        ("metadata.nothing", "exists", None, None, False),
        ("metadata.cost.deeper", "not exists", None, None, True),
        ("error", "exists", None, None, False),
        ("error", "is", None, None, True),
        ("outputs.content", "is", "x", None, False),
        ("outputs.content", "is not", "x", None, True),
        ("start_time", "after", "2023-11-14T22:13:19Z", None, True),
        ("start_time", "before", "2023-11-14T22:13:20Z", "datetime", False),
        ("metadata.at", "before", "2023-11-15T00:00:00+01:00", "datetime", True),
        ("event_name", "greater than", 1, "number", False),
        ("metadata", "after", "2023-11-14T22:13:19Z", None, False),
    ],
)
def test_a_filter_holds_as_its_words_say(
    field: str, operator: str, value: object, kind: Optional[str], holds: bool
) -> None:
    query = read_search({"filters": [condition(field, operator, value, kind)]})
    assert query.matches(EVENT) is holds


def test_all_filters_must_hold() -> None:
    good, bad = condition("event_name", "is", "completion"), condition("event_id", "is", "other")
    assert read_search({"filters": [good, good]}).matches(EVENT)
    assert not read_search({"filters": [good, bad]}).matches(EVENT)


def test_the_date_range_includes_both_ends() -> None:
    exact = {"start_time": "2023-11-14T22:13:20Z", "end_time": "2023-11-14T22:13:20.000Z"}
    later = {"start_time": "2023-11-14T22:13:21Z", "end_time": "2023-11-15T00:00:00Z"}
    assert read_search({"dateRange": exact}).matches(EVENT)
    earlier = {"start_time": "2023-11-14T00:00:00Z", "end_time": "2023-11-14T22:13:19Z"}
    assert not read_search({"dateRange": later}).matches(EVENT)
    assert not read_search({"dateRange": earlier}).matches(EVENT)
    assert not read_search({"dateRange": exact}).matches({"event_id": "without a time"})
    assert read_export({"dateRange": {"$gte": exact["start_time"], "$lte": exact["end_time"]}}).matches(EVENT)


def test_an_evaluation_is_found_by_the_run_id() -> None:
    assert read_search({"evaluation_id": "r1"}).matches(EVENT)
    assert not read_search({"evaluation_id": "r2"}).matches(EVENT)


def test_pages_count_from_one_and_projections_reduce() -> None:
    events: List[Dict[str, Any]] = [{"event_id": str(number), "inputs": {}} for number in range(5)]
    assert [event["event_id"] for event in read_search({"limit": 2, "page": 3}).page_of(events)] == ["4"]
    assert read_search({"limit": 2, "page": 4}).page_of(events) == []
    projected = read_export({"limit": 1, "projections": ["event_id", "unknown"]}).page_of(events)
    assert projected == [{"event_id": "0"}]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (None, "the body must be an object"),
        ({"limit": 0}, "limit of the body must be a whole number from 1 to 1000"),
        ({"filters": [7]}, "filters[0] must be an object"),
        ({"filters": [{"field": "a", "operator": "is"}]}, "filters[0] is missing value"),
        ({"filters": [condition("a", "like", 1)]}, "operator of filters[0] must be one of"),
        ({"filters": [condition("a", "is", "x", "number")]}, "a filter of type number needs a number"),
        ({"filters": [condition("a", "is", "x", "boolean")]}, "a filter of type boolean needs true or false"),
        ({"filters": [condition("a", "after", "yesterday")]}, "a date must be ISO 8601"),
        ({"dateRange": {"start_time": "2023-11-14T22:13:20Z"}}, "dateRange is missing end_time"),
        ({"dateRange": {"start_time": "2023-11-14", "end_time": "2023-11-15"}}, "a date must have an offset"),
        ({"dateRange": {"$gte": "a", "$lte": "b"}}, "dateRange has the unknown field"),
    ],
)
def test_a_faulty_search_is_refused_in_words(body: object, problem: str) -> None:
    with pytest.raises(ValueError, match=r"must|needs|missing|unknown") as refusal:
        read_search(body)
    assert str(refusal.value).startswith(problem)
