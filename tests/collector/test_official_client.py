"""HoneyHive's own Python client against the collector: what it can do with the service, it can do here."""

from __future__ import annotations

import sys
import uuid
from typing import Any, Iterator

import pytest

from honeyhive_litellm.testing import Collector

if sys.version_info < (3, 11):
    pytest.skip("the official client needs Python 3.11 or newer", allow_module_level=True)

pytest.importorskip("honeyhive", reason="the official client is not installed")

from honeyhive import HoneyHive
from honeyhive._generated import models as v1
from honeyhive._generated.api_config import HTTPException
from honeyhive._generated.services import Events_service, Sessions_service
from honeyhive.models import EventFilter, PostEventBatchRequest, PostEventRequest, UpdateEventRequest

INGESTION_KEY = "hh_ingst_" + "a" * 24 + "_" + "b" * 64


@pytest.fixture()
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    for name in ("HH_API_KEY", "HH_INGESTION_API_KEY", "HH_API_URL", "HONEYHIVE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Collector() as running:
        yield running


@pytest.fixture()
def client(collector: Collector) -> Any:
    return HoneyHive(api_key="hh_project", base_url=collector.url)


MODEL = {"event_type": "model", "inputs": {"prompt": "hello"}}


def event(**fields: Any) -> Any:
    return PostEventRequest(event={**MODEL, **fields})


def test_it_starts_a_session_and_creates_and_updates_an_event(collector: Collector, client: Any) -> None:
    session = client.sessions.start({"session": {"session_name": "s1", "source": "dev"}})
    created = client.events.create(
        event(
            event_name="llm_call",
            session_id=session.session_id,
            outputs={"response": "hi"},
            config={"model": "gpt-4", "temperature": 0.7},
            metadata={"cost": 0.00008, "prompt_tokens": 35},
            start_time=1700000000000,
            end_time=1700000001500,
            duration=1500,
        )
    )
    client.events.update(
        UpdateEventRequest(
            event_id=created.event_id,
            metadata={"total_tokens": 58},
            feedback={"rating": 5},
            outputs={"role": "assistant", "content": "Hello world"},
        )
    )

    assert created.success is True
    assert collector.sessions[0]["event_name"] == "s1"
    stored = collector.event(created.event_id)
    assert stored["session_id"] == stored["parent_id"] == session.session_id
    assert stored["metadata"] == {"cost": 0.00008, "prompt_tokens": 35, "total_tokens": 58}
    assert stored["outputs"] == {"role": "assistant", "content": "Hello world"}
    assert stored["feedback"] == {"rating": 5}
    assert (stored["start_time"], stored["duration"]) == (1700000000000, 1500)
    assert collector.orphans == []
    assert [(request.method, request.path) for request in collector.requests] == [
        ("POST", "/session/start"),
        ("POST", "/events"),
        ("PUT", "/events"),
    ]
    assert all(request.has_key("hh_project") for request in collector.requests)


def test_it_sends_a_batch_with_a_session_of_its_own(collector: Collector, client: Any) -> None:
    answer = client.events.create_batch(
        PostEventBatchRequest(
            events=[{**MODEL, "event_name": "a"}, {**MODEL, "event_name": "b"}],
            single_session=True,
            session_properties={"session_name": "batch"},
        )
    )

    assert answer.success is True
    assert [stored["event_id"] for stored in collector.events] == answer.event_ids
    assert {stored["session_id"] for stored in collector.events} == {answer.session_id}
    assert collector.event(answer.session_id)["event_name"] == "batch"


async def test_its_asynchronous_calls_work_too(collector: Collector, client: Any) -> None:
    session = await client.sessions.start_async({"session": {"session_name": "s"}})
    created = await client.events.create_async(event(session_id=session.session_id))
    await client.events.update_async(UpdateEventRequest(event_id=created.event_id, metrics={"m": 1}))

    assert collector.event(created.event_id)["metrics"] == {"m": 1}


def test_it_reads_back_what_it_wrote(collector: Collector, client: Any) -> None:
    session = client.sessions.start({"session": {"session_name": "s"}})
    created = client.events.create(event(session_id=session.session_id, start_time=1.0))
    filters = [EventFilter(field="session_id", operator="is", value=session.session_id, type="string")]

    exported = client.events.export(filters=filters, projections=["event_id"])

    assert exported.total_events == 2
    assert {found.event_id for found in exported.events} == {session.session_id, created.event_id}


def test_its_generated_v1_calls_work_too(collector: Collector, client: Any) -> None:
    config, session_id = client.api_config, str(uuid.uuid4())
    event = v1.PostEventRequest(**MODEL, session_id=session_id)
    session = Sessions_service.createSession(config, data=v1.StartSessionRequest(session_id=session_id))
    created = Events_service.createEvent(config, data=event)
    batch = Events_service.createEventBatch(config, data=v1.PostEventBatchRequest(events=[event, event]))
    Events_service.updateEvent(config, event_id=created.event_id, data=v1.UpdateEventRequest(metrics={"m": 1}))
    read = Events_service.getEvent(config, event_id=created.event_id)
    found = Events_service.searchEvents(config, data=v1.SearchEventsRequest(limit=10))

    assert session.session_id == session_id
    assert read.event.metrics == {"m": 1}
    assert len(batch.event_ids) == 2
    assert found.count == 4
    assert collector.orphans == []


def test_an_ingestion_key_writes_and_does_not_read(collector: Collector) -> None:
    client = HoneyHive(api_key=INGESTION_KEY, ingestion_api_key=INGESTION_KEY, base_url=collector.url)
    created = client.events.create(event())

    with pytest.raises(HTTPException) as refusal:
        Events_service.getEvent(client.api_config, event_id=created.event_id)
    assert refusal.value.status_code == 403
    assert collector.event(created.event_id)["inputs"] == {"prompt": "hello"}


def test_it_reports_a_refusal_with_our_message(collector: Collector, client: Any) -> None:
    with pytest.raises(HTTPException, match="there is no event of that id"):
        client.events.update(UpdateEventRequest(event_id=str(uuid.uuid4()), metadata={"k": "v"}))
    assert collector.requests[0].status == 400
