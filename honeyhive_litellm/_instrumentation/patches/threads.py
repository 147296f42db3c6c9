"""Threads that LiteLLM starts for a call: they inherit the caller's context, with its session and its span.

A thread has an empty context of its own unless somebody copies one into it. LiteLLM does so for most of its threads.
"""

from __future__ import annotations

import contextvars
import functools
import sys
from typing import Any, Awaitable, Callable, Dict

from .module_functions import ModuleView, imported

_BATCHES = "litellm.batch_completion.main"
_SILENT_EXPERIMENTS = "litellm.router_rust.invoke.endpoints"
_RUN_ASYNC = "run_async_function"


def patch_threads() -> None:
    """Have them inherit the context, once a process.

    `batch_completion` and its kind submit `litellm.completion` to threads, and look it up in the caller's thread: there
    it can be bound to the caller's context.
    """
    batches = imported(_BATCHES)
    if hasattr(batches, "litellm"):
        batches.litellm = ModuleView(batches.litellm, completion=_in_this_context)
    experiments = imported(_SILENT_EXPERIMENTS)
    if hasattr(experiments, "threading"):
        experiments.threading = ModuleView(experiments.threading, Thread=_thread_in_this_context)
    _patch_run_async()


def _in_this_context(function: Callable[..., Any]) -> Callable[..., Any]:
    context = contextvars.copy_context()

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return context.run(function, *args, **kwargs)

    return call


def _thread_in_this_context(thread: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(thread)
    def start(*args: Any, target: Callable[..., Any], **kwargs: Any) -> Any:
        return thread(*args, target=_in_this_context(target), **kwargs)

    return start


def _patch_run_async() -> None:
    """Wrap the function that runs a coroutine on a loop in another thread, in every module that has imported it."""
    original = getattr(imported("litellm.litellm_core_utils.asyncify"), _RUN_ASYNC, None)
    if original is None:
        return
    wrapper = _on_run_async(original)
    for name, module in list(sys.modules.items()):
        if name.startswith("litellm.") and vars(module).get(_RUN_ASYNC) is original:
            setattr(module, _RUN_ASYNC, wrapper)


def _on_run_async(run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    def wrapped(async_function: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        return run(_with_this_context(async_function), *args, **kwargs)

    return wrapped


def _with_this_context(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The same function, which finds the variables of the present context where the one that it runs in lacks them."""
    context = contextvars.copy_context()

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        present: Dict[contextvars.ContextVar[Any], Any] = dict(contextvars.copy_context().items())
        for variable, value in context.items():
            if variable not in present:
                variable.set(value)
        return await function(*args, **kwargs)

    return call
