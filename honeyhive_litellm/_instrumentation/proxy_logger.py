"""The logger of a LiteLLM Proxy, which gets its options from the proxy's config.

The proxy makes its callbacks while it reads `litellm_settings` from top to bottom, and makes attributes of the
`litellm` module of all keys that it does not know. So `honeyhive_project` may come after the callbacks that want to
know it: nothing is resolved before the first call.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import sys
import threading
import time
from typing import Any, Dict, Optional

import litellm
from litellm.integrations.custom_logger import CustomLogger
from litellm.litellm_core_utils import litellm_logging

from honeyhive_litellm._errors import HoneyHiveError
from honeyhive_litellm._runtime.runtime import shutdown_all

from .logger import HoneyHiveLogger

NAME = "honeyhive"
"""What the callback is called in a proxy's config."""

_PREFIX = "honeyhive_"
_BY_REFERENCE = "os.environ/"

_lock = threading.Lock()
_logger: Optional[ProxyLogger] = None


class ProxyLogger(HoneyHiveLogger):
    """A HoneyHiveLogger that asks for its options when LiteLLM tells of the first call.

    `litellm.honeyhive_<option>` beats the option's environment variable. With options that cannot work one error is
    logged and no call is recorded; the proxy serves all the same.
    """

    def __init__(self) -> None:
        CustomLogger.__init__(self)
        self._made_ms = time.time() * 1000
        self._has_options = False
        self._is_useless = False

    def _is_ready(self) -> bool:
        if self._has_options:
            return True
        with _lock:
            if not self._has_options and not self._is_useless:
                self._resolve()
            return self._has_options

    def _resolve(self) -> None:
        try:
            super().__init__(**options_of(vars(litellm)))
            # A call of an MCP tool is first told of when it is over: the first one begins before the options are known.
            self._runtime.recorder.since_ms = self._made_ms
            self._has_options = True
        except HoneyHiveError as error:
            self._is_useless = True
            logging.getLogger("honeyhive_litellm").error(
                "honeyhive: the proxy serves calls, but NONE is recorded: %s\n"
                "  In the proxy's config an option is a line of litellm_settings, such as honeyhive_project: "
                '"my-project". Mend it and restart the proxy',
                error,
            )

    async def async_pre_call_hook(self, user_api_key_dict: Any, cache: Any, data: Any, call_type: Any) -> None:
        """Before the Router is asked, so that even the first request's attempts are known to belong together."""
        self._is_ready()

    def records_in(self, runtime: Any) -> bool:
        return self._has_options and super().records_in(runtime)

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

    async def async_post_call_success_deployment_hook(self, request_data: Any, response: Any, call_type: Any) -> None:
        if self._is_ready():
            await super().async_post_call_success_deployment_hook(request_data, response, call_type)


def options_of(attributes: Dict[str, Any]) -> Dict[str, Any]:
    """The options among LiteLLM's module attributes: those that begin with `honeyhive_`, by their own names.

    LiteLLM itself resolves `os.environ/NAME`; where an old one has not, it is done here.
    """
    options: Dict[str, Any] = {}
    for name, value in attributes.items():
        if not name.startswith(_PREFIX):
            continue
        is_reference = isinstance(value, str) and value.startswith(_BY_REFERENCE)
        given = os.environ.get(value[len(_BY_REFERENCE) :]) if is_reference else value
        if given is not None:
            options[name[len(_PREFIX) :]] = given
    return options


def the_logger() -> ProxyLogger:
    """The one of this process: LiteLLM takes three mentions of one object for one callback."""
    global _logger
    with _lock:
        if _logger is None:
            _logger = ProxyLogger()
            _end_with_proxy()
        return _logger


def _end_with_proxy() -> None:
    """Deliver what is left when the proxy's application ends.

    The exit handler comes too late for that, or never: uvicorn gives a SIGTERM back to the system once the application
    has ended, and the process dies of it. LiteLLM's own function is called by its name (seen in 1.60 to 1.110).
    """
    server = sys.modules.get("litellm.proxy.proxy_server")
    original = getattr(server, "proxy_shutdown_event", None)
    if original is None:
        return

    @functools.wraps(original)
    async def ended(*args: Any, **kwargs: Any) -> Any:
        try:
            return await original(*args, **kwargs)
        finally:
            await asyncio.get_running_loop().run_in_executor(None, shutdown_all)

    setattr(server, "proxy_shutdown_event", ended)  # noqa: B010 - the module is not read by the type checker


def add_name() -> None:
    """Make LiteLLM take `honeyhive` for one of its own callbacks.

    LiteLLM asks two things wherever it meets a callback's name: whether it is in the list of known names, and a
    function of `litellm_logging`, looked up there at every call, for the logger (seen in 1.60 to 1.110).
    """
    names = litellm._known_custom_logger_compatible_callbacks  # noqa: SLF001 - there is no public list
    if NAME not in names:
        names.append(NAME)
    for function in ("_init_custom_logger_compatible_class", "get_custom_logger_compatible_class"):
        original = getattr(litellm_logging, function, None)
        if original is not None and not hasattr(original, _MARK):
            setattr(litellm_logging, function, _with_name(original))


_MARK = "knows_honeyhive"


def _with_name(original: Any) -> Any:
    @functools.wraps(original)
    def logger_of(logging_integration: Any, *args: Any, **kwargs: Any) -> Any:
        if logging_integration == NAME:
            return the_logger()
        return original(logging_integration, *args, **kwargs)

    setattr(logger_of, _MARK, True)
    return logger_of
