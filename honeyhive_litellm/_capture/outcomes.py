"""How an attempt ended: from LiteLLM's callback, or as far as the hooks saw it."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Protocol, Sequence

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._json import decode
from honeyhive_litellm._mapping.mapper import late_inputs, map_failure, map_success
from honeyhive_litellm._mapping.model import Outcome
from honeyhive_litellm._mapping.reading import ARGUMENTS_KEY
from honeyhive_litellm._mapping.stream_assembly import add_estimated_usage, assembled
from honeyhive_litellm._mapping.usage import mark_estimate, usage_of

from .attempt import Attempt
from .payments import Payments
from .stream_state import StreamState, has_finish

_CACHE_HIT: Mapping[str, object] = {"cache_hit": True, "response_cost": 0.0}


class LiteLLMFunctions(Protocol):
    """What only LiteLLM can compute; handed in, because only `_instrumentation` imports LiteLLM."""

    def assemble(self, chunks: Sequence[Any]) -> object:
        """The response that a chat stream's chunks make."""

    def tokens(self, model: Optional[str], prompt: object) -> Optional[int]:
        """The number of tokens in these messages or this text; None if LiteLLM cannot count them."""

    def cost(self, response: object, call_type: str, model: str) -> Optional[float]:
        """The call's cost in US dollars by LiteLLM's price list; None if the list lacks the model."""

    def has_price(self, provider: Optional[str], model: Optional[str]) -> bool:
        """Whether LiteLLM's price list has the model: LiteLLM reports a cost of 0 for some models that it lacks."""

    def hides_content(self) -> bool:
        """Whether LiteLLM's own switch forbids to log message content."""


class OutcomeResolver:
    """Resolves outcomes by one set of settings."""

    def __init__(self, settings: Settings, litellm: LiteLLMFunctions) -> None:
        self._settings = settings
        self._litellm = litellm
        self._payments = Payments()

    def success(self, attempt: Attempt, call_details: Mapping[str, Any], response: object) -> Outcome:
        """The outcome of a success that LiteLLM's callback reported.

        Also replaces the request's inputs where only the callback has them, as for a realtime session.
        """
        request = attempt.request
        inputs = late_inputs(call_details, response, request.capture_content)
        if inputs:
            attempt.replace_inputs(inputs)
        outcome = map_success(call_details, response, self._settings, request.capture_content)
        metadata = outcome.metadata
        if attempt.stream is not None and attempt.stream.lacks_usage:
            mark_estimate(metadata)
        is_free = metadata.get("estimated_cost") == 0 and not metadata.get("cache_hit")
        if is_free and not self._litellm.has_price(request.provider, request.model):
            del metadata["estimated_cost"]
            metadata.pop("cost", None)
        self._payments.keep_once(attempt, outcome, response)
        return outcome

    def failure(self, attempt: Attempt, call_details: Mapping[str, Any], error: object) -> Outcome:
        """The outcome of a failure that LiteLLM reported, or of an error that a stream's reader got."""
        outcome = map_failure(call_details, error, self._settings, attempt.request.capture_content)
        if attempt.stream is not None and attempt.stream.chunks:  # LiteLLM forgets what a broken stream had sent
            outcome.outputs = self._from_chunks(attempt, attempt.stream, counts=False).outputs
        return outcome

    def held(self, attempt: Attempt, counts: bool = True) -> Outcome:
        """The outcome as far as the hooks saw it, with what LiteLLM's callback would have added.

        `counts` adds estimated token counts to a stream that has none, which takes long for a long prompt.
        """
        if attempt.stream is not None:
            attempt.stream.look_at_chunks()
        outcome = self._seen(attempt, counts)
        outcome.end_ms = attempt.ended_ms
        return outcome

    def _seen(self, attempt: Attempt, counts: bool) -> Outcome:
        response = None if attempt.held is None else attempt.held.response
        if response is None and attempt.reply is not None and attempt.reply.text is not None:
            response = _decoded(attempt.reply.text)
        if response is not None:
            call_details = {
                "call_type": attempt.request.call_type,
                ARGUMENTS_KEY: attempt.request.arguments,
                **(_CACHE_HIT if attempt.is_cached else {}),
            }
            outcome = map_success(call_details, response, self._settings, attempt.request.capture_content)
            self._add_cost(attempt, outcome, response)
            self._payments.keep_once(attempt, outcome, response)
            return outcome
        stream = attempt.stream
        if stream is not None and (stream.chunks is not None or stream.is_complete):
            outcome = self._from_chunks(attempt, stream, counts) if stream.chunks else bare_outcome("success", None)
            if attempt.is_cached:
                outcome.metadata["cache_hit"] = True
            if not stream.is_complete:
                outcome.status = "abandoned" if stream.cancelled_since is None else "cancelled"
            return outcome
        if attempt.number > 1:
            return bare_outcome("failure", "Retried: LiteLLM did not report how this attempt ended")
        return bare_outcome("cancelled", "Cancelled: the call was given up before an answer came")

    def _from_chunks(self, attempt: Attempt, stream: StreamState, counts: bool) -> Outcome:
        """The outcome that a stream's chunks make. Token counts that no chunk carries are estimated by LiteLLM."""
        chunks, request = stream.chunks or (), attempt.request
        try:
            response = self._litellm.assemble(chunks) if stream.is_chat else assembled(chunks)
        except Exception:
            response = None  # LiteLLM cannot read these chunks; the event is written without outputs
        is_estimate = stream.lacks_usage if stream.is_chat else not usage_of(response, {})
        if is_estimate and counts:
            add_estimated_usage(response, attempt.prompt, lambda prompt: self._litellm.tokens(request.model, prompt))
        call_details = {
            "stream": True,
            "call_type": request.call_type,
            **(_CACHE_HIT if attempt.is_cached else {}),
        }
        outcome = map_success(call_details, response, self._settings, request.capture_content)
        if not has_finish(chunks):
            outcome.outputs.pop("finish_reason", None)  # LiteLLM's `assemble` makes one up
        if is_estimate:
            mark_estimate(outcome.metadata)
        if stream.first_chunk_ms is not None:
            outcome.metadata["time_to_first_token_ms"] = round(stream.first_chunk_ms - attempt.started_ms, 3)
        self._add_cost(attempt, outcome, response)
        self._payments.keep_once(attempt, outcome, response)
        return outcome

    def _add_cost(self, attempt: Attempt, outcome: Outcome, response: object) -> None:
        metadata, request = outcome.metadata, attempt.request
        if "estimated_cost" not in metadata and "total_tokens" in metadata:
            amount = self._litellm.cost(response, request.call_type, f"{request.provider}/{request.model}")
            if amount:
                metadata["estimated_cost"] = amount
                if "usage_estimated" not in metadata:
                    metadata["cost"] = amount


def bare_outcome(status: str, error: Optional[str]) -> Outcome:
    """An outcome with a status and perhaps an error ("Class: message"), nothing else."""
    metadata: Dict[str, object] = {}
    if error is not None:
        metadata["error_class"] = error.partition(":")[0]
    return Outcome(status=status, outputs={}, metadata=metadata, error=error, start_ms=None, end_ms=None)


def _decoded(reply: str) -> object:
    try:
        return decode(reply.encode("utf-8", "replace"))
    except ValueError:
        return {}  # not JSON; that the provider replied is recorded all the same
