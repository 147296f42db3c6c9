"""Every route over a socket: what it answers, what it stores, and what it refuses."""

from __future__ import annotations

import gzip
import json
import uuid
from typing import Any, Dict, Iterator, List

import httpx
import pytest

from honeyhive_litellm.testing import Collector

MODEL: Dict[str, Any] = {"event_type": "model", "inputs": {"prompt": "hello"}}
SESSION_ID = "caf77ace-3417-4da4-944d-f4a0688f3c23"
EVENT_ID = "7f22137a-6911-4ed3-bc36-110f1dde6b66"


@pytest.fixture()
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture()
def client(collector: Collector) -> Iterator[httpx.Client]:
    with connect(collector) as connected:
        yield connected


def connect(collector: Collector, key: str = "hh_test") -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=collector.url, headers=headers, timeout=5.0, trust_env=False)


def new_ids(count: int) -> List[str]:
    return [str(uuid.uuid4()) for _ in range(count)]


# Sessions


def test_a_session_is_an_event_of_its_own_id_without_a_parent(collector: Collector, client: httpx.Client) -> None:
    answer = client.post("/v1/sessions", json={"session_id": SESSION_ID, "session_name": "s1", "source": "dev"})

    assert answer.status_code == 200
    session = answer.json()
    assert (session["event_id"], session["session_id"], session["parent_id"]) == (
        SESSION_ID,
        SESSION_ID,
        None,
    )
    assert (session["event_type"], session["event_name"], session["source"]) == ("session", "s1", "dev")
    assert {"org_id", "workspace_id", "project_id"} <= set(session)
    assert collector.event(SESSION_ID) == collector.sessions[0]
    assert "org_id" not in collector.sessions[0]
    assert collector.events == []


def test_a_session_may_be_empty(client: httpx.Client) -> None:
    session = client.post("/v1/sessions", json={}).json()

    assert uuid.UUID(session["session_id"]).version == 4
    assert (session["event_name"], session["source"]) == ("unknown", "unknown")
    assert session["start_time"] > 1_600_000_000_000


def test_a_wrong_session_id_and_a_time_in_words_are_replaced_in_silence(client: httpx.Client) -> None:
    fields = {"session_id": "run-7", "start_time": "2026-01-01", "end_time": "later"}
    session = client.post("/v1/sessions", json=fields).json()

    assert session["session_id"] != "run-7"
    assert session["start_time"] == session["end_time"] > 1_600_000_000_000


def test_starting_a_session_again_merges_its_metadata_and_nothing_else(
    collector: Collector, client: httpx.Client
) -> None:
    first = {"session_id": SESSION_ID, "session_name": "first", "metadata": {"a": 1, "b": 1}}
    again = {
        "session_id": SESSION_ID,
        "session_name": "again",
        "metadata": {"b": 2},
        "user_properties": {"u": 1},
    }
    client.post("/v1/sessions", json=first)
    session = client.post("/v1/sessions", json=again).json()

    assert session["event_name"] == "first"
    assert session["metadata"] == {"a": 1, "b": 2}
    assert session["user_properties"] == {"u": 1}
    assert len(collector.sessions) == 1
    assert collector.receipts == {}


def test_a_session_cannot_take_the_id_of_an_event(client: httpx.Client) -> None:
    client.post("/v1/events", json={**MODEL, "event_id": EVENT_ID})

    assert client.post("/v1/sessions", json={"session_id": EVENT_ID}).status_code == 400


def test_the_legacy_session_is_wrapped_and_may_have_extras(collector: Collector, client: httpx.Client) -> None:
    session = {"project": "Simple RAG Project", "session_name": "Playground", "session_id": SESSION_ID}

    assert client.post("/session/start", json={"session": session}).json()["session_id"] == SESSION_ID
    assert client.post("/session/start", json=session).status_code == 400
    assert client.post("/v1/sessions", json={"session": session}).status_code == 400
    assert "project" not in collector.sessions[0]


# Single events


def test_an_event_is_stored_as_sent_with_the_documented_defaults(collector: Collector, client: httpx.Client) -> None:
    answer = client.post("/v1/events", json=MODEL)

    assert answer.status_code == 200
    assert answer.json()["success"] is True
    stored = collector.event(answer.json()["event_id"])
    assert stored["parent_id"] == stored["session_id"]
    assert (stored["event_name"], stored["source"]) == ("unknown", "unknown")
    assert stored["inputs"] == {"prompt": "hello"}
    assert set(stored) == {*MODEL, "event_id", "session_id", "parent_id", "event_name", "source"}


def test_an_event_of_the_same_id_is_stored_once_and_counted_twice(collector: Collector, client: httpx.Client) -> None:
    for name in ("first", "second"):
        client.post("/v1/events", json={**MODEL, "event_id": EVENT_ID, "event_name": name})

    assert [event["event_name"] for event in collector.events] == ["second"]
    assert collector.receipts == {EVENT_ID: 2}


def test_the_legacy_event_is_wrapped_and_its_extras_are_dropped(collector: Collector, client: httpx.Client) -> None:
    event = {**MODEL, "event_id": EVENT_ID, "project": "p", "session_name": "s"}

    assert client.post("/events", json={"event": event}).json() == {"success": True, "event_id": EVENT_ID}
    assert client.post("/events", json=event).status_code == 400
    assert client.post("/events", json={"event": {"event_type": "model"}}).status_code == 400
    assert client.post("/v1/events", json={"event": event}).status_code == 400
    assert not {"project", "session_name"} & set(collector.events[0])


def test_a_faulty_event_is_refused_with_a_reason_and_not_stored(collector: Collector, client: httpx.Client) -> None:
    answer = client.post("/v1/events", json={**MODEL, "metadata": None})

    assert answer.status_code == 400
    assert answer.json() == {
        "statusCode": 400,
        "message": "metadata of the event must be an object",
        "success": False,
    }
    assert collector.events == []


# Batches


def test_a_batch_stores_all_and_answers_the_ids_in_order(collector: Collector, client: httpx.Client) -> None:
    ids = new_ids(3)
    events = [{**MODEL, "event_id": event_id, "session_id": SESSION_ID} for event_id in ids]
    answer = client.post("/v1/events/batch", json={"events": events})

    assert answer.json() == {"event_ids": ids, "success": True}
    assert [event["event_id"] for event in collector.events] == ids
    assert collector.requests[0].events == 3


def test_one_faulty_event_refuses_a_whole_v1_batch(collector: Collector, client: httpx.Client) -> None:
    answer = client.post("/v1/events/batch", json={"events": [MODEL, {"event_type": "model"}]})

    assert answer.status_code == 400
    assert answer.json()["message"] == "events[1] is missing inputs"
    assert collector.events == []


def test_a_single_session_is_made_for_all_events_of_a_batch(collector: Collector, client: httpx.Client) -> None:
    body = {
        "events": [MODEL, {**MODEL, "session_id": SESSION_ID}],
        "single_session": True,
        "session_properties": {"session_name": "one", "metadata": {"k": 1}, "more": True},
    }
    session_id = client.post("/v1/events/batch", json=body).json()["session_id"]

    assert {event["session_id"] for event in collector.events} == {session_id}
    assert {event["parent_id"] for event in collector.events} == {session_id}
    assert collector.event(session_id)["event_name"] == "one"
    assert collector.orphans == []


@pytest.mark.parametrize("extra", [{"is_single_session": True}, {"session": {}}, {"other": 1}])
def test_v1_batches_refuse_the_legacy_names_which_the_legacy_route_takes(
    client: httpx.Client, extra: Dict[str, Any]
) -> None:
    assert client.post("/v1/events/batch", json={"events": [MODEL], **extra}).status_code == 400
    assert client.post("/events/batch", json={"events": [MODEL], **extra}).status_code == 200


def test_the_legacy_aliases_make_a_single_session(collector: Collector, client: httpx.Client) -> None:
    body = {"events": [MODEL], "is_single_session": True, "session": {"session_name": "one"}}
    answer = client.post("/events/batch", json=body).json()

    assert collector.event(answer["session_id"])["event_name"] == "one"


def test_a_legacy_batch_stores_the_sound_events_and_answers_500_for_the_others(
    collector: Collector, client: httpx.Client
) -> None:
    events = [{**MODEL, "event_id": EVENT_ID, "project": "p"}, {"event_type": "model"}]
    answer = client.post("/events/batch", json={"events": events})

    assert answer.status_code == 500
    assert answer.json() == {
        "event_ids": [EVENT_ID],
        "success": True,
        "errors": ["could not create event: events[1] is missing inputs"],
    }
    assert list(collector.receipts) == [EVENT_ID]


@pytest.mark.parametrize("path", ["/v1/sessions/{}/events/batch", "/session/{}/traces"])
def test_a_sessions_batch_needs_the_session_and_gives_it_to_every_event(
    collector: Collector, client: httpx.Client, path: str
) -> None:
    body = {"events": [{**MODEL, "session_id": new_ids(1)[0]}, MODEL]}

    assert client.post(path.format(SESSION_ID), json=body).status_code == 400
    client.post("/v1/sessions", json={"session_id": SESSION_ID})
    assert client.post(path.format(SESSION_ID), json=body).json() == {"success": True}
    assert client.post(path.format("no-uuid"), json=body).status_code == 400
    assert [event["session_id"] for event in collector.events] == [SESSION_ID] * 2


def test_session_traces_take_exactly_one_of_logs_and_events(collector: Collector, client: httpx.Client) -> None:
    client.post("/v1/sessions", json={"session_id": SESSION_ID})
    path, event = f"/session/{SESSION_ID}/traces", {**MODEL, "project": "p"}

    assert client.post(path, json={"logs": [event]}).status_code == 200
    assert client.post(path, json={"events": [event]}).status_code == 200
    assert client.post(path, json={}).status_code == 400
    assert client.post(path, json={"logs": [event], "events": [event]}).status_code == 400
    assert client.post(path, json={"logs": [{"inputs": {}}]}).status_code == 400
    assert client.post(f"/v1/sessions/{SESSION_ID}/events/batch", json={"logs": [MODEL]}).status_code == 400
    assert client.post(f"/v1/sessions/{SESSION_ID}/events/batch", json={"events": [event]}).status_code == 400
    assert len(collector.events) == 2


# Sessions that do not exist


def test_an_event_of_an_unknown_session_is_kept_as_an_orphan(collector: Collector, client: httpx.Client) -> None:
    event = {**MODEL, "event_id": EVENT_ID, "session_id": SESSION_ID}

    assert client.post("/v1/events", json=event).status_code == 200
    assert [orphan["event_id"] for orphan in collector.orphans] == [EVENT_ID]
    assert client.put(f"/v1/events/{SESSION_ID}", json={"metadata": {}}).status_code == 400
    client.post("/v1/sessions", json={"session_id": SESSION_ID})
    assert collector.orphans == []


def test_an_event_of_an_unknown_session_is_refused_where_sessions_are_required() -> None:
    with Collector(require_session=True) as collector, connect(collector) as client:
        event = {**MODEL, "session_id": SESSION_ID}
        assert client.post("/v1/events", json=event).status_code == 400
        assert client.post("/v1/events", json=MODEL).status_code == 400
        client.post("/v1/sessions", json={"session_id": SESSION_ID})
        assert client.post("/v1/events", json=event).status_code == 200
        assert len(collector.events) == 1


# Updates


@pytest.mark.parametrize("is_legacy", [False, True])
def test_an_update_merges_replaces_sets_and_ignores_as_documented(
    collector: Collector, client: httpx.Client, is_legacy: bool
) -> None:
    event = {
        **MODEL,
        "event_id": EVENT_ID,
        "metadata": {"cost": 1, "kept": {"x": 1}},
        "outputs": {"role": "assistant", "gone": True},
        "children_ids": ["c"],
        "error": "kept",
    }
    client.post("/v1/events", json=event)
    update = {
        "metadata": {"cost": 2, "total_tokens": 58},
        "feedback": {"rating": 5},
        "metrics": {"num_words": 2},
        "outputs": {"content": "Hello world"},
        "config": {"template": [{"role": "system", "content": "Hello, {{ name }}!"}]},
        "user_properties": {"user_id": "u"},
        "duration": 42,
        "end_time": 7.5,
        "children_ids": [],
        "inputs": {"prompt": "changed"},
        "error": "changed",
        "event_name": "changed",
        "unheard_of": 1,
    }
    if is_legacy:
        answer = client.put("/events", json={"event_id": EVENT_ID, **update})
    else:
        answer = client.put(f"/v1/events/{EVENT_ID}", json=update)

    assert answer.status_code == 200
    stored = collector.event(EVENT_ID)
    assert stored["metadata"] == {"cost": 2, "kept": {"x": 1}, "total_tokens": 58}
    assert stored["outputs"] == {"content": "Hello world"}
    for field in ("feedback", "metrics", "config", "user_properties", "duration", "end_time"):
        assert stored[field] == update[field]
    assert (stored["children_ids"], stored["inputs"], stored["error"]) == (["c"], MODEL["inputs"], "kept")
    assert (stored["event_name"], "unheard_of" in stored) == ("unknown", False)
    assert collector.receipts == {EVENT_ID: 1}


def test_an_update_with_null_outputs_keeps_them_and_new_children_replace_the_old(
    collector: Collector, client: httpx.Client
) -> None:
    client.post("/v1/events", json={**MODEL, "event_id": EVENT_ID, "outputs": {"a": 1}, "children_ids": ["c"]})
    client.put(f"/v1/events/{EVENT_ID}", json={"outputs": None, "children_ids": ["d"]})

    assert collector.event(EVENT_ID)["outputs"] == {"a": 1}
    assert collector.event(EVENT_ID)["children_ids"] == ["d"]


def test_an_update_never_creates_and_refuses_what_is_malformed(collector: Collector, client: httpx.Client) -> None:
    assert client.put(f"/v1/events/{EVENT_ID}", json={"metadata": {}}).status_code == 400
    assert client.put("/events", json={"event_id": EVENT_ID}).status_code == 400
    assert client.put("/events", json={"metadata": {}}).status_code == 400
    assert client.put("/v1/events/call-1", json={}).status_code == 400
    client.post("/v1/events", json={**MODEL, "event_id": EVENT_ID})
    assert client.put(f"/v1/events/{EVENT_ID}", json={"outputs": "text"}).status_code == 400
    assert client.put(f"/v1/events/{EVENT_ID}", json={"config": None}).status_code == 400
    assert len(collector.events) == 1


def test_a_session_is_updated_like_an_event(collector: Collector, client: httpx.Client) -> None:
    client.post("/v1/sessions", json={"session_id": SESSION_ID, "metadata": {"a": 1}})
    client.put(f"/v1/events/{SESSION_ID}", json={"metadata": {"b": 2}, "end_time": 9})

    assert collector.sessions[0]["metadata"] == {"a": 1, "b": 2}
    assert collector.sessions[0]["end_time"] == 9


# Reads


def test_an_event_is_read_by_its_id(collector: Collector, client: httpx.Client) -> None:
    client.post("/v1/events", json={**MODEL, "event_id": EVENT_ID})

    assert client.get(f"/v1/events/{EVENT_ID}").json() == {"event": collector.event(EVENT_ID)}
    assert client.get(f"/v1/events/{SESSION_ID}").status_code == 404
    assert client.get("/v1/events/call-1").status_code == 400


def test_a_search_answers_the_newest_first_in_pages(client: httpx.Client) -> None:
    ids = new_ids(3)
    events = [{**MODEL, "event_id": event_id, "start_time": at} for at, event_id in enumerate(ids)]
    client.post("/v1/events/batch", json={"events": [*events, {"event_type": "tool", "inputs": {}}]})
    filters = [{"field": "event_type", "operator": "is", "value": "model"}]

    first = client.post("/v1/events/search", json={"filters": filters, "limit": 2}).json()
    rest = client.post("/v1/events/search", json={"filters": filters, "limit": 2, "page": 2}).json()

    assert [event["event_id"] for event in first["events"] + rest["events"]] == ids[::-1]
    assert first["count"] == rest["count"] == 3
    assert client.post("/v1/events/search", json={"limit": 0}).status_code == 400
    assert client.post("/v1/events/export", json={"projections": ["inputs"], "limit": 1}).json() == {
        "events": [{"inputs": MODEL["inputs"]}],
        "count": 4,
    }


def test_readers_see_an_event_only_after_the_configured_lag() -> None:
    with Collector(visible_after_s=3600.0) as collector, connect(collector) as client:
        client.post("/v1/events", json={**MODEL, "event_id": EVENT_ID})

        assert client.get(f"/v1/events/{EVENT_ID}").status_code == 404
        assert client.post("/v1/events/search", json={}).json() == {"events": [], "count": 0}
        assert collector.event(EVENT_ID)["event_id"] == EVENT_ID


# Keys


@pytest.mark.parametrize(("bad_key_status", "forbidden"), [(401, 403), (404, 404)])
def test_keys_are_refused_as_configured(bad_key_status: int, forbidden: int) -> None:
    keys = ["hh_good", "hh_ingst_x", "hh_ro_x", "hh_fgcp_x"]
    with Collector(keys=keys, bad_key_status=bad_key_status) as collector:
        read, write = f"/v1/events/{EVENT_ID}", "/v1/events"
        expected = {
            "hh_good": (200, 200),
            "hh_bad": (bad_key_status, bad_key_status),
            "hh_ingst_x": (forbidden, 200),
            "hh_ro_x": (200, forbidden),
            "hh_fgcp_x": (forbidden, forbidden),
        }
        for key, (can_read, can_write) in expected.items():
            with connect(collector, key) as client:
                written = client.post(write, json={**MODEL, "event_id": EVENT_ID}).status_code
                assert (client.get(read).status_code, written) == (can_read, can_write)
        assert len(collector.events) == 1


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic aGg6eA==", "hh_test", "bearer hh_test"])
def test_a_request_without_a_bearer_key_is_refused(collector: Collector, header: str) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = httpx.post(f"{collector.url}/v1/events", json=MODEL, headers=headers, trust_env=False)

    assert answer.status_code == 401
    assert answer.json()["success"] is False


def test_a_request_is_recorded_without_its_key(collector: Collector) -> None:
    with connect(collector, "hh_secret_key") as client:
        client.post("/v1/events", json=MODEL, headers={"X-Other": "kept"})
    request = collector.requests[0]

    assert (request.method, request.path, request.status, request.events) == ("POST", "/v1/events", 200, 1)
    assert request.size == len(json.dumps(MODEL, separators=(",", ":")))
    assert request.has_key("hh_secret_key")
    assert not request.has_key("hh_other")
    assert "hh_secret_key" not in repr(request) + str(request.headers)
    assert request.headers["x-other"] == "kept"


@pytest.mark.parametrize("wrong", [{"bad_key_status": 500}, {"keys": "hh_one"}])
def test_a_collector_that_makes_no_sense_is_refused(wrong: Dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Collector(**wrong)


# Bodies and routes


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"", {"Content-Type": "application/json"}),
        (b"<html></html>", {"Content-Type": "application/json"}),
        (b"<html></html>", {"Content-Type": "text/html"}),
        (b'{"a": "\xff"}', {"Content-Type": "application/json"}),
        (b'{"a": NaN}', {"Content-Type": "application/json"}),
        (b'{"a":' * 5000, {"Content-Type": "application/json"}),
        (json.dumps(MODEL).encode(), {"Content-Type": "text/plain"}),
        (json.dumps(MODEL).encode(), {}),
        (
            gzip.compress(json.dumps(MODEL).encode(), mtime=0),
            {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        ),
        (b"[]", {"Content-Type": "application/json"}),
        (b"null", {"Content-Type": "application/json"}),
    ],
)
def test_what_is_no_json_object_is_refused(
    collector: Collector, client: httpx.Client, content: bytes, headers: Dict[str, str]
) -> None:
    answer = client.post("/v1/events", content=content, headers=headers)

    assert answer.status_code == 400
    assert answer.json()["statusCode"] == 400
    assert collector.events == []


def test_a_request_over_the_limit_is_too_large_and_one_of_the_limit_is_not() -> None:
    body = json.dumps(MODEL).encode()
    headers = {"Content-Type": "application/json"}
    with Collector(max_body_bytes=len(body)) as collector, connect(collector) as client:
        assert client.post("/v1/events", content=body, headers=headers).status_code == 200
        answer = client.post("/v1/events", content=body + b" ", headers=headers)
        assert answer.status_code == 413
        assert answer.json()["statusCode"] == 413
        assert len(collector.events) == 1


def test_the_usual_limit_is_five_megabytes(client: httpx.Client) -> None:
    for size, status in ((4_900_000, 200), (5_000_001, 413)):
        answer = client.post("/v1/events", json={**MODEL, "inputs": {"prompt": "x" * size}})
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/events/model", 404),
        ("POST", "/v2/events", 404),
        ("POST", "/v1/events/", 404),
        ("GET", "/", 404),
        ("GET", "/v1/sessions", 405),
        ("DELETE", f"/v1/events/{EVENT_ID}", 405),
        ("GET", f"/v1/sessions/{SESSION_ID}/events/batch", 405),
    ],
)
def test_an_unknown_route_or_method_is_refused_in_json(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)

    assert (answer.status_code, answer.json()["statusCode"]) == (status, status)


# What SQLite or JSON cannot hold


@pytest.mark.parametrize("value", [2**63, -(2**63), 2**64 - 1, 1e300])
@pytest.mark.parametrize("field", ["start_time", "end_time", "duration"])
def test_a_time_that_no_database_holds_is_refused(client: httpx.Client, field: str, value: float) -> None:
    answer = client.post("/v1/events", json={**MODEL, field: value})
    assert (answer.status_code, answer.json()["message"]) == (400, f"{field} of the event must be a number below 2**63")


@pytest.mark.parametrize("levels", [110, 300, 900])
def test_an_event_is_nested_so_deeply_that_it_can_be_answered_or_refused(client: httpx.Client, levels: int) -> None:
    deep = "[" * levels + "]" * levels
    body = f'{{"event_type":"model","event_id":"{EVENT_ID}","inputs":{{"deep":{deep}}}}}'
    answer = client.post("/v1/events", content=body, headers={"Content-Type": "application/json"})
    if levels == 110:
        assert answer.status_code == 200
        assert client.get(f"/v1/events/{EVENT_ID}").json()["event"]["inputs"] == {"deep": json.loads(deep)}
    else:
        assert (answer.status_code, answer.json()["message"]) == (400, "an event is nested too deeply")
        assert client.get(f"/v1/events/{EVENT_ID}").status_code == 404


def test_the_deepest_event_that_is_taken_can_be_read_by_every_route(collector: Collector, client: httpx.Client) -> None:
    tried = [*range(114, 124), *range(245, 256)]
    for levels in tried:
        deep: Any = "core"
        for _ in range(levels):
            deep = [deep]
        client.post("/v1/events", json={"event_type": "model", "inputs": {"deep": deep}})
    for event in collector.events:
        assert client.get(f"/v1/events/{event['event_id']}").status_code == 200
        assert client.put(f"/v1/events/{event['event_id']}", json={"metrics": {"m": 1}}).status_code == 200
    assert 0 < len(collector.events) < len(tried)
    assert client.post("/v1/events/search", json={"filters": []}).json()["count"] == len(collector.events)
