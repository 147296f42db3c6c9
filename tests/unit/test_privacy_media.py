"""Base64 media."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from typing import Any, Callable, Dict

import pytest

from honeyhive_litellm._privacy.media import facts, media_facts
from honeyhive_litellm._privacy.sanitize import clean, clean_text

LIMIT = 10_000


def test_media_become_their_digest_type_and_size() -> None:
    data = b"\x89PNG" + bytes(range(256)) * 8
    encoded = base64.b64encode(data).decode()
    described = clean({"url": f"data:image/png;base64,{encoded}", "b64_json": encoded, "raw": data}, LIMIT)
    assert isinstance(described, dict)
    assert {v["bytes"] for v in described.values()} == {len(data)}
    assert len({v["sha256"] for v in described.values()}) == 1
    assert described["url"]["mime_type"] == described["b64_json"]["mime_type"] == "image/png"
    inside = clean_text(f"see data:image/png;base64,{encoded} above", LIMIT)
    assert encoded[:64] not in inside and "image/png" in inside


def test_the_facts_of_a_picture_larger_than_a_field_are_of_all_its_bytes() -> None:
    data = bytes(range(256)) * 400
    text = clean_text(f"see data:image/png;base64,{base64.b64encode(data).decode()} above", 5000)
    assert f"{len(data)} bytes" in text and text.endswith(" above")


def as_base64(data: bytes) -> str:
    return base64.b64encode(data + bytes(range(256)) * 8).decode()


@pytest.mark.parametrize(
    ("begin", "mime_type"),
    [
        (b"\x89PNG", "image/png"),
        (b"%PDF", "application/pdf"),
        (b"RIFF0000WAVE", "audio/wav"),
        (b"RIFF0000WEBP", "image/webp"),
        (b"RIFF0000AVI ", "application/octet-stream"),
        (b"anything else", "application/octet-stream"),
    ],
)
def test_the_type_of_bare_base64_is_that_of_its_first_bytes(begin: bytes, mime_type: str) -> None:
    found = media_facts(as_base64(begin))
    assert found is not None and found["mime_type"] == mime_type


WORDS = ["The", "Quick", "Brown", "Fox", "jumps", "over", "Http", "Server", "Factory"]
LETTERS = {
    "no base64 uri": "data:image/png,not base64",
    "short": "short",
    "one letter": "a" * 5000,
    "words": "Words and blanks. " * 500,
    "two letters": "aB" * 600,
    "not ASCII": "aB" * 600 + "é",
    "punctuation": "aB" * 600 + "!",
    "DNA": "GATTACAC" * 400,
    "DNA in both cases": "GATTaCagN" * 400,
    "DNA in lines": "\n".join(["GATTACA" * 10] * 40),
    "protein": "MKVLAARDEFGHIKLmnpqrstvwy" * 60,
    "hexadecimal": hashlib.sha512(b"x").hexdigest() * 20,
    "hexadecimal, upper case": hashlib.sha512(b"x").hexdigest().upper() * 20,
    "camel case": "".join(WORDS) * 40,
    "camel case with numbers": "".join(f"{word}{number}" for number in range(40) for word in WORDS),
    "a path": "/usr/lib/python3/Dist-packages/Foo_bar/src" * 60,
    "a slug": "-".join(f"Session-{number}-report-final" for number in range(80)),
    "a list of words": "\n".join(WORDS * 40),
    "identifiers in lines": "\n".join(f"user_{number}_Name/x" for number in range(200)),
    "base32": base64.b32encode(bytes(range(256)) * 8).decode().rstrip("="),
}


@pytest.mark.parametrize("name", LETTERS)
def test_text_that_is_no_media_is_left_alone(name: str) -> None:
    text = LETTERS[name]
    assert media_facts(text) is None
    assert clean({"content": text, "note": [text]}, 10**6) == {"content": text, "note": [text]}
    assert clean(f"see {text} above", 10**6) == f"see {text} above"


SILENCE = b"\0" * 9000
SOUND = SILENCE + hashlib.sha512(b"x").digest() * 200 + random.Random(1).getrandbits(72_000).to_bytes(9000, "big")
QUIET = b"\xff\xff\x00\x00\x01\x00" * 3000
PLACES: Dict[str, Callable[[str], Any]] = {
    "OpenAI audio": lambda text: {"type": "input_audio", "input_audio": {"data": text, "format": "pcm16"}},
    "OpenAI audio output": lambda text: {"audio": {"id": "a", "data": text, "expires_at": 1, "transcript": "hi"}},
    "OpenAI file": lambda text: {"type": "file", "file": {"filename": "a.pdf", "file_data": text}},
    "OpenAI image": lambda text: {"data": [{"b64_json": text}]},
    "OpenAI partial image": lambda text: {"partial_image_b64": text},
    "OpenAI realtime": lambda text: {"type": "input_audio_buffer.append", "audio": text},
    "Gemini": lambda text: {"parts": [{"inline_data": {"mime_type": "audio/wav", "data": text}}]},
    "Gemini in camel case": lambda text: {"parts": [{"inlineData": {"mimeType": "audio/wav", "data": text}}]},
    "Vertex": lambda text: {"instances": [{"image": {"bytesBase64Encoded": text}}]},
    "Anthropic": lambda text: {"source": {"type": "base64", "media_type": "audio/wav", "data": text}},
    "Bedrock": lambda text: {"image": {"format": "png", "source": {"bytes": text}}},
    "MCP": lambda text: {"content": [{"type": "image", "data": text, "mimeType": "image/png"}]},
    "MCP resource": lambda text: {"resource": {"uri": "file:///x", "mimeType": "audio/wav", "blob": text}},
    "data URI": lambda text: {"image_url": {"url": f"data:audio/wav;base64,{text}"}},
    "data URI in a text": lambda text: f"see data:audio/wav;base64,{text} above",
}


def in_lines(text: str) -> str:
    return "\n".join(text[start : start + 76] for start in range(0, len(text), 76)) + "\n"


def url_safe(text: str) -> str:
    return text.replace("+", "-").replace("/", "_").rstrip("=")


@pytest.mark.parametrize("form", [str, in_lines, url_safe])
@pytest.mark.parametrize("data", [SILENCE, SOUND, QUIET], ids=["silence", "sound", "quiet"])
@pytest.mark.parametrize("place", PLACES)
def test_base64_of_any_content_is_recognized_by_its_place(place: str, data: bytes, form: Callable[[str], str]) -> None:
    text = form(base64.b64encode(data).decode())
    found = json.dumps(clean([{"messages": [PLACES[place](text)]}], 10**6))
    assert len(found) < 600
    assert hashlib.sha256(data).hexdigest() in found
    assert str(len(data)) in found


@pytest.mark.parametrize("form", [str, in_lines, url_safe])
def test_base64_of_most_content_is_recognized_anywhere(form: Callable[[str], str]) -> None:
    text = form(base64.b64encode(SOUND).decode())
    found = clean({"anything": [text], "tool": json.dumps({"result": [url_safe(text.replace("\n", ""))]})}, 10**6)
    assert isinstance(found, dict)
    assert found["anything"] == [facts(SOUND)]
    assert len(found["tool"]) < 200 and hashlib.sha256(SOUND).hexdigest() in found["tool"]


def test_text_in_a_place_that_may_hold_something_else_is_left_alone() -> None:
    for place in ({"data": LETTERS["DNA"]}, {"type": "text", "data": LETTERS["DNA"]}, {7: LETTERS["DNA"]}):
        assert clean(place, 10**6) == {str(name): value for name, value in place.items()}


def test_what_cannot_be_decoded_is_measured_as_it_stands() -> None:
    text = base64.b64encode(SOUND).decode().rstrip("=")[-1601:]  # no length that base64 has
    assert media_facts(text) == facts(text.encode())


def test_the_declared_type_is_kept() -> None:
    found = clean({"mimeType": "audio/wav", "data": base64.b64encode(SILENCE).decode()}, LIMIT)
    assert found == {"mimeType": "audio/wav", "data": facts(SILENCE, "audio/wav")}
    odd = clean({"mimeType": 7, "data": base64.b64encode(SILENCE).decode()}, LIMIT)
    assert odd == {"mimeType": 7, "data": facts(SILENCE)}
