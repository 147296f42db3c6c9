"""One request to LiteLLM's Router: the attempts it took, in order, and the event that is their parent.

LiteLLM's own counts cannot be trusted: its metadata is one dictionary for all attempts, changed between them and read
late. So attempts are counted here, as they begin.
"""

from __future__ import annotations

import uuid
from typing import Any, Dict, List, Mapping, Optional

from honeyhive_litellm._mapping.model import CallContext, Outcome, Request
from honeyhive_litellm._mapping.reading import mapping, text

from .attempt import Attempt

_OWN = frozenset(
    (
        "original_function", "original_generic_function", "endpoint", "metadata", "litellm_metadata", "messages",
        "input",
    )
)  # fmt: skip


class Route:
    """What a Router was asked for, from the call until it returns.

    `event` is None until there is reason for one; `before` restores the context.
    """

    def __init__(
        self, call: Mapping[str, Any], strategy: Optional[str], started_ms: float, around: CallContext
    ) -> None:
        self.id = str(uuid.uuid4())
        self.call = call
        self.strategy = strategy
        self.started_ms = started_ms
        self.around = around
        self.is_over = False
        self.event: Optional[Attempt] = None
        self.before: Any = None
        self.session: Optional[str] = None
        self.trace_id: object = None
        self.numbers: Dict[str, int] = {}  # of the latest attempt under each call id
        self._attempts: List[Dict[str, object]] = []
        self._failures: List[Dict[str, object]] = []

    @property
    def attempts(self) -> int:
        """How many have begun so far."""
        return len(self._attempts)

    def join(self, request: Request) -> None:
        """Count one more attempt, and tell of those before it in its `router` metadata.

        The request is in the session of its attempts: one that nobody named is LiteLLM's trace, and some Routers
        think of that only on the way to the first of them.
        """
        metadata = request.metadata
        self.session = self.session or request.session
        self.trace_id = self.trace_id or metadata.get("trace_id")
        known = dict(mapping(metadata.get("router")))
        group = known.get("model_group")
        asked = text(self.call.get("model"))
        if asked is not None and group is not None and asked != group:  # also where no attempt was made at that one
            known["requested_model_group"] = asked
        known["attempt"] = self.attempts + 1
        known["retry_count"] = sum(1 for earlier in self._attempts if earlier.get("model_group") == group)
        if self.strategy is not None:
            known["routing_strategy"] = self.strategy
        known.pop("fallback_info", None)
        if self._failures:
            known["fallback_info"] = list(self._failures)
        metadata["router"] = known
        kept = ("model_group", "deployment_id", "deployment", "attempt")
        self._attempts.append({name: known[name] for name in kept if name in known})

    def failed(self, metadata: Mapping[str, object], outcome: Outcome) -> None:
        """Remember how an attempt ended that the Router may follow up with another."""
        known = mapping(metadata.get("router"))
        hop = {name: known.get(name) for name in ("attempt", "model_group", "deployment_id")}
        hop["error_class"] = outcome.metadata.get("error_class")
        self._failures.append({name: value for name, value in hop.items() if value is not None})

    def outcome(self, error: Optional[BaseException], keeps_content: bool) -> Outcome:
        """How the request as a whole ended: asked for, served by, why it ended."""
        router: Dict[str, object] = {"attempts": self.attempts, "model_group": text(self.call.get("model"))}
        if self.strategy is not None:
            router["routing_strategy"] = self.strategy
        router["fallback_info"] = list(self._failures)
        metadata: Dict[str, object] = {"router": router}
        if error is None:
            served: Dict[str, object] = self._attempts[-1] if self._attempts else {}
            return Outcome("success", {"served_by": served}, metadata, None, None, None)
        name = type(error).__name__
        metadata["error_class"] = name
        status = getattr(error, "status_code", None)
        if isinstance(status, int):
            metadata["status_code"] = status
        status_word = "cancelled" if name == "CancelledError" else "failure"
        told = f"{name}: {error}" if keeps_content else name
        return Outcome(status_word, {}, metadata, told, None, None)


def call_of(model: object, arguments: Mapping[str, Any]) -> Dict[str, Any]:
    """A request to the Router in the shape of LiteLLM's details of a call, so that it is mapped like one."""
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
        "optional_params": {name: value for name, value in arguments.items() if name not in _OWN},
        "litellm_params": {
            "metadata": arguments.get("metadata"),
            "litellm_metadata": arguments.get("litellm_metadata"),
            "litellm_session_id": arguments.get("litellm_session_id"),
        },
    }
