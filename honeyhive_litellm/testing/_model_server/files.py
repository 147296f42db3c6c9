"""Answers about files, batches and vector stores, in OpenAI's form. Nothing is kept: every id names the same thing."""

from __future__ import annotations

import json
from typing import Any, Dict

from .answers import Answer, Shape

Json = Dict[str, Any]

CREATED_AT = 1_700_000_000
_BATCH_LINE = {"custom_id": "request-1", "response": {"status_code": 200, "body": {"choices": []}}}


def create_file(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `POST /files`."""
    upload = body.get("file") or {}
    return Answer(_file(f"file-{number:06d}", upload.get("filename"), upload.get("bytes", 0), body.get("purpose")))


def retrieve_file(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `GET /files/{file_id}`."""
    return Answer(_file(body["file_id"], "batch.jsonl", 120, "batch"))


def delete_file(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `DELETE /files/{file_id}`."""
    return Answer({"id": body["file_id"], "object": "file", "deleted": True})


def list_files(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `GET /files` with two of them."""
    data = [_file(f"file-{n}", "batch.jsonl", 120, "batch") for n in (1, 2)]
    return Answer({"object": "list", "data": data, "has_more": False})


def file_content(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `GET /files/{file_id}/content` with JSON lines."""
    lines = json.dumps(_BATCH_LINE) + "\n"
    return Answer({}, data=lines.encode(), content_type="application/jsonl")


def create_batch(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `POST /batches`."""
    return Answer(_batch(f"batch-{number:06d}", "validating", body.get("input_file_id")))


def retrieve_batch(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `GET /batches/{batch_id}`: it is in progress."""
    return Answer(_batch(body["batch_id"], "in_progress", "file-000001"))


def list_batches(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `GET /batches` with two of them."""
    data = [_batch(f"batch-{n}", "completed", "file-000001") for n in (1, 2)]
    return Answer({"object": "list", "data": data, "first_id": "batch-1", "last_id": "batch-2", "has_more": False})


def cancel_batch(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `POST /batches/{batch_id}/cancel`."""
    return Answer(_batch(body["batch_id"], "cancelling", "file-000001"))


def search(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `POST /vector_stores/{vector_store_id}/search` with one hit."""
    hit = {
        "file_id": "file-000001",
        "filename": "bees.txt",
        "score": 0.87,
        "attributes": {},
        "content": [{"type": "text", "text": f"found for: {body.get('query')}"}],
    }
    page = {"object": "vector_store.search_results.page", "search_query": body.get("query")}
    return Answer({**page, "data": [hit], "has_more": False, "next_page": None})


def _file(id_: str, name: object, size: int, purpose: object) -> Json:
    described = {"id": id_, "object": "file", "bytes": size, "created_at": CREATED_AT, "status": "processed"}
    return {**described, "filename": name, "purpose": purpose}


def _batch(id_: str, status: str, file: object) -> Json:
    return {
        "id": id_,
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "input_file_id": file,
        "completion_window": "24h",
        "status": status,
        "created_at": CREATED_AT,
        "request_counts": {"total": 2, "completed": 0, "failed": 0},
        "metadata": None,
    }
