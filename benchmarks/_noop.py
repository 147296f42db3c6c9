"""The callback that does nothing: what any callback costs, LiteLLM's own work for it included."""

from __future__ import annotations

from typing import Any, Type

HOOKS = (
    "log_pre_api_call",
    "log_post_api_call",
    "log_success_event",
    "log_failure_event",
    "async_log_success_event",
    "async_log_failure_event",
    "async_post_call_success_deployment_hook",
    "async_log_batch_line_items",
)
"""What our logger overrides, and therefore this one too."""


def noop_logger(base: Type[Any]) -> Any:
    """An instance of a subclass of LiteLLM's `CustomLogger`."""

    def nothing(*_: Any, **__: Any) -> None:
        pass

    async def nothing_async(*_: Any, **__: Any) -> None:
        pass

    return type("Noop", (base,), {name: nothing_async if name.startswith("async") else nothing for name in HOOKS})()
