"""Every way in which the network and the server misbehave, with real sockets: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import uuid
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, AsyncIterator, Awaitable, Callable, Dict, List, Tuple

import pytest

from honeyhive_litellm import Settings
from honeyhive_litellm._delivery.backoff import BackOff
from honeyhive_litellm._errors import ConfigError
from honeyhive_litellm._spool.dead_letters import DeadLetter, body_of, letters
from honeyhive_litellm._spool.record import Record
from honeyhive_litellm.testing import Collector

from ..rig import Rig, event, running
from ..waiting import until_on_loop

BATCH = "/v1/events/batch"
PAGE = "<!DOCTYPE html><html>Access denied</html>"


def some_events(count: int, first: int = 0) -> List[Record]:
    """Every third belongs to a session."""
    session = f"{uuid.UUID(int=2**64)} chat"
    return [event(i, session if i % 3 == 0 else None) for i in range(first, first + count)]


def assert_all_arrived(
    rig: Rig, collector: Collector, sent: int, *, dead: Tuple[str, ...] = (), duplicates: int = 0
) -> List[DeadLetter]:
    """The numbers of both sides, and the folder. The dead letters."""
    stats = rig.stats
    assert (stats.accepted, stats.delivered, stats.dead) == (sent, sent - len(dead), len(dead)), stats
    assert (stats.pending, stats.dropped) == (0, {})
    assert len(collector.events) == sent - len(dead)
    assert sum(collector.receipts.values()) == sent - len(dead) + duplicates
    buried = letters(rig.spool.folder)
    assert sorted(letter.id for letter in buried) == sorted(dead)
    return buried


@contextlib.asynccontextmanager
async def delivering(folder: Path, collector: Collector, count: int = 300, **options: Any) -> AsyncIterator[Rig]:
    """A rig at work on `count` events."""
    async with running(folder, collector.url, **options) as rig:
        await rig.take(some_events(count))
        yield rig


@contextlib.asynccontextmanager
async def listening(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], port: int = 0
) -> AsyncIterator[int]:
    """A server of bare sockets that gives every connection to `handler`; its port."""
    tasks: List[asyncio.Future[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())  # type: ignore[arg-type]
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handler(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# A server that fails for a while, then recovers


def fault(kind: str, **details: Any) -> Tuple[str, Dict[str, Any]]:
    """A method of the collector and its arguments."""
    return kind, details


FAULTS = {
    "dropped before it was read": [fault("drop", times=6)],
    "dropped after it was stored": [fault("drop", times=3, after=True, path=BATCH)],
    "dropped in the middle of the reply": [fault("half_reply", times=3, path=BATCH)],
    "hang before": [fault("hang", times=3, path=BATCH)],
    "hang after it was stored": [fault("hang", times=3, after=True, path=BATCH)],
    "reply that trickles": [fault("trickle", seconds=0.1, times=3, path=BATCH)],
    "session hangs": [fault("hang", times=2, path="/v1/sessions")],
    "session fails": [fault("fail", status=500, times=3, path="/v1/sessions")],
    "web page with 200": [fault("fail", status=200, body=PAGE, times=5)],
    "success that is none": [fault("fail", status=200, body={"success": False}, times=3, path=BATCH)],
    "moved": [fault("redirect", location="/elsewhere", times=5)],
    **{str(status): [fault("fail", status=status, times=6)] for status in (408, 425, 429, 500, 502, 503, 504)},
    **{
        f"{status} although it was stored": [fault("fail", status=status, times=3, after=True, path=BATCH)]
        for status in (500, 502, 504)
    },
    "partly stored": [fault("fail_partly", keep=37, times=4)],
    "stored in full, answered 500": [fault("fail_partly", keep=100, times=4)],
    "dropped, and the look-up fails too": [
        fault("drop", times=3, after=True, path=BATCH),
        fault("fail", status=503, times=9, method="GET"),
        fault("drop", times=3, method="GET"),
    ],
    "look-ups are rationed": [
        fault("drop", times=1, after=True, path=BATCH),
        *[
            line
            for _ in range(10)
            for line in (
                fault("delay", seconds=0, times=20, method="GET"),
                fault("fail", status=429, times=1, method="GET"),
            )
        ],
    ],
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_passing_fault_costs_and_doubles_nothing(tmp_path: Path, name: str) -> None:
    with Collector() as collector:
        for kind, details in FAULTS[name]:
            getattr(collector, kind)(**details)
        async with delivering(tmp_path, collector, request_timeout=0.4) as rig:
            await rig.settled()
            assert_all_arrived(rig, collector, 300)
            assert rig.stats.last_error is None
        assert len(collector.sessions) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.db"]


async def test_a_server_that_shows_events_late_gets_none_twice(tmp_path: Path) -> None:
    with Collector(visible_after_s=0.5) as collector:
        collector.drop(times=2, after=True, path=BATCH)
        collector.fail_partly(keep=50, times=1)
        async with delivering(tmp_path, collector, lookup_delay=1.5) as rig:
            await rig.settled()
            assert_all_arrived(rig, collector, 300)


async def test_while_a_lost_reply_waits_for_its_look_up_the_others_go_out(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.drop(times=5, after=True, path=BATCH)  # more than travel side by side
        async with delivering(tmp_path, collector, 1500, lookup_delay=5) as rig:
            await rig.until(lambda: rig.stats.delivered >= 1000)
            assert not any(r.method == "GET" for r in collector.requests)
            await rig.settled()
            assert_all_arrived(rig, collector, 1500)


@pytest.mark.parametrize("down", ["nothing listens at that address", "its name cannot be resolved"])
async def test_an_unreachable_server_gets_all_within_seconds_of_its_return(
    tmp_path: Path, down: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo
    resolvable: List[bool] = []

    def getaddrinfo(host: str, *rest: Any, **more: Any) -> Any:
        if not resolvable:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return look_up("127.0.0.1", *rest, **more)

    with Collector() as collector:
        url = collector.url
        if "name" in down:
            monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
            url = url.replace("127.0.0.1", "localhost")
        else:
            collector.down()
        # Without a shorter limit for this case, pauses of up to a minute.
        async with running(tmp_path, url, back_off=BackOff(first_s=64.0), lookup_delay=20) as rig:
            await rig.take(some_events(300))
            await rig.until(lambda: down in str(rig.stats.last_error))
            resolvable.append(True)
            collector.up()
            begun = time.monotonic()
            await rig.settled()
            assert time.monotonic() - begun < 5 + 10
            assert_all_arrived(rig, collector, 300)


async def test_a_server_that_fails_every_other_request_gets_all(tmp_path: Path) -> None:
    with Collector() as collector:
        for _ in range(20):
            for kind, details in (
                fault("drop", after=True),
                fault("fail", status=503),
                fault("fail_partly", keep=10),
                fault("drop"),
                fault("half_reply"),
                fault("fail", status=429),
            ):
                getattr(collector, kind)(times=1, **details)
                collector.delay(0, times=1)  # all is well
        async with running(tmp_path, collector.url) as rig:
            for first in range(0, 2000, 200):
                await rig.take(some_events(200, first))
                await rig.until(lambda first=first: rig.stats.delivered >= first)  # type: ignore[misc]
            await rig.settled()
            assert_all_arrived(rig, collector, 2000)


# Pauses


@pytest.mark.parametrize("form", ["seconds", "date", "date of a clock that is wrong"])
async def test_retry_after_is_honoured_and_nobody_else_asks_meanwhile(tmp_path: Path, form: str) -> None:
    clock = datetime.now(timezone.utc) - timedelta(hours=5 if "wrong" in form else 0)
    headers = {"Retry-After": "2"} if form == "seconds" else {}
    with Collector() as collector:
        if form != "seconds":
            now = clock.replace(microsecond=0)
            headers["Date"] = format_datetime(now, usegmt=True)
            headers["Retry-After"] = format_datetime(now + timedelta(seconds=2), usegmt=True)
        collector.fail(429, times=1, headers=headers)
        async with running(tmp_path, collector.url) as rig:
            begun = time.monotonic()
            await rig.take(some_events(1))
            await rig.until(lambda: "HTTP 429" in str(rig.stats.last_error))
            await rig.take(some_events(299, 1))
            rig.flusher.set_urgent(True)  # not even somebody who waits is let through
            await rig.until(lambda: len(collector.requests) > 1)
            assert 2 <= time.monotonic() - begun < 20
            await rig.settled()
            assert_all_arrived(rig, collector, 300)


async def test_a_success_that_comes_after_a_retry_after_does_not_cut_it_short(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.delay(0.5, times=1)
        collector.fail(429, times=1, headers={"Retry-After": "2"})
        async with running(tmp_path, collector.url) as rig:
            begun = time.monotonic()
            await rig.take([event(i) for i in range(200)])  # one batch is delayed, the other one refused
            await rig.until(lambda: rig.stats.delivered == 100)
            await rig.take([event(i) for i in range(200, 300)])
            await rig.until(lambda: len(collector.requests) > 2)
            assert time.monotonic() - begun >= 2
            await rig.settled()
            assert_all_arrived(rig, collector, 300)


async def test_somebody_who_waits_ends_a_long_pause(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.fail(503, times=1)
        patient = BackOff(first_s=3000.0, longest_s=3000.0, draw=lambda: 1.0)
        async with running(tmp_path, collector.url, back_off=patient) as rig:
            await rig.take(some_events(10))
            await rig.until(lambda: "HTTP 503" in str(rig.stats.last_error))
            rig.flusher.set_urgent(True)
            await rig.settled(10)
            assert_all_arrived(rig, collector, 10)


async def test_a_clock_that_was_set_back_delays_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as collector:
        collector.hang(after=True, path=BATCH)
        with monkeypatch.context() as tomorrow:
            tomorrow.setattr("honeyhive_litellm._spool.segment.time", SimpleNamespace(time=lambda: time.time() + 86400))
            async with running(tmp_path, collector.url, request_timeout=30) as rig:
                await rig.take(some_events(10))
                await rig.until(lambda: len(collector.events) == 10)
        collector.clear()
        async with running(tmp_path, collector.url, lookup_delay=0.5) as heir:
            await heir.settled(20)
            assert_all_arrived(heir, collector, 10)


async def test_a_server_in_trouble_is_met_by_one_request_at_a_time(tmp_path: Path) -> None:
    requests = at_once = most_at_once = 0

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests, at_once, most_at_once
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            requests += 1
            at_once += 1
            most_at_once = max(most_at_once, at_once)
            await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
            await asyncio.sleep(0.02)
            at_once -= 1
            writer.write(b"HTTP/1.1 429 X\r\nContent-Length: 0\r\n\r\n")

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with running(tmp_path, f"http://127.0.0.1:{port}") as rig:
        await rig.take(some_events(600))
        await rig.until(lambda: "nothing listens" in str(rig.stats.last_error))
        async with listening(refuse, port):
            await rig.until(lambda: requests >= 10)
        assert most_at_once == 1
        assert rig.stats.pending == 600


# A key, an address, a redirect


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_refused_key_keeps_all_tells_it_once_and_goes_on_by_itself(
    tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with Collector() as collector:
        collector.fail(status)
        async with delivering(tmp_path, collector, 500) as rig:
            await rig.until(lambda: len(collector.requests) >= 25)
            assert rig.stats.pending == 500
            collector.clear()
            await rig.settled()
            assert_all_arrived(rig, collector, 500)
    (line, over) = [r.getMessage() for r in caplog.records if r.name == "honeyhive_litellm"]
    assert f"HTTP {status}" in line
    assert "api_key / HONEYHIVE_API_KEY" in line
    assert "hh_key" not in line
    assert "takes events again" in over


async def test_a_key_that_may_not_read_sends_again_what_is_uncertain(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.fail(403, method="GET")
        collector.drop(times=1, after=True, path=BATCH)
        async with delivering(tmp_path, collector, 10) as rig:
            await rig.settled()
            assert_all_arrived(rig, collector, 10, duplicates=10)
        assert sum(r.method == "GET" for r in collector.requests) == 1  # one refusal says it all


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_key_refused_after_a_lost_reply_does_not_make_us_forget_to_look_it_up(
    tmp_path: Path, status: int
) -> None:
    with Collector() as collector:
        collector.drop(times=1, after=True, path=BATCH)
        collector.fail(status, times=4, path="/v1/events")  # twice: the look-up, which says nothing then, and the post
        collector.fail(404, path="/events")
        async with delivering(tmp_path, collector, 1) as rig:
            await rig.settled()
            assert_all_arrived(rig, collector, 1)


async def test_a_key_that_may_only_write_waits_for_no_look_up(tmp_path: Path) -> None:
    key = "hh_ingst_" + "a" * 24 + "_" + "b" * 64
    with Collector() as collector:
        collector.fail(503, times=2)
        async with delivering(tmp_path, collector, 10, api_key=key, lookup_delay=3600) as rig:
            await rig.settled(20)
            assert_all_arrived(rig, collector, 10)


async def test_look_ups_that_never_work_do_not_keep_an_event_for_ever(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.fail(500, method="GET")
        collector.drop(times=1, after=True, path=BATCH)
        async with delivering(tmp_path, collector, 1) as rig:
            await rig.until(lambda: bool(collector.receipts))  # or the others would travel with it
            made = await rig.feed_until(lambda: rig.stats.pending == 0 and rig.stats.delivered > 5, 1)
            assert_all_arrived(rig, collector, 1 + made, duplicates=1)


async def test_a_redirect_to_another_host_is_logged_and_never_followed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Collector() as collector, Collector() as other:
        collector.redirect(f"{other.url}/login?next=secret-token")
        async with delivering(tmp_path, collector, 300) as rig:
            await rig.until(lambda: len(collector.requests) >= 10)
            assert rig.stats.pending == 300
            collector.clear()
            await rig.settled()
            assert_all_arrived(rig, collector, 300)
        assert other.requests == []
        assert f"a redirect to {other.url}, which is not followed" in caplog.text
    assert "secret-token" not in caplog.text


async def test_a_route_that_was_right_for_a_while_is_not_kept_for_ever(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.fail(404, path="/v1/")  # a gateway that routes wrongly for a minute
        async with running(tmp_path, collector.url) as rig:
            await rig.take(some_events(10))
            await rig.settled()
            collector.clear()
            collector.fail(404, path="/events")
            collector.fail(404, path="/session")
            await rig.take(some_events(10, 10))
            await rig.settled()
            assert_all_arrived(rig, collector, 20)


async def test_what_an_unknown_route_refuses_is_no_dead_letter(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.fail(404, path="/v1/")  # a revoked key
        collector.fail(400, path="/events")
        collector.fail(400, path="/session")
        async with delivering(tmp_path, collector, 300) as rig:
            await rig.until(lambda: len(collector.requests) >= 40)
            assert (rig.stats.dead, rig.stats.pending) == (0, 300)
            collector.clear()
            await rig.settled()
            assert_all_arrived(rig, collector, 300)


# Events that are to blame


@pytest.mark.parametrize("status", [400, 409, 413, 422])
async def test_a_poisoned_event_among_good_ones_is_the_only_dead_letter(tmp_path: Path, status: int) -> None:
    poison = event(37)
    with Collector() as collector:
        collector.poison(poison.id, status, body={"message": "inputs.n is no number", "success": False})
        async with delivering(tmp_path, collector, 100) as rig:
            await rig.settled()
            (letter,) = assert_all_arrived(rig, collector, 100, dead=(poison.id,))
    assert (letter.status, body_of(tmp_path, letter.id)) == (status, poison.body)
    assert letter.reason == '{"message":"inputs.n is no number","success":false}'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dead.db", "ledger.db"]


async def test_what_a_refusal_repeats_of_the_input_is_in_the_dead_letter_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    poison = event(3, text="my secret diary")
    with Collector() as collector:
        collector.poison(poison.id, 422, body={"detail": [{"msg": "bad", "input": "my secret diary"}]})
        async with running(tmp_path, collector.url) as rig:
            await rig.take([event(i) for i in range(3)] + [poison])
            await rig.until(lambda: rig.stats.delivered == 3)
            await rig.settled()
            (letter,) = assert_all_arrived(rig, collector, 4, dead=(poison.id,))
            shown = f"{rig.stats} {letter.status} {capsys.readouterr()}"
    assert "my secret diary" in letter.reason
    assert "refused an event for good (HTTP 422)" in caplog.text
    assert "diary" not in caplog.text + shown


@pytest.mark.parametrize("limit", ["413", "reset"])
async def test_requests_that_are_too_large_for_a_proxy_are_split(tmp_path: Path, limit: str) -> None:
    with Collector(max_body_bytes=3000 if limit == "413" else 5_000_000) as collector:
        if limit == "reset":
            collector.drop(over_bytes=3000)
        async with delivering(tmp_path, collector, 300) as rig:
            await rig.settled()
            assert_all_arrived(rig, collector, 300)


async def test_requests_that_are_too_slow_for_the_timeout_are_split(tmp_path: Path) -> None:
    with Collector() as collector:
        host, port = collector.url.rsplit("/", 1)[1].split(":")

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            """A thin line to the collector, of 10 KB a second."""
            inner_reader, inner = await asyncio.open_connection(host, int(port))

            async def back() -> None:
                while True:
                    writer.write(await inner_reader.read(65536))
                    if inner_reader.at_eof():
                        return

            answers = asyncio.ensure_future(back())
            try:
                while True:
                    data = await reader.read(1000)
                    if not data:
                        return
                    await asyncio.sleep(len(data) / 10_000)
                    inner.write(data)
            finally:
                answers.cancel()
                inner.close()

        async with listening(carry) as line, running(tmp_path, f"http://127.0.0.1:{line}", request_timeout=1.5) as rig:
            await rig.take([event(i, text="x" * 150) for i in range(100)])  # 28 KB
            await rig.settled(60)
            assert_all_arrived(rig, collector, 100)


async def test_the_largest_event_that_may_be_configured_passes(tmp_path: Path) -> None:
    largest = 4_990_000
    Settings(project="p", api_key="k", max_event_bytes=largest)
    with pytest.raises(ConfigError):
        Settings(project="p", api_key="k", max_event_bytes=largest + 1)
    frame = len(event(1).body)
    with Collector() as collector:
        collector.fail(404, path="/v1/", times=2)  # the deprecated route needs the most space
        async with running(tmp_path, collector.url, request_timeout=30) as rig:
            await rig.take([event(1, text="x" * (largest - frame))])
            await rig.settled()
            assert_all_arrived(rig, collector, 1)


Crash = Callable[[Collector, Record], None]
HITS: Dict[str, Tuple[Crash, Any]] = {
    "a firewall's 403": (lambda c, e: c.poison(e.id, 403, body=PAGE), 403),
    "a firewall's 406": (lambda c, e: c.poison(e.id, 406), 406),
    "a crash, 500": (lambda c, e: c.poison(e.id, 500), 500),
    "a crash, 502 from the proxy": (lambda c, e: c.poison(e.id, 502, body=PAGE), 502),
    "a connection reset": (lambda c, e: c.drop(over_bytes=5000), None),
}


@pytest.mark.parametrize("hit", HITS)
async def test_one_event_that_is_always_hit_holds_up_nobody_and_ends_as_a_dead_letter(
    tmp_path: Path, hit: str, caplog: pytest.LogCaptureFixture
) -> None:
    arrange, status = HITS[hit]
    poison = event(50, text="DROP TABLE users; " * 300)
    with Collector() as collector:
        arrange(collector, poison)
        async with running(tmp_path, collector.url) as rig:
            await rig.take([event(i) for i in range(50)] + [poison] + [event(i) for i in range(51, 100)])
            await rig.until(lambda: rig.stats.delivered == 99, 20)
            made = await rig.feed_until(lambda: rig.stats.dead == 1, 100)
            (letter,) = assert_all_arrived(rig, collector, 100 + made, dead=(poison.id,))
    assert (letter.status, body_of(tmp_path, letter.id)) == (status, poison.body)
    assert letter.reason
    assert "DROP TABLE" not in caplog.text


@pytest.mark.parametrize("hit", ["a firewall's 403", "a crash, 500"])
async def test_several_such_events_that_travel_alone_do_not_block_the_way(tmp_path: Path, hit: str) -> None:
    poisons = [event(i, text="DROP TABLE users; " * 300) for i in range(6)]
    with Collector() as collector:
        for poison in poisons:
            HITS[hit][0](collector, poison)
        async with running(tmp_path, collector.url) as rig:
            for number, poison in enumerate(poisons):  # one by one, so that no batch has two
                await rig.take([poison])
                await rig.until(lambda number=number: len(collector.requests) > number)  # type: ignore[misc]
            await rig.take([event(i) for i in range(100, 400)])
            await rig.until(lambda: rig.stats.delivered == 300, 20)
            made = await rig.feed_until(lambda: rig.stats.dead == 6, 400)
            assert_all_arrived(rig, collector, 306 + made, dead=tuple(poison.id for poison in poisons))


@pytest.mark.parametrize("status", [500, 503, 403])
async def test_a_lasting_outage_makes_no_dead_letters_of_single_events(tmp_path: Path, status: int) -> None:
    with Collector() as collector:
        async with running(tmp_path, collector.url) as rig:
            await rig.take([event(0)])
            await rig.settled()
            collector.fail(status)
            for number in range(1, 6):
                await rig.take([event(number)])
                await rig.until(lambda number=number: len(collector.requests) > number)  # type: ignore[misc]
            await rig.until(lambda: len(collector.requests) > 65)
            assert (rig.stats.dead, rig.stats.pending) == (0, 5)
            collector.clear()
            await rig.settled()
            assert_all_arrived(rig, collector, 6)


async def test_a_server_that_sheds_most_requests_makes_no_dead_letters(tmp_path: Path) -> None:
    with Collector() as collector:
        refusals = 0

        def accepted_requests() -> int:
            return sum(request.status == 200 for request in collector.requests)

        async def shed() -> None:
            """Three of four requests are refused, as by a server under too much load."""
            nonlocal refusals
            while True:
                collector.fail(503, times=3, path=BATCH)
                refusals += 3
                accepted = accepted_requests()
                await until_on_loop(lambda accepted=accepted: accepted_requests() > accepted)  # type: ignore[misc]

        shedding = asyncio.ensure_future(shed())
        async with running(tmp_path, collector.url) as rig:
            for number in range(150):
                await rig.take([event(number)])
                await asyncio.sleep(0.01)
            await rig.until(lambda: rig.stats.delivered >= 100)
            shedding.cancel()
            collector.clear()
            await rig.settled()
            assert_all_arrived(rig, collector, 150)
        assert refusals > 30


async def test_dead_letters_that_cannot_be_written_wait_and_hold_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("honeyhive_litellm._delivery.flusher._DEAD_LETTER_RETRY_S", 0.05)
    poison = event(0)
    (tmp_path / "dead.db").mkdir()
    with Collector() as collector:
        collector.poison(poison.id, 400)
        async with delivering(tmp_path, collector, 300) as rig:
            await rig.until(lambda: rig.stats.delivered == 299)
            assert (rig.stats.dead, rig.stats.pending) == (0, 1)
            (tmp_path / "dead.db").rmdir()
            await rig.settled()
            assert_all_arrived(rig, collector, 300, dead=(poison.id,))


async def test_what_is_split_and_uncertain_survives_a_restart_in_the_middle(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.drop(over_bytes=3000)
        async with delivering(tmp_path, collector, 300, lookup_delay=0.2) as rig:
            await rig.until(lambda: len([r for r in collector.requests if r.status is None]) >= 8)
        done = rig.stats.delivered
        assert rig.stats.pending == 300 - done
        async with running(tmp_path, collector.url, lookup_delay=0.2) as heir:
            await heir.settled()
            assert heir.stats.delivered == 300 - done
        assert len(collector.events) == 300
        assert set(collector.receipts.values()) == {1}
