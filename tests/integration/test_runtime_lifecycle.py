"""The numbers of all runtimes of a process, when one is replaced by another."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from honeyhive_litellm import Settings
from honeyhive_litellm._capture import tenure
from honeyhive_litellm._runtime.lifecycle import retire, runtime_for, shutdown_all, stats_of_all
from honeyhive_litellm._spool.record import EVENT
from honeyhive_litellm.testing import Collector

from ..faults.emitter import NoLiteLLM, record
from ..waiting import PATIENCE_S, until


def test_a_runtime_that_is_closed_late_counts_before_the_shutdown_and_not_after(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def settings(project: str) -> Settings:
        return Settings(api_key="hh_key", project=project, api_url=collector.url, spool_path=tmp_path, lookup_delay=0)

    monkeypatch.setattr(tenure, "GRACE_S", 0)
    has_begun, may_go_on = threading.Event(), threading.Event()

    def calls_ended() -> None:
        has_begun.set()
        assert may_go_on.wait(PATIENCE_S)

    first = runtime_for(settings("first"), NoLiteLLM())
    try:
        for number in range(3):
            first.submit(record(EVENT, "first", number))
        first.recorder.tenure.end()
        retire(first, calls_ended)
        assert has_begun.wait(PATIENCE_S)
        assert shutdown_all(PATIENCE_S) == 0
        assert stats_of_all().delivered == 3
        second = runtime_for(settings("second"), NoLiteLLM())
        second.submit(record(EVENT, "second", 1))
        may_go_on.set()
        until(lambda: not any(thread.name == "honeyhive-litellm-replaced" for thread in threading.enumerate()))
        assert stats_of_all().accepted == 1
    finally:
        may_go_on.set()
        shutdown_all(PATIENCE_S)
