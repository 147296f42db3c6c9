"""Requests to LiteLLM's Router, and calls with a list of fallbacks: the attempts of one request belong together."""

from __future__ import annotations

import contextlib
import functools
from typing import Any, Awaitable, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

from honeyhive_litellm._capture.recorder import Recorder
from honeyhive_litellm._capture.router_request import RouterRequest, call_details_of_request
from honeyhive_litellm._foreign import class_name, is_interrupt
from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._mapping.reading import or_default

from .module_functions import ModuleView, imported, wrap_function
from .notify import Subscriber, guarded, notify, subscribers

_FALLBACKS = "litellm.litellm_core_utils.fallback_utils"
_OF_THE_FIRST_FAILURE = ("standard_logging_object", "end_time")


def on_async_request(request: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(request)
    async def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _recorded(self, args, kwargs) as answer:
            response = answer.response = await request(self, *args, **kwargs)
            return response

    return wrapped


def on_request(request: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(request)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _recorded(self, args, kwargs) as answer:
            response = answer.response = request(self, *args, **kwargs)
            return response

    return wrapped


def on_fallbacks(complete: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Wrap the function to which `completion` and `acompletion` hand a call with `fallbacks`."""

    @functools.wraps(complete)
    async def wrapped(**arguments: Any) -> Any:
        flat = {**arguments, **(arguments.get("kwargs") or {})}
        flat.pop("kwargs", None)
        with _recorded(None, (), flat) as answer:
            response = answer.response = await complete(**arguments)
            return response

    return wrapped


def patch_fallbacks() -> None:
    """Wrap that function in the modules that call it by its bare name, and each call that it makes, once a process."""
    for module in ("litellm.main", _FALLBACKS):
        wrap_function(module, "async_completion_with_fallbacks", on_fallbacks)
    fallbacks = imported(_FALLBACKS)
    if hasattr(fallbacks, "litellm"):
        fallbacks.litellm = ModuleView(fallbacks.litellm, acompletion=_on_fallback)


def _on_fallback(complete: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Wrap one of the calls: all share one record of LiteLLM's, which reports the failure of the first one only."""

    @functools.wraps(complete)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return await complete(*args, **kwargs)
        except Exception as error:
            details = getattr(kwargs.get("litellm_logging_obj"), "model_call_details", None) or {}
            current = {name: value for name, value in details.items() if name not in _OF_THE_FIRST_FAILURE}
            notify(Recorder.on_error, current, error)
            raise

    return wrapped


class _Answer:
    """Where the wrapper of a request leaves what the Router returns."""

    response: object = None


@contextlib.contextmanager
def _recorded(router: Any, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Iterator[_Answer]:
    """While the Router works on one request, the attempts that begin in this context belong to it."""
    answer = _Answer()
    if "fallback_depth" in kwargs:  # a fallback of a request that is being recorded
        yield answer
        return
    begun = _begin(router, args, kwargs)
    error: Optional[BaseException] = None
    try:
        yield answer
    except BaseException as raised:
        error = raised
        raise
    finally:
        for subscriber, request in begun:
            recorder = subscriber.runtime.recorder
            # A logger that is about to replace another subscribes first: both may have seen the request begin.
            is_recorded = recorder.tenure.had_taken_over_by(request.started_ms) and or_default(
                False, subscriber.is_registered
            )
            guarded(recorder.router_requests.end, request, answer.response, error, is_recorded)


def _begin(router: Any, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> List[Tuple[Subscriber, RouterRequest]]:
    """Begin the request in every recorder that is open and does not see it as a part of another request."""
    begun = []
    try:
        arguments = _arguments(args, kwargs)
        strategies = functools.partial(strategy_of, router, arguments)
        for subscriber in subscribers():
            recorder = subscriber.runtime.recorder
            if not subscriber.runtime.is_closed and recorder.tenure.may_begin({}):
                call_details = call_details_of_request(arguments.get("model"), arguments)
                request = recorder.router_requests.begin(call_details, strategies, has_router=router is not None)
                if request is not None:
                    begun.append((subscriber, request))
    except BaseException as error:
        if is_interrupt(error):
            raise
        warn(
            LogCode.ROUTER_REQUEST_NOT_RECORDED,
            "honeyhive: a request to a Router could not be recorded: %s",
            class_name(error),
        )
    return begun


def _arguments(args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Mapping[str, Any]:
    """The request's arguments by name.

    The Router written in Python gets them as such, with the function to call among them. The one in Rust (LiteLLM
    1.110) gets a plan, which has that function's name, and a mapping.
    """
    if not args or not hasattr(args[0], "endpoint"):
        return kwargs
    request = args[1] if len(args) > 1 else kwargs.get("request", {})
    return {**request, "endpoint": args[0].endpoint}


def strategy_of(router: Any, arguments: Mapping[str, Any], model_group: Optional[str]) -> Optional[str]:
    """The strategy that chooses among a group's deployments: the request's, that of its routing group, the Router's.

    The Router written in Rust has its strategy among its settings. Without any Router (None) there is no strategy.
    """
    if router is None:
        return None
    requested = arguments.get("routing_strategy")
    if requested is not None:
        return _name(requested)
    for group in _routing_groups(router):
        if model_group in group.models or model_group == group.group_name:
            return _name(group.routing_strategy)
    settings = router if hasattr(router, "routing_strategy") else router.settings()
    return _name(getattr(settings, "routing_strategy", None))


def _routing_groups(router: Any) -> Iterable[Any]:
    registry = getattr(router, "registry", None)
    if registry is None:
        return ()  # an old LiteLLM has none
    try:
        return list(registry().routing_groups().values())
    except Exception:
        return ()


def _name(strategy: Any) -> Optional[str]:
    return None if strategy is None else str(getattr(strategy, "value", strategy))
