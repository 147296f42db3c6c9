"""Which sink the settings name. A new kind of sink gets a line here."""

from __future__ import annotations

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._delivery.sink import Sink

from .honeyhive import HoneyHiveSink


def sink_for(settings: Settings) -> Sink:
    """The sink for these settings; nothing is connected yet. Close it with `aclose`."""
    return HoneyHiveSink(
        settings.api_url,
        settings.api_key,
        lookup_api_key=settings.lookup_api_key,
        project=settings.project,
        source=settings.environment,
        timeout_s=settings.request_timeout,
    )
