from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest

import honeyhive_litellm
from honeyhive_litellm.testing import Collector


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
