"""The comparison still compares. Nothing is installed: of the peers only LiteLLM's own callback takes part."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any, Dict

import pytest

from .scripts import FOLDER, run

COLUMNS = ["async 32 in flight", "sync streams"]


@pytest.mark.timeout(400)  # six interpreters, one after the other, and each imports LiteLLM
def test_ours_keeps_all_when_killed_and_its_cost_is_reported(tmp_path: Path) -> None:
    arguments = ("--peers", "bare,honeyhive,langsmith", "--columns", ",".join(COLUMNS), "--calls", "5", "--rounds", "1")
    printed, result = run("peers.py", *arguments, "--only", "kill", result=tmp_path / "result.json", timeout=350)
    assert set(result["speed"]) == {"bare", "honeyhive", "langsmith"}
    for (sample,) in result["speed"].values():
        assert list(sample) == COLUMNS
        assert all(column["cpu_us"] > 0 for column in sample.values())
    for name in ("honeyhive", "langsmith"):
        (sample,) = result["speed"][name]
        assert [column["kept"] for column in sample.values()] == [5, 5]
    (killed,) = result["faults"].values()
    assert killed["honeyhive"] == {"sent": 5, "kept": 5, "again": 0}
    assert killed["langsmith"]["kept"] < 5  # or this is no comparison any more
    assert "| arrived of 5 | async 32 in flight | sync streams |" in printed
    assert "| kill right after the last call | 5 of 5 |" in printed


@pytest.fixture
def plot(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("plot")


def sample(cpu_us: float, kept: int = 10) -> Dict[str, Dict[str, float]]:
    return {"sync streams": {"cpu_us": cpu_us, "wall_us": 3000.0, "kept": kept}}


RESULT: Dict[str, Any] = {
    "environment": {"litellm": "1.80", "python": "3.11", "cores": 2},
    "calls": 10,
    "columns": ["sync streams"],
    "speed": {
        "bare": [sample(3000.0), sample(3100.0)],
        "honeyhive": [sample(3100.0), sample(3300.0)],
        "other": [sample(3300.0), sample(3600.0)],
        "lossy": [sample(3000.0), sample(3100.0, kept=9)],
    },
    "faults": {"kill": {"honeyhive": {"sent": 10, "kept": 10}, "other": {"sent": 10, "kept": 2}}},
}


def test_the_pictures_tell_what_was_measured(plot: Any) -> None:
    added = plot.added_us(RESULT)["sync streams"]
    assert [(name, compared["beyond"], compared["range"]) for name, compared in added.items()] == [
        ("honeyhive", 150.0, [100.0, 200.0]),
        ("other", 400.0, [300.0, 500.0]),
    ]
    assert plot.kept_percent(RESULT["faults"]["kill"]) == {"honeyhive": 100.0, "other": 20.0}


def test_pictures_are_drawn(plot: Any, tmp_path: Path) -> None:
    (tmp_path / "peers.json").write_text(json.dumps(RESULT), encoding="utf-8")
    plot.main([str(tmp_path / "peers.json"), "--to", str(tmp_path)])
    for name in ("overhead.png", "faults.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
