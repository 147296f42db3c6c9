"""Streams of chats, as they begin and as an async reader reads them.

LiteLLM's wrapper of a stream keeps the chunks in a list, so the recorder looks at that list from the moment that the
wrapper is made. LiteLLM reports nothing of a stream whose reader is cancelled, or drops it.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Awaitable, Callable

from honeyhive_litellm._aio import on_event_loop
from honeyhive_litellm._capture.recorder import Recorder

from .notify import call_details_of, checkpoint, notify, start_committed, wait_for_start


def on_init(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        notify(Recorder.on_stream_start, call_details_of(self), self.chunks, self)
        if not on_event_loop():
            wait_for_start(call_details_of(self))

    return wrapped


def on_anext(read: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    @functools.wraps(read)
    async def wrapped(self: Any) -> Any:
        is_first = not self.chunks
        try:
            chunk = await read(self)
        except asyncio.CancelledError:
            notify(Recorder.on_cancel, call_details_of(self))
            raise
        except StopAsyncIteration:
            raise
        except Exception as error:
            await checkpoint(call_details_of(self), error)
            raise
        if is_first:
            await start_committed(call_details_of(self))
        choices = getattr(chunk, "choices", None)
        is_last_text = any(getattr(choice, "finish_reason", None) for choice in choices or ())
        if is_last_text or not choices:
            if is_last_text:
                notify(Recorder.on_last_chunk, call_details_of(self))
            # Once more for the chunk that follows the last text: it has the token counts, and no choices.
            await checkpoint(call_details_of(self))
        return chunk

    return wrapped
