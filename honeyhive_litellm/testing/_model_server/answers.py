"""What the model server answers: pure functions of a request's body, so tests know what belongs together.

A chat about "hello" is answered "answer to: hello"; the second choice "answer 2 to: hello". With tools, a
user's message is answered by a call of the first (or the chosen) tool with the question in its string
parameters, and a tool's message by text. Ids come from the request's number, so each is distinct within one
server. Shapes follow OpenAI's public API reference.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from array import array
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

Json = Dict[str, Any]

_MOST_PIECES = 64
_EMBEDDING_DIMENSIONS = 8


@dataclass(frozen=True)
class Shape:
    """How answers look: with usage, with cached tokens, with reasoning, at least *length* characters long."""

    usage: bool = True
    cached: bool = False
    reasoning: bool = False
    length: int = 0


@dataclass(frozen=True)
class Answer:
    """The plain answer, and the same as server-sent events (None where the route does not stream).

    An answer that is no JSON is in `data`, of type `content_type`.
    """

    body: Json
    chunks: Optional[Iterator[bytes]] = None
    data: Optional[bytes] = None
    content_type: str = "application/octet-stream"


def question(body: Mapping[str, Any]) -> str:
    """Return what *body* asks: the last user message, the prompt or the input; several are joined."""
    if isinstance(body.get("messages"), list):
        return _last_user_text(body["messages"])
    prompt = body.get("prompt", body.get("input"))
    if isinstance(prompt, list) and any(isinstance(item, dict) for item in prompt):
        return _last_user_text(prompt)
    return " ".join(texts_of(prompt))


def chat(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `/chat/completions`: text or a tool call, `n` choices."""
    choices = [_chat_choice(body, number, index, shape) for index in range(int(body.get("n") or 1))]
    head = _head("chatcmpl", "chat.completion", body, number)
    completion = "".join(_spoken(choice["message"]) for choice in choices)
    thought = "".join(str(choice["message"].get("reasoning_content", "")) for choice in choices)
    usage = usage_of(json.dumps([body.get("messages"), body.get("tools")]), completion, shape, thought)
    plain = {**head, "choices": choices}
    if shape.usage:
        plain["usage"] = usage
    stream_head = {**head, "object": "chat.completion.chunk"}
    return Answer(plain, _chat_chunks(stream_head, choices, _stream_usage(body, usage, shape)))


def completion(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `/completions`: one text for each prompt and each of `n`."""
    head = _head("cmpl", "text_completion", body, number)
    wanted = [(text, n) for text in texts_of(body.get("prompt")) for n in range(int(body.get("n") or 1))]
    choices: List[Json] = [
        {"index": index, "text": answer_text(text, n, shape), "logprobs": None, "finish_reason": "stop"}
        for index, (text, n) in enumerate(wanted)
    ]
    usage = usage_of(question(body), "".join(choice["text"] for choice in choices), shape)
    plain = {**head, "choices": choices}
    if shape.usage:
        plain["usage"] = usage
    return Answer(plain, _completion_chunks(head, choices, _stream_usage(body, usage, shape)))


def embedding(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `/embeddings`: one vector for each input, as numbers or (`encoding_format`) as base64."""
    dimensions = int(body.get("dimensions") or _EMBEDDING_DIMENSIONS)
    texts = texts_of(body.get("input"))
    vectors = [vector(text, dimensions) for text in texts]
    as_base64 = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(values) if as_base64 else values}
        for index, values in enumerate(vectors)
    ]
    answer: Json = {"object": "list", "model": body.get("model"), "data": data}
    if shape.usage:
        tokens = sum(_tokens(text) for text in texts)
        answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return Answer(answer)


def response(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `/responses` with one message of text."""
    text = answer_text(question(body), 0, shape)
    usage = usage_of(question(body), text, shape)
    content = {"type": "output_text", "text": text, "annotations": []}
    message = {"type": "message", "id": f"msg_{number:06d}", "status": "completed", "role": "assistant"}
    answer: Json = {
        "id": f"resp_{number:06d}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "metadata": body.get("metadata") or {},
        "model": body.get("model"),
        "output": [{**message, "content": [content]}],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": body.get("tools") or [],
        "top_p": 1.0,
    }
    if shape.usage:
        answer["usage"] = {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": usage["prompt_tokens_details"],
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": usage["completion_tokens_details"],
            "total_tokens": usage["total_tokens"],
        }
    return Answer(answer, _response_chunks(answer, message["id"], text))


def vector(text: str, dimensions: int) -> List[float]:
    """Return the embedding of *text*: *dimensions* numbers between -1 and 1, the same for the same text."""
    digest = hashlib.shake_256(text.encode("utf-8", "replace")).digest(dimensions)
    return [byte / 127.5 - 1.0 for byte in digest]


def _base64(values: Sequence[float]) -> str:
    return base64.b64encode(array("f", values).tobytes()).decode("ascii")


def _head(prefix: str, kind: str, body: Json, number: int) -> Json:
    return {
        "id": f"{prefix}-{number:06d}",
        "object": kind,
        "created": int(time.time()),
        "model": body.get("model"),
        "system_fingerprint": "fp_local",
    }


def _chat_choice(body: Json, number: int, index: int, shape: Shape) -> Json:
    messages: List[Json] = body.get("messages") or []
    prompt = _last_user_text(messages)
    message: Json = {"role": "assistant", "content": None, "refusal": None}
    if shape.reasoning:
        message["reasoning_content"] = f"thinking about: {prompt}"
    function = _wanted_function(body, messages)
    if function is not None:
        call = {"name": function["name"], "arguments": json.dumps(_arguments(function, prompt))}
        message["tool_calls"] = [{"id": f"call_{number:06d}_{index}", "type": "function", "function": call}]
        return {"index": index, "message": message, "logprobs": None, "finish_reason": "tool_calls"}
    if messages and messages[-1].get("role") == "tool":
        prompt = f"{prompt} (the tool said: {_content_text(messages[-1])})"
    message["content"] = answer_text(prompt, index, shape)
    return {"index": index, "message": message, "logprobs": None, "finish_reason": "stop"}


def _wanted_function(body: Json, messages: Sequence[Json]) -> Optional[Json]:
    """Return the function to call: the chosen or the first one, when a user has just spoken; else None."""
    functions: List[Json] = [tool["function"] for tool in body.get("tools") or [] if "function" in tool]
    choice = body.get("tool_choice")
    if not functions or choice == "none" or not messages or messages[-1].get("role") != "user":
        return None
    chosen = choice["function"]["name"] if isinstance(choice, dict) and "function" in choice else None
    return next((function for function in functions if function["name"] == chosen), functions[0])


def _arguments(function: Json, prompt: str) -> Json:
    samples: Json = {
        "string": prompt,
        "integer": len(prompt),
        "number": len(prompt),
        "boolean": True,
        "array": [],
    }
    properties = (function.get("parameters") or {}).get("properties") or {}
    return {name: samples.get(schema.get("type", ""), {}) for name, schema in properties.items()}


def _chat_chunks(head: Json, choices: Sequence[Json], usage: Optional[Json]) -> Iterator[bytes]:
    for choice in choices:
        role = {"role": "assistant"}
        for delta in _deltas(choice["message"]):
            part = {"index": choice["index"], "delta": {**role, **delta}, "finish_reason": None}
            yield _event({**head, "choices": [part]})
            role = {}
        last = {"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]}
        yield _event({**head, "choices": [last]})
    yield from _ending(head, usage)


def _deltas(message: Json) -> Iterator[Json]:
    for piece in cut_into_pieces(message.get("reasoning_content") or ""):
        yield {"reasoning_content": piece}
    for piece in cut_into_pieces(message["content"] or ""):
        yield {"content": piece}
    for index, call in enumerate(message.get("tool_calls", [])):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        opening = {**call, "index": index, "function": {"name": name, "arguments": ""}}
        yield {"tool_calls": [opening]}
        for piece in cut_into_pieces(arguments):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _completion_chunks(head: Json, choices: Sequence[Json], usage: Optional[Json]) -> Iterator[bytes]:
    for choice in choices:
        for piece in cut_into_pieces(choice["text"]):
            yield _event({**head, "choices": [{**choice, "text": piece, "finish_reason": None}]})
        yield _event({**head, "choices": [{**choice, "text": ""}]})
    yield from _ending(head, usage)


def _response_chunks(answer: Json, item_id: str, text: str) -> Iterator[bytes]:
    started = {**answer, "status": "in_progress", "output": [], "usage": None}
    place = {"item_id": item_id, "output_index": 0, "content_index": 0}
    events: List[Json] = [{"type": "response.created", "response": started}]
    events += [{"type": "response.output_text.delta", **place, "delta": piece} for piece in cut_into_pieces(text)]
    events += [{"type": "response.output_text.done", **place, "text": text}]
    events += [{"type": "response.completed", "response": answer}]
    for sequence, event in enumerate(events):
        yield b"event: " + event["type"].encode() + b"\n" + _event({**event, "sequence_number": sequence})


def _ending(head: Json, usage: Optional[Json]) -> Iterator[bytes]:
    if usage is not None:
        yield _event({**head, "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _event(data: Json) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def cut_into_pieces(text: str) -> Iterator[str]:
    """Cut *text* into words, or into at most `_MOST_PIECES` runs of words; joined again they are *text*."""
    words = re.findall(r"\s*\S+\s*", text)
    run = max(1, -(-len(words) // _MOST_PIECES))
    for start in range(0, len(words), run):
        yield "".join(words[start : start + run])


def answer_text(prompt: str, index: int, shape: Shape) -> str:
    """Return the answer to *asked* in the choice of that index."""
    text = f"answer to: {prompt}" if index == 0 else f"answer {index + 1} to: {prompt}"
    missing = shape.length - len(text)
    return text + " and so on" * -(-missing // len(" and so on")) if missing > 0 else text


def _spoken(message: Json) -> str:
    calls = "".join(call["function"]["arguments"] for call in message.get("tool_calls", []))
    return (message["content"] or "") + calls


def usage_of(prompt: str, completion: str, shape: Shape, thought: str = "") -> Json:
    """Return the token counts, in OpenAI's form; a token is four characters."""
    sent, reasoning = _tokens(prompt), _tokens(thought) if thought else 0
    received = _tokens(completion) + reasoning
    return {
        "prompt_tokens": sent,
        "completion_tokens": received,
        "total_tokens": sent + received,
        "prompt_tokens_details": {"cached_tokens": sent // 2 if shape.cached else 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def _stream_usage(body: Json, usage: Json, shape: Shape) -> Optional[Json]:
    wanted = (body.get("stream_options") or {}).get("include_usage")
    return usage if wanted and shape.usage else None


def _tokens(text: str) -> int:
    return len(text) // 4 + 1


def _last_user_text(messages: Sequence[Json]) -> str:
    return next((_content_text(item) for item in reversed(messages) if item.get("role") == "user"), "")


def _content_text(message: Json) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text")) for part in content if part.get("text"))


def texts_of(value: object) -> List[str]:
    """Return the texts of a prompt or an input: one string, a list of them, or token numbers (as text)."""
    if isinstance(value, list) and value and not isinstance(value[0], int):
        return [item if isinstance(item, str) else str(item) for item in value]
    return [value if isinstance(value, str) else str(value)]
