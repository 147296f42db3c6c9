"""Base64 media."""

from __future__ import annotations

import base64

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


@pytest.mark.parametrize(
    "text",
    ["data:image/png,not base64", "short", "a" * 5000, "Words and blanks. " * 500, "aB" * 600 + "é", "aB" * 600 + "!"],
)
def test_text_that_is_no_media_is_left_alone(text: str) -> None:
    assert media_facts(text) is None


def test_what_cannot_be_decoded_is_measured_as_it_stands() -> None:
    text = "aB" * 600 + "a"  # 1201 characters: no length that base64 has
    assert media_facts(text) == facts(text.encode())
