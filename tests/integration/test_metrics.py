"""OpenTelemetry's metrics: the numbers of `stats()` under their names, for a provider that is set before or after."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from honeyhive_litellm import Settings, metrics
from honeyhive_litellm._runtime import batch_durations
from honeyhive_litellm._runtime.lifecycle import runtime_for
from honeyhive_litellm._runtime.metric_table import HISTOGRAM, METRICS, Kind, Reading
from honeyhive_litellm._runtime.otel import Collection
from honeyhive_litellm._spool.record import EVENT
from honeyhive_litellm.testing import Collector

from ..faults.emitter import NoLiteLLM, record
from ..waiting import until

ROWS = {metric.name: metric for metric in METRICS}


def collected(reader: InMemoryMetricReader) -> Dict[str, List[Any]]:
    """The data points of each instrument."""
    data: Any = reader.get_metrics_data()
    if data is None:
        return {}
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
    return {metric.name: list(metric.data.data_points) for scope in scopes for metric in scope.metrics}


def value(found: Dict[str, List[Any]], name: str) -> float:
    (point,) = found[name]
    return float(point.value)


def test_a_process_exports_its_numbers(collector: Collector, tmp_path: Path) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    metrics.register(provider)
    metrics.register(provider)  # changes nothing
    settings = Settings(api_key="hh_key", project="p", api_url=collector.url, spool_path=tmp_path, lookup_delay=0)
    runtime = runtime_for(settings, NoLiteLLM())
    collector.fail(503)
    try:
        for number in range(3):
            runtime.submit(record(EVENT, "run", number))
        until(lambda: value(collected(reader), "honeyhive.delivery.circuit_state") == 1)
        waiting = collected(reader)
        collector.clear()
        assert runtime.flush(20) == 0
        until(lambda: value(collected(reader), "honeyhive.delivery.circuit_state") == 0)
        done = collected(reader)
    finally:
        runtime.shutdown(5)
        provider.shutdown()
    assert set(done) == set(ROWS) - {"honeyhive.events.dropped"}  # nothing was
    names = [f"honeyhive.events.{name}" for name in ("accepted", "delivered", "pending", "dead", "in_flight")]
    assert [value(waiting, name) for name in names] == [3, 0, 3, 0, 0]
    assert [value(done, name) for name in names] == [3, 3, 0, 0, 0]
    assert value(waiting, "honeyhive.delivery.oldest_pending_age") > 0
    assert value(done, "honeyhive.delivery.oldest_pending_age") == 0
    assert value(waiting, "honeyhive.spool.bytes") > 0
    assert value(waiting, "honeyhive.spool.capacity") == settings.spool_max_bytes
    assert value(waiting, "honeyhive.spool.free") > 0
    results = {point.attributes["result"]: point.count for point in done[HISTOGRAM.name]}
    assert results["delivered"] == 1 and results["retry"] >= 1


ORDER = """
import json, sys
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
import honeyhive_litellm.metrics
reader = InMemoryMetricReader()
steps = [lambda: metrics.set_meter_provider(MeterProvider([reader])), honeyhive_litellm.metrics.register]
for step in steps if sys.argv[1] == "before" else reversed(steps):
    step()
from honeyhive_litellm._runtime.batch_durations import note_batch
note_batch(0.1, "delivered")
data = reader.get_metrics_data()
print(json.dumps([m.name for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]))
print("litellm" in sys.modules)
"""


def test_of_a_provider_that_is_gone_nothing_is_kept() -> None:
    def register_and_drop() -> None:
        provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
        for _ in range(2):
            metrics.register(provider)
        assert len(batch_durations._listeners) == before + 1
        batch_durations.note_batch(0.1, "delivered")
        provider.shutdown()

    gc.collect()
    before = len(batch_durations._listeners)
    for _ in range(3):
        register_and_drop()
        gc.collect()
        assert len(batch_durations._listeners) == before


@pytest.mark.parametrize("order", ["before", "after"])
def test_the_sdks_provider_may_be_set_before_or_after(order: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ORDER, order], capture_output=True, text=True, check=True, env={**os.environ}
    )
    names, has_litellm = done.stdout.splitlines()
    # Without a call there is no spool yet.
    assert set(ROWS) - {"honeyhive.events.dropped"} - set(json.loads(names)) == {
        f"honeyhive.spool.{name}" for name in ("bytes", "capacity", "free")
    }
    assert has_litellm == "False"


def test_without_the_api_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ImportError, match=r"pip install 'honeyhive-litellm\[otel\]'"):
        metrics.register()


def test_all_instruments_of_a_collection_have_one_reading() -> None:
    readings = iter(Reading(accepted=number) for number in range(10))
    collection = Collection(lambda: next(readings))
    numbers = [collection.reading_for(name).accepted for name in "abcabcacbb"]
    assert numbers == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("honeyhive.events.accepted", "honeyhive_events_accepted_total"),
        ("honeyhive.events.dead", "honeyhive_events_dead"),
        ("honeyhive.spool.bytes", "honeyhive_spool_bytes"),
        ("honeyhive.spool.capacity", "honeyhive_spool_capacity_bytes"),
        ("honeyhive.delivery.oldest_pending_age", "honeyhive_delivery_oldest_pending_age_seconds"),
        ("honeyhive.delivery.batch.duration", "honeyhive_delivery_batch_duration_seconds"),
    ],
)
def test_prometheus_names_are_those_that_opentelemetry_would_make(name: str, expected: str) -> None:
    assert ROWS[name].prometheus_name == expected


def test_each_row_of_the_table_is_whole() -> None:
    reading = Reading(1, 1, 1, 1, {"age": 1}, 1, 1, 1, 1, 1.0, True)
    for metric in METRICS:
        points: List[Tuple[Dict[str, str], float]] = [] if metric.points is None else metric.points(reading)
        assert bool(points) != (metric.kind is Kind.HISTOGRAM)
        assert metric.doc.endswith(".")
