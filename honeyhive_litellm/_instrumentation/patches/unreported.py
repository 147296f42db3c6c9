"""Functions of LiteLLM's that tell no callback of a call, or not what was asked.

Those that tell nothing are wrapped: such a call is told of as LiteLLM would tell of it. They are found as attributes of
the `litellm` module; one that a program has imported by name before is not seen. Of files and batches LiteLLM tells the
answer only, so what was asked is noted where it sets up its own record of the call.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import uuid
from datetime import datetime, timezone
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from honeyhive_litellm._log import warn
from honeyhive_litellm._mapping.call_types import ASKED, NAMES, named_arguments
from honeyhive_litellm._runtime.runtime import Runtime

from .notify import guarded, kept, watched

UNTOLD = ("moderation", "cancel_batch", "acancel_batch")


def watch_untold(is_registered: Callable[[Runtime], bool]) -> None:
    """Wrap them; once a process. `is_registered` says whether a runtime's logger is among LiteLLM's callbacks."""
    litellm = importlib.import_module("litellm")
    for name in UNTOLD:
        function = getattr(litellm, name, None)
        if function is not None and not hasattr(function, "__wrapped__"):  # LiteLLM wraps those that it tells of
            wrap = _later if asyncio.iscoroutinefunction(function) else _now
            setattr(litellm, name, wrap(function, name, is_registered))
    home = importlib.import_module("litellm.utils")
    setup = getattr(home, "function_setup", None)
    if setup is not None:
        setattr(home, "function_setup", _noted(setup))  # noqa: B010 - the module is not read by the type checker


class _Call:
    """One call that LiteLLM tells nobody of, told to all runtimes."""

    def __init__(self, name: str, asked: Dict[str, Any], is_registered: Callable[[Runtime], bool]) -> None:
        self.details = _details(name, asked)
        self._runtimes = [runtime for runtime in watched if not runtime.is_closed and is_registered(runtime)]
        for runtime in self._runtimes:
            guarded(runtime.recorder.on_start, self.details, self)

    def succeeds(self, answer: object) -> None:
        for runtime in self._runtimes:
            guarded(runtime.recorder.on_success, self.details, answer)

    def fails(self, error: BaseException) -> None:
        self.details["exception"] = error
        for runtime in self._runtimes:
            guarded(runtime.recorder.on_failure, self.details)

    async def is_kept(self) -> None:
        for runtime in self._runtimes:
            if runtime.settings.strict:
                await kept(runtime, self.details)


def _begin(
    name: str,
    signature: inspect.Signature,
    arguments: Tuple[Tuple[Any, ...], Dict[str, Any]],
    is_registered: Callable[[Runtime], bool],
) -> Optional[_Call]:
    try:
        given = dict(signature.bind(*arguments[0], **arguments[1]).arguments)
        given.update(given.pop("kwargs", {}))
        return _Call(name, given, is_registered)
    except Exception as error:  # a call that LiteLLM will refuse, too
        warn("callback", "honeyhive: a call of %s could not be recorded: %s", name, type(error).__name__)
        return None


def _now(function: Callable[..., Any], name: str, is_registered: Callable[[Runtime], bool]) -> Callable[..., Any]:
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        call = _begin(name, signature, (args, kwargs), is_registered)
        try:
            answer = function(*args, **kwargs)
        except Exception as error:
            if call is not None:
                call.fails(error)
            raise
        if call is not None:
            call.succeeds(answer)
        return answer

    return wrapped


def _later(function: Callable[..., Any], name: str, is_registered: Callable[[Runtime], bool]) -> Callable[..., Any]:
    signature = inspect.signature(function)

    @functools.wraps(function)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        call = _begin(name, signature, (args, kwargs), is_registered)
        try:
            answer = await function(*args, **kwargs)
        except Exception as error:
            if call is not None:
                call.fails(error)
                await call.is_kept()
            raise
        if call is not None:
            call.succeeds(answer)
            await call.is_kept()
        return answer

    return wrapped


def _details(name: str, asked: Mapping[str, Any]) -> Dict[str, Any]:
    """The call as LiteLLM's own details would tell of it."""
    metadata = {} if "batch" in name else asked.get("metadata") or {}  # that of a batch is the provider's
    places = {key: asked.get(key) for key in ("api_base", "no-log")}
    params = {**places, "metadata": metadata, "litellm_metadata": asked.get("litellm_metadata") or {}}
    return {
        "call_type": name,
        "litellm_call_id": asked.get("litellm_call_id") or str(uuid.uuid4()),
        "model": asked.get("model"),
        "custom_llm_provider": asked.get("custom_llm_provider") or "openai",
        "input": asked.get("input"),
        "optional_params": {},
        "litellm_params": params,
        "start_time": datetime.now(timezone.utc),
        ASKED: named_arguments(name, (), asked),
    }


# ---- what was asked about files and batches


def _noted(setup: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(setup)
    def wrapped(original_function: Any, rules_obj: Any, start_time: Any, *args: Any, **kwargs: Any) -> Any:
        made = setup(original_function, rules_obj, start_time, *args, **kwargs)
        if original_function in NAMES:
            guarded(_note, made, original_function, args, kwargs)
        return made

    return wrapped


def _note(made: Any, name: str, args: Tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    made[0].model_call_details[ASKED] = named_arguments(name, args, kwargs)
