"""What a request body may look like: tables of fields, and one function that finds what is wrong.

The tables restate HoneyHive's OpenAPI 1.9. Version 1 schemas forbid any other field and any null that is
not named here; the legacy ones allow extra fields. Ids are plain strings in those schemas and UUIDs in
their prose: the stricter reading is taken, so an id that is no UUID is refused (only `session_id` of a
session start is silently replaced, as documented). A message names fields, never values: values are
somebody's prompts.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Tuple

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_LONGEST_NAME_QUOTED = 60
_MEASURE_LIMIT = 2**63  # SQLite's integers end there

EVENT_TYPES: FrozenSet[str] = frozenset(("chain", "model", "session", "tool"))
OPERATORS: FrozenSet[str] = frozenset(
    (
        "exists",
        "not exists",
        "is",
        "is not",
        "contains",
        "not contains",
        "greater than",
        "less than",
        "after",
        "before",
    )
)
VALUE_TYPES: FrozenSet[str] = frozenset(("string", "number", "boolean", "datetime"))


class Kind(NamedTuple):
    """A kind of JSON value: how a refusal calls it, and which parsed values are of it."""

    words: str
    accepts: Callable[[Any], bool]


class Spec(NamedTuple):
    """An object's fields, which of them are required, and whether others are allowed (*is_open*)."""

    fields: Mapping[str, Kind]
    required: Tuple[str, ...] = ()
    is_open: bool = False


def is_uuid(value: object) -> bool:
    """Whether *value* is a string of the form 8-4-4-4-12 hexadecimal digits, of any UUID version."""
    return type(value) is str and _UUID.fullmatch(value) is not None


# bool is an int in Python and not a number in JSON, hence types rather than isinstance.


def _is_number(value: Any) -> bool:
    return type(value) is float or type(value) is int


def _is_measure(value: Any) -> bool:
    return _is_number(value) and abs(value) < _MEASURE_LIMIT


def _is_texts(value: Any) -> bool:
    return type(value) is list and all(type(item) is str for item in value)


def _one_of(words: FrozenSet[str]) -> Kind:
    return Kind("one of " + ", ".join(sorted(words)), lambda value: type(value) is str and value in words)


def _whole(most: Optional[int] = None) -> Kind:
    words = "a whole number from 1" + ("" if most is None else f" to {most}")
    return Kind(words, lambda value: type(value) is int and value >= 1 and (most is None or value <= most))


OBJECT = Kind("an object", lambda value: type(value) is dict)
OBJECT_OR_NULL = Kind("an object or null", lambda value: value is None or type(value) is dict)
LIST = Kind("an array", lambda value: type(value) is list)
TEXT = Kind("a string", lambda value: type(value) is str)
TEXT_OR_NULL = Kind("a string or null", lambda value: value is None or type(value) is str)
TEXTS = Kind("an array of strings", _is_texts)
MEASURE = Kind("a number below 2**63", _is_measure)
BOOLEAN = Kind("true or false", lambda value: type(value) is bool)
UUID = Kind("a UUID", is_uuid)
# A session's times: "if a string is passed, the server silently falls back to the current time".
MEASURE_OR_TEXT = Kind("a number below 2**63", lambda value: _is_measure(value) or type(value) is str)
SCALAR = Kind(
    "a string, a number, true, false or null",
    lambda value: value is None or type(value) in (str, bool, int, float),
)

_EVENT_FIELDS: Dict[str, Kind] = {
    "project_id": TEXT,
    "source": TEXT,
    "event_name": TEXT,
    "event_type": _one_of(EVENT_TYPES),
    "event_id": UUID,
    "session_id": UUID,
    "parent_id": UUID,
    "children_ids": TEXTS,
    "config": OBJECT,
    "inputs": OBJECT,
    "outputs": OBJECT,
    "error": TEXT_OR_NULL,
    "start_time": MEASURE,
    "end_time": MEASURE,
    "duration": MEASURE,
    "metadata": OBJECT,
    "feedback": OBJECT,
    "metrics": OBJECT,
    "user_properties": OBJECT,
}
_EVENT_REQUIRED = ("event_type", "inputs")
EVENT = Spec(_EVENT_FIELDS, _EVENT_REQUIRED)
# `project` and other extras are taken on legacy routes, and dropped: the key decides the project.
LEGACY_EVENT = Spec({**_EVENT_FIELDS, "project": TEXT}, _EVENT_REQUIRED, is_open=True)

_SESSION_FIELDS: Dict[str, Kind] = {
    "session_id": TEXT,
    "session_name": TEXT,
    "event_name": TEXT,
    "source": TEXT,
    "start_time": MEASURE_OR_TEXT,
    "end_time": MEASURE_OR_TEXT,
    "duration": MEASURE,
    "config": OBJECT,
    "inputs": OBJECT,
    "outputs": OBJECT,
    "metadata": OBJECT,
    "user_properties": OBJECT,
    "children_ids": TEXTS,
}
SESSION = Spec(_SESSION_FIELDS)
LEGACY_SESSION = Spec(_SESSION_FIELDS, is_open=True)
SESSION_PROPERTIES = Spec(
    {"session_name": TEXT, "start_time": MEASURE, "user_properties": OBJECT, "metadata": OBJECT}, is_open=True
)

_UPDATE_FIELDS: Dict[str, Kind] = {
    "metadata": OBJECT,
    "feedback": OBJECT,
    "metrics": OBJECT,
    "outputs": OBJECT_OR_NULL,
    "config": OBJECT,
    "user_properties": OBJECT,
    "duration": MEASURE,
    "end_time": MEASURE,
    "children_ids": TEXTS,
}
UPDATE = Spec(_UPDATE_FIELDS, is_open=True)  # "extra fields are accepted by the server but silently ignored"
LEGACY_UPDATE = Spec({**_UPDATE_FIELDS, "event_id": UUID}, ("event_id",), is_open=True)

_BATCH_FIELDS = {"events": LIST, "single_session": BOOLEAN, "session_properties": OBJECT}
BATCH = Spec(_BATCH_FIELDS, ("events",))
LEGACY_BATCH = Spec({**_BATCH_FIELDS, "is_single_session": BOOLEAN, "session": OBJECT}, ("events",), is_open=True)
SESSION_BATCH = Spec({"events": LIST}, ("events",))
LEGACY_SESSION_BATCH = Spec({"events": LIST, "logs": LIST}, is_open=True)
LEGACY_EVENT_WRAPPER = Spec({"event": OBJECT}, ("event",), is_open=True)
LEGACY_SESSION_WRAPPER = Spec({"session": OBJECT}, ("session",), is_open=True)

_FILTER_FIELDS = {
    "field": TEXT,
    "operator": _one_of(OPERATORS),
    "value": SCALAR,
    "type": _one_of(VALUE_TYPES),
}
FILTER = Spec(_FILTER_FIELDS, ("field", "operator", "value"))
LEGACY_FILTER = Spec(_FILTER_FIELDS, ("field", "operator", "value", "type"), is_open=True)
SEARCH = Spec(
    {
        "filters": LIST,
        "dateRange": OBJECT,
        "limit": _whole(1000),
        "page": _whole(),
        "ignore_order": BOOLEAN,
        "evaluation_id": TEXT,
    }
)
EXPORT = Spec({**SEARCH.fields, "limit": _whole(7500), "projections": TEXTS}, is_open=True)
DATE_RANGE = Spec({"start_time": TEXT, "end_time": TEXT}, ("start_time", "end_time"))
LEGACY_DATE_RANGE = Spec({"$gte": TEXT, "$lte": TEXT}, ("$gte", "$lte"), is_open=True)


def find_problem(value: object, spec: Spec, where: str = "the body") -> Optional[str]:
    """Return what keeps *value* from being an object of *spec*, as one sentence, or None if nothing does."""
    if not isinstance(value, dict):
        return f"{where} must be an object"
    fields = spec.fields
    for name, part in value.items():
        kind = fields.get(name)
        if kind is None:
            if not spec.is_open:
                return f"{where} has the unknown field {name[:_LONGEST_NAME_QUOTED]!r}"
        elif not kind.accepts(part):
            return f"{name} of {where} must be {kind.words}"
    for name in spec.required:
        if name not in value:
            return f"{where} is missing {name}"
    return None


def find_problems(items: List[Any], spec: Spec, where: str) -> Dict[int, str]:
    """Return the problem of each faulty item under its position; empty when all are well."""
    problems = {}
    for position, item in enumerate(items):
        problem = find_problem(item, spec, f"{where}[{position}]")
        if problem is not None:
            problems[position] = problem
    return problems
