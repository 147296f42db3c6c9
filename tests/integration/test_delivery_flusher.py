from __future__ import annotations

import json
import time
import uuid
from pathlib import Path

import pytest

from honeyhive_litellm._delivery import flusher
from honeyhive_litellm._delivery.backoff import BackOff
from honeyhive_litellm._delivery.circuit_breaker import WORKERS
from honeyhive_litellm._delivery.sinks import honeyhive
from honeyhive_litellm._spool.dead_letters import letters
from honeyhive_litellm._spool.limits import Limits
from honeyhive_litellm._spool.record import EVENT, Record
from honeyhive_litellm._spool.spool import Spool
from honeyhive_litellm._stats import Counters
from honeyhive_litellm.testing import Collector

from ..rig import event, running


def assert_once(collector: Collector, events: int) -> None:
    assert len(collector.events) == events
    assert set(collector.receipts.values()) == {1}


async def test_events_go_out_in_batches_and_the_spool_is_empty_afterwards(tmp_path: Path) -> None:
    with Collector() as collector:
        async with running(tmp_path, collector.url) as rig:
            await rig.take([event(i) for i in range(250)])
            await rig.settled()
        assert_once(collector, 250)
        posts = [r for r in collector.requests if r.path == "/v1/events/batch"]
        assert len(posts) == 3
        assert rig.counters.snapshot().delivered == 250
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.db"]


async def test_what_full_batches_leave_over_makes_up_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flusher, "LINGER_S", 3600)
    with Collector() as collector:
        async with running(tmp_path, collector.url) as rig:
            rig.flusher.set_urgent(False)
            await rig.take([event(i) for i in range(103)])
            for i in range(103, 199):  # some come while the first batch is being sent, which counts no more
                await rig.take([event(i)])
            await rig.until(lambda: rig.stats.delivered == 100)
            await rig.take([event(199)])
            await rig.until(lambda: rig.stats.delivered == 200)
        assert_once(collector, 200)
        assert [r.path for r in collector.requests] == ["/v1/events/batch"] * 2


async def test_a_session_is_created_once_and_before_its_events(tmp_path: Path) -> None:
    session = f"{uuid.uuid4()} chat 42"
    with Collector() as collector:
        async with running(tmp_path, collector.url) as rig:
            await rig.take([event(1, session), event(2, session), event(3)])
            await rig.settled()
            await rig.take([event(4, session)])
            await rig.settled()
        assert [r.path for r in collector.requests] == [
            "/v1/sessions",
            "/v1/events/batch",
            "/v1/events/batch",
        ]
        (made,) = [s for s in collector.sessions if s["session_id"] == session.partition(" ")[0]]
        assert (made["event_name"], made["source"]) == ("chat 42", "production")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
async def test_a_server_in_trouble_is_tried_again_until_it_takes_them_once(tmp_path: Path, status: int) -> None:
    with Collector() as collector:
        collector.fail(status, times=3)
        async with running(tmp_path, collector.url) as rig:
            await rig.take([event(i) for i in range(10)])
            await rig.settled()
        assert_once(collector, 10)


async def test_what_was_stored_although_the_answer_was_lost_is_not_sent_again(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.drop(after=True, times=1, path="/v1/events/batch")
        async with running(tmp_path, collector.url) as rig:
            await rig.take([event(i) for i in range(10)])
            await rig.settled()
        assert_once(collector, 10)
        assert sum(1 for r in collector.requests if r.method == "GET") == 10


async def test_a_partly_stored_batch_is_completed_without_duplicates(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.fail_partly(keep=4, times=1)
        async with running(tmp_path, collector.url) as rig:
            await rig.take([event(i) for i in range(10)])
            await rig.settled()
        assert_once(collector, 10)


async def test_a_failed_calls_event_is_found_again_although_it_says_that_there_was_no_success(tmp_path: Path) -> None:
    id_ = str(uuid.uuid4())
    body = {"event_id": id_, "event_type": "model", "inputs": {}, "metadata": {"success": False}}
    with Collector() as collector:
        collector.drop(after=True, times=1, path="/v1/events/batch")
        async with running(tmp_path, collector.url) as rig:
            await rig.take([Record(EVENT, id_, 1.0, None, json.dumps(body).encode())])
            await rig.settled()
        assert_once(collector, 1)


async def test_an_ingestion_key_cannot_look_up_and_sends_again(tmp_path: Path) -> None:
    key = "hh_ingst_" + "a" * 24 + "_" + "b" * 64
    with Collector() as collector:
        collector.drop(after=True, times=1, path="/v1/events/batch")
        async with running(tmp_path, collector.url, api_key=key) as rig:
            await rig.take([event(1)])
            await rig.settled()
        assert [r.method for r in collector.requests] == ["POST", "POST"]
        assert list(collector.receipts.values()) == [2]


async def test_one_bad_event_among_many_becomes_the_only_dead_letter(tmp_path: Path) -> None:
    poison = event(37)
    with Collector() as collector:
        collector.poison(poison.id)
        async with running(tmp_path, collector.url) as rig:
            await rig.take([event(i) for i in range(100)])
            await rig.settled()
        assert_once(collector, 99)
        stats = rig.counters.snapshot()
        assert (stats.delivered, stats.dead) == (99, 1)
    (letter,) = letters(tmp_path)
    assert (letter.id, letter.status) == (poison.id, 400)


async def test_an_event_that_the_server_always_fails_on_stops_nobody_and_dies_in_the_end(tmp_path: Path) -> None:
    poison = event(3)
    with Collector() as collector:
        collector.poison(poison.id, status=500)
        async with running(tmp_path, collector.url) as rig:
            await rig.take([event(i) for i in range(10)])
            await rig.until(lambda: rig.counters.snapshot().delivered == 9)
            await rig.take([event(i) for i in range(10, 300)])
            made = await rig.feed_until(lambda: rig.stats.dead == 1, 300)  # only other deliveries prove it
        assert_once(collector, 299 + made)
    (letter,) = letters(tmp_path)
    assert (letter.id, letter.status) == (poison.id, 500)


async def test_too_large_a_request_is_halved_until_it_passes(tmp_path: Path) -> None:
    with Collector(max_body_bytes=2000) as collector:
        async with running(tmp_path, collector.url) as rig:
            await rig.take([event(i) for i in range(60)])
            await rig.settled()
        assert_once(collector, 60)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_refused_key_pauses_delivery_keeps_all_and_says_what_to_do(
    tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with Collector() as collector:
        collector.fail(status)
        async with running(tmp_path, collector.url) as rig:
            await rig.take([event(i) for i in range(10)])
            await rig.until(lambda: f"{collector.url} answers HTTP {status}" in str(rig.stats.last_error))
            await rig.until(lambda: "HONEYHIVE_API_KEY" in caplog.text)
            assert rig.counters.snapshot().pending == 10
            collector.clear()
            await rig.settled()
            assert rig.counters.last_error is None
        assert_once(collector, 10)
    (line, over) = [r.getMessage() for r in caplog.records if r.name == "honeyhive_litellm"]
    assert "HONEYHIVE_API_KEY" in line and "HONEYHIVE_API_URL" in line and "hh_key" not in line
    assert "takes events again" in over


async def test_a_server_with_the_deprecated_routes_alone_is_served_through_them(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.fail(404, path="/v1/")
        async with running(tmp_path, collector.url) as rig:
            await rig.take([event(1, f"{uuid.uuid4()} s"), event(2)])
            await rig.settled()
            await rig.take([event(3)])
            await rig.settled()
        assert_once(collector, 3)
        assert [r.path for r in collector.requests] == [
            "/v1/sessions",
            "/session/start",
            "/events/batch",
            "/events/batch",
        ]


async def test_a_killed_senders_batch_is_looked_up_by_its_adopter(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.hang(after=True, path="/v1/events/batch")
        async with running(tmp_path, collector.url, request_timeout=30) as rig:
            await rig.take([event(i) for i in range(10)])
            await rig.until(lambda: len(collector.events) == 10)
        collector.clear()
        async with running(tmp_path, collector.url) as adopter:
            await adopter.settled()
            assert adopter.counters.snapshot().delivered == 10
        assert_once(collector, 10)


async def test_a_batch_that_certainly_was_not_sent_is_not_looked_up_after_a_restart(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.down()
        pause = BackOff(first_s=3600, longest_s=3600)  # or the end may come in the midst of the next attempt
        async with running(tmp_path, collector.url, back_off=pause) as rig:
            await rig.take([event(i) for i in range(10)])
            await rig.until(lambda: rig.counters.last_error is not None)
        collector.up()
        async with running(tmp_path, collector.url, lookup_delay=3600) as adopter:
            await adopter.settled()
        assert_once(collector, 10)
        assert [r.method for r in collector.requests] == ["POST"]


async def test_a_batch_that_is_sent_again_is_marked_again_so_that_an_adopter_does_not_look_too_early(
    tmp_path: Path,
) -> None:
    with Collector() as collector:
        collector.drop(times=1, path="/v1/events/batch")
        collector.hang(after=True, path="/v1/events/batch")
        began = time.time()
        async with running(tmp_path, collector.url, request_timeout=30, lookup_delay=0.5) as rig:
            await rig.take([event(1)])
            await rig.until(lambda: len(collector.events) == 1)
        adopter = Spool(tmp_path, Counters(), durability="process", limits=Limits())
        await adopter.adopt()
        batch = await adopter.next_batch()
        assert batch is not None
        assert batch.ambiguous_since is not None
        assert batch.ambiguous_since >= began + 0.5  # when it was sent the second time
        await adopter.close()


# What each bounded memory costs when it is full


async def test_the_sessions_that_had_events_last_are_remembered_and_others_posted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(honeyhive, "MAX_SESSIONS", 2)
    busy, other, third = (f"{uuid.uuid4()} {name}" for name in ("busy", "other", "third"))
    with Collector() as collector:
        async with running(tmp_path, collector.url) as rig:
            for number, session in enumerate([busy, other, busy, third, busy, other, other]):
                await rig.take([with_users(event(number, session), f"user of {number}")])
                await rig.settled()
        posts = [r for r in collector.requests if r.path == "/v1/sessions"]
        assert len(posts) == 4  # `other` again, but only once
        sessions = {s["event_name"]: (s["start_time"], s["user_properties"]["user_id"]) for s in collector.sessions}
        assert sessions == {
            "busy": (1000.0, "user of 0"),
            "other": (1001.0, "user of 5"),  # what a second post changes
            "third": (1003.0, "user of 3"),
        }
        assert_once(collector, 7)


def with_users(record: Record, user: str) -> Record:
    body = json.loads(record.body)
    body["user_properties"] = {"user_id": user}
    return record._replace(started_ms=1000.0 + body["inputs"]["n"], body=json.dumps(body).encode())


async def test_with_too_many_bytes_in_hand_batches_stay_in_the_spool_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flusher, "HELD_BYTES", 1)
    with Collector() as collector:
        async with running(tmp_path, collector.url) as rig:
            collector.hang(times=1, path="/v1/events/batch")
            await rig.take([event(i) for i in range(500)])
            await rig.until(lambda: len(collector.requests) == 1)
            assert len(rig.flusher._senders) == 1
            collector.clear()
            await rig.settled()
        assert_once(collector, 500)


async def test_batches_of_tasks_that_somebody_else_ended_are_sent_again_by_the_same_process(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.hang(path="/v1/events/batch")
        async with running(tmp_path, collector.url, request_timeout=30) as rig:
            await rig.take([event(i) for i in range(200)])
            await rig.until(lambda: len(collector.requests) == 2)
            collector.clear()
            for task in list(rig.flusher._tasks):
                task.cancel()
            await rig.settled()
        assert_once(collector, 200)


async def test_events_that_the_server_always_fails_on_and_that_fill_the_memory_stop_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flusher, "HELD_BYTES", 20_000)
    with Collector() as collector:
        for number in range(6):
            collector.poison(event(number).id, status=500)
        async with running(tmp_path, collector.url) as rig:
            await rig.take([event(number, text="x" * 4000) for number in range(6)])
            await rig.until(lambda: len(rig.flusher._senders) == 6)  # each one alone
            await rig.until(lambda: not rig.flusher._has_room() or rig.flusher._breaker.failures > 20)
            made = await rig.feed_until(lambda: rig.stats.dead == 6, 100)
        assert_once(collector, made)
    assert len(letters(tmp_path)) == 6


async def test_no_more_batches_are_sent_side_by_side_than_there_are_workers(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.hang(path="/v1/events/batch")
        async with running(tmp_path, collector.url, request_timeout=30) as rig:
            await rig.take([event(i) for i in range(1000)])
            await rig.until(lambda: len(collector.requests) == WORKERS)
            assert len(rig.flusher._senders) == WORKERS
            collector.clear()
            await rig.settled()
        assert_once(collector, 1000)
