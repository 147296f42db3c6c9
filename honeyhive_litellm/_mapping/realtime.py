"""A session of the realtime API: one call, recorded as the conversation that took place.

LiteLLM reports it when it is over: the server's events in a list, without most of the audio, and the user's messages,
typed or transcribed. They become a chat's history and its last answer. Audio is never recorded.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple

from .reading import fields, items, mapping, number, text, without_none

CALL_TYPE = "_arealtime"

_ITEM_EVENTS = "conversation.item."
Message = Dict[str, object]


def history(call_details: Mapping[str, Any], response: object) -> List[Message]:
    """The messages of the session before its last answer."""
    return _history_and_answer(call_details, _events(response))[0]


def as_chat_response(call_details: Mapping[str, Any], response: object) -> object:
    """The last answer of the session and the tokens of the whole, as a chat's response."""
    events = _events(response)
    if not events:
        return response
    session = next((fields(event.get("session")) for event in events if event.get("session")), mapping(None))
    done = [fields(event.get("response")) for event in events if event.get("type") == "response.done"]
    reason = text(done[-1].get("status")) if done else None
    found = without_none(id=text(session.get("id")), model=text(session.get("model")), usage=_usage(done))
    message = _history_and_answer(call_details, events)[1]
    choices = [] if message is None else [{"message": message, "finish_reason": reason}]
    return {**found, "choices": choices}


def _events(response: object) -> List[Mapping[str, Any]]:
    listed = response if isinstance(response, list) else items(fields(response).get("results"))
    return [fields(event) for event in listed]


def _history_and_answer(
    call_details: Mapping[str, Any], events: List[Mapping[str, Any]]
) -> Tuple[List[Message], Optional[Message]]:
    reported = [message for message in items(call_details.get("messages")) if text(mapping(message).get("content"))]
    system = [message for message in reported if message.get("role") == "system"]
    user = [message["content"] for message in reported if message.get("role") == "user"]
    messages = _messages(events)
    for message in messages:
        if message["role"] == "user" and message["content"] in user:
            user.remove(message["content"])
    for message in messages:  # the texts that are left were spoken, and transcribed after their event
        if message["role"] == "user" and message["content"] is None and user:
            message["content"] = user.pop(0)
    messages = [*({"role": "user", "content": content} for content in user), *messages]
    last = messages.pop() if messages and messages[-1]["role"] == "assistant" else None
    return [*system, *messages], last


def _messages(events: List[Mapping[str, Any]]) -> List[Message]:
    """The conversation's items, in the order of their first appearance and in the form of their last."""
    found: Dict[object, Message] = {}
    for place, event in enumerate(events):
        kind = str(event.get("type"))
        listed = items(fields(event.get("response")).get("output")) if kind == "response.done" else []
        for item in map(fields, [*listed, *([event.get("item")] if kind.startswith(_ITEM_EVENTS) else [])]):
            message = _message(item)
            if message is not None:
                key = item.get("id") or place
                found[key] = {**found.get(key, {}), **without_none(**message)}
    return [{"content": None, **message} for message in found.values()]


def _message(item: Mapping[str, Any]) -> Optional[Message]:
    kind = item.get("type")
    if kind == "function_call":
        function = {"name": item.get("name"), "arguments": item.get("arguments")}
        return {
            "role": "assistant",
            "tool_calls": [{"id": item.get("call_id"), "type": "function", "function": function}],
        }
    if kind == "function_call_output":
        return {"role": "tool", "tool_call_id": item.get("call_id"), "content": item.get("output")}
    if kind != "message":
        return None
    parts = [fields(part) for part in items(item.get("content"))]
    pieces = [text(part.get("text")) or text(part.get("transcript")) for part in parts]
    return {"role": text(item.get("role")) or "user", "content": " ".join(filter(None, pieces)) or None}


def _usage(done: List[Mapping[str, Any]]) -> Optional[Dict[str, object]]:
    """The sum of the tokens of all answers, under a chat's names; None if no answer had a usage."""
    reported = [fields(response.get("usage")) for response in done if fields(response.get("usage"))]
    if not reported:
        return None
    usage: Dict[str, object] = {
        ours: sum(number(answer.get(theirs)) or 0 for answer in reported)
        for theirs, ours in (
            ("input_tokens", "prompt_tokens"),
            ("output_tokens", "completion_tokens"),
            ("total_tokens", "total_tokens"),
        )
    }
    cached = [number(fields(answer.get("input_token_details")).get("cached_tokens")) for answer in reported]
    if any(count is not None for count in cached):
        usage["prompt_tokens_details"] = {"cached_tokens": sum(count or 0 for count in cached)}
    return usage
