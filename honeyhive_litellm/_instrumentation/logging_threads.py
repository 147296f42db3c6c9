"""LiteLLM's pools of logging threads, which do not survive a fork."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import List

from honeyhive_litellm._fork import Part, on_fork

# LiteLLM has one pool; older versions (1.53) have one for calls and another for streams.
_POOL_MODULES = ("litellm_core_utils.thread_pool_executor", "utils", "litellm_core_utils.streaming_handler")


def logging_pools() -> List[ThreadPoolExecutor]:
    """LiteLLM's pools, each once; empty for a version that logs in another way."""
    modules = [sys.modules.get(f"litellm.{name}") for name in _POOL_MODULES]
    pools = {id(pool): pool for pool in (getattr(module, "executor", None) for module in modules)}
    return [pool for pool in pools.values() if isinstance(pool, ThreadPoolExecutor)]


def revive_after_fork() -> None:
    """In every child that is forked from now on: let LiteLLM's pools start threads again."""
    on_fork(Part.LITELLM, after_in_child=_revive)


def _revive() -> None:
    """In a forked child.

    A copied pool counts the parent's threads as its own and starts none, so that no callback of a sync call would run.
    What is in its queue is the parent's to log. Each pool stays the same object: LiteLLM's modules have imported it by
    name.
    """
    for pool in logging_pools():
        state = vars(pool)
        ThreadPoolExecutor.__init__(pool, state["_max_workers"], state["_thread_name_prefix"])
        if "_max_pending_tasks" in state:  # newer versions limit what is queued
            state["_pending_slots"] = threading.Semaphore(state["_max_pending_tasks"])
            state["_drop_lock"] = threading.Lock()
