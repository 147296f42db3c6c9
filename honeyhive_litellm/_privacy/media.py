"""Base64 media: recognized, and replaced by digest, type and size."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Dict, Optional, Tuple

MIN_BASE64 = 1024
"""A string of nothing but base64 counts as media from this many characters on."""

DATA_URI = re.compile(
    r"data:([\w.+-]{1,64}/[\w.+-]{1,64})?(?:;[\w.=+-]{1,64}){0,4};base64,([A-Za-z0-9+/=_%-]*)", re.ASCII
)

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=\r\n"
_HEAD = re.compile(r"[A-Za-z0-9+/_\-\r\n]{256}")
_MIXED = re.compile(r"[A-Z][^A-Z]*[a-z]|[a-z][^a-z]*[A-Z]")
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
_UNKNOWN_TYPE = "application/octet-stream"


def facts(data: bytes, mime_type: Optional[str] = None) -> Dict[str, object]:
    """What replaces `data`: its `sha256` (hex), `mime_type` and number of `bytes`."""
    return {"sha256": hashlib.sha256(data).hexdigest(), "mime_type": mime_type or _UNKNOWN_TYPE, "bytes": len(data)}


def media_facts(text: str) -> Optional[Dict[str, object]]:
    """The facts if the whole `text` is a base64 data URI or long base64, else None."""
    if text.startswith("data:"):
        match = DATA_URI.fullmatch(text)
        return facts(_decoded(match.group(2)), match.group(1)) if match else None
    if len(text) < MIN_BASE64 or not _HEAD.match(text) or not _MIXED.search(text, 0, MIN_BASE64):
        return None  # text in one case can be decoded as base64, too: "aaaa..."
    try:
        if text.encode("ascii").translate(None, _ALPHABET):
            return None
    except UnicodeEncodeError:
        return None
    data = _decoded(text)
    return facts(data, _mime_type(data))


def without_media(text: str) -> str:
    """`text` with each base64 data URI in it replaced by its facts."""
    return DATA_URI.sub(_replacement, text)


def _replacement(match: re.Match[str]) -> str:
    found = facts(_decoded(match.group(2)), match.group(1))
    return "[media: {mime_type}, {bytes} bytes, sha256 {sha256}]".format(**found)


def _decoded(text: str) -> bytes:
    """The bytes of base64 in either alphabet, padded or not; the bytes of the text itself if it is not base64."""
    packed = text.replace("%3D", "").translate({45: "+", 95: "/", 13: None, 10: None}).rstrip("=")
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
