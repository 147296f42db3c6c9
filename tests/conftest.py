from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator

import pytest
from hypothesis import HealthCheck, settings

# Before anything imports LiteLLM: its price map comes with it and is not to be fetched.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import honeyhive_litellm
from honeyhive_litellm import _log
from honeyhive_litellm.testing import Collector

# No property here is a matter of time: the machines are shared, and the first run of a checkout fills caches.
settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")


@pytest.fixture(autouse=True)
def _nothing_was_said_yet() -> None:
    """The log says a thing once a minute; each test starts a new minute."""
    _log.reset()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture
def traced(collector: Collector, tmp_path: Path) -> Iterator[Collector]:
    """The package at work in this very process."""
    honeyhive_litellm.init(api_key="hh_key", project="tests", api_url=collector.url, spool_path=tmp_path)
    yield collector
    honeyhive_litellm.shutdown(5)
