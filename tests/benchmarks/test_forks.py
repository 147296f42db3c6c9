"""A child that is forked right after calls ends in time, and each call of parent and child has its event."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ..versions import needs_litellm, needs_python
from .scripts import run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@needs_python((3, 9), "asyncio.run leaves the threads of its loop's executor behind, which a fork would miss")
@needs_litellm("1.80", "it logs sync calls in another way")
def test_a_fork_after_the_first_call_of_a_process_costs_neither_a_call_nor_the_end_of_the_child(tmp_path: Path) -> None:
    _, rows = run("forks.py", "--forks", "1", "--before", "1", "--at-once", "6", result=tmp_path / "rows.json")
    assert len(rows) == 12  # with and without a pause, sync and async, three ways to end
    for row in rows:
        assert row["success"] + row["interrupted"] == row["calls"] == 2
        assert row["interrupted"] == 0 or row["cell"]["ending"] == "_exit"
