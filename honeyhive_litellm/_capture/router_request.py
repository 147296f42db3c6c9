"""A request that may take several attempts: the attempts in their order, and the event that is their parent.

It is one to LiteLLM's Router, or a call of a function that gets a list of models to fall back on.

The attempts are counted here, as they begin. LiteLLM's own counts are unreliable: all attempts share one metadata
dictionary, which LiteLLM changes between them.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter, deque
from contextvars import ContextVar, Token
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional, Set

from honeyhive_litellm._mapping.call_types import event_name, outputs_of
from honeyhive_litellm._mapping.metadata import note_metadata
from honeyhive_litellm._mapping.model import CallContext, Outcome
from honeyhive_litellm._mapping.reading import copy_containers, mapping, or_default, text

from .attempt import Attempt
from .context import current_context
from .open_attempts import OpenAttempts
from .target import Target

MAX_FAILURES = 50
"""How many failed attempts `fallback_info` lists: it is in the event of each further attempt."""

StrategyOf = Callable[[Optional[str]], Optional[str]]
"""Returns the routing strategy for a model group, or None if it is unknown."""

_NO_PARAMETERS = frozenset(
    (
        "original_function", "original_generic_function", "endpoint", "metadata", "litellm_metadata", "messages",
        "input",
    )
)  # fmt: skip
"""The arguments of a request that are no parameters for the provider, or have a place of their own."""

_IN_EVERY_ATTEMPT = ("model_group", "deployment_id", "deployment", "attempt", "model")
"""What the request's event says of an attempt. Those of a Router have no `model`, and others nothing but that."""


class RouterRequest:
    """One request, from the call of the Router until it returns. Its attempts may begin and end on any thread."""

    def __init__(
        self,
        call_details: Mapping[str, Any],
        strategy_of: StrategyOf,
        context: CallContext,
        started_ms: float,
        has_router: bool = True,
    ) -> None:
        self.id = str(uuid.uuid4())
        self.call_details = call_details
        self.context = context
        self.started_ms = started_ms
        self.has_router = has_router
        """Whether a Router makes the attempts, and not a function with a list of fallbacks."""
        self.is_over = False
        self.event: Optional[Attempt] = None
        """The request's own event; None until there is a reason for one."""
        self.context_token: Optional[Token[Optional[RouterRequest]]] = None
        self.session: Optional[str] = None
        self.trace_id: object = None
        self.provider: Optional[str] = None
        """That of the first attempt."""
        self.last_attempt: Optional[Attempt] = None
        self.response: object = None
        """What the Router returned; None for a stream, which nobody but its reader may keep alive."""
        self.is_streaming = False
        """Whether the Router returned a stream, so that only the reader's end of it is the end of the request."""
        self.numbers: Dict[str, int] = {}
        """The number of the latest attempt under each call id."""
        self.target: Optional[Target] = None
        """Where the request is recorded, with all its attempts; None if nowhere."""
        self._strategy_of = strategy_of
        self.attempts = 0
        """How many attempts have begun so far."""
        self._attempts_of: Counter[Optional[str]] = Counter()
        """How many under each name of a model or a model group."""
        self._last_described: Dict[str, object] = {}
        self._failures: Deque[Dict[str, object]] = deque(maxlen=MAX_FAILURES)
        self._failed = 0

    def add_attempt(self, attempt: Attempt) -> None:
        """Count one more attempt, and describe the earlier ones in its `router` metadata.

        The Router's request takes the session of its attempts. Where nobody names one it is LiteLLM's trace, and some
        Routers choose that only on the way to the first attempt.
        """
        request = attempt.request
        metadata = request.metadata
        self.last_attempt = attempt
        self.provider = self.provider or request.provider
        self.trace_id = self.trace_id or metadata.get("trace_id")
        if not self.has_router:  # LiteLLM names no session for these attempts
            request.session = request.session or self.session or text(self.trace_id) or self.id
        self.session = self.session or request.session
        router = dict(mapping(metadata.get("router")))
        if not self.has_router:
            router["model"] = f"{request.provider}/{request.model}"
        group = router.get("model_group") or router.get("model")
        requested = text(self.call_details.get("model"))
        if (
            self.has_router and requested is not None and group is not None and requested != group
        ):  # even if it was never attempted
            router["requested_model_group"] = requested
        router["attempt"] = self.attempts + 1
        router["retry_count"] = self._attempts_of[text(group)]
        self._add_strategy(router, text(group))
        router.pop("fallback_info", None)
        if self._failures:
            router["fallback_info"] = self._fallback_info()
        metadata["router"] = router
        self.attempts += 1
        self._last_described = {name: router[name] for name in _IN_EVERY_ATTEMPT if name in router}
        self._attempts_of.update({text(router.get("model_group")), text(router.get("model"))})

    def _fallback_info(self) -> List[Dict[str, object]]:
        """The failed attempts, the latest of very many."""
        left_out = self._failed - len(self._failures)
        listed: List[Dict[str, object]] = [{"left_out": left_out}] if left_out else []
        return [*listed, *self._failures]

    def _add_strategy(self, router: Dict[str, object], model_group: Optional[str]) -> None:
        strategy = or_default(None, self._strategy_of, model_group)
        if strategy is not None:
            router["routing_strategy"] = strategy

    def add_failure(self, metadata: Mapping[str, object], outcome: Outcome) -> None:
        """Note that an attempt failed, for the `fallback_info` of the attempts that may follow."""
        router = mapping(metadata.get("router"))
        failure = {name: router.get(name) for name in ("attempt", "model_group", "deployment_id", "model")}
        failure["error_class"] = outcome.metadata.get("error_class")
        self._failed += 1
        self._failures.append({name: value for name, value in failure.items() if value is not None})

    def outcome(self, error: Optional[BaseException], capture_content: bool) -> Outcome:
        """The outcome of the request as a whole, when the Router has returned."""
        outcome = self._bare_outcome(error, capture_content)
        if error is None and not self.is_streaming:
            name = event_name(str(self.call_details.get("call_type")))
            outcome.outputs.update(outputs_of(name, self.response, capture_content))
            copy_containers(outcome.outputs)  # the caller may change its response before they are encoded
        return outcome

    def outcome_of_stream(self, last: Outcome) -> Outcome:
        """The outcome of the request as a whole, when the stream of its last attempt has ended."""
        outcome = self._bare_outcome(None, True)
        for name in ("error_class", "status_code"):
            if name in last.metadata:
                outcome.metadata[name] = last.metadata[name]
        outcome.outputs.update(last.outputs)
        outcome.status, outcome.error, outcome.end_ms = last.status, last.error, last.end_ms
        return outcome

    def _bare_outcome(self, error: Optional[BaseException], capture_content: bool) -> Outcome:
        requested = text(self.call_details.get("model"))
        router: Dict[str, object] = {"attempts": self.attempts}
        if self.has_router:
            router["model_group"] = requested
        self._add_strategy(router, requested)
        router["fallback_info"] = self._fallback_info()
        metadata: Dict[str, object] = {"router": router}
        if error is None:
            return Outcome("success", {"served_by": self._last_described}, metadata, None, None, None)
        name = type(error).__name__
        metadata["error_class"] = name
        code = getattr(error, "status_code", None)
        if isinstance(code, int):
            metadata["status_code"] = code
        status = "cancelled" if name == "CancelledError" else "failure"
        return Outcome(status, {}, metadata, f"{name}: {error}" if capture_content else name, None, None)


class RouterRequests:
    """The requests that the Routers of the process work on, as one recorder sees them."""

    def __init__(
        self, target_for: Callable[[Mapping[str, Any]], Optional[Target]], open_attempts: OpenAttempts
    ) -> None:
        """`target_for` decides where a request is recorded, by its details; None if nowhere."""
        self._target_for = target_for
        self._open = open_attempts
        self._running: Set[str] = set()
        self._current: ContextVar[Optional[RouterRequest]] = ContextVar("honeyhive_router_request", default=None)

    def current(self) -> Optional[RouterRequest]:
        """The request that a new attempt in this context belongs to."""
        request = self._current.get()
        return None if request is None or request.is_over else request

    @property
    def are_running(self) -> bool:
        """Whether a Router is at work on a request."""
        return bool(self._running)

    def begin(
        self, call_details: Mapping[str, Any], strategy_of: StrategyOf, has_router: bool = True
    ) -> Optional[RouterRequest]:
        """A Router is called: attempts that begin in this context until `end` belong to its request.

        None if this context has a request already: the Router's sync functions call its async ones.
        """
        if self.current() is not None:
            return None
        context = current_context()._replace(noted_metadata=note_metadata(mapping(call_details.get("litellm_params"))))
        request = RouterRequest(call_details, strategy_of, context, time.time() * 1000, has_router)
        request.target = self._target_for(call_details)
        request.context_token = self._current.set(request)
        self._running.add(request.id)
        return request

    def end(
        self, request: RouterRequest, response: object, error: Optional[BaseException], is_registered: bool
    ) -> None:
        """The Router returned `response`, or raised `error`.

        Only a request with a failed attempt has an event of its own, as the parent of its attempts; and a request that
        was rejected before any attempt, which LiteLLM does not report. `is_registered` says whether a logger of ours
        is among LiteLLM's callbacks: without one the rejection is not recorded.
        """
        request.is_over = True
        self._running.discard(request.id)
        if request.context_token is not None:
            self._current.reset(request.context_token)
        request.is_streaming = hasattr(response, "__anext__") or hasattr(response, "__next__")  # may raise
        request.response = None if request.is_streaming else response
        if error is not None and request.attempts == 0 and is_registered and request.has_router:
            self._open_event(request)
        last = request.last_attempt
        if request.is_streaming and last is not None and self._open.get(last.event_id) is last:
            return  # the end of the attempt, which its stream's reader makes, is the end of the request
        self._emit(request, lambda event: request.outcome(error, event.request.capture_content))

    def _emit(self, request: RouterRequest, outcome_of: Callable[[Attempt], Outcome]) -> None:
        event = self._open.claim(request.id)
        if event is not None:
            try:
                event.target.emitter.event(event, outcome_of(event))
            finally:
                self._open.release(event)

    def is_waiting_for(self, attempt: Attempt) -> bool:
        """Whether a request ends with this attempt, because the Router returned its stream."""
        request = attempt.router_request
        return request is not None and request.event is not None and request.last_attempt is attempt

    def attempt_ended(self, attempt: Attempt, outcome: Outcome) -> None:
        """Before the event of a claimed attempt is emitted: a failed one gets the request's event as its parent."""
        request = attempt.router_request
        if request is not None and outcome.status == "failure" and not request.is_over:
            request.add_failure(attempt.request.metadata, outcome)
            self._open_event(request)
            attempt.parent_id = request.id
        if request is not None and request.is_over and self.is_waiting_for(attempt):
            self._emit(request, lambda _: request.outcome_of_stream(outcome))

    def _open_event(self, router_request: RouterRequest) -> None:
        """Begin the event of the request, unless it has begun."""
        target = router_request.target
        if router_request.event is not None or target is None:
            return
        request = target.mapper.request(router_request.call_details, router_request.context)
        request.session = request.session or router_request.session
        if router_request.trace_id:
            request.metadata["trace_id"] = router_request.trace_id
        if router_request.provider is not None:
            request.provider = router_request.provider
            request.config["provider"] = request.metadata["provider"] = router_request.provider
        request.metadata.pop("router", None)
        if router_request.attempts:
            request.event_type = "chain"
        event = router_request.event = Attempt(target, router_request.id, 1, request, router_request.started_ms)
        if not request.skip:
            self._open.add(event)
            target.emitter.start(event)


def call_details_of_request(model: object, arguments: Mapping[str, Any]) -> Dict[str, Any]:
    """A request to the Router in the form of LiteLLM's details of a call, so that it is mapped like one."""
    function = arguments.get("original_generic_function") or arguments.get("original_function")
    name = getattr(function, "__name__", None) or arguments.get("endpoint")
    return {
        "litellm_call_id": str(uuid.uuid4()),
        "litellm_trace_id": arguments.get("litellm_trace_id"),
        "call_type": (text(name) or "completion").lstrip("_"),
        "model": model,
        "messages": arguments.get("messages"),
        "input": arguments.get("input"),
        "stream": arguments.get("stream"),
        "turn_off_message_logging": arguments.get("turn_off_message_logging"),
        "optional_params": {name: value for name, value in arguments.items() if name not in _NO_PARAMETERS},
        "litellm_params": {
            "metadata": arguments.get("metadata"),
            "litellm_metadata": arguments.get("litellm_metadata"),
            "litellm_session_id": arguments.get("litellm_session_id"),
        },
    }
