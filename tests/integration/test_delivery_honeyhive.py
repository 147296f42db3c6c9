"""HoneyHive as a sink: sessions, look-ups and what a letter's status says, against a real server."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import AsyncIterator, List, Optional, Tuple

import pytest

from honeyhive_litellm._delivery.sink import Verdict
from honeyhive_litellm._delivery.sinks.honeyhive import HoneyHiveSink
from honeyhive_litellm._delivery.sinks.timed import TimedSink
from honeyhive_litellm._spool.record import Row
from honeyhive_litellm.testing import Collector

from ..rig import event

SESSION = "0e8a3f52-5d0e-4f0a-8a54-0d6a2f6a3a11"


def row(number: int, session: Optional[str] = None) -> Row:
    record = event(number, session)
    return Row(number, record.id, record.started_ms, record.session, record.body)


@asynccontextmanager
async def sink_of(collector: Collector) -> AsyncIterator[HoneyHiveSink]:
    sink = HoneyHiveSink(collector.url, "hh_key", project="p", source="test", timeout_s=5)
    try:
        yield sink
    finally:
        await sink.aclose()


async def test_a_session_that_the_server_refuses_is_warned_of_and_keeps_back_no_event(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [row(1, f"{SESSION} chat"), row(2, f"{SESSION} chat")]
    collector.fail(422, path="/v1/sessions", body="the secret text of a prompt")
    async with sink_of(collector) as sink:
        for each in rows:
            assert await sink.prepare([each]) is None
        assert (await sink.send(rows)).verdict is Verdict.DELIVERED
    assert [request.path for request in collector.requests] == ["/v1/sessions", "/v1/events/batch"]
    (line,) = [record.getMessage() for record in caplog.records if record.name == "honeyhive_litellm"]
    assert line == (
        f"honeyhive: {collector.url} refused to create a session (HTTP 422); its events are sent all the same"
    )


async def test_a_server_that_fails_in_mid_look_up_is_spared_the_rest(collector: Collector) -> None:
    rows = [row(number) for number in range(60)]
    async with sink_of(collector) as sink:
        assert (await sink.send(rows[:5])).verdict is Verdict.DELIVERED
        collector.fail(503, method="GET", path=f"/v1/events/{rows[1].id}")
        looked_up = await sink.look_up(rows)
        assert looked_up.failure is not None and looked_up.failure.status == 503
        answered = [*looked_up.found, *looked_up.missing]
        assert rows[0] in looked_up.found and rows[1] not in answered
        assert len(answered) == len([r for r in collector.requests if r.method == "GET"]) - 1 < len(rows) - 1
        collector.clear()
        collector.fail(503, method="GET")
        before = len(collector.requests)
        looked_up = await sink.look_up(rows)
        assert (looked_up.found, looked_up.missing) == ([], [])
        assert len(collector.requests) == before + 1


@pytest.mark.parametrize(("first", "second", "is_delivered"), [(404, 404, False), (404, 400, False), (404, 0, True)])
async def test_where_one_route_is_missing_only_a_success_of_the_other_counts(
    collector: Collector, first: int, second: int, is_delivered: bool
) -> None:
    collector.fail(first, path="/v1/events")
    if second:
        collector.fail(second, path="/events")
    async with sink_of(collector) as sink:
        result = await sink.send([row(1)])
    assert result.verdict is (Verdict.DELIVERED if is_delivered else Verdict.PAUSE)
    assert result.status == (200 if is_delivered else 404)


async def test_a_measured_sink_answers_as_the_sink_does(collector: Collector) -> None:
    batches: List[Tuple[float, str]] = []
    async with sink_of(collector) as sink:
        timed = TimedSink(sink, lambda seconds, verdict: batches.append((seconds, verdict)))
        assert (timed.name, timed.suspicion, timed.remedy) == (sink.name, sink.suspicion, sink.remedy)
        assert [timed.may_have_stored(status) for status in (400, 422, 500, 503, None)] == [
            sink.may_have_stored(status) for status in (400, 422, 500, 503, None)
        ]
        assert timed.may_have_stored(500) and not timed.may_have_stored(422)
        assert await timed.prepare([row(1)]) is None
        assert (await timed.send([row(1)])).verdict is Verdict.DELIVERED
        assert (await timed.look_up([row(1)])).found == [row(1)]
    ((seconds, verdict),) = batches
    assert verdict == "delivered" and 0 < seconds < 5
