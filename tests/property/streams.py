"""Random streams of three protocols, and a server that sends them byte for byte."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Tuple

from hypothesis import strategies as st

from honeyhive_litellm.testing._server_thread import ServerThread

Event = Dict[str, Any]

WHOLE, ENDED, BROKEN, HELD = "whole", "ended", "broken", "held"
"""How a script ends: with all its bytes; after some of them, in good order; or cut off. Held: it waits for more."""


@dataclass(frozen=True)
class Script:
    """What the server sends, and how its reader reads it.

    `protocol` is the provider's, and `api` the reader's: LiteLLM translates one to the other.
    `cut` is the share of the bytes that are sent, in thousandths. `piece` is how many bytes are written at once.
    `reads` is after how many chunks the reader leaves; 0 for one that reads to the end.
    """

    protocol: str
    api: str
    events: Tuple[Event, ...]
    is_async: bool
    ending: str
    cut: int
    piece: int
    reads: int

    @property
    def body(self) -> bytes:
        lines = [b"data: [DONE]\n\n" if event == DONE else self._line(event) for event in self.events]
        body = b"".join(lines)
        return body if self.ending in (WHOLE, HELD) else body[: len(body) * self.cut // 1000]

    def _line(self, event: Event) -> bytes:
        name = f"event: {event['type']}\n".encode() if self.protocol != "chat" else b""
        return name + b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"


DONE: Event = {"done": True}

texts = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=6)
pieces = st.lists(texts, max_size=4)
arguments = st.dictionaries(st.sampled_from("abc"), st.integers(0, 9) | texts, max_size=2).map(json.dumps)
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


@st.composite
def cut_in_pieces(draw: st.DrawFn, whole: str) -> List[str]:
    places = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=2)))
    return [whole[start:end] for start, end in zip([0, *places], [*places, len(whole)])]


@st.composite
def calls(draw: st.DrawFn) -> List[Tuple[str, str, List[str]]]:
    """Tool calls: the id, the name, the arguments in pieces."""
    count = draw(st.integers(0, 3))
    return [(f"call_{place}", f"tool_{place}", draw(cut_in_pieces(draw(arguments)))) for place in range(count)]


# ---- chats


@st.composite
def chats(draw: st.DrawFn) -> List[Event]:
    deltas: List[Event] = [{"role": "assistant", "content": draw(st.sampled_from(["", None]))}]
    deltas += [{"reasoning_content": piece} for piece in draw(pieces)]
    deltas += [{"content": piece} for piece in draw(pieces)]
    is_shared = draw(st.booleans())  # some providers send parallel calls under one index
    for place, (id_, name, parts) in enumerate(draw(calls())):
        index = 0 if is_shared else place
        first = {"name": name, "arguments": parts[0]}
        deltas.append({"tool_calls": [{"index": index, "id": id_, "type": "function", "function": first}]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": part}}]} for part in parts[1:]]
    usage_place = draw(st.sampled_from(["none", "each", "finish", "after"]))
    chunks = [_chunk([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
    if usage_place == "each":
        chunks = [{**chunk, "usage": USAGE} for chunk in chunks]
    reason = draw(st.sampled_from(["stop", "length", "tool_calls", "content_filter"]))
    last = _chunk([{"index": 0, "delta": {}, "finish_reason": reason}])
    chunks.append({**last, "usage": USAGE} if usage_place in ("each", "finish") else last)
    if usage_place == "after":
        chunks.append({**_chunk([]), "usage": USAGE})
    error = {"error": {"message": "Overloaded", "type": "server_error", "code": "overloaded"}}
    return [*draw(with_error(chunks, error)), DONE]


def _chunk(choices: List[Event]) -> Event:
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini", "choices": choices}


# ---- Anthropic's messages


@st.composite
def messages(draw: st.DrawFn) -> List[Event]:
    start = {"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": []}
    usage = {"input_tokens": 11, "output_tokens": 1}
    events: List[Event] = [
        {"type": "message_start", "message": {**start, "stop_reason": None, "stop_sequence": None, "usage": usage}}
    ]
    blocks: List[Tuple[Event, List[Event]]] = []
    if draw(st.booleans()):
        thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in draw(pieces)]
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, thoughts))
    blocks += [
        ({"type": "text", "text": ""}, [{"type": "text_delta", "text": part} for part in parts])
        for parts in draw(st.lists(pieces, max_size=2))
    ]
    for id_, name, parts in draw(calls()):
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
        blocks.append(({"type": "tool_use", "id": id_, "name": name, "input": {}}, deltas))
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
        events += [{"type": "ping"}] if draw(st.booleans()) else []
    reason = draw(st.sampled_from(["end_turn", "max_tokens", "tool_use"]))
    events.append(
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": {"output_tokens": 7},
        }
    )
    events.append({"type": "message_stop"})
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    return draw(with_error(events, error))


# ---- the Responses API


@st.composite
def responses(draw: st.DrawFn) -> List[Event]:
    body = {
        "id": "r", "object": "response", "created_at": 1, "model": "gpt-4o-mini", "parallel_tool_calls": True,
        "tool_choice": "auto", "tools": [], "output": [],
    }  # fmt: skip
    events: List[Event] = [{"type": "response.created", "response": {**body, "status": "in_progress"}}]
    output: List[Event] = []
    parts = draw(pieces)
    if parts:
        place = {"output_index": 0, "item_id": "msg_0"}
        message = {"type": "message", "id": "msg_0", "status": "in_progress", "role": "assistant", "content": []}
        events.append({"type": "response.output_item.added", "output_index": 0, "item": message})
        events += [
            {"type": "response.output_text.delta", **place, "content_index": 0, "delta": part, "logprobs": []}
            for part in parts
        ]
        content = [{"type": "output_text", "text": "".join(parts), "annotations": []}]
        output.append({**message, "status": "completed", "content": content})
        if draw(st.booleans()):
            events.append({"type": "response.output_item.done", "output_index": 0, "item": output[-1]})
    for id_, name, pieces_ in draw(calls()):
        place = {"output_index": len(output), "item_id": f"fc_{id_}"}
        call = {"type": "function_call", "id": f"fc_{id_}", "call_id": id_, "name": name, "arguments": ""}
        events.append({"type": "response.output_item.added", **place, "item": call})
        events += [
            {"type": "response.function_call_arguments.delta", **place, "delta": piece} for piece in pieces_ if piece
        ]
        output.append({**call, "arguments": "".join(pieces_), "status": "completed"})
    status = draw(st.sampled_from(["completed", "completed", "incomplete", "failed"]))
    last = {**body, "status": status, "output": output if draw(st.booleans()) else []}
    last["usage"] = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
    if status == "incomplete":
        last["incomplete_details"] = {"reason": "max_output_tokens"}
    if status == "failed":
        last["error"] = {"code": "server_error", "message": "Overloaded"}
    events.append({"type": f"response.{status}", "response": last})
    error = {"type": "error", "code": "server_error", "message": "Overloaded", "param": None}
    found: List[Event] = draw(with_error(events, error))
    return [{**event, "sequence_number": number} for number, event in enumerate(found)]


@st.composite
def with_error(draw: st.DrawFn, events: List[Event], error: Event) -> List[Event]:
    """Some streams break off with an error event of the provider."""
    if draw(st.integers(0, 4)):
        return events
    return [*events[: draw(st.integers(1, len(events)))], error]


PROTOCOLS = {"chat": chats(), "messages": messages(), "responses": responses()}
ROUTES = (
    *((protocol, protocol) for protocol in PROTOCOLS),
    ("messages", "chat"), ("messages", "responses"), ("responses", "messages"),
)  # fmt: skip
"""What the provider speaks and what the reader gets."""


@st.composite
def scripts(draw: st.DrawFn, routes: Sequence[Tuple[str, str]] = ROUTES) -> Script:
    protocol, api = draw(st.sampled_from(routes))
    return Script(
        protocol=protocol,
        api=api,
        events=tuple(draw(PROTOCOLS[protocol])),
        is_async=api == "messages" or draw(st.booleans()),
        ending=draw(st.sampled_from([WHOLE, WHOLE, WHOLE, ENDED, BROKEN])),
        cut=draw(st.integers(0, 1000)),
        piece=draw(st.sampled_from([7, 100, 4096])),
        reads=draw(st.sampled_from([0, 0, 0, 1, 2, 5])),
    )


# ---- the server


class ScriptServer(ServerThread):
    """Sends the script whose number the request's body names: `case-12`."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: Dict[int, Script] = {}
        self.url = ""

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready()
        async with server:
            await self._closing.wait()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            body = await reader.readexactly(int(length.group(1)) if length else 0)
            number = re.search(rb"case-(\d+)", body)
            if number is None:  # LiteLLM's proxy looks what is there
                writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                await writer.drain()
                return
            script = self.scripts[int(number.group(1))]
            await self._send(script, writer)
            if script.ending == HELD:
                await reader.read()  # until the client closes the connection
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the reader has left
        finally:
            writer.close()

    @staticmethod
    async def _send(script: Script, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n"
        writer.write(head + b"transfer-encoding: chunked\r\n\r\n")
        body = script.body
        for start in range(0, len(body), script.piece):
            piece = body[start : start + script.piece]
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        if script.ending in (WHOLE, ENDED):
            writer.write(b"0\r\n\r\n")
        await writer.drain()
