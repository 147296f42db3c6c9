from __future__ import annotations

from typing import Iterator

import pytest

from honeyhive_litellm.testing import ModelServer


@pytest.fixture
def models() -> Iterator[ModelServer]:
    """A provider on loopback. Files whose calls leave LiteLLM's connections open have one that closes them."""
    with ModelServer() as running:
        yield running
