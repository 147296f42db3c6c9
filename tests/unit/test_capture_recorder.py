"""Hooks in orders that LiteLLM's callbacks take seldom: what becomes of each attempt, and that it becomes one event."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

from honeyhive_litellm import Settings
from honeyhive_litellm._capture.recorder import Recorder
from honeyhive_litellm._capture.stream_state import CANCELLED, CLOSED, END, ERROR
from honeyhive_litellm._spool.record import EVENT, START, Entry

from ..faults.emitter import NoLiteLLM

KEY = "honeyhive_event_id"
CALL_ID = "00000000-0000-4000-8000-000000000001"
PROXY = {"user_api_key_hash": "a" * 64, "user_api_key_alias": "jobs"}


class Wrapper:
    """Stands for LiteLLM's object that a stream is read through."""


class Hooks:
    """A recorder, and the records of which its hooks fill a queue."""

    def __init__(self, folder: Path) -> None:
        self.records: List[Dict[str, Any]] = []
        self.kinds: List[int] = []
        settings = Settings(api_key="k", project="p", api_url="http://127.0.0.1:9", spool_path=folder)
        self.recorder = Recorder(settings, self._take, NoLiteLLM(), KEY)

    def _take(self, entry: Entry) -> int:
        record = entry.encode()
        if record is not None:
            assert entry.id == record.id
            self.kinds.append(record.kind)
            if record.kind == EVENT:
                self.records.append(json.loads(record.body))
        return 1

    @property
    def event(self) -> Dict[str, Any]:
        """The only one."""
        (event,) = self.records
        assert self.recorder.in_flight == 0
        return event

    @property
    def statuses(self) -> List[str]:
        return [event["metadata"]["status"] for event in self.records]

    def awaits_callback(self) -> bool:
        return self.recorder.is_awaiting_callback

    def start(self, **more: Any) -> Dict[str, Any]:
        details = details_of(**more)
        self.recorder.on_start(details, self)
        return details

    def stream(self, *chunks: object, wrapper: Optional[Wrapper] = None, **more: Any) -> Dict[str, Any]:
        details = self.start(stream=True, **more)
        self.recorder.on_stream_start(details, wrapper, [])
        for chunk in chunks:
            self.recorder.on_chunk(details, wrapper, chunk)
        return details


@pytest.fixture
def hooks(tmp_path: Path) -> Hooks:
    return Hooks(tmp_path)


def details_of(metadata: Optional[Dict[str, Any]] = None, **more: Any) -> Dict[str, Any]:
    return {
        "litellm_call_id": CALL_ID, "call_type": "acompletion", "model": "gpt-4o", "litellm_params": {
            "metadata": metadata or {},
        },
        "messages": [{"role": "user", "content": "hello"}], **more,
    }  # fmt: skip


def chunk(text: str, finish_reason: Optional[str] = None) -> Dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}]}


ANSWER = {"id": "r", "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}]}


def test_the_token_in_litellms_details_is_a_plain_string_in_each_copy(hooks: Hooks) -> None:
    token = hooks.start()[KEY]
    for copied in (copy.deepcopy(token), pickle.loads(pickle.dumps(token))):
        assert (copied, type(copied)) == (CALL_ID, str)
    assert type(token) is not str


# ---- attempts of which LiteLLM does not report the end


def test_a_retry_without_an_end_is_a_failure_and_a_first_attempt_is_cancelled(hooks: Hooks) -> None:
    details = hooks.start()
    hooks.recorder.on_start(details, hooks)
    del details
    hooks.recorder.sweep()
    lone = hooks.start(litellm_call_id="00000000-0000-4000-8000-000000000002")
    del lone
    hooks.recorder.sweep()
    assert [(event["metadata"]["status"], event["error"].partition(":")[0]) for event in hooks.records] == [
        ("failure", "Retried"),
        ("failure", "Retried"),
        ("cancelled", "Cancelled"),
    ]
    assert "did not report how this attempt ended" in hooks.records[1]["error"]


def test_a_stream_that_litellm_tries_again_keeps_what_its_reader_got(hooks: Hooks) -> None:
    details = hooks.stream(chunk("Hel"))
    hooks.recorder.on_start(details, hooks)
    assert hooks.records[0]["outputs"]["content"] == "Hel"
    hooks.recorder.on_success(details, ANSWER)
    assert hooks.statuses == ["abandoned", "success"]
    assert len({event["event_id"] for event in hooks.records}) == 2


@pytest.mark.parametrize(
    ("reply", "outputs"), [(json.dumps(ANSWER), "hi"), (json.dumps(ANSWER)[:-5], None)], ids=["whole", "cut"]
)
def test_a_reply_is_a_success_whether_or_not_it_can_be_read(hooks: Hooks, reply: str, outputs: object) -> None:
    details = hooks.start()
    hooks.recorder.on_provider_reply({**details, "original_response": reply})
    del details
    hooks.recorder.sweep()
    assert hooks.event["metadata"]["status"] == "success"
    assert hooks.event["outputs"].get("content") == outputs


# ---- streams that LiteLLM reports before their reader has ended


def test_a_reported_stream_waits_for_its_reader_and_ends_when_it_is_dropped(hooks: Hooks) -> None:
    wrapper = Wrapper()
    details = hooks.start()
    hooks.recorder.on_provider_reply({**details, "original_response": "{}"})
    hooks.recorder.on_stream_start(details, wrapper, [])
    hooks.recorder.on_chunk(details, wrapper, chunk("Hel"))
    assert hooks.awaits_callback()
    hooks.recorder.on_success(details, wrapper)
    assert hooks.awaits_callback(), "that was the request which opened the stream"
    hooks.recorder.on_success(details, ANSWER)
    assert not hooks.awaits_callback()
    hooks.recorder.sweep()
    assert hooks.records == []
    del wrapper
    hooks.recorder.sweep()
    assert (hooks.event["metadata"]["status"], hooks.event["outputs"]["content"]) == ("abandoned", "Hel")


def test_an_error_that_the_reader_got_after_litellms_success_is_a_failure(hooks: Hooks) -> None:
    wrapper = Wrapper()
    details = hooks.stream(chunk("Hel"), wrapper=wrapper)
    hooks.recorder.on_success(details, ANSWER)
    hooks.recorder.on_read_end(details, ERROR, ConnectionError("cut off"), wrapper=wrapper)
    event = hooks.event
    assert (event["metadata"]["status"], event["error"]) == ("failure", "ConnectionError: cut off")
    assert (event["metadata"]["error_class"], event["outputs"]["content"]) == ("ConnectionError", "Hel")


@pytest.mark.parametrize("end", [None, CLOSED])
def test_a_cancelled_call_stays_cancelled_whatever_the_reader_did(hooks: Hooks, end: Optional[str]) -> None:
    wrapper = Wrapper()
    details = hooks.stream(chunk("Hel"), wrapper=wrapper)
    hooks.recorder.on_read_end(details, CANCELLED, asyncio.CancelledError(), wrapper=wrapper)
    if end is not None:
        hooks.recorder.on_read_end(details, end, wrapper=wrapper)
    hooks.recorder.on_failure({**details, "exception": asyncio.CancelledError()})
    assert hooks.event["metadata"]["status"] == "cancelled"
    assert hooks.event["outputs"]["content"] == "Hel"


@pytest.mark.parametrize(("proxy", "expected"), [({}, "abandoned"), (PROXY, "cancelled")])
def test_a_stream_that_a_client_of_the_proxy_leaves_is_cancelled(
    hooks: Hooks, proxy: Dict[str, Any], expected: str
) -> None:
    wrapper = Wrapper()
    details = hooks.stream(chunk("Hel"), wrapper=wrapper, metadata=proxy)
    hooks.recorder.on_read_end(details, CLOSED, wrapper=wrapper, is_reported=False)
    metadata = hooks.event["metadata"]
    assert metadata["status"] == expected
    assert metadata.get("proxy", {}).get("client_disconnected") == (True if proxy else None)


def test_the_outputs_of_a_stream_in_an_unknown_form_are_those_that_litellm_reports(hooks: Hooks) -> None:
    wrapper = Wrapper()
    details = hooks.stream({"frame": 1}, wrapper=wrapper)
    hooks.recorder.on_read_end(details, END, wrapper=wrapper)
    hooks.recorder.on_success(details, ANSWER)
    assert (hooks.event["metadata"]["status"], hooks.event["outputs"]["content"]) == ("success", "hi")


# ---- calls that are not to be recorded, and strict mode


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_call_that_is_to_be_skipped_has_no_event_if_the_cache_answers_it(hooks: Hooks, is_stream: bool) -> None:
    for skip in (True, False):
        details = details_of({"honeyhive_skip": skip})
        if is_stream:
            for _ in range(2):  # its wrapper may be wrapped again
                hooks.recorder.on_unstarted_stream(details, Wrapper(), is_cached=True)
        else:
            hooks.recorder.on_cache_hit(details, ANSWER, None)
        hooks.recorder.on_success(details, ANSWER)
        assert len(hooks.records) == (0 if skip else 1)
    assert hooks.event["metadata"]["status"] == ("abandoned" if is_stream else "success")


def test_no_checkpoint_follows_the_event(hooks: Hooks) -> None:
    details = hooks.start()

    class SlowError(RuntimeError):
        """While it is being read, another thread reports how the call failed."""

        def __str__(self) -> str:
            hooks.recorder.on_failure({**details, "exception": RuntimeError("reported")})
            return "seen"

    hooks.recorder.checkpoint(details, SlowError())
    assert hooks.kinds == [START, EVENT]
    assert hooks.event["error"] == "RuntimeError: reported"
    hooks.recorder.checkpoint(details, RuntimeError("late"))
    assert hooks.kinds == [START, EVENT]
