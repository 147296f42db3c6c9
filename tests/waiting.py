"""Waiting, with a deadline, for what the package does on its own thread."""

from __future__ import annotations

import time

import honeyhive_litellm

PATIENCE_S = 20.0


def until_committed(events: int) -> None:
    """Return when so many events, and all that were accepted, are on disk."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        honeyhive_litellm.flush(0.1)  # waits for what LiteLLM still has to tell, too
        stats = honeyhive_litellm.stats()
        if stats.committed == stats.accepted == events:
            return
        assert time.monotonic() < deadline, stats
