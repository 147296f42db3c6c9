"""Segments that are kept after all their events are settled, and the command that is about them."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Iterator, List, Optional

import pytest
from click.testing import CliRunner

import honeyhive_litellm
from honeyhive_litellm import ConfigError, Settings, SpoolError
from honeyhive_litellm._cli.main import main
from honeyhive_litellm._errors import NewerFormatError
from honeyhive_litellm._privacy.cipher import cipher_of, new_key
from honeyhive_litellm._spool.kept_segments import KeptFile, kept_in, offer_again, remove
from honeyhive_litellm._spool.limits import BATCH_EVENTS
from honeyhive_litellm._stats import Counters

from ..spools import batches_of, drained, event, spool_in, start
from ..waiting import until_on_loop

HOUR_S = 3600.0


async def settled(folder: Path, names: List[str], key: Optional[str] = None, keep_s: float = HOUR_S) -> None:
    """A process records these calls, delivers them, and ends."""
    spool = spool_in(folder, cipher=cipher_of((key,) if key else None), keep_s=keep_s)
    await spool.append([start(names[0]), *(event(name) for name in names)])
    assert await drained(spool) == names
    await spool.close()


def the_kept(folder: Path) -> KeptFile:
    (kept,) = kept_in(folder)
    return kept


async def test_a_settled_segment_is_kept_and_nobody_takes_it_for_undelivered(tmp_path: Path) -> None:
    await settled(tmp_path, ["a", "b"])
    kept = the_kept(tmp_path)
    assert kept.size == kept.path.stat().st_size > 0
    assert kept.since == pytest.approx(time.time(), abs=60)
    assert kept.path.stat().st_mode & 0o777 == 0o600
    assert kept.path.parent.stat().st_mode & 0o777 == 0o700
    spool = spool_in(tmp_path)
    assert await spool.adopt() == 0
    await spool.close()
    assert the_kept(tmp_path).path == kept.path


async def test_without_the_option_nothing_is_kept(tmp_path: Path) -> None:
    await settled(tmp_path, ["a"], keep_s=0.0)
    assert kept_in(tmp_path) == []


@pytest.mark.parametrize("key", [None, new_key()], ids=["plain", "encrypted"])
async def test_what_is_offered_again_comes_whole_and_as_perhaps_stored(tmp_path: Path, key: Optional[str]) -> None:
    names = [f"e{number:03d}" for number in range(2 * BATCH_EVENTS + 50)]
    await settled(tmp_path, names, key)
    assert offer_again(tmp_path, the_kept(tmp_path)) == len(names)
    assert kept_in(tmp_path) == []

    counters = Counters()
    spool = spool_in(tmp_path, counters, cipher_of((key,) if key else None), keep_s=HOUR_S)
    assert await spool.adopt() == len(names)
    batches = await batches_of(spool)
    assert [len(batch.rows) for batch in batches] == [BATCH_EVENTS, BATCH_EVENTS, 50]
    assert all(batch.ambiguous_since is not None for batch in batches)
    assert [row.id for batch in batches for row in batch.rows] == names
    assert {json.loads(row.body)["event_id"] for batch in batches for row in batch.rows} == set(names)
    for batch in batches:
        counters.deliver(len(batch.rows))
        await spool.settle(batch)
    assert counters.snapshot().pending == 0
    await spool.close()
    assert the_kept(tmp_path).size > 0  # it is kept once more


async def test_the_call_that_began_in_an_earlier_segment_is_not_reported_as_interrupted(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, keep_s=HOUR_S)
    await spool.append([start("long"), event("short")])
    await spool.seal_active()
    assert await drained(spool) == ["short"]  # `long` goes on in the next segment
    offer_again(tmp_path, the_kept(tmp_path))
    other = spool_in(tmp_path)
    assert await other.adopt() == 1
    assert await drained(other) == ["short"]
    await other.close()
    await spool.append([event("long")])
    assert await drained(spool) == ["long"]
    await spool.close()


async def test_what_was_kept_long_enough_is_removed_by_the_next_look(tmp_path: Path) -> None:
    await settled(tmp_path, ["a"])
    await settled(tmp_path, ["b"])
    old, young = kept_in(tmp_path)
    os.utime(old.path, (time.time() - HOUR_S - 60,) * 2)
    spool = spool_in(tmp_path, keep_s=HOUR_S)
    await spool.maintain()
    assert [kept.path for kept in kept_in(tmp_path)] == [young.path]
    await spool.close()


async def test_kept_segments_give_way_to_the_spools_own(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        await settled(tmp_path, [name])
    first, second, third = kept_in(tmp_path)
    spool = spool_in(tmp_path, keep_s=HOUR_S, max_bytes=second.size + third.size + 1)
    await spool.maintain()
    assert [kept.path for kept in kept_in(tmp_path)] == [second.path, third.path]
    assert not first.path.exists()
    await spool.close()


async def test_copies_give_way_before_an_undelivered_event_has_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(tmp_path).free
    await settled(tmp_path, ["a"])
    counters = Counters()
    spool = spool_in(tmp_path, counters, keep_s=HOUR_S, min_free_bytes=free, full_segment_bytes=50_000)
    taken = 0

    def usage(_folder: Path) -> shutil._ntuple_diskusage:
        return shutil._ntuple_diskusage(2 * free, free + taken, free - taken if kept_in(tmp_path) else free)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    await spool.maintain()
    assert len(kept_in(tmp_path)) == 1
    for number in range(20):
        taken += 10_000
        await spool.append([event(f"e{number}", 10_000)])
        await spool.maintain()
    assert kept_in(tmp_path) == []
    assert counters.snapshot().dropped == {}
    assert len(await drained(spool)) == 20
    await spool.close()


async def test_copies_give_way_when_a_write_fails(tmp_path: Path) -> None:
    await settled(tmp_path, ["a"])
    spool = spool_in(tmp_path, keep_s=HOUR_S)
    await spool.append([event("b")])
    assert len(kept_in(tmp_path)) == 1
    active = spool._held.active
    assert active is not None and active.connection is not None
    await active.connection.execute("PRAGMA max_page_count = 10")
    await spool.append([event("c", 200_000)])  # the file takes no more: it goes to a new one
    assert kept_in(tmp_path) == []
    assert await drained(spool) == ["b", "c"]
    await spool.close()


async def test_a_file_that_goes_while_the_folder_is_listed_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        await settled(tmp_path, [name])
    first, second = kept_in(tmp_path)

    @contextmanager
    def listed(folder: Path) -> Iterator[List[os.DirEntry[str]]]:
        with scandir(folder) as entries:
            found = list(entries)
        remove(first)  # as another process does
        yield found

    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", listed)
    assert kept_in(tmp_path) == [second]


async def test_what_a_kill_left_beside_a_kept_segment_goes_with_it(tmp_path: Path) -> None:
    await settled(tmp_path, ["a"])
    kept = the_kept(tmp_path)
    journal = kept.path.with_name(f"{kept.path.name}-wal")
    journal.write_bytes(b"pages")
    assert remove(kept)
    assert not journal.exists() and kept_in(tmp_path) == []


async def test_a_newer_versions_file_is_not_changed(tmp_path: Path) -> None:
    await settled(tmp_path, ["a"])
    kept = the_kept(tmp_path)
    with closing(sqlite3.connect(kept.path)) as db:
        db.execute("PRAGMA user_version = 9")
    before = kept.path.read_bytes()
    with pytest.raises(NewerFormatError, match="has format 9"):
        offer_again(tmp_path, kept)
    assert kept.path.read_bytes() == before


async def test_copies_of_an_idle_destination_are_removed_in_time(tmp_path: Path) -> None:
    match = {"match": {"team": "ads"}, "project": "ads"}
    folder = tmp_path / "destinations" / "ads"
    await settled(folder, ["a"])
    os.utime(the_kept(folder).path, (1.0, 1.0))
    honeyhive_litellm.init(
        project="p", broker="nats://127.0.0.1:9", broker_keep=60, spool_path=tmp_path, destinations={"ads": match}
    )
    honeyhive_litellm.flush(0)  # starts the thread
    await until_on_loop(lambda: not kept_in(folder))


async def test_a_file_that_is_no_segment_is_left_where_it_is(tmp_path: Path) -> None:
    await settled(tmp_path, ["a"])
    kept = the_kept(tmp_path)
    kept.path.write_bytes(b"no database" * 1000)
    with pytest.raises(SpoolError, match="cannot be offered again"):
        offer_again(tmp_path, kept)
    assert kept.path.exists()


async def test_a_folder_that_cannot_be_made_costs_the_copies_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file")
    await settled(tmp_path, ["a"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "ledger.db"]


def test_the_option_needs_a_disk(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"broker_keep \(HONEYHIVE_BROKER_KEEP\) keeps files, and .* is :memory:"):
        Settings.resolve({}, project="p", broker="nats://n", broker_keep=60, spool_path=":memory:")
    assert Settings.resolve({}, project="p", broker="nats://n", broker_keep="60", spool_path=tmp_path).broker_keep == 60


# The command


def run(*arguments: str, folder: Path, exit_code: int = 0) -> str:
    result = CliRunner().invoke(main, ["kept", *arguments, "--spool-path", str(folder)])
    assert result.exit_code == exit_code, result.output
    return result.output


async def test_the_command_lists_publishes_and_purges(tmp_path: Path) -> None:
    assert run("list", folder=tmp_path) == "nothing is kept\n"
    await settled(tmp_path, ["a", "b"])
    await settled(tmp_path, ["c"])
    old, young = kept_in(tmp_path)
    os.utime(old.path, (time.time() - 1800,) * 2)

    listed = run("list", folder=tmp_path)
    assert old.path.name in listed and "30 min" in listed
    as_json = json.loads(run("list", "--json", folder=tmp_path))
    assert [kept["file"] for kept in as_json["kept"]] == [old.path.name, young.path.name]

    run("publish", folder=tmp_path, exit_code=2)
    run("publish", "--all", "--newer-than", "5m", folder=tmp_path, exit_code=2)
    assert run("publish", "--newer-than", "5m", folder=tmp_path) == "1 events are in the spool again\n"
    assert json.loads(run("purge", "--all", "--json", folder=tmp_path))["files"] == 1
    assert kept_in(tmp_path) == []
    spool = spool_in(tmp_path)
    assert await spool.adopt() == 1
    assert await drained(spool) == ["c"]
    await spool.close()


async def test_a_damaged_file_does_not_keep_the_others_from_being_published(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        await settled(tmp_path, [name])
    damaged = kept_in(tmp_path)[1].path
    damaged.write_bytes(b"no database" * 1000)
    printed = run("publish", "--all", folder=tmp_path, exit_code=1)
    assert f"{damaged} cannot be offered again" in printed and "2 events are in the spool again" in printed
    assert the_kept(tmp_path).path == damaged


async def test_a_file_that_another_process_has_open_is_an_error_that_says_so(tmp_path: Path) -> None:
    await settled(tmp_path, ["a"])
    kept = the_kept(tmp_path)
    other = sqlite3.connect(kept.path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN IMMEDIATE")
    assert f"{kept.path} cannot be offered again" in run("publish", "--all", folder=tmp_path, exit_code=1)
    other.close()
    assert run("publish", "--all", folder=tmp_path) == "1 events are in the spool again\n"
