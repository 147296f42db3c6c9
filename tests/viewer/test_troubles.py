"""The pages when something is wrong: a database that is slow or broken, a spool that cannot be read, odd requests."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, Iterator, List

import httpx
import pytest
from markdown_it import MarkdownIt

from honeyhive_litellm._errors import ConfigError
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm.collector._index import Index
from honeyhive_litellm.collector._refusals import Refusals
from honeyhive_litellm.collector._store import Store
from honeyhive_litellm.collector.spool_view import SpoolView
from honeyhive_litellm.collector.viewer import app, live, numbers, pages
from honeyhive_litellm.collector.viewer.live import Live
from honeyhive_litellm.collector.viewer.markdown import markdown
from honeyhive_litellm.collector.viewer.numbers import NumberPages
from honeyhive_litellm.collector.viewer.pages import Ask, Pages
from honeyhive_litellm.collector.viewer.security import Doorkeeper
from honeyhive_litellm.testing import Collector

from ..waiting import until
from .conftest import client, post

SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000)"
"""Takes many times as long as a page of these tests may."""

SLOW_FACETS = (
    "ALTER TABLE facets RENAME TO put_away",
    f"CREATE VIEW facets AS {SLOW} SELECT i AS events, 'status' AS field, '' AS value FROM n",
)
SLOW_PROGRESS = (
    "ALTER TABLE progress RENAME TO put_away",
    f"CREATE VIEW progress AS {SLOW} SELECT name, value + 0 * (SELECT max(i) FROM n) AS value FROM put_away",
)
QUICK_PROGRESS = ("DROP VIEW progress", "ALTER TABLE put_away RENAME TO progress")
TIMEOUT_S = 0.01


def event(question: str, **fields: Any) -> Dict[str, Any]:
    return {
        "event_id": str(uuid.uuid4()),
        "event_type": "model",
        "inputs": {"chat_history": [{"role": "user", "content": question}]},
        **fields,
    }


@pytest.fixture()
def kept(tmp_path: Path) -> Iterator[Collector]:
    """A collector with a database that others can open, too."""
    with Collector(db=tmp_path / "local.db", pages=True) as running:
        yield running


@pytest.fixture()
def short_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pages, numbers, live):
        monkeypatch.setattr(module, "READ_TIMEOUT_S", TIMEOUT_S)


def change(tmp_path: Path, *statements: str) -> None:
    """Change the collector's database behind its back, at once: it reads meanwhile."""
    with closing(sqlite3.connect(tmp_path / "local.db", timeout=10, isolation_level=None)) as connection:
        connection.execute("PRAGMA legacy_alter_table = 1")  # views and triggers keep the old name
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement)
        connection.execute("COMMIT")


# A slow or broken database


def test_a_page_that_fails_says_where_the_reason_is(
    tmp_path: Path, kept: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(client(kept)) as connected:
        change(tmp_path, "DROP TABLE receipts")
        answer = connected.get("/delivery")
        assert connected.get("/help").status_code == 200
    assert answer.status_code == 500
    assert "The log of the server says why." in answer.text and "receipts" not in answer.text
    (logged,) = [record for record in caplog.records if record.getMessage() == "the page /delivery failed"]
    assert vars(logged)["event_code"] == LogCode.COLLECTOR_PAGE_FAILED.code
    assert "no such table: receipts" in caplog.text


@pytest.mark.usefixtures("short_of_time")
def test_a_page_whose_query_takes_too_long_says_so(tmp_path: Path, kept: Collector) -> None:
    post(kept, event("hello"))
    with closing(client(kept)) as connected:
        assert connected.get("/delivery").status_code == 200
        change(tmp_path, *SLOW_FACETS)
        answer = connected.get("/delivery")
    assert answer.status_code == 503
    assert "Took too long" in answer.text


@pytest.mark.usefixtures("short_of_time")
def test_a_slow_database_holds_the_live_list_up_and_loses_it_nothing(tmp_path: Path, kept: Collector) -> None:
    with closing(client(kept)) as connected:
        change(tmp_path, *SLOW_PROGRESS)
        answer = connected.get("/live?since=now", timeout=5)
        assert (answer.status_code, "Took too long" in answer.text) == (503, True)
        with connected.stream("GET", "/live?as=rows") as stream:
            lines = stream.iter_lines()
            assert next(lines) == "retry: 2000"
            change(tmp_path, *QUICK_PROGRESS)
            post(kept, event("at last"))
            assert any("at last" in line for line in lines)


# The live list


def test_a_live_list_without_news_is_kept_awake(kept: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.02)
    with closing(client(kept)) as connected, connected.stream("GET", "/live") as stream:
        lines = stream.iter_lines()
        assert any(line == ": still here" for line in lines)
        post(kept, event("news"))
        assert any("news" in line for line in lines)


def test_news_after_the_end_of_the_loop_are_nobodys() -> None:
    store, loop = Store(), asyncio.new_event_loop()
    ended = Live(store.database, Index(store.database), loop)
    loop.close()
    ended.announce()
    assert not ended.is_full
    store.close()


# Pages of little, and pages before the index


def test_the_numbers_of_an_empty_database_are_no_charts(collector: Collector) -> None:
    with closing(client(collector)) as connected:
        answer = connected.get("/overview")
    assert answer.status_code == 200
    assert "No calls in this time." in answer.text and "<figure>" not in answer.text


@pytest.mark.parametrize(
    "trouble", [ConfigError("the folder is gone"), PermissionError("the folder is not yours"), None]
)
def test_a_spool_that_cannot_be_read_costs_the_page_its_part_only(trouble: Any) -> None:
    def read_spool() -> SpoolView:
        if trouble is not None:
            raise trouble
        return SpoolView("/var/spool/shop", 2048, accepted=9, delivered=7, pending=2, dead=0, adds_up=True)

    store = Store()
    Index(store.database)
    body = NumberPages(store.database, Refusals(), read_spool, 1.0).delivery(Ask()).body
    assert "Received here" in body
    assert ("/var/spool/shop" in body and "add up" in body) if trouble is None else str(trouble) in body
    store.close()


def test_a_page_summarizes_what_has_just_arrived() -> None:
    store = Store()
    found = Pages(store.database, Index(store.database), "http://127.0.0.1:1", "hh_key")
    store.add([{"session_id": "s", **event("the first question")}], 1.0)
    assert "the first question" in found.events(Ask()).body
    assert found.catch_up() in (0, 1)  # the search is behind, where there is one
    store.close()


def test_the_page_of_a_session_as_an_event_leads_to_the_session(collector: Collector) -> None:
    id_ = str(uuid.uuid4())
    body = {"session": {"session_id": id_, "session_name": "first hive", "project": "shop", "source": "test"}}
    headers = {"Authorization": "Bearer k"}
    assert httpx.post(f"{collector.url}/session/start", json=body, headers=headers, trust_env=False).is_success
    with closing(client(collector)) as connected:
        answer = connected.get(f"/events/{id_}")
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/sessions/{id_}")


# Downloads and forms


def test_a_trace_is_downloaded_with_its_contents_or_as_a_list(collector: Collector) -> None:
    trace_id = str(uuid.uuid4())
    events: List[Dict[str, Any]] = [
        event(text, metadata={"trace_id": trace_id}, start_time=float(at)) for at, text in enumerate(("one", "two"), 1)
    ]
    post(collector, *events)
    with closing(client(collector)) as connected:
        until(lambda: connected.get(f"/traces/{trace_id}.json").status_code == 200)
        found = connected.get(f"/traces/{trace_id}.json").json()
        listed = connected.get(f"/traces/{trace_id}.md")
        assert [connected.get(f"/traces/none.{form}").status_code for form in ("json", "md")] == [404, 404]
    assert found["id"] == trace_id
    assert [one["event_id"] for one in found["events"]] == [one["event_id"] for one in events]
    assert found["events"][1]["inputs"] == events[1]["inputs"]
    assert listed.headers["Content-Type"] == "text/markdown; charset=utf-8"
    head, _, *lines = listed.text.splitlines()
    assert head == f"# Trace {trace_id}" and len(lines) == 2


def test_a_form_that_is_too_long_is_not_read(collector: Collector) -> None:
    post(collector, event("kept"))
    with closing(client(collector)) as connected:
        answer = connected.post("/clear", data={"proof": "x" * (app._LONGEST_FORM + 1)})
    assert answer.status_code == 413
    assert len(collector.events) == 1


# Texts


def test_a_heading_of_a_text_is_none_of_the_page() -> None:
    assert str(markdown("# Hello <b>")).strip() == '<p class="heading h1">Hello &lt;b&gt;</p>'


def test_a_text_that_the_parser_fails_on_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(parser: MarkdownIt, text: str) -> str:
        raise IndexError(text)

    monkeypatch.setattr(MarkdownIt, "render", fail)
    assert str(markdown("**a** <b>")) == "<pre class='plain'>**a** &lt;b&gt;</pre>"


def test_the_doorkeeper_does_not_show_what_opens_the_pages() -> None:
    doorkeeper = Doorkeeper()
    assert doorkeeper.token
    assert repr(doorkeeper) == "Doorkeeper()"
