"""An event's inputs and outputs as the conversation that people read. Pure.

Each tool call stands together with its result, media become cards, and what has no known form is JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

LONG_TEXT = 1200
"""A system prompt or reasoning of more characters is collapsed."""

_MOST_MESSAGES = 400
_SCAN_DEPTH = 8


@dataclass(frozen=True)
class Media:
    """What the package keeps of an image, a sound or a file."""

    mime_type: str
    bytes: Any
    sha256: str


@dataclass
class ToolCall:
    """A call that a model asked for, its arguments as text, and the result that was sent back."""

    name: str
    arguments: str
    id: str = ""
    result: Optional[List[Part]] = None


@dataclass(frozen=True)
class Part:
    """A piece of a message: *kind* is text, json, media, address or missing."""

    kind: str
    text: str = ""
    media: Optional[Media] = None
    label: str = ""


@dataclass
class Message:
    """One message: who says it, what it has, and which tools it calls."""

    role: str
    parts: List[Part] = field(default_factory=list)
    calls: List[ToolCall] = field(default_factory=list)
    reasoning: str = ""
    note: str = ""
    call_id: str = ""

    @property
    def length(self) -> int:
        """The characters of its texts."""
        return sum(len(part.text) for part in self.parts)

    def plain(self) -> str:
        """Its texts alone."""
        return "\n\n".join(part.text for part in self.parts if part.text)


@dataclass
class Conversation:
    """What an event shows: messages before, answers after, the tools that were offered, and all that is left over."""

    messages: List[Message] = field(default_factory=list)
    answers: List[Message] = field(default_factory=list)
    tools: List[Tuple[str, str]] = field(default_factory=list)
    other_inputs: str = ""
    other_outputs: str = ""
    omitted: int = 0


def conversation(event: Mapping[str, Any]) -> Conversation:
    """The conversation of an event of any kind."""
    inputs, outputs = _object(event.get("inputs")), _object(event.get("outputs"))
    found = Conversation()
    history = inputs.pop("chat_history", None)
    if isinstance(history, list):
        found.omitted = max(0, len(history) - _MOST_MESSAGES)
        found.messages = [_message(item, "user") for item in history[found.omitted :]]
    else:
        inputs.update({} if history is None else {"chat_history": history})
        found.messages = _messages_of_fields(inputs)
    found.tools = _tools(inputs.pop("functions", None))
    found.other_inputs = as_json(inputs) if inputs else ""
    found.answers, rest = _answers(outputs)
    found.other_outputs = as_json(rest) if rest else ""
    found.messages = _paired(found.messages, found.answers)
    return found


def as_json(value: Any) -> str:
    """JSON as people read it."""
    return json.dumps(value, indent=2, ensure_ascii=False)


_TEXT_FIELDS = ("prompt", "query", "input", "text", "instructions")


def _messages_of_fields(inputs: Dict[str, Any]) -> List[Message]:
    """What a call other than a chat was given, as messages named after the fields; *inputs* keeps the rest."""
    texts = [name for name in _TEXT_FIELDS if isinstance(inputs.get(name), str)]
    messages = [Message(name, [Part("text", inputs.pop(name))]) for name in texts]
    for name in ("chunks", "documents", "input", "prompt"):
        value = inputs.get(name)
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            del inputs[name]
            messages.append(Message(name, [Part("text", item, label=str(at + 1)) for at, item in enumerate(value)]))
    return messages


_ANSWER_FIELDS = frozenset(
    ("role", "content", "tool_calls", "reasoning_content", "finish_reason", "refusal", "choices")
)


def _answers(outputs: Dict[str, Any]) -> Tuple[List[Message], Dict[str, Any]]:
    """The answers - one for each choice - and the outputs that are none."""
    if not ("role" in outputs or "content" in outputs or "tool_calls" in outputs):
        text = outputs.pop("text", None) if isinstance(outputs.get("text"), str) else None
        if text is None:
            return [], outputs
        return [Message("answer", [Part("text", text)], note=_text(outputs.pop("finish_reason", "")))], outputs
    choices = outputs.get("choices")
    rest = {name: value for name, value in outputs.items() if name not in _ANSWER_FIELDS}
    others = choices if isinstance(choices, list) else []
    return [_message(answer, "assistant") for answer in (outputs, *others)], rest


def _message(value: Any, role: str) -> Message:
    if not isinstance(value, dict):
        return Message(role, list(_parts(value)))
    message = Message(_text(value.get("role")) or role, note=_text(value.get("finish_reason")))
    message.call_id = _text(value.get("tool_call_id"))
    if message.role in ("tool", "function"):
        message.note = _text(value.get("name")) or message.call_id
    message.reasoning = _text(value.get("reasoning_content"))
    calls = value.get("tool_calls")
    message.calls = [_tool_call(call) for call in calls] if isinstance(calls, list) else []
    message.parts = list(_parts(value.get("content")))
    if message.role == "tool":
        message.parts = [_as_json_part(part) for part in message.parts]
    if isinstance(value.get("refusal"), str) and value["refusal"]:
        message.parts.append(Part("text", value["refusal"], label="refusal"))
    shown = ("role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content", "finish_reason", "refusal")
    rest = {key: item for key, item in value.items() if key not in (*shown, "choices")} if role != "assistant" else {}
    if rest and not message.parts and not message.calls:
        message.parts.append(Part("json", as_json(rest)))
    return message


def _parts(content: Any) -> Iterator[Part]:
    if content is None or content == "":
        return
    if isinstance(content, str):
        yield Part("text", content)
    elif isinstance(content, list):
        for item in content:
            yield from _part(item)
    else:
        yield from _part(content)


def _part(item: Any) -> Iterator[Part]:
    """A piece of a message's content, in OpenAI's or Anthropic's form."""
    if isinstance(item, str):
        yield Part("text", item)
        return
    if not isinstance(item, dict):
        yield Part("json", as_json(item))
        return
    text = item.get("text") if isinstance(item.get("text"), str) else item.get("thinking")
    if isinstance(text, str):
        yield Part(
            "text",
            text,
            label="" if item.get("type") in ("text", "input_text", "output_text", None) else str(item.get("type")),
        )
        return
    media = list(_media_in(item, 0))
    if media:
        yield from (Part("media", media=one, label=_text(item.get("type"))) for one in media)
        return
    address = _object(item.get("image_url")).get("url") or item.get("image_url")
    if isinstance(address, str):
        yield Part("address", address, label="image, not loaded")
        return
    yield Part("json", as_json(item), label=_text(item.get("type")))


def _media_in(value: Any, depth: int) -> Iterator[Media]:
    if depth > _SCAN_DEPTH:
        return
    if isinstance(value, dict):
        if isinstance(value.get("sha256"), str) and "bytes" in value:
            yield Media(_text(value.get("mime_type")) or "unknown type", value["bytes"], value["sha256"])
            return
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _media_in(item, depth + 1)


def _as_json_part(part: Part) -> Part:
    """A tool's result that is an object or a list is shown as such."""
    if part.kind == "text" and part.text[:1] in ("{", "["):
        try:
            return Part("json", as_json(json.loads(part.text)), label=part.label)
        except (ValueError, RecursionError):
            pass
    return part


def _tool_call(call: Any) -> ToolCall:
    function = _object(_object(call).get("function"))
    arguments = function.get("arguments", "")
    text = arguments if isinstance(arguments, str) else as_json(arguments)
    try:
        text = as_json(json.loads(text))
    except (ValueError, RecursionError):
        pass  # cut off, or no JSON: shown as it is
    return ToolCall(_text(function.get("name")) or "tool", text, _text(_object(call).get("id")))


def _paired(messages: List[Message], answers: List[Message]) -> List[Message]:
    """The messages, less the tools' results, which stand with their calls; a result without a call stays."""
    calls = {call.id: call for message in (*messages, *answers) for call in message.calls if call.id}
    left = []
    for message in messages:
        call = calls.get(message.call_id) if message.role == "tool" else None
        if call is not None and call.result is None:
            call.result = message.parts
        else:
            left.append(message)
    return left


def _tools(functions: Any) -> List[Tuple[str, str]]:
    """The tools that were offered: name and definition."""
    found = []
    for item in functions if isinstance(functions, list) else ():
        function = _object(_object(item).get("function")) or _object(item)
        found.append((_text(function.get("name")) or "tool", as_json(function)))
    return found


def _object(value: Any) -> Dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
