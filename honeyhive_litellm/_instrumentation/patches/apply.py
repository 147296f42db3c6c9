"""Where LiteLLM's own functions are patched, for what it has no hooks for.

A process is patched once. Every wrapper passes arguments, results and exceptions through as they are.
"""

from __future__ import annotations

import importlib
from typing import Any, Callable, NamedTuple, Tuple

from honeyhive_litellm._fork import ForkSafeLock
from honeyhive_litellm._instrumentation.logging_threads import patch_logging_pools
from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode

from . import agent_streams, cache, chat_streams, other_streams, readers, router
from .arguments import patch_arguments
from .late_modules import on_import
from .notify import Subscriber, subscribe, subscribers
from .threads import patch_threads
from .unreported import patch_functions

_lock = ForkSafeLock()
_is_patched = False


class PatchPoint(NamedTuple):
    """A method of LiteLLM's, and the function that returns its wrapper."""

    module: str
    owner: str
    method: str
    wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]

    def find_owner(self) -> Any:
        """The class whose method it is; None if this LiteLLM has no such method."""
        try:
            owner = getattr(importlib.import_module(self.module), self.owner)
        except Exception:
            return None  # also where an old LiteLLM's module cannot be imported on Python 3.8
        return owner if self.method in vars(owner) else None

    def apply(self) -> None:
        owner = self.find_owner()
        if owner is None:
            return
        method = vars(owner)[self.method]
        if isinstance(method, staticmethod):
            setattr(owner, self.method, staticmethod(self.wrapper(method.__func__)))
        else:
            setattr(owner, self.method, self.wrapper(method))


_CHATS = ("litellm.litellm_core_utils.streaming_handler", "CustomStreamWrapper")
_CACHE = ("litellm.caching.caching_handler", "LLMCachingHandler")
_RESPONSES = "litellm.responses.streaming_iterator"
_MESSAGES = (
    "litellm.llms.anthropic.messages.native.streaming_iterator",
    "BaseAnthropicMessagesStreamingIterator",
)
_OLD_MESSAGES = (
    "litellm.llms.anthropic.experimental_pass_through.messages.streaming_iterator",
    "BaseAnthropicMessagesStreamingIterator",
)
_PASS_THROUGH = ("litellm.proxy.pass_through_endpoints.streaming_handler", "PassThroughStreamingHandler")
_CONTENTS = ("litellm.llms.custom_httpx.llm_http_handler", "BaseLLMHTTPHandler")

FEATURES: Tuple[Tuple[str, Tuple[Tuple[PatchPoint, ...], ...]], ...] = (
    (
        "streams",
        (
            (
                PatchPoint(*_CHATS, "__init__", chat_streams.on_init),
                PatchPoint(*_CHATS, "__anext__", chat_streams.on_anext),
                PatchPoint(*_CHATS, "__next__", readers.on_next),
            ),
        ),
    ),
    (
        "answers from the cache",
        tuple(
            (
                PatchPoint(*_CACHE, "_async_log_cache_hit_on_callbacks", cache.on_report),
                PatchPoint(*_CACHE, f"{prefix}async_get_cache", cache.on_async_look_up),
                PatchPoint(*_CACHE, f"{prefix}sync_get_cache", cache.on_look_up),
            )
            for prefix in ("", "_")  # LiteLLM 1.110, and before
        ),
    ),
    (
        "requests to a Router",
        (
            (
                PatchPoint("litellm.router", "Router", "async_function_with_fallbacks", router.on_async_request),
                PatchPoint("litellm.router", "Router", "function_with_fallbacks", router.on_request),
            ),
            (
                PatchPoint("litellm.router_rust.core", "RustCore", "_drive", router.on_async_request),
                PatchPoint("litellm.router_rust.core", "RustCore", "_call_sync", router.on_request),
            ),
        ),
    ),
)
"""What every LiteLLM has, and the ways in which known versions do it: the first way is taken whose methods all exist.

Without any of them one warning says what is recorded in less detail.
"""

OPTIONAL = (
    PatchPoint(_RESPONSES, "BaseResponsesAPIStreamingIterator", "__init__", readers.on_init),
    PatchPoint(_RESPONSES, "ResponsesAPIStreamingIterator", "__anext__", readers.on_anext),
    PatchPoint(_RESPONSES, "SyncResponsesAPIStreamingIterator", "__next__", readers.on_next),
    PatchPoint(_RESPONSES, "MockResponsesAPIStreamingIterator", "__anext__", readers.on_anext),
    PatchPoint(_RESPONSES, "MockResponsesAPIStreamingIterator", "__next__", readers.on_next),
    PatchPoint(*_CONTENTS, "generate_content_handler", other_streams.on_contents),
    PatchPoint(*_CONTENTS, "async_generate_content_handler", other_streams.on_async_contents),
)
"""What a LiteLLM may lack: it has no such streams then."""


_TRANSLATED = (
    ("litellm.llms.anthropic.messages.adapters.streaming_iterator", "AnthropicSSEStream"),
    ("litellm.llms.anthropic.messages.responses_adapters.streaming_iterator", "AnthropicResponsesSSEByteStream"),
    ("litellm.responses.litellm_completion_transformation.streaming_iterator", "LiteLLMCompletionStreamingIterator"),
)
"""Streams of Anthropic's messages and of the Responses API that LiteLLM makes of another API's stream."""

_INTERACTIONS = "litellm.interactions.streaming_iterator"
_ROUTES_OF_SDK = "litellm.passthrough.main"
_AGENTS = ("litellm.a2a_protocol.streaming_iterator", "A2AStreamingIterator")

LATE = (
    PatchPoint(_ROUTES_OF_SDK, "AsyncPassthroughStreamingResponse", "__init__", readers.on_init),
    PatchPoint(_ROUTES_OF_SDK, "AsyncPassthroughStreamingResponse", "__anext__", readers.on_anext_unreported),
    PatchPoint(_ROUTES_OF_SDK, "PassthroughStreamingResponse", "__init__", readers.on_init),
    PatchPoint(_ROUTES_OF_SDK, "PassthroughStreamingResponse", "__next__", readers.on_next),
    PatchPoint(_INTERACTIONS, "BaseInteractionsAPIStreamingIterator", "__init__", readers.on_init),
    PatchPoint(_INTERACTIONS, "InteractionsAPIStreamingIterator", "__anext__", readers.on_anext),
    PatchPoint(_INTERACTIONS, "SyncInteractionsAPIStreamingIterator", "__next__", readers.on_next),
    PatchPoint(*_AGENTS, "__init__", agent_streams.on_init),
    PatchPoint(*_AGENTS, "__anext__", readers.on_anext_unreported),
    *(PatchPoint(*owner, "__init__", readers.on_bridge_init) for owner in _TRANSLATED),
    *(PatchPoint(*owner, "__anext__", readers.on_anext) for owner in _TRANSLATED),
    *(PatchPoint(*owner, "__next__", readers.on_next) for owner in _TRANSLATED),
    PatchPoint(*_MESSAGES, "async_sse_wrapper", readers.on_generator),
    PatchPoint(*_OLD_MESSAGES, "async_sse_wrapper", readers.on_generator),
    PatchPoint(*_PASS_THROUGH, "chunk_processor", readers.on_generator),
)
"""Optional as well, and patched when LiteLLM imports the module."""

_LATE_MODULES = {point.module for point in LATE}


def apply_patches(subscriber: Subscriber) -> None:
    """From now on report to `subscriber`'s runtime what LiteLLM has no hooks for. The first call patches LiteLLM."""
    global _is_patched
    with _lock:
        if any(subscriber.runtime is other.runtime for other in subscribers()):
            return
        if not _is_patched:
            _patch()
            _is_patched = True
        subscribe(subscriber)


def _patch() -> None:
    for name, ways in FEATURES:
        points = next((way for way in ways if all(point.find_owner() is not None for point in way)), None)
        if points is None:
            warn(
                LogCode.UNKNOWN_LITELLM,
                "honeyhive: this LiteLLM is not known to us, and %s are recorded in less detail: "
                "please report its version; docs/explanation/compatibility.md lists those that were tested",
                name,
                about=name,
            )
        for point in points or ():
            point.apply()
    for point in OPTIONAL:
        point.apply()
    on_import({module: [point.apply for point in LATE if point.module == module] for module in _LATE_MODULES})
    patch_functions()
    patch_arguments()
    router.patch_fallbacks()
    patch_threads()
    patch_logging_pools()
