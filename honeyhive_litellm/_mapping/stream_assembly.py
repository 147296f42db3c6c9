"""One response of a stream's events, for the streams that LiteLLM does not assemble.

The events come as the provider sent them, lines of a server-sent stream in bytes or text, or as the objects that
LiteLLM makes of them: chats, text completions, Anthropic's messages, Gemini's contents, the Responses API. The result
has the form of a chat's response, or is the final response that the Responses API itself sends.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence

from honeyhive_litellm._json import decode, encode

from .reading import fields, items, mapping, number, text, without_none

_GEMINI_END = b'"finishReason":'
# Tuples, no sets: LiteLLM's objects have members of an enumeration here, which equal these words and hash otherwise.
_END_EVENTS = ("response.completed", "response.incomplete", "response.failed")
_CONTENT_DELTAS = ("response.output_text.delta", "response.refusal.delta")
_REASONING_DELTAS = ("response.reasoning_text.delta", "response.reasoning_summary_text.delta")


def assembled(chunks: Iterable[object]) -> Optional[object]:
    """The response that these chunks make, as far as they go; None if they hold no event."""
    events = [event for chunk in chunks for event in _events(chunk)]
    return response_of(events) if events else None


def is_last(chunk: object) -> bool:
    """Whether the response is complete with this chunk."""
    if isinstance(chunk, (bytes, bytearray)):
        return _GEMINI_END in chunk
    return fields(chunk).get("type") in _END_EVENTS


def add_estimated_usage(response: object, prompt: object, count_tokens: Callable[[object], Optional[int]]) -> None:
    """Add the usage, as `count_tokens` counts it, to a response assembled from a stream that sent none.

    A response that LiteLLM assembled has LiteLLM's own count of its completion tokens, and 0 prompt tokens.
    """
    usage = fields(response).get("usage")
    prompt_tokens = count_tokens(prompt) if prompt else None
    if isinstance(response, dict) and usage is None:
        message = fields(fields(next(iter(items(response.get("choices"))), None)).get("message"))
        completion = "".join(text(message.get(name)) or "" for name in ("reasoning_content", "content"))
        completion_tokens = count_tokens(completion) if completion else None
        total = None if prompt_tokens is None or completion_tokens is None else prompt_tokens + completion_tokens
        response["usage"] = without_none(
            prompt_tokens=prompt_tokens, completion_tokens=completion_tokens, total_tokens=total
        )
    elif prompt_tokens and usage is not None and not fields(usage).get("prompt_tokens"):
        usage.prompt_tokens = prompt_tokens
        usage.total_tokens = prompt_tokens + (number(fields(usage).get("completion_tokens")) or 0)


def response_of(events: Sequence[Mapping[str, Any]]) -> Optional[object]:
    """The response that a stream's events make."""
    message = _Message()
    found: Dict[str, Any] = {}
    for event in events:
        inner = event.get("response") or event.get("message")
        parts = fields(inner) or event
        if isinstance(parts.get("output"), list) and parts.get("status") in ("completed", "incomplete", "failed"):
            return inner
        for name, aliases in (("id", ("id", "responseId")), ("model", ("model", "modelVersion"))):
            value = next((parts[alias] for alias in aliases if parts.get(alias)), None)
            if value:
                found[name] = value
        if fields(parts.get("usage")):
            found["usage"] = {**mapping(found.get("usage")), **fields(parts["usage"])}
        if mapping(event.get("usageMetadata")):
            found["usage"] = _gemini_usage(event["usageMetadata"])
        for candidate in items(event.get("candidates")):
            message.add_gemini(mapping(candidate))
        message.add_delta(event)
    return {**found, "choices": [message.choice()]}


class _Message:
    """The message of a stream, as its events add to it."""

    def __init__(self) -> None:
        self._content: List[str] = []
        self._reasoning: List[str] = []
        self._tool_calls: List[Dict[str, object]] = []
        self._finish_reason: Optional[str] = None

    def choice(self) -> Dict[str, object]:
        message = without_none(
            role="assistant",
            content="".join(self._content),
            reasoning_content="".join(self._reasoning) or None,
            tool_calls=self._tool_calls or None,
        )
        return {"message": message, "finish_reason": self._finish_reason}

    def add_delta(self, event: Mapping[str, Any]) -> None:
        """Add an event of a chat, a text completion, Anthropic's messages or the Responses API."""
        kind = event.get("type")
        if kind in _CONTENT_DELTAS or kind in _REASONING_DELTAS:
            self._add(self._content if kind in _CONTENT_DELTAS else self._reasoning, event.get("delta"))
            return
        done = fields(event.get("item")) if kind == "response.output_item.done" else fields(None)
        if done.get("type") == "function_call":
            self._tool_calls.append(_tool_call(done.get("call_id"), done.get("name"), done.get("arguments")))
        choice = fields(next(iter(items(event.get("choices"))), None))
        delta = fields(choice.get("delta")) or fields(event.get("delta"))
        self._add(self._content, text(delta.get("content")) or text(delta.get("text")) or choice.get("text"))
        self._add(self._reasoning, text(delta.get("reasoning_content")) or delta.get("thinking"))
        reason = text(choice.get("finish_reason")) or text(delta.get("stop_reason"))
        self._finish_reason = reason or self._finish_reason

    def add_gemini(self, candidate: Mapping[str, Any]) -> None:
        for part in map(mapping, items(mapping(candidate.get("content")).get("parts"))):
            self._add(self._reasoning if part.get("thought") is True else self._content, part.get("text"))
            function = mapping(part.get("functionCall"))
            if function:
                self._tool_calls.append(_tool_call(function.get("id"), function.get("name"), function.get("args")))
        reason = text(candidate.get("finishReason"))
        if reason is not None:
            self._finish_reason = reason.lower()

    @staticmethod
    def _add(pieces: List[str], piece: object) -> None:
        found = text(piece)
        if found is not None:
            pieces.append(found)


def _events(chunk: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(chunk, (bytes, bytearray)):
        chunk = chunk.decode("utf-8", "replace")
    if not isinstance(chunk, str):
        yield fields(chunk)
        return
    for line in chunk.split("\n"):
        if line.startswith("data:"):
            try:
                event = decode(line[len("data:") :].strip().encode("utf-8", "replace"))
            except ValueError:
                continue  # "[DONE]"
            if event:
                yield event


def _tool_call(id_: object, name: object, arguments: object) -> Dict[str, object]:
    encoded = arguments if isinstance(arguments, str) else encode(arguments or {}).decode()
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": encoded}}


def _gemini_usage(reported: Mapping[str, Any]) -> Dict[str, object]:
    """Gemini's counts under a chat's names; the thoughts are part of the completion."""
    prompt, total = number(reported.get("promptTokenCount")), number(reported.get("totalTokenCount"))
    thoughts = number(reported.get("thoughtsTokenCount"))
    completion = number(reported.get("candidatesTokenCount"))
    if completion is not None or thoughts is not None:
        completion = (completion or 0) + (thoughts or 0)
    cached = number(reported.get("cachedContentTokenCount"))
    return without_none(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=total,
        prompt_tokens_details=None if cached is None else {"cached_tokens": cached},
        completion_tokens_details=None if thoughts is None else {"reasoning_tokens": thoughts},
    )
