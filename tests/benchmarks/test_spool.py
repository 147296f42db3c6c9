"""The benchmarks of the spool still measure what they say, on a few events. How fast it is, is not tested."""

from __future__ import annotations

from pathlib import Path

from .scripts import run


def test_each_writer_commits_all_and_is_measured(tmp_path: Path) -> None:
    tiny = ("--sizes", "1", "--processes", "2", "--events", "200", "--alone", "3", "--rounds", "1")
    printed, result = run("spool.py", *tiny, result=tmp_path / "result.json")
    (samples,) = result["loads"].values()
    assert set(samples) == {"spool", "encrypted", "executemany", "file"}
    for (sample,) in samples.values():
        assert set(sample) == {"events_per_s", "cpu_us", "p50_us", "p99_us"}
        assert sample["events_per_s"] > 0
        assert 0 < sample["p50_us"] <= sample["p99_us"]
    assert "| 1 | 2 | executemany |" in printed
    assert {"cpu", "cores", "python", "sqlite"} <= set(result["environment"])


def test_both_senders_deliver_to_both_backends(tmp_path: Path) -> None:
    printed, result = run("drain.py", "--events", "300", "--rounds", "1", result=tmp_path / "result.json")
    assert set(result["backends"]) == {"collector", "counts only"}
    for senders in result["backends"].values():
        for (sample,) in senders.values():
            assert sample["events_per_s"] > 0
    assert "| collector | honeyhive |" in printed
    assert "| counts only | aiohttp |" in printed


def test_a_backlog_is_drained_in_full_and_leaves_no_disk_space_taken(tmp_path: Path) -> None:
    printed, result = run("backlog.py", "--events", "2000", result=tmp_path / "result.json")
    small, large = result["runs"]
    assert (small["events"], large["events"]) == (1000, 2000)
    for measured in (small, large):
        assert measured["disk_full_bytes"] > measured["events"] * 1024
        assert measured["disk_empty_bytes"] < 200_000
        assert 0 < measured["first_post_s"] <= measured["drain_s"]
        assert measured["peak_bytes"] >= measured["added_bytes"] > 0
    assert "| 2,000 |" in printed
