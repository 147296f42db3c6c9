"""Searching stored events: what a search or export request means, and whether an event answers it. Pure.

A filter's field is a path ("metadata.cost"). How the service compares a field that an event does not have is
nowhere described; here it does not exist, is nothing and contains nothing, so only the negations hold for it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from . import _schema as schema

_DEFAULT_LIMIT = 1000
_MISSING = object()
_NEGATIONS = {"not exists": "exists", "is not": "is", "not contains": "contains"}


class Filter(NamedTuple):
    """One condition, its value already of the right type."""

    field: str
    operator: str
    value: Any
    type: str


class Query(NamedTuple):
    """A search: all filters must hold; times are Unix ms, inclusive; pages count from 1."""

    filters: Tuple[Filter, ...]
    start_ms: Optional[float]
    end_ms: Optional[float]
    limit: int
    page: int
    projections: Tuple[str, ...]

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Whether *event* lies in the time range and fulfils every filter."""
        start = event.get("start_time")
        if self.start_ms is not None and (start is None or start < self.start_ms):
            return False
        if self.end_ms is not None and (start is None or start > self.end_ms):
            return False
        return all(_holds(condition, event) for condition in self.filters)

    def page_of(self, events: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
        """The wanted page of the *events* that match, reduced to the wanted fields."""
        first = (self.page - 1) * self.limit
        page = events[first : first + self.limit]
        if not self.projections:
            return page
        return [{name: event[name] for name in self.projections if name in event} for event in page]


def read_search(body: object) -> Query:
    """Read the body of `POST /v1/events/search`; raise ValueError with the sentence to answer."""
    return _read(body, schema.SEARCH, schema.FILTER, schema.DATE_RANGE, ("start_time", "end_time"))


def read_export(body: object) -> Query:
    """Read the body of the deprecated `POST /v1/events/export`; raise ValueError likewise."""
    return _read(body, schema.EXPORT, schema.LEGACY_FILTER, schema.LEGACY_DATE_RANGE, ("$gte", "$lte"))


def _read(
    body: object,
    search: schema.Spec,
    condition: schema.Spec,
    date_range: schema.Spec,
    ends: Tuple[str, str],
) -> Query:
    _require(schema.find_problem(body, search))
    assert isinstance(body, dict)  # the search spec has just said so
    filters = body.get("filters", [])
    for position, item in enumerate(filters):
        _require(schema.find_problem(item, condition, f"filters[{position}]"))
    dates = body.get("dateRange")
    if dates is not None:
        _require(schema.find_problem(dates, date_range, "dateRange"))
    conditions = [_read_filter(item) for item in filters]
    if "evaluation_id" in body:
        conditions.append(Filter("metadata.run_id", "is", body["evaluation_id"], "string"))
    return Query(
        filters=tuple(conditions),
        start_ms=None if dates is None else _unix_ms(dates[ends[0]]),
        end_ms=None if dates is None else _unix_ms(dates[ends[1]]),
        limit=body.get("limit", _DEFAULT_LIMIT),
        page=body.get("page", 1),
        projections=tuple(body.get("projections", ())),
    )


def _require(problem: Optional[str]) -> None:
    if problem is not None:
        raise ValueError(problem)


def _read_filter(item: Mapping[str, Any]) -> Filter:
    operator, value = item["operator"], item["value"]
    kind = item.get("type") or _type_of(operator, value)
    if operator in ("exists", "not exists") or value is None:
        return Filter(item["field"], operator, value, kind)
    return Filter(item["field"], operator, _READERS[kind](value), kind)


def _type_of(operator: str, value: object) -> str:
    if operator in ("after", "before"):
        return "datetime"
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) or value is None else "number"


def _number(value: Any) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError("a filter of type number needs a number as its value") from None


def _boolean(value: Any) -> bool:
    if value in (True, "true"):
        return True
    if value in (False, "false"):
        return False
    raise ValueError("a filter of type boolean needs true or false as its value")


def _unix_ms(value: Any) -> float:
    """Unix ms of an ISO 8601 text with an offset, or of a number that is Unix ms already."""
    if not isinstance(value, str):
        return float(value)
    text = value[:-1] + "+00:00" if value[-1:] in ("Z", "z") else value
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("a date must be ISO 8601, as in 2026-01-31T12:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError("a date must have an offset, as in 2026-01-31T12:00:00Z")
    return moment.timestamp() * 1000.0


_READERS: Dict[str, Callable[[Any], Any]] = {
    "string": str,
    "number": _number,
    "boolean": _boolean,
    "datetime": _unix_ms,
}


def _holds(condition: Filter, event: Mapping[str, Any]) -> bool:
    actual = _at(event, condition.field)
    denied = _NEGATIONS.get(condition.operator)
    if denied is not None:
        return not _is_true(denied, actual, condition)
    return _is_true(condition.operator, actual, condition)


def _is_true(operator: str, actual: Any, condition: Filter) -> bool:
    if operator == "exists" or actual is _MISSING:
        return actual is not _MISSING and actual is not None
    if operator == "contains":
        return isinstance(actual, (str, list)) and condition.value in actual
    try:
        here = actual if actual is None or condition.value is None else _READERS[condition.type](actual)
        if operator == "is":
            return bool(here == condition.value)
        if operator in ("greater than", "after"):
            return bool(here > condition.value)
        return bool(here < condition.value)
    except (TypeError, ValueError):
        return False


def _at(event: Mapping[str, Any], path: str) -> Any:
    here: Any = event
    for name in path.split("."):
        if not isinstance(here, dict) or name not in here:
            return _MISSING
        here = here[name]
    return here
