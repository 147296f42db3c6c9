"""Keep an event to its size: `cut` one long string, `fit` a whole event."""

from __future__ import annotations

import re
from typing import Callable, Dict, Mapping, Optional, Tuple

from honeyhive_litellm._json import encode

_MARK = re.compile(r"…\[truncated: (\d+) bytes\]\Z")
_CONTENT = ("inputs", "outputs", "config", "user_properties", "feedback", "metrics", "metadata")
_SHORT_TEXT = 256  # bytes to which strings are cut before whole parts are dropped
_SHORT_LIST = 2  # items to which lists are cut before that
_ERROR_BYTES = 1024  # of an error, in the worst case


def utf8_size(text: str) -> int:
    """The size of `text` in UTF-8; a lone surrogate counts as three bytes."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def cut(text: str, max_bytes: int, original_bytes: Optional[int] = None) -> str:
    """`text` if its UTF-8 fits into `max_bytes`, else its beginning and a mark with the original size.

    The result, mark included, fits and ends on a character boundary. If `text` was cut before, the new mark has the
    first size again. `original_bytes` is that size where the caller has shortened the text itself.
    """
    size = utf8_size(text)
    if original_bytes is None:
        if size <= max_bytes:
            return text
        before = _MARK.search(text)
        original_bytes = int(before.group(1)) if before else size
    mark = f"…[truncated: {original_bytes} bytes]".encode()
    room = max_bytes - len(mark)
    if room < 0:
        return mark[:max_bytes].decode("utf-8", "ignore")
    return (text[:room].encode("utf-8", "replace")[:room] + mark).decode("utf-8", "ignore")


def fit(event: Mapping[str, object], max_event_bytes: int) -> Dict[str, object]:
    """A copy of `event`, which is clean already, whose encoding has at most `max_event_bytes`.

    Ids, times, status and the other scalars are kept. First the longest strings are cut, then the longest lists (head
    and tail stay), then whole parts are dropped. Some 2 KB always remain, whatever the limit.
    """

    def fits() -> bool:
        return len(encode(fitted)) <= max_event_bytes

    fitted = dict(event)
    for shrink, start, floor in (
        (_cut_strings, _longest_string, _SHORT_TEXT),
        (_cut_lists, _longest_list, _SHORT_LIST),
    ):
        bound = max((start(value) for value in fitted.values()), default=0)
        while bound > floor and not fits():
            bound = max(bound // 2, floor)
            fitted = {
                name: value if name != "error" and name not in _CONTENT else shrink(value, bound)
                for name, value in fitted.items()
            }
    for name in _CONTENT:
        if isinstance(fitted.get(name), dict) and not fits():
            fitted[name] = _scalars(fitted[name], max_event_bytes // 4)
    for name in _CONTENT:
        if name in fitted and not fits():
            fitted[name] = {"truncated": f"<left out: {len(encode(event[name]))} bytes>"}
    if not fits():
        fitted = {name: cut(value, _ERROR_BYTES) if isinstance(value, str) else value for name, value in fitted.items()}
    return fitted


def _longest_string(value: object) -> int:
    if isinstance(value, str):
        return utf8_size(value)
    return max(map(_longest_string, _children(value)), default=0)


def _longest_list(value: object) -> int:
    own = len(value) if isinstance(value, list) else 0
    return max(own, max(map(_longest_list, _children(value)), default=0))


def _children(value: object) -> Tuple[object, ...]:
    if isinstance(value, dict):
        return tuple(value.values())
    return tuple(value) if isinstance(value, list) else ()


def _cut_strings(value: object, bound: int) -> object:
    """A copy of `value` with every string cut to `bound` bytes."""
    return cut(value, bound) if isinstance(value, str) else _rebuilt(value, bound, _cut_strings)


def _cut_lists(value: object, bound: int) -> object:
    """A copy of `value` whose lists keep `bound` items, from both ends, with a mark between."""
    if isinstance(value, list) and len(value) > bound + 1:
        head = (bound + 1) // 2
        tail = bound - head
        value = [*value[:head], f"<{len(value) - bound} items left out>", *value[len(value) - tail :]]
    return _rebuilt(value, bound, _cut_lists)


def _rebuilt(value: object, bound: int, shrink: Callable[[object, int], object]) -> object:
    if isinstance(value, dict):
        return {name: shrink(item, bound) for name, item in value.items()}
    return [shrink(item, bound) for item in value] if isinstance(value, list) else value


def _scalars(value: object, max_bytes: int) -> Dict[str, object]:
    """As many of the scalars among the members of `value` as fit into `max_bytes`, and a mark for the rest."""
    kept: Dict[str, object] = {"truncated": f"<left out: some of {len(encode(value))} bytes>"}
    room = max_bytes
    for name, item in value.items() if isinstance(value, dict) else ():
        room -= len(encode(name)) + len(encode(item)) if not isinstance(item, (dict, list)) else 0
        if room < 0:
            break
        if not isinstance(item, (dict, list)):
            kept[name] = item
    return kept
