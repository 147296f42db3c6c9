"""A session of the realtime API: one call, told as the conversation that it was.

LiteLLM tells of it when it is over: the server's events in a list, without most of the sound, and what the user
said, in text or as it was transcribed. Of these are made a chat's history and its last answer. Sound never comes along.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple

from .reading import fields, items, mapping, number, text, without_none

CALL_TYPE = "_arealtime"

_ITEM = "conversation.item."
Message = Dict[str, object]


def history(call: Mapping[str, Any], response: object) -> Optional[List[Message]]:
    """The messages of the session before its last answer; None of another kind of call."""
    if call.get("call_type") != CALL_TYPE:
        return None
    return _parted(call, _events(response))[0]


def answer(call: Mapping[str, Any], response: object) -> object:
    """The last answer of the session, in a chat's form, and its tokens in all; another call's `response` as it is."""
    if call.get("call_type") != CALL_TYPE:
        return response
    events = _events(response)
    if not events:
        return response
    session = next((fields(event.get("session")) for event in events if event.get("session")), mapping(None))
    done = [fields(event.get("response")) for event in events if event.get("type") == "response.done"]
    reason = text(done[-1].get("status")) if done else None
    told = without_none(id=text(session.get("id")), model=text(session.get("model")), usage=_usage(done))
    said = _parted(call, events)[1]
    choices = [] if said is None else [{"message": said, "finish_reason": reason}]
    return {**told, "choices": choices}


def _events(response: object) -> List[Mapping[str, Any]]:
    listed = response if isinstance(response, list) else items(fields(response).get("results"))
    return [fields(event) for event in listed]


def _parted(call: Mapping[str, Any], events: List[Mapping[str, Any]]) -> Tuple[List[Message], Optional[Message]]:
    told = [message for message in items(call.get("messages")) if text(mapping(message).get("content"))]
    system = [message for message in told if message.get("role") == "system"]
    user = [message["content"] for message in told if message.get("role") == "user"]
    messages = _messages(events)
    for message in messages:
        if message["role"] == "user" and message["content"] in user:
            user.remove(message["content"])
    for message in messages:  # what is left was heard, and written down later
        if message["role"] == "user" and message["content"] is None and user:
            message["content"] = user.pop(0)
    messages = [*({"role": "user", "content": said} for said in user), *messages]
    last = messages.pop() if messages and messages[-1]["role"] == "assistant" else None
    return [*system, *messages], last


def _messages(events: List[Mapping[str, Any]]) -> List[Message]:
    """The conversation's items, each where it was first seen and as it was last seen."""
    found: Dict[object, Message] = {}
    for number_, event in enumerate(events):
        kind = str(event.get("type"))
        listed = items(fields(event.get("response")).get("output")) if kind == "response.done" else []
        for item in map(fields, [*listed, *([event.get("item")] if kind.startswith(_ITEM) else [])]):
            message = _message(item)
            if message is not None:
                key = item.get("id") or number_
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
    said = [text(part.get("text")) or text(part.get("transcript")) for part in parts]
    return {"role": text(item.get("role")) or "user", "content": " ".join(filter(None, said)) or None}


def _usage(done: List[Mapping[str, Any]]) -> Optional[Dict[str, object]]:
    """The tokens of all answers together, by the names of a chat's; None if none was told."""
    told = [fields(response.get("usage")) for response in done if fields(response.get("usage"))]
    if not told:
        return None
    usage: Dict[str, object] = {
        ours: sum(number(usage.get(theirs)) or 0 for usage in told)
        for theirs, ours in (
            ("input_tokens", "prompt_tokens"),
            ("output_tokens", "completion_tokens"),
            ("total_tokens", "total_tokens"),
        )
    }
    cached = [number(fields(usage.get("input_token_details")).get("cached_tokens")) for usage in told]
    if any(count is not None for count in cached):
        usage["prompt_tokens_details"] = {"cached_tokens": sum(count or 0 for count in cached)}
    return usage
