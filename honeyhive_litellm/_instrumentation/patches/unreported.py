"""Functions of LiteLLM that call no callback: they are wrapped, and reported as LiteLLM would report them.

They are patched as attributes of the `litellm` module: a function that a program has imported by name before goes
unseen.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import uuid
from datetime import datetime, timezone
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from honeyhive_litellm._foreign import class_name, is_interrupt
from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._mapping.call_types import named_arguments
from honeyhive_litellm._mapping.metadata import NOTED_KEY, note_metadata
from honeyhive_litellm._mapping.reading import ARGUMENTS_KEY

from .notify import active_runtimes, checkpoint_in, guarded

UNREPORTED = (
    "moderation", "cancel_batch", "acancel_batch", "add_message", "a_add_message", "run_thread", "arun_thread",
)  # fmt: skip


def patch_functions() -> None:
    """Wrap them, once a process."""
    litellm = importlib.import_module("litellm")
    for name in UNREPORTED:
        function = getattr(litellm, name, None)
        if function is not None and not hasattr(function, "__wrapped__"):  # LiteLLM wraps those that it reports
            wrap = _wrap_async if asyncio.iscoroutinefunction(function) else _wrap
            setattr(litellm, name, wrap(function, name))


class _Call:
    """One such call, reported to the recorders that hear of every call."""

    def __init__(self, name: str, arguments: Mapping[str, Any]) -> None:
        self.details = _call_details(name, arguments)
        self._runtimes = list(active_runtimes())
        for runtime in self._runtimes:
            guarded(runtime.recorder.on_start, self.details, self)

    def succeed(self, response: object) -> None:
        for runtime in self._runtimes:
            guarded(runtime.recorder.on_success, self.details, response)

    def fail(self, error: BaseException) -> None:
        self.details["exception"] = error
        for runtime in self._runtimes:
            guarded(runtime.recorder.on_failure, self.details)

    async def checkpoint(self) -> None:
        for runtime in self._runtimes:
            if runtime.settings.strict:
                await checkpoint_in(runtime, self.details)


def _begin(name: str, signature: inspect.Signature, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Optional[_Call]:
    try:
        arguments = dict(signature.bind(*args, **kwargs).arguments)
        arguments.update(arguments.pop("kwargs", {}))
        return _Call(name, arguments)
    except BaseException as error:  # a call that LiteLLM will refuse as well
        if is_interrupt(error):
            raise
        warn(
            LogCode.UNREPORTED_CALL_NOT_RECORDED,
            "honeyhive: a call of %s could not be recorded: %s",
            name,
            class_name(error),
        )
        return None


def _wrap(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        call = _begin(name, signature, args, kwargs)
        try:
            response = function(*args, **kwargs)
        except Exception as error:
            if call is not None:
                call.fail(error)
            raise
        if call is not None:
            call.succeed(response)
        return response

    return wrapped


def _wrap_async(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    signature = inspect.signature(function)

    @functools.wraps(function)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        call = _begin(name, signature, args, kwargs)
        try:
            response = await function(*args, **kwargs)
        except Exception as error:
            if call is not None:
                call.fail(error)
                await call.checkpoint()
            raise
        if call is not None:
            call.succeed(response)
            await call.checkpoint()
        return response

    return wrapped


def _call_details(name: str, arguments: Mapping[str, Any]) -> Dict[str, Any]:
    """The call in the form of LiteLLM's own `model_call_details`."""
    metadata = {} if "batch" in name else arguments.get("metadata") or {}  # that of a batch is the provider's
    params = {
        **{key: arguments.get(key) for key in ("api_base", "no-log")},
        "metadata": metadata,
        "litellm_metadata": arguments.get("litellm_metadata") or {},
    }
    return {
        "call_type": name,
        "litellm_call_id": arguments.get("litellm_call_id") or str(uuid.uuid4()),
        "model": arguments.get("model"),
        "custom_llm_provider": arguments.get("custom_llm_provider") or "openai",
        "input": arguments.get("input"),
        "turn_off_message_logging": arguments.get("turn_off_message_logging"),
        "optional_params": {},
        "litellm_params": params,
        "start_time": datetime.now(timezone.utc),
        NOTED_KEY: note_metadata(arguments),
        ARGUMENTS_KEY: named_arguments(name, (), arguments),
    }
