"""Small programs of users, run as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator

if TYPE_CHECKING:
    _Popen = subprocess.Popen[str]
else:
    _Popen = subprocess.Popen  # Python 3.8 knows no other

HEAD = """
import asyncio, os, sys, threading, time
import litellm, honeyhive_litellm
honeyhive_litellm.init()
MESSAGES = [{"role": "user", "content": "hello"}]
async def call(answer, **options):
    return await litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response=answer, **options)
async def read(answer):
    async for _ in await call(answer, stream=True):
        pass
def committed(n):
    end = time.monotonic() + 30
    while True:  # of its own: what it adopts is committed as well
        stats = honeyhive_litellm.stats()
        if stats.committed - stats.adopted >= n:
            break
        if time.monotonic() > end:
            raise SystemExit("not committed in time: %r" % (stats,))
        time.sleep(0.002)
"""

SPOOL_HEAD = """
import os, sys, threading, time, uuid
import orjson
from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._spool.record import EVENT, Record
from honeyhive_litellm._runtime.lifecycle import runtime_for
RUNTIME = runtime_for(Settings.resolve(os.environ), None)
def put(*names):
    for name in names:
        body = {"event_id": str(uuid.uuid4()), "event_type": "model", "event_name": name, "source": "test",
                "start_time": time.time() * 1000, "inputs": {}, "outputs": {}, "config": {}, "metadata": {}}
        RUNTIME.submit(Record(EVENT, body["event_id"], body["start_time"], None, orjson.dumps(body)))
def committed(n):
    end = time.monotonic() + 30
    while RUNTIME.stats().committed - RUNTIME.stats().adopted < n:
        if time.monotonic() > end:
            raise SystemExit("not committed in time: %r" % (RUNTIME.stats(),))
        time.sleep(0.002)
"""
"""The head of a program that has the spool and the delivery, and no LiteLLM, whose import takes long."""


def environment(url: str, spool: Path, **variables: str) -> Dict[str, str]:
    """A program's environment; only our own variables, and LiteLLM's price map from its package."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HONEYHIVE_", "HH_"))}
    return {
        **inherited,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "HONEYHIVE_API_KEY": "hh_key",
        "HONEYHIVE_PROJECT": "faults",
        "HONEYHIVE_API_URL": url,
        "HONEYHIVE_SPOOL_PATH": str(spool),
        "HONEYHIVE_LOOKUP_DELAY": "0",
        **variables,
    }


@contextmanager
def runtime_folder() -> Iterator[str]:
    """A value for XDG_RUNTIME_DIR, short enough for a socket in it.

    All gunicorns of one user share a control socket there, and one of two at a time does not end.
    """
    with tempfile.TemporaryDirectory(prefix="run") as folder:
        yield folder


class Program(_Popen):
    """In `with`, a program that does not outlive a test that failed; nor do its children."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is not None and self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        super().__exit__(kind, error, trace)


def start(code: str, url: str, spool: Path, head: str = HEAD, **variables: str) -> Program:
    return Program(
        [sys.executable, "-c", head + code],
        env=environment(url, spool, **variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(code: str, url: str, spool: Path, timeout: float = 60, head: str = HEAD, **variables: str) -> str:
    """Run a program to its end, which must be a good one; what it printed."""
    with start(code, url, spool, head, **variables) as process:
        out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, (process.returncode, err[-4000:])
    return out


def drain(url: str, spool: Path) -> None:
    """The next process that opens the spool: it makes no call of its own, and is started without LiteLLM, quicker.

    So quick that what a killed one has just sent may not be to be seen yet.
    """
    code, delay = "print(RUNTIME.flush(60))", {"HONEYHIVE_LOOKUP_DELAY": "1"}
    assert run(code, url, spool, head=SPOOL_HEAD, timeout=90, **delay).split() == ["0"]


def until_written(spool: Path, text: bytes) -> None:
    """Wait until a record with this text is in a file of the spool: whoever kills then leaves it behind."""
    end = time.monotonic() + 30
    while not any(text in _bytes_of(file) for file in spool.glob("*.spool*")):
        assert time.monotonic() < end, f"nothing with {text!r} came to the disk"
        time.sleep(0.002)


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""  # a journal, there only while a segment is being made


def signal_ready(process: subprocess.Popen[str]) -> str:
    """The next line that the program prints."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1][-4000:]
    return line.strip()
