"""Streams of Gemini's own contents, and of classes that show only when the first of them is made.

LiteLLM reports neither that a stream of Gemini's was dropped, nor how a broken one failed, nor how a sync one ended.
"""

from __future__ import annotations

import functools
from typing import Any, Awaitable, Callable, Set

from honeyhive_litellm._capture.recorder import Recorder
from honeyhive_litellm._fork import ForkSafeLock

from .notify import call_details_of, notify
from .readers import on_anext, on_anext_unreported, on_next

_lock = ForkSafeLock()
_patched: Set[type] = set()


# ---- Gemini's contents
#
# The module with the classes of these streams needs LiteLLM's proxy, so that it may not be importable. The functions
# that return such a stream are patched, and the class when the first stream is made.


def on_contents(request: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(request)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = request(self, *args, **kwargs)
        _patch_contents(result)
        return result

    return wrapped


def on_async_contents(request: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(request)
    async def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = await request(self, *args, **kwargs)
        _patch_contents(result)
        return result

    return wrapped


def _patch_contents(stream: Any) -> None:
    if hasattr(stream, "collected_chunks"):
        _patch_classes(stream, _on_next_contents, on_anext_unreported)
        notify(Recorder.on_stream_start, call_details_of(stream), stream)


_on_next_contents = functools.partial(on_next, is_reported=False)


# ---- classes that show when a stream is made


def patch_readers_of(stream: Any) -> None:
    """Patch the class of `stream`, of whose end LiteLLM reports; from now on for all its streams."""
    _patch_classes(stream, on_next, on_anext)


def _patch_classes(stream: Any, on_next: Callable[..., Any], on_anext: Callable[..., Any]) -> None:
    """Wrap the reading methods of the stream's class and of its base classes, each class once."""
    for owner in type(stream).__mro__:
        with _lock:
            if owner in _patched:
                continue
            _patched.add(owner)
            for method, wrapper in (("__next__", on_next), ("__anext__", on_anext)):
                if method in vars(owner):
                    setattr(owner, method, wrapper(vars(owner)[method]))
