"""The line that `serve` prints for an event."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Dict

import pytest

from honeyhive_litellm._cli.serve import line_of

BEGAN = datetime(2026, 1, 2, 3, 4, 5).astimezone()
EVENT: Dict[str, Any] = {
    "event_type": "model",
    "event_name": "completion",
    "start_time": BEGAN.timestamp() * 1000,
    "duration": 1234.6,
    "config": {"model": "of the config"},
    "metadata": {"model": "gpt-4o", "status": "success", "total_tokens": 57},
}


def cells(event: Dict[str, Any]) -> str:
    return re.sub(" +", " ", line_of(event))


def test_a_line_has_time_kind_model_status_tokens_and_milliseconds() -> None:
    assert cells(EVENT) == "03:04:05 model gpt-4o success 57 tokens 1235 ms"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"metadata": {}}, "03:04:05 model of the config success - tokens 1235 ms"),
        ({"metadata": None, "config": []}, "03:04:05 model completion success - tokens 1235 ms"),
        ({"metadata": {}, "error": "ValueError: no"}, "03:04:05 model of the config failure - tokens 1235 ms"),
        ({"start_time": None, "duration": "long"}, "- model gpt-4o success 57 tokens - ms"),
        ({"start_time": 1e300}, "- model gpt-4o success 57 tokens 1235 ms"),
        ({"event_type": None}, "03:04:05 - gpt-4o success 57 tokens 1235 ms"),
    ],
)
def test_what_is_missing_or_odd_leaves_a_line(changes: Dict[str, Any], line: str) -> None:
    assert cells({**EVENT, **changes}) == line


def test_what_arrives_cannot_control_the_terminal_nor_break_the_line() -> None:
    line = line_of({**EVENT, "metadata": {"model": "a\x1b[2J\nb" + "x" * 100, "status": "s\r", "total_tokens": "\x07"}})
    assert line.isprintable() and len(line) < 140
