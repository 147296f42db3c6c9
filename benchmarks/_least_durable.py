"""The least that a durable logger can do: the floor that `overhead.py` compares with.

Of each call two records, its start with the question and its end with question and answer, each encoded once and
committed by a background thread, in groups, to a WAL file of SQLite. Nothing is searched for secrets, no metadata is
read, nothing is delivered, and nothing is ever removed.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from typing import Any, Deque, Tuple

import orjson
from litellm.integrations.custom_logger import CustomLogger


class LeastDurableLogger(CustomLogger):
    """A callback that keeps calls in `<folder>/least.db`, and does nothing else."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._path = f"{folder}/least.db"
        self._records: Deque[Tuple[str, int, bytes]] = deque()
        self._filled = threading.Semaphore(0)
        threading.Thread(target=self._write, daemon=True).start()

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
        self._put(kwargs["litellm_call_id"], 0, {"model": model, "messages": messages})

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self.log_success_event(kwargs, response_obj, start_time, end_time)

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        request = {"model": kwargs["model"], "messages": kwargs["messages"]}
        response = {"answer": response_obj.choices[0].message.content, "start": start_time, "end": end_time}
        self._put(kwargs["litellm_call_id"], 1, {**request, **response})

    def _put(self, id_: str, kind: int, body: Any) -> None:
        self._records.append((id_, kind, orjson.dumps(body)))
        self._filled.release()

    def _write(self) -> None:
        db = sqlite3.connect(self._path, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("CREATE TABLE record (seq INTEGER PRIMARY KEY, id TEXT, kind INTEGER, body BLOB)")
        while True:
            self._filled.acquire()
            db.execute("BEGIN")
            while self._records:
                db.execute("INSERT INTO record (id, kind, body) VALUES (?, ?, ?)", self._records.popleft())
            db.execute("COMMIT")
