"""The option `redact` on every path a call can take: before the disk, and rather nothing than too much."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm.testing import Collector, ModelServer

from ..waiting import until_committed

Json = Dict[str, Any]

CARD = "4111 1111 1111 1111"
PERSONAL = ("joe@example.com", CARD, "+49 30 1234567", "DE89370400440532013000", "078-05-1120", "192.168.1.17")
QUESTION = "I am " + ", ".join(PERSONAL)
MARKS = {f"[redacted: {name}]" for name in ("email", "card", "phone", "iban", "ssn", "ip")}
MESSAGES = [
    {"role": "user", "content": QUESTION},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "order", "arguments": json.dumps({"note": json.dumps({"said": QUESTION + "\n"})})},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": json.dumps({"to": PERSONAL[0], "phone": 4155550132})},
    {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
]
CALL: Json = {
    "messages": MESSAGES,
    "user": PERSONAL[0],
    "extra_headers": {"X-Customer": PERSONAL[0]},
    "metadata": {
        "session_id": PERSONAL[0],
        "event_name": f"order of {PERSONAL[0]}",
        "tags": [PERSONAL[0]],
        "user_properties": {"mail": PERSONAL[0]},
        PERSONAL[0]: {"card": int(CARD.replace(" ", "")), "trace": [f"Traceback: {QUESTION}"]},
    },
}


@pytest.fixture
def begin(collector: Collector, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Start the package with the collector down, so that all that is recorded lies on the disk first."""
    collector.down()

    def init(**options: Any) -> None:
        honeyhive_litellm.init(
            api_key="hh_key", project="tests", api_url=collector.url, spool_path=tmp_path, strict=True, **options
        )

    yield init
    honeyhive_litellm.shutdown(5)


def every_path(models: ModelServer, **more: Any) -> None:
    """A success, a stream, a failure with the content in its message, and a broken stream; sync and async each."""
    served = {"api_base": models.url, "api_key": "sk-local", "max_retries": 0}
    failure = {"model": "gpt-4o", "mock_response": RuntimeError(f"cannot read {QUESTION}\n  at {QUESTION}")}
    variants: List[Json] = [
        {"model": "openai/gpt-4o", **served},
        {"model": "openai/gpt-4o", "stream": True, **served},
        failure,
        {"model": "openai/break-3", "stream": True, **served},
    ]

    async def later() -> None:
        for variant in variants:
            try:
                answer = await litellm.acompletion(**CALL, **variant, **more)
                if variant.get("stream"):
                    async for _ in answer:
                        pass
            except Exception as error:
                assert variant is failure or "break" in str(variant["model"]), error

    asyncio.run(later())
    for variant in variants:
        try:
            answer = litellm.completion(**CALL, **variant, **more)
            if variant.get("stream"):
                for _ in answer:
                    pass
        except Exception as error:
            assert variant is failure or "break" in str(variant["model"]), error


PATHS = 8


def on_disk(folder: Path) -> str:
    return "".join(path.read_bytes().decode("utf-8", "replace") for path in folder.rglob("*") if path.is_file())


def assert_clean(text: str) -> None:
    for word in PERSONAL:
        assert word not in text
    assert re.search(r"joe|4111 ?1111|4155550132|DE89|078-05|192\.168", text) is None


def delivered(collector: Collector) -> List[Json]:
    collector.up()
    assert honeyhive_litellm.flush(30) == 0
    assert_clean(json.dumps([collector.events, collector.sessions]))
    return collector.events


def test_named_patterns_reach_every_place_on_every_path_before_the_disk(
    begin: Callable[..., None],
    collector: Collector,
    models: ModelServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin(redact="all", capture_headers=True, capture_raw_request=True, debug=True)
    every_path(models)
    until_committed(PATHS)
    stored = on_disk(tmp_path)
    assert stored.count('"status":"in_flight"') >= PATHS - 2  # a mock raises before LiteLLM reports a start, sometimes
    assert_clean(stored)
    events = delivered(collector)
    assert len(events) == PATHS
    for event in events:
        assert all(mark in json.dumps(event["inputs"]) for mark in MARKS)
        assert event["event_name"] == "order of [redacted: email]"
        assert event["metadata"]["session_id"] == event["user_properties"]["mail"] == "[redacted: email]"
        assert event["metadata"]["[redacted: email]"]["card"] == "[redacted: card]"
        call = event["inputs"]["chat_history"][1]["tool_calls"][0]["function"]
        assert "[redacted: iban]" in json.loads(json.loads(call["arguments"])["note"])["said"]
        tool = json.loads(event["inputs"]["chat_history"][2]["content"])
        assert tool == {"to": "[redacted: email]", "phone": "[redacted: phone]"}
        if event["config"]["model"] == "gpt-4o":
            answer = event["error"] if "error" in event else event["outputs"]["content"]
            assert "[redacted: ssn]" in answer
    assert {event["metadata"]["status"] for event in events} == {"success", "failure"}
    assert any("raw_request" in event["metadata"] for event in events)
    assert {session["event_name"] for session in collector.sessions} == {"[redacted: email]"}
    assert_clean(caplog.text + "".join(capsys.readouterr()))


def test_a_function_gets_the_content_of_both_halves_and_its_answer_is_the_event(
    begin: Callable[..., None], collector: Collector, models: ModelServer, tmp_path: Path
) -> None:
    seen: List[Json] = []

    def mask(content: Json) -> Json:
        seen.append(json.loads(json.dumps(content)))  # plain values only
        text = json.dumps(content)
        for word in PERSONAL:
            text = text.replace(word, "***")
        masked: Json = json.loads(re.sub("4111111111111111|4155550132", "0", text))
        masked["metadata"].update(status="mine", added=True)
        masked["new part"] = 1
        return masked

    begin(redact=[mask], capture_headers=True)
    every_path(models)
    until_committed(PATHS)
    stored = on_disk(tmp_path)
    assert "phone" in stored
    for word in PERSONAL:
        assert word not in stored
    collector.up()
    assert honeyhive_litellm.flush(30) == 0
    assert len(collector.events) == PATHS
    names = {"inputs", "outputs", "error", "metadata", "config", "user_properties", "event_name"}
    assert all(set(content) == names for content in seen)
    requests = [content for content in seen if content["inputs"]]
    outcomes = [content for content in seen if not content["inputs"]]
    assert len(requests) == PATHS  # once for the record of the start and the event alike
    assert all(content["outputs"] == {} and content["error"] == "" for content in requests)
    assert all(content["config"] == {} and content["metadata"]["status"] for content in outcomes)
    for event in collector.events:
        assert event["event_name"] == "order of ***"
        assert event["metadata"]["status"] in ("success", "failure")
        assert event["metadata"]["added"] is True
        assert "redaction_failed" not in event["metadata"]
        assert "new part" not in event
        assert json.dumps(event).count('"added"') == 1


def raising(content: Json) -> Json:
    raise ValueError(f"cannot redact {content}")


def forgetful(content: Json) -> None:
    content["inputs"] = {}


def confused(content: Json) -> Json:
    return {**content, "inputs": str(content["inputs"]), "outputs": [content["outputs"]], "metadata": "none"}


class Own(Dict[str, Any]):
    def get(self, *_: Any) -> Any:
        raise KeyError("inputs")


def strange(content: Json) -> Json:
    return Own(content)


@pytest.mark.parametrize("broken", [raising, forgetful, confused, strange])
def test_when_it_fails_the_content_goes_and_the_event_stays_and_says_so(
    begin: Callable[..., None],
    collector: Collector,
    models: ModelServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    broken: Any,
) -> None:
    begin(redact=["email", broken], capture_headers=True, capture_raw_request=True)
    every_path(models)
    until_committed(PATHS)
    assert_clean(on_disk(tmp_path))
    events = delivered(collector)
    assert len(events) == PATHS
    for event in events:
        metadata = event["metadata"]
        assert metadata["redaction_failed"] is True
        assert event["inputs"] == event["outputs"] == {}
        assert set(event["config"]) == {"provider", "model", "is_streaming"}
        assert event["event_name"] == "completion"
        assert event["user_properties"] == {}
        assert event.get("error") == metadata.get("error_class")
        assert metadata["status"] == ("failure" if "error" in event else "success")
        assert metadata["project"] == "tests" and metadata["model"] == event["config"]["model"]
    assert any(event["metadata"].get("cost", 0) > 0 for event in events)
    # The wire has the session's id, no name for it.
    assert {session["event_name"] for session in collector.sessions} == {events[0]["session_id"]}
    lines = [record.getMessage() for record in caplog.records if "redact" in record.getMessage()]
    assert len(lines) == 1
    assert_clean(caplog.text)


def test_it_may_fail_on_one_half_alone(begin: Callable[..., None], collector: Collector) -> None:
    def half(content: Json) -> Json:
        if content["outputs"]:
            raise ValueError
        return content

    begin(redact=half)
    litellm.completion(model="gpt-4o", messages=[{"role": "user", "content": "hello"}], mock_response="secret")
    until_committed(1)
    (event,) = delivered(collector)
    assert event["inputs"]["chat_history"] == [{"role": "user", "content": "hello"}]
    assert event["outputs"] == {}
    assert event["metadata"]["redaction_failed"] is True


def test_no_half_of_an_address_stays_where_a_text_was_cut(
    begin: Callable[..., None], collector: Collector, tmp_path: Path
) -> None:
    begin(redact="card", max_field_bytes=512)
    for shift in range(0, 40, 3):
        text = "y" * (450 + shift) + " " + f"{CARD}, " * 400
        litellm.completion(model="gpt-4o", messages=[{"role": "user", "content": text}], mock_response="hi")
    until_committed(14)
    assert CARD[:6] not in on_disk(tmp_path)  # four digits may be part of an id
    contents = [e["inputs"]["chat_history"][0]["content"] for e in delivered(collector)]
    assert all(len(content.encode()) <= 512 and "[truncated" in content for content in contents)


def test_credentials_are_gone_before_a_function_sees_the_content_and_after_it_too(
    begin: Callable[..., None], collector: Collector, tmp_path: Path
) -> None:
    secret = "sk-proj-" + "Zq7" * 12
    seen: List[str] = []

    def careless(content: Json) -> Json:
        seen.append(json.dumps(content))
        return {**content, "inputs": {"key": f"api_key={secret}", "password": "plain"}}

    begin(redact=careless)
    litellm.completion(
        model="gpt-4o", messages=[{"role": "user", "content": f"my key is {secret}"}], mock_response=f"is it {secret}?"
    )
    until_committed(1)
    assert "Zq7" not in on_disk(tmp_path) + "".join(seen)
    (event,) = delivered(collector)
    assert event["inputs"] == {"key": "api_key=[redacted: api key]", "password": "[redacted]"}
