from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
from typing import Any, Callable, Iterator, List, Type

import pytest

from honeyhive_litellm import _foreign, _log
from honeyhive_litellm._foreign import contained, is_interrupt
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._mapping.reading import or_default

ANY = (SystemExit, KeyboardInterrupt, GeneratorExit, RuntimeError)


def error_of(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("it raised nothing")


@pytest.mark.parametrize("kind", ANY)
def test_what_foreign_code_raises_is_no_interrupt_of_the_thread(kind: Type[BaseException]) -> None:
    def raises() -> str:
        raise kind("of its own")

    def thrown() -> str:
        return str((_ for _ in ()).throw(kind))

    for foreign in (raises, thrown):
        assert not is_interrupt(error_of(foreign))
        assert or_default("default", foreign) == "default"


@pytest.fixture
def restored() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before):
        signal.signal(number, handler)


class Handler:
    def __call__(self, *_: object) -> None:
        raise RuntimeError("time is up")

    def method(self, *_: object) -> None:
        sys.exit(0)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_and_what_a_signal_handler_raises_reach_the_application(restored: None) -> None:
    def signalled(number: int) -> Any:
        def foreign() -> str:
            os.kill(os.getpid(), number)
            threading.Event().wait(5)
            return "no signal"

        return lambda: or_default("swallowed", foreign)

    assert type(error_of(signalled(signal.SIGINT))) is KeyboardInterrupt
    for handler in (lambda *_: sys.exit(0), Handler(), Handler().method):
        signal.signal(signal.SIGTERM, handler)
        assert type(error_of(signalled(signal.SIGTERM))) in (SystemExit, RuntimeError)


def test_an_exception_that_nobody_raised_is_no_interrupt() -> None:
    assert not any(is_interrupt(kind()) for kind in ANY)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_what_foreign_code_raises_is_contained_and_what_a_signal_handler_raises_is_not(restored: None) -> None:
    signal.signal(signal.SIGTERM, Handler())
    for kind in ANY:
        with contained():
            raise kind("of its own")
    with pytest.raises(RuntimeError, match="time is up"), contained():
        signal.raise_signal(signal.SIGTERM)


def test_what_another_thread_raises_in_the_midst_of_our_code_reaches_the_thread() -> None:
    caught: List[BaseException] = []
    turns = iter(range(10**9))
    has_begun = threading.Event()

    def body() -> None:
        try:
            while True:
                or_default(None, next, turns)  # a builtin: the exception is raised in our frame, or in this one
                has_begun.set()
        except SystemExit as error:
            caught.append(error)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    has_begun.wait(20)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))
    thread.join(20)
    assert len(caught) == 1


@pytest.mark.parametrize("kind", ANY)
def test_a_logging_handler_that_raises_costs_its_line_only(kind: Type[BaseException]) -> None:
    class Raising(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise kind(record.getMessage())

    logger = logging.getLogger("honeyhive_litellm")
    handler = Raising()
    logger.addHandler(handler)
    try:
        _log.log_error(LogCode.TASK_RESTARTED, "a line")
    finally:
        logger.removeHandler(handler)


def test_the_name_of_a_class_is_read_without_its_code() -> None:
    def raises(_cls: object) -> str:
        raise SystemExit

    odd = type("Meta", (type,), {"__name__": property(raises)})("Odd", (), {})
    assert _foreign.class_name(odd()) == "Odd"
