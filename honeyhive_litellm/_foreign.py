"""Foreign code that runs inside ours: what it raises stays where it was called.

A `redact` function, a value's `__str__` or `model_dump`, a logging handler: each may raise anything, SystemExit and
KeyboardInterrupt included. That must neither end our thread nor reach the application. But what Ctrl-C, a signal
handler of the application or another thread raises in the midst of our code is meant for the thread that runs it.

    with contained():
        foreign()
"""

from __future__ import annotations

import contextlib
import inspect
import opcode
import os
import signal
import threading
from types import CodeType, FrameType, TracebackType
from typing import Iterator, List, Optional, Set, Tuple

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_RAISE = opcode.opmap["RAISE_VARARGS"]


def is_interrupt(error: BaseException) -> bool:
    """Whether `error` came from outside the code in which it was raised, and has to reach the thread that runs it.

    It did if a signal handler raised it, or if it is none of the exceptions that our code raises and yet begins there:
    Python raises what a signal or another thread causes in the frame that happens to run.
    """
    frames = _frames_of(error.__traceback__)
    if not frames:
        return False
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and not _handlers().isdisjoint(frame.f_code for frame, _ in frames):
        return True
    frame, instruction = frames[-1]
    if isinstance(error, Exception):
        return False
    if isinstance(error, KeyboardInterrupt) and is_main:
        is_raised_here = frame.f_code.co_code[max(0, instruction)] == _RAISE
        return not is_raised_here and not frame.f_code.co_flags & inspect.CO_GENERATOR
    return frame.f_code.co_filename.startswith(_PACKAGE)


def class_name(value: object) -> str:
    """The name of the value's class, without any code of that class."""
    name: str = type.__dict__["__name__"].__get__(type(value))
    return name


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Swallow what foreign code raises inside, such as a logging handler of the application."""
    try:
        yield
    except BaseException as error:
        if is_interrupt(error):
            raise


def _frames_of(traceback: Optional[TracebackType]) -> List[Tuple[FrameType, int]]:
    frames = []
    while traceback is not None:
        frames.append((traceback.tb_frame, traceback.tb_lasti))
        traceback = traceback.tb_next
    return frames


def _handlers() -> Set[CodeType]:
    """The code of the application's signal handlers that are written in Python."""
    found = set()
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        handler = getattr(handler, "func", handler)  # of a functools.partial
        function = getattr(handler, "__func__", handler)  # of a method
        for candidate in (function, vars(type(function)).get("__call__")):
            code = getattr(candidate, "__code__", None)
            if isinstance(code, CodeType):
                found.add(code)
    return found
