"""The model server's side of OpenAI's realtime API: a conversation over a websocket, in text and in sound.

What the user said is echoed, as text, or as sound (silence, in base64) with its transcript. A committed buffer of
sound counts as having said how many bytes it had.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Dict, List

from aiohttp import WSMsgType, web

from .answers import cut_into_pieces

Json = Dict[str, Any]

_SOUND = base64.b64encode(b"\x00" * 24_000).decode()


class Conversation:
    """One session: takes the client's events and says what the server sends for each."""

    def __init__(self, model: str) -> None:
        self._session: Json = {"type": "realtime", "id": "sess_000001", "object": "realtime.session", "model": model}
        self._question = ""
        self._heard = 0
        self._items = 0
        self._responses = 0

    def opened(self) -> List[Json]:
        """What the server sends first."""
        return [{"type": "session.created", "event_id": "event_0", "session": self._session}]

    def answers(self, event: Json) -> List[Json]:
        """What the server sends for a client's event; nothing for one that it does not know."""
        kind = event.get("type")
        if kind == "session.update":
            self._session.update(event.get("session") or {})
            return [{"type": "session.updated", "session": self._session}]
        if kind == "input_audio_buffer.append":
            self._heard += len(base64.b64decode(event.get("audio") or ""))
            return []
        if kind == "input_audio_buffer.commit":
            return self._hear()
        if kind == "conversation.item.create":
            return self._take(event.get("item") or {})
        return self._respond() if kind == "response.create" else []

    def _hear(self) -> List[Json]:
        self._question, self._heard = f"{self._heard} bytes of sound", 0
        item = self._message("user", {"type": "input_audio", "transcript": None})
        heard = {"item_id": item["id"], "content_index": 0, "transcript": self._question}
        kind = "conversation.item.input_audio_transcription.completed"
        return [*_added(item), {"type": kind, **heard}]

    def _take(self, item: Json) -> List[Json]:
        self._question = " ".join(str(part["text"]) for part in item.get("content") or [] if "text" in part)
        return _added({**self._message("user"), **item})

    def _respond(self) -> List[Json]:
        self._responses += 1
        text = f"answer to: {self._question}"
        is_spoken = "audio" in (self._session.get("output_modalities") or ["audio"])
        part = {"type": "output_audio", "transcript": text} if is_spoken else {"type": "output_text", "text": text}
        tools = self._session.get("tools") or []
        if tools:
            item = {"type": "function_call", "call_id": "call_1", "name": tools[0].get("name"), "arguments": "{}"}
            item.update(id=f"item_{self._items + 1:06d}", object="realtime.item", status="completed")
        else:
            item = self._message("assistant", part)
        response: Json = {
            "id": f"resp_{self._responses:06d}",
            "object": "realtime.response",
            "output": [],
            "usage": None,
        }
        place = {"response_id": response["id"], "item_id": item["id"], "output_index": 0, "content_index": 0}
        kind = "response.output_audio_transcript" if is_spoken else "response.output_text"
        events = [{"type": "response.created", "response": {**response, "status": "in_progress"}}, *_added(item)]
        if not tools:
            events += [{"type": f"{kind}.delta", **place, "delta": piece} for piece in cut_into_pieces(text)]
            events += [{"type": "response.output_audio.delta", **place, "delta": _SOUND}] if is_spoken else []
        usage = {
            "total_tokens": 30,
            "input_tokens": 20,
            "output_tokens": 10,
            "input_token_details": {"text_tokens": 12, "audio_tokens": 8, "cached_tokens": 4},
            "output_token_details": {"text_tokens": 4, "audio_tokens": 6},
        }
        done = {**response, "status": "completed", "output": [item], "usage": usage}
        return [*events, {"type": "response.done", "response": done}]

    def _message(self, role: str, *content: Json) -> Json:
        self._items += 1
        fields = {"id": f"item_{self._items:06d}", "object": "realtime.item", "type": "message", "status": "completed"}
        return {**fields, "role": role, "content": list(content)}


def _added(item: Json) -> List[Json]:
    return [{"type": f"conversation.item.{word}", "previous_item_id": None, "item": item} for word in ("added", "done")]


async def converse(request: web.Request) -> web.WebSocketResponse:
    """Serve one websocket until its client closes it."""
    socket = web.WebSocketResponse(max_msg_size=64 * 1024 * 1024)
    await socket.prepare(request)
    conversation = Conversation(request.query.get("model", ""))
    for answer in conversation.opened():
        await socket.send_json(answer)
    async for message in socket:
        if message.type == WSMsgType.TEXT:
            for answer in conversation.answers(json.loads(message.data)):
                await socket.send_json(answer)
    return socket
