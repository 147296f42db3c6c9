"""OpenTelemetry metrics of this process: `honeyhive_litellm.metrics.register()`.

Needs the extra `otel`: `pip install 'honeyhive-litellm[otel]'`. That is OpenTelemetry's API alone; the SDK and its
exporter are the application's choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

__all__ = ["register"]


def register(meter_provider: Optional[MeterProvider] = None) -> None:
    """Export this process's numbers as OpenTelemetry metrics.

    Without `meter_provider` the global provider is used, whether it is set before or after this call. Doing it again
    for the same provider changes nothing. The instruments are read when the SDK collects, so a call of LiteLLM costs
    nothing more. Raises ImportError if `opentelemetry-api` is not installed.
    """
    from ._runtime.otel import create_instruments

    create_instruments(meter_provider)
