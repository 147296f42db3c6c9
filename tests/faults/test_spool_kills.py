from __future__ import annotations

import os
from pathlib import Path
from typing import Tuple

import pytest

from tests.benchmarks.scripts import run


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("options", [(), ("--encrypted",)], ids=["plain", "encrypted"])
def test_no_kill_of_a_writing_process_loses_what_it_had_acknowledged_or_damages_the_spool(
    tmp_path: Path, options: Tuple[str, ...]
) -> None:
    _, result = run("kills.py", "--kills", "20", *options, result=tmp_path / "result.json", timeout=250)
    assert result["acknowledged events"] > 50
    assert result["interrupted"] > 0
    zero = ("lost", "of another status", "duplicates", "undelivered", "files with readable content")
    assert [result[name] for name in zero] == [0, 0, 0, 0, 0]
    assert (result["dropped"], result["files left"], result["warnings"]) == ({}, [], [])
