"""Streams that are no chats': the Responses API's events, and Gemini's own contents.

LiteLLM keeps no list of their chunks and tells nobody that such a stream was dropped; of Gemini's it tells nothing
when one breaks, nor how a sync one ends. So their readers are watched: each chunk that a reader gets is held by
reference until the event is written. A LiteLLM that lacks one of these classes has no such streams.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import threading
from typing import Any, Awaitable, Callable, Set

from .notify import details_of, keep, tell

_lock = threading.Lock()
_seen: Set[type] = set()


def watch_streams() -> None:
    """Wrap what LiteLLM has of these; once a process."""
    home = "litellm.responses.streaming_iterator"
    _wrap(home, "ResponsesAPIStreamingIterator", "__anext__", _event_comes_later)
    _wrap(home, "SyncResponsesAPIStreamingIterator", "__next__", _event_comes)
    # The module with the classes of Gemini's streams needs LiteLLM's proxy: they are seen when the first one is made.
    handler = ("litellm.llms.custom_httpx.llm_http_handler", "BaseLLMHTTPHandler")
    _wrap(*handler, "generate_content_handler", _contents_begin)
    _wrap(*handler, "async_generate_content_handler", _contents_begin_later)


def _wrap(module: str, name: str, method: str, wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    try:
        owner = getattr(importlib.import_module(module), name)
    except Exception:
        return  # an older one; what it has of the Responses API may not even import on Python 3.8
    if method in vars(owner):
        setattr(owner, method, wrapper(vars(owner)[method]))


# ---- the Responses API: LiteLLM tells how these end, but not that they were dropped


def _event_comes(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(read)
    def wrapped(self: Any) -> Any:
        event = read(self)
        tell("on_chunk", details_of(self), event)
        return event

    return wrapped


def _event_comes_later(read: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    return _read_later(read, is_told=True)


# ---- Gemini's contents


def _contents_begin(ask: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(ask)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = ask(self, *args, **kwargs)
        _watch_contents(answer)
        return answer

    return wrapped


def _contents_begin_later(ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(ask)
    async def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = await ask(self, *args, **kwargs)
        _watch_contents(answer)
        return answer

    return wrapped


def _watch_contents(stream: Any) -> None:
    if hasattr(stream, "collected_chunks"):
        _watch_class(stream, _contents_come, _contents_come_later)


def _contents_come(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(read)
    def wrapped(self: Any) -> Any:
        try:
            chunk = read(self)
        except StopIteration:
            tell("on_stream_end", details_of(self), None)
            raise
        except Exception as error:
            tell("on_stream_end", details_of(self), error)
            raise
        tell("on_chunk", details_of(self), chunk)
        return chunk

    return wrapped


def _contents_come_later(read: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    return _read_later(read, is_told=False)


# ---- all of them


def watch_readers(stream: Any) -> None:
    """From now on see what is read from streams of this one's class, of whose end LiteLLM tells."""
    _watch_class(stream, _event_comes, _event_comes_later)


def _watch_class(stream: Any, now: Callable[..., Any], later: Callable[..., Any]) -> None:
    for owner in type(stream).__mro__:
        with _lock:
            if owner in _seen:
                continue
            _seen.add(owner)
            for method, wrapper in (("__next__", now), ("__anext__", later)):
                if method in vars(owner):
                    setattr(owner, method, wrapper(vars(owner)[method]))


def _read_later(read: Callable[[Any], Awaitable[Any]], is_told: bool) -> Callable[[Any], Awaitable[Any]]:
    """`is_told`: LiteLLM's callback tells how such a stream breaks. Of a whole one it always tells, later."""

    @functools.wraps(read)
    async def wrapped(self: Any) -> Any:
        try:
            chunk = await read(self)
        except asyncio.CancelledError:
            tell("on_cancel", details_of(self))
            raise
        except StopAsyncIteration:
            tell("on_last_chunk", details_of(self))
            await keep(details_of(self))
            raise
        except Exception as error:
            if not is_told:
                tell("on_stream_end", details_of(self), error)
            await keep(details_of(self), error)
            raise
        tell("on_chunk", details_of(self), chunk)
        return chunk

    return wrapped
