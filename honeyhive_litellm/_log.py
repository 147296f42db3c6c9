"""The package's logger: each kind of trouble at most once a minute, never the content of a call.

Every record has the attribute `event_code`, from the table in `_log_codes.py`, and the numbers that belong to it.
"""

from __future__ import annotations

import logging
import sys
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Dict, Iterator, Mapping, Optional, Set, Tuple

from ._foreign import contained
from ._fork import ForkSafeLock, Part, on_fork
from ._log_codes import LogCode

logger = logging.getLogger("honeyhive_litellm")

Counts = Mapping[str, int]
"""Numbers of a log record, such as `{"events": 3}`; each becomes an attribute of the record."""

_Kind = Tuple[LogCode, str, str]

_QUIET_S = 60.0
_destination: ContextVar[str] = ContextVar("honeyhive_destination", default="")
_lock = ForkSafeLock()
_last: Dict[_Kind, float] = {}
_suppressed: Dict[_Kind, int] = {}
_ongoing: Set[_Kind] = set()


@contextmanager
def destination_in_log(name: str) -> Iterator[None]:
    """Name this destination in what is logged here and in tasks that begin here, and count its messages apart."""
    token = _destination.set(name)
    try:
        yield
    finally:
        _destination.reset(token)


def warn(
    code: LogCode,
    message: str,
    *args: object,
    about: str = "",
    repeat_s: float = _QUIET_S,
    counts: Optional[Counts] = None,
) -> None:
    """Log a warning unless one of the same `code` and `about` was logged within the last minute.

    For trouble whose end is logged by `recovered`, `repeat_s` is the time until it is logged again while it lasts. The
    record's `suppressed` counts the warnings that were left out since the last one. `about` is one of a few constants
    of the code: each one takes an entry in memory for as long as the process lives.
    """
    destination = _destination.get()
    kind = (code, about, destination)
    now = time.monotonic()
    with _lock:
        quiet_s = repeat_s if kind in _ongoing else _QUIET_S
        if kind in _last and now - _last[kind] < quiet_s:
            _suppressed[kind] = _suppressed.get(kind, 0) + 1
            return
        _last[kind] = now
        _ongoing.add(kind)
        suppressed = _suppressed.pop(kind, 0)
    with contained():
        fields = fields_of(code, {**(counts or {}), "suppressed": suppressed})
        logger.warning(*_named(message, destination), *args, extra=fields)


def recovered(trouble: LogCode, code: LogCode, message: str, *args: object, about: str = "") -> None:
    """Log that this trouble is over, if it was logged. Trouble that recurs is logged once a minute."""
    destination = _destination.get()
    kind = (trouble, about, destination)
    with _lock:
        if kind not in _ongoing:
            return
        _ongoing.discard(kind)
    with contained():
        logger.warning(*_named(message, destination), *args, extra=fields_of(code))


def _named(message: str, destination: str) -> Tuple[str, ...]:
    """The message's format and its first argument: the destination, if there is one."""
    return (
        (message.replace("honeyhive: ", "honeyhive: destination %s: ", 1), destination) if destination else (message,)
    )


def log_error(code: LogCode, message: str, *args: object) -> None:
    """Log an error, each time."""
    with contained():
        logger.error(message, *args, extra=fields_of(code))


def fields_of(code: LogCode, counts: Optional[Counts] = None) -> Dict[str, object]:
    """The attributes of a log record, for `extra`."""
    return {"event_code": code.code, **(counts or {})}


def announce(line: str) -> None:
    """Print a line, for the option `debug`. The application may have closed or replaced the standard output."""
    with contained():
        sys.stdout.write(line + "\n")


def reset() -> None:
    """Forget what was logged. A forked child logs for itself."""
    _last.clear()
    _suppressed.clear()
    _ongoing.clear()


on_fork(Part.LOG, after_in_child=reset)
