"""Golden events: an event as it is sent, exactly, but for what differs from run to run.

What differs is replaced by a placeholder once its form has been checked: a UUID that is no UUID, or a duration that
is negative, is no placeholder's. Equal ids get equal placeholders, so the references between events are compared, too.
"""

from __future__ import annotations

import difflib
import json
import re
import time
from pathlib import Path
from typing import Any, Dict, List

FOLDER = Path(__file__).parent
_DAY_MS = 86_400_000.0
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")
_LOOPBACK = re.compile(r"(http|ws)://127\.0\.0\.1:\d+")
_MADE_ID = re.compile(r"chatcmpl-[0-9a-f-]{36}")
_MS = ("duration", "duration_ms", "latency_ms", "time_to_first_token_ms", "litellm_overhead_ms")
_MOMENTS = ("start_time", "end_time")
_OWN_HEADERS = ("date", "server", "openai-processing-ms", "content-length")


def golden(events: List[Dict[str, Any]]) -> List[Any]:
    """The events in the order in which they began, with placeholders."""
    names: Dict[str, str] = {}
    ordered = sorted(events, key=lambda event: (event["start_time"], event["event_type"]))
    return [_placed(event, "", "", names) for event in ordered]


def check(name: str, events: List[Dict[str, Any]], *, write: bool = False) -> None:
    """Assert that the events are those in the golden file, or write that file. Look at what was written!"""
    found = golden(events)
    path = FOLDER / f"{name}.json"
    if write:
        path.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")
    assert path.exists(), f"there is no golden event {name}: write it, and read it"
    golden_text, found_text = path.read_text(), json.dumps(found, indent=2, sort_keys=True) + "\n"
    difference = difflib.unified_diff(
        golden_text.splitlines(), found_text.splitlines(), path.name, "found", lineterm=""
    )
    assert found == json.loads(golden_text), "\n".join(difference)


def _placed(value: Any, part: str, name: str, names: Dict[str, str]) -> Any:
    """`part` is the top-level field that the value is in, `name` its own."""
    if isinstance(value, dict):
        is_headers = name == "response_headers"
        kept = {key: item for key, item in value.items() if not (is_headers and key in _OWN_HEADERS)}
        return {key: _placed(item, part or key, key, names) for key, item in kept.items()}
    if isinstance(value, list):
        return [_placed(item, part, name, names) for item in value]
    if name in _MOMENTS:
        assert isinstance(value, float)
        assert abs(value - time.time() * 1000) < _DAY_MS
        return "<unix ms>"
    if name in _MS and part != "outputs":
        assert 0 <= value < _DAY_MS
        return "<ms>"
    if name == "duration_s":
        assert 0 <= value < _DAY_MS / 1000
        return "<s>"
    if isinstance(value, str):
        if _ISO.fullmatch(value):
            return "<iso 8601>"
        if _MADE_ID.fullmatch(value):
            return "<chatcmpl-uuid>"
        if _UUID.fullmatch(value):
            return names.setdefault(value, f"<uuid {len(names) + 1}>")
        return _LOOPBACK.sub("<loopback>", value)
    return value
