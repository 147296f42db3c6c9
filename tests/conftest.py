from __future__ import annotations

import os

import pytest

# Before anything imports LiteLLM: its price map comes with it and is not to be fetched.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from honeyhive_litellm import _log


@pytest.fixture(autouse=True)
def _nothing_was_said_yet() -> None:
    """The log says a thing once a minute; each test starts a new minute."""
    _log.reset()
