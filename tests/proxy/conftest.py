from __future__ import annotations

import sys
from typing import Iterator

import pytest

from honeyhive_litellm.testing import Collector, ModelServer

# What the LiteLLM of older Pythons (1.83 and older) needs for its proxy is not among our test dependencies.
collect_ignore_glob = ["test_*.py"] if sys.version_info < (3, 10) else []


@pytest.fixture(scope="module")
def told() -> Iterator[Collector]:
    """HoneyHive, for a whole module."""
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def models() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running
