"""What a model answered: the event's `outputs`, from any of LiteLLM's responses.

A response is told by what is in it, not by its class: LiteLLM hands out the same answer as an object or as a
dictionary, and a stream of text completions as one of chats. Without content only the shape is kept: role, finish
reason, the names of called tools, counts.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from .reading import fields, items, number, or_default, plain, stated, text, without_none

_ABOUT_JOBS = ("file", "file.deleted", "batch")


def outputs(response: object, name: str, keep: bool) -> Dict[str, object]:
    """The outputs of a response to a call of this (event) name; empty for None."""
    if response is None:
        return {}
    answer = fields(response)
    if name == "call_mcp_tool":
        return _tool_result(answer, keep)
    if name == "list_mcp_tools":
        return _tools(response if isinstance(response, list) else items(answer.get("tools")), keep)
    if items(answer.get("choices")):
        return _choices(answer["choices"], name == "text_completion", keep)
    if isinstance(answer.get("output"), list):
        return _responses(answer, keep)
    if isinstance(answer.get("data"), list):
        return _data(answer, name, keep)
    if isinstance(answer.get("results"), list):
        return _results(answer["results"], keep)
    if isinstance(answer.get("content"), list) and "role" in answer:
        return _anthropic(answer, keep)
    if isinstance(answer.get("pages"), list):
        return _pages(answer["pages"], keep)
    if isinstance(answer.get("text"), str):
        return _transcription(answer, keep)
    if answer.get("object") in _ABOUT_JOBS:
        return _job(answer, keep)
    return or_default({}, _binary, answer) or _unknown(response, keep)


# ---- chats and text completions


def _choices(choices: List[Any], is_text: bool, keep: bool) -> Dict[str, object]:
    told: List[Dict[str, object]] = [or_default({}, _choice, choice, is_text, keep) for choice in choices]
    if len(told) > 1:
        told[0]["choices"] = told[1:]
    return told[0]


def _choice(choice: object, is_text: bool, keep: bool) -> Dict[str, object]:
    answer = fields(choice)
    message = answer.get("message") or answer.get("delta")
    if message is not None and not is_text:
        told = _message(fields(message), keep)
    elif keep:
        told = {"text": answer.get("text") if message is None else fields(message).get("content")}
    else:
        told = {}
    reason = answer.get("finish_reason")
    if reason is not None:
        told["finish_reason"] = reason
    return told


def _message(message: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    told: Dict[str, object] = {"role": message.get("role") or "assistant"}
    if keep:
        told["content"] = message.get("content")
    calls = message.get("tool_calls")
    if calls and isinstance(calls, list):
        told["tool_calls"] = [_tool_call(fields(call), keep) for call in calls]
    function = message.get("function_call")
    if function:
        told["function_call"] = _function(fields(function), keep)
    if keep:
        _add_further_content(told, message)
    return told


def _add_further_content(told: Dict[str, object], message: Mapping[str, Any]) -> None:
    extra = message.get("provider_specific_fields")
    extra = extra if isinstance(extra, dict) else {}
    reasoning = (
        message.get("reasoning_content")
        or extra.get("reasoning_content")
        or extra.get("reasoning")
        or _thoughts(message.get("thinking_blocks") or extra.get("thinking_blocks"))
    )
    if reasoning:
        told["reasoning_content"] = reasoning
    refusal = message.get("refusal") or extra.get("refusal")
    if refusal:
        told["refusal"] = refusal
    if message.get("audio"):
        told["audio"] = plain(message["audio"])
    for name in ("annotations", "images"):
        listed = items(message.get(name))
        if listed:
            told[name] = [plain(item) for item in listed]


def _thoughts(blocks: object) -> Optional[str]:
    """The text of Anthropic's thinking blocks."""
    parts = [fields(block).get("thinking") for block in items(blocks)]
    return "\n".join(part for part in parts if isinstance(part, str)) or None


def _tool_call(call: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    kind = call.get("type") or "function"
    told: Dict[str, object] = {"id": call.get("id"), "type": kind}
    function = fields(call.get("function"))
    if function:
        told["function"] = _function(function, keep)
    elif keep and isinstance(kind, str) and call.get(kind) is not None:
        told[kind] = plain(call[kind])
    return told


def _function(function: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    if keep:
        return {"name": function.get("name"), "arguments": function.get("arguments")}
    return {"name": function.get("name")}


# ---- the Responses API, and Anthropic's own form


def _responses(answer: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    texts: List[str] = []
    thoughts: List[str] = []
    calls: List[Dict[str, object]] = []
    others: List[object] = []
    refusal = None
    for item in answer["output"]:
        known = fields(item)
        kind = known.get("type")
        if kind == "message":
            for part in map(fields, items(known.get("content"))):
                texts += _text_of(part)
                refusal = part.get("refusal") or refusal
        elif kind == "reasoning":
            for part in map(fields, items(known.get("summary")) + items(known.get("content"))):
                thoughts += _text_of(part)
        elif kind in ("function_call", "custom_tool_call"):
            arguments = known.get("arguments") if kind == "function_call" else known.get("input")
            function = {"name": known.get("name"), "arguments": arguments}
            calls.append({"id": known.get("call_id"), "type": "function", "function": _function(function, keep)})
        elif keep:
            others.append(plain(item))
        else:
            others.append({"type": text(kind)})
    incomplete = text(fields(answer.get("incomplete_details")).get("reason"))
    told = _assembled("assistant", texts, thoughts, calls, incomplete or text(answer.get("status")), keep)
    if refusal and keep:
        told["refusal"] = refusal
    if others:
        told["items"] = others
    return told


def _anthropic(answer: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    texts: List[str] = []
    thoughts: List[str] = []
    calls: List[Dict[str, object]] = []
    for block in map(fields, answer["content"]):
        kind = block.get("type")
        if kind == "tool_use":
            function = {"name": block.get("name"), "arguments": block.get("input")}
            calls.append({"id": block.get("id"), "type": "function", "function": _function(function, keep)})
        elif kind == "thinking":
            thoughts += [block["thinking"]] if isinstance(block.get("thinking"), str) else []
        else:
            texts += _text_of(block)
    return _assembled(answer.get("role"), texts, thoughts, calls, text(answer.get("stop_reason")), keep)


def _text_of(part: Mapping[str, Any]) -> List[str]:
    said = part.get("text")
    return [said] if isinstance(said, str) else []


def _assembled(
    role: object,
    texts: List[str],
    thoughts: List[str],
    calls: List[Dict[str, object]],
    reason: Optional[str],
    keep: bool,
) -> Dict[str, object]:
    told: Dict[str, object] = {"role": role}
    if keep:
        told["content"] = "".join(texts) if texts else None
        if thoughts:
            told["reasoning_content"] = "\n".join(thoughts)
    if calls:
        told["tool_calls"] = calls
    if reason is not None:
        told["finish_reason"] = reason
    return told


# ---- the rest


def _data(answer: Mapping[str, Any], name: str, keep: bool) -> Dict[str, object]:
    """Embeddings are counted and measured, their vectors stay away; images are kept as they came."""
    data = answer["data"]
    first = fields(data[0]) if data else {}
    if "embedding" in first or (name == "embedding" and "b64_json" not in first):
        vector = first.get("embedding")
        size = len(vector) if isinstance(vector, list) else None
        return without_none(num_embeddings=len(data), dimensions=size)
    if not data or "url" in first or "b64_json" in first:
        told: Dict[str, object] = {"num_images": len(data)}
        if keep and data:
            told["images"] = [without_none(**_image(fields(image))) for image in data]
        return told
    return {"num_items": len(data), **({"items": stated(data)} if keep else {})}


def _image(image: Mapping[str, Any]) -> Dict[str, object]:
    return {name: image.get(name) for name in ("url", "b64_json", "revised_prompt")}


def _results(results: List[Any], keep: bool) -> Dict[str, object]:
    """Results of a moderation (verdicts, no text) or of a reranking (with the documents, if asked for)."""
    if keep:
        return {"results": stated(results)}
    return {"results": [stated(_verdict(fields(result))) for result in results]}


def _verdict(result: Mapping[str, Any]) -> Dict[str, object]:
    names = ("index", "relevance_score", "flagged", "categories", "category_scores")
    return {name: result[name] for name in names if result.get(name) is not None}


def _transcription(answer: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    said = answer["text"] if keep else None
    return without_none(text=said, language=text(answer.get("language")), duration=number(answer.get("duration")))


def _pages(pages: List[Any], keep: bool) -> Dict[str, object]:
    """Pages that were read: their text, and the pictures in it."""
    if not keep:
        return {"num_pages": len(pages)}
    return {"num_pages": len(pages), "pages": stated(pages)}


def _tool_result(result: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    """What an MCP server's tool gave: its text, and what else there is."""
    blocks = [fields(block) for block in items(result.get("content"))]
    told: Dict[str, object] = {}
    if result.get("is_error") is True or result.get("isError") is True:
        told["is_error"] = True
    if not keep:
        return {**told, "num_items": len(blocks)}
    texts = [block["text"] for block in blocks if isinstance(block.get("text"), str)]
    told["content"] = "\n".join(texts) if texts else None
    others = [stated(block) for block in blocks if not isinstance(block.get("text"), str)]
    if others:
        told["items"] = others
    structured = result.get("structured_content") or result.get("structuredContent")
    if structured and structured != {"result": told["content"]}:
        told["structured_content"] = structured
    return told


def _tools(listed: List[Any], keep: bool) -> Dict[str, object]:
    told: Dict[str, object] = {"num_tools": len(listed)}
    known = [fields(tool) for tool in listed]
    names = ("name", "description") if keep else ("name",)
    return {**told, "tools": [{name: tool[name] for name in names if tool.get(name)} for tool in known]}


def _job(answer: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    """A file or a batch, as the provider tells of it; without content its id, state and size."""
    known = {name: value for name, value in answer.items() if not name.startswith("_")}
    if not keep:
        names = ("id", "object", "status", "bytes", "purpose", "deleted", "request_counts")
        known = {name: known.get(name) for name in names}
    return {name: stated(value) for name, value in known.items() if value is not None}


def _binary(answer: Mapping[str, Any]) -> Dict[str, object]:
    """Speech and files: how many bytes of what."""
    response = answer.get("response")
    content = getattr(response, "content", None)
    if not isinstance(content, (bytes, bytearray)):
        return {}
    headers = getattr(response, "headers", {})
    return without_none(bytes=len(content), content_type=headers.get("content-type"))


def _unknown(response: object, keep: bool) -> Dict[str, object]:
    if isinstance(response, str):
        return {"content": response} if keep else {}
    if keep:
        return {"response": plain(response)}
    return {"response_type": type(response).__name__}
