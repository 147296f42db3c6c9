"""Names and values that stand apart: members "name" and "value", pairs in a list, elements of XML, tables with a head.

`{"name": "API_KEY", "value": "..."}`, `["Authorization", "Bearer ..."]`, `<key>password</key><string>...</string>`,
`Access key ID,Secret access key` and the lines below.
"""

from __future__ import annotations

import re
from typing import Dict, Iterator, List, Optional, Tuple

from .assignments import Name, Span, name_before, value_at, value_below, value_from
from .key_shape import can_be_key, can_be_secret
from .name_search import separators
from .secret_names import NameKind, name_kind

_BEFORE_CHARS = 200
_ANY_NAME_MEMBER = re.compile("[nN]ame|[kK]ey|[hH]eader|field|variable")
_MOST_MEMBERS = 4
_NAME_MEMBER = re.compile(
    r"\w*\\{0,7}[\"']?[ ]?[:=][ ]?\\{0,7}[\"']?(?P<name>[\w .$-]{2,64}?)\\{0,7}[\"']?"
    r"(?:\s|\\[nr]|[,;])+\\{0,7}[\"']?\w{0,12}\Z"
)
_VALUE_WORD = re.compile(r"(?:value|content)\\{0,7}[\"']?[ \t]*\Z", re.IGNORECASE)
_NAME_AFTER = re.compile(
    r"\\{0,7}[\"']?(?:\s|\\[nr]|[,;])+\\{0,7}[\"']?(?:name|key|header|field|variable)\\{0,7}[\"']?[ ]?[:=][ ]?"
    r"\\{0,7}[\"']?(?P<name>[\w .$-]{2,64})",
    re.IGNORECASE,
)
_SIGN = re.compile(r"[:=][ \t]*")
_IN_LIST = re.compile(r"[\[(][ \t\r\n]*\\{0,7}[\"']\Z")
_COMMA = re.compile(r",\s{0,16}(?=\\{0,7}[\"'])")
_NEXT_ELEMENT = re.compile(r"</[\w:.-]{1,32}>\s{0,32}<[\w:.-]{1,32}>")
_CLOSED_NAME = re.compile(r"</[\w:.-]{1,32}>[ \t]{0,8}[:=]")
_SOME_VALUE = re.compile(r"\\{0,7}[\"']?[^\s\"'\\<>]{1,512}")

_OPTION = re.compile(r"--(?P<name>[A-Za-z][\w-]{0,48})[ ](?![ -])")

_LINE_CHARS = 2000
_HEAD_CELL = re.compile(r"[\w .#()/-]{0,40}")
_MOST_ROWS = 1000
_CELL_EDGES = " \t\r\"'`*"


def credentials_by_name(text: str, encoded: bytes) -> List[Span]:
    """Every credential in `text`, whose UTF-8 is `encoded`, that is one by the name that stands with it, in order."""
    spans: List[Span] = []
    done = table_end = 0
    for place in separators(text, encoded):
        if place < done:
            continue
        found: List[Span] = []
        if text[place] in ",;|\t\n" and place >= table_end:
            table_end, found = _table(text, place)
        if not found:
            span = _named(text, place)
            found = [span] if span is not None else []
        spans += (span for span in found if span.start >= done)
        done = max(done, spans[-1].end if spans else 0)
    return spans


def options(text: str) -> List[Span]:
    """The values of a command's options, as in `--password ...`."""
    spans: List[Span] = []
    for match in _OPTION.finditer(text):
        kind = name_kind(match.group("name"))
        if kind is not None and (not spans or match.start() >= spans[-1].end):
            span = value_from(text, match.end(), Name(kind, match.group("name"), False, match.start()))
            spans += [span] if span is not None else []
    return spans


def _named(text: str, place: int) -> Optional[Span]:
    """The credential that belongs to the name before `place`."""
    name = name_before(text, place)
    sign = text[place]
    if name is None:
        return _value_member(text, place) if sign in ":=" else None
    if sign == ",":
        comma = _COMMA.match(text, place)
        if comma is None or not name.is_quoted or _IN_LIST.search(text, max(name.start - 24, 0), name.start) is None:
            return None
        span = value_from(text, comma.end(), name)
        return span if span is not None and _is_odd(text[span.start : span.end]) else None
    if sign == "\n":
        return value_below(text, place, name, has_sign=False)
    if sign == "<":
        closed = _CLOSED_NAME.match(text, place)
        if closed is not None:
            return value_from(text, closed.end(), name)
        element = _NEXT_ELEMENT.match(text, place)
        return value_from(text, element.end(), name._replace(is_quoted=False)) if element is not None else None
    return value_at(text, place, name) or (_value_member(text, place) if "alue" in name.word else None)


def _is_odd(value: str) -> bool:
    """Whether the second of two texts in a list is no name: a list may hold the names of fields."""
    return can_be_secret(value.rsplit(" ", 1)[-1], after_equals=False)


def _value_member(text: str, place: int) -> Optional[Span]:
    """The value in `{"name": "API_KEY", "value": "..."}`, in either order, as JSON, YAML or XML."""
    start = max(place - _BEFORE_CHARS, 0)
    before = text[start:place]
    word = _VALUE_WORD.search(before, max(len(before) - 16, 0))
    sign = _SIGN.match(text, place)
    if word is None or sign is None:
        return None
    members = [found.start() for found in _ANY_NAME_MEMBER.finditer(before, 0, word.start())][-_MOST_MEMBERS:]
    matches = (_NAME_MEMBER.match(before, member, word.start()) for member in reversed(members))
    match = next(filter(None, matches), None)
    if match is None:
        some = _SOME_VALUE.match(text, sign.end())
        match = _NAME_AFTER.match(text, some.end()) if some is not None else None
    kind = name_kind(match.group("name")) if match is not None else None
    if match is None or kind is None:
        return None
    is_quoted = before.endswith(('"', "'")) or text[sign.end() : sign.end() + 1] in ('"', "'")
    return value_from(text, sign.end(), Name(kind, match.group("name"), is_quoted, start + word.start()))


# ---- tables


def _has_blank(row: List[str]) -> bool:
    """Whether a blank follows a delimiter."""
    return any(cell[:1] == " " for cell in row[1:])


def _table(text: str, place: int) -> Tuple[int, List[Span]]:
    """Where the table ends whose head the line of `place` is, or the line, and the credentials in its rows."""
    start = text.rfind("\n", max(place - _LINE_CHARS, 0), place) + 1
    end = text.find("\n", place, place + _LINE_CHARS)
    if end < 0:
        return min(place + _LINE_CHARS, len(text)), []
    delimiter = text[place] if text[place] != "\n" else next((d for d in "|\t;," if d in text[start:end]), "")
    head = text[start:end].split(delimiter) if delimiter else []
    names = [cell.strip(_CELL_EDGES) for cell in head]
    if len(list(filter(None, names))) < (1 if delimiter == "|" else 2) or not all(map(_HEAD_CELL.fullmatch, names)):
        return end, []
    kinds = {number: name_kind(name) for number, name in enumerate(names)}
    columns = {number: kind for number, kind in kinds.items() if kind is not None}
    is_tight = delimiter != "|" and not _has_blank(head)  # in a list of words a blank follows each comma
    spans: List[Span] = []
    for _ in range(_MOST_ROWS if columns else 0):
        row_end = text.find("\n", end + 1, end + 1 + _LINE_CHARS)
        row_end = min(len(text), end + 1 + _LINE_CHARS) if row_end < 0 else row_end
        row = text[end + 1 : row_end].split(delimiter)
        if len(row) != len(head) or row[0].lstrip()[:1] in ("{", "[") or (is_tight and _has_blank(row)):
            break
        spans += _cells(row, end + 1, columns)
        end = row_end
    return end, spans


def _cells(row: List[str], at: int, columns: Dict[int, NameKind]) -> Iterator[Span]:
    """The credentials in one row that begins at `at`."""
    for number, cell in enumerate(row):
        value = cell.strip(_CELL_EDGES)
        kind = columns.get(number) if " " not in value else None
        if kind is not None and (can_be_secret(value, False) if kind is NameKind.PASSWORD else can_be_key(value)):
            start = at + cell.index(value)
            yield Span(start, start + len(value))
        at += len(cell) + 1
