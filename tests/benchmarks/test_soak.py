"""The soak still makes calls, kills, and counts; the minutes are left to `make soak`."""

from __future__ import annotations

from pathlib import Path

import pytest

from .scripts import run


@pytest.mark.timeout(400)  # half a dozen interpreters, two at a time, and each imports LiteLLM
def test_a_few_seconds_of_bad_weather_lose_nothing(tmp_path: Path) -> None:
    arguments = ("--seconds", "8", "--workers", "2", "--calls-per-s", "40", "--kill-every-s", "3", "--seed", "1")
    _, result = run("soak.py", *arguments, result=tmp_path / "result.json", timeout=350)
    assert result["kills"] > 0
    assert result["calls that returned"] > 0
    assert result["events"] >= result["calls that returned"]
    assert (result["lost"], result["duplicates"], result["warnings"]) == (0, 0, {})
