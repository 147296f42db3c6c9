"""One walk that makes any value fit for an event: JSON-safe, free of credentials, bounded.

It runs before anything reaches the disk, for start records and events alike. It never raises and never changes its
argument: a value that cannot be read is replaced by a word for its class.

The walk copies, and redacts by name. Then all copied strings are searched as one text, because one search is far
cheaper than one for each string. Only if a rule may match is each string of the copy gone over.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple

from honeyhive_litellm._foreign import is_interrupt

from .clean_texts import CleanTexts
from .credentials import possible_rules, scrub
from .json_schema import is_schema, split_schema
from .key_shape import can_be_key, can_be_secret, is_path, is_placeholder
from .media import MIN_BASE64, media_facts, without_base64, without_media
from .plain import plain, unserialisable
from .secret_names import REDACTED, NameKind, name_kind
from .truncate import cut, utf8_size

MAX_DEPTH = 64
MAX_ITEMS = 10_000
"""A longer list or dictionary loses its tail, and a mark says how many items that were."""
MAX_NODES = 100_000
"""The same for all items of a value together."""

_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_MAX_INT_BITS = 4096
_OVERLAP_CHARS = 8192
"""How far past the cut a text is searched. Half of it is dropped again, so that no half of a credential stays there."""

_NO_SIBLINGS: Mapping[Any, Any] = {}

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
"""A text that is a UUID and nothing else is no credential, unless its name says so, which the walk looks at. Each call
has a new one, whose dashes and digits would make the search look closer at all texts of the call."""

_clean_texts = CleanTexts(2**21)
"""Takes some megabytes of the process's memory at most."""

_clean_names: Dict[str, str] = {}
"""Clean form of each dictionary key seen that is no credential's name. Events have few different keys."""
_MAX_CLEAN_NAMES = 4096


def clean(value: object, max_field_bytes: int) -> object:
    """`value` as plain dict, list, str, int, float, bool and None, without credentials, each text cut to size.

    NaN, the infinities and integers of more than 64 bits become text, because JSON has no such numbers. If two keys of
    a dictionary become the same text, the later value stays. Text is UTF-8: a lone surrogate becomes "?".
    """
    try:
        walk = _Walk(max_field_bytes)
        copy = walk.value(value)
        new = [text for text in _clean_texts.unsearched(walk.texts) if text[8:9] != "-" or not _UUID.fullmatch(text)]
        joined = "\n".join(new)
        if not _is_utf8(joined) or possible_rules(joined):
            return _scrubbed(copy, max_field_bytes)
        _clean_texts.add(new)
        return copy
    except BaseException as error:  # fail closed: no content is better than content that was not searched
        if is_interrupt(error):
            raise
        return unserialisable(value)


def clean_text(text: str, max_field_bytes: int) -> str:
    """One text without credentials, cut to size."""
    try:
        return _text(text, max_field_bytes)
    except BaseException as error:  # fail closed, as above
        if is_interrupt(error):
            raise
        return unserialisable(text)


class _Walk:
    """One walk through one value. `texts` are the copied strings that are still to be searched."""

    __slots__ = ("_ancestors", "_long", "_max_bytes", "_room", "texts")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._long = min(MIN_BASE64 - 1, max_bytes // 4)  # no character takes more than four bytes
        self._room = MAX_NODES
        self._ancestors: Set[int] = set()
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
        ancestors = self._ancestors
        identity = id(value)
        if identity in ancestors:
            return "<cycle>"
        if len(ancestors) >= MAX_DEPTH:
            return "<too deep>"
        try:
            if kind is not dict and kind is not list and kind is not tuple:
                ancestors.add(identity)
                return self.value(plain(value, MAX_ITEMS))
            taken, lost = len(value), 0
            if taken > MAX_ITEMS or taken > self._room:
                taken, lost = self._part_of(taken)
                if not taken:
                    return f"[{lost} more]"
            self._room -= taken
            if kind is dict:
                return self._dict(value, taken, lost)
            ancestors.add(identity)
            return self._list(value, taken, lost)
        except BaseException as error:
            if is_interrupt(error):
                raise
            return unserialisable(value)
        finally:
            ancestors.discard(identity)

    def _dict(self, value: Dict[Any, Any], taken: int, lost: int) -> object:
        texts = self.texts
        long = self._long
        result: Dict[str, object] = {}
        clean_name = _clean_names.get
        # Iterate over a copy: another thread may change LiteLLM's dictionaries meanwhile.
        for key, item in list(value.items()) if not lost else list(islice(value.items(), taken - 1)):
            name = clean_name(key) if type(key) is str else None
            if name is None:
                name, secret = self._name(key)
                if secret is not None and (item := self._of_secret_name(secret, name, item)) is REDACTED:
                    result[name] = REDACTED
                    continue
            kind = type(item)
            if kind is str and len(item) <= long:  # the most frequent case, without a call of `value`
                texts.append(item)
                result[name] = item
            elif kind is bool or item is None:
                result[name] = item
            elif kind is str:
                result[name] = self._long_text(item, key, value)
            else:
                if kind is not int and kind is not float:  # a message, the most frequent dictionary, has texts only
                    self._ancestors.add(id(value))
                result[name] = self.value(item)
        if lost:
            result["…"] = f"[{lost} more]"
        if "value" in result or "Value" in result:
            _redact_named_value(result)
        return result

    def _of_secret_name(self, secret: NameKind, name: str, item: object) -> object:
        """What stays of the value under a credential's name: the schema of a tool's parameter, or `REDACTED`."""
        if isinstance(item, dict) and secret is not NameKind.PERHAPS and is_schema(item):
            schema, others = split_schema(item)
            return {
                **schema,
                **{other: REDACTED for other, value in others.items() if _is_secret(NameKind.SECRET, "", value)},
            }
        return REDACTED if _is_secret(secret, name, item) else item

    def _list(self, value: Any, taken: int, lost: int) -> object:
        walk = self.value
        result = [walk(item) for item in islice(value, taken - bool(lost))]
        if taken > 1 and type(result[0]) is str:
            _redact_arguments(result)
        if lost:
            result.append(f"[{lost} more]")
        return result

    def _part_of(self, length: int) -> Tuple[int, int]:
        """Of too many items: how many there is room for, the mark included, and how many the mark stands for."""
        taken = min(length, MAX_ITEMS, self._room)
        return taken, length - max(taken - 1, 0)

    def _name(self, key: object) -> Tuple[str, Optional[NameKind]]:
        """The clean form of a dictionary's key, and what it says of a credential."""
        if not isinstance(key, str):
            cleaned = self.value(key)
            key = cleaned if isinstance(cleaned, str) else str(cleaned)
        key = str.__str__(key)
        name = _text(key, self._max_bytes)
        secret = name_kind(key)
        if secret is not None:
            return name, secret
        if type(key) is str and name == key and len(key) <= 64:
            if len(_clean_names) >= _MAX_CLEAN_NAMES:
                _clean_names.clear()
            _clean_names[key] = name
        return name, None

    def _long_text(self, text: str, name: object = None, siblings: Mapping[Any, Any] = _NO_SIBLINGS) -> object:
        if len(text) >= MIN_BASE64:
            media = media_facts(text, name, siblings)
            if media is not None:
                return media
            text = without_base64(text)
        if len(text) > self._max_bytes // 4 and utf8_size(text) > self._max_bytes:
            return _text(text, self._max_bytes)
        self.texts.append(text)
        return text


def _is_secret(secret: NameKind, name: str, item: object) -> bool:
    """Whether the value under a credential's name is one: a number, a switch, None or "none" is not.

    A number that JSON cannot hold may be.
    """
    if isinstance(item, str):
        if secret is NameKind.PERHAPS:
            return can_be_key(item) and " " not in item
        return not is_placeholder(item) and not (name.lower().endswith("pwd") and is_path(item))
    if secret is NameKind.PERHAPS:
        return False
    if isinstance(item, int):
        return not _INT_MIN <= item <= _INT_MAX
    if isinstance(item, float):
        return item - item != 0.0
    return item is not None


_NAME_MEMBERS = ("name", "key", "header", "field", "variable", "Name", "Key", "Header")


def _redact_named_value(members: Dict[str, object]) -> None:
    """Redact the value of `{"name": "API_KEY", "value": "..."}`."""
    for member in _NAME_MEMBERS:
        name = members.get(member)
        secret = name_kind(name) if isinstance(name, str) else None
        if isinstance(name, str) and secret is not None:
            for value in ("value", "Value"):
                if value in members and _is_secret(secret, name, members[value]):
                    members[value] = REDACTED


def _redact_arguments(items: List[object]) -> None:
    """Redact the second of `["Authorization", "..."]`, and what follows an option in `["--password", "..."]`."""
    is_pair = len(items) == 2
    for number, name in enumerate(items[:-1], 1):
        value = items[number]
        if isinstance(name, str) and isinstance(value, str) and (is_pair or name.startswith("-")):
            secret = name_kind(name)
            is_one = secret is not None and _is_secret(secret, name, value)
            if is_one and can_be_secret(value.rsplit(" ", 1)[-1], after_equals=False):
                items[number] = REDACTED


def _big(value: int) -> str:
    return hex(value) if value.bit_length() <= _MAX_INT_BITS else f"<int of {value.bit_length()} bits>"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _scrubbed(value: object, max_bytes: int) -> object:
    """A clean copy of a value that `_Walk` made."""
    if isinstance(value, str):
        media = media_facts(value) if value.startswith("data:") else None
        return _text(value, max_bytes) if media is None else media
    if isinstance(value, dict):
        return {name: _scrubbed(item, max_bytes) for name, item in value.items()}
    return [_scrubbed(item, max_bytes) for item in value] if isinstance(value, list) else value


def _text(text: str, max_bytes: int) -> str:
    if len(text) <= max_bytes // 4 or utf8_size(text) <= max_bytes:
        return cut(_utf8(scrub(text)), max_bytes)
    size = utf8_size(text)
    text = without_media(text) if ";base64," in text else text  # before the cut, or the facts would be of a part
    if len(text) > max_bytes + _OVERLAP_CHARS:
        return cut(_utf8(scrub(text[: max_bytes + _OVERLAP_CHARS])[: -_OVERLAP_CHARS // 2]), max_bytes, size)
    text = _utf8(scrub(text))
    return cut(text, max_bytes, size) if utf8_size(text) > max_bytes else text


def _utf8(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
