"""What surrounds a call when it begins: our own `session`, HoneyHive's tracer, an OpenTelemetry span.

Read on the caller's side, since LiteLLM tells of outcomes on threads and queues that have another context, or none.
OpenTelemetry and HoneyHive's SDK are asked only if the application has imported them, and never imported here.
"""

from __future__ import annotations

import sys
import uuid
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Dict, List, Mapping, Optional, Type

from honeyhive_litellm._mapping.ids import session_id as to_uuid
from honeyhive_litellm._mapping.model import NO_CONTEXT, CallContext
from honeyhive_litellm._mapping.reading import mapping, or_default, text

_NOTHING: Mapping[str, Any] = {}
_FROM_BAGGAGE = ("run_id", "dataset_id", "datapoint_id")
"""What HoneyHive's experiments put there, for the event's metadata."""


class Session:
    """Groups the calls made inside it, in this task or thread and in those that inherit its context.

    A context manager, for `with` and `async with`; entering and leaving it does nothing but set a variable. One inside
    another takes its place meanwhile. `session_id` is the session's UUID in HoneyHive, known from the beginning.
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
        self._entered: List[Token[Optional[CallContext]]] = []

    def __enter__(self) -> Session:
        self._entered.append(_session.set(self._context))
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]] = None,
        error: Optional[BaseException] = None,
        traceback: Optional[TracebackType] = None,
    ) -> None:
        try:
            _session.reset(self._entered.pop())
        except (IndexError, ValueError):
            pass  # left in another context than it was entered in, as generators may be: there it was never set

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


_session: ContextVar[Optional[CallContext]] = ContextVar("honeyhive_litellm_session", default=None)


def current_context() -> CallContext:
    """What surrounds the code that calls this. Never raises."""
    ours = _session.get()
    if "opentelemetry.trace" not in sys.modules:
        return ours or NO_CONTEXT
    theirs: CallContext = or_default(NO_CONTEXT, _traced)
    return theirs if ours is None else ours._replace(metadata=theirs.metadata, otel=theirs.otel)


def _traced() -> CallContext:
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
    """The W3C trace and span id of an OpenTelemetry span, in hexadecimal digits; None for one that is no span."""
    context = span.get_span_context()
    if not context.trace_id or not context.span_id:
        return None
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def _baggage() -> Mapping[str, Any]:
    module = sys.modules.get("opentelemetry.baggage")
    return _NOTHING if module is None else or_default(_NOTHING, lambda: dict(module.get_all()))


def _tracers_session() -> Optional[str]:
    """The session of HoneyHive's tracer that this code runs under, or of the application's only one."""
    registry = sys.modules.get("honeyhive.tracer.registry")
    if registry is None:
        return None
    tracer = registry.get_tracer_from_baggage() or registry.get_default_tracer()
    return text(getattr(tracer, "session_id", None))
