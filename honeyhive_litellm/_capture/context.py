"""What surrounds a call when it begins: `honeyhive_litellm.session`, HoneyHive's tracer, an OpenTelemetry span.

It is read in the hook of the call's start, which runs in the caller's context. LiteLLM reports outcomes on threads and
queues that have another context, or none. OpenTelemetry and HoneyHive's SDK are used only if the application has
imported them.
"""

from __future__ import annotations

import sys
import uuid
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Dict, Mapping, NamedTuple, Optional, Type

from honeyhive_litellm._mapping.ids import session_id as to_uuid
from honeyhive_litellm._mapping.model import NO_CONTEXT, CallContext
from honeyhive_litellm._mapping.reading import mapping, or_default, text

_NOTHING: Mapping[str, Any] = {}
_FROM_BAGGAGE = ("run_id", "dataset_id", "datapoint_id")
"""The OpenTelemetry baggage of HoneyHive's experiments that goes into the event's metadata."""


class Session:
    """Groups the calls made inside it, in this task or thread and in those that inherit its context.

    A context manager for `with` and `async with`. It only sets a context variable: nothing is sent. An inner session
    replaces the outer one while it lasts. One object may be entered in several tasks and threads at once.
    `session_id` is the session's UUID in HoneyHive.
    """

    def __init__(
        self,
        name: Optional[str] = None,
        session_id: Optional[str] = None,
        user_properties: Optional[Mapping[str, Any]] = None,
    ) -> None:
        for option, value in (("name", name), ("session_id", session_id)):
            if value is not None and not isinstance(value, (str, uuid.UUID)):
                raise TypeError(f"session({option}=...) takes a text, not {type(value).__name__}")
        if user_properties is not None and not isinstance(user_properties, Mapping):
            raise TypeError(f"session(user_properties=...) takes a dict, not {type(user_properties).__name__}")
        raw = str(session_id) if session_id else str(uuid.uuid4())
        self.session_id = to_uuid(raw)
        self._context = CallContext(raw, text(name), None, dict(user_properties or {}))

    def __enter__(self) -> Session:
        _entered.set(_Entered(self._context, _entered.get()))
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]] = None,
        error: Optional[BaseException] = None,
        traceback: Optional[TracebackType] = None,
    ) -> None:
        innermost = _entered.get()
        # A generator may be closed in another context than it was entered in: there is nothing to restore.
        if innermost is not None and innermost.context is self._context:
            _entered.set(innermost.outer)

    async def __aenter__(self) -> Session:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]] = None,
        error: Optional[BaseException] = None,
        traceback: Optional[TracebackType] = None,
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __repr__(self) -> str:
        return f"Session(session_id={self.session_id!r})"


class _Entered(NamedTuple):
    """A session that was entered in this context, and the session outside it."""

    context: CallContext
    outer: Optional[_Entered]


_entered: ContextVar[Optional[_Entered]] = ContextVar("honeyhive_litellm_session", default=None)


def current_context() -> CallContext:
    """The context of the code that calls this. Our own session comes before a tracer's. Never raises."""
    entered = _entered.get()
    if "opentelemetry.trace" not in sys.modules:
        return NO_CONTEXT if entered is None else entered.context
    traced: CallContext = or_default(NO_CONTEXT, _traced)
    return traced if entered is None else entered.context._replace(metadata=traced.metadata, otel=traced.otel)


def _traced() -> CallContext:
    """The context that OpenTelemetry's span and baggage, and HoneyHive's tracer, make."""
    span = sys.modules["opentelemetry.trace"].get_current_span()
    attributes = mapping(or_default(_NOTHING, lambda: dict(span.attributes or {})))
    baggage = _baggage()
    return CallContext(
        session=text(baggage.get("session_id")) or text(attributes.get("honeyhive.session_id")) or _tracers_session(),
        parent_id=text(attributes.get("honeyhive_event_id")) or text(baggage.get("parent_id")),
        metadata={name: baggage[name] for name in _FROM_BAGGAGE if text(baggage.get(name))},
        otel=span_ids(span),
    )


def span_ids(span: Any) -> Optional[Dict[str, str]]:
    """The W3C trace and span id of an OpenTelemetry span, in hexadecimal digits; None for the span of no trace."""
    context = span.get_span_context()
    if not context.trace_id or not context.span_id:
        return None
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def _baggage() -> Mapping[str, Any]:
    module = sys.modules.get("opentelemetry.baggage")
    return _NOTHING if module is None else or_default(_NOTHING, lambda: dict(module.get_all()))


def _tracers_session() -> Optional[str]:
    """The session of the HoneyHive tracer in the baggage, or of the default tracer."""
    registry = sys.modules.get("honeyhive.tracer.registry")
    if registry is None:
        return None
    tracer = registry.get_tracer_from_baggage() or registry.get_default_tracer()
    return text(getattr(tracer, "session_id", None))
