"""Every LiteLLM call becomes a HoneyHive event, through a durable local spool: none is lost.

    import honeyhive_litellm

    honeyhive_litellm.init(api_key="hh_…", project="my-project")

From then on each LiteLLM call of this process - sync, async, streamed, embedded, routed - is written to a spool on
disk and delivered in the background. See `init` for the options.
"""

from __future__ import annotations

# Nothing heavy is imported here: neither LiteLLM nor aiohttp nor asyncio nor the settings before they are needed.
from importlib import import_module
from typing import TYPE_CHECKING, Any, Callable, List, Mapping, Optional, TypeVar

from ._errors import ConfigError, HoneyHiveError, SpoolError
from ._version import __version__

if TYPE_CHECKING:
    from ._capture.context import Session
    from ._config.settings import Settings
    from ._instrumentation.logger import HoneyHiveLogger
    from ._stats import Stats

__all__ = [
    "ConfigError",
    "HoneyHiveError",
    "HoneyHiveLogger",
    "Settings",
    "SpoolError",
    "Stats",
    "__version__",
    "aflush",
    "ashutdown",
    "flush",
    "init",
    "session",
    "shutdown",
    "stats",
]

DEFAULT_TIMEOUT_S = 10.0

_T = TypeVar("_T")


def init(*positional: object, **options: Any) -> None:
    """Record every LiteLLM call of this process from now on.

    The options are the fields of `Settings`; each has an environment variable, and an option given here wins over
    its variable, which wins over the default. Only `api_key` (`HONEYHIVE_API_KEY`) and `project`
    (`HONEYHIVE_PROJECT`) have no default. Raises ConfigError, which names every bad option at once.

    Imports LiteLLM, and opens neither file nor socket nor thread: those come with the first call. Doing it again
    with the same settings changes nothing, with others it replaces them for the calls that begin from now on.
    """
    from ._instrumentation.logger import install

    if positional:
        raise TypeError('init takes options by name only: init(api_key="hh_your_key", project="my-project")')
    install(**options)


def session(
    name: Optional[str] = None,
    session_id: Optional[str] = None,
    user_properties: Optional[Mapping[str, Any]] = None,
) -> Session:
    """Put the calls made inside into one HoneyHive session; a context manager, for `with` and `async with`.

    It holds for this task or thread and for those that inherit its context. `session_id` defaults to a new one; one
    that is no UUID becomes the UUIDv5 of it in the URL name space. `name` is what HoneyHive shows, by default the id.
    `user_properties` are those of every event inside. What a call's own `metadata` says of session and user wins.
    The object has `session_id`, the UUID. Raises TypeError for values of another kind.
    """
    from ._capture.context import Session

    return Session(name, session_id, user_properties)


def flush(timeout: float = DEFAULT_TIMEOUT_S) -> int:
    """Deliver what was recorded so far, for at most `timeout` seconds; how many events are still undelivered.

    Those are safe on disk. Blocks: in async code use `aflush`.
    """
    from ._runtime.lifecycle import flush_all

    return flush_all(timeout)


async def aflush(timeout: float = DEFAULT_TIMEOUT_S) -> int:
    """`flush` for async code: the loop goes on meanwhile. Needs asyncio."""
    return await _in_thread(flush, timeout)


def shutdown(timeout: Optional[float] = None) -> int:
    """Record no more calls, deliver what can be delivered in time, close the spool; how many events are left.

    `timeout` in seconds defaults to the setting `shutdown_timeout`. What is left stays on disk and goes out with the
    next process that opens the spool. A call in flight keeps the spool open and is still recorded and delivered when it
    ends, also if `init` is called again; if the process ends before, it is recorded as `interrupted`. Runs by itself at
    the interpreter's exit.
    """
    from ._instrumentation.logger import uninstall
    from ._runtime.lifecycle import shutdown_all

    return shutdown_all(timeout, deregister=uninstall)


async def ashutdown(timeout: Optional[float] = None) -> int:
    """`shutdown` for async code: the loop goes on meanwhile. Needs asyncio."""
    return await _in_thread(shutdown, timeout)


async def _in_thread(function: Callable[[_T], int], timeout: _T) -> int:
    import asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        name = function.__name__
        raise RuntimeError(
            f"honeyhive_litellm.a{name}() needs a running asyncio loop. "
            f"Under trio: await trio.to_thread.run_sync(honeyhive_litellm.{name})"
        ) from None
    return await loop.run_in_executor(None, function, timeout)


def stats() -> Stats:
    """What became of this process's events, as of now."""
    from ._runtime.lifecycle import stats_of_all

    return stats_of_all()


_LAZY = {
    "HoneyHiveLogger": "._instrumentation.logger",  # imports LiteLLM, which takes a second or two
    "Settings": "._config.settings",
    "Stats": "._stats",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name], __name__), name)


def __dir__() -> List[str]:
    return sorted({*globals(), *_LAZY})
