"""An encrypted spool: what is on disk, whose key opens it, and what becomes of it without the key."""

from __future__ import annotations

import asyncio
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from typing import Iterator, List

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm._capture import tenure
from honeyhive_litellm._errors import DamagedBodyError, UnknownKeyError
from honeyhive_litellm._privacy.cipher import KEY_BYTES, NO_CIPHER, Cipher, id_of, new_key
from honeyhive_litellm._spool import dead_letters, limits, sql
from honeyhive_litellm._spool.late_writer import LateWriter
from honeyhive_litellm._spool.record import CLOSED, EVENT, START, Record, Row
from honeyhive_litellm._spool.status import status_of
from honeyhive_litellm._stats import Counters
from honeyhive_litellm.testing import Collector
from tests.spools import batches_of, dies, drained, event, spool_in, start
from tests.waiting import until

OLD_KEY, NEW_KEY = bytes(range(KEY_BYTES)), bytes(range(KEY_BYTES, 2 * KEY_BYTES))
OLD, NEW, BOTH = Cipher([OLD_KEY]), Cipher([NEW_KEY]), Cipher([NEW_KEY, OLD_KEY])
CANARY = "a canary sings in cell "
SESSION = "6f6d8f0e-0000-4000-8000-000000000001 a canary sings in cell s"


@pytest.fixture
def _shut_down() -> Iterator[None]:
    yield
    honeyhive_litellm.shutdown(5)


def secret(kind: int, name: str, size: int = 0) -> Record:
    body = f'{{"event_id":"{name}","inputs":{{"q":"{CANARY}{name}"}},"metadata":{{"status":"in_flight"}}}}'
    return Record(kind, name, 1.0, SESSION, body.encode() + b" " * size)


def content_of(folder: Path) -> bytes:
    """Every byte of every file."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(str(path))) as db, db:
        for statement in statements:
            db.execute(statement)


async def left(folder: Path, cipher: Cipher, records: List[Record]) -> Path:
    """What a killed process leaves: these records in one segment, with its write-ahead log."""
    spool = spool_in(folder, cipher=cipher)
    await spool.append(records)
    (segment,) = spool.segments()
    await dies(spool)
    return Path(str(segment.path))


async def adopted(folder: Path, cipher: Cipher) -> List[str]:
    """The ids that a process with these keys delivers."""
    counters = Counters()
    spool = spool_in(folder, counters, cipher)
    await spool.adopt()
    ids = await drained(spool, counters)
    await spool.close()
    return ids


# ---- what is on disk


async def test_no_byte_of_any_file_shows_content_or_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEGMENT_BYTES", 20_000)
    counters = Counters()
    spool = spool_in(tmp_path, counters, NEW)
    for number in range(40):
        await spool.append([secret(START, f"{number}"), secret(EVENT, f"{number}", 3000)])
        assert CANARY.encode() not in content_of(tmp_path), number
    await spool.append([secret(START, "open"), Record(CLOSED, "closed", 1.0, None, b"")])
    assert len(list(tmp_path.glob("*.spool"))) > 3
    for batch in (await batches_of(spool))[:2]:
        assert await spool.add_dead_letter(batch, 400, f"the server quotes: {CANARY}")
    assert CANARY.encode() not in content_of(tmp_path)
    (first, *_) = dead_letters.letters(tmp_path, NEW)
    dead_letters.refused_again(tmp_path, [first.id], 422, f"again: {CANARY}", NEW)
    await dies(spool)
    late = LateWriter(tmp_path, spool.owner, NEW)
    late.append(secret(EVENT, "late"))
    found = content_of(tmp_path)
    assert CANARY.encode() not in found and SESSION.encode() not in found
    assert b"late" in found and NEW_KEY not in found  # ids stay readable
    assert late._db is not None and late._lease is not None
    late._db.close()
    late._lease.release(remove=False)
    heir = spool_in(tmp_path, counters, NEW)
    await heir.adopt()
    batches = await batches_of(heir)
    rows = [row for batch in batches for row in batch.rows]
    assert {row.id for row in rows} | {le.id for le in dead_letters.letters(tmp_path)} == {
        *map(str, range(40)),
        "open",
        "late",
    }
    assert {row.session for row in rows} == {SESSION}
    assert all(f"{CANARY}{row.id}".encode() in row.body for row in rows)
    assert CANARY.encode() not in content_of(tmp_path)
    await heir.close()


async def test_without_a_key_everything_is_as_it_was(tmp_path: Path) -> None:
    path = await left(tmp_path, NO_CIPHER, [start("a"), event("b")])
    with closing(sqlite3.connect(str(path))) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (sql.FORMAT,)
        assert {name for (name,) in db.execute("SELECT name FROM sqlite_master")} == {"record", "span", "seal"}
        assert db.execute("SELECT body FROM record WHERE id = 'b'").fetchone() == (event("b").body,)


async def test_files_from_before_encryption_are_still_delivered(tmp_path: Path) -> None:
    await left(tmp_path, NO_CIPHER, [start("a"), event("b")])
    await dead_letters.add(tmp_path, (), None, "")
    assert sorted(await adopted(tmp_path, NEW)) == ["a", "b"]


async def test_an_interrupted_append_is_found_by_its_content(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, cipher=NEW)
    await spool.append([secret(EVENT, "a"), secret(EVENT, "b")])
    assert await spool.has_appended([secret(EVENT, "b")])
    assert not await spool.has_appended([secret(EVENT, "a")])
    assert not await spool.has_appended([secret(EVENT, "b", 1)])
    await spool.close()


# ---- whose key


@pytest.mark.parametrize("cipher", [NO_CIPHER, OLD], ids=["no key", "another key"])
async def test_files_whose_key_is_missing_are_left_alone_counted_and_logged_once(
    tmp_path: Path, cipher: Cipher, caplog: pytest.LogCaptureFixture
) -> None:
    await left(tmp_path, NEW, [secret(START, "a"), secret(EVENT, "b"), secret(EVENT, "c")])
    await left(tmp_path, NO_CIPHER, [event("plain")])
    counters = Counters()
    spool = spool_in(tmp_path, counters, cipher, max_bytes=2**16, max_age_s=0.001)
    before = {path.name for path in tmp_path.glob("*.spool")}
    assert await spool.adopt() == 1
    assert await drained(spool, counters) == ["plain"]
    await spool.adopt()
    await spool.maintain()
    stats = counters.snapshot()
    assert (stats.locked, stats.accepted, stats.pending, stats.dropped) == (3, 1, 0, {})
    assert [record.__dict__["event_code"] for record in caplog.records] == ["spool.files_locked"]
    assert "3 events" in caplog.text and f"(id {id_of(NEW_KEY).hex()})" in caplog.text
    left_alone = before & {path.name for path in tmp_path.glob("*.spool")}
    assert len(left_alone) == 1
    await spool.close()
    status = await status_of(tmp_path, cipher)
    assert (status.locked, status.pending, status.adds_up) == (3, 2, True)
    assert (await status_of(tmp_path, BOTH)).locked == 0
    assert sorted(await adopted(tmp_path, BOTH)) == ["a", "b", "c"]
    assert not list(tmp_path.glob("*.spool"))


async def test_rotation_needs_no_stop_and_encrypts_nothing_again(tmp_path: Path) -> None:
    before, after = Counters(), Counters()
    old = spool_in(tmp_path, before, OLD)
    await old.append([secret(EVENT, "old 1")])
    rotated = spool_in(tmp_path, after, BOTH)  # while the process with the old key alone goes on
    await rotated.append([secret(EVENT, "new 1")])
    await old.append([secret(EVENT, "old 2"), secret(START, "old 3")])
    await dies(rotated)
    await old.adopt()
    assert before.locked == 1
    assert await drained(old, before) == ["old 1", "old 2"]
    await dies(old)
    assert sorted(await adopted(tmp_path, BOTH)) == ["new 1", "old 3"]


@pytest.mark.usefixtures("_shut_down")
def test_init_with_a_new_key_in_front_rotates_a_running_process(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenure, "GRACE_S", 0.2)
    old, new = new_key(), new_key()
    options = {"api_key": "hh_key", "project": "p", "api_url": collector.url, "spool_path": tmp_path}
    collector.down()
    for number, keys in enumerate((old, [new, old])):
        honeyhive_litellm.init(spool_key=keys, **options)
        litellm.completion(
            model="gpt-4o", messages=[{"role": "user", "content": f"{CANARY}{number}"}], mock_response=f"{CANARY}too"
        )
        honeyhive_litellm.flush(0.1)
        until(lambda: len(list(tmp_path.glob("*.spool"))) > number, what=lambda: sorted(tmp_path.iterdir()))  # noqa: B023
        assert CANARY.encode() not in content_of(tmp_path)
    collector.up()
    collector.wait_for(2, 20)
    assert {event["inputs"]["chat_history"][0]["content"] for event in collector.events} == {f"{CANARY}0", f"{CANARY}1"}
    assert set(collector.receipts.values()) == {1}
    assert honeyhive_litellm.stats().locked == 0


async def test_an_interrupted_event_is_encrypted_with_the_newest_key_and_the_file_names_both(tmp_path: Path) -> None:
    path = await left(tmp_path, OLD, [secret(START, "a")])
    heir = spool_in(tmp_path, cipher=BOTH)
    await heir.adopt()
    await dies(heir)  # before it has delivered
    with closing(sqlite3.connect(str(path))) as db:
        assert {id_ for (id_,) in db.execute(sql.KEY_IDS)} == {id_of(OLD_KEY), id_of(NEW_KEY)}
    for cipher in (OLD, NEW):
        assert await adopted(tmp_path, cipher) == []
    assert CANARY.encode() not in content_of(tmp_path)
    assert await adopted(tmp_path, BOTH) == ["a"]


async def test_an_interrupted_event_of_a_plain_file_is_plain_so_that_older_versions_can_deliver_it(
    tmp_path: Path,
) -> None:
    await left(tmp_path, NO_CIPHER, [start("a")])
    heir = spool_in(tmp_path, cipher=NEW)
    await heir.adopt()
    await dies(heir)
    assert await adopted(tmp_path, NO_CIPHER) == ["a"]


async def test_an_older_version_leaves_encrypted_files_and_letters_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await left(tmp_path, NEW, [secret(EVENT, "a"), secret(START, "b")])
    writing = spool_in(tmp_path, cipher=NEW)
    await writing.append([secret(EVENT, "letter")])
    (batch,) = await batches_of(writing)
    assert await writing.add_dead_letter(batch, 400, "no")
    await writing.close()
    with monkeypatch.context() as older:
        older.setattr(sql, "ENCRYPTED_FORMAT", -1)
        older.setattr(sql, "LETTER_TABLES", ("letter",))
        assert await adopted(tmp_path, NO_CIPHER) == []
        assert "newer version" in caplog.text
        assert dead_letters.letters(tmp_path) == []
        change(tmp_path / "dead.db", "SELECT * FROM letter")  # which an older version does without looking
        assert dead_letters.purge(tmp_path, ["letter"]) == 0
        assert "format 257" in str((await status_of(tmp_path)).unreadable)
    assert sorted(await adopted(tmp_path, NEW)) == ["a", "b"]
    assert [letter.id for letter in dead_letters.letters(tmp_path, NEW)] == ["letter"]


# ---- damage


@pytest.mark.parametrize("kind", ["swapped", "moved", "changed", "cut"])
async def test_what_was_changed_behind_its_checksum_is_damage_and_the_others_are_delivered(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = await left(tmp_path, NEW, [secret(EVENT, name) for name in "abcd"])
    with closing(sqlite3.connect(str(path))) as db, db:
        stored = dict(db.execute("SELECT id, body FROM record"))
        if kind == "swapped":
            forged = {"b": stored["c"], "c": stored["b"]}
        elif kind == "moved":
            forged = {"b": stored["a"], "c": stored["a"]}
        elif kind == "changed":
            forged = {name: stored[name][:-1] + bytes([stored[name][-1] ^ 1]) for name in "bc"}
        else:
            forged = {name: stored[name][:40] for name in "bc"}
        for name, body in forged.items():
            db.execute("UPDATE record SET body = ?, crc = ? WHERE id = ?", (body, zlib.crc32(body), name))
    counters = Counters()
    spool = spool_in(tmp_path, counters, NEW)
    await spool.adopt()
    assert await drained(spool, counters) == ["a", "d"]
    stats = counters.snapshot()
    assert (stats.dropped, stats.pending, stats.locked) == ({"damaged": 2}, 0, 0)
    assert "2 events" in caplog.text and "damaged" in caplog.text
    await spool.close()


async def test_a_damaged_start_record_costs_its_call_alone(tmp_path: Path) -> None:
    path = await left(tmp_path, NEW, [secret(START, "a"), secret(START, "b")])
    change(path, "UPDATE record SET body = (SELECT body FROM record WHERE id = 'a') WHERE id = 'b'")
    assert await adopted(tmp_path, NEW) == ["a"]


@pytest.mark.parametrize("cipher", [NO_CIPHER, OLD], ids=["no key", "another key"])
async def test_a_damaged_file_is_salvaged_with_its_key_and_left_alone_without(tmp_path: Path, cipher: Cipher) -> None:
    path = await left(tmp_path, NEW, [secret(EVENT, f"{number}") for number in range(5)])
    change(path, "DROP TABLE cipher_key", "DELETE FROM record WHERE seq = 3")
    counters = Counters()
    without = spool_in(tmp_path, counters, cipher)
    assert await without.adopt() == 0
    assert (path.exists(), counters.locked, counters.snapshot().dropped) == (True, 4, {})
    assert not (tmp_path / "quarantine").exists()
    await without.close()
    counters = Counters()
    spool = spool_in(tmp_path, counters, NEW)
    await spool.adopt()
    assert sorted(await drained(spool, counters)) == ["0", "1", "3", "4"]
    assert counters.snapshot().dropped == {"damaged": 1}
    assert list((tmp_path / "quarantine").glob("*.spool"))
    await spool.close()
    assert CANARY.encode() not in content_of(tmp_path)


async def test_a_body_with_a_key_that_the_file_does_not_name_is_put_aside_and_not_removed(tmp_path: Path) -> None:
    path = await left(tmp_path, NEW, [secret(EVENT, "a"), secret(EVENT, "b")])
    foreign = OLD.seal("b", EVENT, b"{}")
    with closing(sqlite3.connect(str(path))) as db, db:
        db.execute("UPDATE record SET body = ?, crc = ? WHERE id = 'b'", (foreign, zlib.crc32(foreign)))
    counters = Counters()
    spool = spool_in(tmp_path, counters, NEW)
    await spool.adopt()
    assert await drained(spool, counters) == []  # what could be read is in another file now
    assert await drained(spool, counters) == ["a"]
    assert counters.snapshot().dropped == {"damaged": 1}
    (aside,) = (tmp_path / "quarantine").glob("*.spool")
    assert foreign in aside.read_bytes()
    await spool.close()


# ---- dead letters


def letters_in(folder: Path, cipher: Cipher) -> None:
    async def write() -> None:
        spool = spool_in(folder, cipher=cipher)
        await spool.append([secret(EVENT, "a"), secret(EVENT, "b")])
        (batch,) = await batches_of(spool)
        assert await spool.add_dead_letter(batch, 400, "the server's words")
        await spool.close()

    asyncio.run(write())


def test_a_dead_letter_is_read_with_its_key_and_locked_without(tmp_path: Path) -> None:
    letters_in(tmp_path, NEW)
    with_key = dead_letters.letters(tmp_path, BOTH)
    assert [(le.id, le.status, le.reason, le.is_locked) for le in with_key] == [
        ("a", 400, "the server's words", False),
        ("b", 400, "the server's words", False),
    ]
    row = dead_letters.row_of(tmp_path, "a", BOTH)
    assert row is not None
    assert (row.session, row.body) == (SESSION, secret(EVENT, "a").body)
    for cipher in (NO_CIPHER, OLD):
        assert [(le.id, le.reason, le.is_locked) for le in dead_letters.letters(tmp_path, cipher)] == [
            ("a", "", True),
            ("b", "", True),
        ]
        with pytest.raises(UnknownKeyError):
            dead_letters.body_of(tmp_path, "a", cipher)


def test_swapped_letters_are_damage(tmp_path: Path) -> None:
    letters_in(tmp_path, NEW)
    change(
        tmp_path / "dead.db",
        "UPDATE encrypted_letter SET id = 'c' WHERE id = 'a'",
        "UPDATE encrypted_letter SET id = 'a' WHERE id = 'b'",
        "UPDATE encrypted_letter SET id = 'b' WHERE id = 'c'",
    )
    assert {letter.reason for letter in dead_letters.letters(tmp_path, NEW)} == {"(damaged)"}
    with pytest.raises(DamagedBodyError):
        dead_letters.body_of(tmp_path, "a", NEW)


def test_plain_and_encrypted_letters_stand_side_by_side(tmp_path: Path) -> None:
    letters_in(tmp_path, NEW)
    plain = Row(1, "plain", 1.0, None, b"{}")
    asyncio.run(dead_letters.add(tmp_path, [plain], 400, "no"))
    assert [letter.id for letter in dead_letters.letters(tmp_path, NEW)] == ["a", "b", "plain"]
    dead_letters.mark(tmp_path, ["b", "plain"], 7.0)
    dead_letters.refused_again(tmp_path, ["b", "plain"], 422, "still no", NEW)
    found = [(le.id, le.status, le.reason, le.retried_at) for le in dead_letters.letters(tmp_path, NEW)]
    assert found[1:] == [("b", 422, "still no", None), ("plain", 422, "still no", None)]
    asyncio.run(dead_letters.add(tmp_path, [plain], 400, "no", NEW))  # its letter is replaced, whatever it was
    asyncio.run(dead_letters.add(tmp_path, [plain._replace(id="b")], 400, "no"))
    assert [letter.id for letter in dead_letters.letters(tmp_path, NEW)] == ["a", "plain", "b"]
    assert dead_letters.accepted(tmp_path, ["a"]) == 1
    assert dead_letters.purge(tmp_path, ["b", "plain"]) == 2
    assert dead_letters.letters(tmp_path, NEW) == []
