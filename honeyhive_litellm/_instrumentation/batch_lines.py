"""The lines of finished batches: LiteLLM's Proxy reports them to the loggers in `litellm.batch_line_item_callbacks`."""

from __future__ import annotations

import asyncio
from typing import Any, Mapping

from honeyhive_litellm._capture.recorder import Recorder
from honeyhive_litellm._mapping.batch_lines import call_of_line, response_of_line, succeeded

from .patches.notify import guarded

NAMES = ("honeyhive", "honeyhive_litellm.proxy.logger")
"""What stands for the Proxy's logger in that list: its name, and its path."""

_LINES_A_TURN = 20
"""After so many lines the other tasks of the loop get a turn: a batch may have fifty thousand lines."""


def is_ours(callback: object) -> bool:
    """Whether an entry of that list is one of our loggers, or stands for one."""
    return callback in NAMES or hasattr(callback, "records_in")


async def record_lines(recorder: Recorder, payload: Mapping[str, Any]) -> None:
    """Record each line of one part of a batch as a call."""
    for number, line in enumerate(payload["lines"]):
        guarded(_record, recorder, line, f"{payload['part']}-{number}")
        if (number + 1) % _LINES_A_TURN == 0:
            await asyncio.sleep(0)


def _record(recorder: Recorder, line: Mapping[str, Any], place: str) -> None:
    call_details = call_of_line(line, place)
    target = recorder.targets.target_for(call_details)
    if target is None:
        return
    call_details["litellm_params"]["metadata"].update(target.outcomes.batches.place_of(line["batch_id"]))
    if succeeded(line):
        recorder.on_success(call_details, response_of_line(line))
    else:
        recorder.on_failure(call_details)
