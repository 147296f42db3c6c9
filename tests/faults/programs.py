"""Small programs of users, run as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator

from ..support.forked_programs import PythonProcess, run_python
from ..waiting import until

ROOT = Path(__file__).parents[2]

HEAD = """
import asyncio, os, sys, threading, time
import litellm, honeyhive_litellm
from tests.waiting import until, until_on_loop
honeyhive_litellm.init()
MESSAGES = [{"role": "user", "content": "hello"}]
async def call(answer, **options):
    return await litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response=answer, **options)
async def read(answer):
    async for _ in await call(answer, stream=True):
        pass
def committed(n):
    def of_its_own():  # what it adopts is committed as well
        stats = honeyhive_litellm.stats()
        return stats.committed - stats.adopted
    until(lambda: of_its_own() >= n, what=honeyhive_litellm.stats)
"""

SPOOL_HEAD = """
import os, sys, threading, time, uuid
import orjson
from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._spool.record import EVENT, Record
from honeyhive_litellm._runtime.lifecycle import runtime_for
from tests.waiting import until
RUNTIME = runtime_for(Settings.resolve(os.environ), None)
def put(*names):
    for name in names:
        body = {"event_id": str(uuid.uuid4()), "event_type": "model", "event_name": name, "source": "test",
                "start_time": time.time() * 1000, "inputs": {}, "outputs": {}, "config": {}, "metadata": {}}
        RUNTIME.submit(Record(EVENT, body["event_id"], body["start_time"], None, orjson.dumps(body)))
def committed(n):
    until(lambda: RUNTIME.stats().committed - RUNTIME.stats().adopted >= n, what=RUNTIME.stats)
"""
"""The head of a program that has the spool and the delivery, and no LiteLLM, whose import takes long."""


def environment(url: str, spool: Path, **variables: str) -> Dict[str, str]:
    """A program's environment: our own variables, LiteLLM's price map from its package, and the tests' modules."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HONEYHIVE_", "HH_"))}
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
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


class Program(PythonProcess):
    """In `with`, a program that does not outlive a test that failed; nor do its children."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is not None and self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        super().__exit__(kind, error, trace)


def start(code: str, url: str, spool: Path, head: str = HEAD, **variables: str) -> Program:
    return Program(
        "-c",
        head + code,
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


def run_file(program: Path, url: str, spool: Path) -> str:
    """`run` for a program in a file of its own, which the children that multiprocessing spawns import again."""
    variables = {**environment(url, spool), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(program)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def drain(url: str, spool: Path, **variables: str) -> None:
    """Deliver all that is in the spool with our own command.

    The look-ups wait a second: the server may not show yet what a killed process has just sent.
    """
    variables = environment(url, spool, HONEYHIVE_LOOKUP_DELAY="1", **variables)
    done = run_python("-m", "honeyhive_litellm", "drain", "--timeout", "60", env=variables, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr


def until_written(spool: Path, text: bytes) -> None:
    """Wait until a record with this text is in a file of the spool: whoever kills then leaves it behind."""
    until(lambda: any(text in _bytes_of(file) for file in spool.glob("*.spool*")), what=f"{text!r} on disk")


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
