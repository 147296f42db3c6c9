"""How an attempt ended: as LiteLLM's callback tells, or as far as it was seen inline."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Protocol, Sequence

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._json import decode
from honeyhive_litellm._mapping.mapper import map_failure, map_success
from honeyhive_litellm._mapping.model import Outcome
from honeyhive_litellm._mapping.stream_assembly import add_estimated_usage, assembled
from honeyhive_litellm._mapping.usage import mark_estimate, usage_of

from .attempt import Attempt, has_finish

_FROM_CACHE: Mapping[str, object] = {"cache_hit": True, "response_cost": 0.0}


class Host(Protocol):
    """What only LiteLLM can do; nothing here imports it."""

    def assemble(self, chunks: Sequence[Any]) -> object:
        """A response, made of a stream's chunks."""

    def tokens(self, model: Optional[str], asked: object) -> Optional[int]:
        """How many tokens these messages, or this text, are by LiteLLM's count; None where it cannot tell."""

    def cost(self, response: object, call_type: str, model: str) -> Optional[float]:
        """What the call cost by LiteLLM's price list, in US dollars; None where that is unknown."""

    def has_price(self, provider: Optional[str], model: Optional[str]) -> bool:
        """Whether LiteLLM's price list has the model: for some others it says that they cost nothing."""

    def hides_content(self) -> bool:
        """Whether LiteLLM's own switch says that no message may be logged."""


class Outcomes:
    """Finds out by one set of settings. Changes no attempt but for what it notes of a stream's chunks."""

    def __init__(self, settings: Settings, host: Host) -> None:
        self._settings = settings
        self._host = host

    def success(self, attempt: Attempt, details: Mapping[str, Any], response: object) -> Outcome:
        """What LiteLLM's callback tells of a success."""
        outcome = map_success(details, response, self._settings, attempt.request.capture_content)
        metadata, request = outcome.metadata, attempt.request
        if attempt.lacks_usage:
            mark_estimate(metadata)
        is_free = metadata.get("estimated_cost") == 0 and not metadata.get("cache_hit")
        if is_free and not self._host.has_price(request.provider, request.model):
            del metadata["estimated_cost"]
            metadata.pop("cost", None)
        return outcome

    def failure(self, attempt: Attempt, details: Mapping[str, Any], error: object) -> Outcome:
        """What LiteLLM tells of a failure, and what had come before it."""
        outcome = map_failure(details, error, self._settings, attempt.request.capture_content)
        if attempt.chunks:  # of a stream that broke LiteLLM forgets what had come
            outcome.outputs = self._assembled(attempt, counts=False).outputs
        return outcome

    def held(self, attempt: Attempt, counts: bool = True) -> Outcome:
        """What was seen inline, and what LiteLLM's callback would have told of it.

        `counts`: tokens that nobody told are counted, which takes its time for a long prompt.
        """
        if attempt.chunks is not None:
            attempt.look_at_chunks()
        outcome = self._seen(attempt, counts)
        outcome.end_ms = attempt.ended_ms
        return outcome

    def _seen(self, attempt: Attempt, counts: bool) -> Outcome:
        response = attempt.response
        if response is None and attempt.raw_reply is not None:
            response = _read(attempt.raw_reply)
        if response is not None:
            call = {"call_type": attempt.request.call_type, **(_FROM_CACHE if attempt.is_cached else {})}
            outcome = map_success(call, response, self._settings, attempt.request.capture_content)
            self._add_cost(attempt, outcome, response)
            return outcome
        if attempt.chunks is not None:
            outcome = self._assembled(attempt, counts) if attempt.chunks else untold("success", None)
            if attempt.is_cached:
                outcome.metadata["cache_hit"] = True
            if not attempt.is_complete:
                outcome.status = "cancelled" if attempt.is_cancelled else "abandoned"
            return outcome
        if attempt.number > 1:
            return untold("failure", "Retried: LiteLLM did not report how this attempt ended")
        return untold("cancelled", "Cancelled: the call was given up before an answer came")

    def _assembled(self, attempt: Attempt, counts: bool) -> Outcome:
        """What a stream's chunks tell. Token counts that no chunk carries are LiteLLM's estimate."""
        chunks, request = attempt.chunks or (), attempt.request
        try:
            response = assembled(chunks) if attempt.raw_chunks is not None else self._host.assemble(chunks)
        except Exception:
            response = None  # LiteLLM cannot make sense of them; that the call was made stays true
        is_estimate = attempt.lacks_usage if attempt.raw_chunks is None else not usage_of(response, {})
        if is_estimate and counts:
            add_estimated_usage(response, attempt.prompt, lambda asked: self._host.tokens(request.model, asked))
        call = {"stream": True, "call_type": request.call_type, **(_FROM_CACHE if attempt.is_cached else {})}
        outcome = map_success(call, response, self._settings, request.capture_content)
        if not has_finish(chunks):
            outcome.outputs.pop("finish_reason", None)  # LiteLLM makes one up
        if is_estimate:
            mark_estimate(outcome.metadata)
        if attempt.first_chunk_ms is not None:
            outcome.metadata["time_to_first_token_ms"] = round(attempt.first_chunk_ms - attempt.started_ms, 3)
        self._add_cost(attempt, outcome, response)
        return outcome

    def _add_cost(self, attempt: Attempt, outcome: Outcome, response: object) -> None:
        metadata, request = outcome.metadata, attempt.request
        if "estimated_cost" not in metadata and "total_tokens" in metadata:
            amount = self._host.cost(response, request.call_type, f"{request.provider}/{request.model}")
            if amount:
                metadata["estimated_cost"] = amount
                if "usage_estimated" not in metadata:
                    metadata["cost"] = amount


def untold(status: str, error: Optional[str]) -> Outcome:
    """One of which nothing but this is known; `error` reads "Class: message"."""
    metadata: Dict[str, object] = {}
    if error is not None:
        metadata["error_class"] = error.partition(":")[0]
    return Outcome(status=status, outputs={}, metadata=metadata, error=error, start_ms=None, end_ms=None)


def _read(answer: str) -> object:
    try:
        return decode(answer.encode("utf-8", "replace"))
    except ValueError:
        return {}  # no JSON after all; that it was answered stays true
