"""What lists show and filters compare of an event, and the words by which a search finds it. Pure.

An event is somebody else's JSON: only its ids and its type are known to be what they should. A value of another type
than the package writes counts as absent.
"""

from __future__ import annotations

import re
from typing import Any, Iterator, List, Mapping, NamedTuple, Optional, Tuple

EXTRACTION = 1
"""The number of the rules below. An index that others made is made again."""

PREVIEW_LENGTH = 160
SEARCHED_LENGTH = 200_000
"""Of a longer event only so many characters are found by a search."""

_TEXT_LENGTH = 300
_TAGS_KEPT = 50
_SYNC_NAMES_WITH_A = frozenset(("anthropic_messages", "add_message"))
_QUESTION_FIELDS = ("prompt", "query", "input", "chunks", "documents", "document", "file", "tool", "arguments")
_ANSWER_FIELDS = ("content", "text", "reasoning_content")
# Scripts that put no blanks between words; each of their characters is made a word.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]"
)


class Summary(NamedTuple):
    """One row of the table `summaries`, in the order of its columns, but for `seq`."""

    event_id: str
    event_type: str
    name: str
    kind: str
    status: str
    model: Optional[str]
    provider: Optional[str]
    project: Optional[str]
    source: Optional[str]
    user: Optional[str]
    session_id: str
    trace_id: Optional[str]
    parent_id: Optional[str]
    start_ms: float
    duration_ms: Optional[float]
    first_token_ms: Optional[float]
    prompt_tokens: Optional[int]
    completion_tokens: Optional[int]
    cost: Optional[float]
    attempt: Optional[int]
    deployment: Optional[str]
    last_seen: Optional[str]
    bytes: int
    error: Optional[str]
    question: Optional[str]
    answer: Optional[str]


FACETS = ("status", "model", "provider", "kind", "project", "source", "user")
"""The columns whose values are counted, to be chosen from. Tags are counted, too, under `tag`."""


def summarize(event: Mapping[str, Any], received_ms: float, size: int) -> Summary:
    """The summary of an event or session whose JSON has *size* bytes."""
    config, metadata = _object(event, "config"), _object(event, "metadata")
    router = _object(metadata, "router")
    error = _text(event, "error")
    start_ms = _number(event, "start_time")
    return Summary(
        event_id=event["event_id"],
        event_type=event["event_type"],
        name=_text(event, "event_name") or "unknown",
        kind=_kind(event, metadata),
        status=_text(metadata, "status") or ("success" if error is None else "failure"),
        model=_text(config, "model") or _text(metadata, "model"),
        provider=_text(config, "provider") or _text(metadata, "provider"),
        project=_text(metadata, "project"),
        source=_text(event, "source"),
        user=_user(event, config, metadata),
        session_id=event["session_id"],
        trace_id=_text(metadata, "trace_id"),
        parent_id=_text(event, "parent_id"),
        start_ms=received_ms if start_ms is None else start_ms,
        duration_ms=_duration(event, start_ms),
        first_token_ms=_number(metadata, "time_to_first_token_ms"),
        prompt_tokens=_count(metadata, "prompt_tokens"),
        completion_tokens=_count(metadata, "completion_tokens"),
        cost=_first_number(metadata, ("cost", "estimated_cost")),
        attempt=_count(router, "attempt"),
        deployment=_text(router, "deployment_id") or _text(router, "deployment"),
        last_seen=_text(metadata, "last_seen"),
        bytes=size,
        error=error,
        question=_question(_object(event, "inputs")),
        answer=_answer(_object(event, "outputs")),
    )


def tags_of(event: Mapping[str, Any]) -> List[str]:
    """The event's tags, each once."""
    tags = _object(event, "metadata").get("tags")
    if not isinstance(tags, list):
        return []
    texts = (tag[:_TEXT_LENGTH] for tag in tags[:_TAGS_KEPT] if isinstance(tag, str) and tag)
    return list(dict.fromkeys(texts))


def search_text(event: Mapping[str, Any]) -> str:
    """The event's ids and every text and number in its contents, as the full-text index gets them."""
    parts: List[str] = []
    room = SEARCHED_LENGTH
    for part in _leaves(event):
        parts.append(part[:room])
        room -= len(part) + 1
        if room <= 0:
            break
    return spaced("\n".join(parts))


def spaced(text: str) -> str:
    """*text* with a blank before and after each character of a script that writes no blanks."""
    return text if text.isascii() else _UNSPACED.sub(r" \g<0> ", text)


_SEARCHED_FIELDS = ("error", "inputs", "outputs", "metadata", "config", "user_properties", "feedback")


def _leaves(event: Mapping[str, Any]) -> Iterator[str]:
    for name in ("event_id", "session_id", "event_name"):
        yield str(event.get(name, ""))
    ahead: List[Any] = [event[name] for name in reversed(_SEARCHED_FIELDS) if name in event]
    while ahead:
        value = ahead.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            ahead.extend(reversed(list(value.values())))
        elif isinstance(value, list):
            ahead.extend(reversed(value))
        elif value is not None and not isinstance(value, bool):
            yield str(value)


def _object(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def _text(parent: Mapping[str, Any], name: str) -> Optional[str]:
    value = parent.get(name)
    return value[:_TEXT_LENGTH] if isinstance(value, str) and value else None


def _number(parent: Mapping[str, Any], name: str) -> Optional[float]:
    value = parent.get(name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _first_number(parent: Mapping[str, Any], names: Tuple[str, ...]) -> Optional[float]:
    return next((number for number in (_number(parent, name) for name in names) if number is not None), None)


def _count(parent: Mapping[str, Any], name: str) -> Optional[int]:
    number = _number(parent, name)
    return int(number) if number is not None and 0 <= number < 2**53 else None


def _kind(event: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    """What was called: the call type without the `a` of an async one, for an event that is no model's its type."""
    event_type: str = event["event_type"]
    call_type = (_text(metadata, "call_type") or "").lstrip("_")
    if event_type != "model" or not call_type:
        return event_type
    if call_type.startswith("a") and call_type not in _SYNC_NAMES_WITH_A:
        return call_type[1:].lstrip("_") or call_type
    return call_type


def _user(event: Mapping[str, Any], config: Mapping[str, Any], metadata: Mapping[str, Any]) -> Optional[str]:
    proxy = _object(metadata, "proxy")
    return (
        _text(_object(event, "user_properties"), "user_id")
        or _text(proxy, "end_user_id")
        or _text(proxy, "user_id")
        or _text(config, "user")
    )


def _duration(event: Mapping[str, Any], start_ms: Optional[float]) -> Optional[float]:
    duration = _number(event, "duration")
    end_ms = _number(event, "end_time")
    if duration is None and start_ms is not None and end_ms is not None:
        duration = end_ms - start_ms
    return duration


def _question(inputs: Mapping[str, Any]) -> Optional[str]:
    """The first words of what was asked: of the last message of the user, else of the first field that has any."""
    history = inputs.get("chat_history")
    if isinstance(history, list):
        messages = [message for message in history if isinstance(message, dict)]
        users = [message for message in messages if message.get("role") == "user"]
        for message in reversed(users or messages):
            preview = _preview(message.get("content"))
            if preview is not None:
                return preview
        return None
    for name in _QUESTION_FIELDS:
        preview = _preview(inputs.get(name))
        if preview is not None:
            return preview
    return next(filter(None, map(_preview, inputs.values())), None)


def _answer(outputs: Mapping[str, Any]) -> Optional[str]:
    for name in _ANSWER_FIELDS:
        preview = _preview(outputs.get(name))
        if preview is not None:
            return preview
    calls = outputs.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = _object(call, "function") if isinstance(call, dict) else {}
        called = _text(function, "name")
        if called is not None:
            return _preview(f"{called}({function.get('arguments', '')})")
    served_by = _object(outputs, "served_by")
    group = _text(served_by, "model_group")
    if group is not None:
        return _preview(f"served by {group}")
    results = outputs.get("results")
    return None if results is None else _preview(results)


def _preview(value: Any) -> Optional[str]:
    """The first text in *value*, on one line and cut."""
    if isinstance(value, str):
        line = " ".join(value[: PREVIEW_LENGTH * 4].replace("**", "").split())
        return line[:PREVIEW_LENGTH] or None
    if isinstance(value, dict):
        text = value.get("text")
        return _preview(text) if isinstance(text, str) else None
    if isinstance(value, list):
        return next(filter(None, map(_preview, value[:10])), None)
    return None
