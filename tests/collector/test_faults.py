"""Misbehaviour on demand, as real clients meet it over a socket."""

from __future__ import annotations

import asyncio
import http.client
import socket
import struct
import threading
import time
import uuid
from typing import Any, Dict, Iterator, List

import aiohttp
import httpx
import pytest

from honeyhive_litellm._errors import ConfigError
from honeyhive_litellm.testing import Collector

MODEL: Dict[str, Any] = {"event_type": "model", "inputs": {}}
HEADERS = {"Authorization": "Bearer hh_test"}


@pytest.fixture()
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture()
def client(collector: Collector) -> Iterator[httpx.Client]:
    with connect(collector) as connected:
        yield connected


def connect(collector: Collector, timeout: float = 5.0) -> httpx.Client:
    return httpx.Client(base_url=collector.url, headers=HEADERS, timeout=timeout, trust_env=False)


def events(count: int) -> List[Dict[str, Any]]:
    return [{**MODEL, "event_id": str(uuid.uuid4())} for _ in range(count)]


def post(client: httpx.Client, path: str = "/v1/events") -> int:
    return client.post(path, json=MODEL).status_code


# Answers


def test_a_failure_is_answered_as_often_as_scripted_and_stores_nothing(
    collector: Collector, client: httpx.Client
) -> None:
    collector.fail(429, times=2, headers={"Retry-After": "7"})
    answers = [client.post("/v1/events", json=MODEL) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "7"
    assert answers[0].json() == {"statusCode": 429, "message": "scripted failure 429", "success": False}
    assert [request.status for request in collector.requests] == [429, 429, 200]
    assert len(collector.events) == 1


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("<html>Bad Gateway</html>", "text/html", "<html>Bad Gateway</html>"),
        (b"upstream", "text/plain", "upstream"),
        ({"errors": []}, "application/json", '{"errors":[]}'),
    ],
)
def test_a_failure_answers_any_body(
    collector: Collector, client: httpx.Client, body: Any, content_type: str, text: str
) -> None:
    collector.fail(502, body=body)
    answer = client.post("/v1/events", json=MODEL)

    assert (answer.status_code, answer.text) == (502, text)
    assert answer.headers["Content-Type"].startswith(content_type)


def test_an_explicit_content_type_beats_the_guessed_one(collector: Collector, client: httpx.Client) -> None:
    collector.fail(502, body="<html>", headers={"Content-Type": "application/problem+json"})

    assert client.post("/v1/events", json=MODEL).headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("status", [201, 202, 204])
def test_another_success_can_be_answered_too(collector: Collector, client: httpx.Client, status: int) -> None:
    collector.fail(status, times=1, after=True)

    assert post(client) == status
    assert len(collector.events) == 1


def test_a_failure_after_processing_has_stored_the_event(collector: Collector, client: httpx.Client) -> None:
    collector.fail(504, times=1, after=True)

    assert post(client) == 504
    assert len(collector.events) == 1


def test_a_failure_is_limited_to_a_method_and_a_path(collector: Collector, client: httpx.Client) -> None:
    collector.fail(503, method="POST", path="/v1/events/batch")

    assert post(client, "/v1/events/batch") == 503
    assert post(client) == 200
    assert client.get(f"/v1/events/{uuid.uuid4()}").status_code == 404


def test_clearing_ends_a_failure(collector: Collector, client: httpx.Client) -> None:
    collector.fail(503)
    assert [post(client), post(client)] == [503, 503]
    collector.clear()
    assert post(client) == 200


def test_a_redirect_names_the_other_place(collector: Collector, client: httpx.Client) -> None:
    with Collector() as other:
        collector.redirect(f"{other.url}/v1/events")
        answer = client.post("/v1/events", json=MODEL)
        assert (answer.status_code, answer.headers["Location"]) == (307, f"{other.url}/v1/events")
        assert other.requests == []


# Time


def test_a_delayed_answer_comes_late_and_is_whole(collector: Collector, client: httpx.Client) -> None:
    collector.delay(0.2, times=2)
    collector.delay(0.2, times=1, after=True)
    for _ in range(3):
        begun = time.monotonic()
        assert post(client) == 200
        assert time.monotonic() - begun >= 0.19
    assert len(collector.events) == 3


@pytest.mark.parametrize("after", [False, True])
def test_a_client_that_gives_up_on_a_slow_answer_has_delivered_all_the_same(collector: Collector, after: bool) -> None:
    collector.delay(0.3, times=1, after=after)
    with connect(collector, timeout=0.1) as client, pytest.raises(httpx.ReadTimeout):
        post(client)

    assert len(collector.wait_for(1)) == 1


@pytest.mark.parametrize(("after", "stored"), [(False, 0), (True, 1)])
def test_a_hanging_request_is_never_answered(collector: Collector, after: bool, stored: int) -> None:
    collector.hang(times=1, after=after)
    with connect(collector, timeout=0.2) as client:
        with pytest.raises(httpx.ReadTimeout):
            post(client)
        assert len(collector.events) == stored
        assert collector.requests[0].status is None
        assert post(client) == 200


@pytest.mark.parametrize("release", ["clear", "down", "close"])
def test_what_hangs_is_dropped_and_not_processed_when_released(collector: Collector, release: str) -> None:
    collector.hang()
    failures: List[BaseException] = []

    def attempt() -> None:
        with connect(collector) as client:
            try:
                post(client)
            except httpx.RemoteProtocolError as error:
                failures.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    collector.wait_for_requests(1)
    getattr(collector, release)()
    thread.join(5.0)

    assert not thread.is_alive()
    assert len(failures) == 1
    if release != "close":
        assert collector.events == []


# Connections


@pytest.mark.parametrize(("after", "stored"), [(False, 0), (True, 1)])
def test_a_connection_is_dropped_before_or_after_the_request_is_stored(
    collector: Collector, client: httpx.Client, after: bool, stored: int
) -> None:
    collector.drop(times=1, after=after)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        post(client)

    assert len(collector.events) == stored
    assert post(client) == 200


def test_a_large_request_is_dropped_before_it_is_read(collector: Collector, client: httpx.Client) -> None:
    collector.drop(times=1)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)):
        client.post("/v1/events", content=b"x" * 4_000_000)

    assert collector.requests[0].size == 4_000_000


def test_a_connection_is_dropped_where_the_request_is_large(collector: Collector, client: httpx.Client) -> None:
    collector.drop(over_bytes=500)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)):
        client.post("/v1/events", json={**MODEL, "inputs": {"text": "x" * 500}})

    assert post(client) == 200
    assert len(collector.events) == 1


def test_a_trickling_reply_is_whole_in_the_end_and_the_event_is_stored(collector: Collector) -> None:
    collector.trickle(0.001, times=1)
    with connect(collector) as client:
        answer = client.post("/v1/events", json=MODEL)
        assert (answer.status_code, answer.json()["success"]) == (200, True)
        assert post(client) == 200
    assert len(collector.events) == 2


def test_a_trickling_reply_outlasts_its_client(collector: Collector) -> None:
    collector.trickle(0.05, times=1)
    with connect(collector) as client, pytest.raises(httpx.RemoteProtocolError):
        threading.Timer(0.3, collector.clear).start()
        post(client)
    assert len(collector.events) == 1


def test_half_a_reply_breaks_off_and_the_event_is_stored(collector: Collector) -> None:
    collector.half_reply(times=1)
    connection = http.client.HTTPConnection(collector.url[len("http://") :], timeout=5.0)
    body = b'{"event_type": "model", "inputs": {}}'
    connection.request("POST", "/v1/events", body, {**HEADERS, "Content-Type": "application/json"})
    answer = connection.getresponse()
    with pytest.raises(http.client.IncompleteRead) as broken:
        answer.read()
    connection.close()

    assert broken.value.partial.startswith(b'{"success"')
    assert answer.status == 200
    assert len(collector.events) == 1


def test_a_server_that_is_down_refuses_and_comes_back_on_its_port_with_what_it_had(
    collector: Collector, client: httpx.Client
) -> None:
    url = collector.url
    post(client)
    for _ in range(3):
        collector.down()
        with pytest.raises((httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError)):
            post(client)
        with pytest.raises(httpx.ConnectError):
            post(client)
        collector.up()
        assert post(client) == 200

    assert collector.url == url
    assert len(collector.events) == 4


def test_going_down_or_up_twice_changes_nothing(collector: Collector, client: httpx.Client) -> None:
    collector.up()
    assert post(client) == 200
    collector.down()
    collector.down()
    collector.up()
    assert post(client) == 200


def test_a_server_that_is_down_keeps_its_port_to_itself(collector: Collector) -> None:
    port = int(collector.url.rpartition(":")[2])
    collector.down()
    with socket.socket() as probe, pytest.raises(OSError, match="in use"):
        probe.bind(("127.0.0.1", port))


def test_a_port_that_is_taken_is_refused(collector: Collector) -> None:
    port = int(collector.url.rpartition(":")[2])
    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}"), Collector(port=port):
        pass


# Poison and partial failures


def test_poison_refuses_exactly_the_requests_that_carry_the_event(collector: Collector, client: httpx.Client) -> None:
    good, bad = events(3), events(1)
    collector.poison(bad[0]["event_id"], status=422)

    assert client.post("/v1/events/batch", json={"events": good[:2] + bad}).status_code == 422
    assert client.post("/v1/events", json=bad[0]).status_code == 422
    assert client.post("/v1/events/batch", json={"events": good}).status_code == 200
    assert len(collector.events) == 3


def test_partial_poison_stores_the_other_events_and_does_not_say_which(
    collector: Collector, client: httpx.Client
) -> None:
    good, bad = events(2), events(1)
    collector.poison(bad[0]["event_id"], partial=True)
    answer = client.post("/v1/events/batch", json={"events": [good[0], *bad, good[1]]})

    assert answer.status_code == 500
    assert answer.json() == {"statusCode": 500, "message": "Events partially created", "success": False}
    assert [event["event_id"] for event in collector.events] == [event["event_id"] for event in good]


def test_a_partial_failure_stores_the_first_events(collector: Collector, client: httpx.Client) -> None:
    batch = events(3)
    collector.fail_partly(2, times=1)

    assert client.post("/v1/events/batch", json={"events": batch}).status_code == 500
    assert collector.receipts == {event["event_id"]: 1 for event in batch[:2]}
    assert client.post("/v1/events/batch", json={"events": batch}).status_code == 200
    assert [collector.receipts[event["event_id"]] for event in batch] == [2, 2, 1]
    assert [request.events for request in collector.requests] == [3, 3]


# Waiting


def test_waiting_ends_when_the_events_are_there(collector: Collector) -> None:
    def deliver() -> None:
        with connect(collector) as client:
            client.post("/v1/sessions", json={})
            for _ in range(3):
                post(client)

    thread = threading.Thread(target=deliver)
    thread.start()
    assert len(collector.wait_for(3, timeout=5.0)) == 3
    assert len(collector.wait_for_requests(3, path="/v1/events")) == 3
    assert len(collector.wait_for_requests(1, path="/v1/sessions")) == 1
    thread.join()


def test_waiting_in_vain_tells_the_counts(collector: Collector, client: httpx.Client) -> None:
    client.post("/v1/sessions", json={})
    post(client)
    with pytest.raises(TimeoutError, match="2 events: there are 1 events, 1 receipts of events, 1 sessions"):
        collector.wait_for(2, timeout=0.05)
    with pytest.raises(TimeoutError, match=r"3 requests to /: .* and 2 requests"):
        collector.wait_for_requests(3, timeout=0.05)


# Life


def test_the_collector_serves_an_asynchronous_test_from_its_own_thread() -> None:
    async def deliver(url: str) -> List[int]:
        async with aiohttp.ClientSession(headers=HEADERS) as session:

            async def one() -> int:
                async with session.post(f"{url}/v1/events", json=MODEL) as answer:
                    return answer.status

            return await asyncio.gather(*(one() for _ in range(20)))

    with Collector() as collector:
        assert asyncio.run(deliver(collector.url)) == [200] * 20
        assert len(collector.events) == 20


def test_after_leaving_the_thread_is_gone_and_reading_says_so() -> None:
    with Collector() as collector:
        assert "Collector" in {thread.name for thread in threading.enumerate()}
    collector.close()

    assert "Collector" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(RuntimeError, match="not running"):
        _ = collector.events
    with pytest.raises(RuntimeError, match="make a new one"), collector:
        pass


def test_leaving_does_not_wait_for_open_connections_or_slow_requests() -> None:
    with Collector() as collector:
        collector.delay(60.0)
        with connect(collector, timeout=0.1) as client, pytest.raises(httpx.ReadTimeout):
            post(client)
        begun = time.monotonic()
    assert time.monotonic() - begun < 2.0


def test_an_unknown_event_is_a_key_error(collector: Collector) -> None:
    with pytest.raises(KeyError):
        collector.event(str(uuid.uuid4()))


def test_a_sender_that_is_gone_before_its_body_has_come_leaves_no_trace_and_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Collector() as collector:
        for reset in (True, False):
            client = socket.create_connection(("127.0.0.1", int(collector.url.rpartition(":")[2])))
            if reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{")
            collector.wait_for_requests(1 if reset else 2)
            client.close()
        httpx.post(f"{collector.url}/v1/events", json=MODEL, headers=HEADERS)  # what came before is dealt with
        assert len(collector.events) == 1
    assert [record for record in caplog.records if record.exc_info] == []
