"""What was paid once has its tokens and its cost on one event, however often it is polled."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar, Dict, Iterator, List

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm.testing import Collector

from ..versions import needs_litellm

pytestmark = [
    needs_litellm("1.110", "it computes other costs for polls"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

USAGE = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
MESSAGE = {"role": "assistant", "content": "hi"}
CHAT = {"id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini", "usage": USAGE}
CHAT["choices"] = [{"index": 0, "finish_reason": "stop", "message": MESSAGE}]
LINE = {"custom_id": "c", "error": None, "response": {"status_code": 200, "body": CHAT}}
BATCH = {
    "id": "batch-1",
    "object": "batch",
    "endpoint": "/v1/chat/completions",
    "input_file_id": "in",
    "completion_window": "24h",
    "created_at": 1,
}
RESPONSE = {
    "object": "response",
    "created_at": 1,
    "model": "gpt-4o-mini",
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
TEXT = {"type": "output_text", "text": "hi", "annotations": []}
OUTPUT = [{"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [TEXT]}]
COUNTS = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
VIDEO = {"id": "video_1", "object": "video", "created_at": 1, "model": "sora-2", "seconds": "4", "size": "720x1280"}


class Provider(BaseHTTPRequestHandler):
    """Batches, responses and videos that are done at their second poll."""

    polls: ClassVar[Dict[str, int]] = {}

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if "videos" in self.path:
            self._answer({**VIDEO, "status": "queued"})
        elif json.loads(body).get("background"):
            self._answer({**RESPONSE, "id": "resp_bg", "background": True, "status": "queued", "output": []})
        else:
            self._answer(self._done("resp_now", background=False))

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        self.polls[self.path] = count = self.polls.get(self.path, 0) + 1
        if name == "content":
            self._answer(LINE)
        elif name == "batch-1":
            done = {"status": "completed", "output_file_id": "out"}
            self._answer({**BATCH, **(done if count > 1 else {"status": "in_progress"})})
        elif name == "resp_bg" and count == 1:
            self._answer({**RESPONSE, "id": name, "background": True, "status": "in_progress", "output": []})
        elif "videos" in self.path:
            self._answer({**VIDEO, "status": "completed"})
        else:
            self._answer(self._done(name, background=name == "resp_bg"))

    def _done(self, id_: str, background: bool) -> Dict[str, Any]:
        return {
            **RESPONSE, "id": id_, "background": background, "status": "completed", "output": OUTPUT, "usage": COUNTS,
        }  # fmt: skip

    def _answer(self, body: Dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def provider(request: pytest.FixtureRequest) -> Iterator[Dict[str, Any]]:
    Provider.polls.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), getattr(request, "param", Provider))
    Thread(target=server.serve_forever, daemon=True).start()
    yield {"api_base": f"http://127.0.0.1:{server.server_port}/v1", "api_key": "sk-local"}
    server.shutdown()
    server.server_close()
    litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()  # here, where unclosed sockets of LiteLLM's are forgiven


def figures(event: Dict[str, Any]) -> Dict[str, Any]:
    return {name: value for name, value in event["metadata"].items() if "tokens" in name or "cost" in name}


def polled(traced: Collector, name: str) -> List[Dict[str, Any]]:
    honeyhive_litellm.flush(20)
    polls = [event for event in traced.events if event["event_name"] == name]
    assert {event["event_type"] for event in polls} == {"tool"}
    return polls


def test_a_batch_costs_what_its_first_finished_poll_reports(traced: Collector, provider: Dict[str, Any]) -> None:
    async def poll() -> None:
        for _ in range(4):
            await litellm.aretrieve_batch(batch_id="batch-1", custom_llm_provider="openai", **provider)
            assert await honeyhive_litellm.aflush(20) == 0

    asyncio.run(poll())
    polls = polled(traced, "retrieve_batch")
    assert len(traced.events) == len(polls) == 4, "nobody asked for the file whose lines have the tokens"
    paid = [figures(event) for event in polls if figures(event)]
    assert len(paid) == 1
    assert paid[0]["total_tokens"] == 1500 and paid[0]["cost"] > 0
    assert not figures(polls[0])
    assert all(event["inputs"] == {"batch_id": "batch-1"} for event in polls)


def test_where_the_lines_of_a_batch_are_events_its_cost_is_theirs_and_no_polls(
    traced: Collector, provider: Dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from litellm.batches import batch_line_items as lines

    source = lines.BatchLineItemSource(
        "batch-1", 1, "gpt-4o-mini", "openai", "openai", None, lines.line_item_metadata({})
    )
    (part,) = lines.batch_line_item_parts(source, b"", [json.dumps(LINE).encode()], 10**6)
    assert part["lines"][0]["response_cost"] > 0
    monkeypatch.setattr(litellm, "batch_line_item_callbacks", [*litellm.callbacks])

    async def finish() -> None:
        for _ in range(2):
            await litellm.aretrieve_batch(batch_id="batch-1", custom_llm_provider="openai", **provider)
        await lines.dispatch_batch_line_items(part, redact_bodies=False)
        assert await honeyhive_litellm.aflush(20) == 0

    asyncio.run(finish())
    assert sorted(event["event_type"] for event in traced.events) == ["model", "tool", "tool"]
    (paid,) = (event for event in traced.events if figures(event))
    assert paid["event_type"] == "model"
    assert paid["metadata"]["cost"] == pytest.approx(part["lines"][0]["response_cost"])


def test_the_file_of_a_batch_is_an_event_when_the_caller_asks_for_it(
    traced: Collector, provider: Dict[str, Any]
) -> None:
    litellm.file_content(file_id="out", custom_llm_provider="openai", **provider)
    (event,) = polled(traced, "file_content")
    assert event["inputs"]["file_id"] == "out"


def test_an_answered_call_without_a_start_hook_is_an_event_though_its_loop_ends_at_once(
    traced: Collector, provider: Dict[str, Any]
) -> None:
    for _ in range(4):
        asyncio.run(litellm.aretrieve_batch(batch_id="batch-1", custom_llm_provider="openai", **provider))
        asyncio.run(litellm.afile_content(file_id="out", custom_llm_provider="openai", **provider))
    assert honeyhive_litellm.flush(20) == 0
    polls = polled(traced, "retrieve_batch")
    files = polled(traced, "file_content")
    assert len(polls) == len(files) == 4 and len(traced.events) == 8
    assert {event["metadata"]["status"] for event in traced.events} == {"success"}
    assert [event["outputs"]["status"] for event in polls] == ["in_progress"] + ["completed"] * 3
    assert {event["inputs"]["file_id"] for event in files} == {"out"}


@pytest.mark.parametrize("is_async", [False, True])
def test_a_stored_response_has_its_tokens_in_the_event_of_the_call(
    traced: Collector, provider: Dict[str, Any], is_async: bool
) -> None:
    async def call() -> None:
        made = await litellm.aresponses(model="openai/gpt-4o-mini", input="why?", **provider)
        await honeyhive_litellm.aflush(20)
        for id_ in (made.id, "resp_now", "resp_of_another_process"):
            chosen = {"response_id": id_, "custom_llm_provider": "openai", **provider}
            await litellm.aget_responses(**chosen) if is_async else litellm.get_responses(**chosen)
        await honeyhive_litellm.aflush(20)

    asyncio.run(call())
    polls = polled(traced, "get_responses")
    assert [list(event["inputs"]) for event in polls] == [["response_id"]] * 3
    assert [figures(event) for event in polls] == [{}] * 3
    (made,) = (event for event in traced.events if event["event_name"] == "responses")
    assert figures(made)["total_tokens"] == 18 and made["metadata"]["cost"] > 0


def test_a_response_in_the_background_has_them_in_its_first_finished_poll(
    traced: Collector, provider: Dict[str, Any]
) -> None:
    async def call() -> None:
        made = await litellm.aresponses(model="openai/gpt-4o-mini", input="why?", background=True, **provider)
        for _ in range(4):
            await litellm.aget_responses(response_id=made.id, custom_llm_provider="openai", **provider)
            await honeyhive_litellm.aflush(20)

    asyncio.run(call())
    paid = [figures(event) for event in traced.events if figures(event)]
    assert len(paid) == 1
    assert paid[0]["total_tokens"] == 18 and paid[0]["cost"] > 0
    assert figures(polled(traced, "get_responses")[1]) == paid[0]


def test_a_video_has_its_cost_in_the_event_of_the_call(traced: Collector, provider: Dict[str, Any]) -> None:
    async def call() -> None:
        made = await litellm.avideo_generation(model="openai/sora-2", prompt="a cat", seconds="4", **provider)
        for _ in range(2):
            await litellm.avideo_status(video_id=made.id, custom_llm_provider="openai", **provider)
        await honeyhive_litellm.aflush(20)

    asyncio.run(call())
    assert [figures(event) for event in polled(traced, "video_status")] == [{}, {}]
    (made,) = (event for event in traced.events if event["event_type"] == "model")
    assert made["metadata"]["cost"] > 0


class Streams(Provider):
    """A message whose end does not come, and a response that fails after its first words."""

    def do_POST(self) -> None:
        is_message = "messages" in self.path
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for event in MESSAGE_EVENTS if is_message else RESPONSE_EVENTS:
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())


BEGUN = {"id": "m1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": []}
MESSAGE_EVENTS: List[Dict[str, Any]] = [
    {"type": "message_start", "message": {**BEGUN, "usage": {"input_tokens": 11, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
]
FAILED = {**RESPONSE, "id": "r1", "status": "failed", "output": [], "usage": COUNTS}
FAILED["error"] = {"code": "server_error", "message": "boom"}
RESPONSE_EVENTS: List[Dict[str, Any]] = [
    {"type": "response.created", "response": {**RESPONSE, "id": "r1", "status": "in_progress", "output": []}},
    {"type": "response.output_text.delta", "item_id": "i", "output_index": 0, "content_index": 0, "delta": "Hi"},
    {"type": "response.failed", "response": FAILED},
]


@pytest.mark.parametrize("provider", [Streams], indirect=True)
def test_counts_are_an_estimate_unless_the_provider_sent_the_last_of_them(
    traced: Collector, provider: Dict[str, Any]
) -> None:
    async def read() -> None:
        root = {**provider, "api_base": provider["api_base"][: -len("/v1")]}
        message = {"model": "anthropic/claude-sonnet-4-5", "max_tokens": 9, "messages": [MESSAGE], "stream": True}
        stream = await litellm.anthropic.messages.acreate(**message, **root)
        with contextlib.suppress(Exception):
            async for _ in stream:
                pass
        with contextlib.suppress(Exception):
            async for _ in await litellm.aresponses(model="openai/gpt-4o-mini", input="why?", stream=True, **provider):
                pass
        await honeyhive_litellm.aflush(20)

    asyncio.run(read())
    honeyhive_litellm.flush(20)
    message, response = sorted(traced.events, key=lambda event: str(event["event_name"]))
    assert message["outputs"]["content"] == "Hello"
    assert message["metadata"]["usage_estimated"] is True
    assert "cost" not in message["metadata"]
    assert response["metadata"]["status"] == "failure"
    assert response["metadata"]["total_tokens"] == 18
    assert "usage_estimated" not in response["metadata"]
    assert response["metadata"]["cost"] > 0
