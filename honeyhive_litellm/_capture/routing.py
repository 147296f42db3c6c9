"""Which destination a call belongs to: the first one whose rule matches it. Decisions, without IO."""

from __future__ import annotations

from typing import Any, Collection, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from honeyhive_litellm._config.destinations import CRITERIA, NOWHERE, Condition, Destination
from honeyhive_litellm._mapping.metadata import metadata_of, tags
from honeyhive_litellm._mapping.reading import mapping, or_default, text

NAMED_KEY = "honeyhive_destination"
"""Where a call's metadata, or that of its virtual key or team, name a destination."""

_CALLBACK_NAME = "honeyhive"
_JSON_TYPES = (str, int, float, bool, dict, list, type(None))


class CallFacts(NamedTuple):
    """What rules read of a call. `named` are the destinations that the call, its key and its team name, in order."""

    team: FrozenSet[str] = frozenset()
    key_alias: FrozenSet[str] = frozenset()
    organization: FrozenSet[str] = frozenset()
    model_group: FrozenSet[str] = frozenset()
    tag: FrozenSet[str] = frozenset()
    named: Tuple[str, ...] = ()


_Rule = Tuple[int, Condition, str]


class Rules:
    """The rules of the destinations, in their order, and what holds for calls that match none.

    Each condition is found by one of the values that it requires, so that the number of rules costs a call nothing.
    """

    def __init__(self, destinations: Sequence[Destination], default: str) -> None:
        self.default = None if default == NOWHERE else default
        self._by_value: Dict[Tuple[str, str], List[_Rule]] = {}
        self._selectable: Dict[str, int] = {}
        for order, destination in enumerate(destinations):
            if destination.selectable:
                self._selectable[destination.name] = order
            for condition in destination.match:
                criterion = next(name for name in CRITERIA if getattr(condition, name))
                for value in getattr(condition, criterion):
                    rule = order, condition, destination.name
                    self._by_value.setdefault((criterion, value), []).append(rule)
        self._criteria = [name for name in CRITERIA if any(criterion == name for criterion, _ in self._by_value)]
        conditions = [condition for destination in destinations for condition in destination.match]
        self._read = frozenset(name for name in CRITERIA if any(getattr(each, name) for each in conditions))

    def destination_of(self, call_details: Mapping[str, Any]) -> Optional[str]:
        """`choose` by the facts of a call. Details that cannot be read have none."""
        return self.choose(or_default(CallFacts(), facts_of, call_details, self._read, bool(self._selectable)))

    def choose(self, facts: CallFacts) -> Optional[str]:
        """The destination's name, MAIN for the main project; None if the call is not to be recorded."""
        best: Optional[Tuple[int, str]] = None
        for name in facts.named:
            if name in self._selectable:
                best = self._selectable[name], name
                break
        for criterion in self._criteria:
            for value in getattr(facts, criterion):
                for order, condition, name in self._by_value.get((criterion, value), ()):
                    if (best is None or order < best[0]) and holds(condition, facts):
                        best = order, name
        return self.default if best is None else best[1]


def holds(condition: Condition, facts: CallFacts) -> bool:
    """Whether a call with these facts meets the condition."""
    for criterion in CRITERIA:
        wanted = getattr(condition, criterion)
        if wanted and getattr(facts, criterion).isdisjoint(wanted):
            return False
    return True


def facts_of(
    call_details: Mapping[str, Any], criteria: Collection[str] = CRITERIA, is_choice_read: bool = True
) -> CallFacts:
    """The facts of a call, or of a request to the Router in the form of a call, as far as `criteria` need them.

    Who calls is what LiteLLM's proxy found out of the virtual key. Tags and the named destination may be the client's.
    """
    litellm_params = mapping(call_details.get("litellm_params"))
    caller = _written_by_proxy(litellm_params)
    metadata = caller
    if is_choice_read or "tag" in criteria or "model_group" in criteria:
        metadata = metadata_of(litellm_params, mapping(call_details.get("optional_params")))
    nothing: FrozenSet[str] = frozenset()
    return CallFacts(
        _texts(caller.get("user_api_key_team_id"), caller.get("user_api_key_team_alias"))
        if "team" in criteria
        else nothing,
        _texts(caller.get("user_api_key_alias")) if "key_alias" in criteria else nothing,
        _texts(caller.get("user_api_key_org_id"), caller.get("user_api_key_org_alias"))
        if "organization" in criteria
        else nothing,
        _texts(metadata.get("model_group") or call_details.get("model")) if "model_group" in criteria else nothing,
        _texts(*(tags(metadata) or ())) if "tag" in criteria else nothing,
        tuple(_named(metadata, caller)) if is_choice_read else (),
    )


def _written_by_proxy(litellm_params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The metadata that LiteLLM's proxy has written into: on some routes it is one dictionary, on some the other.

    A client may send the other one, with names of the proxy's in it, but no object that is none of JSON's.
    """
    first, second = mapping(litellm_params.get("metadata")), mapping(litellm_params.get("litellm_metadata"))
    for metadata in (first, second):
        if not isinstance(metadata.get("user_api_key_auth"), _JSON_TYPES):
            return metadata
    return second if "user_api_key_hash" in second and "user_api_key_hash" not in first else first


def _named(metadata: Mapping[str, Any], caller: Mapping[str, Any]) -> List[str]:
    names = [metadata.get(NAMED_KEY)]
    for owner in ("user_api_key_metadata", "user_api_key_team_metadata"):
        settings = mapping(caller.get(owner))
        if settings:
            names += [settings.get(NAMED_KEY), *logging_destinations(settings)]
    return [name for name in names if isinstance(name, str)]


def logging_destinations(settings: Mapping[str, Any]) -> List[object]:
    """What the callback settings of a virtual key or a team (`logging`) name for our callback."""
    entries = settings.get("logging")
    if not isinstance(entries, (list, tuple)):
        return []
    ours = [mapping(entry) for entry in entries if mapping(entry).get("callback_name") == _CALLBACK_NAME]
    return [mapping(entry.get("callback_vars")).get(NAMED_KEY) for entry in ours]


def _texts(*values: object) -> FrozenSet[str]:
    return frozenset(filter(None, map(text, values)))
