"""One answer made of a stream's events, where LiteLLM makes none.

The events come as a provider sends them - lines of a server-sent stream, as bytes or text - or as the objects that
LiteLLM makes of them: chats, text completions, Anthropic's messages, Gemini's contents, the Responses API. What
comes back has the shape of a chat's answer, or is the Responses API's own last word.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence

from honeyhive_litellm._json import decode, encode

from .reading import fields, items, mapping, number, text, without_none

_GEMINI_ENDS = b'"finishReason":'
# Tuples: LiteLLM's own objects have these words as members of an enumeration, which equal them and hash otherwise.
_ENDS = ("response.completed", "response.incomplete", "response.failed")
_SAID = ("response.output_text.delta", "response.refusal.delta")
_THOUGHT = ("response.reasoning_text.delta", "response.reasoning_summary_text.delta")


def assembled(chunks: Iterable[object]) -> Optional[object]:
    """The answer that these chunks make, as far as they go; None if nothing in them is known."""
    events = [event for chunk in chunks for event in _events(chunk)]
    return put_together(events) if events else None


def is_last(chunk: object) -> bool:
    """Whether after this chunk nothing is missing from the answer."""
    if isinstance(chunk, (bytes, bytearray)):
        return _GEMINI_ENDS in chunk
    return fields(chunk).get("type") in _ENDS


def estimate(response: object, asked: object, tokens: Callable[[object], Optional[int]]) -> None:
    """Add to an answer, made of a stream that told no tokens, how many they are by the count of `tokens`.

    LiteLLM counts the answer's by itself where it has put it together, and has 0 for what was `asked`.
    """
    usage = fields(response).get("usage")
    prompt = tokens(asked) if asked else None
    if isinstance(response, dict) and usage is None:
        message = fields(fields(next(iter(items(response.get("choices"))), None)).get("message"))
        said = "".join(text(message.get(name)) or "" for name in ("reasoning_content", "content"))
        completion = tokens(said) if said else None
        total = None if prompt is None or completion is None else prompt + completion
        response["usage"] = without_none(prompt_tokens=prompt, completion_tokens=completion, total_tokens=total)
    elif prompt and usage is not None and not fields(usage).get("prompt_tokens"):
        usage.prompt_tokens = prompt
        usage.total_tokens = prompt + (number(fields(usage).get("completion_tokens")) or 0)


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


def put_together(events: Sequence[Mapping[str, Any]]) -> Optional[object]:
    """The answer that a stream's events make."""
    said: List[str] = []
    thought: List[str] = []
    calls: List[Dict[str, object]] = []
    known: Dict[str, Any] = {}
    reason: Optional[str] = None
    for event in events:
        given = event.get("response") or event.get("message")
        whole = fields(given) or event
        if isinstance(whole.get("output"), list) and whole.get("status") in ("completed", "incomplete", "failed"):
            return given
        for name, aliases in (("id", ("id", "responseId")), ("model", ("model", "modelVersion"))):
            value = next((whole[alias] for alias in aliases if whole.get(alias)), None)
            if value:
                known[name] = value
        if fields(whole.get("usage")):
            known["usage"] = {**mapping(known.get("usage")), **fields(whole["usage"])}
        if mapping(event.get("usageMetadata")):
            known["usage"] = _gemini_usage(event["usageMetadata"])
        for candidate in items(event.get("candidates")):
            reason = _add_gemini(mapping(candidate), said, thought, calls) or reason
        reason = _add_delta(event, said, thought, calls) or reason
    message = without_none(
        role="assistant",
        content="".join(said),
        reasoning_content="".join(thought) or None,
        tool_calls=calls or None,
    )
    return {**known, "choices": [{"message": message, "finish_reason": reason}]}


def _add_delta(
    event: Mapping[str, Any], said: List[str], thought: List[str], calls: List[Dict[str, object]]
) -> Optional[str]:
    """Add what an event of a chat, a text completion, Anthropic's messages or the Responses API says."""
    kind = event.get("type")
    if kind in _SAID or kind in _THOUGHT:
        piece = text(event.get("delta"))
        if piece is not None:
            (said if kind in _SAID else thought).append(piece)
        return None
    done = fields(event.get("item")) if kind == "response.output_item.done" else fields(None)
    if done.get("type") == "function_call":
        calls.append(_call(done.get("call_id"), done.get("name"), done.get("arguments")))
    choice = fields(next(iter(items(event.get("choices"))), None))
    delta = fields(choice.get("delta")) or fields(event.get("delta"))
    piece = text(delta.get("content")) or text(delta.get("text")) or text(choice.get("text"))
    if piece is not None:
        said.append(piece)
    piece = text(delta.get("reasoning_content")) or text(delta.get("thinking"))
    if piece is not None:
        thought.append(piece)
    return text(choice.get("finish_reason")) or text(delta.get("stop_reason"))


def _add_gemini(
    candidate: Mapping[str, Any], said: List[str], thought: List[str], calls: List[Dict[str, object]]
) -> Optional[str]:
    for part in map(mapping, items(mapping(candidate.get("content")).get("parts"))):
        piece = text(part.get("text"))
        if piece is not None:
            (thought if part.get("thought") is True else said).append(piece)
        function = mapping(part.get("functionCall"))
        if function:
            calls.append(_call(function.get("id"), function.get("name"), function.get("args")))
    reason = text(candidate.get("finishReason"))
    return None if reason is None else reason.lower()


def _call(id_: object, name: object, arguments: object) -> Dict[str, object]:
    written = arguments if isinstance(arguments, str) else encode(arguments or {}).decode()
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": written}}


def _gemini_usage(told: Mapping[str, Any]) -> Dict[str, object]:
    """Gemini's counts by the names of a chat's; the thoughts count as part of the answer."""
    prompt, total = number(told.get("promptTokenCount")), number(told.get("totalTokenCount"))
    thoughts = number(told.get("thoughtsTokenCount"))
    answer = number(told.get("candidatesTokenCount"))
    if answer is not None or thoughts is not None:
        answer = (answer or 0) + (thoughts or 0)
    cached = number(told.get("cachedContentTokenCount"))
    return without_none(
        prompt_tokens=prompt,
        completion_tokens=answer,
        total_tokens=total,
        prompt_tokens_details=None if cached is None else {"cached_tokens": cached},
        completion_tokens_details=None if thoughts is None else {"reasoning_tokens": thoughts},
    )
