"""The package's logger: each kind of trouble at most once a minute, never the content of a call."""

from __future__ import annotations

import logging
import sys
import time
from typing import Dict, Set

from ._fork import ForkSafeLock, Part, on_fork

logger = logging.getLogger("honeyhive_litellm")

_QUIET_S = 60.0
_lock = ForkSafeLock()
_last: Dict[str, float] = {}
_ongoing: Set[str] = set()


def warn(kind: str, message: str, *args: object, repeat_s: float = _QUIET_S) -> None:
    """Log a warning unless one of the same `kind` was logged within the last minute.

    For trouble whose end is logged by `recovered`, `repeat_s` is the time until it is logged again while it lasts.
    `kind` is a constant of the code: each one takes an entry in memory for as long as the process lives.
    """
    now = time.monotonic()
    with _lock:
        quiet_s = repeat_s if kind in _ongoing else _QUIET_S
        if kind in _last and now - _last[kind] < quiet_s:
            return
        _last[kind] = now
        _ongoing.add(kind)
    logger.warning(message, *args)


def recovered(kind: str, message: str, *args: object) -> None:
    """Log that trouble of this `kind` is over, if it was logged. Trouble that recurs is logged once a minute."""
    with _lock:
        if kind not in _ongoing:
            return
        _ongoing.discard(kind)
    logger.warning(message, *args)


def announce(line: str) -> None:
    """Print a line, for the option `debug`."""
    sys.stdout.write(line + "\n")


def reset() -> None:
    """Forget what was logged. A forked child logs for itself."""
    _last.clear()
    _ongoing.clear()


on_fork(Part.LOG, after_in_child=reset)
