"""Answers from LiteLLM's cache.

LiteLLM calls no hook inline for such an answer, its callback comes late, and at a script's end it does not come.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Awaitable, Callable, Dict

from honeyhive_litellm._capture.recorder import Recorder
from honeyhive_litellm._mapping.reading import ARGUMENTS_KEY, CACHED_PART

from .notify import call_details_of, checkpoint, guarded, notify_active
from .other_streams import patch_readers_of


def on_report(report: Callable[..., None]) -> Callable[..., None]:
    """Wrap the function with which LiteLLM schedules its callbacks for a cache hit."""

    @functools.wraps(report)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        guarded(_on_cache_hit, *args, **kwargs)
        report(self, *args, **kwargs)

    return wrapped


def _on_cache_hit(logging_obj: Any, cached_result: object, *_: Any, **__: Any) -> None:
    loop = asyncio.get_running_loop()
    notify_active(Recorder.on_cache_hit, logging_obj.model_call_details, cached_result, loop)


def on_async_look_up(look_up: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Wrap the look-up of an async call. A strict call that is a hit returns when its answer is on disk."""

    @functools.wraps(look_up)
    async def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = await look_up(self, *args, **kwargs)
        logging_object = kwargs.get("logging_obj")
        _on_cached_stream(result)
        is_hit = any(getattr(result, name, None) for name in ("cached_result", "embedding_all_elements_cache_hit"))
        if is_hit and logging_object is not None:
            await checkpoint(logging_object.model_call_details)
        elif logging_object is not None:
            guarded(_note_cached_part, logging_object.model_call_details, result)
        return result

    return wrapped


def _note_cached_part(call_details: Dict[str, Any], result: Any) -> None:
    """Of a list of texts the cache may have some embeddings: the provider is asked for the others only."""
    part = getattr(result, "final_embedding_cached_response", None)
    if part is not None:
        call_details[ARGUMENTS_KEY] = {**(call_details.get(ARGUMENTS_KEY) or {}), CACHED_PART: part}


def on_look_up(look_up: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the look-up of a sync call."""

    @functools.wraps(look_up)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = look_up(self, *args, **kwargs)
        _on_cached_stream(result)
        return result

    return wrapped


def _on_cached_stream(result: Any) -> None:
    """Report the stream with which the cache answers, if it does: LiteLLM itself reports none that is dropped."""
    stream = getattr(result, "cached_result", None)
    if stream is None or not (hasattr(stream, "__anext__") or hasattr(stream, "__next__")):
        return
    chunks = getattr(stream, "chunks", None)
    if not isinstance(chunks, list):  # a chat's list grows while it is read; others may hold the whole answer at once
        chunks = None
        patch_readers_of(stream)
    notify_active(Recorder.on_unstarted_stream, call_details_of(stream), stream, chunks, is_cached=True)
