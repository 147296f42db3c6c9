"""A session of the realtime API through LiteLLM: a client's websocket, LiteLLM between, and the model server's."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any, Dict, List, Sequence

import aiohttp
import litellm
from aiohttp import web

Json = Dict[str, Any]

SOUND = base64.b64encode(b"\x01\x02" * 50_000).decode()
SPOKEN: List[Json] = [
    {"type": "session.update", "session": {"type": "realtime", "instructions": "be brief"}},
    {"type": "input_audio_buffer.append", "audio": SOUND},
    {"type": "input_audio_buffer.commit"},
    {"type": "response.create"},
]


def typed(text: str) -> List[Json]:
    """What a client sends to ask in writing."""
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    return [{"type": "conversation.item.create", "item": item}, {"type": "response.create"}]


class ServedSocket:
    """LiteLLM's end of its client's websocket, with what it asks of Starlette's."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.scope: Json = {"type": "websocket", "headers": []}
        self._socket = socket

    async def send_text(self, data: str) -> None:
        await self._socket.send_str(data)

    async def receive_text(self) -> str:
        return await self._socket.receive_str()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._socket.close(code=code, message=(reason or "").encode())


async def converse(turns: Sequence[List[Json]], url: str, **arguments: Any) -> List[Json]:
    """Hold a session: send each turn's events once the turn before is answered. What the client got."""
    is_over = asyncio.Event()

    async def serve(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        try:
            await litellm._arealtime(websocket=ServedSocket(socket), api_base=url, api_key="sk-local", **arguments)
        finally:
            is_over.set()
        return socket

    application = web.Application()
    application.router.add_get("/realtime", serve)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        where = f"http://127.0.0.1:{port}/realtime"
        async with aiohttp.ClientSession() as session, session.ws_connect(where, max_msg_size=0) as client:
            got = await asyncio.wait_for(_talk(client, turns), 30)
        await asyncio.wait_for(is_over.wait(), 30)
        return got
    finally:
        await runner.cleanup()


async def _talk(client: aiohttp.ClientWebSocketResponse, turns: Sequence[List[Json]]) -> List[Json]:
    got: List[Json] = []
    for events in turns:
        for event in events:
            await client.send_str(json.dumps(event))
        while not got or got[-1]["type"] != "response.done":
            got.append(json.loads(await client.receive_str()))
        got.append({"type": "turn is over"})
    return got
