"""Who wants to know how long each batch took: the metrics, if they are registered."""

from __future__ import annotations

from typing import Callable, List, Optional

Listener = Callable[[float, str, Optional[str]], None]
"""Takes the seconds and the result of one request: "delivered", "retry", "pause", "split", or "reject"; and the
destination, None where there are none."""

_listeners: List[Listener] = []


def listen(listener: Listener) -> None:
    """Call `listener` after each batch of this process, on its runtime's thread. It must not block or raise."""
    _listeners.append(listener)


def unlisten(listener: Listener) -> None:
    _listeners.remove(listener)


def note_batch(seconds: float, result: str, destination: Optional[str] = None) -> None:
    for listener in _listeners:
        listener(seconds, result, destination)
