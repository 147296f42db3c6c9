"""Streams that are not chats: the Responses API's events, and the contents of Gemini's own API.

LiteLLM keeps no list of their chunks and does not report that such a stream was dropped. Of Gemini's it reports
neither how a broken one failed, nor how a sync one ended. So their readers are patched: each chunk that a reader gets
is held by reference until the event is written.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Awaitable, Callable, Set

from honeyhive_litellm._capture.recorder import Recorder
from honeyhive_litellm._fork import ForkSafeLock

from .notify import call_details_of, checkpoint, notify

_lock = ForkSafeLock()
_patched: Set[type] = set()


# ---- the Responses API: LiteLLM reports how these end, but not that they were dropped


def on_next_event(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(read)
    def wrapped(self: Any) -> Any:
        event = read(self)
        notify(Recorder.on_chunk, call_details_of(self), event)
        return event

    return wrapped


def on_anext_event(read: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    return _on_anext(read, litellm_reports_errors=True)


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
        _patch_classes(stream, _on_next_contents, _on_anext_contents)


def _on_next_contents(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(read)
    def wrapped(self: Any) -> Any:
        try:
            chunk = read(self)
        except StopIteration:
            notify(Recorder.on_stream_end, call_details_of(self), None)
            raise
        except Exception as error:
            notify(Recorder.on_stream_end, call_details_of(self), error)
            raise
        notify(Recorder.on_chunk, call_details_of(self), chunk)
        return chunk

    return wrapped


def _on_anext_contents(read: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    return _on_anext(read, litellm_reports_errors=False)


# ---- both


def patch_readers_of(stream: Any) -> None:
    """Patch the class of `stream`, of whose end LiteLLM reports; from now on for all its streams."""
    _patch_classes(stream, on_next_event, on_anext_event)


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


def _on_anext(read: Callable[[Any], Awaitable[Any]], litellm_reports_errors: bool) -> Callable[[Any], Awaitable[Any]]:
    """Wrap an async reading method. LiteLLM's callback always reports a stream that was read to its end, later."""

    @functools.wraps(read)
    async def wrapped(self: Any) -> Any:
        try:
            chunk = await read(self)
        except asyncio.CancelledError:
            notify(Recorder.on_cancel, call_details_of(self))
            raise
        except StopAsyncIteration:
            notify(Recorder.on_last_chunk, call_details_of(self))
            await checkpoint(call_details_of(self))
            raise
        except Exception as error:
            if not litellm_reports_errors:
                notify(Recorder.on_stream_end, call_details_of(self), error)
            await checkpoint(call_details_of(self), error)
            raise
        notify(Recorder.on_chunk, call_details_of(self), chunk)
        return chunk

    return wrapped
