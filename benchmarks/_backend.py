"""The backend of `peers.py`: it takes whatever is sent and remembers whose words came; it plays the provider, too."""

from __future__ import annotations

import gzip
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Optional, Set

from _common import PROSE

ANSWER_S = 0.05
"""What an answer takes in the process that is killed: a fast provider's time. LiteLLM's `mock_delay` would not do: the
call waits before LiteLLM calls its callbacks, and the process was dead within two milliseconds of that."""
_MARK = re.compile(rb"question-(\d{6})")
_COMPLETION = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt-4o",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": PROSE}}],
        "usage": {"prompt_tokens": 400, "completion_tokens": 20, "total_tokens": 420},
    }
).encode()


class Backend:
    """Answers everything alike, and remembers whose words came; listens inside `with`, but between `down` and `up`."""

    def __init__(self) -> None:
        self.seen: Set[int] = set()
        self.received = 0
        self.fails_for_s = 0.0
        self._first_at: Optional[float] = None
        self._port = 0
        self._server: Optional[ThreadingHTTPServer] = None
        self.up()
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Backend:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer(404)

            def do_POST(self) -> None:
                body = self._body()
                if self.path == "/v1/chat/completions":  # the provider's part
                    time.sleep(ANSWER_S)
                    self._answer(200, _COMPLETION)
                else:
                    self._answer(backend.take(body))

            do_PUT = do_PATCH = do_POST  # noqa: N815  the base class calls them so

            def _body(self) -> bytes:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

            def _answer(self, status: int, body: bytes = b"{}") -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name for it
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def down(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def take(self, body: bytes) -> int:
        """The status to answer with."""
        now = time.monotonic()
        self._first_at = self._first_at or now
        if now < self._first_at + self.fails_for_s:
            return 500
        found = {int(mark) for mark in _MARK.findall(body)}
        self.received += len(found)
        self.seen |= found
        return 200
