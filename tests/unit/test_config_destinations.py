"""What the option `destinations` takes, and what it says of what it refuses."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Dict, List

import pytest

from honeyhive_litellm import ConfigError, Settings
from honeyhive_litellm._config.explain import explain

GOOD: Dict[str, Any] = {"project": "search", "api_key": "hh_of_search", "match": {"team": "search"}}


def resolve(destinations: Any, **arguments: Any) -> Settings:
    return Settings.resolve({}, api_key="hh_main", project="main", destinations=destinations, **arguments)


def problems(destinations: Any, **arguments: Any) -> List[str]:
    with pytest.raises(ConfigError) as refusal:
        resolve(destinations, **arguments)
    assert "hh_of" not in str(refusal.value)
    return [line.strip() for line in str(refusal.value).splitlines()[1:]]


def test_a_destination_is_as_the_main_project_but_for_what_it_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_OF_ADS", "hh_of_ads")
    chosen = {
        "search": GOOD,
        "ads": {
            "project": "ads",
            "api_key": "os.environ/KEY_OF_ADS",
            "api_url": "https://ads.example",
            "sample_rate": 0.5,
            "capture_message_content": "off",
            "redact": "email",
            "spool_max_bytes": "1MiB",
            "match": [{"tag": ["ads", "banner"], "model_group": "gpt-4o"}, {"organization": "org-1"}],
            "selectable": True,
        },
    }
    settings = resolve(chosen, lookup_api_key="hh_ro_main", environment="test")
    search, ads = settings.destination_list
    assert ads.match[0].tag == ("ads", "banner")
    assert (search.selectable, ads.selectable) == (False, True)

    of_search = settings.for_destination(search, Path("/spool/search"))
    assert (of_search.project, of_search.api_key, of_search.api_url) == ("search", "hh_of_search", settings.api_url)
    assert (of_search.lookup_api_key, of_search.environment, of_search.destinations) == (None, "test", None)
    of_ads = settings.for_destination(ads, Path("/spool/ads"))
    assert (of_ads.api_key, of_ads.api_url, of_ads.sample_rate) == ("hh_of_ads", "https://ads.example", 0.5)
    assert (of_ads.capture_message_content, of_ads.redact, of_ads.spool_max_bytes) == (False, ("email",), 2**20)

    assert settings == resolve(json.dumps(chosen), lookup_api_key="hh_ro_main", environment="test")
    assert settings == dataclasses.replace(settings)
    assert settings != resolve({"search": GOOD}, lookup_api_key="hh_ro_main", environment="test")


def test_no_key_is_shown() -> None:
    chosen = {"search": {**GOOD, "lookup_api_key": "hh_of_reader"}}
    settings = resolve(chosen)
    shown = [
        repr(settings),
        repr(settings.destination_list),
        *(repr(row) for row in explain({}, {"destinations": chosen})),
    ]
    assert not [text for text in shown if "hh_of" in text]
    assert "search" in shown[0]


@pytest.mark.parametrize("name", ["", "Search", "a/b", "..", "a" * 64, 7])
def test_a_name_that_is_no_safe_folder_name_is_refused(name: Any) -> None:
    (head, problem) = problems({name: GOOD})
    assert head.startswith("destinations (argument; variable HONEYHIVE_DESTINATIONS) cannot be used:")
    assert problem.startswith(f"the name {name!r} cannot be that of a folder; give up to 63 of a-z")


@pytest.mark.parametrize("name", ["default", "none", "con"])
def test_a_reserved_name_is_refused(name: str) -> None:
    assert problems({name: GOOD})[1:] == [f"the name {name!r} is reserved; give another one"]


def test_with_a_broker_no_destination_needs_a_key() -> None:
    keyless = {"project": "search", "match": {"team": "search"}}
    chosen = json.dumps({"search": keyless, "ads": GOOD})
    environ = {"HONEYHIVE_BROKER": "nats://n1", "HONEYHIVE_PROJECT": "main", "HONEYHIVE_DESTINATIONS": chosen}
    for key_of_main in ({}, {"HONEYHIVE_API_KEY": "hh_main"}):
        settings = Settings.resolve({**environ, **key_of_main})
        search, ads = (settings.for_destination(each, Path("/spool")) for each in settings.destination_list)
        assert (search.api_key, search.project, search.broker_destination) == ("", "search", "search")
        assert (ads.api_key, ads.broker_destination) == ("hh_of_search", "ads")
    with pytest.raises(ConfigError, match=r"search\.api_key is missing; add it"):
        dataclasses.replace(settings, broker=None)

    # the broker has a stream of that name for something else
    assert problems({"dead": keyless}, broker="nats://n1")[1:] == ["the name 'dead' is reserved; give another one"]
    assert resolve({"dead": GOOD}).destination_list[0].name == "dead"


def test_all_that_is_wrong_is_named_at_once_with_the_remedy() -> None:
    found = problems(
        {
            "a": {"project": "p", "match": {"team": "a"}},
            "b": {**GOOD, "api_key": "os.environ/NOT_THERE", "sample_rat": 1},
            "c": {**GOOD, "api_url": "ftp://x", "match": [{"color": "red"}, {"team": [7]}, "search"]},
            "d": "hh_of_d",
        },
        default_destination="e",
    )
    assert [line.partition("; ")[0] for line in found[1:]] == [
        "a.api_key is missing",
        "b.sample_rat is not a member of a destination",
        "b.api_key is the environment variable NOT_THERE, which is not set",
        "c.api_url does not begin with http:// or https:// and a host",
        "c.match.color is not a criterion",
        "c.match.team has a value that is no text",
        "c.match is not a condition",
        "d is of type str",
    ]
    assert all("; " in line for line in found[1:])
    assert "did you mean sample_rate?" in found[2]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("{not JSON", "is not JSON; give a JSON object such as {"),
        ("[" * 100_000, "is not JSON; give a JSON object such as {"),
        ("[1]", "is of type list; give a dict of destinations by name, such as {"),
        (7, "is of type int; give a dict of destinations by name, such as {"),
    ],
    ids=["no JSON", "too deep", "a list", "a number"],
)
def test_what_is_no_dict_of_destinations_is_refused_with_an_example(value: object, problem: str) -> None:
    (line,) = problems(value)
    assert line.startswith(f"destinations (argument; variable HONEYHIVE_DESTINATIONS) {problem}")


def test_a_destination_needs_a_project_and_says_yes_or_no_to_being_selectable() -> None:
    found = problems({"a": {"api_key": "hh_of_a", "selectable": "perhaps"}})[1:]
    assert found[0] == "a.project is missing; add it"
    assert found[1].startswith("a.selectable is 'perhaps'") and len(found) == 2


@pytest.mark.parametrize("name", ["Two Words", "a/b"])
def test_a_default_that_can_be_no_name_is_refused(name: str) -> None:
    (line,) = problems({"search": GOOD}, default_destination=name)
    assert f'is {name.lower()!r}; give the name of a destination, "default" or "none"' in line
    assert resolve({"search": GOOD}, default_destination="SEARCH").default_destination == "search"


def test_a_destination_that_no_call_reaches_and_a_default_that_is_none_are_refused() -> None:
    unmatched = {"project": "p", "api_key": "hh_of_p"}
    assert "search gets no call; give it a match" in problems({"search": unmatched})[0]
    assert (
        "'ads', which is not among the destinations (search)"
        in problems({"search": GOOD}, default_destination="ads")[0]
    )
    assert "(there are none)" in problems(None, default_destination="ads")[0]
    assert resolve({"search": unmatched}, default_destination="search").default_destination == "search"
    assert resolve({}).destinations is None
