"""Streams of chats and text completions, as they begin and as their reader reads them.

LiteLLM keeps the provider's chunks in a list, which has the token counts that the reader does not get. It reports
nothing of a stream whose reader is cancelled, or drops it.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Awaitable, Callable

from honeyhive_litellm._aio import on_event_loop
from honeyhive_litellm._capture.recorder import Recorder

from .notify import call_details_of, checkpoint, notify, start_committed, wait_for_start
from .readers import report_end


def on_init(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        notify(Recorder.on_stream_start, call_details_of(self), self, self.chunks)
        if not on_event_loop():
            wait_for_start(call_details_of(self))

    return wrapped


def on_anext(read: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    @functools.wraps(read)
    async def wrapped(self: Any) -> Any:
        is_first = not self.chunks
        was_closed = getattr(self, "_closed", False)
        try:
            chunk = await read(self)
        except BaseException as error:
            if not was_closed:
                report_end(self, error)
                if isinstance(error, Exception) and not isinstance(error, StopAsyncIteration):
                    await checkpoint(call_details_of(self), error)
            raise
        notify(Recorder.on_chunk, call_details_of(self), self, chunk, asyncio.get_running_loop())
        if is_first:
            await start_committed(call_details_of(self))
        choices = getattr(chunk, "choices", None)
        if not choices or any(getattr(choice, "finish_reason", None) for choice in choices):
            # Once more for the chunk that follows the last text: it has the token counts, and no choices.
            await checkpoint(call_details_of(self))
        return chunk

    return wrapped
