"""What LiteLLM has no hooks for: a stream as it is read, an answer from the cache, a request to a Router as a whole.

All are seen by wrapping LiteLLM's own functions, once a process; all wrappers pass everything through as it is. A
LiteLLM that lacks one of these functions costs what that one would have told: one warning says what, and all else is
recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import threading
from typing import Any, Awaitable, Callable, Dict, Iterator, Mapping, NamedTuple, Optional, Tuple

from honeyhive_litellm._capture.router_request import Route, call_of
from honeyhive_litellm._log import warn
from honeyhive_litellm._runtime.runtime import Runtime

from .notify import details_of, guarded, keep, tell, watched
from .other_streams import watch_readers, watch_streams
from .unreported import watch_untold

_lock = threading.Lock()


class _Place(NamedTuple):
    """A method of LiteLLM's, what to wrap it in, and what is not seen without it."""

    module: str
    owner: str
    method: str
    wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]


def watch(runtime: Runtime, is_registered: Callable[[Runtime], bool]) -> None:
    """From now on tell `runtime` of streams, and of requests to Routers.

    `is_registered` says whether a logger of a runtime is among LiteLLM's callbacks.
    """
    global _is_registered
    with _lock:
        if runtime in watched:
            return
        if not watched:
            _is_registered = is_registered
            _wrap_all()
            watch_streams()
            watch_untold(is_registered)
        watched.append(runtime)


def _wrap_all() -> None:
    for what, ways in _PLACES:
        found = next((way for way in ways if all(_owner(place) is not None for place in way)), None)
        if found is None:
            warn(
                f"watch {what}",
                "honeyhive: this LiteLLM is not known to us, and %s are recorded in less detail: "
                "please report its version, and use one that the README names meanwhile",
                what,
            )
        for place in found or ():
            owner = _owner(place)
            setattr(owner, place.method, place.wrapper(vars(owner)[place.method]))


def _owner(place: _Place) -> Any:
    """The class whose method it is; None if this LiteLLM has no such method."""
    try:
        owner = getattr(importlib.import_module(place.module), place.owner)
        return owner if place.method in vars(owner) else None
    except (ImportError, AttributeError):
        return None


def _nobody(runtime: Runtime) -> bool:
    return False


_is_registered: Callable[[Runtime], bool] = _nobody


# ---- streams


def _stream_begins(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        tell("on_stream_start", details_of(self), self.chunks, self)

    return wrapped


def _stream_is_read(read: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    @functools.wraps(read)
    async def wrapped(self: Any) -> Any:
        try:
            chunk = await read(self)
        except asyncio.CancelledError:
            tell("on_cancel", details_of(self))
            raise
        except StopAsyncIteration:
            raise
        except Exception as error:
            await keep(details_of(self), error)
            raise
        choices = getattr(chunk, "choices", None)
        ends = any(getattr(choice, "finish_reason", None) for choice in choices or ())
        if ends or not choices:
            if ends:
                tell("on_last_chunk", details_of(self))
            await keep(details_of(self))  # what comes after the last words has the token counts, and no choices
        return chunk

    return wrapped


# ---- answers from LiteLLM's cache


def _cache_answers(report: Callable[..., None]) -> Callable[..., None]:
    """No hook is called inline for an answer from the cache, and the callback comes late, at a script's end never."""

    @functools.wraps(report)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        told = dict(zip(("logging_obj", "cached_result"), args), **kwargs)
        for runtime in watched:
            if not runtime.is_closed and _is_registered(runtime):
                guarded(runtime.recorder.on_cache_hit, told["logging_obj"].model_call_details, told["cached_result"])
        report(self, *args, **kwargs)

    return wrapped


def _cache_is_asked(ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A strict call that the cache answers returns when the answer is on disk."""

    @functools.wraps(ask)
    async def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = await ask(self, *args, **kwargs)
        logging_object = kwargs.get("logging_obj")
        _stream_of_cache(answer)
        is_hit = any(getattr(answer, name, None) for name in ("cached_result", "embedding_all_elements_cache_hit"))
        if is_hit and logging_object is not None:
            await keep(logging_object.model_call_details)
        return answer

    return wrapped


def _cache_is_asked_now(ask: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(ask)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = ask(self, *args, **kwargs)
        _stream_of_cache(answer)
        return answer

    return wrapped


def _stream_of_cache(answer: Any) -> None:
    """Tell of the stream that the cache answers with, if it does: LiteLLM tells of none that is not read to its end."""
    stream = getattr(answer, "cached_result", None)
    if stream is None or not (hasattr(stream, "__anext__") or hasattr(stream, "__next__")):
        return
    chunks = getattr(stream, "chunks", None)
    if chunks is None:
        watch_readers(stream)
    for runtime in watched:
        if not runtime.is_closed and _is_registered(runtime):
            guarded(runtime.recorder.on_cached_stream, details_of(stream), chunks)


# ---- requests to a Router


def _async_request(ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(ask)
    async def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _routed(self, args, kwargs):
            return await ask(self, *args, **kwargs)

    return wrapped


def _request(ask: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(ask)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _routed(self, args, kwargs):
            return ask(self, *args, **kwargs)

    return wrapped


def _asked(args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Mapping[str, Any]:
    """The request's arguments by name.

    The Router written in Python gets them as such, with the function to call among them. The one in Rust (LiteLLM
    1.110) gets a plan, which has that function's name, and a mapping.
    """
    if not args or not hasattr(args[0], "endpoint"):
        return kwargs
    request = args[1] if len(args) > 1 else kwargs.get("request", {})
    return {**request, "endpoint": args[0].endpoint}


@contextlib.contextmanager
def _routed(router: Any, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Iterator[None]:
    """While the Router works on one request, attempts belong to it. Its fallbacks come here again, one level deeper."""
    if "fallback_depth" in kwargs:
        yield
        return
    routes = [(runtime, _begin_route(runtime, router, args, kwargs)) for runtime in watched if not runtime.is_closed]
    error: Optional[BaseException] = None
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        for runtime, route in routes:
            if route is not None:
                guarded(runtime.recorder.end_router_request, route, error, _is_registered(runtime))


def _begin_route(runtime: Runtime, router: Any, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Optional[Route]:
    try:
        arguments = _asked(args, kwargs)
        return runtime.recorder.begin_router_request(call_of(arguments.get("model"), arguments), _strategy_of(router))
    except Exception as error:
        warn("callback", "honeyhive: a request to a Router could not be recorded: %s", type(error).__name__)
        return None


def _strategy_of(router: Any) -> Optional[str]:
    known = router if hasattr(router, "routing_strategy") else router.settings()  # Python's, Rust's
    strategy = getattr(known, "routing_strategy", None)
    return None if strategy is None else str(getattr(strategy, "value", strategy))


_STREAM = ("litellm.litellm_core_utils.streaming_handler", "CustomStreamWrapper")
_CACHE = ("litellm.caching.caching_handler", "LLMCachingHandler")
_PLACES: Tuple[Tuple[str, Tuple[Tuple[_Place, ...], ...]], ...] = (
    ("streams", ((_Place(*_STREAM, "__init__", _stream_begins), _Place(*_STREAM, "__anext__", _stream_is_read)),)),
    (
        "answers from the cache",
        tuple(
            (
                _Place(*_CACHE, "_async_log_cache_hit_on_callbacks", _cache_answers),
                _Place(*_CACHE, f"{prefix}async_get_cache", _cache_is_asked),
                _Place(*_CACHE, f"{prefix}sync_get_cache", _cache_is_asked_now),
            )
            for prefix in ("", "_")  # LiteLLM 1.110, and before
        ),
    ),
    (
        "requests to a Router",
        (
            (
                _Place("litellm.router", "Router", "async_function_with_fallbacks", _async_request),
                _Place("litellm.router", "Router", "function_with_fallbacks", _request),
            ),
            (
                _Place("litellm.router_rust.core", "RustCore", "_drive", _async_request),
                _Place("litellm.router_rust.core", "RustCore", "_call_sync", _request),
            ),
        ),
    ),
)
"""What to see, and for each the ways of known LiteLLMs: the first is taken whose methods are all there."""
