"""Dead letters that are sent again: what becomes of each one, whatever the server, the disk or another process does."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import pytest

from honeyhive_litellm import Settings
from honeyhive_litellm._delivery.redrive import LOCK_NAME, RedriveResult
from honeyhive_litellm._delivery.sinks.nats import MESSAGE_TOO_LARGE
from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher, cipher_of
from honeyhive_litellm._runtime.pipeline import redrive_letters
from honeyhive_litellm._spool import dead_letters
from honeyhive_litellm._spool.lease import Lease
from honeyhive_litellm._spool.limits import BATCH_BYTES
from honeyhive_litellm._spool.record import Record, Row
from honeyhive_litellm.testing import Collector

from ..rig import event
from ..support.broker import MAX_PAYLOAD, Broker

KEY = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="
BATCH = "/v1/events/batch"
SESSION = "0e8a3f52-5d0e-4f0a-8a54-0d6a2f6a3a11 chat"


def settings_for(folder: Path, url: str, **options: Any) -> Settings:
    chosen: Dict[str, Any] = {"project": "p", "lookup_delay": 0, "request_timeout": 2, "api_key": "hh_key", **options}
    return Settings(api_url=url, spool_path=folder, **chosen)


async def bury(
    folder: Path, records: Sequence[Record], status: Optional[int] = 400, cipher: Cipher = NO_CIPHER
) -> None:
    rows = [Row(1, record.id, record.started_ms, record.session, record.body) for record in records]
    await dead_letters.add(folder, rows, status, "no", cipher)


async def retried(folder: Path, url: str, **options: Any) -> RedriveResult:
    """Send all letters of the folder again."""
    settings = settings_for(folder, url, **options)
    cipher = cipher_of(settings.spool_key)
    return await redrive_letters(settings, dead_letters.letters(folder, cipher))


def left_in(folder: Path) -> List[str]:
    return sorted(letter.id for letter in dead_letters.letters(folder))


async def test_only_one_process_at_a_time_sends_letters_again(tmp_path: Path, collector: Collector) -> None:
    await bury(tmp_path, [event(1)])
    other = Lease.take(tmp_path / LOCK_NAME)
    assert other is not None
    with pytest.raises(SpoolError, match=r"another process sends the dead letters in .* again"):
        await retried(tmp_path, collector.url)
    assert collector.requests == []
    other.release(remove=True)
    assert (await retried(tmp_path, collector.url)).accepted == 1


async def test_letters_go_out_in_batches_until_the_server_takes_nothing(tmp_path: Path, collector: Collector) -> None:
    await bury(tmp_path, [event(i) for i in range(250)])
    collector.delay(0, times=1, path=BATCH)
    collector.fail(401, path=BATCH)
    result = await retried(tmp_path, collector.url)
    assert (result.accepted, result.refused) == (100, 0)
    assert result.failure is not None and result.failure.status == 401
    assert len(collector.requests) == 2  # the third batch was not tried
    assert len(left_in(tmp_path)) == 150
    collector.clear()
    assert (await retried(tmp_path, collector.url)).accepted == 150
    assert len(collector.events) == 250


async def test_letters_that_are_large_together_go_out_in_several_requests(tmp_path: Path, collector: Collector) -> None:
    size = BATCH_BYTES * 2 // 5
    await bury(tmp_path, [event(i, text="x" * size) for i in range(5)])
    assert (await retried(tmp_path, collector.url)).accepted == 5
    assert len(collector.requests) == 3


@pytest.mark.parametrize("project", ["p", "other"])
async def test_only_a_letter_of_another_project_is_left_alone(
    tmp_path: Path, collector: Collector, project: str
) -> None:
    records = [event(i) for i in range(3)]
    metadata = (b'{"project":"p"}', b'{"project":7}')
    for number, content in enumerate(metadata):
        body = records[number].body[:-1] + b',"metadata":' + content + b"}"
        records[number] = records[number]._replace(body=body)
    await bury(tmp_path, records)
    result = await retried(tmp_path, collector.url, project=project)
    others = int(project == "other")
    assert (result.accepted, result.other_project, result.failure) == (3 - others, others, None)
    assert left_in(tmp_path) == [records[0].id] * others


async def test_a_letter_that_is_no_json_is_sent_for_the_server_to_judge(tmp_path: Path, collector: Collector) -> None:
    await bury(tmp_path, [event(1)._replace(body=b'{"event_id":')])
    result = await retried(tmp_path, collector.url)
    assert (result.accepted, result.refused, result.failure) == (0, 1, None)
    (letter,) = dead_letters.letters(tmp_path)
    assert (letter.status, letter.retried_at) == (400, None)


async def test_letters_whose_key_is_missing_are_left_alone(tmp_path: Path, collector: Collector) -> None:
    await bury(tmp_path, [event(1)], cipher=cipher_of([KEY]))
    assert await retried(tmp_path, collector.url) == RedriveResult()
    assert collector.requests == []
    assert (await retried(tmp_path, collector.url, spool_key=[KEY])).accepted == 1


async def test_a_damaged_letter_is_not_tried_and_the_others_are(tmp_path: Path, collector: Collector) -> None:
    cipher = cipher_of([KEY])
    await bury(tmp_path, [event(1), event(2)], cipher=cipher)
    db = sqlite3.connect(str(tmp_path / "dead.db"))
    (body,) = db.execute("SELECT body FROM encrypted_letter WHERE id = ?", (event(1).id,)).fetchone()
    broken = body[:-1] + bytes([body[-1] ^ 1])
    db.execute("UPDATE encrypted_letter SET body = ? WHERE id = ?", (broken, event(1).id))
    db.commit()
    db.close()
    result = await retried(tmp_path, collector.url, spool_key=[KEY])
    assert (result.accepted, result.refused, result.failure) == (1, 0, None)
    assert [letter.id for letter in dead_letters.letters(tmp_path, cipher)] == [event(1).id]


async def test_a_letter_that_is_gone_by_now_stops_the_retry(tmp_path: Path, collector: Collector) -> None:
    await bury(tmp_path, [event(1), event(2)])
    letters = dead_letters.letters(tmp_path)
    dead_letters.purge(tmp_path, [event(2).id])
    with pytest.raises(SpoolError, match=f"the dead letter {event(2).id} has just been removed by another process"):
        await redrive_letters(settings_for(tmp_path, collector.url), letters)
    assert collector.requests == []
    assert left_in(tmp_path) == [event(1).id]
    assert not (tmp_path / LOCK_NAME).exists()


async def test_letters_that_cannot_be_looked_up_now_are_not_sent(tmp_path: Path, collector: Collector) -> None:
    await bury(tmp_path, [event(i) for i in range(3)], status=500)
    collector.fail(503, method="GET")
    result = await retried(tmp_path, collector.url)
    assert (result.accepted, result.refused) == (0, 0)
    assert result.failure is not None and result.failure.status == 503
    assert {request.method for request in collector.requests} == {"GET"}
    collector.clear()
    assert (await retried(tmp_path, collector.url)).accepted == 3
    assert set(collector.receipts.values()) == {1}


async def test_letters_whose_session_cannot_be_created_now_are_not_sent(tmp_path: Path, collector: Collector) -> None:
    await bury(tmp_path, [event(1, SESSION)])
    collector.fail(503, path="/v1/sessions")
    result = await retried(tmp_path, collector.url)
    assert result.failure is not None and result.failure.status == 503
    assert {request.path for request in collector.requests} == {"/v1/sessions"}
    (letter,) = dead_letters.letters(tmp_path)
    assert letter.retried_at is None  # so that the next retry need not look it up


@pytest.mark.parametrize("status", [400, 500])
async def test_a_server_that_fails_on_one_letter_gets_the_others(
    tmp_path: Path, collector: Collector, status: int
) -> None:
    await bury(tmp_path, [event(i) for i in range(5)])
    collector.poison(event(3).id, status)
    result = await retried(tmp_path, collector.url)
    assert (result.accepted, result.refused, result.failure) == (4, 1, None)
    (letter,) = dead_letters.letters(tmp_path)
    assert (letter.id, letter.status) == (event(3).id, status)
    assert set(collector.receipts.values()) == {1}


async def test_a_split_stops_at_the_half_that_the_server_does_not_take(tmp_path: Path, collector: Collector) -> None:
    await bury(tmp_path, [event(i) for i in range(4)])
    collector.fail(413, times=1, path=BATCH)
    collector.fail(429, path=BATCH)
    result = await retried(tmp_path, collector.url)
    assert result.failure is not None and result.failure.status == 429
    assert len(collector.requests) == 2
    assert len(left_in(tmp_path)) == 4


async def test_a_broker_keeps_what_it_took_of_a_batch_and_refuses_the_rest(tmp_path: Path) -> None:
    folder, spool = tmp_path / "broker", tmp_path / "spool"
    folder.mkdir()
    spool.mkdir()
    too_large = event(3, text="x" * MAX_PAYLOAD)
    with Broker(folder) as broker:
        await broker.add_stream("default")
        await bury(spool, [*(event(i) for i in range(3)), too_large], status=MESSAGE_TOO_LARGE)
        await bury(spool, [event(4)], status=503)  # the broker may have it: it is marked, since nobody can look it up
        result = await retried(spool, "http://127.0.0.1:9", broker=broker.address)
        assert (result.accepted, result.refused, result.failure) == (4, 1, None)
        stored = await broker.messages("HH_default")
    marks = {message.headers["Nats-Msg-Id"]: message.headers.get("HH-May-Be-Duplicate") for message in stored}
    assert sorted(marks) == [event(i).id for i in (0, 1, 2, 4)]
    assert [id_ for id_, mark in marks.items() if mark] == [event(4).id]
    (letter,) = dead_letters.letters(spool)
    assert (letter.id, letter.status) == (too_large.id, MESSAGE_TOO_LARGE)


async def test_a_retry_that_is_ended_in_mid_request_has_the_next_one_look_up(
    tmp_path: Path, collector: Collector
) -> None:
    await bury(tmp_path, [event(1)])
    collector.hang(after=True, path=BATCH)
    running = asyncio.ensure_future(retried(tmp_path, collector.url, request_timeout=30))
    await asyncio.get_running_loop().run_in_executor(None, collector.wait_for, 1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    (letter,) = dead_letters.letters(tmp_path)
    assert letter.retried_at is not None
    collector.clear()
    assert (await retried(tmp_path, collector.url)).accepted == 1
    assert set(collector.receipts.values()) == {1}
