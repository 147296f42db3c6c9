"""LiteLLM's Proxy: its documented configuration, in which the name `honeyhive` stands for this package.

    litellm_settings:
      callbacks: ["honeyhive"]
      honeyhive_api_key: os.environ/HONEYHIVE_API_KEY
      honeyhive_project: "my-project"

`honeyhive-litellm proxy --config config.yaml` starts the proxy with that name known. So does `litellm` itself with
`LITELLM_WORKER_STARTUP_HOOKS=honeyhive_litellm.proxy:register` in its environment. Without either,
`callbacks: ["honeyhive_litellm.proxy.logger"]` names the logger by its path.
"""

from __future__ import annotations

# LiteLLM loads a file beside its config before an installed module, so that this one may exist twice in a process.
# Nothing is kept here, therefore.
from typing import Any

__all__ = ["logger", "register"]

logger: Any
"""The callback itself, made when it is first asked for."""


def register() -> None:
    """Make `honeyhive` a callback that LiteLLM knows in this process, before its config is read.

    Doing it again changes nothing. The options are read at the first call: LiteLLM has read all of its config by then.
    """
    from ._instrumentation.proxy_logger import add_name

    add_name()


def __getattr__(name: str) -> Any:
    # Lazily, since the command line names this module, and LiteLLM takes a second or two to import.
    if name == "logger":
        from ._instrumentation.proxy_logger import the_logger

        return the_logger()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
