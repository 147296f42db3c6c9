"""Base64 media: recognized, and replaced by digest, type and size."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any, Dict, Mapping, Optional, Tuple

from .base64_text import MIN_CHARS, is_place_of_base64, looks_encoded, replace_runs, unwrapped

_EMPTY: Mapping[Any, Any] = {}
_MIME_TYPES = ("mime_type", "mimeType", "media_type", "mediaType", "content_type")

MIN_BASE64 = MIN_CHARS
"""A string of nothing but base64 counts as media from this many characters on."""

_BREAK = r"\r?\n(?=[A-Za-z0-9+/_-]{16}|[A-Za-z0-9+/_-]{1,75}=|[A-Za-z0-9+/_-]{1,15}\s?\Z)"  # before a further line
_ENCODED = rf"[A-Za-z0-9+/=_%-]*(?:{_BREAK}[A-Za-z0-9+/=_%-]*)*"
DATA_URI = re.compile(
    rf"data:([\w.+-]{{1,64}}/[\w.+-]{{1,64}})?(?:;[\w.=+-]{{1,64}}){{0,4}};base64,({_ENCODED})", re.ASCII
)

_SIGNATURES: Tuple[Tuple[bytes, str], ...] = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF", "application/pdf"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
)
_TO_STANDARD = {45: "+", 95: "/", 13: None, 10: None}
_UNKNOWN_TYPE = "application/octet-stream"


def facts(data: bytes, mime_type: object = None) -> Dict[str, object]:
    """What replaces `data`: its `sha256` (hex), `mime_type` (as declared, or by its first bytes) and `bytes`."""
    declared = mime_type if isinstance(mime_type, str) else None
    return {
        "sha256": hashlib.sha256(data).hexdigest(), "mime_type": declared or _mime_type(data), "bytes": len(data),
    }  # fmt: skip


def media_facts(text: str, name: object = None, siblings: Mapping[Any, Any] = _EMPTY) -> Optional[Dict[str, object]]:
    """The facts if the whole `text` is a base64 data URI or long base64, else None.

    `name` is that of the member that holds the text, and `siblings` are the members beside it.
    """
    if text.startswith("data:"):
        match = DATA_URI.fullmatch(text.rstrip())
        return facts(_decoded(match.group(2)), match.group(1)) if match else None
    if len(text) < MIN_BASE64:
        return None
    packed = unwrapped(text)
    if packed is None or not (is_place_of_base64(name, siblings) or looks_encoded(packed)):
        return None
    return facts(_decoded(packed), next(filter(None, map(siblings.get, _MIME_TYPES)), None))


def without_media(text: str) -> str:
    """`text` with each base64 data URI in it replaced by its facts."""
    return DATA_URI.sub(lambda match: _mark(facts(_decoded(match.group(2)), match.group(1))), text)


def without_base64(text: str) -> str:
    """`text` with each long base64 in it replaced by its facts, as in the JSON text of a tool's result."""
    return replace_runs(text, _marked_base64)


def _marked_base64(text: str) -> str:
    return _mark(facts(_decoded(text))) if looks_encoded(text) else text


def _mark(found: Mapping[str, object]) -> str:
    return "[media: {mime_type}, {bytes} bytes, sha256 {sha256}]".format(**found)


def _decoded(text: str) -> bytes:
    """The bytes of base64 in either alphabet, padded or not; the bytes of the text itself if it is not base64."""
    packed = text.replace("%3D", "").replace("%3d", "").translate(_TO_STANDARD).rstrip("=")
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4))
    except (binascii.Error, ValueError):
        return text.encode()


def _mime_type(data: bytes) -> str:
    for signature, mime_type in _SIGNATURES:
        if data.startswith(signature):
            return mime_type
    if data.startswith(b"RIFF"):
        return {b"WAVE": "audio/wav", b"WEBP": "image/webp"}.get(data[8:12], _UNKNOWN_TYPE)
    return _UNKNOWN_TYPE
