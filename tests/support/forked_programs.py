"""Processes that need not import LiteLLM: hundreds of programs in these tests need it, and each import takes seconds.

A server, one for each process of pytest, has imported it and waits. For each program it forks, and the child runs the
program as `python` does, up to the exit handlers and the end of the interpreter. The server has imported nothing of
ours, and has no thread and no loop, so that a program is what it would be in a process that it has to itself.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any, Dict, Optional, Sequence

if TYPE_CHECKING:
    _Popen = subprocess.Popen[str]
else:
    _Popen = subprocess.Popen  # Python 3.8 knows no other

IS_SUPPORTED = sys.platform == "linux" and sys.version_info >= (3, 9)
"""Elsewhere processes have no subreapers, or sockets take no files: there programs import it."""

_SERVER = """
import gc, sys
import aiohttp, aiosqlite, litellm, opentelemetry.trace, orjson, tenacity
from tests.support.forked_programs import next_program
gc.freeze()
exec(next_program(int(sys.argv.pop())))
"""

_READ_AT_IMPORT = ("PYTHON", "LITELLM_", "LD_")
"""The variables with these beginnings have taken effect when the server forks."""

_COVERAGE = "COVERAGE_PROCESS_CONFIG"
"""Where coverage is measured, an interpreter that starts with this variable measures itself."""

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_MOST_BYTES = 200_000

# ---- in the process of pytest


class ProgramServer:
    """The server, as its client sees it: at the other end of `control`."""

    def __init__(self, control: socket.socket, variables: Dict[str, str]) -> None:
        self.fixed = fixed_variables(variables)
        self._control = control

    def fork(self, command: Sequence[str], cwd: str, variables: Dict[str, str], files: Sequence[int]) -> int:
        """Run `python command...` there, with this environment, these first files, and a session of its own; its id.

        It is a child of this process: the child that forks it ends at once, and this process adopts orphans meanwhile.
        """
        request = json.dumps({"command": command, "cwd": cwd, "variables": variables}).encode()
        _adopt_orphans(True)
        try:
            socket.send_fds(self._control, [request], files)
            return int(self._control.recv(32))
        finally:
            _adopt_orphans(False)


def _start_server(variables: Dict[str, str]) -> ProgramServer:
    """Start the server as a process that ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, str(theirs.fileno())],
            env={name: value for name, value in variables.items() if name != _COVERAGE},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ProgramServer(ours, variables)


def fixed_variables(variables: Dict[str, str]) -> Dict[str, str]:
    """Those that a program has from the server's start."""
    return {name: value for name, value in variables.items() if name.startswith(_READ_AT_IMPORT)}


_server: Optional[ProgramServer] = None
_lock = threading.Lock()


def _server_for(variables: Dict[str, str]) -> Optional[ProgramServer]:
    """The server, if it can run a program with this environment."""
    global _server
    if not IS_SUPPORTED:
        return None
    if _server is None:
        _server = _start_server(variables)
    return _server if _server.fixed == fixed_variables(variables) else None


class PythonProcess(_Popen):
    """`python command...`, where the command is `-c CODE`, `-m MODULE` or a file, and its arguments."""

    def __init__(self, *command: str, **options: Any) -> None:
        """`options` are those of `Popen`."""
        self._command = command
        super().__init__([sys.executable, *command], **options)

    def _execute_child(self, *arguments: Any) -> None:
        """What `Popen` does to start the process, once it has opened its files."""
        cwd, variables, (stdin, _, _, stdout, _, stderr) = arguments[5], arguments[6], arguments[10:16]
        variables = dict(os.environ if variables is None else variables)
        with _lock:
            server = _server_for(variables)
            if server is None:
                super()._execute_child(*arguments)  # type: ignore[misc]
                return
            opened = (stdin, stdout, stderr)
            files = [number if file == -1 else file for number, file in enumerate(opened)]
            self.pid = server.fork(self._command, str(cwd or os.getcwd()), variables, files)
        self._child_created = True
        self._close_pipe_fds(*arguments[10:16])  # type: ignore[attr-defined]


def run_python(
    *command: str, env: Dict[str, str], timeout: float, cwd: Optional[Path] = None
) -> subprocess.CompletedProcess[str]:
    """`PythonProcess`, to its end: what it printed, and its status."""
    pipe = subprocess.PIPE
    with PythonProcess(
        *command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            out, errors = process.communicate(timeout=timeout)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, errors)


def _adopt_orphans(adopts: bool) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(adopts), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


# ---- in a program that itself starts programs


def become_server() -> Optional[CodeType]:
    """Fork a server of one's own. In its forks: the program that they are to run."""
    global _server
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if not os.fork():
        ours.close()
        return next_program(theirs.detach())
    theirs.close()
    _server = ProgramServer(ours, dict(os.environ))
    return None


# ---- in the server


def next_program(control_fd: int) -> CodeType:
    """Serve requests. Returns in each child that is forked for one, with the program that it is to run."""
    control = socket.socket(fileno=control_fd)
    while True:
        request, files, _flags, _address = socket.recv_fds(control, _MOST_BYTES, 3)
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
            return _become(json.loads(request), files)
        os.wait()
        control.send(os.read(read_end, 32))
        for done in (read_end, write_end, *files):
            os.close(done)


def _become(request: Dict[str, Any], files: Sequence[int]) -> CodeType:
    os.setsid()
    for file, standard in zip(files, (0, 1, 2)):
        os.dup2(file, standard)
        os.close(file)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["variables"])
    if _COVERAGE in os.environ:
        importlib.import_module("coverage").process_startup()
    first, *others = request["command"]
    if first == "-c":
        code, *arguments = others
        sys.argv[:] = ["-c", *arguments]
        return compile(code, "<string>", "exec")
    if first == "-m":
        module, *arguments = others
        sys.argv[:] = ["-m", *arguments]
        sys.path[0] = os.getcwd()
        return compile(f"import runpy; runpy._run_module_as_main({module!r})", "<string>", "exec")
    sys.argv[:] = [first, *others]
    sys.path[0] = os.path.dirname(os.path.abspath(first))
    sys.modules["__main__"].__file__ = first
    return compile(Path(first).read_text(encoding="utf-8"), first, "exec")
