"""Which sink the settings name. A new kind of sink gets a line here."""

from __future__ import annotations

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._delivery.sink import Sink
from honeyhive_litellm._privacy.cipher import cipher_of
from honeyhive_litellm._version import __version__

from .honeyhive import HoneyHiveSink


def sink_for(settings: Settings) -> Sink:
    """The sink for these settings; nothing is connected yet. Close it with `aclose`."""
    access = settings.broker_access
    if access is not None:
        from .nats import NatsSink  # its client is an extra

        return NatsSink(
            access,
            destination=settings.broker_destination,
            project=settings.project,
            client_name=f"honeyhive-litellm {__version__}",
            cipher=cipher_of(settings.spool_key),
        )
    return HoneyHiveSink(
        settings.api_url,
        settings.api_key,
        lookup_api_key=settings.lookup_api_key,
        project=settings.project,
        source=settings.environment,
        timeout_s=settings.request_timeout,
    )
