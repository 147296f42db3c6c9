"""The LiteLLM callback; with `_proxy_logger` the only module that imports LiteLLM.

What each hook is for, and how LiteLLM calls it (seen in 1.80 to 1.106):

* `log_pre_api_call`: inline, before each attempt to reach a provider; the record of the call's start.
* `log_post_api_call`: inline, when the provider has answered; `flush` then waits for what LiteLLM has to tell.
* `async_post_call_success_deployment_hook`: inline and awaited, before the caller of an async call gets its
  response; the outcome is held from here on.
* `log_success_event`, `async_log_success_event`: later, from a thread or a queue, with everything LiteLLM knows.
* `log_failure_event`, `async_log_failure_event`: inline, before the caller gets the exception.

For a stream LiteLLM has no inline hook, and nothing tells that it was dropped. Its wrapper keeps the chunks in a
list, so we look at that list from the moment the wrapper is made, and at what an async reader gets.
"""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Optional, Sequence

import litellm
from litellm.integrations.custom_logger import CustomLogger
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._log import warn
from honeyhive_litellm._runtime.runtime import Runtime, runtime_for

from .patches.notify import guarded, kept
from .patches.router import watch

_OUTCOME_LISTS = ("success_callback", "failure_callback", "_async_success_callback", "_async_failure_callback")
_CALLBACK_LISTS = ("callbacks", "input_callback", *_OUTCOME_LISTS)

# One pool for all; in older ones (1.53) a pool for calls and another for streams.
_POOL_HOMES = ("litellm_core_utils.thread_pool_executor", "utils", "litellm_core_utils.streaming_handler")

_lock = threading.Lock()
_installed: Optional[HoneyHiveLogger] = None


class HoneyHiveLogger(CustomLogger):
    """A LiteLLM callback that records every call it is told of.

    `litellm.callbacks = [HoneyHiveLogger(api_key=…, project=…)]` does what `honeyhive_litellm.init(…)` does, with
    the same options and environment variables. Loggers with the same settings share one spool and record each call
    once. Raises ConfigError if the settings cannot work. None of the methods raises or waits for disk or network.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        settings = Settings.resolve(os.environ, **options)
        # LiteLLM takes two loggers of one class for the same unless a public attribute of theirs differs. It also
        # writes these into its debug log, so the key must not be among them.
        self.project = settings.project
        self.environment = settings.environment
        self.api_url = settings.api_url
        self._runtime = runtime_for(settings, _LiteLLM())
        watch(self._runtime, _is_registered)

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._runtime.settings

    def records_in(self, runtime: Runtime) -> bool:
        """Whether what this logger is told of goes to `runtime`."""
        return self._runtime is runtime

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
        guarded(self._stay_registered)
        guarded(self._runtime.recorder.on_start, kwargs, self)
        _let_go("PRE_CALL")

    def log_post_api_call(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        guarded(self._runtime.recorder.on_provider_reply, kwargs)
        # For LiteLLM's debug log this may be the stream's own wrapper, which refers to `kwargs`: a cycle that keeps a
        # dropped stream alive. The text that would be logged does as well.
        if isinstance(kwargs.get("original_response"), CustomStreamWrapper):
            kwargs["original_response"] = repr(kwargs["original_response"])
        _let_go("POST_CALL")

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        guarded(self._runtime.recorder.on_success, kwargs, response_obj)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        guarded(self._runtime.recorder.on_failure, kwargs)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        guarded(self._runtime.recorder.on_success, kwargs, response_obj)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        guarded(self._runtime.recorder.on_failure, kwargs)
        if self.settings.strict:
            await self._runtime.committed()

    async def async_post_call_success_deployment_hook(self, request_data: Any, response: Any, call_type: Any) -> None:
        logging_object = request_data.get("litellm_logging_obj")
        if logging_object is not None:
            details = logging_object.model_call_details
            guarded(self._runtime.recorder.on_response, details, response)
            if self.settings.strict:
                await kept(self._runtime, details)

    def _stay_registered(self) -> None:
        """Have whom LiteLLM tells of a call's start told of its end.

        It copies `callbacks` to its lists of outcomes, but adds nothing to one that holds 30 (newer ones: 100). A
        Router adds itself to each, so that an application with many leaves no room there.
        """
        for name in _OUTCOME_LISTS:
            callbacks = getattr(litellm, name, None)
            if isinstance(callbacks, list) and self not in callbacks and not _has_one(callbacks, self._runtime):
                callbacks.append(self)


class _LiteLLM:
    """LiteLLM's own functions and switches, for the recorder."""

    def assemble(self, chunks: Sequence[Any]) -> object:
        return litellm.stream_chunk_builder(list(chunks))

    def tokens(self, model: Optional[str], asked: object) -> Optional[int]:
        given = {"text": asked} if isinstance(asked, str) else {"messages": asked}
        try:  # a picture counts as one of usual size: LiteLLM would fetch it otherwise
            return int(litellm.token_counter(model=model or "", use_default_image_token_count=True, **given))
        except Exception:
            return None  # no messages of a chat

    def cost(self, response: object, call_type: str, model: str) -> Optional[float]:
        try:
            amount = litellm.completion_cost(completion_response=response, model=model, call_type=call_type)
        except Exception:
            return None  # a model that its price list lacks
        return float(amount)

    def has_price(self, provider: Optional[str], model: Optional[str]) -> bool:
        entries = [litellm.model_cost.get(name) or {} for name in (model, f"{provider}/{model}")]
        return any("cost" in name for entry in entries for name in entry)  # a Router adds entries without a price

    def hides_content(self) -> bool:
        return bool(litellm.turn_off_message_logging)


def install(**options: Any) -> None:
    """Register a logger with these options in the place of the one that `install` registered before."""
    global _installed
    logger = HoneyHiveLogger(**options)
    with _lock:
        if _installed is not None:
            if _installed.settings == logger.settings and _installed in litellm.callbacks:
                return
            _unregister(_installed)
        litellm.callbacks.append(logger)
        _installed = logger


def uninstall() -> None:
    """Take the registered logger out of LiteLLM's lists, if there is one."""
    global _installed
    with _lock:
        if _installed is not None:
            _unregister(_installed)
        _installed = None


def _has_one(callbacks: Sequence[Any], runtime: Runtime) -> bool:
    """Whether a logger of this runtime is in the list."""
    return any(isinstance(callback, HoneyHiveLogger) and callback.records_in(runtime) for callback in callbacks)


def _let_go(note: str) -> None:
    """Take from LiteLLM its note of the latest call: nothing reads it, and it keeps a dropped stream alive."""
    notes = getattr(litellm, "error_logs", None)
    if isinstance(notes, dict):
        notes.pop(note, None)


def _unregister(logger: HoneyHiveLogger) -> None:
    for name in _CALLBACK_LISTS:
        callbacks = getattr(litellm, name, None)
        while isinstance(callbacks, list) and logger in callbacks:
            callbacks.remove(logger)


def _is_registered(runtime: Runtime) -> bool:
    """Whether a logger of this runtime is among LiteLLM's callbacks still."""
    return any(_has_one(getattr(litellm, name, None) or (), runtime) for name in _CALLBACK_LISTS)


def _forget_inherited() -> None:
    """In a forked child: another thread of the parent may have held the lock, and LiteLLM's threads are not there."""
    global _lock
    _lock = threading.Lock()
    try:
        _revive_logging_threads()
    except Exception as error:
        warn("fork", "honeyhive: LiteLLM will not tell of sync calls in this forked process: %r", error)


def _revive_logging_threads() -> None:
    """Let LiteLLM's pools of logging threads start new ones.

    It takes its parent's for alive and waits for them for ever, so that nobody would be told of sync calls. What
    is in their queues is the parent's to log. A pool stays the same object, since LiteLLM's modules have it by name.
    """
    homes = [sys.modules.get(f"litellm.{name}") for name in _POOL_HOMES]
    pools = {id(pool): pool for pool in (getattr(home, "executor", None) for home in homes)}
    for pool in pools.values():
        if not isinstance(pool, ThreadPoolExecutor):
            continue  # another LiteLLM, with another way of logging
        state = vars(pool)
        ThreadPoolExecutor.__init__(pool, state["_max_workers"], state["_thread_name_prefix"])
        if "_max_pending_tasks" in state:  # newer ones count what is queued
            state["_pending_slots"] = threading.Semaphore(state["_max_pending_tasks"])
            state["_drop_lock"] = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)
