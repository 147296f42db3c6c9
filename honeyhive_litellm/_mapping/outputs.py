"""The content of a response: the event's `outputs`.

A response is recognized by its fields and not by its class, because LiteLLM returns the same response as an object or
as a dictionary, and a streamed text completion as a chat. Without content only the shape is recorded: the role, the
finish reason, the names of called tools, and counts. Where the fields do not suffice, `call_types` names a function of
this module for the type of call.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional

from honeyhive_litellm._json import encode

from .logprobs import bounded, bounded_list
from .reading import (
    fields,
    items,
    number,
    or_default,
    plain,
    plain_without_none,
    text,
    without_none,
)

OutputsReader = Callable[[object, bool], Dict[str, object]]
"""Takes a response that is not None, and whether to include content."""

_MAPPED_SPECIFIC = ("thinking_blocks", "reasoning_content", "reasoning", "refusal")
"""Names among LiteLLM's `provider_specific_fields` that have a name of their own in the outputs."""

_SOURCES = ("citations", "search_results")
"""What some providers put beside the choices."""

_FILE_AND_BATCH_OBJECTS = ("file", "file.deleted", "batch")


def outputs(response: object, include_content: bool) -> Dict[str, object]:
    """The outputs of any response."""
    parts = fields(response)
    if items(parts.get("choices")):
        found = _choices(parts["choices"], False, include_content)
        found.update({name: parts[name] for name in _SOURCES if include_content and items(parts.get(name))})
        return found
    if isinstance(parts.get("output"), list):
        return _responses(parts, include_content)
    if isinstance(parts.get("data"), list):
        return _data(parts["data"], include_content)
    if isinstance(parts.get("results"), list):
        return _results(parts["results"], include_content)
    if isinstance(parts.get("content"), list) and "role" in parts:
        return _anthropic(parts, include_content)
    if isinstance(parts.get("pages"), list):
        return _pages(parts["pages"], include_content)
    if isinstance(parts.get("text"), str):
        return _transcription(parts, include_content)
    if parts.get("object") in _FILE_AND_BATCH_OBJECTS:
        return _file_or_batch(parts, include_content)
    return or_default({}, _binary, parts) or _unrecognized(response, include_content)


def text_completion(response: object, include_content: bool) -> Dict[str, object]:
    """A text completion, whose choices look like a chat's where it was streamed."""
    choices = items(fields(response).get("choices"))
    return _choices(choices, True, include_content) if choices else outputs(response, include_content)


def embedding(response: object, include_content: bool) -> Dict[str, object]:
    """Embeddings, which an older LiteLLM returns without the name "embedding" in them."""
    data = fields(response).get("data")
    if isinstance(data, list) and "b64_json" not in (fields(data[0]) if data else {}):
        return _embeddings(data)
    return outputs(response, include_content)


# ---- chats and text completions


def _choices(choices: List[Any], is_text: bool, include_content: bool) -> Dict[str, object]:
    found: List[Dict[str, object]] = [or_default({}, _choice, choice, is_text, include_content) for choice in choices]
    if len(found) > 1:
        found[0]["choices"] = found[1:]
    return found[0]


def _choice(choice: object, is_text: bool, include_content: bool) -> Dict[str, object]:
    parts = fields(choice)
    message = parts.get("message") or parts.get("delta")
    if message is not None and not is_text:
        found = _message(fields(message), include_content)
    elif include_content:
        found = {"text": parts.get("text") if message is None else fields(message).get("content")}
    else:
        found = {}
    logprobs = bounded(parts.get("logprobs")) if include_content else {}
    if any(logprobs.values()):
        found["logprobs"] = logprobs
    reason = parts.get("finish_reason")
    if reason is not None:
        found["finish_reason"] = reason
    return found


def _message(message: Mapping[str, Any], include_content: bool) -> Dict[str, object]:
    found: Dict[str, object] = {"role": message.get("role") or "assistant"}
    if include_content:
        found["content"] = message.get("content")
    calls = message.get("tool_calls")
    if calls and isinstance(calls, list):
        found["tool_calls"] = [_tool_call(fields(call), include_content) for call in calls]
    function = message.get("function_call")
    if function:
        found["function_call"] = tool_function(fields(function), include_content)
    if include_content:
        _add_further_content(found, message)
    return found


def _add_further_content(found: Dict[str, object], message: Mapping[str, Any]) -> None:
    extra = message.get("provider_specific_fields")
    extra = extra if isinstance(extra, dict) else {}
    reasoning = (
        message.get("reasoning_content")
        or extra.get("reasoning_content")
        or extra.get("reasoning")
        or _thinking_text(message.get("thinking_blocks") or extra.get("thinking_blocks"))
    )
    if reasoning:
        found["reasoning_content"] = reasoning
    refusal = message.get("refusal") or extra.get("refusal")
    if refusal:
        found["refusal"] = refusal
    if message.get("audio"):
        found["audio"] = plain(message["audio"])
    for name in ("annotations", "images"):
        listed = items(message.get(name))
        if listed:
            found[name] = [plain(item) for item in listed]
    specific = {
        name: plain_without_none(value)
        for name, value in extra.items()
        if value is not None and name not in _MAPPED_SPECIFIC
    }
    if specific:
        found["provider_specific_fields"] = specific


def _thinking_text(blocks: object) -> Optional[str]:
    """The text of Anthropic's thinking blocks."""
    parts = [fields(block).get("thinking") for block in items(blocks)]
    return "\n".join(part for part in parts if isinstance(part, str)) or None


def _tool_call(call: Mapping[str, Any], include_content: bool) -> Dict[str, object]:
    kind = call.get("type") or "function"
    found: Dict[str, object] = {"id": call.get("id"), "type": kind}
    function = fields(call.get("function"))
    if function:
        found["function"] = tool_function(function, include_content)
    elif include_content and isinstance(kind, str) and call.get(kind) is not None:
        found[kind] = plain(call[kind])
    return found


def tool_function(function: Mapping[str, Any], include_content: bool) -> Dict[str, object]:
    """The arguments are JSON text, which is what HoneyHive's page reads: Anthropic and some others send an object."""
    if not include_content:
        return {"name": function.get("name")}
    arguments = function.get("arguments")
    if isinstance(arguments, (dict, list)):
        arguments = encode(arguments).decode()
    return {"name": function.get("name"), "arguments": arguments}


# ---- the Responses API, and Anthropic's messages


def _responses(response: Mapping[str, Any], include_content: bool) -> Dict[str, object]:
    texts: List[str] = []
    thoughts: List[str] = []
    calls: List[Dict[str, object]] = []
    others: List[object] = []
    annotations: List[object] = []
    logprobs: List[object] = []
    refusal = None
    for item in response["output"]:
        parts = fields(item)
        kind = parts.get("type")
        if kind == "message":
            for part in map(fields, items(parts.get("content"))):
                texts += _text_of(part)
                refusal = part.get("refusal") or refusal
                annotations += map(plain_without_none, items(part.get("annotations")))
                logprobs += items(part.get("logprobs"))
        elif kind == "reasoning":
            for part in map(fields, items(parts.get("summary")) + items(parts.get("content"))):
                thoughts += _text_of(part)
        elif kind in ("function_call", "custom_tool_call"):
            arguments = parts.get("arguments") if kind == "function_call" else parts.get("input")
            function = {"name": parts.get("name"), "arguments": arguments}
            calls.append(
                {"id": parts.get("call_id"), "type": "function", "function": tool_function(function, include_content)}
            )
        elif include_content:
            others.append(plain(item))
        else:
            others.append({"type": text(kind)})
    incomplete = text(fields(response.get("incomplete_details")).get("reason"))
    reason = incomplete or text(response.get("status"))
    found = chat_message("assistant", texts, thoughts, calls, reason, include_content)
    if refusal and include_content:
        found["refusal"] = refusal
    if annotations and include_content:
        found["annotations"] = annotations
    if logprobs and include_content:
        found["logprobs"] = {"content": bounded_list(logprobs)}
    if others:
        found["items"] = others
    return found


def _anthropic(response: Mapping[str, Any], include_content: bool) -> Dict[str, object]:
    texts: List[str] = []
    thoughts: List[str] = []
    calls: List[Dict[str, object]] = []
    citations: List[object] = []
    others: List[object] = []
    for block in map(fields, response["content"]):
        kind = block.get("type")
        if kind == "tool_use":
            function = {"name": block.get("name"), "arguments": block.get("input")}
            calls.append(
                {"id": block.get("id"), "type": "function", "function": tool_function(function, include_content)}
            )
        elif kind == "thinking":
            thoughts += [block["thinking"]] if isinstance(block.get("thinking"), str) else []
        elif kind in ("text", None):
            texts += _text_of(block)
            citations += map(plain_without_none, items(block.get("citations")))
        else:
            others.append(plain_without_none(block) if include_content else {"type": text(kind)})
    reason = text(response.get("stop_reason"))
    found = chat_message(response.get("role"), texts, thoughts, calls, reason, include_content)
    if citations and include_content:
        found["citations"] = citations
    if others:
        found["items"] = others
    return found


def _text_of(part: Mapping[str, Any]) -> List[str]:
    piece = part.get("text")
    return [piece] if isinstance(piece, str) else []


def chat_message(
    role: object,
    texts: List[str],
    thoughts: List[str],
    calls: List[Dict[str, object]],
    finish_reason: Optional[str],
    include_content: bool,
) -> Dict[str, object]:
    found: Dict[str, object] = {"role": role}
    if include_content:
        found["content"] = "".join(texts) if texts else None
        if thoughts:
            found["reasoning_content"] = "\n".join(thoughts)
    if calls:
        found["tool_calls"] = calls
    if finish_reason is not None:
        found["finish_reason"] = finish_reason
    return found


# ---- the rest


def _data(data: List[Any], include_content: bool) -> Dict[str, object]:
    """Embeddings, images, or any other list of objects."""
    first = fields(data[0]) if data else {}
    if "embedding" in first:
        return _embeddings(data)
    if not data or "url" in first or "b64_json" in first:
        found: Dict[str, object] = {"num_images": len(data)}
        if include_content and data:
            found["images"] = [without_none(**_image(fields(image))) for image in data]
        return found
    return {"num_items": len(data), **({"items": plain_without_none(data)} if include_content else {})}


def _embeddings(data: List[Any]) -> Dict[str, object]:
    """The number of vectors and their size; the vectors themselves are not recorded."""
    vector = fields(data[0]).get("embedding") if data else None
    return without_none(num_embeddings=len(data), dimensions=len(vector) if isinstance(vector, list) else None)


def _image(image: Mapping[str, Any]) -> Dict[str, object]:
    return {name: image.get(name) for name in ("url", "b64_json", "revised_prompt")}


def _results(results: List[Any], include_content: bool) -> Dict[str, object]:
    """The results of a moderation, which are verdicts, or of a reranking, which may have the documents in them."""
    if include_content:
        return {"results": plain_without_none(results)}
    return {"results": [plain_without_none(_verdict(fields(result))) for result in results]}


def _verdict(result: Mapping[str, Any]) -> Dict[str, object]:
    names = ("index", "relevance_score", "flagged", "categories", "category_scores")
    return {name: result[name] for name in names if result.get(name) is not None}


def _transcription(response: Mapping[str, Any], include_content: bool) -> Dict[str, object]:
    return without_none(
        text=response["text"] if include_content else None,
        language=text(response.get("language")),
        duration=number(response.get("duration")),
    )


def _pages(pages: List[Any], include_content: bool) -> Dict[str, object]:
    """Pages of a document that was read: their text, and the pictures on them."""
    if not include_content:
        return {"num_pages": len(pages)}
    return {"num_pages": len(pages), "pages": plain_without_none(pages)}


def _file_or_batch(response: Mapping[str, Any], include_content: bool) -> Dict[str, object]:
    """A file or a batch as the provider describes it; without content its id, state and size."""
    parts = {name: value for name, value in response.items() if not name.startswith("_")}
    if not include_content:
        names = ("id", "object", "status", "bytes", "purpose", "deleted", "request_counts")
        parts = {name: parts.get(name) for name in names}
    return {name: plain_without_none(value) for name, value in parts.items() if value is not None}


def record(response: object, include_content: bool) -> Dict[str, object]:
    """A video, a message of a thread, the run of a program and the like, as the provider describes it."""
    parts = fields(response)
    if not parts:
        return outputs(response, include_content)
    return _file_or_batch(parts, include_content)


def _binary(response: Mapping[str, Any]) -> Dict[str, object]:
    """Speech, or the content of a file: the number of bytes and their type."""
    http_response = response.get("response")
    content = getattr(http_response, "content", None)
    if not isinstance(content, (bytes, bytearray)):
        return {}
    headers = getattr(http_response, "headers", {})
    return without_none(bytes=len(content), content_type=headers.get("content-type"))


def _unrecognized(response: object, include_content: bool) -> Dict[str, object]:
    if isinstance(response, str):
        return {"content": response} if include_content else {}
    if include_content:
        return {"response": plain(response)}
    return {"response_type": type(response).__name__}
