from __future__ import annotations

import pytest

from honeyhive_litellm import _log


@pytest.fixture(autouse=True)
def _nothing_was_said_yet() -> None:
    """The log says a thing once a minute; each test starts a new minute."""
    _log.reset()
