"""The benchmarks of a call still measure what they say. How fast anything is, is not tested: machines differ."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Dict, List

import pytest

from honeyhive_litellm import HoneyHiveLogger

from .scripts import FOLDER, run

MEASURED = {"cpu_us", "own_us", "p50_us", "p99_us", "calls_per_s"}


@pytest.fixture
def overhead(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))  # as for a script
    return importlib.import_module("overhead")


def samples(*cpu_us: float) -> List[Dict[str, float]]:
    return [{"cpu_us": us, "own_us": 0.0, "p50_us": us, "p99_us": us} for us in cpu_us]


def test_the_do_nothing_logger_overrides_what_ours_overrides(overhead: Any) -> None:
    base = vars(HoneyHiveLogger.__mro__[1])
    ours = {name for name in vars(HoneyHiveLogger) if name in base and not name.startswith("_")}
    # An older LiteLLM has neither the deployment hook nor the lines of batches.
    assert ours == {name for name in importlib.import_module("_noop").HOOKS if name in base}


def test_what_is_added_is_measured_against_the_same_round(overhead: Any) -> None:
    # A machine that is twice as slow in the second round slows both: the ratio stays.
    ours, noop = samples(150.0, 300.0, 160.0), samples(100.0, 200.0, 100.0)
    rounds = [{"asyncio": {"3 KB": {"noop": noop[i], "honeyhive": ours[i]}}} for i in range(3)]
    row = overhead.summary(rounds, "asyncio", "3 KB")["honeyhive"]
    assert (row["cpu_us"], row["cpu_us_range"]) == (160.0, [150.0, 300.0])
    assert row["cpu_us_beside_noop"] == {"median": 160.0, "beyond": 60.0, "range": [50.0, 100.0], "ratio": 1.5}


def test_no_round_is_begun_that_would_not_end_in_time(overhead: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overhead, "one_round", lambda *_, **__: {})
    assert len(overhead.rounds(5, 0.0, [], [], [], 1)) == 1
    assert len(overhead.rounds(5, float("inf"), [], [], [], 1)) == 5


@pytest.mark.timeout(300)  # three interpreters, at the same time, and each imports LiteLLM
@pytest.mark.parametrize(
    "loop", [pytest.param(("--concurrency", "0"), id="paced"), pytest.param(("--sync",), id="sync")]
)
def test_a_run_reports_every_number_as_markdown_and_as_json(loop: Any, tmp_path: Path) -> None:
    few = ("--quick", "--calls", "4", "--rounds", "1", "--sizes", "1")
    printed, result = run("overhead.py", *few, *loop, result=tmp_path / "samples.json")
    assert {"cpu", "cores", "python", "litellm", "sqlite"} <= set(result["environment"])
    ((loads),) = result["rounds"][0].values()
    names = {"first", "1 KB, 1 in flight", "1 KB, 32 in flight"} if "--sync" in loop else {"first", "1 KB, 100 calls/s"}
    assert set(loads) == names
    for load in names - {"first"}:
        stalls = set() if "--sync" in loop else {"stall_p99_ms", "stall_max_ms"}
        assert set(loads[load]["noop"]) == MEASURED | stalls
        assert set(loads[load]["honeyhive"]) == MEASURED | stalls | {"committed_ms"}
        assert all(value > 0 for value in loads[load]["honeyhive"].values())
        assert f"**{load}, {'sync' if '--sync' in loop else 'asyncio'}**" in printed
    assert "| honeyhive |" in printed
    assert "| first call of a process |" in printed


@pytest.mark.timeout(300)
def test_each_hook_is_timed_and_the_way_to_the_disk(tmp_path: Path) -> None:
    printed, result = run("hooks.py", "--calls", "4", result=tmp_path / "hooks.json")
    assert {name.split()[0] for name in result["hooks"]} >= {"log_pre_api_call", "async_log_success_event"}
    assert all(hook["calls"] == 4 for hook in result["hooks"].values())
    assert set(result["commits"]) == {"start", "event"}
    assert "| log_pre_api_call" in printed


@pytest.mark.timeout(300)
def test_import_and_exit_are_timed(tmp_path: Path) -> None:
    printed, result = run("ends.py", "--rounds", "1", result=tmp_path / "ends.json")
    assert result["import_ms"] > 0
    assert set(result["exit_s"]) == {"noop", "honeyhive"}
    assert "`import honeyhive_litellm`" in printed


@pytest.mark.timeout(300)  # four interpreters
def test_cost_and_memory_are_reported_step_by_step(tmp_path: Path) -> None:
    steps = ("--backlog", "200", "--memory", "9", "--in-flight", "1,5", "--size", "100")
    printed, result = run("growth.py", "--calls", "5", "--rounds", "1", *steps, result=tmp_path / "growth.json")
    for what, expected in (("backlog", {"200"}), ("in flight", {"1", "5"}), ("size", {"100"})):
        assert set(result[what]) == expected
        for step in result[what].values():
            assert [len(step[name]) for name in ("noop", "honeyhive")] == [1, 1]
            assert step["honeyhive"][0]["cpu_us"] > 0
    assert result["memory"]["9"]["honeyhive"] > 2**20
    assert "| 200 |" in printed
    assert "| calls made |" in printed
