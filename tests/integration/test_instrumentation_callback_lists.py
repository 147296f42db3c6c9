"""LiteLLM's lists of callbacks, and which of them have us."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

import litellm
import pytest

from honeyhive_litellm._instrumentation.callback_lists import (
    CALLBACK_LISTS,
    add_to_outcome_lists,
    is_in_any_list,
    remove_everywhere,
)

OUTCOMES = [name for name in CALLBACK_LISTS if "success" in name or "failure" in name]


class Callback:
    """One of the application's, which cannot be compared."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("a callback is not to be compared")

    def __hash__(self) -> int:
        return 0


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> Dict[str, List[Any]]:
    others: Dict[str, List[Any]] = {name: [Callback()] for name in CALLBACK_LISTS}
    for name, callbacks in others.items():
        monkeypatch.setattr(litellm, name, callbacks)
    return others


def has_logger(callbacks: Sequence[Any]) -> bool:
    return any(isinstance(callback, str) for callback in callbacks)


def test_each_list_of_outcomes_gets_the_logger_once(lists: Dict[str, List[Any]]) -> None:
    for _ in range(2):
        add_to_outcome_lists("logger", lambda _: False)
    assert {name: callbacks[1:] for name, callbacks in lists.items()} == {
        name: ["logger"] if name in OUTCOMES else [] for name in CALLBACK_LISTS
    }


def test_a_list_with_an_equivalent_logger_gets_no_second_one(lists: Dict[str, List[Any]]) -> None:
    lists["success_callback"].append("equivalent")
    add_to_outcome_lists("logger", has_logger)
    assert lists["success_callback"][1:] == ["equivalent"]
    assert lists["failure_callback"][1:] == ["logger"]


def test_a_logger_is_removed_from_every_list_and_nothing_else_is(lists: Dict[str, List[Any]]) -> None:
    logger = object()
    for callbacks in lists.values():
        callbacks[:] = [logger, *callbacks, logger]
    remove_everywhere(logger)
    assert [[type(callback) for callback in callbacks] for callbacks in lists.values()] == [[Callback]] * len(lists)


def test_a_logger_is_found_in_whichever_list_it_is(lists: Dict[str, List[Any]]) -> None:
    assert not is_in_any_list(has_logger)
    for callbacks in lists.values():
        callbacks.append("logger")
        assert is_in_any_list(has_logger)
        callbacks.pop()
