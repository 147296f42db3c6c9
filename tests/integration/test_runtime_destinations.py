"""Calls of one process that go to several projects, each with a key and a spool folder of its own."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm._runtime import channels, lifecycle, maintenance
from honeyhive_litellm.testing import Collector

from ..waiting import until

MESSAGES = [{"role": "user", "content": "question for ada@example.com"}]
NAMES = ("search", "ads", "lab")


class Servers:
    """A collector for the main project and one for each destination."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.of = {name: stack.enter_context(Collector()) for name in ("default", *NAMES)}

    def destinations(self) -> Dict[str, Any]:
        rules: Dict[str, Dict[str, Any]] = {
            "search": {"match": {"team": "search"}},
            "ads": {"match": {"tag": "ads"}, "redact": ["email"], "sample_rate": "1"},
            "lab": {"match": {"model_group": "never"}, "selectable": True, "capture_message_content": False},
        }
        return {
            name: {"project": f"p-{name}", "api_key": f"hh_{name}", "api_url": self.of[name].url, **rule}
            for name, rule in rules.items()
        }

    def init(self, destinations: Optional[Dict[str, Any]], **options: Any) -> None:
        honeyhive_litellm.init(
            api_key="hh_main",
            project="main",
            api_url=self.of["default"].url,
            spool_path=self.folder,
            lookup_delay=0,
            destinations=destinations,
            **options,
        )

    def projects(self) -> Dict[str, List[str]]:
        """The project of each event, by the server that has it."""
        return {name: [event["metadata"]["project"] for event in server.events] for name, server in self.of.items()}


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(tmp_path / "spool", stack)
        honeyhive_litellm.shutdown(5)


def call(**metadata: Any) -> None:
    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="answer", metadata=metadata)


def test_each_call_goes_to_the_first_destination_that_matches_and_to_no_other(servers: Servers) -> None:
    servers.init(servers.destinations())
    call()
    call(user_api_key_team_alias="search", tags=["ads"])
    call(tags=["ads"])
    call(honeyhive_destination="lab")
    call(honeyhive_destination="search")  # which is not selectable
    assert honeyhive_litellm.flush(30) == 0

    assert servers.projects() == {
        "default": ["main", "main"],
        "search": ["p-search"],
        "ads": ["p-ads"],
        "lab": ["p-lab"],
    }
    (of_ads,), (of_lab,) = servers.of["ads"].events, servers.of["lab"].events
    assert "ada@example.com" not in str(of_ads)
    assert "question" in str(of_ads)
    assert "question" not in str(of_lab)
    stats = honeyhive_litellm.stats()
    assert (stats.delivered, stats.unrouted) == (5, 0)
    assert {name: numbers.delivered for name, numbers in stats.destinations.items()} == {
        "default": 2, "search": 1, "ads": 1, "lab": 1,
    }  # fmt: skip
    folders = [path.name for path in (servers.folder / "destinations").iterdir()]
    assert sorted(folders) == sorted(NAMES)


def test_without_a_default_a_call_that_matches_no_rule_is_counted_and_goes_nowhere(servers: Servers) -> None:
    servers.init(servers.destinations(), default_destination="none")
    call()
    call(tags=["other"])
    call(tags=["ads"])
    with pytest.raises(litellm.exceptions.RateLimitError):
        litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="litellm.RateLimitError")
    assert honeyhive_litellm.flush(30) == 0
    assert servers.projects() == {"default": [], "search": [], "ads": ["p-ads"], "lab": []}
    stats = honeyhive_litellm.stats()
    assert (stats.accepted, stats.unrouted, stats.in_flight) == (1, 3, 0)


def test_attempts_and_fallbacks_of_one_request_go_where_the_request_goes(servers: Servers) -> None:
    destinations = servers.destinations()
    destinations["lab"]["match"] = {"model_group": "second"}
    destinations["search"]["match"] = {"model_group": "first"}
    servers.init(destinations)
    fails = {"model": "openai/gpt-4o", "api_key": "k", "mock_response": "litellm.InternalServerError"}
    answers = {"model": "openai/gpt-4o", "api_key": "k", "mock_response": "answer"}
    router = litellm.Router(
        model_list=[
            {"model_name": "first", "litellm_params": fails},
            {"model_name": "second", "litellm_params": answers},
        ],
        fallbacks=[{"first": ["second"]}],
        num_retries=0,
    )
    router.completion("first", MESSAGES)
    assert honeyhive_litellm.flush(30) == 0
    assert servers.projects() == {"default": [], "search": ["p-search"] * 3, "ads": [], "lab": []}
    assert sorted(event["event_type"] for event in servers.of["search"].events) == ["chain", "model", "model"]


def test_init_again_with_other_destinations_loses_nothing_in_flight(servers: Servers) -> None:
    destinations = servers.destinations()
    servers.init(destinations)
    stream = litellm.completion(
        model="gpt-4o", messages=MESSAGES, mock_response="a b c", stream=True, metadata={"tags": ["ads"]}
    )
    next(stream)
    servers.of["search"].down()
    call(user_api_key_team_id="search")
    moved = {"moved": {**destinations["ads"], "project": "p-moved"}}
    servers.init(moved)
    call(tags=["ads"])
    assert list(stream)
    servers.of["search"].up()
    until(lambda: len(servers.of["ads"].events) == 2, what="both calls with the tag arrived")
    until(lambda: len(servers.of["search"].events) == 1, what="the call of the removed destination arrived")
    assert sorted(servers.projects()["ads"]) == ["p-ads", "p-moved"]


def removed_in(caplog: pytest.LogCaptureFixture) -> List[str]:
    codes = [(getattr(record, "event_code", ""), record.getMessage()) for record in caplog.records]
    return [message for code, message in codes if code == "runtime.destination_removed"]


def has_searched() -> bool:
    search = lifecycle._runtimes[-1].channels._search_for_removed
    return search is not None and search.done()


def test_a_removed_destination_of_which_all_is_delivered_is_not_named(
    servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    destinations = servers.destinations()
    servers.init(destinations)
    call(tags=["ads"])
    assert honeyhive_litellm.flush(30) == 0
    for left in ({"search": destinations["search"]}, None):
        servers.init(left)
        call()
        assert honeyhive_litellm.flush(30) == 0
        until(has_searched, what="the folders of removed destinations are searched")
    assert removed_in(caplog) == []
    assert honeyhive_litellm.stats().destinations["ads"].delivered == 1


def test_files_of_a_removed_destination_are_named_once_and_kept_until_it_is_back(
    servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    destinations = servers.destinations()
    servers.of["search"].down()
    servers.init(destinations)
    call(user_api_key_team_id="search")
    assert honeyhive_litellm.shutdown(1) == 1

    servers.of["search"].up()
    servers.init({"ads": destinations["ads"]})
    call(tags=["ads"])
    assert honeyhive_litellm.flush(30) == 0
    until(lambda: removed_in(caplog), what="the log names it")
    (message,) = removed_in(caplog)
    assert "settings: search. They are kept. Deliver them by" in message and str(servers.folder) in message
    assert servers.projects()["search"] == []
    honeyhive_litellm.shutdown(5)

    servers.init(destinations)
    call()
    assert honeyhive_litellm.flush(30) == 0
    assert servers.projects()["search"] == ["p-search"]


def test_an_idle_destination_holds_no_thread_and_no_file_and_opens_again(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "IDLE_S", 0.0)
    servers.init(servers.destinations())
    call()
    assert honeyhive_litellm.flush(30) == 0
    runtime = lifecycle._runtimes[-1]
    at_rest = threading.active_count()
    for delivered in (1, 2, 3):
        call(tags=["ads"])
        until(lambda: len(servers.of["ads"].events) == delivered, what=honeyhive_litellm.stats)  # noqa: B023
        until(lambda: runtime.channels.named["ads"].pipeline is None, what="its channel is closed")
    assert threading.active_count() <= at_rest
    assert [path.name for path in (servers.folder / "destinations" / "ads").iterdir()] == ["ledger.db"]
    assert honeyhive_litellm.stats().destinations["ads"].delivered == 3


def test_what_an_idle_destination_has_dropped_is_reported_once(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "IDLE_S", 0.0)
    monkeypatch.setattr(maintenance, "EVERY_S", 0.05)
    servers.init(servers.destinations())
    call(tags=["ads"])
    channel = lifecycle._runtimes[-1].channels.named["ads"]
    collector = servers.of["ads"]

    def reported() -> int:
        found = [e for e in collector.events if e["event_name"] == "honeyhive_litellm.dropped"]
        return sum(report["outputs"]["dropped"]["capacity"] for report in found)

    def opens_and_closes() -> None:
        before = len(collector.events)
        call(tags=["ads"])
        until(lambda: len(collector.events) > before, what=honeyhive_litellm.stats)
        until(lambda: channel.pipeline is None and not channel.has_queued, what="its channel is closed")

    for dropped, in_all in ((2, 2), (3, 5)):
        channel.counters.accept(dropped)  # as if a limit had dropped them
        channel.counters.drop("capacity", dropped)
        for _ in range(10):
            opens_and_closes()
            if reported() >= in_all:
                break
    opens_and_closes()
    assert reported() == 5


def test_among_many_open_destinations_an_idle_one_closes_soon(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "MANY_OPEN", 2)
    monkeypatch.setattr(channels, "IDLE_AMONG_MANY_S", 0.0)
    servers.init(servers.destinations())
    call()
    call(tags=["ads"])
    call(user_api_key_team_id="search")
    assert honeyhive_litellm.flush(30) == 0
    named = lifecycle._runtimes[-1].channels.named
    until(lambda: sum(channel.pipeline is not None for channel in named.values()) <= 1, what="one of them is closed")
    assert honeyhive_litellm.stats().delivered == 3
