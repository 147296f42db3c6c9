"""OpenTelemetry's instruments over this process's numbers. Needs `opentelemetry-api`; nothing here is per call."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any, Callable, Iterable, Optional
from weakref import WeakSet

from honeyhive_litellm._version import __version__

from .batch_durations import listen, unlisten
from .lifecycle import reading_of_all
from .metric_table import BUCKETS_S, HISTOGRAM, METRICS, Kind, Metric, Reading, plain

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

_METER = "honeyhive_litellm"

_registered: WeakSet[Any] = WeakSet()
"""The providers that have the instruments."""

_is_global_registered = False


def create_instruments(provider: Optional[MeterProvider]) -> None:
    """Create the instruments, once for each provider; None is the global one, set already or later."""
    try:
        from opentelemetry import metrics
    except ImportError as error:
        raise ImportError("the metrics need OpenTelemetry: pip install 'honeyhive-litellm[otel]'") from error

    global _is_global_registered
    if _is_global_registered if provider is None else provider in _registered:
        return
    if provider is None:
        _is_global_registered = True
    else:
        _registered.add(provider)
    collection = Collection(reading_of_all)
    meter = metrics.get_meter(_METER, __version__, provider)
    for metric in METRICS:
        if metric is not HISTOGRAM:
            _observe(meter, metric, collection)
    # Older versions of the API take no bounds; then the SDK's own ones hold.
    try:
        histogram = meter.create_histogram(
            HISTOGRAM.name, HISTOGRAM.unit, plain(HISTOGRAM.doc), explicit_bucket_boundaries_advisory=BUCKETS_S
        )
    except TypeError:
        histogram = meter.create_histogram(HISTOGRAM.name, HISTOGRAM.unit, plain(HISTOGRAM.doc))

    def record(seconds: float, result: str, destination: Optional[str]) -> None:
        attributes = {"result": result}
        histogram.record(seconds, attributes if destination is None else {**attributes, "destination": destination})

    listen(record)
    if provider is not None:
        weakref.finalize(provider, unlisten, record)


class Collection:
    """Gives all instruments the same reading during one collection, so that their sum holds.

    An SDK collects instrument by instrument, on one thread for each reader. The first instrument that comes a second
    time begins a new collection.
    """

    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read
        self._local = threading.local()

    def reading_for(self, name: str) -> Reading:
        """The reading of the collection that the instrument `name` takes part in."""
        local = self._local
        if name in getattr(local, "served", {name}):
            local.reading, local.served = self._read(), set()
        local.served.add(name)
        reading: Reading = local.reading
        return reading


def _observe(meter: Meter, metric: Metric, collection: Collection) -> None:
    from opentelemetry.metrics import Observation

    def callback(_options: CallbackOptions) -> Iterable[Observation]:
        reading = collection.reading_for(metric.name)
        return [Observation(value, attributes) for attributes, value in metric.points_of(reading)]

    create = {
        Kind.COUNTER: meter.create_observable_counter,
        Kind.UP_DOWN_COUNTER: meter.create_observable_up_down_counter,
        Kind.GAUGE: meter.create_observable_gauge,
    }[metric.kind]
    create(metric.name, [callback], metric.unit, plain(metric.doc))
