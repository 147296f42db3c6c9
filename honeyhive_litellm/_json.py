"""JSON in and out. The only module that imports orjson, but for the collector and the testing tools."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

import orjson

Encoded = orjson.Fragment
"""Wraps JSON that is encoded already, so that `encode` puts it into the result as it is."""

_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1  # what orjson encodes as a number
_MAX_DEPTH = 200  # orjson refuses more than 254 levels
_PLAIN_ONLY = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


def encode(value: object) -> bytes:
    """Compact JSON in UTF-8; never raises.

    Meant for values that are sanitized already. What orjson refuses all the same, such as a lone surrogate or an
    integer of more than 64 bits, is replaced. NaN and the infinities become null.
    """
    try:
        return orjson.dumps(value)
    except TypeError:  # the base class of orjson.JSONEncodeError
        return orjson.dumps(_encodable(value, 0))


def snapshot(value: object) -> Optional[bytes]:
    """`value` as JSON, which is the fastest copy there is of nested values; None if it has a part that JSON lacks.

    Tuples become lists. NaN and the infinities, which no provider takes, become null.
    """
    try:
        return orjson.dumps(value, option=_PLAIN_ONLY)
    except TypeError:
        return None


def copy_in(snapshot: bytes) -> Any:
    """The value that `snapshot` returned these bytes for."""
    return orjson.loads(snapshot)


def decode(data: bytes) -> Dict[str, Any]:
    """The JSON object in `data`. Raises ValueError if there is none."""
    value = orjson.loads(data)
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, got {type(value).__name__}")
    return value


def members(mapping: Mapping[str, object]) -> bytes:
    """The members of a JSON object without its braces: `b'"a":1,"b":{}'`; `b''` if there are none."""
    return encode(mapping if isinstance(mapping, dict) else dict(mapping))[1:-1]


def join(*parts: bytes) -> bytes:
    """One JSON object of several results of `members`."""
    return b"{" + b",".join([part for part in parts if part]) + b"}"


def well_formed(text: str) -> str:
    """`text` with each lone surrogate written as an escape, since UTF-8 cannot hold it."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _encodable(value: object, depth: int) -> object:
    """A copy of `value` that orjson accepts."""
    if value is None or isinstance(value, (bool, float, Encoded)):
        return value
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, int):
        return value if _INT_MIN <= value <= _INT_MAX else hex(value)
    if depth < _MAX_DEPTH:
        if isinstance(value, dict):
            return {well_formed(str(key)): _encodable(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [_encodable(item, depth + 1) for item in value]
    return f"<unserialisable: {type(value).__name__}>"
