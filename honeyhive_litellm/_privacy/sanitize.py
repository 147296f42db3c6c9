"""One walk that makes any value fit for an event: JSON-safe, free of credentials, bounded.

It runs before anything reaches the disk, on success, failure and in-flight record alike. It never raises and never
changes its argument: what cannot be read costs that value alone, and leaves a word that says what stood there.

The walk copies, and redacts by name. What it copied is then searched as one text, since to look once is far cheaper
than to look at each string; only if that finds a suspect is each string of the copy gone over.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import inspect
import types
import uuid
from collections import deque
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from itertools import islice
from os import PathLike, fspath
from typing import Any, Dict, List, Sequence, Set, Tuple

from .credentials import REDACTED, scrub, suspects
from .media import MIN_BASE64, facts, media_facts, without_media
from .secret_names import is_schema, is_secret_name
from .truncate import cut, utf8_size

MAX_DEPTH = 64
MAX_ITEMS = 10_000
"""A longer list or dictionary loses its tail; what it loses is told."""
MAX_NODES = 100_000
"""Of all values together, likewise."""

_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_MAX_INT_BITS = 4096
_BEYOND = 8192
"""How far past the cut a text is searched. Half of it is thrown away again, lest half a credential stays there."""

_MOST_KNOWN = 2**21
"""Characters of texts that are known to hold no credential: some megabytes of the process's memory at most."""
_ENTRY_CHARS = 100
"""What each of them takes beside its characters."""

_names: Dict[str, str] = {}
"""Clean form of the names seen that are not a credential's: events have few, and the same ones."""
_MAX_NAMES = 4096


def clean(value: object, max_field_bytes: int) -> object:
    """`value` as plain dict, list, str, int, float, bool and None, without credentials, each text cut to size.

    NaN and the infinities become text, since JSON has no such numbers; so do integers of more than 64 bits. Where two
    names of a dictionary become the same text, the later value stays. Text is UTF-8: a lone surrogate becomes "?".
    """
    try:
        walk = _Walk(max_field_bytes)
        copy = walk.value(value)
        new = _harmless.without_known(walk.texts)
        seen = "\n".join(new)
        if not _is_utf8(seen) or suspects(seen):
            return _scrubbed(copy, max_field_bytes)
        _harmless.add(new)
        return copy
    except Exception:  # closed: rather no content than content that was not searched
        return _unserialisable(value)


def clean_text(text: str, max_field_bytes: int) -> str:
    """One text without credentials and cut to size."""
    try:
        return _text(text, max_field_bytes)
    except Exception:  # closed, as above
        return _unserialisable(text)


class Harmless:
    """Texts that were searched and hold no credential. Most of a chat has been said before: its system prompt with each
    call, its messages with each turn.

    Those that are met go on being known while others are forgotten, so that no more than `most_chars` characters are
    kept. Threads may meet here: at the worst a text is searched once more.
    """

    def __init__(self, most_chars: int) -> None:
        self._most_chars = most_chars // 2
        self._late: Set[str] = set()
        self._early: Set[str] = set()
        self._chars = 0

    def without_known(self, texts: Sequence[str]) -> List[str]:
        """Those of `texts` that are still to be searched."""
        late, early = self._late, self._early
        new = []
        for text in texts:
            if text not in late:
                if text in early:
                    self.add((text,))
                else:
                    new.append(text)
        return new

    def add(self, texts: Sequence[str]) -> None:
        """These hold no credential."""
        chars = sum(map(len, texts)) + _ENTRY_CHARS * len(texts)
        if chars > self._most_chars:
            return
        self._chars += chars
        if self._chars > self._most_chars:
            self._early, self._late = self._late, set()
            self._chars = chars
        self._late.update(texts)


_harmless = Harmless(_MOST_KNOWN)


class _Walk:
    """One walk through one value. `texts` are the copied strings that were not searched yet."""

    __slots__ = ("_inside", "_long", "_max_bytes", "_room", "texts")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._long = min(MIN_BASE64 - 1, max_bytes // 4)  # no character takes more than four bytes
        self._room = MAX_NODES
        self._inside: Set[int] = set()
        self.texts: List[str] = []

    def value(self, value: Any) -> object:
        kind = type(value)
        if kind is str:
            if len(value) > self._long:
                return self._long_text(value)
            self.texts.append(value)
            return value
        if value is None or kind is bool:
            return value
        if kind is int:
            return value if _INT_MIN <= value <= _INT_MAX else _big(value)
        if kind is float:
            return value if value - value == 0.0 else str(value)
        identity = id(value)
        if identity in self._inside:
            return "<cycle>"
        if len(self._inside) >= MAX_DEPTH:
            return "<too deep>"
        self._inside.add(identity)
        try:
            if kind is not dict and kind is not list and kind is not tuple:
                return self.value(_plain(value))
            taken, lost = len(value), 0
            if taken > MAX_ITEMS or taken > self._room:
                taken, lost = self._part_of(taken)
                if not taken:
                    return f"[{lost} more]"
            self._room -= taken
            return self._dict(value, taken, lost) if kind is dict else self._list(value, taken, lost)
        except Exception:  # it costs this value alone
            return _unserialisable(value)
        finally:
            self._inside.discard(identity)

    def _dict(self, value: Dict[Any, Any], taken: int, lost: int) -> object:
        texts = self.texts
        long = self._long
        result: Dict[str, object] = {}
        known = _names.get
        # A copy, since another thread may change LiteLLM's dictionaries meanwhile.
        for key, item in list(value.items()) if not lost else list(islice(value.items(), taken - 1)):
            name = known(key) if type(key) is str else None
            if name is None:
                name, is_secret = self._name(key)
                if is_secret and _is_secret(item):
                    result[name] = REDACTED
                    continue
            kind = type(item)
            if kind is str and len(item) <= long:  # most are, and a call costs more than the rest
                texts.append(item)
                result[name] = item
            elif kind is bool or item is None:
                result[name] = item
            else:
                result[name] = self.value(item)
        if lost:
            result["…"] = f"[{lost} more]"
        return result

    def _list(self, value: Any, taken: int, lost: int) -> object:
        walk = self.value
        result = [walk(item) for item in islice(value, taken - bool(lost))]
        if lost:
            result.append(f"[{lost} more]")
        return result

    def _part_of(self, length: int) -> Tuple[int, int]:
        """How many of too many entries there is room for, a mark included, and how many that mark has to tell of."""
        taken = min(length, MAX_ITEMS, self._room)
        return taken, length - max(taken - 1, 0)

    def _name(self, key: object) -> Tuple[str, bool]:
        """The clean form of a dictionary's key, and whether it is a credential's name."""
        if not isinstance(key, str):
            said = self.value(key)
            key = said if isinstance(said, str) else str(said)
        key = str.__str__(key)
        name = _text(key, self._max_bytes)
        if is_secret_name(key):
            return name, True
        if type(key) is str and name == key and len(key) <= 64:
            if len(_names) >= _MAX_NAMES:
                _names.clear()
            _names[key] = name
        return name, False

    def _long_text(self, text: str) -> object:
        told = media_facts(text) if len(text) >= MIN_BASE64 else None
        if told is not None:
            return told
        if len(text) > self._max_bytes // 4 and utf8_size(text) > self._max_bytes:
            return _text(text, self._max_bytes)
        self.texts.append(text)
        return text


def _is_secret(item: object) -> bool:
    """A number, a switch, nothing or a schema under a suspicious name is none; one that JSON cannot hold may be."""
    if isinstance(item, str):
        return len(item) > 0
    if isinstance(item, int):
        return not _INT_MIN <= item <= _INT_MAX
    if isinstance(item, float):
        return item - item != 0.0
    return not (item is None or is_schema(item))


def _big(value: int) -> str:
    return hex(value) if value.bit_length() <= _MAX_INT_BITS else f"<int of {value.bit_length()} bits>"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _scrubbed(value: object, max_bytes: int) -> object:
    """A clean copy of what `_Walk` made."""
    if isinstance(value, str):
        told = media_facts(value) if value.startswith("data:") else None
        return _text(value, max_bytes) if told is None else told
    if isinstance(value, dict):
        return {name: _scrubbed(item, max_bytes) for name, item in value.items()}
    return [_scrubbed(item, max_bytes) for item in value] if isinstance(value, list) else value


def _text(text: str, max_bytes: int) -> str:
    if len(text) <= max_bytes // 4 or utf8_size(text) <= max_bytes:
        return cut(_utf8(scrub(text)), max_bytes)
    size = utf8_size(text)
    text = without_media(text) if ";base64," in text else text  # all of each, or its facts would be wrong
    if len(text) > max_bytes + _BEYOND:
        return cut(_utf8(scrub(text[: max_bytes + _BEYOND])[: -_BEYOND // 2]), max_bytes, size)
    text = _utf8(scrub(text))
    return cut(text, max_bytes, size) if utf8_size(text) > max_bytes else text


def _utf8(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


# ---- what Python has and JSON has not


def _plain(value: Any) -> object:
    """The next simpler thing that says what `value` says: a dict, a list, a text, ... or a word for its class.

    Objects say themselves what they hold, or are told by their class alone: what a client, a lock or a span keeps
    inside is not for an event. Nothing is awaited, consumed or called but the ways to read it.
    """
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__add__(value, 0)
    if isinstance(value, float):
        return float.__add__(value, 0.0)
    if isinstance(value, dict):
        return dict.copy(value) if type(value).items is dict.items else dict(islice(value.items(), MAX_ITEMS + 1))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value))
    if isinstance(value, (list, tuple, AbstractSet, deque, range)):
        return list(islice(value, MAX_ITEMS + 1))
    if isinstance(value, Mapping):
        return dict(islice(value.items(), MAX_ITEMS + 1))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return facts(bytes(value))
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    return _said(value)


def _said(value: Any) -> object:
    """The same for what is neither a number, nor a text, nor a container."""
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, (uuid.UUID, Decimal)):
        return str(value)
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, type) or inspect.isroutine(value):
        return f"<{value.__module__}.{value.__qualname__}>"
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    if isinstance(value, types.SimpleNamespace):
        return dict(vars(value))
    if isinstance(getattr(type(value), "model_dump", None), types.FunctionType):
        return _dumped(value)
    if hasattr(type(value), "__fields__") and isinstance(getattr(type(value), "dict", None), types.FunctionType):
        return value.dict()  # pydantic 1
    if hasattr(type(value), "get_secret_value"):
        return REDACTED
    return _unserialisable(value)


def _dumped(model: Any) -> object:
    """A pydantic model's fields; of one that cannot dump itself, what it has. Without warnings on the user's screen."""
    try:
        return model.model_dump(warnings=False)
    except Exception:
        return dict(vars(model))


def _unserialisable(value: object) -> str:
    return f"<unserialisable: {type(value).__name__}>"
