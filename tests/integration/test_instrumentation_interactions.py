"""Streams of Google's interactions: one event each, with what the reader got, however they end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Dict, Iterator, List

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm.testing import Collector

from ..versions import needs_litellm

pytestmark = [
    needs_litellm("1.110", "older ones read other events"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

USAGE = {"total_input_tokens": 3, "total_output_tokens": 2, "total_tokens": 5}
STEP = {"type": "model_output", "content": [{"type": "text", "text": "Hello"}]}
EVENTS: List[Dict[str, Any]] = [
    {"event_type": "interaction.created", "interaction": {"id": "i1", "status": "in_progress"}},
    {"event_type": "step.start", "index": 0, "step": {"type": "model_output", "content": []}},
    {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "Hel"}},
    {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "lo"}},
    {
        "event_type": "interaction.completed",
        "interaction": {"id": "i1", "status": "completed", "usage": USAGE, "steps": [STEP]},
    },
]
READ_OF_DROPPED = 3
ENDINGS = {
    "whole": ("success", "Hello"),
    "dropped": ("abandoned", "Hel"),
    "cut": ("failure", "Hel"),
    "without its last event": ("failure", "Hel"),
}


class Provider(BaseHTTPRequestHandler):
    """Streams an interaction; how it ends is the name of the model."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        ending = json.loads(self.rfile.read(int(self.headers["content-length"])))["model"]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in EVENTS if ending in ("whole", "dropped") else EVENTS[:READ_OF_DROPPED]:
            body = f"data: {json.dumps(event)}\n\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(body), body))
        if ending == "cut":
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def provider() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()  # here, where unclosed sockets of LiteLLM's are forgiven


async def read(ending: str, arguments: Dict[str, Any], is_async: bool) -> None:
    read_chunks = 0
    with contextlib.suppress(Exception):
        if is_async:
            async for _ in await litellm.interactions.acreate(**arguments):
                read_chunks += 1
                if ending == "dropped" and read_chunks == READ_OF_DROPPED:
                    break
        else:
            for _ in litellm.interactions.create(**arguments):
                read_chunks += 1
                if ending == "dropped" and read_chunks == READ_OF_DROPPED:
                    break
    gc.collect()


@pytest.mark.parametrize("is_async", [False, True])
def test_a_stream_of_an_interaction_ends_as_its_reader_saw_it(traced: Collector, provider: str, is_async: bool) -> None:
    async def read_all() -> None:
        for ending in ENDINGS:
            arguments = {"model": f"gemini/{ending}", "input": "hi", "stream": True}
            await read(ending, {**arguments, "api_base": provider, "api_key": "x"}, is_async)
        await honeyhive_litellm.aflush(20)

    asyncio.run(read_all())
    assert honeyhive_litellm.flush(20) == 0
    found = {
        event["config"]["model"]: (event["metadata"]["status"], event["outputs"]["content"]) for event in traced.events
    }
    assert found == ENDINGS
    assert len(traced.events) == len(ENDINGS)
    (whole,) = (event for event in traced.events if event["metadata"]["status"] == "success")
    assert whole["metadata"]["total_tokens"] == USAGE["total_tokens"]
