"""How an attempt ended: from LiteLLM's callback, or as far as the hooks saw it."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Protocol, Tuple

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._json import decode
from honeyhive_litellm._mapping.call_types import event_name, outputs_of
from honeyhive_litellm._mapping.failures import UNREADABLE, failure
from honeyhive_litellm._mapping.mapper import late_inputs, map_failure, map_success
from honeyhive_litellm._mapping.model import Outcome
from honeyhive_litellm._mapping.reading import ARGUMENTS_KEY, hidden_params, mapping, or_default
from honeyhive_litellm._mapping.streams.answer import Answer, StreamError, add_estimated_usage, usage_of_chunks
from honeyhive_litellm._mapping.streams.snapshot import frozen
from honeyhive_litellm._mapping.switches import is_redacted
from honeyhive_litellm._mapping.usage import drop_figures, mark_estimate, usage_of

from .attempt import Attempt
from .batches import Batches
from .payments import Payments
from .stream_state import CANCELLED, CLOSED, END, ERROR, StreamState

_CACHE_HIT: Mapping[str, object] = {"cache_hit": True, "response_cost": 0.0}


class LiteLLMFunctions(Protocol):
    """What only LiteLLM can compute; handed in, because only `_instrumentation` imports LiteLLM."""

    def tokens(self, model: Optional[str], prompt: object) -> Optional[int]:
        """The number of tokens in these messages or this text; None if LiteLLM cannot count them."""

    def cost(self, response: object, call_type: str, model: str) -> Optional[float]:
        """The call's cost in US dollars by LiteLLM's price list; None if the list lacks the model."""

    def has_price(self, provider: Optional[str], model: Optional[str]) -> bool:
        """Whether LiteLLM's price list has the model: LiteLLM reports a cost of 0 for some models that it lacks."""

    def hides_content(self, call_details: Mapping[str, Any]) -> bool:
        """Whether LiteLLM's own switches forbid to log the content of this call."""

    def reports_batch_lines(self) -> bool:
        """Whether LiteLLM reports the lines of finished batches to this package."""


class OutcomeResolver:
    """Resolves outcomes by one set of settings."""

    def __init__(self, settings: Settings, litellm: LiteLLMFunctions) -> None:
        self._settings = settings
        self._litellm = litellm
        self._payments = Payments()
        self.batches = Batches()

    def success(self, attempt: Attempt, call_details: Mapping[str, Any], response: object) -> Outcome:
        """The outcome of a success that LiteLLM's callback reported.

        Also replaces the request's inputs where only the callback has them, as for a realtime session.
        """
        request = attempt.request
        captures_content = self._captures_content(attempt, call_details)
        is_whole = not is_redacted(call_details)
        inputs = late_inputs(call_details, response, captures_content and is_whole)
        if inputs:
            attempt.replace_inputs(inputs)
        outputs = _received_outputs(attempt, response if is_whole else None, captures_content)
        outcome = map_success(call_details, response, self._settings, captures_content and is_whole, outputs)
        if not is_whole:
            outcome.has_content = captures_content
            if outputs is None:
                outcome.outputs = self._outputs_seen(attempt, captures_content) or outcome.outputs
        metadata = outcome.metadata
        if attempt.stream is not None and attempt.stream.lacks_usage:
            mark_estimate(metadata)
        is_free = metadata.get("estimated_cost") == 0 and not metadata.get("cache_hit")
        if is_free and not self._litellm.has_price(request.provider, request.model):
            del metadata["estimated_cost"]
            metadata.pop("cost", None)
        self._keep_figures_once(attempt, outcome, response)
        return self._as_read(attempt, outcome)

    def failure(self, attempt: Attempt, call_details: Mapping[str, Any], error: object) -> Outcome:
        """The outcome of a failure that LiteLLM reported, or of an error that a stream's reader got."""
        captures_content = self._captures_content(attempt, call_details)
        outcome = map_failure(call_details, error, self._settings, captures_content)
        return self._as_read(attempt, outcome)

    def _captures_content(self, attempt: Attempt, call_details: Mapping[str, Any]) -> bool:
        """Whether the content that LiteLLM reports may be recorded: its switches may have changed since the start."""
        return attempt.request.capture_content and not self._litellm.hides_content(call_details)

    def _outputs_seen(self, attempt: Attempt, captures_content: bool) -> Dict[str, object]:
        """The outputs of the response that the hooks saw, for a call that LiteLLM redacts; empty for a stream.

        It redacts where its switches forbid content, and for all loggers when one of them wants no messages. What is
        redacted shows neither the content nor how many embeddings there are.
        """
        response = _response_seen(attempt)
        if response is None:
            return {}
        return map_success(_details_seen(attempt), response, self._settings, captures_content).outputs

    def held(self, attempt: Attempt, counts: bool = True) -> Outcome:
        """The outcome as far as the hooks saw it, with what LiteLLM's callback would have added.

        `counts` adds estimated token counts to a stream that has none, which takes long for a long prompt.
        """
        outcome = self._seen(attempt, counts)
        outcome.end_ms = attempt.ended_ms
        return outcome

    def _seen(self, attempt: Attempt, counts: bool) -> Outcome:
        response = _response_seen(attempt)
        if response is not None:
            captures_content = attempt.request.capture_content
            outputs = _received_outputs(attempt, response, captures_content)
            outcome = map_success(_details_seen(attempt), response, self._settings, captures_content, outputs)
            self._add_cost(attempt, outcome, response)
            self._keep_figures_once(attempt, outcome, response)
            return outcome
        if attempt.stream is not None:
            outcome = self._from_stream(attempt, attempt.stream, counts)
            if attempt.is_cached:
                outcome.metadata["cache_hit"] = True
            return self._as_read(attempt, outcome)
        if attempt.number > 1:
            return bare_outcome("failure", "Retried: LiteLLM did not report how this attempt ended")
        return bare_outcome("cancelled", "Cancelled: the call was given up before an answer came")

    def _from_stream(self, attempt: Attempt, stream: StreamState, counts: bool) -> Outcome:
        """The outcome of a stream that LiteLLM did not report. Token counts that no chunk carries are estimated."""
        request = attempt.request
        answer = stream.answer()
        response = None if answer.response is None else dict(answer.response)
        is_estimate = False
        if response is not None:
            if stream.chunks:
                response["_hidden_params"] = hidden_params(stream.chunks[0])  # the provider's headers
            usage = frozen(usage_of_chunks(stream.chunks or ())) or response.get("usage")
            if usage:
                response["usage"] = usage
            is_estimate = not usage_of(response, {})
            if is_estimate and counts:
                add_estimated_usage(
                    response, attempt.prompt, lambda prompt: self._litellm.tokens(request.model, prompt)
                )
        call_details = {
            "stream": True,
            "call_type": request.call_type,
            **(_CACHE_HIT if attempt.is_cached else {}),
        }
        if stream.end is not None and stream.end.how == ERROR:
            outcome = map_failure(call_details, stream.end.error, self._settings, request.capture_content)
            usage_and_ids = map_success(call_details, response, self._settings, request.capture_content)
            outcome.metadata = {**usage_and_ids.metadata, **outcome.metadata}
        else:
            outcome = map_success(call_details, response, self._settings, request.capture_content)
        if is_estimate:
            mark_estimate(outcome.metadata)
        self._add_cost(attempt, outcome, response)
        self._keep_figures_once(attempt, outcome, response)
        return outcome

    def _as_read(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        """Replace status, answer and times of a stream's outcome by what its reader got."""
        stream = attempt.stream
        if stream is None:
            return outcome
        answer = stream.answer()
        include_content = outcome.has_content
        if answer.is_readable:
            name = attempt.request.kind
            outputs = outputs_of(name, answer.response, include_content)
            says_nothing = set(outputs) <= {"role", "content"} and not outputs.get("content")
            outcome.outputs = {} if says_nothing else outputs
        outcome.status, error = _status(attempt, stream, answer, outcome.status)
        if error is not None:
            outcome.metadata["error_class"] = error.error_class
            text = f"{error.error_class}: {error.message}" if error.message else error.error_class
            outcome.error = text if outcome.has_content else error.error_class
        if outcome.status == "cancelled" and attempt.request.metadata.get("proxy"):
            proxy = mapping(outcome.metadata.get("proxy"))
            outcome.metadata["proxy"] = {**proxy, "client_disconnected": True}
        _mark_if_partial(outcome.metadata, attempt, answer)
        outcome.metadata.pop("time_to_first_token_ms", None)
        if stream.first_output_ms is not None:
            waited_ms = stream.first_output_ms - attempt.started_ms
            outcome.metadata["time_to_first_token_ms"] = round(max(waited_ms, 0.0), 3)
        outcome.end_ms = stream.ended_ms or outcome.end_ms
        return outcome

    def _keep_figures_once(self, attempt: Attempt, outcome: Outcome, response: object) -> None:
        """Remove tokens and cost that another event has; those of a batch are in its lines', where lines are events."""
        if attempt.request.kind == "retrieve_batch" and self._litellm.reports_batch_lines():
            drop_figures(outcome.metadata)
        else:
            self._payments.keep_once(attempt, outcome, response)
        self.batches.note(attempt, outcome)

    def _add_cost(self, attempt: Attempt, outcome: Outcome, response: object) -> None:
        metadata, request = outcome.metadata, attempt.request
        if "estimated_cost" not in metadata and "total_tokens" in metadata:
            amount = self._litellm.cost(response, request.call_type, f"{request.provider}/{request.model}")
            if amount:
                metadata["estimated_cost"] = amount
                if "usage_estimated" not in metadata:
                    metadata["cost"] = amount


def _received_outputs(attempt: Attempt, response: object, captures_content: bool) -> Optional[Dict[str, object]]:
    """The outputs of the response as its caller got it, who may have changed it since; None if they were not read.

    `response` is the one that LiteLLM reports, None if it is redacted. Another one than the caller's says more.
    """
    held = attempt.held
    if held is None or not captures_content or not (response is None or response is held.response):
        return None
    return held.outputs


def _mark_if_partial(metadata: Dict[str, object], attempt: Attempt, answer: Answer) -> None:
    """Mark the token counts of Anthropic's messages as an estimate if the last event, which has them, has not come.

    The first event has the prompt's count only, which LiteLLM reports together with a count of its own. A stream that
    is passed through shows by its events that it is one of Anthropic's.
    """
    is_message = answer.is_message or event_name(attempt.request.call_type) == "anthropic_messages"
    if is_message and not answer.is_complete and metadata.get("usage_estimated") is not True:
        mark_estimate(metadata)


_INCOMPLETE = StreamError("IncompleteStream", "the stream ended before its last event")


def _status(attempt: Attempt, stream: StreamState, answer: Answer, reported: str) -> Tuple[str, Optional[StreamError]]:
    """The status of a stream by what its reader got, and an error that LiteLLM did not report.

    `reported` is the status by LiteLLM's callback; where none came it is a success.
    """
    how = None if stream.end is None else stream.end.how
    has_left = how in (CANCELLED, CLOSED) or (how is None and stream.cannot_be_read)
    if how == ERROR:
        return (reported, None) if reported != "success" else ("failure", _error_of(stream))
    if reported == "failure" and (not has_left or answer.is_complete or attempt.report is not None):
        return "failure", None
    if answer.error is not None:
        return "failure", answer.error
    if reported == "cancelled":
        return "cancelled", None
    if answer.is_complete:
        return "success", None
    if how == END:
        # A stream without any event has nothing that could be missing; of an unknown protocol nobody knows the last.
        # A chat without a last chunk is an error of LiteLLM's, or it makes one.
        is_cut = bool(stream.pieces) and answer.is_readable and not stream.is_chat
        return ("failure", _INCOMPLETE) if is_cut else ("success", None)
    is_cancelled = how == CANCELLED or bool(attempt.request.metadata.get("proxy"))
    return ("cancelled" if is_cancelled else "abandoned"), None


def _error_of(stream: StreamState) -> StreamError:
    error = None if stream.end is None else stream.end.error
    failed = or_default(UNREADABLE, failure, error, {})
    return StreamError(failed.error_class, failed.message.partition(": ")[2])


def bare_outcome(status: str, error: Optional[str]) -> Outcome:
    """An outcome with a status and perhaps an error ("Class: message"), nothing else."""
    metadata: Dict[str, object] = {}
    if error is not None:
        metadata["error_class"] = error.partition(":")[0]
    return Outcome(status=status, outputs={}, metadata=metadata, error=error, start_ms=None, end_ms=None)


def _response_seen(attempt: Attempt) -> object:
    """The response that the hooks saw, or what the provider replied; None for a stream."""
    response = None if attempt.held is None else attempt.held.response
    if response is None and attempt.reply is not None and attempt.reply.text is not None:
        response = _decoded(attempt.reply.text)
    return response


def _details_seen(attempt: Attempt) -> Dict[str, object]:
    """What is known of the call without LiteLLM's details, in their form."""
    return {
        "call_type": attempt.request.call_type,
        ARGUMENTS_KEY: attempt.request.arguments,
        **(_CACHE_HIT if attempt.is_cached else {}),
    }


def _decoded(reply: str) -> object:
    try:
        return decode(reply.encode("utf-8", "replace"))
    except ValueError:
        return {}  # not JSON; that the provider replied is recorded all the same
