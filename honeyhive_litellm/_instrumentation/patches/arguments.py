"""The arguments of calls of which LiteLLM does not report them.

Of calls about files, batches and edited images LiteLLM reports the response only. A call that it translates for a
provider with another API - Anthropic's messages or the Responses API for a chat model - may lose its system prompt and
its metadata on the way. So the arguments are noted where LiteLLM sets up its own record of the call.
"""

from __future__ import annotations

import functools
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Awaitable, Callable, Dict, List, Mapping, Tuple

from honeyhive_litellm._instrumentation.registration import warn_if_missing
from honeyhive_litellm._mapping.call_types import NOTED_CALL_TYPES, named_arguments
from honeyhive_litellm._mapping.metadata import NOTED_KEY, note_metadata
from honeyhive_litellm._mapping.reading import ARGUMENTS_KEY

from .module_functions import wrap_function
from .notify import guarded

_UNRECORDED: Mapping[str, object] = MappingProxyType({"metadata": {"honeyhive_skip": True}})
_NONE: Mapping[str, object] = MappingProxyType({})
_inherited: ContextVar[Mapping[str, object]] = ContextVar("honeyhive_inherited_arguments", default=_NONE)
"""The arguments of the call that this context is at work on, which LiteLLM itself does not record."""


def patch_arguments() -> None:
    """Wrap what LiteLLM sets its records up with, and functions that make further calls, once a process."""
    for module_name, function, wrap in (
        ("litellm.utils", "function_setup", _on_setup),
        ("litellm.anthropic_interface.messages", "create", _on_create),
        ("litellm.litellm_core_utils.litellm_logging", "handle_completed_batch", _on_completed_batch),
        ("litellm.litellm_core_utils.litellm_logging", "_handle_completed_batch", _on_completed_batch),
    ):
        wrap_function(module_name, function, wrap)


def _on_setup(setup: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(setup)
    def wrapped(original_function: Any, rules_obj: Any, start_time: Any, *args: Any, **kwargs: Any) -> Any:
        metadata = note_metadata(kwargs) if kwargs.get("metadata") or kwargs.get("litellm_metadata") else None
        result = setup(original_function, rules_obj, start_time, *args, **kwargs)
        guarded(warn_if_missing)  # after LiteLLM has copied its callbacks to its other lists
        if metadata:
            guarded(_note_metadata, result[0], metadata)
        if original_function in NOTED_CALL_TYPES or _inherited.get():
            guarded(_note_arguments, result[0], original_function, args, kwargs)
        return result

    return wrapped


def _note_metadata(logging_object: Any, metadata: List[Dict[str, Any]]) -> None:
    logging_object.model_call_details[NOTED_KEY] = metadata


def _note_arguments(logging_object: Any, name: str, args: Tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    noted: Dict[str, object] = named_arguments(name, args, kwargs) if name in NOTED_CALL_TYPES else {}
    logging_object.model_call_details[ARGUMENTS_KEY] = {**_inherited.get(), **noted}


def _on_create(create: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the synchronous function for Anthropic's messages, which LiteLLM records as the call that it becomes."""

    @functools.wraps(create)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        token = _inherited.set(named_arguments("anthropic_messages", args, kwargs))
        try:
            return create(*args, **kwargs)
        finally:
            _inherited.reset(token)

    return wrapped


def _on_completed_batch(handle: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Wrap the function that computes a batch's cost: nobody asked for the files that it fetches."""

    @functools.wraps(handle)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        token = _inherited.set(_UNRECORDED)
        try:
            return await handle(*args, **kwargs)
        finally:
            _inherited.reset(token)

    return wrapped
