from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_benchmark_measures_every_configuration(tmp_path: Path) -> None:
    report = tmp_path / "samples.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "overhead.py"), "--rounds", "1", "--calls", "5"]
    done = subprocess.run([*command, "--json", str(report)], capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr[-4000:]
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    samples = json.loads(report.read_text())["samples"]
    assert list(samples) == ["bare", "noop", "honeyhive", "honeyhive, backend down"]
    assert len(rows) == 1 + len(samples)
    for (sample,) in samples.values():
        assert set(sample) == {"cpu_us", "p50_us", "p99_us", "stall_p99_us"}
        assert sample["cpu_us"] > 0 and sample["p50_us"] > 0
