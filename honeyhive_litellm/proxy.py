"""LiteLLM's Proxy: in its config the name `honeyhive` stands for this package.

    litellm_settings:
      callbacks: ["honeyhive"]
      honeyhive_api_key: os.environ/HONEYHIVE_API_KEY
      honeyhive_project: "my-project"

`honeyhive-litellm proxy --config config.yaml` starts the proxy with that name known. So does `litellm` itself with
`LITELLM_WORKER_STARTUP_HOOKS=honeyhive_litellm.proxy:register` in its environment. Without either,
`callbacks: ["honeyhive_litellm.proxy.logger"]` names the logger by its path.
"""

from __future__ import annotations

# LiteLLM prefers a file beside its config to an installed module, so a process may load this module twice. It holds no
# state, therefore.
from typing import Any

__all__ = ["logger", "register"]

logger: Any
"""The callback itself, created at the first access."""


def register() -> None:
    """Make `honeyhive` a callback that LiteLLM knows in this process, before its config is read.

    Doing it again changes nothing. The options are read at the first call: LiteLLM has read all of its config by then.
    """
    from ._instrumentation.proxy_logger import add_name

    add_name()


def __getattr__(name: str) -> Any:
    # Lazily: the command line imports this module, and importing LiteLLM takes a second or two.
    if name == "logger":
        from ._instrumentation.proxy_logger import the_logger

        return the_logger()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
