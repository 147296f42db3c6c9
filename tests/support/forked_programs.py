"""Processes that need not import LiteLLM: hundreds of programs in these tests need it, and each import takes seconds.

A server, one for each process of pytest, has imported it and waits. For each program it forks, and the child runs the
program as `python -c` does, up to the exit handlers and the end of the interpreter. The server has imported nothing of
ours, and has no thread and no loop, so that a program is what it would be in a process that it has to itself.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
from typing import Any, Dict, Optional, Sequence

IS_SUPPORTED = sys.platform == "linux" and sys.version_info >= (3, 9) and not os.environ.get("COVERAGE_PROCESS_CONFIG")
"""Whether `fork_program` works: elsewhere processes have no subreapers, and coverage starts with an interpreter."""

_SERVER = """
import gc, sys
import aiohttp, aiosqlite, litellm, opentelemetry.trace, orjson, tenacity
from tests.support.forked_programs import next_program
gc.freeze()
exec(compile(next_program(int(sys.argv.pop())), "<string>", "exec"))
"""

_READ_AT_IMPORT = ("PYTHON", "LITELLM_", "LD_")
"""The variables with these beginnings have taken effect when the server forks."""

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_MOST_BYTES = 200_000

# ---- in the process of pytest


class ProgramServer:
    """The server, as its client sees it."""

    def __init__(self, variables: Dict[str, str]) -> None:
        self.fixed = fixed_variables(variables)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SERVER, str(theirs.fileno())],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        atexit.register(self._end)

    def fork(self, code: str, variables: Dict[str, str], pipes: Sequence[int]) -> int:
        """Run a program with this environment, these files as its first ones, and a session of its own; its id.

        It is a child of this process: the child that forks it ends at once, and this process adopts orphans meanwhile.
        """
        request = json.dumps({"code": code, "variables": variables, "cwd": os.getcwd()}).encode()
        _adopt_orphans(True)
        try:
            socket.send_fds(self._control, [request], pipes)
            return int(self._control.recv(32))
        finally:
            _adopt_orphans(False)

    def _end(self) -> None:
        self._control.close()
        self._process.wait()


def fixed_variables(variables: Dict[str, str]) -> Dict[str, str]:
    """Those that a program has from the server's start."""
    return {name: value for name, value in variables.items() if name.startswith(_READ_AT_IMPORT)}


_server: Optional[ProgramServer] = None
_lock = threading.Lock()


def fork_program(code: str, variables: Dict[str, str], pipes: Sequence[int]) -> Optional[int]:
    """See `ProgramServer.fork`; None where that does not work, or the server fixes variables to other values."""
    global _server
    if not IS_SUPPORTED:
        return None
    with _lock:
        if _server is None:
            _server = ProgramServer(variables)
        if _server.fixed != fixed_variables(variables):
            return None
        return _server.fork(code, variables, pipes)


def _adopt_orphans(adopts: bool) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(adopts), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


# ---- in the server


def next_program(control_fd: int) -> str:
    """Serve requests. Returns in each child that is forked for one, with the program that it is to run."""
    control = socket.socket(fileno=control_fd)
    while True:
        request, pipes, _flags, _address = socket.recv_fds(control, _MOST_BYTES, 3)
        if not request:
            os._exit(0)
        read_end, write_end = os.pipe()
        if not os.fork():
            pid = os.fork()
            if pid:
                os.write(write_end, b"%d" % pid)
                os._exit(0)
            for inherited in (read_end, write_end, control.detach()):
                os.close(inherited)
            return _become(json.loads(request), pipes)
        os.wait()
        control.send(os.read(read_end, 32))
        for done in (read_end, write_end, *pipes):
            os.close(done)


def _become(request: Dict[str, Any], pipes: Sequence[int]) -> str:
    os.setsid()
    for pipe, standard in zip(pipes, (0, 1, 2)):
        os.dup2(pipe, standard)
        os.close(pipe)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["variables"])
    code: str = request["code"]
    return code
