"""What happens at a fork happens in the order that `_fork` lists, for every part of the package."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from honeyhive_litellm import _fork
from honeyhive_litellm._fork import AFTER_IN_CHILD, AFTER_IN_PARENT, BEFORE, ForkGate, Part, on_fork

WITNESS = """
import os
import honeyhive_litellm
from honeyhive_litellm import _fork
honeyhive_litellm.init(api_key="hh_key", project="forks", api_url="http://127.0.0.1:9", spool_path="unused")
turns = []
def witnessed(part, moment, handler):
    def run():
        turns.append(f"{moment} {part.name}")
        handler()
    return run
for moment, handlers in (
    ("before", _fork._before), ("parent", _fork._after_in_parent), ("child", _fork._after_in_child)
):
    for part, handler in handlers.items():
        handlers[part] = witnessed(part, moment, handler)
if os.fork() == 0:
    print(*turns, sep=",", flush=True)
    os._exit(0)
os.wait()
print(*turns, sep=",", flush=True)
"""


def turns_of(moment: str, *parts: Part) -> str:
    return ",".join(f"{moment} {part.name}" for part in parts)


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no fork")
def test_every_part_has_its_turn_in_the_order_that_is_written_down() -> None:
    out = subprocess.run([sys.executable, "-c", WITNESS], capture_output=True, text=True, timeout=60, check=True).stdout
    child, parent = out.splitlines()
    assert child == ",".join((turns_of("before", *BEFORE), turns_of("child", *AFTER_IN_CHILD)))
    assert parent == ",".join((turns_of("before", *BEFORE), turns_of("parent", *AFTER_IN_PARENT)))


def test_the_order_is_this_one() -> None:
    assert BEFORE == (Part.LITELLM, Part.SQLITE)
    assert tuple(reversed(BEFORE)) == AFTER_IN_PARENT, "what was closed first before the fork is opened last"
    assert AFTER_IN_CHILD == (Part.LOCKS, Part.LOG, Part.SQLITE, Part.RUNTIMES, Part.LITELLM)


def test_a_part_registers_once_and_only_where_it_has_a_turn() -> None:
    with pytest.raises(ValueError, match="LOG"):
        on_fork(Part.LOG, after_in_child=lambda: None)
    with pytest.raises(ValueError, match="RUNTIMES"):
        on_fork(Part.RUNTIMES, before=lambda: None)


def test_a_fault_in_one_handler_does_not_keep_the_others_from_their_turn(caplog: pytest.LogCaptureFixture) -> None:
    turns = []

    def fail() -> None:
        raise OSError("of the handler")

    handlers = {Part.LOG: fail, Part.SQLITE: lambda: turns.append(Part.SQLITE)}
    _fork._run(AFTER_IN_CHILD, handlers)
    assert turns == [Part.SQLITE]
    assert Part.LOG.value in caplog.text and "of the handler" in caplog.text


def test_a_gate_lets_no_fork_through_while_another_thread_is_inside() -> None:
    gate, inside, leave = ForkGate(30, "a test was inside"), threading.Event(), threading.Event()

    def visit() -> None:
        with gate:
            inside.set()
            assert leave.wait(30)

    visitor = threading.Thread(target=visit)
    visitor.start()
    assert inside.wait(30)
    order = []

    def fork() -> None:
        gate.close()
        order.append("forked")
        gate.reopen()

    forking = threading.Thread(target=fork)
    forking.start()
    order.append("left")
    leave.set()
    forking.join(30)
    visitor.join(30)
    assert order == ["left", "forked"]


def test_a_fork_passes_a_gate_whose_time_is_up_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    gate, inside, leave = ForkGate(0, "a test was inside"), threading.Event(), threading.Event()

    def visit() -> None:
        with gate:
            inside.set()
            assert leave.wait(30)

    visitor = threading.Thread(target=visit)
    visitor.start()
    assert inside.wait(30)
    gate.close()
    gate.reopen()
    leave.set()
    visitor.join(30)
    assert "this process forked although a test was inside for 0 s" in caplog.text


def test_a_thread_that_forks_inside_a_gate_does_not_wait_for_itself() -> None:
    gate = ForkGate(30, "a test was inside")
    with gate:
        gate.close()
        gate.reopen()
