"""The commands on a spool with destinations: they tell them apart, and deliver each with its own key."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import pytest

from honeyhive_litellm._cli.folder_metrics import Exposition, FolderReader
from honeyhive_litellm._cli.spool_folder import folder_to_read, settings_of
from honeyhive_litellm._config.paths import default_spool_path
from honeyhive_litellm._privacy.cipher import Cipher, key_of, new_key
from honeyhive_litellm._runtime.pipeline import spool_folder_of
from honeyhive_litellm._spool.record import START, Record
from honeyhive_litellm.testing import Collector
from tests.spools import spool_in
from tests.support.commands import Ran, run_command

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


def run(*arguments: str) -> Ran:
    result = run_command(*arguments)
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
    assert "the destination gone has undelivered events and is not in HONEYHIVE_DESTINATIONS" in result.output
    assert f"--destination gone --project PROJECT --spool-path {site.folder}" in result.output
    assert site.delivered() == {"main": 1, "search": 2, "ads": 1, "gone": 0}

    found = printed("drain", "--timeout", "20")
    assert (found["delivered"], found["without_settings"]) == (0, ["gone"])


def test_drain_delivers_one_destination_with_the_key_that_the_user_has(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("drain", "--destination", "search").exit_code == 0
    assert site.delivered() == {"main": 0, "search": 2, "ads": 0, "gone": 0}

    bury(site.folder / "destinations" / "gone", [event(6)])
    for command in (("drain",), ("drain", "--spool-path", str(site.folder)), ("dead", "retry", "--all")):
        refused = run(*command, "--destination", "gone")
        assert refused.exit_code == 2, command
        assert "the main project's key is not its key: use" in refused.output
        assert f"--destination gone --project PROJECT --spool-path {site.folder}" in refused.output
    assert site.delivered()["gone"] == 0

    monkeypatch.setenv("HONEYHIVE_API_KEY", KEYS["gone"])
    result = run("drain", "--destination", "gone", "--project", "gone", "--api-url", site.servers["gone"].url)
    assert result.exit_code == 0, result.output
    assert site.delivered() == {"main": 0, "search": 2, "ads": 0, "gone": 1}


def test_a_project_that_names_the_folder_is_the_main_one_and_not_that_of_a_removed_destination(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HONEYHIVE_SPOOL_PATH")
    folder = default_spool_path("main", os.environ, api_url=site.servers["main"].url)
    leave(folder / "destinations" / "gone", [event(7)])
    refused = run("drain", "--destination", "gone", "--project", "main")
    assert refused.exit_code == 2
    assert f"--project PROJECT --spool-path {folder}" in refused.output
    assert site.delivered()["main"] == 0


def test_a_removed_destination_of_which_nothing_is_left_is_no_trouble(site: Site) -> None:
    gone, running = site.folder / "destinations" / "gone", site.folder.parent / "running"
    shutil.rmtree(gone)

    async def deliver_and_be_killed() -> None:
        spool = spool_in(running)
        await spool.append([event(7)])
        batch = await spool.next_batch()
        assert batch is not None
        await spool.settle(batch)
        shutil.copytree(running, gone)
        await spool.close()

    asyncio.run(deliver_and_be_killed())
    assert list(gone.glob("*.spool"))
    assert run("drain").exit_code == 0
    assert "destinations.removed" not in [finding["check"] for finding in printed("doctor")["findings"]]

    bury(gone, [event(8)])
    assert run("drain").exit_code == 0  # which does not deliver dead letters
    (finding,) = [each for each in printed("doctor")["findings"] if each["check"] == "destinations.removed"]
    assert finding["text"].startswith("The spool has 1 dead letter of the destination gone")


def test_what_is_locked_shows_where_it_is_in_numbers_that_agree(site: Site) -> None:
    body = json.dumps({"event_id": event(9).id, "event_type": "model", "event_name": "e", "inputs": {}}).encode()

    async def leave_encrypted() -> None:
        spool = spool_in(site.folder / "destinations" / "ads", cipher=Cipher([key_of(new_key()) or b""]))
        await spool.append([event(7), event(8), Record(START, event(9).id, 1.0, None, body)])
        await spool.close()

    asyncio.run(leave_encrypted())
    text = run("status").stdout
    assert "The main project's events: the sum adds up" in text
    assert "  ads, locked: 2 events and 1 interrupted call encrypted with a missing key (id " in text
    assert "  locked" not in text
    assert "destination ads: 2 events and 1 interrupted call" in run("status", "--check").stdout
    assert printed("status")["destinations"]["ads"]["locked"] == 3

    drained = run("drain")
    assert drained.stdout == "delivered 4, dead letters 0, dropped 0, left 0, locked 3\n"
    assert "locked: 3 events of ads, with those of interrupted calls" in drained.stderr
    found = printed("drain")
    assert (found["locked"], found["destinations"]["ads"]["locked"]) == (3, 3)


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
    leave(folders["gone"], [event(20)])
    result = run("drain", "--timeout", "0.1")
    assert result.exit_code == 3
    assert "gone has undelivered events and this run publishes to chat: they are kept" in result.output
    assert "--destination gone\n" in result.output
    letters = {
        name: len(json.loads(run("dead", "list", "--json", "--destination", name).output)["letters"])
        for name in folders
    }
    assert letters == {"default": 1, "chat": 0, "gone": 1}


def test_with_a_broker_and_listed_destinations_a_purge_needs_to_know_which_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = json.dumps({"search": {"project": "s", "match": {"team": "s"}}})
    variables = {"BROKER": "nats://127.0.0.1:9", "BROKER_DESTINATION": "chat", "PROJECT": "p", "DESTINATIONS": listed}
    for name, value in {**variables, "SPOOL_PATH": str(tmp_path)}.items():
        monkeypatch.setenv(f"HONEYHIVE_{name}", value)
    folders = {"default": tmp_path / "destinations/chat", "search": tmp_path / "destinations/search"}
    for folder in (tmp_path, *folders.values()):
        bury(folder, [event(1)], 422)
    refused = run("dead", "purge", "--all")
    assert refused.exit_code == 2 and 'Give --destination "default" for chat' in " ".join(refused.output.split())
    for name, folder in folders.items():
        options: Dict[str, Optional[str]] = {"destination": name}
        assert spool_folder_of(settings_of(options)) == folder_to_read(options) == folder
        assert json.loads(run("dead", "purge", "--all", "--destination", name, "--json").output)["purged"] == 1
    assert len(json.loads(run("dead", "list", "--json").output)["letters"]) == 1
