"""The methods with which a stream is read, wrapped: each chunk that the reader gets is reported, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import Any, Awaitable, Callable, Optional

from honeyhive_litellm._capture.recorder import Recorder
from honeyhive_litellm._capture.stream_state import CANCELLED, CLOSED, END, ERROR

from .notify import call_details_of, checkpoint, notify, start_committed, wait_for_start


def on_init(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap the constructor of a stream's class."""

    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        notify(Recorder.on_stream_start, call_details_of(self), self)

    return wrapped


def on_bridge_init(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap the constructor of a class that translates the stream of another API, which is patched as well."""

    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        notify(Recorder.on_translated_stream, call_details_of(self), self)

    return wrapped


def on_next(read: Callable[[Any], Any], is_reported: bool = True) -> Callable[[Any], Any]:
    """Wrap a sync reading method; `is_reported`: whether LiteLLM reports how such a stream ends."""

    @functools.wraps(read)
    def wrapped(self: Any) -> Any:
        was_closed = getattr(self, "_closed", False)
        try:
            chunk = read(self)
        except BaseException as error:
            if not was_closed:
                report_end(self, error, is_reported)
            raise
        notify(Recorder.on_chunk, call_details_of(self), self, chunk)
        if _is_first_chunk(self):
            wait_for_start(call_details_of(self))
        return chunk

    return wrapped


def on_anext(read: Callable[[Any], Awaitable[Any]], reports_errors: bool = True) -> Callable[[Any], Awaitable[Any]]:
    """Wrap an async reading method. LiteLLM reports a stream that was read to its end, and perhaps its errors."""

    @functools.wraps(read)
    async def wrapped(self: Any) -> Any:
        try:
            chunk = await read(self)
        except BaseException as error:
            report_end(self, error, reports_errors or isinstance(error, StopAsyncIteration))
            if isinstance(error, StopAsyncIteration):
                await checkpoint(call_details_of(self))
            elif isinstance(error, Exception):
                await checkpoint(call_details_of(self), error)
            raise
        notify(Recorder.on_chunk, call_details_of(self), self, chunk, asyncio.get_running_loop())
        if _is_first_chunk(self):
            await start_committed(call_details_of(self))
        return chunk

    return wrapped


on_anext_unreported = functools.partial(on_anext, reports_errors=False)
"""`on_anext` for a stream of whose errors LiteLLM reports nothing, or what the reader's pieces say as well."""

_HAS_CHUNK = "_honeyhive_has_chunk"


def _is_first_chunk(stream: Any) -> bool:
    """Whether its reader has got no chunk before. A mark of ours on the stream says so; it may refuse one."""
    if getattr(stream, _HAS_CHUNK, False):
        return False
    with contextlib.suppress(Exception):
        setattr(stream, _HAS_CHUNK, True)
    return True


def report_end(stream: Any, error: BaseException, is_reported: bool = True) -> None:
    """Report that a reading method raised `error` in the place of a chunk."""
    how = _how(error)
    failure = error if how == ERROR else None
    notify(
        Recorder.on_read_end, call_details_of(stream), how, failure, _running_loop(), stream, is_reported=is_reported
    )


def _how(error: BaseException) -> str:
    if isinstance(error, (StopIteration, StopAsyncIteration)):
        return END
    if isinstance(error, GeneratorExit):
        return CLOSED
    # A task that is cancelled, a key that interrupts, an exit: on old Pythons a cancellation is an Exception.
    is_failure = isinstance(error, Exception) and not isinstance(error, asyncio.CancelledError)
    return ERROR if is_failure else CANCELLED


def _running_loop() -> Optional[asyncio.AbstractEventLoop]:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


# ---- async generators, which have no class to patch


def on_generator(generate: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function that returns an async generator of a call's bytes; the call is among its arguments."""

    @functools.wraps(generate)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        source = generate(*args, **kwargs)
        owner = _owner(args, kwargs)
        if owner is None:
            return source
        stream = _read(source, owner)
        notify(Recorder.on_stream_start, call_details_of(owner), stream)
        return stream

    return wrapped


class _Owner:
    """Stands for a generator where the call's details are looked for."""

    def __init__(self, logging_object: Any) -> None:
        self.logging_obj = logging_object


def _owner(args: Any, kwargs: Any) -> Any:
    """Whoever has the logging object of the call: an argument of that name, or the method's own object."""
    if kwargs.get("litellm_logging_obj") is not None:
        return _Owner(kwargs["litellm_logging_obj"])
    return args[0] if args and call_details_of(args[0]) else None


async def _read(source: Any, owner: Any) -> Any:
    """What `source` yields. An async generator like it: LiteLLM looks at the type."""
    is_first, is_with_reader = True, False
    try:
        async for chunk in source:
            notify(Recorder.on_chunk, call_details_of(owner), None, chunk, asyncio.get_running_loop())
            if is_first:
                await start_committed(call_details_of(owner))
                is_first = False
            is_with_reader = True
            yield chunk
            is_with_reader = False
    except BaseException as error:
        # While the reader has a chunk, an error is the closing of the stream. A loop that ends cancels the task that
        # closes what the reader has dropped.
        _report_generators_end(owner, GeneratorExit() if is_with_reader else error)
        raise
    else:
        _report_generators_end(owner, StopAsyncIteration())
        await checkpoint(call_details_of(owner))
    finally:
        await source.aclose()


def _report_generators_end(owner: Any, error: BaseException) -> None:
    how = _how(error)
    notify(Recorder.on_read_end, call_details_of(owner), how, error if how == ERROR else None, _running_loop())
