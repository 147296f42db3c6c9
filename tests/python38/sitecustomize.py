"""On Python 3.8, for the tests and the programs they start: `asyncio.run` ends, and cryptography does not warn.

LiteLLM 1.80.0's worker may swallow its cancellation there, and then `asyncio.run` waits for it for ever: a program of
one mocked call hangs with LiteLLM alone. So it is cancelled again.
"""

from __future__ import annotations

import asyncio
import asyncio.runners
import warnings
from typing import Any, Set


def _cancel_all_tasks(loop: asyncio.AbstractEventLoop) -> None:
    tasks: Set[asyncio.Task[Any]] = asyncio.all_tasks(loop)
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = loop.run_until_complete(asyncio.wait(tasks, timeout=1))


asyncio.runners._cancel_all_tasks = _cancel_all_tasks  # type: ignore[attr-defined]
warnings.filterwarnings("ignore", "Python 3.8 is no longer supported", UserWarning)
