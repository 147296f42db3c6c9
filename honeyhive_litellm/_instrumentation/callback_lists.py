"""The lists in which LiteLLM keeps its callbacks."""

from __future__ import annotations

from typing import Any, Callable, Sequence

import litellm

_OUTCOME_LISTS = ("success_callback", "failure_callback", "_async_success_callback", "_async_failure_callback")
CALLBACK_LISTS = ("callbacks", "input_callback", *_OUTCOME_LISTS)


def add_to_outcome_lists(logger: object, is_present: Callable[[Sequence[Any]], bool]) -> None:
    """Add `logger` to each list of outcome callbacks, but for those in which `is_present` finds an equivalent one.

    LiteLLM copies `callbacks` to these lists, but adds nothing to one with 30 entries (newer versions: 100). A Router
    adds itself to each, so that an application with many Routers leaves no room there.
    """
    for name in _OUTCOME_LISTS:
        callbacks = getattr(litellm, name, None)
        if isinstance(callbacks, list) and not is_among(logger, callbacks) and not is_present(callbacks):
            callbacks.append(logger)


def is_among(logger: object, callbacks: Sequence[Any]) -> bool:
    """Whether this very object is in the list. The `==` of another callback is not asked: it may raise."""
    for callback in callbacks:  # noqa: SIM110  each call looks through four lists: a generator takes twice the time
        if callback is logger:
            return True
    return False


def add_beside(logger: object, other: object) -> None:
    """Add `logger` to the list of callbacks, and to each further list that `other` is in."""
    litellm.callbacks.append(logger)
    for name in CALLBACK_LISTS:
        callbacks = getattr(litellm, name, None)
        if isinstance(callbacks, list) and is_among(other, callbacks) and not is_among(logger, callbacks):
            callbacks.append(logger)


def remove_everywhere(logger: object) -> None:
    """Take `logger` out of every list that it is in."""
    for name in CALLBACK_LISTS:
        callbacks = getattr(litellm, name, None)
        if isinstance(callbacks, list):
            callbacks[:] = [callback for callback in callbacks if callback is not logger]


def is_in_any_list(is_present: Callable[[Sequence[Any]], bool]) -> bool:
    """Whether `is_present` finds what it looks for in one of the lists."""
    return any(is_present(getattr(litellm, name, None) or ()) for name in CALLBACK_LISTS)
