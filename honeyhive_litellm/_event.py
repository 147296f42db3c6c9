"""An event's bytes and ids: the encoding, and the only importer of orjson in the core."""

from __future__ import annotations

import re
import uuid
from typing import Any, Mapping

import orjson

_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


def encode(value: object) -> bytes:
    """Compact JSON in UTF-8."""
    return orjson.dumps(value)


def decode(body: bytes) -> Any:
    """What `encode` was given."""
    return orjson.loads(body)


def members(mapping: Mapping[str, object]) -> bytes:
    """The members of a JSON object without its braces."""
    return encode(mapping)[1:-1]


def join(*parts: bytes) -> bytes:
    """One JSON object of several `members`."""
    return b"{" + b",".join(part for part in parts if part) + b"}"


def session_id(raw: str) -> str:
    return raw.lower() if _UUID.fullmatch(raw) else str(uuid.uuid5(uuid.NAMESPACE_URL, raw))


def event_id(call_id: str, attempt: int) -> str:
    first = session_id(call_id)
    return first if attempt == 1 else str(uuid.uuid5(uuid.UUID(first), str(attempt)))
