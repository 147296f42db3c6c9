"""How long our hooks take, and how long it takes from there until the record is committed; in the measured process."""

from __future__ import annotations

import statistics
import threading
import time
from typing import Any, Callable, Dict, List, Sequence, Tuple

from _common import Json, p99
from _internals import KINDS, observe
from _noop import HOOKS


class HookTimer:
    """Wraps the hooks of our logger's class, and observes both ends of the way from them to the disk."""

    def __init__(self, logger: Any) -> None:
        self._entered = threading.local()
        self._submitted: Dict[Tuple[int, str], float] = {}
        self._hooks: Dict[str, List[float]] = {}
        self._committed: Dict[int, List[float]] = {}
        for name in HOOKS:
            wrap = self._async_hook if name.startswith("async") else self._hook
            setattr(logger, name, wrap(name, getattr(logger, name)))
        observe(self._on_submit, self._on_commit)

    def _on_submit(self, kind: int, id_: str) -> None:
        self._submitted[kind, id_] = getattr(self._entered, "at", time.perf_counter())

    def _on_commit(self, kind: int, id_: str) -> None:
        began = self._submitted.pop((kind, id_), None)
        if began is not None:
            self._committed.setdefault(kind, []).append(time.perf_counter() - began)

    def _hook(self, name: str, hook: Callable[..., None]) -> Callable[..., None]:
        def timed(*arguments: Any, **named: Any) -> None:
            began = self._entered.at = time.perf_counter()
            hook(*arguments, **named)
            self._hooks.setdefault(_place(name), []).append(time.perf_counter() - began)

        return timed

    def _async_hook(self, name: str, hook: Callable[..., Any]) -> Callable[..., Any]:
        async def timed(*arguments: Any, **named: Any) -> None:
            began = self._entered.at = time.perf_counter()
            await hook(*arguments, **named)
            self._hooks.setdefault(_place(name), []).append(time.perf_counter() - began)

        return timed

    def take(self) -> Json:
        """Each hook's times and number, and each kind of record's way to the disk, since the last `take`."""
        times = {
            "hooks": {name: {"calls": len(took), **_spread(took, 1e6, "us")} for name, took in self._hooks.items()},
            "commits": {
                kind: _spread(self._committed[n], 1e3, "ms") for kind, n in KINDS.items() if n in self._committed
            },
        }
        self._hooks.clear()
        self._committed.clear()
        return times


def _place(hook: str) -> str:
    """The hook, and whether it runs on the loop's thread, where it delays all other calls."""
    on_loop = threading.current_thread() is threading.main_thread()
    return f"{hook} ({'loop' if on_loop else 'another thread'})"


def _spread(values: Sequence[float], scale: float, unit: str) -> Json:
    return {
        f"p50_{unit}": statistics.median(values) * scale,
        f"p99_{unit}": p99(values) * scale,
        f"max_{unit}": max(values) * scale,
    }
