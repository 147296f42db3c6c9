"""Teams of a proxy, each with a HoneyHive project and key of its own; the keys' facts go through LiteLLM's own code."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import needs_litellm
from ..waiting import until
from .served import HOOK, LITELLM, SITE, Proxy, serving

pytestmark = pytest.mark.timeout(240)

HONEYHIVE_KEYS = {"gateway": "hh_of_gateway", "search": "hh_of_search", "ads": "hh_of_ads", "lab": "hh_of_lab"}
CALLS = {
    "sk-search": "search-team",
    "sk-ads": "ads-team",
    "sk-banners": "ads-team",
    "sk-lab": "lab",
    "sk-lab-team": "lab",
}
PATHS = ("/v1/chat/completions", "/v1/messages", "/v1/responses")
REQUESTS: Dict[str, Dict[str, Any]] = {"/v1/messages": {"max_tokens": 30}, "/v1/responses": {"input": "hello"}}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, honeyhive: Collector, models: ModelServer) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("teams")
    variables = {f"KEY_OF_{name.upper()}": key for name, key in HONEYHIVE_KEYS.items()}
    variables["KEY_OF_HONEYHIVE"] = variables.pop("KEY_OF_GATEWAY")
    variables.update(HOOK)
    with serving(LITELLM, SITE / "teams.yaml", folder, honeyhive, models, key="sk-search", **variables) as running:
        yield running


def events_of(proxy: Proxy, count: int, path: str) -> List[Dict[str, Any]]:
    def found() -> List[Dict[str, Any]]:
        return [e for e in proxy.collector.events if e["metadata"].get("proxy", {}).get("route") == path]

    until(lambda: len(found()) >= count, 20, f"{count} events of {path}")
    return found()


@pytest.mark.parametrize("path", PATHS)
def test_each_team_has_its_calls_in_its_project(proxy: Proxy, path: str) -> None:
    forged = {"user_api_key_team_id": "team-ads", "user_api_key_alias": "banner jobs", "tags": ["ads"]}
    answers = {key: proxy.ask(path, key=key, metadata=forged, **REQUESTS.get(path, {})) for key in (*CALLS, "sk-other")}
    assert {key: answer.status_code for key, answer in answers.items()} == dict.fromkeys(answers, 200)

    events = events_of(proxy, len(CALLS), path)
    project_of = {event["event_id"]: event["metadata"]["project"] for event in events}
    for key, project in CALLS.items():
        assert project_of.pop(answers[key].headers["x-litellm-call-id"]) == project, key
    assert project_of == {}  # that of no team is recorded nowhere
    contents = {event["metadata"]["project"]: "hello" in str(event["inputs"]) for event in events}
    assert contents == {"search-team": True, "ads-team": False, "lab": True}


def test_a_client_chooses_a_selectable_destination_and_a_fallback_keeps_it(proxy: Proxy) -> None:
    chosen = proxy.ask(key="sk-other", model="broken", metadata={"honeyhive_destination": "lab"})
    assert chosen.status_code == 200
    refused = proxy.ask(key="sk-other", metadata={"honeyhive_destination": "search"})
    assert refused.status_code == 200

    id_ = chosen.headers["x-litellm-call-id"]
    events = proxy.events(3, team_id="team-other")
    assert [event["metadata"]["project"] for event in events] == ["lab"] * 3
    assert id_ in {event["metadata"]["proxy"].get("request_id") for event in events}


@needs_litellm("1.110", "an older one keeps them elsewhere")
def test_the_callback_settings_of_a_key_choose_a_selectable_destination(proxy: Proxy) -> None:
    to_lab, to_search = proxy.ask(key="sk-logging"), proxy.ask(key="sk-forbidden")
    assert (to_lab.status_code, to_search.status_code) == (200, 200)
    assert proxy.event(to_lab)["metadata"]["project"] == "lab"
    proxy.event(proxy.ask(key="sk-search"))
    assert [
        event for event in proxy.collector.events if event["metadata"]["proxy"].get("key_alias") == "forbidden"
    ] == []


def test_each_key_is_sent_with_its_own_events_alone_and_is_in_no_file(proxy: Proxy) -> None:
    projects = [event["metadata"]["project"] for event in proxy.collector.events]
    expected = {name: projects.count({"lab": "lab"}.get(name, f"{name}-team")) for name in HONEYHIVE_KEYS}
    sent = {
        name: sum(request.events for request in proxy.collector.requests if request.has_key(key))
        for name, key in HONEYHIVE_KEYS.items()
    }
    assert sent == expected
    assert sent["gateway"] == 0
    written = b"".join(path.read_bytes() for path in Path(proxy.log).parent.rglob("*") if path.is_file())
    assert not [key for key in HONEYHIVE_KEYS.values() if key.encode() in written]
