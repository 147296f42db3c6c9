"""The fault benchmark still makes the calls, injects the faults, and counts what arrives."""

from __future__ import annotations

from pathlib import Path

import pytest

from .scripts import run


@pytest.mark.timeout(300)  # four interpreters, one after the other, and each imports LiteLLM
def test_a_killed_worker_and_dropped_connections_cost_nothing(tmp_path: Path) -> None:
    chosen = ("--only", "kill -9 after 200 ms", "--only", "dropped, all stored")
    printed, rows = run("faults.py", "--calls", "20", *chosen, result=tmp_path / "rows.json")
    killed, dropped = rows
    for row in rows:
        assert (row["sent"], row["delivered"]) == (20, 20)
        assert (row["duplicates"], row["lost"]) == (0, 0)
    assert dropped["with_text"] == 20  # of the killed one some answers may not be on disk: the machine may be busy
    assert killed["exit_s"] is None
    assert dropped["exit_s"] > 0
    assert printed.splitlines()[0].startswith("| fault | sent |")
    assert f"| kill -9 after 200 ms | 20 | 20 | 0 | 0 | {killed['with_text']} | killed |" in printed
