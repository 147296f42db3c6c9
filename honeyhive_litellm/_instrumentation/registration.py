"""Notice when the application has replaced LiteLLM's lists of callbacks, and with them the logger of `init`."""

from __future__ import annotations

from typing import Any, Callable, Optional, Sequence

import litellm

from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode

_NEEDED = ("callbacks", "input_callback")
"""LiteLLM copies `callbacks` to its other lists before each call, but for those that are full, and reports the start of
a call to the second. Whoever hears of the start adds itself to the lists for the outcome."""

_is_present: Optional[Callable[[Sequence[Any]], bool]] = None


def expect(is_present: Optional[Callable[[Sequence[Any]], bool]]) -> None:
    """From now on a logger that `is_present` finds should be in LiteLLM's lists; with None, none should."""
    global _is_present
    _is_present = is_present


def warn_if_missing() -> None:
    """Warn once that calls are not recorded, if the logger is not where it should be while a call begins."""
    is_present = _is_present
    if is_present is None:
        return
    for name in _NEEDED:
        if not is_present(getattr(litellm, name, None) or ()):
            expect(None)
            warn(
                LogCode.CALLBACKS_REPLACED,
                "honeyhive: litellm.%s no longer has the logger of init(), and calls are NOT recorded, or not in full: "
                "append to the list instead of replacing it, or call init() again",
                name,
            )
            return
