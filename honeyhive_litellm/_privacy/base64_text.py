"""Whether a long text is base64: by its letters alone, or by the name under which an API puts it.

Text of one case, words without spaces, names, paths, hexadecimal digits and sequences of letters can all be decoded as
base64, too. Base64 of most content has both cases and digits closely mixed; that of silence or of one colour does not,
and is recognized by its place only.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Mapping, Optional

MIN_CHARS = 1024
"""A text counts as base64 from this many characters on."""

_RUN = re.compile(rf"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{{{MIN_CHARS},}}={{0,2}}", re.ASCII)
_PIECE_CHARS = 128
_PIECE = re.compile(rf"[A-Za-z0-9+/_-]{{{_PIECE_CHARS}}}", re.ASCII)
_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=\r\n"

_CLASSES = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", b"U" * 26 + b"L" * 26 + b"D" * 10
)
_CHANGES = (b"UL", b"LU", b"UD", b"DU", b"LD", b"DL")
_WINDOW = 256
_MAX_WINDOWS = 512
_MIN_SHARE = 0.05

# The names under which the providers' APIs have base64.
_NAMES = frozenset(("filedata", "bytes", "partialimageb64", "imagebytes", "videobytes", "audiobytes", "audiocontent"))
_NAMES_BESIDE_TYPE = frozenset(("data", "blob", "audio"))
_TYPES = ("mime_type", "mimeType", "media_type", "mediaType", "content_type", "format", "transcript", "expires_at")
"""A member with one of the ambiguous names holds base64 if there is one of these beside it, or a `type` of media."""
_MEDIA_TYPES = ("base64", "audio", "image", "video")


def replace_runs(text: str, replacement: Callable[[str], str]) -> str:
    """`text` with each piece of it that is long enough and has base64's characters only replaced.

    Such a piece spans a multiple of its least length, and reaches far to one side of it: most texts need no search.
    """
    places = range(0, len(text) + 1, MIN_CHARS)
    if not any(_PIECE.match(text, place) or _PIECE.match(text, max(place - _PIECE_CHARS, 0)) for place in places):
        return text
    return _RUN.sub(lambda match: replacement(match.group()), text)


def unwrapped(text: str) -> Optional[str]:
    """`text` without line breaks if it has no other characters than base64's; None otherwise.

    The lines of base64 are equally long, but for the last.
    """
    if not text.isascii() or text.encode().translate(None, _CHARACTERS):
        return None
    lines = text.split()
    width = len(lines[0])
    if not all(len(line) == width for line in lines[:-1]) or len(lines[-1]) > width:
        return None
    joined = "".join(lines)
    return None if "=" in joined.rstrip("=") else joined


def looks_encoded(text: str) -> bool:
    """Whether a text of base64's characters is likely to be base64, by how cases and digits are mixed in it."""
    encoded = text.encode("ascii")
    starts = range(0, max(len(encoded) - _WINDOW, 0) + 1, _WINDOW)
    step = max(len(starts) // _MAX_WINDOWS, 1)
    windows = [encoded[start : start + _WINDOW] for start in starts[::step]]
    return sum(map(_is_mixed, windows)) >= max(len(windows) * _MIN_SHARE, 1)


def _is_mixed(window: bytes) -> bool:
    classes = window.translate(_CLASSES)
    size = len(window)
    if not (0.27 * size <= classes.count(b"U") and 0.09 * size <= classes.count(b"L") <= 0.5 * size):
        return False
    if not 0.02 * size <= classes.count(b"D") <= 0.4 * size:
        return False
    return sum(map(classes.count, _CHANGES)) >= 0.28 * size and len(set(window)) >= 28


def is_place_of_base64(name: object, siblings: Mapping[Any, Any]) -> bool:
    """Whether an API puts base64 under this name, among the members `siblings` of an object."""
    if not isinstance(name, str):
        return False
    squashed = name.replace("_", "").lower()
    if "b64" in squashed or "base64" in squashed or squashed in _NAMES:
        return True
    if squashed not in _NAMES_BESIDE_TYPE:
        return False
    kind = siblings.get("type")
    is_media = isinstance(kind, str) and any(word in kind for word in _MEDIA_TYPES)
    return is_media or any(member in siblings for member in _TYPES)
