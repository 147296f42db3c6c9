"""The benchmark of the relay runs, and delivers everything."""

from __future__ import annotations

from pathlib import Path

from .scripts import run


def test_a_relay_delivers_all_that_is_in_the_stream(tmp_path: Path) -> None:
    printed, result = run(
        "relay.py", "--events", "300", "--rounds", "1", "--nodes", "1", result=tmp_path / "result.json"
    )
    (measured,) = result["replicas"]["1"]
    assert measured["events_per_s"] > 0 and measured["cpu_us"] > 0
    assert "replicas of the stream" in printed
