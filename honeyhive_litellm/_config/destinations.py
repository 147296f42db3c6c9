"""Destinations: further HoneyHive projects, each with a key, a rule for its calls, and some options of its own."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Tuple

from .broker import is_destination
from .readers import (
    Reader,
    RefusedError,
    api_key,
    api_url,
    flag,
    lookup_api_key,
    redact,
    share,
    size,
    text,
    unset,
)

MAIN = "default"
"""The name of the main project, that of `api_key` and `project`, where destinations are listed."""

NOWHERE = "none"
"""The default destination of those who want calls that match no rule not to be recorded."""

BY_REFERENCE = "os.environ/"
"""LiteLLM's mark of a value that is the name of an environment variable."""

CRITERIA = ("team", "key_alias", "organization", "model_group", "tag")
"""What a condition can require. `team` and `organization` are ids or aliases."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_DEVICES = frozenset(("con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))))

_OPTIONS: Dict[str, Reader] = {
    "project": text,
    "api_key": api_key,
    "api_url": api_url,
    "lookup_api_key": lookup_api_key,
    "sample_rate": share,
    "redact": redact,
    "capture_message_content": flag,
    "spool_max_bytes": size(2**16, 2**50),
}
_MEMBERS = (*_OPTIONS, "match", "selectable")
_NO_KEY = "api_key is missing; add it"
_EXAMPLE = '{"search": {"project": "search", "api_key": "os.environ/SEARCH_KEY", "match": {"team": "search"}}}'


@dataclass(frozen=True)
class Condition:
    """What a call must be for a rule: for each criterion that has values, the call must have one of them."""

    team: Tuple[str, ...] = ()
    key_alias: Tuple[str, ...] = ()
    organization: Tuple[str, ...] = ()
    model_group: Tuple[str, ...] = ()
    tag: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Destination:
    """One destination. `match` has its rule: one of these conditions is enough.

    `options` are the options of `Settings` in which it differs from the main project. With `selectable` a call may
    name it in its metadata, as `honeyhive_destination`.
    """

    name: str
    options: Mapping[str, Any] = field(repr=False)
    match: Tuple[Condition, ...] = ()
    selectable: bool = False

    @property
    def has_rule(self) -> bool:
        """Whether any call can match it."""
        return bool(self.match) or self.selectable


def destinations(value: object, *, has_broker: bool = False) -> Optional[Tuple[Destination, ...]]:
    """The destinations in their order, which is that of their rules. A refusal shows no key.

    Each needs a key, unless a broker takes the events: then the keys are with the relays.
    """
    if value is None:
        return None
    if isinstance(value, tuple) and all(isinstance(item, Destination) for item in value):
        keyless = [item.name for item in value if "api_key" not in item.options]
        if keyless and not has_broker:
            raise RefusedError("cannot be used:" + "".join(f"\n    {name}.{_NO_KEY}" for name in keyless))
        return value or None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise RefusedError(f"is not JSON; give a JSON object such as {_EXAMPLE}") from None
    if not isinstance(value, Mapping):
        raise RefusedError(
            f"is of type {type(value).__name__}; give a dict of destinations by name, such as {_EXAMPLE}"
        )
    problems: List[str] = []
    found = [_destination(name, members, problems, has_broker=has_broker) for name, members in value.items()]
    if problems:
        raise RefusedError("cannot be used:" + "".join(f"\n    {problem}" for problem in problems))
    return tuple(destination for destination in found if destination is not None) or None


def default_destination(value: object) -> str:
    """The name of a destination, or one of the two reserved words; whether there is one of that name is not checked."""
    name = text(value).lower()
    if name not in (MAIN, NOWHERE) and _NAME.fullmatch(name) is None:
        raise RefusedError(f'is {name!r}; give the name of a destination, "{MAIN}" or "{NOWHERE}"')
    return name


def cross_check(found: Tuple[Destination, ...], default: object) -> List[str]:
    """What is wrong with destinations and default together."""
    names = [destination.name for destination in found]
    problems = []
    if default not in (MAIN, NOWHERE) and default not in names:
        listed = ", ".join(names) or "there are none"
        problems.append(
            f"default_destination (HONEYHIVE_DEFAULT_DESTINATION) is {default!r}, which is not among the destinations "
            f'({listed}); give one of their names, "{MAIN}" or "{NOWHERE}"'
        )
    problems.extend(
        f"destinations (HONEYHIVE_DESTINATIONS): {destination.name} gets no call; give it a match, or selectable: true"
        for destination in found
        if not destination.has_rule and destination.name != default
    )
    return problems


def _destination(name: object, members: object, problems: List[str], *, has_broker: bool) -> Optional[Destination]:
    before = len(problems)
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        problems.append(
            f"the name {name!r} cannot be that of a folder; give up to 63 of a-z, 0-9, - and _, beginning with a "
            "letter or digit"
        )
        return None
    if name in (MAIN, NOWHERE) or name in _DEVICES or (has_broker and not is_destination(name)):
        problems.append(f"the name {name!r} is reserved; give another one")
        return None
    if not isinstance(members, Mapping):
        problems.append(f"{name} is of type {type(members).__name__}; give a dict with project, api_key and match")
        return None
    for member in members:
        if member not in _MEMBERS:
            import difflib  # needed for a mistake only

            near = difflib.get_close_matches(str(member), _MEMBERS, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"the members are {', '.join(_MEMBERS)}"
            problems.append(f"{name}.{member} is not a member of a destination; {remedy}")
    options: Dict[str, Any] = {}
    for option, read in _OPTIONS.items():
        if members.get(option) is not None:
            try:
                options[option] = read(_referred(members[option]))
            except RefusedError as refusal:
                problems.append(f"{name}.{option} {refusal}")
        elif option == "project":
            problems.append(f"{name}.project is missing; add it")
        elif option == "api_key" and not has_broker:
            problems.append(f"{name}.{_NO_KEY}")
    selectable = False
    try:
        selectable = flag(members.get("selectable", False))
    except RefusedError as refusal:
        problems.append(f"{name}.selectable {refusal}")
    match = _conditions(f"{name}.match", members.get("match"), problems)
    return Destination(name, options, match, selectable) if len(problems) == before else None


def _referred(value: object) -> object:
    """The value, or that of the environment variable that it names."""
    if not isinstance(value, str) or not value.startswith(BY_REFERENCE):
        return value
    variable = value[len(BY_REFERENCE) :]
    found = os.environ.get(variable, "").strip()
    if not found:
        raise RefusedError(unset(variable))
    return found


def _conditions(where: str, value: object, problems: List[str]) -> Tuple[Condition, ...]:
    found = []
    for condition in value if isinstance(value, (list, tuple)) else [] if value is None else [value]:
        if not isinstance(condition, Mapping) or not condition:
            problems.append(f"{where} is not a condition; give a dict with one or more of {', '.join(CRITERIA)}")
            continue
        values: Dict[str, Tuple[str, ...]] = {}
        for criterion, wanted in condition.items():
            items = wanted if isinstance(wanted, (list, tuple)) else [wanted]
            if criterion not in CRITERIA:
                problems.append(f"{where}.{criterion} is not a criterion; give one of {', '.join(CRITERIA)}")
            elif not items or not all(isinstance(item, str) and item.strip() for item in items):
                problems.append(f"{where}.{criterion} has a value that is no text; give a string, or a list of strings")
            else:
                values[criterion] = tuple(item.strip() for item in items)
        found.append(Condition(**values))
    return tuple(found)
