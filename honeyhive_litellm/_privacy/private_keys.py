"""Private keys in text: PEM, PGP, SSH and PuTTY, also in one line, escaped, or cut off before their end.

A mere mention of "-----BEGIN PRIVATE KEY-----" is no key: lines of base64 have to follow, and only they are removed.
"""

from __future__ import annotations

import re
from typing import List

from .key_shape import can_be_key

MARK = "[redacted: private key]"

_BEGIN = re.compile(
    r"-{4,5}[ ]?BEGIN[ ][A-Z0-9 ]{0,32}PRIVATE[ ]KEY(?:[ ]BLOCK)?[ ]?-{4,5}|\bPrivate-Lines: [0-9]{1,3}(?=\s|\\)"
)
_END = re.compile(r"-{4,5}[ ]?END[ ][A-Z0-9 ]{0,32}PRIVATE[ ]KEY(?:[ ]BLOCK)?[ ]?-{4,5}")
_BREAK = re.compile(r"(?:\s|\\{1,8}[nrt]|[\"'+,#>|*]|\\){0,64}")
"""Between two lines: line breaks, also escaped ones, indentation, and what joins strings in code."""
_HEADER = re.compile(r"[A-Z][A-Za-z-]{2,24}: [^\n\\\"]{0,120}(?=\n|\r|\\|\Z)")
_LINE = re.compile(r"(?:[A-Za-z0-9+/]|\\/){1,20000}={0,2}|=[A-Za-z0-9+/]{4}(?![A-Za-z0-9+/])")
_FIRST_CHARS = 16
_FULL_CHARS = 40


def without_private_keys(text: str) -> str:
    """`text` with the mark in the place of every private key."""
    parts: List[str] = []
    done = 0
    begin = _BEGIN.search(text)
    while begin is not None:
        end = _end_of_key(text, begin.end())
        if end > begin.end():
            parts += (text[done : begin.start()], MARK)
            done = end
        begin = _BEGIN.search(text, max(end, begin.end()))
    return "".join(parts) + text[done:] if parts else text


def _end_of_key(text: str, at: int) -> int:
    """Where the key ends whose first marker ends at `at`; `at` itself if no base64 follows."""
    place = _after_break(text, at)
    header = _HEADER.match(text, place)
    for _ in range(8):
        if header is None:
            break
        place = _after_break(text, header.end())
        header = _HEADER.match(text, place)
    line = _LINE.match(text, place)
    if line is None or len(line.group()) < _FIRST_CHARS or not can_be_key(line.group()):
        return at
    while line is not None:
        end = line.end()
        place = _after_break(text, end)
        last = _END.match(text, place)
        if last is not None:
            return last.end()
        line = _LINE.match(text, place) if place > end else None
        if line is not None and not _is_of_key(text, line):
            line = None
    return end


def _is_of_key(text: str, line: re.Match[str]) -> bool:
    """Whether a further line is of the key: a full one, one with padding, or the last before the end marker."""
    word = line.group()
    if len(word) >= _FULL_CHARS or word.endswith("=") or word.startswith("=") or can_be_key(word):
        return True
    return _END.match(text, _after_break(text, line.end())) is not None


def _after_break(text: str, at: int) -> int:
    match = _BREAK.match(text, at)
    return match.end() if match is not None else at
