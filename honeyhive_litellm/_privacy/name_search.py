"""Where a separator stands behind a credential's name: the quick look, which is almost always negative.

A text is reduced to lower-case letters and separators, and read backwards: one pattern knows the ends of all names, and
looks at the separators only. More names do not make it slower.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Dict, Iterable, List

from .secret_names import NAME_ENDS

_SEPARATORS = ":=,;|\t\n<}"
_FIND_SEPARATOR = re.compile(f"[{_SEPARATORS}]")
_MARKED = bytes(ord("=") if chr(byte) in _SEPARATORS else byte for byte in range(256))
_REDUCED = bytes(
    byte if byte == 10 else marked + 32 if 65 <= marked <= 90 else marked for byte, marked in enumerate(_MARKED)
)
_MANY_LINES = 64
_SOME_BYTES = 1000
_PASSED_OVER = b" _-.?!'\"`\\]*0123456789\r"
_VALUE = b"value"
_CONTENT = b"content"
"""No credentials' names, but they may stand behind one: <meta name="csrf-token" content="..."> (`pairs`)."""
_ENDS = tuple(end for end in NAME_ENDS if not any(end != other and end.endswith(other) for other in NAME_ENDS))
_ENDS_AND_VALUE = (*_ENDS, _VALUE, _CONTENT)


def _any_of(words: Iterable[bytes]) -> bytes:
    """A pattern for any of the words, of which none begins with another, that reads each character once."""
    by_first: Dict[bytes, List[bytes]] = {}
    for word in words:
        by_first.setdefault(word[:1], []).append(word[1:])
    forms = [re.escape(first) + (_any_of(rest) if any(rest) else b"") for first, rest in sorted(by_first.items())]
    return b"(?:" + b"|".join(forms) + b")" if len(by_first) > 1 else b"".join(forms)


_NAME_BACKWARDS = re.compile(
    b"=" + _any_of(end[::-1] for name in _ENDS for end in (name, name + _VALUE, name + _CONTENT))
)


def separators(text: str, encoded: bytes) -> List[int]:
    """Where a separator in `text`, whose UTF-8 is `encoded`, follows what ends like a name; almost always nowhere."""
    if not text.isascii() and ("\uff1a" in text or "\uff1d" in text):
        text = text.replace("\uff1a", ":").replace("\uff1d", "=")
        encoded = text.encode("utf-8", "replace")
    reduced = encoded.translate(_REDUCED, _PASSED_OVER)
    lines = reduced
    if (
        len(reduced) > _SOME_BYTES and reduced.count(b"\n") > _MANY_LINES
    ):  # the rows of a table differ in their digits only
        lines = b"\n".join(set(reduced.split(b"\n"))) + b"\n"
    if _NAME_BACKWARDS.search(lines.replace(b"\n", b"=")[::-1]) is None:  # `re` skips quickly from "=" to "="
        return []
    pieces = reduced.replace(b"\n", b"=").split(b"=")
    hits = {piece for piece in set(pieces) if piece.endswith(_ENDS_AND_VALUE) and piece != _CONTENT}
    names = [re.sub(rb"(?:value|content)\Z", b"", hit) for hit in hits]
    if (
        all(name.endswith(b"sessionid") for name in names if name.endswith(_ENDS))
        and b"sessionid" not in encoded.lower()
    ):
        return []  # "session_id" is everywhere, and no cookie
    parts = encoded.translate(_MARKED).split(b"=") if text.isascii() else _FIND_SEPARATOR.split(text)
    ends = accumulate(map(len, parts))
    return [number + end for number, (end, piece) in enumerate(zip(ends, pieces[:-1])) if piece in hits]
