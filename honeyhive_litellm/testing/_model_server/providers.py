"""Answers in other providers' own forms: Anthropic's messages, Gemini's contents, Cohere's rerankings.

Shapes follow the providers' public API references.
"""

from __future__ import annotations

import json
from typing import Any, Dict, Iterator, List

from .answers import Answer, Shape, answer_text, cut_into_pieces, question, usage_of

Json = Dict[str, Any]


def messages(body: Json, number: int, shape: Shape) -> Answer:
    """Answer Anthropic's `/messages`; with tools by the use of the first one, unless a tool has just answered."""
    prompt = question(body)
    blocks: List[Json] = []
    if shape.reasoning:
        blocks.append({"type": "thinking", "thinking": f"thinking about: {prompt}", "signature": "c2lnbmVk"})
    tools = body.get("tools") or []
    reason = "end_turn"
    if tools and not _has_result(body):
        arguments = {"city": prompt}
        blocks.append(
            {"type": "tool_use", "id": f"toolu_{number:06d}", "name": tools[0].get("name"), "input": arguments}
        )
        reason = "tool_use"
    else:
        blocks.append({"type": "text", "text": answer_text(prompt, 0, shape)})
    counts = usage_of(prompt, json.dumps(blocks), shape)
    read = counts["prompt_tokens"] // 2 if shape.cached else 0
    created = 7 if shape.cached else 0
    usage = {
        "input_tokens": counts["prompt_tokens"] - read,
        "output_tokens": counts["completion_tokens"],
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": created,
    }
    answer: Json = {
        "id": f"msg_{number:06d}",
        "type": "message",
        "role": "assistant",
        "model": body.get("model"),
        "content": blocks,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": usage,
    }
    return Answer(answer, _message_chunks(answer))


def _has_result(body: Json) -> bool:
    last = (body.get("messages") or [{}])[-1].get("content")
    return isinstance(last, list) and any(part.get("type") == "tool_result" for part in last)


def _message_chunks(answer: Json) -> Iterator[bytes]:
    usage = answer["usage"]
    begun = {**answer, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield _named("message_start", message=begun)
    for index, block in enumerate(answer["content"]):
        kind = block["type"]
        if kind == "text":
            empty, deltas = {**block, "text": ""}, [_delta("text", piece) for piece in cut_into_pieces(block["text"])]
        elif kind == "thinking":
            empty = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [_delta("thinking", piece) for piece in cut_into_pieces(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        else:
            empty = {**block, "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        yield _named("content_block_start", index=index, content_block=empty)
        for delta in deltas:
            yield _named("content_block_delta", index=index, delta=delta)
        yield _named("content_block_stop", index=index)
    end = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
    yield _named("message_delta", delta=end, usage={"output_tokens": usage["output_tokens"]})
    yield _named("message_stop")


def _delta(kind: str, piece: str) -> Json:
    return {"type": f"{kind}_delta", kind: piece}


def _named(kind: str, **rest: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **rest})}\n\n".encode()


def contents(body: Json, number: int, shape: Shape) -> Answer:
    """Answer Gemini's `generateContent` and `streamGenerateContent` with one candidate of text."""
    prompt = _gemini_prompt(body)
    parts: List[Json] = []
    if shape.reasoning:
        parts.append({"text": f"thinking about: {prompt}", "thought": True})
    declared = [one for tool in body.get("tools") or [] for one in tool.get("functionDeclarations") or []]
    if declared:
        parts.append({"functionCall": {"name": declared[0]["name"], "args": {"city": prompt}}})
    else:
        parts.append({"text": answer_text(prompt, 0, shape)})
    counts = usage_of(prompt, json.dumps(parts), shape)
    usage = {
        "promptTokenCount": counts["prompt_tokens"],
        "candidatesTokenCount": counts["completion_tokens"],
        "totalTokenCount": counts["total_tokens"],
    }
    if shape.cached:
        usage["cachedContentTokenCount"] = counts["prompt_tokens"] // 2
    if shape.reasoning:
        usage["thoughtsTokenCount"] = 3
        usage["totalTokenCount"] += 3
    head: Json = {"modelVersion": body.get("model"), "responseId": f"gem-{number:06d}"}
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
    answer = {**head, "candidates": [candidate]}
    if shape.usage:
        answer["usageMetadata"] = usage
    return Answer(answer, _content_chunks(head, parts, answer))


def _content_chunks(head: Json, parts: List[Json], answer: Json) -> Iterator[bytes]:
    for part in parts:
        pieces = [{**part, "text": piece} for piece in cut_into_pieces(part["text"])] if "text" in part else [part]
        for piece in pieces:
            candidate = {"content": {"role": "model", "parts": [piece]}, "index": 0}
            yield _data({**head, "candidates": [candidate]})
    last = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP", "index": 0}
    ending = {**head, "candidates": [last]}
    if "usageMetadata" in answer:
        ending["usageMetadata"] = answer["usageMetadata"]
    yield _data(ending)


def _gemini_prompt(body: Json) -> str:
    prompt = ""
    for content in body.get("contents") or []:
        if content.get("role", "user") == "user":
            prompt = " ".join(str(part["text"]) for part in content.get("parts") or [] if "text" in part)
    return prompt


def _data(value: Json) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def rerank(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `/rerank`, in Cohere's form: the documents in the order given, each less relevant than the one before."""
    documents = body.get("documents") or []
    count = int(body.get("top_n") or len(documents))
    results: List[Json] = []
    for index, document in enumerate(documents[:count]):
        result: Json = {"index": index, "relevance_score": round(0.9 / (index + 1), 4)}
        if body.get("return_documents"):
            result["document"] = document if isinstance(document, dict) else {"text": document}
        results.append(result)
    answer: Json = {"id": f"rerank-{number:06d}", "model": body.get("model"), "results": results}
    if shape.usage:
        tokens = sum(len(str(document)) // 4 + 1 for document in documents)
        answer["usage"] = {"total_tokens": tokens, "prompt_tokens": tokens}
        answer["meta"] = {"billed_units": {"search_units": 1}, "tokens": {"input_tokens": tokens, "output_tokens": 0}}
    return Answer(answer)
