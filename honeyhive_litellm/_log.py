"""The package's own logger, which says a thing once a minute and not once an event. It never carries content."""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import Dict, Set

from ._fork import Part, on_fork

logger = logging.getLogger("honeyhive_litellm")

_QUIET_S = 60.0
_lock = threading.Lock()
_last: Dict[str, float] = {}
_ongoing: Set[str] = set()


def warn(kind: str, message: str, *args: object, repeat_s: float = _QUIET_S) -> None:
    """Log a warning unless one of the same `kind` was logged within the last minute.

    For trouble whose end is told, `repeat_s` says after how many seconds it is told again while it lasts.
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
    """Say that trouble of this `kind`, if any was told, is over. What comes and goes is told once a minute."""
    with _lock:
        if kind not in _ongoing:
            return
        _ongoing.discard(kind)
    logger.warning(message, *args)


def announce(line: str) -> None:
    """Print a line for the user who asked for `debug=True`."""
    sys.stdout.write(line + "\n")


def reset() -> None:
    """Forget what was logged. Also for a forked child, where another thread of the parent may have held the lock."""
    global _lock
    _lock = threading.Lock()
    _last.clear()
    _ongoing.clear()


on_fork(Part.LOG, after_in_child=reset)
