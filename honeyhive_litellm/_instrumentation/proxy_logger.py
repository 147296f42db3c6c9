"""The logger of a LiteLLM Proxy, which gets its options from the Proxy's config.

The Proxy makes its callbacks while it reads `litellm_settings` from top to bottom, and turns each key that it does not
know into an attribute of the `litellm` module. So `honeyhive_project` may come after `callbacks`: the options are read
at the first call.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import time
from typing import Any, Dict, Optional

import litellm
from litellm.integrations.custom_logger import CustomLogger
from litellm.litellm_core_utils import litellm_logging

from honeyhive_litellm._errors import HoneyHiveError
from honeyhive_litellm._fork import ForkSafeLock
from honeyhive_litellm._log import log_error
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._runtime.lifecycle import shutdown_all

from .batch_lines import NAMES
from .callback_settings import choose_destination
from .logger import HoneyHiveLogger
from .patches.late_modules import on_import
from .patches.module_functions import wrap_function
from .patches.notify import guarded

NAME = NAMES[0]
"""The callback's name in the Proxy's config."""

_PREFIX = "honeyhive_"
_BY_REFERENCE = "os.environ/"

_lock = ForkSafeLock()
_logger: Optional[ProxyLogger] = None


class ProxyLogger(HoneyHiveLogger):
    """A HoneyHiveLogger that resolves its options at the first call.

    `litellm.honeyhive_<option>` wins over the option's environment variable. With options that cannot work, one error
    is logged and no call is recorded; the Proxy serves all the same.
    """

    def __init__(self) -> None:
        CustomLogger.__init__(self)
        self._created_ms = time.time() * 1000
        self._is_resolved = False
        self._is_refused = False

    def _is_ready(self) -> bool:
        if self._is_resolved:
            return True
        with _lock:
            if not self._is_resolved and not self._is_refused:
                self._resolve()
            return self._is_resolved

    def _resolve(self) -> None:
        try:
            super().__init__(**options_of(vars(litellm)))
            # LiteLLM reports a call of an MCP tool when it is over: the first one began before the options were read.
            self._runtime.recorder.tenure.since_ms = self._created_ms
            self._is_resolved = True
        except HoneyHiveError as error:
            self._is_refused = True
            log_error(
                LogCode.PROXY_NOT_RECORDING,
                "honeyhive: the proxy serves calls, but NONE is recorded: %s\n"
                "  In the proxy's config an option is a line of litellm_settings, such as honeyhive_project: "
                '"my-project". Mend it and restart the proxy',
                error,
            )

    async def async_pre_call_hook(self, user_api_key_dict: Any, cache: Any, data: Any, call_type: Any) -> None:
        """Runs before the Router does, so that the attempts of the very first request belong together."""
        if self._is_ready() and self.settings.destination_list:
            guarded(choose_destination, user_api_key_dict, data)

    def records_in(self, runtime: Any) -> bool:
        return self._is_resolved and super().records_in(runtime)

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
        if self._is_ready():
            super().log_pre_api_call(model, messages, kwargs)

    def log_post_api_call(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        if self._is_ready():
            super().log_post_api_call(kwargs, response_obj, start_time, end_time)

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        if self._is_ready():
            super().log_success_event(kwargs, response_obj, start_time, end_time)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        if self._is_ready():
            super().log_failure_event(kwargs, response_obj, start_time, end_time)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        if self._is_ready():
            await super().async_log_success_event(kwargs, response_obj, start_time, end_time)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        if self._is_ready():
            await super().async_log_failure_event(kwargs, response_obj, start_time, end_time)

    async def async_log_batch_line_items(self, payload: Any) -> None:
        if self._is_ready():
            await super().async_log_batch_line_items(payload)

    async def async_post_call_success_deployment_hook(self, request_data: Any, response: Any, call_type: Any) -> None:
        if self._is_ready():
            await super().async_post_call_success_deployment_hook(request_data, response, call_type)


def options_of(attributes: Dict[str, Any]) -> Dict[str, Any]:
    """The attributes of the `litellm` module that begin with `honeyhive_`, by the names of our options.

    `os.environ/NAME` is resolved here, because old versions of LiteLLM do not.
    """
    options: Dict[str, Any] = {}
    for name, value in attributes.items():
        if not name.startswith(_PREFIX):
            continue
        is_reference = isinstance(value, str) and value.startswith(_BY_REFERENCE)
        option = os.environ.get(value[len(_BY_REFERENCE) :]) if is_reference else value
        if option is not None:
            options[name[len(_PREFIX) :]] = option
    return options


def the_logger() -> ProxyLogger:
    """The only one of this process: a config may name it in three lists, and LiteLLM calls one object once."""
    global _logger
    with _lock:
        if _logger is None:
            _logger = ProxyLogger()
            _shut_down_with_proxy()
            on_import({_BATCH_LINES: [functools.partial(wrap_function, _BATCH_LINES, "_resolve_logger", _with_names)]})
        return _logger


def _shut_down_with_proxy() -> None:
    """Deliver what is left when the Proxy's application ends.

    The exit handler would run too late for that, or never: once the application has ended, uvicorn raises its SIGTERM
    again, and the process dies of it. The Proxy looks its own function up by name (seen in 1.60 to 1.110).
    """
    server = sys.modules.get("litellm.proxy.proxy_server")
    original = getattr(server, "proxy_shutdown_event", None)
    if original is None:
        return

    @functools.wraps(original)
    async def shutdown_event(*args: Any, **kwargs: Any) -> Any:
        try:
            return await original(*args, **kwargs)
        finally:
            await asyncio.get_running_loop().run_in_executor(None, shutdown_all)

    setattr(server, "proxy_shutdown_event", shutdown_event)  # noqa: B010 - the module is not read by the type checker


def add_name() -> None:
    """Make `honeyhive` a name of a callback that LiteLLM knows.

    Wherever LiteLLM meets a callback's name it does two things: it looks the name up in the list of known names, and
    it gets the logger from a function of `litellm_logging`, which it looks up at every call (seen in 1.60 to 1.110).
    """
    names = litellm._known_custom_logger_compatible_callbacks  # noqa: SLF001 - there is no public list
    if NAME not in names:
        names.append(NAME)
    for function in ("_init_custom_logger_compatible_class", "get_custom_logger_compatible_class"):
        original = getattr(litellm_logging, function, None)
        if original is not None and not hasattr(original, _MARK):
            setattr(litellm_logging, function, _with_name(original))


def _with_names(resolve: Any) -> Any:
    """Wrap what finds the logger for an entry of `batch_line_item_callbacks`: it knows two names of its own only."""

    @functools.wraps(resolve)
    def logger_of(callback: Any) -> Any:
        return the_logger() if callback in NAMES else resolve(callback)

    return logger_of


_BATCH_LINES = "litellm.batches.batch_line_items"
_MARK = "knows_honeyhive"


def _with_name(original: Any) -> Any:
    @functools.wraps(original)
    def logger_of(logging_integration: Any, *args: Any, **kwargs: Any) -> Any:
        if logging_integration == NAME:
            return the_logger()
        return original(logging_integration, *args, **kwargs)

    setattr(logger_of, _MARK, True)
    return logger_of
