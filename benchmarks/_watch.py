"""How long our hooks take, and how long it takes from there until the record is committed; in the measured process."""

from __future__ import annotations

import statistics
import threading
import time
from typing import Any, Callable, Dict, List, Sequence, Tuple

from _calls import HOOKS
from _common import Json, p99


class Watch:
    """Wraps the hooks of our logger's class, and the two ends of the way from them to the disk."""

    def __init__(self, logger: Any) -> None:
        from honeyhive_litellm._runtime.runtime import Runtime
        from honeyhive_litellm._spool.writer import Writer

        self._entered = threading.local()
        self._put: Dict[Tuple[int, str], float] = {}
        self._hooks: Dict[str, List[float]] = {}
        self._committed: Dict[int, List[float]] = {}
        for name in HOOKS:
            wrap = self._async_hook if name.startswith("async") else self._hook
            setattr(logger, name, wrap(name, getattr(logger, name)))
        put, committed = Runtime.submit, Writer._committed

        def noting_put(runtime: Any, record: Any) -> None:
            self._put[record.kind, record.id] = getattr(self._entered, "at", time.perf_counter())
            put(runtime, record)

        def noting_commit(writer: Any, group: Sequence[Any]) -> None:
            now = time.perf_counter()
            for record in group:
                began = self._put.pop((record.kind, record.id), None)
                if began is not None:
                    self._committed.setdefault(record.kind, []).append(now - began)
            committed(writer, group)

        Runtime.submit = noting_put  # type: ignore[assignment,method-assign]
        Writer._committed = noting_commit  # type: ignore[assignment,method-assign]

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

    def told(self) -> Json:
        """Each hook's times and number, and each kind of record's way to the disk, since the last such question."""
        from honeyhive_litellm._spool.record import EVENT, START

        kinds = {"start": START, "event": EVENT}
        told = {
            "hooks": {name: {"calls": len(took), **_spread(took, 1e6, "us")} for name, took in self._hooks.items()},
            "commits": {
                kind: _spread(self._committed[n], 1e3, "ms") for kind, n in kinds.items() if n in self._committed
            },
        }
        self._hooks.clear()
        self._committed.clear()
        return told


def _place(hook: str) -> str:
    """With the thread it is called on: what runs on the loop's holds everybody up."""
    on_loop = threading.current_thread() is threading.main_thread()
    return f"{hook} ({'loop' if on_loop else 'another thread'})"


def _spread(values: Sequence[float], scale: float, unit: str) -> Json:
    return {
        f"p50_{unit}": statistics.median(values) * scale,
        f"p99_{unit}": p99(values) * scale,
        f"max_{unit}": max(values) * scale,
    }
