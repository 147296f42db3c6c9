"""Base64 becomes digest, type and size, whatever it holds; ordinary text of letters stays."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from typing import Any, Callable

from hypothesis import given
from hypothesis import strategies as st

from honeyhive_litellm._privacy.sanitize import clean

UNCUT = 10**7


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).getrandbits(8 * size).to_bytes(size, "big")


CONTENTS = st.one_of(
    st.builds(noise, st.integers(), st.integers(900, 4000)),
    st.builds(lambda piece, times: piece * times, st.binary(min_size=1, max_size=40), st.integers(1000, 3000)),
    st.builds(
        lambda quiet, seed: quiet * 4000 + noise(seed, 2000),
        st.sampled_from([b"\0", b"\xff", b"\x7f", b"\x80\0"]),
        st.integers(),
    ),
)
FORMS = st.sampled_from(
    [
        lambda data: base64.b64encode(data).decode(),
        lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
        lambda data: base64.encodebytes(data).decode(),
    ]
)
PLACES = st.sampled_from(
    [
        lambda text: {"input_audio": {"data": text, "format": "wav"}},
        lambda text: {"inline_data": {"mime_type": "image/png", "data": text}},
        lambda text: {"source": {"type": "base64", "media_type": "image/png", "data": text}},
        lambda text: {"file": {"file_data": text}},
        lambda text: [{"b64_json": text}],
        lambda text: {"source": {"bytes": text}},
        lambda text: {"url": "data:image/png;base64," + text},
        lambda text: "text data:image/png;base64," + text,
    ]
)
ALPHABETS = st.sampled_from(
    ["ACGT", "ACGTacgtN", "0123456789abcdef", "0123456789ABCDEF", "ACDEFGHIKLMNPQRSTVWY", "a", "01", "0123456789",
     "abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"]
)  # fmt: skip
SEQUENCES = st.builds(
    lambda letters, seed, size: "".join(random.Random(seed).choices(letters, k=size)),
    ALPHABETS,
    st.integers(),
    st.integers(1024, 5000),
)
PHRASES = st.builds(
    lambda words, between, seed: between.join(random.Random(seed).choices(words, k=600)),
    st.lists(st.sampled_from(["The", "quick", "Brown", "fox", "over_the", "Dog", "Http", "Server", "lib"]), min_size=2),
    st.sampled_from(["", "/", "-", "_", "\n", " "]),
    st.integers(),
)


@given(CONTENTS, FORMS, PLACES)
def test_base64_in_its_place_becomes_digest_and_size(
    data: bytes, form: Callable[[bytes], str], place: Callable[[str], Any]
) -> None:
    found = json.dumps(clean({"messages": [place(form(data))]}, UNCUT))
    assert len(found) < 400
    assert hashlib.sha256(data).hexdigest() in found
    assert str(len(data)) in found


@given(st.integers(), st.integers(900, 20_000), FORMS)
def test_base64_of_mixed_content_becomes_that_anywhere(seed: int, size: int, form: Callable[[bytes], str]) -> None:
    data = noise(seed, size)
    found = clean({"result": [form(data)], "text": "see " + base64.b64encode(data).decode()}, UNCUT)
    assert len(json.dumps(found)) < 500
    assert json.dumps(found).count(hashlib.sha256(data).hexdigest()) == 2


@given(st.one_of(SEQUENCES, PHRASES))
def test_text_of_letters_stays(text: str) -> None:
    for value in ({"content": text}, [text], f"<{text}>"):
        assert clean(value, UNCUT) == value
