"""A provider of chat completions that costs the caller nothing but HTTP: it answers everything alike after ANSWER_S.

    python benchmarks/_provider.py --serve      # until its standard input is closed

It is a process of its own, so that its CPU time is not the caller's.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import List

from _common import PROSE, Json
from _counting_server import HttpProtocol, ServerProcess, serve

ANSWER_S = 0.025
"""The time of a very fast provider."""

CHUNKS = 10
"""So many pieces has a stream."""

_HEAD: Json = {"id": "chatcmpl-1", "created": 1700000000, "model": "gpt-4o"}
_IS_STREAM = re.compile(rb'"stream":\s*true')


class Provider(ServerProcess):
    """The provider's process; `api_base` is what LiteLLM calls its address."""

    def __init__(self) -> None:
        super().__init__(__file__)

    @property
    def api_base(self) -> str:
        return f"{self.url}/v1"


def completion() -> bytes:
    """An answer that is no stream."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": PROSE}}
    usage = {"prompt_tokens": 400, "completion_tokens": 20, "total_tokens": 420}
    return json.dumps({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()


def stream() -> bytes:
    """An answer in CHUNKS pieces, as server-sent events."""
    deltas: List[Json] = [{"role": "assistant", "content": PROSE}, *({"content": PROSE},) * (CHUNKS - 2), {}]
    events = []
    for number, delta in enumerate(deltas, 1):
        choice = {"index": 0, "delta": delta, "finish_reason": "stop" if number == CHUNKS else None}
        events.append({**_HEAD, "object": "chat.completion.chunk", "choices": [choice]})
    return b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events) + b"data: [DONE]\n\n"


class _Answering(HttpProtocol):
    def answer(self, request: bytes, body: int) -> None:
        if _IS_STREAM.search(request, body):
            answer, kind = _STREAM, b"text/event-stream"
        else:
            answer, kind = _COMPLETION, b"application/json"
        asyncio.get_running_loop().call_later(ANSWER_S, self.reply, answer, b"200 OK", kind)


_COMPLETION, _STREAM = completion(), stream()

if __name__ == "__main__":
    if sys.argv[1:] != ["--serve"]:
        sys.exit(__doc__)
    asyncio.run(serve(_Answering))
