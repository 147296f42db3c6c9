"""The benchmark of a fleet's faults runs, and nothing is lost or doubled."""

from __future__ import annotations

from pathlib import Path

from .scripts import run


def test_publishers_that_are_killed_lose_and_double_nothing(tmp_path: Path) -> None:
    printed, result = run(
        "fleet_faults.py", "--quick", "--events", "600", "--only", "publishers", result=tmp_path / "result.json"
    )
    (row,) = result["rows"]
    assert row["events"] == row["wanted"] == 600
    assert (row["lost"], row["doubled"], row["dead"], row["is_balanced"]) == (0, 0, 0, True)
    assert "publishers are killed" in printed
