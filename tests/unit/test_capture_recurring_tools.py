"""Tools: what recurs is cleaned and encoded once, and is in every event all the same."""

from __future__ import annotations

import copy
import json
import uuid
from typing import Any, Dict, List, Mapping

import pytest

from honeyhive_litellm import Settings
from honeyhive_litellm._capture import recurring_tools
from honeyhive_litellm._capture.recorder import Recorder
from honeyhive_litellm._capture.recurring_tools import RecurringTools
from honeyhive_litellm._json import encode, snapshot
from honeyhive_litellm._spool.record import EVENT, Entry

from ..faults.emitter import NoLiteLLM

KEY = "sk-proj-abcdefgh12345678"


def tool(name: str = "weather", **more: Any) -> Dict[str, Any]:
    parameters = {"type": "object", "properties": {"town": {"type": "string", "default": None, **more}}}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


class Calls:
    """A recorder whose records are encoded when `functions` asks for them, after the caller has gone on."""

    def __init__(self, **options: Any) -> None:
        self._queue: List[Entry] = []
        settings = Settings(api_key="k", project="p", **options)
        self._recorder = Recorder(settings, self._submit, NoLiteLLM(), "honeyhive_event_id")

    def _submit(self, entry: Entry) -> int:
        self._queue.append(entry)
        return len(self._queue)

    def make(self, tools: object) -> None:
        details = {"litellm_call_id": str(uuid.uuid4()), "call_type": "completion", "optional_params": {"tools": tools}}
        self._recorder.on_start(details, self)
        self._recorder.on_success(details, {"choices": [{"message": {"role": "assistant", "content": "yes"}}]})

    def functions(self) -> List[object]:
        """The `functions` of each event."""
        records = [entry.encode() for entry in self._queue if entry.kind == EVENT]
        return [json.loads(record.body)["inputs"].get("functions") for record in records if record is not None]


@pytest.fixture
def calls() -> Calls:
    return Calls()


def test_tools_that_recur_are_in_every_event_as_they_were_when_the_call_began(calls: Calls) -> None:
    tools = [tool(), tool("time")]
    before = copy.deepcopy(tools)
    calls.make(tools)
    calls.make(tools)
    tools.pop()
    tools[0]["function"]["name"] = "changed"
    calls.make(tools)
    assert calls.functions() == [before, before, [tool("changed")]]


def test_a_credential_among_tools_is_redacted_in_every_event(calls: Calls) -> None:
    for _ in range(3):
        calls.make([tool(description=f"use {KEY}"), tool(api_key="plain")])
    for functions in calls.functions():
        assert KEY not in str(functions)
        assert "[redacted: api key]" in str(functions) and "'api_key': '[redacted]'" in str(functions)


class Parameters:
    """An object that is no part of JSON, but can dump itself."""

    def model_dump(self, **_: Any) -> Dict[str, Any]:
        return {"type": "object"}


@pytest.mark.parametrize(
    ("value", "recorded"), [(Parameters(), {"type": "object"}), (2**80, hex(2**80)), ("\ud800", "?"), ((1, 2), [1, 2])]
)
def test_tools_that_json_cannot_hold_are_recorded_like_any_other_value(
    calls: Calls, value: object, recorded: object
) -> None:
    for _ in range(2):
        calls.make([{"type": "custom", "parameters": value}])
    assert calls.functions() == [[{"type": "custom", "parameters": recorded}]] * 2


def test_a_function_of_the_user_sees_the_tools_of_every_call() -> None:
    seen: List[object] = []

    def redact(content: Dict[str, Any]) -> Mapping[str, Any]:
        if "functions" in content["inputs"]:
            seen.append(copy.deepcopy(content["inputs"]["functions"]))
            content["inputs"]["functions"][0]["function"]["name"] = f"tool {len(seen)}"
        return content

    calls = Calls(redact=(redact,))
    calls.make([tool()])
    calls.make([tool()])
    assert calls.functions() == [[tool("tool 1")], [tool("tool 2")]]
    assert seen == [[tool()], [tool()]]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recurring_tools, "REMEMBERED_BYTES", 10_000)
    cleaned: List[object] = []

    def clean(tools: object) -> object:
        cleaned.append(tools)
        return tools

    tools = RecurringTools(clean)
    for number in [*range(100), 99]:
        data = snapshot([tool(f"{number}")])
        assert data is not None and json.loads(encode(tools.encoded(data))) == [tool(f"{number}")]
    assert len(cleaned) == 100
    data = snapshot([tool("x" * 20_000)])
    for _ in range(2):
        assert data is not None and encode(tools.encoded(data)) == data
    assert len(cleaned) == 102
    data = snapshot([tool("0")])
    assert data is not None and tools.encoded(data) and len(cleaned) == 103
