"""The order of an exit, as `_runtime.lifecycle` writes it down, in processes that really exit."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path
from typing import List

import pytest

from honeyhive_litellm._runtime import lifecycle
from honeyhive_litellm.testing import Collector

from .programs import HEAD, run

NOTE = """
import atexit, threading
def note(step):
    import honeyhive_litellm
    is_open = any(thread.name == "honeyhive-litellm" for thread in threading.enumerate())
    print(step, "open" if is_open else "closed", sep=": ", flush=True)
atexit.register(note, "atexit, registered before the import")
"""
SYNC_CALL = 'litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="answer")\n'


def steps(code: str, collector: Collector, folder: Path) -> List[str]:
    """What the program printed; its one call has been delivered."""
    lines = run(code, collector.url, folder, timeout=100, head=NOTE + HEAD).splitlines()
    (event,) = collector.wait_for(1)
    assert event["metadata"]["status"] == "success"
    return lines


def test_at_the_interpreters_exit_pools_and_newer_handlers_come_first_and_older_ones_last(
    collector: Collector, tmp_path: Path
) -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
ended = threading.Event()
if sys.version_info >= (3, 9):  # on 3.8 pools are joined by an exit handler
    threading._register_atexit(ended.set)
    ThreadPoolExecutor(1).submit(lambda: note("a pool's thread") if ended.wait(30) else None)
atexit.register(note, "atexit, registered after init")
"""
    pools = ["a pool's thread: open"] if sys.version_info >= (3, 9) else []
    assert steps(code + SYNC_CALL, collector, tmp_path) == [
        *pools,
        "atexit, registered after init: open",
        "atexit, registered before the import: closed",
    ]


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_child_of_multiprocessing_shuts_down_between_the_finalizers_of_a_higher_and_a_lower_priority(
    collector: Collector, tmp_path: Path, method: str
) -> None:
    code = f"""
import multiprocessing
from multiprocessing import util
def child():
    {SYNC_CALL.strip()}
    util.Finalize(None, note, ("finalizer of the application",), exitpriority=0)
    util.Finalize(None, note, ("finalizer just above ours",), exitpriority={lifecycle.CHILD_EXIT_PRIORITY + 1})
    util.Finalize(None, note, ("finalizer just below ours",), exitpriority={lifecycle.CHILD_EXIT_PRIORITY - 1})
    atexit.register(note, "atexit of a child")
if __name__ == "__main__":
    process = multiprocessing.get_context("{method}").Process(target=child)
    process.start()
    process.join()
    print("parent:", process.exitcode)
"""
    program = tmp_path / "program.py"
    program.write_text(NOTE + HEAD + code)  # a spawned child imports its program from a file
    lines = run(
        f"import os, sys; os.execv(sys.executable, [sys.executable, {str(program)!r}])",
        collector.url,
        tmp_path / "spool",
        timeout=150,
        head="",
        PYTHONPATH=os.pathsep.join(sys.path),
    ).splitlines()
    (event,) = collector.wait_for(1)
    assert event["metadata"]["status"] == "success"
    before = [
        "finalizer of the application: open",
        "finalizer just above ours: open",
        "finalizer just below ours: closed",
    ]
    last = "atexit, registered before the import: closed"
    if sys.version_info < (3, 13):
        # A forked child ends with os._exit; a spawned one is an interpreter that exits, after its finalizers.
        expected = [*before, *(["atexit of a child: closed", last] if method == "spawn" else [])]
    elif method == "fork":
        expected = ["atexit of a child: open", *before]
    else:  # there, the finalizers are an `atexit` handler, registered before ours
        expected = ["atexit of a child: open", last, *(line.replace("open", "closed") for line in before)]
    assert lines == [*expected, "parent: 0", last]


def test_a_requested_shutdown_waits_for_callbacks_then_deregisters_then_closes(
    collector: Collector, tmp_path: Path
) -> None:
    code = """
from honeyhive_litellm._instrumentation import logger
from honeyhive_litellm._runtime.lifecycle import shutdown_all
recorder = logger._installed._runtime.recorder
def deregister():
    note("deregister")
    print("callbacks that are still awaited:", recorder.is_awaiting_callback)
    return logger.uninstall()
left = shutdown_all(deregister=deregister)
note("shutdown")
print("left:", left)
"""
    assert steps(SYNC_CALL + code, collector, tmp_path) == [
        "deregister: open",
        "callbacks that are still awaited: False",
        "shutdown: closed",
        "left: 0",
        "atexit, registered before the import: closed",
    ]
