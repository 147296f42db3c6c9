"""What a relay answers on its port: health, and its own numbers in Prometheus' text format."""

from __future__ import annotations

from typing import Any, Iterator, NamedTuple, Tuple

from honeyhive_litellm._cli.health_server import Answer, alive, text
from honeyhive_litellm._relay.delivery import DestinationState
from honeyhive_litellm._relay.relay import Relay


class _Metric(NamedTuple):
    """One row: the name, the field of a destination's state, and the help text."""

    name: str
    field: str
    doc: str
    is_counter: bool = False


_METRICS = (
    _Metric(
        "honeyhive_relay_delivered_total", "delivered", "Events that HoneyHive took from this relay.", is_counter=True
    ),
    _Metric(
        "honeyhive_relay_dead_total",
        "dead",
        "Messages that became dead letters: HoneyHive refused the event for good, or it is damaged or none.",
        is_counter=True,
    ),
    _Metric("honeyhive_relay_in_hand", "in_hand", "Events that this relay has and has not acknowledged."),
    _Metric(
        "honeyhive_relay_locked",
        "locked",
        "Events that are encrypted with a key that this relay does not have. They stay in the stream.",
    ),
    _Metric(
        "honeyhive_relay_circuit_open",
        "is_circuit_open",
        "1 while HoneyHive takes no events and one batch at a time probes.",
    ),
    _Metric("honeyhive_relay_connected", "is_connected", "1 while this relay is connected to the broker."),
)


class RelayHealth:
    """Answers for one relay. Raises ImportError without `prometheus_client`."""

    def __init__(self, relay: Relay) -> None:
        from prometheus_client import CollectorRegistry

        self._relay = relay
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def answer(self, path: str, accept: str) -> Answer:
        """The answer to a GET of this path."""
        if path == "/livez":
            return alive(self._relay.turned_at)
        if path == "/readyz":
            return self._readyz()
        if path == "/metrics":
            return (200, *self._exposition(accept))
        return text(404, "see /metrics, /livez and /readyz")

    def _readyz(self) -> Answer:
        """Whether the broker can be reached; a destination whose server is down is no fault of this relay."""
        states = self._relay.states()
        apart = [state.name for state in states if not state.is_connected]
        if apart or not states:
            return text(503, f"not connected to the broker: {', '.join(apart) or 'starting'}")
        return text(200, "connected to the broker")

    def collect(self) -> Iterator[Any]:
        """The metrics, for the registry."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        states = self._relay.states()
        for metric in _METRICS:
            family = CounterMetricFamily if metric.is_counter else GaugeMetricFamily
            made = family(metric.name, metric.doc, labels=["destination"])
            for state in states:
                made.add_metric([state.name], _value(state, metric.field))
            yield made

    def _exposition(self, accept: str) -> Tuple[bytes, str]:
        from prometheus_client.exposition import choose_encoder

        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


def _value(state: DestinationState, field: str) -> float:
    return float(getattr(state, field))
