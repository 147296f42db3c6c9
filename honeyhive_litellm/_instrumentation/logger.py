"""The LiteLLM callback logger.

What each hook is for, and how LiteLLM calls it (seen in 1.80 to 1.106):

* `log_pre_api_call`: inline, before each attempt to reach a provider. The start of an attempt.
* `log_post_api_call`: inline, when the provider has replied. From here on `flush` waits for LiteLLM's callback.
* `async_post_call_success_deployment_hook`: inline and awaited, before the caller of an async call gets its
  response. From here on the outcome is held. For a call without the first hook (files, batches) it is the start, too.
* `log_success_event`, `async_log_success_event`: later, from a thread or a queue, with everything LiteLLM knows.
* `log_failure_event`, `async_log_failure_event`: inline, before the caller gets the exception.
* `async_log_batch_line_items`: the answers to the lines of a batch, for loggers in a list of their own.

For a stream LiteLLM has no inline hook, and no hook at all for one that is dropped: see `patches`.
"""

from __future__ import annotations

import asyncio
import functools
import os
from typing import Any, List, Optional, Sequence

import litellm
from litellm.integrations.custom_logger import CustomLogger
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper

from honeyhive_litellm._aio import on_event_loop
from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._fork import ForkSafeLock
from honeyhive_litellm._runtime.lifecycle import retire, runtime_for
from honeyhive_litellm._runtime.runtime import Runtime

from . import registration
from .batch_lines import record_lines
from .callback_lists import add_beside, add_to_outcome_lists, is_among, is_in_any_list, remove_everywhere
from .litellm_functions import ImportedLiteLLM
from .patches.apply import apply_patches
from .patches.notify import Subscriber, checkpoint_in, guarded, start_committed_in, start_in, unsubscribe

_lock = ForkSafeLock()
_installed: Optional[HoneyHiveLogger] = None
_leaving: List[HoneyHiveLogger] = []
"""Loggers that `install` registered, then replaced or `uninstall` shut down, and whose calls have not all ended."""


class HoneyHiveLogger(CustomLogger):
    """A LiteLLM callback that records every call that LiteLLM reports to it.

    `litellm.callbacks = [HoneyHiveLogger(api_key=…, project=…)]` does what `honeyhive_litellm.init(…)` does, with
    the same options and environment variables. Loggers with the same settings share one spool and record each call
    once. Raises ConfigError if the settings cannot work. None of the methods raises or waits for the network. A call
    that has its response waits for the disk if its start is not there yet.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        settings = Settings.resolve(os.environ, **options)
        # LiteLLM takes two loggers of one class for the same unless a public attribute of theirs differs. It also
        # writes these into its debug log, so the key must not be among them.
        self.project = settings.project
        self.environment = settings.environment
        self.api_url = settings.target
        self._runtime = runtime_for(settings, ImportedLiteLLM())
        is_registered = functools.partial(is_in_any_list, functools.partial(_has_logger_of, self._runtime))
        apply_patches(Subscriber(self._runtime, is_registered))

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._runtime.settings

    @property
    def runtime(self) -> Runtime:
        """Where this logger reports to."""
        return self._runtime

    @property
    def shares_runtime(self) -> bool:
        """Whether another logger with the same settings is among LiteLLM's callbacks, put there by the application."""
        return is_in_any_list(
            lambda callbacks: any(
                isinstance(callback, HoneyHiveLogger) and callback is not self and callback.records_in(self._runtime)
                for callback in callbacks
            )
        )

    def records_in(self, runtime: Runtime) -> bool:
        """Whether this logger reports to `runtime`."""
        return self._runtime is runtime

    def shares_runtime_with(self, other: HoneyHiveLogger) -> bool:
        """Whether both have the same settings, and record each call once."""
        return other.records_in(self._runtime)

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
        guarded(self._stay_registered)
        guarded(self._runtime.recorder.on_start, kwargs, self)
        _forget_latest_call("PRE_CALL")

    def log_post_api_call(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        guarded(self._runtime.recorder.on_provider_reply, kwargs)
        # For LiteLLM's debug log this may be the stream's own wrapper, which refers to `kwargs`: a cycle that keeps a
        # dropped stream alive. The text that would be logged serves as well.
        if isinstance(kwargs.get("original_response"), CustomStreamWrapper):
            kwargs["original_response"] = repr(kwargs["original_response"])
        _forget_latest_call("POST_CALL")

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        guarded(self._runtime.recorder.on_success, kwargs, response_obj)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        start = start_in(self._runtime, kwargs)
        guarded(self._runtime.recorder.on_failure, kwargs)
        if not on_event_loop():
            start.commits.wait_for_start(start.position)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        guarded(self._runtime.recorder.on_success, kwargs, response_obj)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        start = start_in(self._runtime, kwargs)
        guarded(self._runtime.recorder.on_failure, kwargs)
        if self.settings.strict:
            await start.commits.all_committed()
        else:
            await start.commits.start_committed(start.position)

    async def async_post_call_success_deployment_hook(self, request_data: Any, response: Any, call_type: Any) -> None:
        logging_object = request_data.get("litellm_logging_obj")
        if logging_object is not None:
            call_details = logging_object.model_call_details
            guarded(self._runtime.recorder.on_unstarted, call_details, response)
            guarded(self._runtime.recorder.on_response, call_details, response, asyncio.get_running_loop())
            if self.settings.strict:
                await checkpoint_in(self._runtime, call_details)
            else:
                await start_committed_in(self._runtime, call_details)

    async def async_log_batch_line_items(self, payload: Any) -> None:
        """Takes the lines of a finished batch, if this logger is in `litellm.batch_line_item_callbacks`."""
        await record_lines(self._runtime.recorder, payload)
        if self.settings.strict:
            await self._runtime.channels.main.commits.all_committed()

    def _stay_registered(self) -> None:
        """A logger that hears of a call's start must hear of its end as well."""
        add_to_outcome_lists(self, functools.partial(_has_logger_of, self._runtime))


def install(**options: Any) -> None:
    """Register a logger with these options in the place of the one that `install` registered before.

    The calls that are in flight are recorded to their end with the options with which they began.
    """
    global _installed
    logger = HoneyHiveLogger(**options)
    with _lock:
        previous = _installed
        if previous is None:
            if _leaving:
                logger.runtime.recorder.tenure.follow(_leaving[-1].runtime.recorder.tenure)
            litellm.callbacks.append(logger)
        elif logger.shares_runtime_with(previous) and is_among(previous, litellm.callbacks):
            logger = previous
        elif previous.shares_runtime or logger.shares_runtime or logger.shares_runtime_with(previous):
            remove_everywhere(previous)
            litellm.callbacks.append(logger)
        else:
            _replace(previous, logger)
        _installed = logger
        registration.expect(functools.partial(_has_logger_of, logger.runtime))


def _replace(previous: HoneyHiveLogger, logger: HoneyHiveLogger) -> None:
    """Both loggers stay in LiteLLM's lists, and their recorders agree on whose a call is, until the last call ends."""
    tenure, next_tenure = previous.runtime.recorder.tenure, logger.runtime.recorder.tenure
    next_tenure.predecessor = tenure
    add_beside(logger, previous)
    tenure.end(next_tenure)
    _let_go(previous)


def _let_go(logger: HoneyHiveLogger) -> None:
    """Take a logger whose tenure has ended out of LiteLLM's lists once its calls have ended."""
    _leaving.append(logger)

    def calls_ended() -> None:
        with _lock:
            _remove(logger)
            unsubscribe(logger.runtime)

    retire(logger.runtime, calls_ended)


def _remove(logger: HoneyHiveLogger) -> None:
    logger.runtime.recorder.tenure.leave()
    if logger in _leaving:
        _leaving.remove(logger)
    remove_everywhere(logger)


def uninstall() -> List[Runtime]:
    """Take the registered loggers out of LiteLLM's lists, but for those with calls in flight; the runtimes of these.

    These record no further calls, and leave the lists when the last of theirs has ended.
    """
    global _installed
    with _lock:
        registration.expect(None)
        installed, _installed = _installed, None
        for logger in [each for each in _leaving if not each.runtime.has_calls]:
            _remove(logger)
        if installed is not None and installed.shares_runtime:
            remove_everywhere(installed)
        elif installed is not None:
            installed.runtime.recorder.tenure.end()  # before the look at its calls: none may begin after that
            if installed.runtime.has_calls:
                _let_go(installed)
            else:
                _remove(installed)
        return [logger.runtime for logger in _leaving]


def _has_logger_of(runtime: Runtime, callbacks: Sequence[Any]) -> bool:
    """Whether a logger that reports to `runtime` is in the list."""
    return any(issubclass(type(c), HoneyHiveLogger) and c.records_in(runtime) for c in callbacks)


def _forget_latest_call(key: str) -> None:
    """Remove LiteLLM's note of the latest call: nothing reads it, and it keeps a dropped stream alive."""
    notes = getattr(litellm, "error_logs", None)
    if isinstance(notes, dict):
        notes.pop(key, None)
