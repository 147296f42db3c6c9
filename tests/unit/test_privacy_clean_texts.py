"""Bounded memories: what they forget is searched again."""

from __future__ import annotations

from typing import Any

import pytest

from honeyhive_litellm._mapping.parameters import _is_parameter
from honeyhive_litellm._mapping.provider import origin
from honeyhive_litellm._privacy import sanitize
from honeyhive_litellm._privacy.clean_texts import CleanTexts
from honeyhive_litellm._privacy.pii import CREDENTIALS, NAMES, kind
from honeyhive_litellm._privacy.sanitize import clean
from honeyhive_litellm._privacy.secret_names import is_secret_header, is_secret_name


def test_a_credential_is_redacted_each_time_it_recurs() -> None:
    message = {"content": "my key is sk-proj-abcdefgh12345678, and this is a text that was not said before"}
    first, *others = [clean(message, 1000) for _ in range(3)]
    assert "sk-proj" not in str(first) and "[redacted: api key]" in str(first)
    assert others == [first, first]


def test_texts_that_recur_are_remembered_and_others_are_forgotten() -> None:
    clean_texts = CleanTexts(max_chars=20_000)
    clean_texts.add(["a system prompt"])
    for number in range(1000):
        assert clean_texts.unsearched(["a system prompt"]) == []
        clean_texts.add([f"question {number}"])
    assert clean_texts.unsearched(["question 0", "question 999"]) == ["question 0"]


def test_the_memory_is_bounded() -> None:
    clean_texts = CleanTexts(max_chars=20_000)
    texts = [f"{number} " + "x" * 1000 for number in range(100)]
    for text in texts:
        clean_texts.add([text])
    left = len(texts) - len(clean_texts.unsearched(texts))
    assert 5 <= left <= 20


def test_a_text_larger_than_the_memory_is_not_remembered() -> None:
    memory = CleanTexts(max_chars=2000)
    memory.add(["x" * 2000])
    assert memory.unsearched(["x" * 2000]) == ["x" * 2000]


def test_a_forgotten_text_and_a_forgotten_name_are_searched_again() -> None:
    value = {"plain name": "a text", "api_key": "plain word", "content": "the key sk-proj-abcdefgh12345678"}
    before = sanitize.clean(value, 1000)
    for number in range(6000):  # more than the names that are remembered, and than both generations of texts
        sanitize.clean({f"name {number}": f"text {number} " + "x" * 600}, 1000)

    assert len(sanitize._clean_names) <= sanitize._MAX_CLEAN_NAMES
    assert sanitize._clean_texts.unsearched(["a text"]) == ["a text"]
    assert sanitize.clean(value, 1000) == before
    assert before == {
        "plain name": "a text",
        "api_key": "[redacted]",
        "content": "the key [redacted: api key]",
    }


@pytest.mark.parametrize(
    ("function", "kept", "expected"),
    [
        (is_secret_name, "api_key", True),
        (is_secret_header, "x-signature", True),
        (_is_parameter, "temperature", True),
        (origin, "https://user:pass@host/path", "https://host"),
    ],
)
def test_a_cached_answer_is_the_same_after_the_cache_has_forgotten_it(
    function: Any, kept: str, expected: object
) -> None:
    assert function(kept) == expected
    limit = function.cache_info().maxsize
    for number in range(limit + 1):
        function(f"https://{number}")
    misses = function.cache_info().misses

    assert function.cache_info().currsize == limit
    assert function(kept) == expected
    assert function.cache_info().misses == misses + 1


def test_the_only_cache_without_a_limit_has_one_entry_for_each_kind() -> None:
    with pytest.raises(KeyError):
        kind("unheard of")
    for name in NAMES:
        if name not in CREDENTIALS:
            kind(name)
    assert kind.cache_info().currsize == len(NAMES) - len(CREDENTIALS)
