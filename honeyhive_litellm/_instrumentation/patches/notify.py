"""Who is told of what the wrappers around LiteLLM's functions see, and how."""

from __future__ import annotations

from typing import Any, Callable, List, Optional

from honeyhive_litellm._log import warn
from honeyhive_litellm._runtime.runtime import Runtime

watched: List[Runtime] = []
"""The runtimes that are told; `_watch.watch` adds to them."""


def guarded(notice: Callable[..., None], *arguments: Any) -> None:
    """Pass a notice on. A fault of ours is told in the log, without the call's content, and never to the caller."""
    try:
        notice(*arguments)
    except Exception as error:
        warn("callback", "honeyhive: a call could not be recorded: %s in %s", type(error).__name__, notice.__name__)


async def kept(runtime: Runtime, details: Any, error: Optional[BaseException] = None) -> None:
    """Return when the outcome, as far as it was seen, is on disk."""
    guarded(runtime.recorder.checkpoint, details, error)
    await runtime.committed()


def tell(notice: str, details: Any, *more: Any) -> None:
    """Pass a notice, named as the recorder's method, on to every runtime."""
    for runtime in watched:
        guarded(getattr(runtime.recorder, notice), details, *more)


async def keep(details: Any, error: Optional[BaseException] = None) -> None:
    """Return when the outcome, as far as it was seen, is on disk wherever calls are strict."""
    for runtime in watched:
        if runtime.settings.strict:
            await kept(runtime, details, error)


def details_of(stream: Any) -> Any:
    """LiteLLM's details of the call whose stream this is."""
    logging_object = getattr(stream, "logging_obj", None) or getattr(stream, "litellm_logging_obj", None)
    return getattr(logging_object, "model_call_details", None) or {}
