"""The benchmark of a broker still measures what it says, on a few events. How fast it is, is not tested."""

from __future__ import annotations

from pathlib import Path

from .scripts import run


def test_a_spool_is_published_in_full(tmp_path: Path) -> None:
    printed, result = run(
        "broker.py", "--events", "200", "--rounds", "1", "--nodes", "1", result=tmp_path / "result.json"
    )
    ((sample,),) = result["replicas"].values()
    assert sample["events_per_s"] > 0 and sample["cpu_us"] > 0
    assert "| 1 |" in printed
