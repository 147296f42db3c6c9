"""Long strings and large events."""

from __future__ import annotations

from typing import Any

from honeyhive_litellm._privacy.sanitize import clean_text
from honeyhive_litellm._privacy.truncate import cut, fit, utf8_size


def test_a_long_text_is_cut_on_a_character_and_marked_with_its_size() -> None:
    text = "é" * 20_000
    result = clean_text(text, 1000)
    assert utf8_size(result) <= 1000
    assert result.endswith("…[truncated: 40000 bytes]")
    assert cut(result, 1000) == result


def test_a_mark_that_does_not_fit_is_cut_itself() -> None:
    assert cut("x" * 100, 5) == "…[t"
    assert cut("x" * 100, 0) == ""


def test_a_large_event_loses_its_longest_strings_first_then_the_middle_of_its_lists_and_then_parts() -> None:
    strings = fit({"event_id": "id", "inputs": {"text": "x" * 9000, "short": "y"}}, 2000)
    assert strings["inputs"] == {"text": cut("x" * 9000, utf8_size(strings["inputs"]["text"])), "short": "y"}  # type: ignore[index]

    lists: Any = fit({"event_id": "id", "inputs": {"list": list(range(3000))}}, 2000)["inputs"]
    assert lists["list"][0] == 0 and lists["list"][-1] == 2999
    assert any(str(item).endswith("items left out>") for item in lists["list"])

    names = {f"name {number}": number for number in range(3000)}
    scalars: Any = fit({"event_id": "id", "metadata": {**names, "nested": {"a": 1}}}, 4000)["metadata"]
    assert scalars["name 0"] == 0 and "name 2999" not in scalars and "nested" not in scalars
    assert scalars["truncated"].startswith("<left out: some of")

    mixed: Any = fit({"event_id": "id", "metadata": {"nested": names, "a": 1}}, 2000)["metadata"]
    assert mixed["a"] == 1 and "nested" not in mixed


def test_at_the_worst_an_event_keeps_its_ids_and_the_beginning_of_its_error() -> None:
    event = {"event_id": "id", "error": "Timeout: " + "x" * 9000, "session_id": "s" * 3000, "inputs": {"a": "b" * 300}}
    fitted = fit(event, 100)

    assert fitted["event_id"] == "id"
    assert str(fitted["error"]).startswith("Timeout: x")
    assert utf8_size(str(fitted["session_id"])) <= 1024
    assert str(fitted["inputs"]["truncated"]).startswith("<left out: ")  # type: ignore[index]


def test_an_event_that_fits_is_not_changed() -> None:
    event = {"event_id": "id", "inputs": {"a": [1, 2, 3]}}
    assert fit(event, 10_000) == event
