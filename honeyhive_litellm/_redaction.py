"""One walk that makes any value fit for an event: JSON-safe, free of credentials, bounded.

It runs before anything reaches the disk, on success, failure and in-flight record alike. It never raises and never
changes its argument: what cannot be read costs that value alone, and leaves a word that says what stood there.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import inspect
import math
import types
import uuid
from collections.abc import Mapping
from decimal import Decimal
from os import PathLike, fspath
from typing import Any, Dict, List, Set

from ._bounds import cut
from ._credentials import REDACTED, is_schema, is_secret_name, scrub
from ._media import MIN_BASE64, facts, media_facts

MAX_DEPTH = 64
MAX_ITEMS = 10_000
"""A longer list or dictionary loses its tail; what it loses is told."""

_BEYOND = 4096
"""How far past the cut a text is searched, so that no half of a credential stays at its edge."""

_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1


def clean(value: object, max_field_bytes: int) -> object:
    """`value` as plain dict, list, str, int, float, bool and None, without credentials, each text cut to size.

    NaN and the infinities become text, since JSON has no such numbers; so do integers of more than 64 bits.
    """
    return _Walk(max_field_bytes).walk(value, 0)


def clean_text(text: str, max_field_bytes: int) -> str:
    """One text without credentials and cut to size."""
    return _text(text, max_field_bytes)


class _Walk:
    def __init__(self, max_field_bytes: int) -> None:
        self._max_bytes = max_field_bytes
        self._inside: Set[int] = set()

    def walk(self, value: Any, depth: int) -> object:
        kind = type(value)
        if kind is str:
            return self._string(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return value if _INT_MIN <= value <= _INT_MAX else hex(value)
        if kind is float:
            return value if math.isfinite(value) else str(value)
        if depth >= MAX_DEPTH:
            return "<too deep>"
        if id(value) in self._inside:
            return "<cycle>"
        self._inside.add(id(value))
        try:
            if kind is dict:
                return self._dict(value, depth)
            if kind is list or kind is tuple:
                return self._list(value, depth)
            return self._other(value, depth)
        except Exception:
            return f"<unserialisable: {kind.__name__}>"
        finally:
            self._inside.discard(id(value))

    def _dict(self, value: Mapping[Any, Any], depth: int) -> Dict[str, object]:
        result: Dict[str, object] = {}
        for key, item in value.items():
            if len(result) >= MAX_ITEMS:
                result["…"] = f"[{len(value) - MAX_ITEMS} more]"
                break
            name = key if type(key) is str else self._name(key)
            if type(item) is not int and item is not None and is_secret_name(name) and _is_secret(item):
                result[_text(name, self._max_bytes)] = REDACTED
            else:
                result[name if name.isidentifier() else _text(name, self._max_bytes)] = self.walk(item, depth + 1)
        return result

    def _name(self, key: object) -> str:
        cleaned = self.walk(key, MAX_DEPTH - 1)
        return cleaned if isinstance(cleaned, str) else str(cleaned)

    def _list(self, value: Any, depth: int) -> List[object]:
        items = value[:MAX_ITEMS] if len(value) > MAX_ITEMS else value
        result = [self.walk(item, depth + 1) for item in items]
        if len(value) > MAX_ITEMS:
            result.append(f"[{len(value) - MAX_ITEMS} more]")
        return result

    def _string(self, text: str) -> object:
        if len(text) >= MIN_BASE64 or text.startswith("data:"):
            told = media_facts(text)
            if told is not None:
                return told
        return _text(text, self._max_bytes)

    def _other(self, value: Any, depth: int) -> object:
        if isinstance(value, enum.Enum):
            return self.walk(value.value, depth + 1)
        if isinstance(value, str):
            return self._string(str.__str__(value))
        if isinstance(value, (int, float)):
            return self.walk(int(value) if isinstance(value, int) else float(value), depth)
        if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
            return value.isoformat()
        if isinstance(value, (uuid.UUID, Decimal)):
            return str(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return facts(bytes(value))
        if isinstance(value, PathLike):
            return self.walk(fspath(value), depth + 1)
        if isinstance(value, BaseException):
            return _text(f"{type(value).__name__}: {value}", self._max_bytes)
        if isinstance(value, Mapping):
            return self._dict(value, depth)
        if isinstance(value, (list, tuple)):
            return self._list(list(value), depth)
        if isinstance(value, (set, frozenset)):
            return self._list(sorted(value, key=repr), depth)
        if isinstance(value, type) or inspect.isroutine(value):
            return f"<{value.__module__}.{value.__qualname__}>"
        return self._object(value, depth)

    def _object(self, value: Any, depth: int) -> object:
        """Objects that say themselves what they hold; anything else is told by its class alone."""
        if dataclasses.is_dataclass(value):
            names = [field.name for field in dataclasses.fields(value)]
            return self._dict({name: getattr(value, name, None) for name in names}, depth)
        dump = getattr(type(value), "model_dump", None) or getattr(type(value), "dict", None)
        if isinstance(dump, types.FunctionType) and not inspect.iscoroutinefunction(dump):
            dumped = dump(value)
            if isinstance(dumped, Mapping):
                return self._dict(dumped, depth)
        if type(value).__module__ == "collections" and type(value).__name__ == "deque":
            return self._list(list(value), depth)
        return f"<unserialisable: {type(value).__name__}>"


def _is_secret(item: object) -> bool:
    """A number, a switch or a schema under a suspicious name is none."""
    return not isinstance(item, (bool, int, float)) and not is_schema(item)


def _text(text: str, max_bytes: int) -> str:
    size = None
    if len(text) > max_bytes:
        size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        text = text[: max_bytes + _BEYOND]
    text = scrub(text)
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return cut(text, max_bytes, size)
