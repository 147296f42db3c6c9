"""What the parts of the pipeline need of the settings."""

from __future__ import annotations

from honeyhive_litellm._config.settings import DROP_NEWEST, Settings
from honeyhive_litellm._spool.limits import Limits


def limits_of(settings: Settings) -> Limits:
    return Limits(
        max_bytes=settings.spool_max_bytes,
        max_age_s=settings.spool_max_age,
        min_free_bytes=settings.spool_min_free_bytes,
        drops_newest=settings.spool_policy == DROP_NEWEST,
    )
