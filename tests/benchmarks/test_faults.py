"""The fault benchmark still makes the calls, injects the faults, and counts what arrives."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..versions import has_litellm
from .scripts import run

# Before 1.80 LiteLLM has no hook before an async call returns, so that `strict` cannot wait.
KILL = "kill -9 at 0 ms, strict" if has_litellm("1.80") else "kill -9 after 2 s"


@pytest.mark.timeout(300)  # four interpreters, one after the other, and each imports LiteLLM
def test_a_killed_worker_and_dropped_connections_cost_nothing(tmp_path: Path) -> None:
    chosen = ("--only", KILL, "--only", "dropped, all stored")
    printed, rows = run("faults.py", "--calls", "20", *chosen, result=tmp_path / "rows.json")
    killed, dropped = rows
    for row in rows:
        assert (row["sent"], row["delivered"]) == (20, 20)
        assert (row["duplicates"], row["lost"]) == (0, 0)
        assert row["with_text"] == 20
    assert killed["exit_s"] is None
    assert dropped["exit_s"] > 0
    assert printed.splitlines()[0].startswith("| fault | sent |")
    assert f"| {KILL} | 20 | 20 | 0 | 0 | 20 | killed |" in printed
