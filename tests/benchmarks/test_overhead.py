"""The benchmark still measures what it says. How fast anything is, is not tested: machines differ."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any, Dict, List

import pytest

from honeyhive_litellm import HoneyHiveLogger

PATH = Path(__file__).parents[2] / "benchmarks" / "overhead.py"
MEASURED = {"cpu_us", "p50_us", "p99_us", "stall_p99_ms", "stall_max_ms", "calls_per_s"}


@pytest.fixture
def overhead(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(PATH.parent))  # as for a script
    spec = importlib.util.spec_from_file_location("overhead", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def samples(*cpu_us: float) -> List[Dict[str, float]]:
    return [{"cpu_us": us, "p50_us": us, "p99_us": us, "stall_p99_ms": 1.0, "stall_max_ms": 2.0} for us in cpu_us]


def test_the_do_nothing_logger_overrides_what_ours_overrides(overhead: Any) -> None:
    base = vars(HoneyHiveLogger.__mro__[1])
    ours = {name for name in vars(HoneyHiveLogger) if name in base and not name.startswith("_")}
    assert ours == set(overhead.HOOKS)


def test_what_is_added_is_told_against_the_same_round(overhead: Any) -> None:
    # A machine that is twice as slow in the second round slows both: the ratio stays.
    ours, noop = samples(150.0, 300.0, 160.0), samples(100.0, 200.0, 100.0)
    rounds = [{name: {"[3, 1]": noop[i]} for name in overhead.CONFIGURATIONS} for i in range(3)]
    for number, sample in enumerate(ours):
        rounds[number]["honeyhive"] = {"[3, 1]": sample}
    row = overhead.summary(rounds, "[3, 1]")["honeyhive"]
    assert (row["cpu_us"], row["cpu_us_range"]) == (160.0, [150.0, 300.0])
    assert (row["cpu_us_beyond_noop"], row["cpu_us_beyond_noop_range"]) == (60.0, [50.0, 100.0])
    assert row["cpu_us_to_noop"] == 1.5


def test_no_round_is_begun_that_would_not_end_in_time(overhead: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overhead, "run", lambda *_, **__: {})
    assert len(overhead.rounds(5, 1, [(3, 1)], ends=0.0)) == 1
    assert len(overhead.rounds(5, 1, [(3, 1)], ends=float("inf"))) == 5


@pytest.mark.timeout(400)  # six interpreters, one after the other, and each imports LiteLLM
def test_a_run_reports_every_number_as_markdown_and_as_json(
    overhead: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("bare", "honeyhive, no in-flight records"):
        monkeypatch.delitem(overhead.CONFIGURATIONS, name)
    file = tmp_path / "samples.json"

    overhead.main(
        ["--calls", "4", "--rounds", "1", "--sizes", "1", "--concurrency", "2", "--hooks", "--json", str(file)]
    )

    told = json.loads(file.read_text(encoding="utf-8"))
    assert {"cpu", "cores", "python", "litellm", "sqlite"} <= set(told["environment"])
    (measured,) = told["rounds"]
    assert set(measured["noop"]["[1, 2]"]) == MEASURED
    for name in ("honeyhive", "honeyhive, backend down"):
        sample = measured[name]["[1, 2]"]
        assert set(sample) == MEASURED | {"committed_ms"}
        assert all(value >= 0 for value in sample.values())
    assert {name.split()[0] for name in told["hooks"]} <= set(overhead.HOOKS)
    assert any(hook["per_call"] == 1 for hook in told["hooks"].values())
    assert set(told["commits"]) == {"start", "event"}
    assert set(told["exit_s"]) == {"noop", "honeyhive"}

    printed = capsys.readouterr().out
    assert "| honeyhive, backend down |" in printed
    assert "| log_pre_api_call" in printed
    assert "`import honeyhive_litellm`" in printed
