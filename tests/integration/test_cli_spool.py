"""`honeyhive-litellm status`, `drain` and `dead`, on real spools and a real server."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from pathlib import Path
from typing import Any, Dict, List, Optional

import litellm
import pytest
from click.testing import CliRunner, Result

import honeyhive_litellm
from honeyhive_litellm._cli import common
from honeyhive_litellm._cli.main import main
from honeyhive_litellm._config.paths import default_spool_path
from honeyhive_litellm._spool import dead_letters
from honeyhive_litellm._spool.layout import new_owner, segment_path
from honeyhive_litellm._spool.limits import Limits
from honeyhive_litellm._spool.record import EVENT, Record, Row
from honeyhive_litellm._spool.spool import Spool
from honeyhive_litellm._stats import Counters
from honeyhive_litellm.testing import Collector

from ..spools import count_missing
from ..waiting import until

KEY = "hh_key_of_the_test"


def event(number: int, session: Optional[str] = None) -> Record:
    id_ = str(uuid.UUID(int=number + 1))
    body: Dict[str, Any] = {"event_id": id_, "event_type": "model", "event_name": "e", "inputs": {"n": number}}
    if session is not None:
        body["session_id"] = session.partition(" ")[0]
    return Record(EVENT, id_, 1.0, session, json.dumps(body).encode())


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collector: Collector) -> Path:
    """A spool's folder, and an environment that names it."""
    for name in ("HH_API_KEY", "HH_API_URL", "HONEYHIVE_SPOOL_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))  # the machine's own spools are not to be listed
    monkeypatch.setenv("HONEYHIVE_API_KEY", KEY)
    monkeypatch.setenv("HONEYHIVE_PROJECT", "tests")
    monkeypatch.setenv("HONEYHIVE_API_URL", collector.url)
    monkeypatch.setenv("HONEYHIVE_LOOKUP_DELAY", "0")
    folder = tmp_path / "spool"
    folder.mkdir()
    monkeypatch.setenv("HONEYHIVE_SPOOL_PATH", str(folder))
    return folder


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert KEY not in result.output
    return result


def status() -> Dict[str, Any]:
    result = run("status", "--json")
    assert result.exit_code == 0, result.output
    found: Dict[str, Any] = json.loads(result.stdout)
    return found


def leave(folder: Path, records: List[Record]) -> None:
    """Leave `records` behind as a process does that ends while the server is down."""

    async def write() -> None:
        spool = Spool(folder, Counters(), durability="process", limits=Limits())
        await spool.append(records)
        await spool.close()

    asyncio.run(write())


def bury(folder: Path, records: List[Record], status: int = 400, reason: str = "[bold]missing[/bold]\ninputs") -> None:
    """Leave `records` as dead letters, in the numbers as well."""

    async def write() -> None:
        spool = Spool(folder, Counters(), durability="process", limits=Limits())
        await spool.append(records)
        batch = await spool.next_batch()
        assert batch is not None
        assert await spool.add_dead_letter(batch, status, reason)
        await spool.close()

    asyncio.run(write())


def test_status_shows_leftovers_and_drain_delivers_them(spool: Path, collector: Collector) -> None:
    leave(spool, [event(i) for i in range(3)])
    plain = run("status")
    assert plain.exit_code == 0
    for word in ("Left by processes that ended", "3", "adds up", str(spool)):
        assert word in plain.output
    found = status()
    assert (found["accepted"], found["pending"], found["leftovers"][0]["pending"]) == (3, 3, 3)
    drained = run("drain", "--spool-path", str(spool))
    assert (drained.exit_code, drained.output) == (0, "delivered 3, dead letters 0, dropped 0, left 0\n")
    assert len(collector.events) == 3
    assert (status()["delivered"], status()["leftovers"]) == (3, [])
    assert run("drain").output == "delivered 0, dead letters 0, dropped 0, left 0\n"


def test_a_drain_that_cannot_deliver_in_time_says_so_and_keeps_all(spool: Path, collector: Collector) -> None:
    leave(spool, [event(1)])
    collector.fail(503)
    result = run("drain", "--timeout", "1")
    assert result.exit_code == 3
    assert "1 events stay in" in result.output and "HTTP 503" in result.output
    collector.clear()
    assert run("drain").exit_code == 0
    assert set(collector.receipts.values()) == {1}


def test_dead_letters_are_listed_and_shown_with_status_reason_and_event(spool: Path) -> None:
    assert run("dead", "list").output == "no dead letters\n"
    bury(spool, [event(7)])
    id_ = event(7).id
    plain = run("dead", "list").output
    assert id_ in plain and "400" in plain and "[bold]missing[/bold] inputs" in plain
    (listed,) = json.loads(run("dead", "list", "--json").stdout)["letters"]
    assert (listed["id"], listed["status"], listed["reason"]) == (id_, 400, "[bold]missing[/bold]\ninputs")
    shown = run("dead", "show", id_)
    assert "status:  400" in shown.output and '"n": 7' in shown.output
    assert json.loads(run("dead", "show", id_, "--json").stdout)["event"]["inputs"] == {"n": 7}
    assert dead_letters.letters(spool)[0].size == len(event(7).body)


def test_a_retried_letter_that_is_accepted_is_gone_and_one_that_is_not_has_its_new_reason(
    spool: Path, collector: Collector
) -> None:
    session = f"{uuid.uuid4()} chat 42"
    bury(spool, [event(i, session) for i in range(5)])
    collector.poison(event(3).id, status=422)
    assert run("dead", "retry", event(0).id).output == "accepted 1, refused again 0, not tried 0\n"
    result = run("dead", "retry", "--all")
    assert (result.exit_code, result.output) == (3, "accepted 3, refused again 1, not tried 0\n")
    (left,) = dead_letters.letters(spool)
    assert (left.id, left.status, left.retried_at) == (event(3).id, 422, None)
    assert "scripted failure 422" in left.reason
    assert len(collector.events) == 4 and set(collector.receipts.values()) == {1}
    assert collector.orphans == []
    found = status()
    assert (found["accepted"], found["delivered"], found["dead"], found["dead_letters"]) == (5, 4, 1, 1)
    collector.clear()
    assert run("dead", "retry", event(3).id).exit_code == 0
    assert run("dead", "list").output == "no dead letters\n"
    assert status()["delivered"] == 5


@pytest.mark.parametrize("fault", ["a lost answer", "half a batch stored", "stored, and only the retry died"])
def test_a_letter_that_the_server_may_have_is_looked_up_before_it_is_sent_again(
    spool: Path, collector: Collector, fault: str
) -> None:
    bury(spool, [event(i) for i in range(4)])
    if fault == "a lost answer":
        collector.drop(after=True, times=1, path="/v1/events/batch")
        result = run("dead", "retry", "--all")
        assert result.exit_code == 3 and "not tried 4" in result.output
    elif fault == "half a batch stored":
        collector.fail_partly(keep=2, times=1)
    else:
        assert run("dead", "retry", "--all").exit_code == 0
        asyncio.run(dead_letters.add(spool, [Row(1, e.id, 1.0, None, e.body) for e in map(event, range(4))], 400, "no"))
        dead_letters.mark(spool, [event(i).id for i in range(4)], 1.0)
    assert run("dead", "retry", "--all").output == "accepted 4, refused again 0, not tried 0\n"
    assert len(collector.events) == 4
    assert set(collector.receipts.values()) == {1}


@pytest.mark.parametrize("status_code", [401, 429, 503])
def test_a_retry_stops_where_the_server_takes_nothing_and_says_what_to_do(
    spool: Path, collector: Collector, status_code: int
) -> None:
    bury(spool, [event(i) for i in range(3)])
    collector.fail(status_code, path="/v1/events/batch")
    result = run("dead", "retry", "--all")
    assert result.exit_code == 3
    assert f"HTTP {status_code}" in result.output and "The letters are kept" in result.output
    assert ("check HONEYHIVE_API_KEY" in result.output) is (status_code == 401)
    assert ("try again later" in result.output) is (status_code != 401)
    assert [letter.status for letter in dead_letters.letters(spool)] == [400, 400, 400]
    assert len(collector.wait_for_requests(1)) == 1


def test_purged_letters_are_gone_and_counted(spool: Path) -> None:
    bury(spool, [event(i) for i in range(3)])
    assert run("dead", "purge", event(1).id).output == "purged 1\n"
    assert run("dead", "purge", "--all").output == "purged 2\n"
    found = status()
    assert (found["accepted"], found["dead"], found["dropped"], found["dead_letters"]) == (3, 0, {"purged": 3}, 0)


def test_ids_may_be_shortened_where_that_is_clear_and_are_required(spool: Path) -> None:
    bury(spool, [event(0), event(254), event(255)])  # ...001, ...0ff, ...100
    for arguments, words in (
        (("dead", "purge", "0000"), "3 dead letters begin with '0000'"),
        (("dead", "purge", "ffff"), "there is no dead letter 'ffff'"),
        (("dead", "purge"), "give the IDs of letters, or --all"),
        (("dead", "retry", "--all", "x"), "give the IDs of letters, or --all"),
    ):
        result = run(*arguments)
        assert result.exit_code in (1, 2) and words in result.output
    assert run("dead", "purge", event(0).id[:-1] + "1").output == "purged 1\n"


def test_a_folder_that_is_not_there_is_an_error_that_lists_the_spools_there_are(
    spool: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    leave(spool, [event(1)])
    (tmp_path / "no spool").mkdir()
    for command in (("status",), ("drain",), ("dead", "purge", "--all")):
        missing = run(*command, "--spool-path", str(tmp_path / "spoool"))
        assert missing.exit_code == 1
        assert f"there is no spool in {tmp_path / 'spoool'}" in missing.output and "--spool-path" in missing.output
        assert str(spool) in missing.output.splitlines()[-1] and "no spool/" not in missing.output


def test_a_long_list_of_spools_is_cut(spool: Path, tmp_path: Path) -> None:
    for number in range(30):
        leave(tmp_path / f"other{number:02d}", [event(1)])
    missing = run("status", "--spool-path", str(tmp_path / "spoool"))
    assert missing.output.splitlines()[-1].strip() == "and 10 more"


def test_the_project_alone_finds_its_spool_whatever_address_it_was_made_for(
    spool: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HONEYHIVE_SPOOL_PATH")
    monkeypatch.delenv("HONEYHIVE_API_URL")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    local = default_spool_path("tests", os.environ, api_url="http://127.0.0.1:8787")
    leave(local, [event(1)])
    leave(default_spool_path("other", os.environ), [event(1)])
    assert status()["folder"] == str(local)
    assert run("dead", "list").exit_code == 0
    purged = run("dead", "purge", "--all")  # which changes something, and so guesses nothing
    assert purged.exit_code == 1 and str(local) in purged.output
    usual = default_spool_path("tests", os.environ)
    leave(usual, [event(1)])
    several = run("status")
    assert several.exit_code == 2 and str(local) in several.output and str(usual) in several.output
    assert run("status", "--api-url", "http://127.0.0.1:8787/").output.startswith(str(local))
    assert run("dead", "purge", "--all").output == "purged 0\n"


def test_wrong_usage_ends_with_2_and_says_what_to_give(
    spool: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HONEYHIVE_SPOOL_PATH")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    leave(default_spool_path("other", os.environ), [event(1)])
    assert run("drain", "--api-url", "no address").exit_code == 2
    monkeypatch.delenv("HONEYHIVE_PROJECT")
    nameless = run("status")
    assert nameless.exit_code == 2 and "HONEYHIVE_SPOOL_PATH" in nameless.output and "--project" in nameless.output
    assert str(default_spool_path("other", os.environ)) in nameless.output
    monkeypatch.delenv("HONEYHIVE_API_KEY")
    for command in (("drain",), ("dead", "retry", "--all")):
        keyless = run(*command, "--spool-path", str(spool))
        words = " ".join(keyless.output.split())
        assert keyless.exit_code == 2
        assert "set it in the environment variable HONEYHIVE_API_KEY" in words and "api_key=" not in words
        assert "there is no project: give --project or set HONEYHIVE_PROJECT" in words
        help_text = run(*command[:2], "--help").output
        assert "HONEYHIVE_API_KEY alone" in " ".join(help_text.split()) and "--api-key" not in help_text


def test_a_terminal_gets_tables_that_take_a_servers_words_as_they_are(
    spool: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    common.table("dead letters", ("id", "reason"), [("1", "[bold]no[/bold]"), ("2", None)])
    printed = capsys.readouterr().out
    assert "[bold]no[/bold]" in printed and printed.count("\n") == 4


def test_status_describes_living_processes_and_names_what_cannot_be_read(spool: Path, collector: Collector) -> None:
    collector.fail(503, times=1000)
    honeyhive_litellm.init()
    try:
        litellm.completion(model="gpt-4o", messages=[{"role": "user", "content": "hello"}], mock_response="hi")
        until(lambda: "last error: " in run("status").output, what=lambda: run("status").output)
        segment_path(spool, new_owner(), 1).write_bytes(b"no database, but as long as a page of one" * 100)
        found = run("status").output
        assert "Living processes, each with its numbers since it started" in found
        assert f"pid {os.getpid()}, delivers, as of" in found
        assert "accepted 1, delivered 0, pending 1, dead 0, dropped 0, in flight 0" in found
        assert "Cannot be read" in found
        checked = run("status", "--check", "--max-age", "0.001s")
        assert checked.exit_code == 3
        assert "1 file cannot be read" in checked.output and "the oldest event has waited for" in checked.output
    finally:
        honeyhive_litellm.shutdown(0)


def test_status_names_why_events_were_dropped_and_a_sum_that_is_wrong(spool: Path) -> None:
    bury(spool, [event(i) for i in range(3)])
    assert run("dead", "purge", "--all").exit_code == 0
    plain = run("status")
    assert (plain.exit_code, "  dropped: 3 purged\n" in plain.output, "adds up" in plain.output) == (0, True, True)
    asyncio.run(count_missing(spool, 1))
    wrong = run("status")
    assert (wrong.exit_code, "the sum DOES NOT ADD UP" in wrong.output) == (3, True)
    checked = run("status", "--check")
    assert checked.exit_code == 3
    assert checked.output == f"the numbers do not add up: 0 events pending in {spool}\n"
    assert json.loads(run("status", "--json").stdout)["ok"] is False


def test_a_loop_without_signal_handlers_drains_all_the_same(
    spool: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows."""
    leave(spool, [event(1)])
    loop = asyncio.new_event_loop()
    loop.close()
    if "add_signal_handler" in vars(type(loop)):
        monkeypatch.delattr(type(loop), "add_signal_handler")
    assert run("drain").output == "delivered 1, dead letters 0, dropped 0, left 0\n"
    assert len(collector.events) == 1
