"""The arguments of calls of which LiteLLM does not report them.

Of calls about files, batches and edited images LiteLLM reports the response only. A call that it translates for a
provider with another API - Anthropic's messages or the Responses API for a chat model - may lose its system prompt and
its metadata on the way. So the arguments are noted where LiteLLM sets up its own record of the call.
"""

from __future__ import annotations

import functools
import importlib
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Callable, Dict, Mapping, Tuple

from honeyhive_litellm._mapping.call_types import NOTED_CALL_TYPES, named_arguments
from honeyhive_litellm._mapping.reading import ARGUMENTS_KEY

from .notify import guarded

_MESSAGES = "litellm.anthropic_interface.messages"

_NONE: Mapping[str, object] = MappingProxyType({})
_translated: ContextVar[Mapping[str, object]] = ContextVar("honeyhive_translated_call", default=_NONE)
"""The arguments of the call that this context is translating. LiteLLM itself does not record that call."""


def patch_arguments() -> None:
    """Wrap what LiteLLM sets its records up with, once a process."""
    utils = importlib.import_module("litellm.utils")
    setup = getattr(utils, "function_setup", None)
    if setup is not None:
        setattr(utils, "function_setup", _on_setup(setup))  # noqa: B010 - the module is not read by the type checker
    try:
        messages = importlib.import_module(_MESSAGES)
    except Exception:
        return  # an old LiteLLM
    create = getattr(messages, "create", None)
    if create is not None:
        setattr(messages, "create", _on_create(create))  # noqa: B010 - as above


def _on_setup(setup: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(setup)
    def wrapped(original_function: Any, rules_obj: Any, start_time: Any, *args: Any, **kwargs: Any) -> Any:
        result = setup(original_function, rules_obj, start_time, *args, **kwargs)
        if original_function in NOTED_CALL_TYPES or _translated.get():
            guarded(_note_arguments, result[0], original_function, args, kwargs)
        return result

    return wrapped


def _note_arguments(logging_object: Any, name: str, args: Tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    noted: Dict[str, object] = named_arguments(name, args, kwargs) if name in NOTED_CALL_TYPES else {}
    logging_object.model_call_details[ARGUMENTS_KEY] = {**_translated.get(), **noted}


def _on_create(create: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the synchronous function for Anthropic's messages, which LiteLLM records as the call that it becomes."""

    @functools.wraps(create)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        token = _translated.set(named_arguments("anthropic_messages", args, kwargs))
        try:
            return create(*args, **kwargs)
        finally:
            _translated.reset(token)

    return wrapped
