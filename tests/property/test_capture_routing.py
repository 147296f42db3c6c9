"""Whatever the rules and the call are: the first destination whose rule matches has the call, else the default."""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, Optional, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from honeyhive_litellm._capture.routing import CallFacts, Rules, facts_of
from honeyhive_litellm._config.destinations import CRITERIA, MAIN, NOWHERE, Condition, Destination, destinations

VALUES = st.sampled_from(["a", "b", "c"])
NAMES = [f"d{number}" for number in range(5)]
SOME = st.lists(VALUES, max_size=2, unique=True).map(tuple)
CONDITIONS = st.builds(Condition, SOME, SOME, SOME, SOME, SOME).filter(
    lambda condition: any(getattr(condition, name) for name in CRITERIA)
)
FEW = st.frozensets(VALUES, max_size=2)
FACTS = st.builds(CallFacts, FEW, FEW, FEW, FEW, FEW, st.lists(st.sampled_from([*NAMES, "x"]), max_size=2).map(tuple))


@st.composite
def ruled(draw: st.DrawFn) -> Sequence[Destination]:
    names = draw(st.permutations(NAMES))[: draw(st.integers(0, 5))]
    return [
        Destination(name, {}, tuple(draw(st.lists(CONDITIONS, max_size=3))), selectable=draw(st.booleans()))
        for name in names
    ]


def first_match(among: Sequence[Destination], facts: CallFacts) -> Optional[str]:
    """The rule as the documentation has it, one destination after the other."""
    selectable = [destination.name for destination in among if destination.selectable]
    named = next((name for name in facts.named if name in selectable), None)
    for destination in among:
        if destination.name == named:
            return destination.name
        for condition in destination.match:
            wanted = {name: set(getattr(condition, name)) for name in CRITERIA if getattr(condition, name)}
            if all(values & getattr(facts, name) for name, values in wanted.items()):
                return destination.name
    return None


@settings(max_examples=500)
@given(ruled(), FACTS, st.sampled_from([MAIN, NOWHERE, *NAMES]))
def test_the_first_rule_that_matches_wins_then_the_default(
    among: Sequence[Destination], facts: CallFacts, default: str
) -> None:
    expected = first_match(among, facts) or (None if default == NOWHERE else default)
    assert Rules(among, default).choose(facts) == expected


@given(st.booleans(), st.sampled_from(["call", "client", "key", "team"]))
def test_a_call_chooses_only_what_the_operator_lets_it_choose(is_selectable: bool, by: str) -> None:
    choice = {"honeyhive_destination": "chosen"}
    by_place: Dict[str, Dict[str, Any]] = {
        "call": choice,
        "client": {"requester_metadata": choice},
        "key": {"user_api_key_metadata": choice},
        "team": {"user_api_key_team_metadata": {"logging": [{"callback_name": "honeyhive", "callback_vars": choice}]}},
    }
    found = destinations(
        {"chosen": {"project": "p", "api_key": "hh_k", "selectable": is_selectable, "match": {"tag": "never"}}}
    )
    assert found is not None
    call_details = {"litellm_params": {"metadata": by_place[by]}}
    assert Rules(found, NOWHERE).destination_of(call_details) == ("chosen" if is_selectable else None)


class Auth:
    """Stands for the object that LiteLLM's proxy puts among the metadata: a client can send no object."""


def test_who_calls_is_what_the_proxy_wrote_and_not_what_a_client_sent() -> None:
    sent = {"user_api_key_team_id": "forged", "user_api_key_hash": "forged", "user_api_key_auth": {"team": "forged"}}
    written = {"user_api_key_team_id": "real", "user_api_key_hash": "hash", "user_api_key_auth": Auth()}
    for first, second in (("metadata", "litellm_metadata"), ("litellm_metadata", "metadata")):
        assert facts_of({"litellm_params": {first: sent, second: written}}).team == {"real"}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_facts_of_anything_are_facts(value: object) -> None:
    keys = ("tags", "model_group", "user_api_key_team_id", "user_api_key_metadata", "honeyhive_destination")
    facts = facts_of({"litellm_params": {"metadata": dict.fromkeys(keys, value)}, "model": value})
    assert Rules([], MAIN).choose(facts) == MAIN


@given(ruled(), FEW, FEW, FEW)
def test_what_no_rule_needs_is_not_read_and_changes_nothing(
    among: Sequence[Destination], teams: FrozenSet[str], tagged: FrozenSet[str], groups: FrozenSet[str]
) -> None:
    metadata = {
        "user_api_key_team_id": min(teams, default=None),
        "tags": sorted(tagged),
        "model_group": min(groups, default=None),
    }
    call_details = {"litellm_params": {"metadata": metadata}}
    rules = Rules(among, NOWHERE)
    assert rules.destination_of(call_details) == rules.choose(facts_of(call_details))
