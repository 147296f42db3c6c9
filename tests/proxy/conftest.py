from __future__ import annotations

import sys
from pathlib import Path
from typing import Iterator, Optional

import pytest

from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import has_litellm

WHY_NOT = ""
if sys.version_info < (3, 10):
    WHY_NOT = "before Python 3.10: what LiteLLM's proxy needs there is not among the tests' dependencies"
elif not has_litellm("1.83"):
    WHY_NOT = (
        "before LiteLLM 1.83: its proxy calls no hooks when a worker starts, and loads callbacks from beside its config"
    )


class _Skipped(pytest.Module):
    """A module that is not imported."""

    def collect(self) -> Iterator[pytest.Item]:
        pytest.skip(WHY_NOT, allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> Optional[pytest.Module]:
    return _Skipped.from_parent(parent, path=module_path) if WHY_NOT else None


@pytest.fixture(scope="module")
def honeyhive() -> Iterator[Collector]:
    """The collector of a whole module."""
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def models() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running
