"""Whatever a provider streams and wherever it breaks off: the event has what the stream's reader got.

Each stream goes through LiteLLM's own code, from a server on loopback to a reader that notes what it gets. 500 streams
by default; `STREAM_EXAMPLES=20000` tries more, with `-o timeout=0 -p no:logging`: pytest would keep each log record of
LiteLLM's with the frames of its traceback.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

import litellm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import honeyhive_litellm
from honeyhive_litellm.testing import Collector

from ..versions import needs_litellm
from ..waiting import PATIENCE_S, until
from .streams import Script, ScriptServer, scripts

pytestmark = [
    needs_litellm("1.110", "its streams break otherwise, or are reported in less detail"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning"),
]

STREAMS_AT_ONCE = 10
STREAMS_A_COLLECTOR = 500
EXAMPLES = int(os.environ.get("STREAM_EXAMPLES", "500")) // STREAMS_AT_ONCE


@dataclass
class Reader:
    """What a reader got, by the plainest reading of each protocol."""

    text: str = ""
    reasoning: str = ""
    calls: List[Dict[str, Any]] = field(default_factory=list)
    finish_reason: Optional[str] = None
    has_error_event: bool = False
    has_left: bool = False
    error: Optional[BaseException] = None
    is_complete: bool = False
    has_output: bool = False
    data: bytes = b""

    def take(self, protocol: str, chunk: Any) -> None:
        if protocol == "chat":
            self._take_chat(chunk)
        elif protocol == "responses":
            self._take_response(chunk)
        else:
            self.data += chunk

    def _take_chat(self, chunk: Any) -> None:
        for choice in chunk.choices:
            delta = choice.delta
            self._add(delta.content, getattr(delta, "reasoning_content", None))
            for call in delta.tool_calls or ():
                same = [each for each in self.calls if each["index"] == call.index and call.id in (None, each["id"])]
                if not same:
                    same = [{"index": call.index, "id": call.id, "name": call.function.name, "arguments": ""}]
                    self.calls += same
                same[-1]["arguments"] += call.function.arguments or ""
                self.has_output = True
            self.finish_reason = choice.finish_reason or self.finish_reason
        self.is_complete = self.finish_reason is not None

    def _take_response(self, event: Any) -> None:
        kind = str(getattr(event.type, "value", event.type))
        if kind == "response.output_text.delta":
            self._add(event.delta)
        elif kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
            self._add(None, event.delta)
        elif kind == "response.output_item.added" and event.item.type == "function_call":
            call = {"index": event.output_index, "id": event.item.call_id, "name": event.item.name, "arguments": ""}
            self.calls.append(call)
        elif kind == "response.function_call_arguments.delta":
            (call,) = (call for call in self.calls if call["index"] == event.output_index)
            call["arguments"] += event.delta
            self.has_output = True
        elif kind in ("response.completed", "response.incomplete"):
            self.is_complete = True
            details = event.response.incomplete_details
            self.finish_reason = event.response.status if details is None else details.reason

    def end(self) -> None:
        """Read the bytes of Anthropic's messages."""
        for line in self.data.split(b"\n"):
            if line.startswith(b"data:"):
                try:
                    event = json.loads(line[len(b"data:") :])
                except ValueError:
                    continue
                self._take_message_event(event)

    def _take_message_event(self, event: Dict[str, Any]) -> None:
        kind, delta = event["type"], event.get("delta", {})
        block = event.get("content_block", {})
        if kind == "content_block_start" and block["type"] == "tool_use":
            self.calls.append({"index": event["index"], "id": block["id"], "name": block["name"], "arguments": ""})
        elif kind == "content_block_delta" and "partial_json" in delta:
            self.calls[-1]["arguments"] += delta["partial_json"]
            self.has_output = self.has_output or bool(delta["partial_json"])
        elif kind == "content_block_delta":
            self._add(delta.get("text"), delta.get("thinking"))
        elif kind == "message_delta":
            self.finish_reason = delta["stop_reason"]
        self.is_complete = self.is_complete or kind == "message_stop"
        self.has_error_event = self.has_error_event or kind == "error"

    def _add(self, text: Optional[str], reasoning: Optional[str] = None) -> None:
        self.text += text or ""
        self.reasoning += reasoning or ""
        self.has_output = self.has_output or bool(text or reasoning)

    def status(self, protocol: str) -> str:
        if self.error is not None or self.has_error_event:
            return "failure"
        if self.is_complete:
            return "success"
        if self.has_left:
            return "abandoned"
        return "failure" if self.data else "success"


class Stage:
    """One server and one loop for all streams, and a collector for some hundreds of them."""

    def __init__(self, server: ScriptServer, spool: Path) -> None:
        self.server = server
        self.loop = asyncio.new_event_loop()
        self.made = 0
        self._spool = spool
        self._collector: Optional[Collector] = None

    @property
    def collector(self) -> Collector:
        assert self._collector is not None
        return self._collector

    def renew_collector(self) -> None:
        """It keeps what it has got, and gives all of it when asked for its events."""
        self.close_collector()
        self._collector = Collector().__enter__()
        url = self._collector.url
        honeyhive_litellm.init(api_key="hh_key", project="tests", api_url=url, spool_path=self._spool)

    def close_collector(self) -> None:
        if self._collector is not None:
            honeyhive_litellm.shutdown(5)
            self._collector.close()

    def number(self, streams: List[Script]) -> Dict[int, Script]:
        """Have the server send these, each under its number."""
        if self.made % STREAMS_A_COLLECTOR == 0:
            self.renew_collector()
        numbered = {self.made + place: script for place, script in enumerate(streams)}
        self.made += len(streams)
        self.server.scripts = numbered
        return numbered


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    litellm.suppress_debug_info = True
    with ScriptServer() as server:
        stage = Stage(server, tmp_path_factory.mktemp("streams"))
        try:
            yield stage
        finally:
            stage.close_collector()
            stage.loop.close()
    litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()  # here, where unclosed sockets of LiteLLM's are forgiven


def open_stream(script: Script, number: int, url: str) -> Any:
    """Call LiteLLM; of an async call this is a coroutine."""
    model = "anthropic/claude-sonnet-4-5" if script.protocol == "messages" else "openai/gpt-4o-mini"
    route = {"model": model, "api_base": url, "api_key": "sk-local", "stream": True}
    content = [{"role": "user", "content": f"case-{number}"}]
    if script.api == "messages":
        ask = litellm.anthropic.messages.acreate
        return ask(messages=content, max_tokens=99, **route)
    if script.api == "responses":
        answer: Any = litellm.aresponses if script.is_async else litellm.responses
        return answer(input=f"case-{number}", **route)
    chat: Any = litellm.acompletion if script.is_async else litellm.completion
    return chat(messages=content, max_retries=0, **route)


async def read_async(script: Script, number: int, url: str) -> Reader:
    reader = Reader()
    try:
        stream = await open_stream(script, number, url)
        count = 0
        async for chunk in stream:
            reader.take(script.api, chunk)
            count += 1
            if count == script.reads:
                reader.has_left = True
                break
    except Exception as error:
        reader.error = error.with_traceback(None)
    reader.end()
    return reader


def read_sync(script: Script, number: int, url: str) -> Reader:
    reader = Reader()
    try:
        for count, chunk in enumerate(open_stream(script, number, url), 1):
            reader.take(script.api, chunk)
            if count == script.reads:
                reader.has_left = True
                break
    except Exception as error:
        reader.error = error.with_traceback(None)
    reader.end()
    return reader


async def read_all(stage: Stage, numbered: Dict[int, Script]) -> List[Reader]:
    """Read all of these streams at once, the sync ones on threads."""
    url, loop = stage.server.url, asyncio.get_running_loop()
    readers: List[Any] = [
        read_async(script, number, url)
        if script.is_async
        else loop.run_in_executor(None, read_sync, script, number, url)
        for number, script in numbered.items()
    ]
    read = list(await asyncio.gather(*readers))
    await honeyhive_litellm.aflush(10)
    return read


def case_of(event: Dict[str, Any]) -> int:
    return int(json.dumps(event["inputs"]).partition("case-")[2].partition('"')[0])


def events_of(stage: Stage, numbers: List[int]) -> Dict[int, Dict[str, Any]]:
    found: Dict[int, Dict[str, Any]] = {}

    def all_there() -> bool:
        honeyhive_litellm.flush(1)
        found.update((case_of(event), event) for event in stage.collector.events)
        return all(number in found for number in numbers)

    until(all_there, PATIENCE_S, lambda: f"no event of {[number for number in numbers if number not in found]}")
    assert set(stage.collector.receipts.values()) == {1}
    assert len(found) == len(stage.collector.events), "a stream has two events"
    return found


def called(outputs: Dict[str, Any]) -> List[Tuple[str, str, str]]:
    functions = [(call["id"], call["function"]) for call in outputs.get("tool_calls", ())]
    return [(id_, function["name"], function["arguments"]) for id_, function in functions]


def assert_as_read(script: Script, reader: Reader, event: Dict[str, Any]) -> None:
    outputs, metadata = event["outputs"], event["metadata"]
    assert (outputs.get("content") or "") == reader.text
    assert (outputs.get("reasoning_content") or "") == reader.reasoning
    empty = "{}" if script.api == "messages" else ""
    assert called(outputs) == [(call["id"], call["name"], call["arguments"] or empty) for call in reader.calls]
    assert outputs.get("finish_reason") == reader.finish_reason
    assert metadata["status"] == reader.status(script.api), reader
    assert metadata["success"] is (metadata["status"] == "success")
    assert bool(event.get("error")) is (metadata["status"] == "failure")
    assert ("time_to_first_token_ms" in metadata) is reader.has_output
    assert 0 <= metadata.get("time_to_first_token_ms", 0) <= metadata["duration_ms"]


@settings(max_examples=EXAMPLES)
@given(st.lists(scripts(), min_size=STREAMS_AT_ONCE, max_size=STREAMS_AT_ONCE))
def test_an_event_has_what_the_streams_reader_got(stage: Stage, streams: List[Script]) -> None:
    numbered = stage.number(streams)
    readers = stage.loop.run_until_complete(read_all(stage, numbered))
    events = events_of(stage, list(numbered))
    for (number, script), reader in zip(numbered.items(), readers):
        assert_as_read(script, reader, events[number])
