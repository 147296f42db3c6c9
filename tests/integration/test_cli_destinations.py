"""The commands on a spool with destinations: they tell them apart, and deliver each with its own key."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
from click.testing import CliRunner, Result

from honeyhive_litellm._cli.folder_metrics import Exposition, FolderReader
from honeyhive_litellm._cli.main import main
from honeyhive_litellm._cli.spool_folder import folder_to_read, settings_of
from honeyhive_litellm._runtime.pipeline import spool_folder_of
from honeyhive_litellm.testing import Collector

from .test_cli_spool import bury, event, leave

KEYS = {"main": "hh_of_main_1234", "search": "hh_of_search_1234", "ads": "hh_of_ads_1234", "gone": "hh_of_gone_1234"}


class Site:
    """A spool with the main project's files and those of three destinations, of which `gone` is not in the settings."""

    def __init__(self, folder: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.servers = {name: stack.enter_context(Collector()) for name in KEYS}
        destinations = {
            name: {"project": name, "api_key": KEYS[name], "api_url": self.servers[name].url, "match": {"team": name}}
            for name in ("search", "ads")
        }
        monkeypatch.setenv("XDG_STATE_HOME", str(folder.parent))
        monkeypatch.setenv("HONEYHIVE_SPOOL_PATH", str(folder))
        monkeypatch.setenv("HONEYHIVE_API_KEY", KEYS["main"])
        monkeypatch.setenv("HONEYHIVE_PROJECT", "main")
        monkeypatch.setenv("HONEYHIVE_API_URL", self.servers["main"].url)
        monkeypatch.setenv("HONEYHIVE_LOOKUP_DELAY", "0")
        monkeypatch.setenv("HONEYHIVE_DESTINATIONS", json.dumps(destinations))
        leave(folder, [event(1)])
        leave(folder / "destinations" / "search", [event(2), event(3)])
        leave(folder / "destinations" / "ads", [event(4)])
        leave(folder / "destinations" / "gone", [event(5)])

    def delivered(self) -> Dict[str, int]:
        return {name: len(server.events) for name, server in self.servers.items()}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path / "spool", stack, monkeypatch)


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert not [key for key in KEYS.values() if key in result.output]
    return result


def printed(*arguments: str) -> Dict[str, Any]:
    found: Dict[str, Any] = json.loads(run(*arguments, "--json").stdout)
    return found


def test_status_tells_the_destinations_apart(site: Site) -> None:
    found = printed("status")
    pending = {name: each["pending"] for name, each in found["destinations"].items()}
    assert (found["pending"], pending) == (1, {"ads": 1, "gone": 1, "search": 2})
    assert printed("status", "--destination", "search")["pending"] == 2
    assert printed("status", "--destination", "default")["pending"] == 1
    text = run("status").stdout
    assert "Destinations" in text and "search" in text
    assert "5 events pending" in run("status", "--check").stdout
    refused = run("status", "--destination", "../spool")
    assert refused.exit_code == 2
    assert "there are ads, gone, search" in refused.output


def test_drain_delivers_each_with_its_key_and_names_those_without(site: Site) -> None:
    result = run("drain")
    assert result.exit_code == 3
    assert "the destination gone has files and is not in HONEYHIVE_DESTINATIONS" in result.output
    assert site.delivered() == {"main": 1, "search": 2, "ads": 1, "gone": 0}

    found = printed("drain", "--timeout", "20")
    assert (found["delivered"], found["without_settings"]) == (0, ["gone"])


def test_drain_delivers_one_destination_with_the_key_that_the_user_has(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("drain", "--destination", "search").exit_code == 0
    assert site.delivered() == {"main": 0, "search": 2, "ads": 0, "gone": 0}

    monkeypatch.setenv("HONEYHIVE_API_KEY", KEYS["gone"])
    result = run("drain", "--destination", "gone", "--project", "gone", "--api-url", site.servers["gone"].url)
    assert result.exit_code == 0, result.output
    assert site.delivered() == {"main": 0, "search": 2, "ads": 0, "gone": 1}


def test_an_outage_of_one_destination_keeps_drain_from_no_other(site: Site) -> None:
    site.servers["search"].down()
    found = printed("drain", "--timeout", "3")
    pending = {name: each["pending"] for name, each in found["destinations"].items()}
    assert pending == {"default": 0, "search": 2, "ads": 0}
    assert site.delivered() == {"main": 1, "search": 0, "ads": 1, "gone": 0}


def test_dead_letters_are_those_of_one_destination(site: Site) -> None:
    folder = site.folder / "destinations" / "ads"
    bury(folder, [event(6)])
    assert printed("dead", "list")["letters"] == []
    (letter,) = printed("dead", "list", "--destination", "ads")["letters"]
    assert letter["id"] == event(6).id
    assert run("dead", "retry", "--all", "--destination", "ads").exit_code == 0
    assert site.delivered()["ads"] == 1


def test_doctor_names_the_destination_that_has_trouble(site: Site) -> None:
    bury(site.folder / "destinations" / "ads", [event(6)])
    findings: List[Dict[str, Any]] = printed("doctor")["findings"]
    texts = {finding["check"]: finding["text"] for finding in findings if "estination" in finding["text"]}
    assert texts["spool.dead_letters"] == "Destination ads: 1 event refused for good"
    assert "destination gone" in texts["destinations.removed"]

    connected: List[Dict[str, Any]] = printed("doctor", "--connect")["findings"]
    may_write = [finding["text"] for finding in connected if finding["check"] == "server.key_writes"]
    assert may_write[1:] == [
        "Destination search: The key may write to project search",
        "Destination ads: The key may write to project ads",
    ]


def test_the_metrics_of_a_drain_have_a_label_for_the_destination(site: Site) -> None:
    pytest.importorskip("prometheus_client")

    def reader(folder: Path) -> FolderReader:
        return FolderReader(folder, 2**20, lambda: False)

    exposition = Exposition(reader(site.folder), {"search": reader(site.folder / "destinations" / "search")})
    text = exposition.text("")[0].decode()
    assert 'honeyhive_events_pending{destination="default"} 1.0' in text
    assert 'honeyhive_events_pending{destination="search"} 2.0' in text
    assert "\nhoneyhive_events_pending " not in text


def test_with_a_broker_a_command_is_about_the_folder_of_one_of_its_destinations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"BROKER": "nats://127.0.0.1:9", "BROKER_DESTINATION": "chat", "PROJECT": "p", "SPOOL_PATH": tmp_path}
    for name, value in variables.items():
        monkeypatch.setenv(f"HONEYHIVE_{name}", str(value))
    folders = {"default": tmp_path, "chat": tmp_path / "destinations/chat", "gone": tmp_path / "destinations/gone"}
    for name, folder in folders.items():
        bury(folder, [event(len(name))], 422)
    for chosen in ("default", "chat", "gone", None):
        settings = settings_of({"destination": chosen})
        assert settings.broker_destination == (chosen or "chat")
        assert spool_folder_of(settings) == folder_to_read({"destination": chosen}) == folders[chosen or "chat"]
    assert json.loads(run("dead", "purge", "--all", "--json").output)["purged"] == 1
    letters = {
        name: len(json.loads(run("dead", "list", "--json", "--destination", name).output)["letters"])
        for name in folders
    }
    assert letters == {"default": 1, "chat": 0, "gone": 1}
