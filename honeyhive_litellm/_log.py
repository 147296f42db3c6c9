"""The package's own logger, which says a thing once a minute and not once an event. It never carries content."""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import Dict

logger = logging.getLogger("honeyhive_litellm")

_QUIET_S = 60.0
_lock = threading.Lock()
_last: Dict[str, float] = {}


def warn(kind: str, message: str, *args: object) -> None:
    """Log a warning unless one of the same `kind` was logged within the last minute."""
    now = time.monotonic()
    with _lock:
        if now - _last.get(kind, -_QUIET_S) < _QUIET_S:
            return
        _last[kind] = now
    logger.warning(message, *args)


def recovered(kind: str, message: str, *args: object) -> None:
    """Say that trouble of this `kind`, if any was told, is over; the next one is told at once."""
    with _lock:
        told = _last.pop(kind, None)
    if told is not None:
        logger.warning(message, *args)


def announce(line: str) -> None:
    """Print a line for the user who asked for `debug=True`."""
    sys.stdout.write(line + "\n")


def reset() -> None:
    """Forget what was said. Also for a forked child, where another thread of the parent may have held the lock."""
    global _lock
    _lock = threading.Lock()
    _last.clear()
