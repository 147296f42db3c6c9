"""Calls of agents: messages of the A2A protocol, and Google's interactions. Both become chats."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from . import inputs
from .outputs import chat_message, tool_function
from .reading import ARGUMENTS_KEY, fields, items, mapping, plain_without_none, text, without_none

_TASK_TEXT_TYPES = ("text", "output_text")


def message_inputs(
    call_details: Mapping[str, Any], optional_params: Mapping[str, Any], include_content: bool
) -> Dict[str, object]:
    """The message that was sent to an A2A agent."""
    request = fields(mapping(call_details.get(ARGUMENTS_KEY)).get("request"))
    message = fields(fields(request.get("params")).get("message"))
    if not message:
        return inputs.chat(call_details, optional_params, include_content)
    sent = {"role": text(fields(message.get("role")).get("value")) or text(message.get("role")) or "user"}
    if include_content:
        sent["content"] = _parts_text(message)
    return {"chat_history": [sent]}


def message_outputs(response: object, include_content: bool) -> Dict[str, object]:
    """What an A2A agent answered: a message, or a task whose artifacts or status hold the answer."""
    parts = fields(response)
    result = fields(parts.get("result") or fields(parts.get("root")).get("result"))
    status = fields(result.get("status"))
    texts = [_parts_text(result), *(_parts_text(fields(artifact)) for artifact in items(result.get("artifacts")))]
    answer = "".join(texts) or _parts_text(fields(status.get("message")))
    state = text(fields(status.get("state")).get("value")) or text(status.get("state"))
    return chat_message("assistant", [answer] if answer else [], [], [], state, include_content)


def _parts_text(holder: Mapping[str, Any]) -> str:
    """The text of the parts of a message or an artifact; a part may be wrapped in a `root`."""
    parts = [fields(part) for part in items(holder.get("parts"))]
    parts = [fields(part["root"]) if "root" in part else part for part in parts]
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def interaction_inputs(
    call_details: Mapping[str, Any], optional_params: Mapping[str, Any], include_content: bool
) -> Dict[str, object]:
    """The turns of an interaction; a bare text, or a list of contents, is one turn of the user's."""
    noted = mapping(call_details.get(ARGUMENTS_KEY))
    value = noted.get("input") or call_details.get("input")
    if not value:
        return inputs.chat(call_details, optional_params, include_content)
    turns = value if _are_turns(value) else [{"role": "user", "content": value}]
    system = noted.get("system_instruction")
    if system:
        turns = [{"role": "system", "content": system}, *turns]
    if include_content:
        return {"chat_history": [plain_without_none(turn) for turn in turns]}
    return {"chat_history": [without_none(role=text(fields(turn).get("role"))) for turn in turns]}


def _are_turns(value: object) -> bool:
    return isinstance(value, list) and all("role" in fields(item) for item in value)


def interaction_outputs(response: object, include_content: bool) -> Dict[str, object]:
    """The answer of an interaction, in its outputs or in its steps."""
    parts = fields(response)
    texts: List[str] = []
    calls: List[Dict[str, object]] = []
    for output in map(fields, _outputs(parts)):
        if output.get("type") == "function_call":
            call = {"id": output.get("id"), "type": "function", "function": tool_function(output, include_content)}
            calls.append(call)
        elif output.get("type") in _TASK_TEXT_TYPES and isinstance(output.get("text"), str):
            texts.append(output["text"])
    status = text(parts.get("status"))
    return chat_message("assistant", texts, [], calls, status, include_content)


def _outputs(response: Mapping[str, Any]) -> List[Any]:
    found = list(items(response.get("outputs")))
    for step in map(fields, items(response.get("steps"))):
        found += items(step.get("content")) if step.get("type") == "model_output" else [step]
    return found
