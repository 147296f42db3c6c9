"""A small OpenAI-compatible server on loopback, so that LiteLLM's real HTTP path runs without a provider.

The answers come from `_model_answers`; this module serves them, and misbehaves as a model's name asks for:

    fail-<status>   answers that HTTP status with an OpenAI style error body
    flaky-<k>       fails *k* times with 500 for one and the same question, then answers
    slow-<ms>       waits that long before it answers
    hang            never answers; the connection is dropped when the server is closed
    break-<n>       streams *n* chunks, then drops the connection (without a stream: drops it at once)
    stall-<n>       streams *n* chunks, then nothing more until the server is closed
    nousage         leaves the token usage out
    long-<kb>       answers at least that many KB
    cached          half of the prompt's tokens count as cached
    reason          adds `reasoning_content`, and its tokens to the usage

The words may be combined ("slow-50-break-3") and may surround a name of your own ("primary-fail-500").
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any, Awaitable, Callable, Dict, Iterable, List, Mapping, Optional

from aiohttp import web

from honeyhive_litellm.testing._server_thread import ServerThread

from . import answers
from .realtime import converse
from .routes import ROUTES, Answerer

_NUMBERED = re.compile(r"(?<![a-z0-9])(fail|flaky|slow|break|stall|long)-(\d+)")
_MAX_BODY_BYTES = 64 * 1024 * 1024
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


@dataclass(frozen=True)
class ServedRequest:
    """One request that reached the server: which, never what. `request_id` is the answer's `x-request-id`."""

    path: str
    model: str
    stream: bool
    request_id: str


@dataclass(frozen=True)
class _Script:
    """How to misbehave: the module's table, read from a model's name or from `ModelServer.behave`."""

    shape: answers.Shape
    fail_status: Optional[int] = None
    failures: int = 0
    delay_s: float = 0.0
    hang: bool = False
    break_after: Optional[int] = None
    stall_after: Optional[int] = None

    @classmethod
    def read(cls, text: str) -> _Script:
        numbers = {word: int(number) for word, number in _NUMBERED.findall(text)}
        shape = answers.Shape(
            usage="nousage" not in text,
            cached="cached" in text,
            reasoning="reason" in text,
            length=numbers.get("long", 0) * 1024,
        )
        return cls(
            shape=shape,
            fail_status=numbers.get("fail"),
            failures=numbers.get("flaky", 0),
            delay_s=numbers.get("slow", 0) / 1000.0,
            hang=re.search(r"(?<![a-z])hang(?![a-z])", text) is not None,
            break_after=numbers.get("break"),
            stall_after=numbers.get("stall"),
        )


class ModelServer(ServerThread):
    """An OpenAI-compatible server on a loopback port, in a thread and on an event loop of its own.

    A context manager: it listens when `with` is entered, and on leaving every open request is dropped and the
    thread ended. *port* 0 takes a free one. Use it as
    `litellm.completion(model="openai/gpt-4o", api_base=server.url, api_key="sk-local", ...)`. Note that the
    `openai` client below LiteLLM repeats a failed request by itself unless `max_retries=0` is passed; each
    repetition is a request here.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__()
        self.port = port
        self._scripts: Dict[str, _Script] = {}
        self._served: List[ServedRequest] = []
        self._arrival = threading.Condition()
        self._questions: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"ModelServer(port={self.port}, requests={len(self._served)})"

    @property
    def url(self) -> str:
        """What to give LiteLLM as `api_base`; it ends with `/v1`."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def requests(self) -> List[ServedRequest]:
        """The requests so far, oldest first, those that failed or still hang included; a copy."""
        with self._arrival:
            return list(self._served)

    def wait_for(self, count: int, timeout: float = 5.0) -> bool:
        """Block until *count* requests have come, at most *timeout* seconds; return whether they have."""
        with self._arrival:
            return self._arrival.wait_for(lambda: len(self._served) >= count, timeout)

    def behave(self, model: str, script: str) -> None:
        """From now on *model* behaves as the words in *script* say ("slow-50 break-3"; "" is well)."""
        self._scripts[model] = _Script.read(script)

    # What follows runs on the server's own thread and loop.

    async def _serve(self) -> None:
        application = web.Application(client_max_size=_MAX_BODY_BYTES)
        for (method, path), answerer in ROUTES.items():
            application.router.add_route(method, "/v1" + path, self._handler(answerer))
        application.router.add_get("/v1/realtime", self._realtime)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
            self.port = runner.addresses[0][1]
            self._ready()
            await self._closing.wait()
        finally:
            await runner.cleanup()

    def _handler(self, answerer: Answerer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:  # aiohttp on Python 3.8 takes no partial
            return await self._handle(answerer, request)

        return handle

    async def _handle(self, answerer: Answerer, request: web.Request) -> web.StreamResponse:
        path = request.path[len("/v1") :]
        body = await _read(request)
        model = str((body or {}).get("model", ""))
        is_stream = bool((body or {}).get("stream")) or path.endswith(":streamGenerateContent")
        number = self._note(path, model, is_stream)
        headers = {"x-request-id": f"req-{number:06d}", "openai-processing-ms": "1"}
        if body is None:
            return _error(400, "the body is not a JSON object", headers)
        script = self._scripts.get(model) or _Script.read(model)
        if script.hang or await self._closed_within(script.delay_s):
            return await self._drop_at_close(request)
        if script.fail_status is not None:
            return _error(script.fail_status, f"scripted failure {script.fail_status}", headers)
        if self._is_still_flaky(script, model, body):
            return _error(500, "scripted failure, to be gone soon", headers)
        answer = answerer(body, number, script.shape)
        if is_stream and answer.chunks is not None:
            return await self._stream(request, script, answer.chunks, headers)
        if script.break_after is not None:
            return _drop(request)
        if answer.data is not None:
            return web.Response(body=answer.data, content_type=answer.content_type, headers=headers)
        return web.json_response(answer.body, headers=headers)

    async def _realtime(self, request: web.Request) -> web.StreamResponse:
        self._note("/realtime", request.query.get("model", ""), True)
        return await converse(request)

    async def _stream(
        self,
        request: web.Request,
        script: _Script,
        chunks: Iterable[bytes],
        headers: Mapping[str, str],
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={**headers, "content-type": "text/event-stream"})
        await response.prepare(request)
        for position, chunk in enumerate(chunks):
            if position == script.break_after:
                _drop(request)
                return response
            if position == script.stall_after:
                await self._closing.wait()
                _drop(request)
                return response
            await response.write(chunk)
        await response.write_eof()
        return response

    async def _closed_within(self, delay_s: float) -> bool:
        if delay_s <= 0:
            return False
        try:
            await asyncio.wait_for(self._closing.wait(), delay_s)
        except asyncio.TimeoutError:
            return False
        return True

    async def _drop_at_close(self, request: web.Request) -> web.StreamResponse:
        await self._closing.wait()
        return _drop(request)

    def _note(self, path: str, model: str, stream: bool) -> int:
        with self._arrival:
            number = len(self._served) + 1
            self._served.append(ServedRequest(path, model, stream, f"req-{number:06d}"))
            self._arrival.notify_all()
        return number

    def _is_still_flaky(self, script: _Script, model: str, body: Mapping[str, Any]) -> bool:
        if not script.failures:
            return False
        question = hashlib.sha256(f"{model}\n{answers.question(body)}".encode("utf-8", "replace")).hexdigest()
        self._questions[question] += 1
        return self._questions[question] <= script.failures


async def _read(request: web.Request) -> Optional[Dict[str, Any]]:
    """The body, a JSON object or a form, with what the path names; None for anything else. Of files the sizes."""
    named = dict(request.match_info)
    if request.method != "POST":
        return {**named}
    if request.content_type == "multipart/form-data":
        form = await request.post()
        return {**named, **{name.partition("[")[0]: _field(value) for name, value in form.items()}}
    text = await request.text()
    try:
        body = json.loads(text) if text or not named else {}
    except ValueError:
        return None
    return {**named, **body} if isinstance(body, dict) else None


def _field(value: object) -> object:
    if isinstance(value, web.FileField):
        return {"filename": value.filename, "bytes": len(value.file.read())}
    return value


def _error(status: int, message: str, headers: Mapping[str, str]) -> web.Response:
    kind = _ERROR_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    code = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}.get(status)
    error = {"message": message, "type": kind, "param": None, "code": code}
    return web.json_response({"error": error}, status=status, headers=headers)


def _drop(request: web.Request) -> web.Response:
    """Close the connection; what is returned never reaches anybody. Chunks already written do."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()
