"""The answer of a stream in any protocol: which one it is shows in the events themselves."""

from __future__ import annotations

from typing import Any, Callable, Iterable, Iterator, Mapping, NamedTuple, Optional, Sequence, Union

from honeyhive_litellm._mapping.reading import fields, items, number, text, without_none

from . import agent_messages
from .agent_messages import AgentMessages
from .chat import Chat
from .gemini import Gemini
from .interactions import LAST_EVENTS, Interactions, text_of_delta
from .messages import Messages
from .responses import Responses
from .sse import DONE, EventReader

_Protocol = Union[AgentMessages, Chat, Gemini, Interactions, Messages, Responses]


class StreamError(NamedTuple):
    """An error that the provider sent as an event of the stream."""

    error_class: str
    message: str


class Answer(NamedTuple):
    """What the pieces of a stream make.

    `response` has the form that its protocol gives an answer that is not streamed; None if no event of it has come.
    `is_complete`: its last event has come. `is_readable`: the protocol is one of those that are known here, so that
    nothing but `response` has come. `is_message`: the events are those of Anthropic's messages.
    """

    response: Optional[Mapping[str, Any]]
    is_complete: bool
    error: Optional[StreamError]
    is_readable: bool
    is_message: bool = False


def answer_of(pieces: Sequence[object]) -> Answer:
    """The answer that these pieces make: bytes and lines as the provider sent them, events, or snapshots of chunks."""
    protocol: Optional[_Protocol] = None
    error: Optional[StreamError] = None
    is_done = False
    for event in events_of(pieces):
        if event is DONE:
            is_done = True
            continue
        error = error_of(event) or error
        if protocol is None:
            protocol = _protocol_of(event)
        if protocol is not None:
            protocol.add(event)
    if protocol is None:
        return Answer(None, is_done, error, error is not None or _begins_like_events(pieces))
    if is_done and isinstance(protocol, Chat):
        protocol.finish()
    return Answer(protocol.response, protocol.is_complete, error, True, isinstance(protocol, Messages))


def assembled(chunks: Iterable[object]) -> Optional[Mapping[str, Any]]:
    """The response that these chunks make, as far as they go; None if they hold no event."""
    return answer_of(list(chunks)).response


def _begins_like_events(pieces: Sequence[object]) -> bool:
    """Whether the pieces may be the beginning of server-sent events, cut off in the first of them."""
    head = b""
    for piece in pieces:
        if not isinstance(piece, (bytes, str)):
            return False
        head += piece.encode("utf-8", "replace") if isinstance(piece, str) else piece
        if len(head) >= _LONGEST_FIELD:
            break
    head = head.lstrip()[:_LONGEST_FIELD]
    return any(head.startswith(name) or name.startswith(head) for name in _FIELDS)


_FIELDS = (b"event:", b"data:", b"retry:", b"id:", b":")
_LONGEST_FIELD = max(map(len, _FIELDS))


def events_of(pieces: Iterable[object]) -> Iterator[Mapping[str, Any]]:
    """The events of a stream. Bytes may be cut anywhere."""
    reader = EventReader()
    for piece in pieces:
        if isinstance(piece, (bytes, bytearray, str)):
            yield from reader.feed(bytes(piece) if isinstance(piece, bytearray) else piece)
        else:
            yield fields(piece)
    yield from reader.close()


def _protocol_of(event: Mapping[str, Any]) -> Optional[_Protocol]:
    if "choices" in event:
        return Chat()
    for protocol in (Messages, Responses, Interactions, Gemini, AgentMessages):
        if protocol.takes(event):
            return protocol()
    return None


def error_of(event: Mapping[str, Any]) -> Optional[StreamError]:
    """The error that an event reports: Anthropic's and OpenAI's `error`, a failed response, Gemini's status."""
    kind = event.get("type")
    reported: object = event.get("error")
    if kind == "response.failed":
        reported = fields(event.get("response")).get("error") or {"message": "the response failed"}
    elif kind == "error" and not reported:
        reported = event
    if not reported or not (kind in ("error", "response.failed") or kind is None):
        return None
    parts = fields(reported)
    names = (parts.get(name) for name in ("code", "status", "type"))
    if kind == "error" and parts is not event:
        names = (parts.get(name) for name in ("type", "code", "status"))
    name = next(
        (found for found in map(text, names) if found and not found.lstrip("-").isdigit() and found != "error"), None
    )
    return StreamError(name or "Error", text(parts.get("message")) or text(reported) or "")


# ---- while the stream is read


class FirstOutput:
    """Finds the piece with which a stream's output begins: text, reasoning, the call of a tool, sound."""

    def __init__(self) -> None:
        self._reader = EventReader()

    def is_in(self, piece: object) -> bool:
        """Whether there is output in this piece, the next one."""
        if isinstance(piece, (bytes, str)):
            return any(map(has_output, self._reader.feed(piece)))
        return has_output(fields(piece))


def has_output(event: Mapping[str, Any]) -> bool:
    """Whether an event adds to the answer itself: not its beginning, nor its end, nor its usage."""
    for choice in map(fields, items(event.get("choices"))):
        delta = fields(choice.get("delta"))
        if choice.get("text") or any(value for name, value in delta.items() if name != "role"):
            return True
    kind = str(event.get("type"))
    if kind == "content_block_delta":
        return any(value for name, value in fields(event.get("delta")).items() if name != "type")
    if kind.startswith("response."):
        return kind.endswith(".delta") and bool(event.get("delta"))
    if Interactions.takes(event):
        return bool(text_of_delta(event))
    if AgentMessages.takes(event):
        return agent_messages.adds_text(event)
    return any(items(fields(fields(each).get("content")).get("parts")) for each in items(event.get("candidates")))


_LAST_MARKS = (b'"message_stop"', b'"response.completed"', b'"response.incomplete"', b'"finishReason"')
_LAST_EVENTS = ("message_stop", "response.completed", "response.incomplete", "response.failed")


def may_be_last(piece: object) -> bool:
    """Whether the answer is complete with this piece, as far as the piece alone shows."""
    if isinstance(piece, str):
        piece = piece.encode("utf-8", "replace")
    if isinstance(piece, bytes):
        return any(mark in piece for mark in _LAST_MARKS)
    parts = fields(piece)
    choices = items(parts.get("choices"))
    if choices:
        return any(fields(choice).get("finish_reason") for choice in choices)
    if parts.get("type") in _LAST_EVENTS or parts.get("event_type") in LAST_EVENTS:
        return True
    return AgentMessages.takes(parts) and agent_messages.is_last(parts)


# ---- token counts


def add_estimated_usage(response: object, prompt: object, count_tokens: Callable[[object], Optional[int]]) -> None:
    """Add the usage, as `count_tokens` counts it, to a response assembled from a stream that sent none."""
    if not isinstance(response, dict) or response.get("usage") is not None:
        return
    completion = "".join(_texts(response))
    prompt_tokens = count_tokens(prompt) if prompt else None
    completion_tokens = count_tokens(completion) if completion else None
    total = None if prompt_tokens is None or completion_tokens is None else prompt_tokens + completion_tokens
    response["usage"] = without_none(
        prompt_tokens=prompt_tokens, completion_tokens=completion_tokens, total_tokens=total
    )


def _texts(response: Mapping[str, Any]) -> Iterator[str]:
    """Every text that a model generated for this response."""
    for choice in map(fields, items(response.get("choices"))):
        message = fields(choice.get("message"))
        pieces = [message.get("reasoning_content"), message.get("content"), choice.get("text")]
        pieces.append(fields(message.get("audio")).get("transcript"))
        pieces += [fields(fields(call).get("function")).get("arguments") for call in items(message.get("tool_calls"))]
        yield from filter(None, map(text, pieces))
    for block in map(fields, [item for name in ("content", "output", "outputs") for item in items(response.get(name))]):
        parts = [block, *map(fields, items(block.get("content"))), *map(fields, items(block.get("summary")))]
        for part in parts:
            yield from filter(None, (text(part.get(name)) for name in ("text", "thinking", "refusal", "arguments")))


def usage_of_chunks(chunks: Iterable[object]) -> Optional[Mapping[str, Any]]:
    """The usage that chunks of a chat carry, in all of them or in parts; None if there is none."""
    found = Chat()
    for chunk in chunks:
        found.add({"usage": fields(chunk).get("usage")})
    usage = found.response.get("usage")
    return usage if usage and any(number(count) for count in usage.values()) else None
