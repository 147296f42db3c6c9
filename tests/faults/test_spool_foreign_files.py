"""What somebody else puts into the spool folder stops nothing, gets no prompt, and is not written through."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._spool import dead_letters, sql
from honeyhive_litellm._spool.private_files import effective_folder, make_private_folder
from honeyhive_litellm._spool.process_state import read_state
from honeyhive_litellm._spool.record import START, Record
from honeyhive_litellm._spool.salvage import salvage
from honeyhive_litellm._spool.segment import Segment
from honeyhive_litellm._spool.status import status_of
from honeyhive_litellm._stats import Counters

from ..rig import event as event_to_send
from ..rig import running
from ..spools import drained, event, spool_in, start

pytestmark = pytest.mark.skipif(os.name == "nt", reason="owners and modes of POSIX")


async def left_by_a_dead_process(folder: Path, records: List[Record], owner: str = "dead") -> Path:
    make_private_folder(folder)
    segment = Segment(folder / f"{owner}-000001.spool", "process")
    await segment.create()
    await segment.append(records)
    await segment.close()
    return folder / f"{owner}-000001.spool"


def change(path: Path, *statements: str) -> None:
    db = sqlite3.connect(str(path))
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def seconds() -> Callable[[], float]:
    began = time.monotonic()
    return lambda: time.monotonic() - began


# ---- one bad record or file does not stop the others


@pytest.mark.parametrize("body", [b"[1]", b"no JSON", b"", b"null", b'{"metadata": 7'])
async def test_a_start_record_that_cannot_be_read_is_counted_and_the_others_are_reported(
    tmp_path: Path, body: bytes
) -> None:
    bad = Record(START, "bad", 1.0, None, body)
    await left_by_a_dead_process(tmp_path, [start("a"), bad, event("b"), start("c")])
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    await spool.adopt()
    assert sorted(await drained(spool, counters)) == ["a", "b", "c"]
    assert counters.snapshot().dropped == {"damaged": 1}
    assert counters.snapshot().pending == 0
    await spool.close()


DAMAGES = {
    "a huge number": "UPDATE record SET seq = 9000000000000000000 WHERE id = 'e3'",
    "the highest number": "UPDATE record SET seq = 9223372036854775807 WHERE id = 'e3'",
    "a time that is no number": "UPDATE record SET started_ms = 'yesterday' WHERE id = 'e3'",
    "a body that is a text": "UPDATE record SET body = 'text' WHERE id = 'e3'",
    "a checksum that is no number": "UPDATE record SET crc = 'x' WHERE id = 'e3'",
    "a range that is none": "INSERT INTO span VALUES (1, 'x', 2, 1, 0, 0, 0)",
    "ranges that overlap": "INSERT INTO span VALUES (1, 3, 2, 3, 0, 0, 0), (2, 9000000000000000000, 1, 1, 0, 0, 0)",
    "an impossible number of events": "INSERT INTO seal VALUES (1, 9000000000000000000)",
    "a number of events that is a text": "INSERT INTO seal VALUES (1, 'many')",
    "more events than there are": "INSERT INTO seal VALUES (1, 5)",
    "a missing table": "DROP TABLE span",
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_values_that_no_version_writes_cost_at_most_their_record_and_no_time(tmp_path: Path, damage: str) -> None:
    events = [event(f"e{number}") for number in range(4)]
    path = await left_by_a_dead_process(tmp_path, [*events, start("open")])
    change(path, DAMAGES[damage])
    await left_by_a_dead_process(tmp_path, [event("other")], "the-next")
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    passed = seconds()
    ids: List[str] = []
    for _ in range(4):
        await spool.adopt()
        ids += await drained(spool, counters)
    assert passed() < 10
    assert len(ids) == len(set(ids))
    ranges_lie = damage == "ranges that overlap"  # they say that events are settled
    expected = {"other"} if ranges_lie else {"e0", "e1", "e2", "other"}
    assert expected <= set(ids)
    assert counters.snapshot().pending == 0
    assert [segment.pending for segment in spool.segments()] in ([], [0])  # the new one for what was salvaged
    await spool.close()


def test_salvage_of_a_number_that_no_segment_has_is_quick(tmp_path: Path) -> None:
    path = tmp_path / "dead-000001.spool"
    db = sqlite3.connect(str(path))
    db.executescript(sql.CREATE_SEGMENT)
    for seq in (1, 2, 9 * 10**18):
        db.execute(sql.APPEND, (seq, 1, f"e{seq}", 1.0, None, 0, b""))
    db.commit()
    db.close()
    passed = seconds()
    assert {record.id for record in salvage(path, []).records} == {"e1", "e2", f"e{9 * 10**18}"}
    assert passed() < 5


@pytest.fixture
def surrounded(tmp_path: Path) -> Iterator[Path]:
    """A folder with everything that is no regular file, under names of ours."""
    folder = tmp_path / "spool"
    folder.mkdir(0o700)
    for suffix in (".state", ".lease", "-000001.spool", "-000001.spool-wal", ".state.new"):
        os.mkfifo(folder / f"pipe{suffix}")
        (folder / f"folder{suffix}").mkdir()
        (folder / f"link{suffix}").symlink_to(tmp_path / "elsewhere")
        (folder / f"device{suffix}").symlink_to("/dev/zero")
    yield folder


async def test_what_is_no_regular_file_is_left_alone_and_delays_nothing(surrounded: Path, tmp_path: Path) -> None:
    await left_by_a_dead_process(surrounded, [event("a")])
    os.mkfifo(surrounded / "dead.state")
    counters = Counters()
    spool = spool_in(surrounded, counters)
    passed = seconds()
    assert await spool.adopt() == 1
    assert spool.scan_complete
    assert await drained(spool, counters) == ["a"]
    for kind in ("pipe", "folder", "link", "device"):
        assert read_state(surrounded, kind) is None
    await spool.append([event("b")])
    assert await drained(spool, counters) == ["b"]
    await spool.close()
    assert (await status_of(surrounded)).pending == 0
    assert passed() < 10
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["ledger.db", "dead.db", "quarantine"])
async def test_a_pipe_in_the_place_of_a_file_of_the_folder_delays_nothing(tmp_path: Path, name: str) -> None:
    await left_by_a_dead_process(tmp_path, [event("a")])
    (tmp_path / "broken-000001.spool").write_bytes(b"no database" * 1000)
    os.mkfifo(tmp_path / name)
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    passed = seconds()
    await spool.adopt()
    assert await drained(spool, counters) == ["a"]
    batch_event = event("refused")
    await spool.append([batch_event])
    batch = await spool.next_batch()
    assert batch is not None
    assert await spool.add_dead_letter(batch, 400, "no") is (name != "dead.db")
    await spool.close()
    assert not (tmp_path / "broken-000001.spool").exists()  # else it would be read again for ever
    assert passed() < 10


async def test_thousands_of_foreign_files_do_not_delay_an_event(tmp_path: Path, collector: Any) -> None:
    make_private_folder(tmp_path)
    for number in range(3000):
        (tmp_path / f"x{number}.state").write_bytes(b"foreign")
        (tmp_path / f"y{number}.lease").write_bytes(b"foreign")
        (tmp_path / f"z{number}-000001.spool").write_bytes(b"foreign")
    old = time.time() - 100
    for file in tmp_path.iterdir():
        os.utime(file, (old, old))
    async with running(tmp_path, collector.url) as rig:
        passed = seconds()
        await rig.take([event_to_send(1)])
        await rig.until(lambda: rig.stats.delivered == 1)
        assert passed() < 5
        passed = seconds()
        await rig.spool.adopt()
        assert passed() < 5
        assert not rig.spool.scan_complete


# ---- files and folders of others


def planted_link(path: Path, target: Path) -> None:
    target.write_bytes(b"")
    target.chmod(0o600)
    path.symlink_to(target)


def planted_hard_link(path: Path, target: Path) -> None:
    target.write_bytes(b"")
    target.chmod(0o600)
    os.link(target, path)


def open_to_all(path: Path, _target: Path) -> None:
    path.write_bytes(b"")
    path.chmod(0o666)


PLANTS = [planted_link, planted_hard_link, open_to_all]


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("name", ["dead.db", "ledger.db", "dead.db-journal", "dead.db-wal"])
async def test_a_planted_database_gets_nothing_and_the_event_stays(
    tmp_path: Path, plant: Callable[[Path, Path], None], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder, target = tmp_path / "spool", tmp_path / "target"
    make_private_folder(folder)
    plant(folder / name, target)
    counters = Counters()
    spool = spool_in(folder, counters)
    await spool.append([event("a prompt")])
    batch = await spool.next_batch()
    assert batch is not None
    assert await spool.add_dead_letter(batch, 400, "no") is name.startswith("ledger")
    await spool.close()
    planted = target if target.exists() else folder / name
    assert planted.read_bytes() == b""
    assert str(folder / name) in caplog.text
    assert "HONEYHIVE_SPOOL_PATH" in caplog.text
    with pytest.raises(SpoolError, match=r"is a symbolic link|hard link|everybody"):
        dead_letters.purge(folder, ["a prompt"])


async def test_a_planted_name_of_a_state_file_is_replaced_and_its_target_stays(tmp_path: Path, collector: Any) -> None:
    folder, target = tmp_path / "spool", tmp_path / "precious"
    target.write_text("precious")
    async with running(folder, collector.url) as rig:
        await rig.take([event_to_send(1)])
        await rig.settled()
        (folder / f"{rig.spool.owner}.state.new").symlink_to(target)
        await rig.pipeline.heartbeat.publish(rig.stats)
        assert read_state(folder, rig.spool.owner) is not None
    assert target.read_text() == "precious"


async def test_a_planted_segment_or_lease_is_not_opened_and_events_are_kept_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, target = tmp_path / "spool", tmp_path / "target"
    make_private_folder(folder)
    counters = Counters()
    spool = spool_in(folder, counters)
    planted_link(folder / f"{spool.owner}.lease", target)
    await spool.append([event("a")])
    assert target.read_bytes() == b""
    assert "is a symbolic link" in caplog.text
    assert await drained(spool) == ["a"]
    await spool.close()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077, 0o277, 0o777])
async def test_whatever_the_umask_folders_are_0700_and_files_0600(tmp_path: Path, mask: int) -> None:
    folder = tmp_path / "new" / "parents" / "spool"
    before = os.umask(mask)
    try:
        spool = spool_in(folder)
        await spool.append([event("a")])
    finally:
        os.umask(before)
    assert {mode_of(path) for path in (folder, folder.parent, folder.parent.parent)} == {0o700}
    assert {mode_of(path) for path in folder.iterdir()} == {0o600}
    await spool.close()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o2777, 0o757])
async def test_in_a_folder_that_everybody_may_write_to_the_spool_has_one_of_its_own(tmp_path: Path, mode: int) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(mode)
    counters = Counters()
    spool = spool_in(volume, counters)
    await spool.append([event("a")])
    own = volume / f"honeyhive-litellm-{os.geteuid()}"
    assert [path.name for path in volume.iterdir()] == [own.name]
    assert mode_of(own) & 0o777 == 0o700
    await spool.close()
    assert (await status_of(volume)).pending == 1
    following = spool_in(volume, counters)
    assert await following.adopt() == 1
    assert await drained(following) == ["a"]
    await following.close()


async def test_a_folder_that_is_planted_in_the_place_of_our_own_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    volume, elsewhere = tmp_path / "volume", tmp_path / "elsewhere"
    volume.mkdir()
    volume.chmod(0o777)
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    (volume / f"honeyhive-litellm-{os.geteuid()}").symlink_to(elsewhere)
    spool = spool_in(volume)
    await spool.append([event("a")])
    assert list(elsewhere.iterdir()) == []
    assert "everybody may write to" in caplog.text
    assert await drained(spool) == ["a"]
    await spool.close()


async def test_what_kubernetes_does_to_the_modes_of_a_volume_at_each_mount_is_undone(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    path = await left_by_a_dead_process(folder, [event("a")])
    path.chmod(0o660)
    folder.chmod(0o2770)
    assert effective_folder(folder) == folder
    counters = Counters()
    spool = spool_in(folder, counters)
    assert await spool.adopt() == 1
    assert mode_of(path) == 0o600
    assert not mode_of(folder) & 0o022
    assert await drained(spool) == ["a"]
    await spool.close()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can make a file another user's")
class TestOtherUsers:
    OTHER = 65534

    async def test_their_folder_is_not_used(self, tmp_path: Path) -> None:
        theirs = tmp_path / "theirs"
        theirs.mkdir(0o700)
        os.chown(theirs, self.OTHER, -1)
        spool = spool_in(theirs)
        await spool.append([event("a")])
        assert [path.name for path in theirs.iterdir()] == ["honeyhive-litellm-0"]
        await spool.close()

    async def test_their_files_are_neither_read_nor_written(self, tmp_path: Path) -> None:
        path = await left_by_a_dead_process(tmp_path, [event("a")])
        os.chown(path, self.OTHER, -1)
        os.chown(await left_by_a_dead_process(tmp_path, [event("b")], "second"), 0, -1)
        spool = spool_in(tmp_path)
        await spool.adopt()
        assert await drained(spool) == ["b"]
        await spool.close()

    @pytest.mark.parametrize("is_link", [True, False])
    async def test_what_they_planted_on_the_way_to_the_spool_is_not_followed(
        self, tmp_path: Path, is_link: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        common, planted = tmp_path / "tmp", tmp_path / "tmp" / "honeyhive-litellm-0"
        common.mkdir()
        common.chmod(0o1777)
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        if is_link:
            planted.symlink_to(elsewhere)
        else:
            planted.mkdir(0o777)
        os.chown(planted, self.OTHER, -1, follow_symlinks=False)
        spool = spool_in(planted / "project")
        await spool.append([event("a")])
        assert "in the way to the spool" in caplog.text
        assert not list((planted / "project").glob("*"))
        assert await drained(spool) == ["a"]
        await spool.close()
