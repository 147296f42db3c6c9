"""Open an attempt: map its request, number it, put its token into LiteLLM's details of the call."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any, Callable, Mapping, MutableMapping, Optional

from honeyhive_litellm._mapping.ids import event_id, further_event_id, is_in_sample
from honeyhive_litellm._mapping.model import Request
from honeyhive_litellm._mapping.reading import text

from .attempt import Attempt, Token
from .context import current_context
from .open_attempts import OpenAttempts
from .router_request import RouterRequests
from .target import Target

FIRST_RECORDER = "honeyhive_first_recorder"
"""Where the details of a call hold the key of the first recorder that opened an attempt at it."""


class AttemptOpener:
    """Opens attempts for one recorder; `key` is where its tokens are in the details of a call."""

    def __init__(
        self,
        key: str,
        target_for: Callable[[Mapping[str, Any]], Optional[Target]],
        open_attempts: OpenAttempts,
        router_requests: RouterRequests,
    ) -> None:
        """`target_for` decides where a call is recorded, by its details; None if nowhere."""
        self._key = key
        self._target_for = target_for
        self._open = open_attempts
        self._router_requests = router_requests

    def open(
        self,
        call_details: MutableMapping[str, Any],
        started_ms: Optional[float],
        *,
        reporter: object = None,
        is_cached: bool = False,
    ) -> Optional[Attempt]:
        """Open a new attempt at this call, in the caller's context; None if the call is to have no event.

        Where the call is recorded is decided at its first attempt, and for all attempts of a request to a Router at
        the request's beginning.
        """
        context = current_context()
        router_request = self._router_requests.current()
        previous = call_details.get(self._key)
        if router_request is not None:
            target = router_request.target
        elif isinstance(previous, Token):
            target = previous.target
        else:
            target = self._target_for(call_details)
        if target is None:
            nowhere = call_details[self._key] = Token("")
            nowhere.number, nowhere.target = 0, None
            return None
        if router_request is not None:
            noted = router_request.context.noted_metadata
            context = context._replace(noted_metadata=noted, in_router=router_request.has_router)
        request = target.mapper.request(call_details, context)
        numbers = None if router_request is None else router_request.numbers
        number = self._open.next_number(request.call_id, previous, numbers)
        token = call_details[self._key] = Token(self._event_id(call_details, request.call_id, number, target.project))
        token.number = number
        token.target = target
        if request.skip:
            return None
        attempt = Attempt(target, str(token), number, request, started_ms or time.time() * 1000)
        attempt.reporter = reporter
        attempt.is_cached = is_cached
        attempt.is_sampled_out = _is_sampled_out(request, target.sample_rate)
        shown = request.inputs.get("chat_history") if request.capture_content else None
        attempt.prompt = shown or call_details.get("messages") or call_details.get("input")
        if router_request is not None:
            router_request.add_attempt(attempt)
            attempt.router_request = router_request
            if router_request.event is not None:
                attempt.parent_id = router_request.id
        self._open.add(attempt, token)
        return attempt

    def _event_id(self, call_details: MutableMapping[str, Any], call_id: str, number: int, project: str) -> str:
        """The id of an attempt's event. The first recorder that opens a call has LiteLLM's call id in it."""
        id_ = event_id(call_id, number)
        is_first = call_details.setdefault(FIRST_RECORDER, self._key) == self._key
        return id_ if is_first else further_event_id(id_, project)


def _is_sampled_out(request: Request, sample_rate: float) -> bool:
    """Whether its success is to have no event. A session is in the sample as a whole, or else a trace is."""
    if sample_rate >= 1:
        return False
    whole = request.session or text(request.metadata.get("trace_id")) or request.call_id
    return not is_in_sample(whole, sample_rate)


def started_ms_of(call_details: MutableMapping[str, Any]) -> Optional[float]:
    """When LiteLLM began the call, in Unix milliseconds. LiteLLM's `start_time` is a naive local datetime."""
    moment = call_details.get("start_time")
    return moment.timestamp() * 1000 if isinstance(moment, datetime) else None
