from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# Before anything imports LiteLLM: its price map comes with it and is not to be fetched.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from honeyhive_litellm import _log

# No property here is a matter of time: the machines are shared, and the first run of a checkout fills caches.
settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")


@pytest.fixture(autouse=True)
def _nothing_was_said_yet() -> None:
    """The log says a thing once a minute; each test starts a new minute."""
    _log.reset()
