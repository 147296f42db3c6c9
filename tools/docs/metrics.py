"""The table of metrics, from the code that exports them."""

from __future__ import annotations

from honeyhive_litellm._runtime.metric_table import METRICS

_UNITS = {"{event}": "events", "{call}": "calls", "By": "bytes", "s": "seconds", "1": "-"}


def table() -> str:
    """One row for each metric."""
    lines = ["| OpenTelemetry | Prometheus | kind | unit | meaning |", "|---|---|---|---|---|"]
    for metric in METRICS:
        names = f"`{metric.name}` | `{metric.prometheus_name}`"
        lines.append(f"| {names} | {metric.kind.value} | {_UNITS[metric.unit]} | {metric.doc} |")
    return "\n".join(lines) + "\n"
