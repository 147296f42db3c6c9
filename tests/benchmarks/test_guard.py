"""What recording a call costs may not creep up unseen.

Time is no measure in CI, so steps are counted: calls of Python functions and of C functions, from the hook of a call's
start to the encoded event. The same input takes the same steps on every machine, within one version of Python;
versions differ by some percent, because some inline what others call. That nothing is done twice is seen in the bytes.
"""

from __future__ import annotations

import gc
import itertools
import sys
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import Any, Callable, Dict, List, Tuple

import orjson
import pytest

from honeyhive_litellm import Settings
from honeyhive_litellm import _json as event
from honeyhive_litellm._capture.recorder import Recorder
from honeyhive_litellm._privacy import sanitize as redaction
from honeyhive_litellm._privacy.clean_texts import CleanTexts
from honeyhive_litellm._privacy.credentials import possible_rules
from honeyhive_litellm._spool.record import EVENT, START, Entry, Record

from ..faults.emitter import NoLiteLLM

MOST_CALLS = 885
"""For a chat of five messages: a little above what was counted when this was last looked at, which is the margin for
Python 3.8 to 3.13. Who exceeds it has to make something cheaper, or to say in the commit why it is worth it."""

MOST_CALLS_A_MESSAGE = 17.5
"""For each further message, likewise."""

MOST_CALLS_FOR_TOOLS = 8
"""For tools that another call had before, however many they are, likewise."""

MOST_BLOCKS = 110
"""The blocks of memory that a call in flight keeps, with its start record, likewise; 99 to 101 were counted."""

QUESTION = "The spool keeps what was committed until the server has accepted it; 42 calls took 3.14 s each. " * 6
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
NUMBERS = itertools.count(1)
USAGE = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}


class Recorded:
    """A recorder, and the hooks of one call after the other."""

    def __init__(self, folder: Path, messages: int = 4, tools: int = 0) -> None:
        self.records: List[Record] = []
        settings = Settings(api_key="k", project="p", api_url="http://127.0.0.1:9", spool_path=folder)
        self._recorder = Recorder(settings, self._take, NoLiteLLM(), "honeyhive_event_id")
        self._messages = messages
        self._tools = {"tools": [_tool(number) for number in range(tools)]} if tools else {}
        self.number = 0

    def _take(self, entry: Entry) -> int:
        """Encode at once what the writer's thread encodes otherwise."""
        record = entry.encode()
        assert record is not None
        self.records.append(record)
        return 0

    def hooks(self) -> Tuple[Callable[[], None], Callable[[], None]]:
        """The start and the success of the next call, none of whose texts came before."""
        self.number = next(NUMBERS)
        details: Dict[str, Any] = {
            "litellm_call_id": f"00000000-0000-4000-8000-{self.number:012d}",
            "litellm_trace_id": f"10000000-0000-4000-8000-{self.number:012d}",
            "call_type": "acompletion",
            "model": "gpt-4o",
            "custom_llm_provider": "openai",
            "messages": [{"role": "user", "content": self.question(place)} for place in range(self._messages)],
            "start_time": NOW,
            "optional_params": {"temperature": 0.5, "max_tokens": 100, **self._tools},
            "litellm_params": {"metadata": {"team": "search"}, "api_base": "https://api.openai.com/v1"},
        }
        payload = {"startTime": NOW.timestamp(), "endTime": NOW.timestamp() + 1, "response_cost": 0.001}
        answer = {"message": {"role": "assistant", "content": self.question(-1)}, "finish_reason": "stop"}
        response = {"id": "chatcmpl-1", "model": "gpt-4o-2024", "choices": [answer], "usage": USAGE}

        def succeed() -> None:
            details.update(standard_logging_object=payload)
            self._recorder.on_success(details, response)

        return lambda: self._recorder.on_start(details, self), succeed

    def question(self, place: int) -> str:
        return f"call {self.number:04d}, message {place} {QUESTION}"


def _tool(number: int) -> Dict[str, Any]:
    properties = {name: {"type": "string", "description": f"what {name} is"} for name in ("town", "day", "unit")}
    return {"type": "function", "function": {"name": f"tool_{number}", "parameters": {"properties": properties}}}


def calls_of(*steps: Callable[[], None]) -> Counter[str]:
    """How often each function was called meanwhile."""
    counted: Counter[str] = Counter()

    def count(frame: FrameType, what: str, function: Any) -> None:
        if what == "call":
            counted[frame.f_code.co_name] += 1
        elif what == "c_call":
            counted[function.__name__] += 1

    gc.disable()  # what other tests left is not to be counted
    try:
        for step in steps:
            sys.setprofile(count)
            try:
                step()
            finally:
                sys.setprofile(None)
    finally:
        gc.enable()
    return counted


@pytest.fixture(autouse=True)
def _no_texts_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """After other tests the memory of texts that hold no credential may be about to forget some."""
    monkeypatch.setattr(redaction, "_clean_texts", CleanTexts(2**21))


@pytest.fixture(autouse=True)
def _no_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry's span is read if anything has imported OpenTelemetry, as another test may have."""
    monkeypatch.delitem(sys.modules, "opentelemetry.trace", raising=False)


def counted_calls(folder: Path, messages: int = 4, tools: int = 0) -> Counter[str]:
    recorded = Recorded(folder, messages, tools)
    for _ in range(3):  # names and patterns are learnt
        for step in recorded.hooks():
            step()
    recorded.records.clear()
    counted = calls_of(*recorded.hooks())
    assert [record.kind for record in recorded.records] == [START, EVENT]
    return counted


def test_a_call_takes_no_more_steps_than_it_did(tmp_path: Path) -> None:
    counted = counted_calls(tmp_path)
    assert sum(counted.values()) <= MOST_CALLS, counted.most_common(30)


def test_a_call_in_flight_keeps_no_more_memory_than_it_did(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path)
    kept = []
    for _ in range(6):
        start, succeed = recorded.hooks()
        gc.collect()
        gc.disable()
        try:
            before = sys.getallocatedblocks()
            start()
            kept.append(sys.getallocatedblocks() - before)
        finally:
            gc.enable()
        succeed()
    assert 50 < min(kept) <= MOST_BLOCKS, kept  # the first ones fill caches


def test_the_same_call_takes_the_same_steps(tmp_path: Path) -> None:
    assert counted_calls(tmp_path / "a") == counted_calls(tmp_path / "b")


def test_a_further_message_takes_few_steps(tmp_path: Path) -> None:
    few, many = (sum(counted_calls(tmp_path, messages).values()) for messages in (4, 104))
    assert (many - few) / 100 <= MOST_CALLS_A_MESSAGE


def test_tools_that_recur_take_few_steps_however_many_they_are(tmp_path: Path) -> None:
    none, few, many = (sum(counted_calls(tmp_path, tools=tools).values()) for tools in (0, 1, 100))
    assert few == many <= none + MOST_CALLS_FOR_TOOLS


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> List[str]:
    """The texts that were searched for credentials."""
    texts: List[str] = []

    def noted(text: str) -> Any:
        texts.append(text)
        return possible_rules(text)

    monkeypatch.setattr(redaction, "possible_rules", noted)
    return texts


def test_a_question_is_searched_once_and_encoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, searched: List[str]
) -> None:
    encoded: List[bytes] = []
    dumps = orjson.dumps

    class Dumps:
        @staticmethod
        def dumps(value: object) -> bytes:
            encoded.append(dumps(value))
            return encoded[-1]

    monkeypatch.setattr(event, "orjson", Dumps)
    recorded = Recorded(tmp_path)
    for step in recorded.hooks():
        step()
    question = recorded.question(3)
    start, end = (record.body.decode() for record in recorded.records)
    assert start.count(question) == end.count(question) == 1
    assert sum(text.count(question) for text in searched) == 1
    assert sum(text.decode().count(question) for text in encoded) == 1


def test_what_a_chat_says_again_is_not_searched_again(searched: List[str]) -> None:
    number = next(NUMBERS)
    history = [{"role": "user", "content": f"chat {number}, turn {turn}"} for turn in range(20)]
    for turns in range(1, 21):
        assert redaction.clean(history[:turns], 1000) == history[:turns]
    for turn in history:
        assert sum(text.split("\n").count(turn["content"]) for text in searched) == 1
