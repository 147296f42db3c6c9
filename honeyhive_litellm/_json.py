"""The event on the wire: its fields, its ids and its encoding. The only importer of orjson in the core."""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import Any, Dict, Mapping

import orjson

V1_FIELDS = frozenset(
    {
        "event_id", "session_id", "parent_id", "children_ids", "project_id", "event_type", "event_name", "source",
        "config", "inputs", "outputs", "metadata", "feedback", "metrics", "user_properties",
        "error", "start_time", "end_time", "duration",
    }
)  # fmt: skip
"""What HoneyHive's OpenAPI 1.9 allows in an event of `/v1/events`; its schema forbids any other field."""

_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1  # what orjson encodes as a number
_MAX_DEPTH = 200  # orjson gives up at 254

_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ANY_UUID = re.compile(r"[0-9a-f]{32}|" + _CANONICAL_UUID.pattern, re.IGNORECASE | re.ASCII)


def encode(value: object) -> bytes:
    """Compact JSON, UTF-8. What orjson refuses - lone surrogates, ints over 64 bits - is mended rather than raised.

    Meant for a tree that is clean already. NaN and the infinities become null, as JSON has none.
    """
    try:
        return orjson.dumps(value)
    except TypeError:  # JSONEncodeError is one
        return orjson.dumps(_mended(value, 0))


def decode(data: bytes) -> Dict[str, Any]:
    """The event in `data`. Raises ValueError if it is no JSON object."""
    value = orjson.loads(data)
    if not isinstance(value, dict):
        raise ValueError(f"an event is a JSON object, not a {type(value).__name__}")
    return value


def members(mapping: Mapping[str, object]) -> bytes:
    """The members of a JSON object without its braces: `b'"a":1,"b":{}'`; `b''` when there are none."""
    return encode(mapping if isinstance(mapping, dict) else dict(mapping))[1:-1]


def join(*parts: bytes) -> bytes:
    """The JSON object made of `members` of several mappings, the empty ones left out."""
    return b"{" + b",".join([part for part in parts if part]) + b"}"


def event_id(call_id: str, attempt: int) -> str:
    """The event's id: always a UUID, and always the same for the same attempt (1, 2, ...) at the same call.

    The first attempt has LiteLLM's call id itself, in its lower-case form, so that `x-litellm-call-id` finds the
    event; UUIDv5 of it where it is no UUID. Every further attempt has UUIDv5 of the first one's id and its number.
    """
    first = session_id(call_id)
    return first if attempt == 1 else str(uuid.uuid5(uuid.UUID(first), str(attempt)))


def session_id(raw: str) -> str:
    """`raw` in its lower-case form with dashes if it is a UUID, else its UUIDv5 in the URL name space."""
    if _CANONICAL_UUID.fullmatch(raw):
        return raw
    if _ANY_UUID.fullmatch(raw):
        return str(uuid.UUID(raw))
    return str(uuid.uuid5(uuid.NAMESPACE_URL, _well_formed(raw)))


def is_in_sample(raw: str, share: float) -> bool:
    """Whether the session (or trace, or call) of this id is among the given share of all, from 0 to 1.

    Every process decides alike, and what is in a sample is in every larger one.
    """
    digest = hashlib.sha256(session_id(raw).encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def _well_formed(text: str) -> str:
    """`text` with each lone surrogate spelled out, since UTF-8 cannot hold it."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _mended(value: object, depth: int) -> object:
    """A copy that orjson takes, whatever `value` holds."""
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, str):
        return _well_formed(value)
    if isinstance(value, int):
        return value if _INT_MIN <= value <= _INT_MAX else hex(value)
    if depth < _MAX_DEPTH:
        if isinstance(value, dict):
            return {_well_formed(str(key)): _mended(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [_mended(item, depth + 1) for item in value]
    return f"<unserialisable: {type(value).__name__}>"
