"""The `.state` file: what a living process publishes about itself, one small JSON file per owner, replaced as a whole.

A living process's segments are locked, so no other process can read their numbers. Each process has a file of its own
instead of a row in a shared database: a hundred workers that publish every second then neither wait for each other nor
make the disk sync. After the owner's death the file holds when it was last seen, and what became of the events that
never reached a segment on disk; the adopter writes these to the ledger and removes the file.
"""

from __future__ import annotations

import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Dict, Iterable, NamedTuple, Optional

from honeyhive_litellm._json import decode, encode
from honeyhive_litellm._stats import Stats, Totals

from .layout import state_path
from .private_files import check_folder, make_file, read_file

_MAX_BYTES = 4 * 1024 * 1024
"""A bigger file is none of ours."""

_STATS = {field.name for field in fields(Stats)}

LOST = "lost"
"""The reason under which events are dropped that were in memory alone when their process ended."""


class ProcessState(NamedTuple):
    """The numbers of one process at the Unix time `at`, in seconds.

    `stats` counts since the process began. `unspooled` are the events that are in no segment on disk, `segments`
    those of each segment file that it holds, its own and adopted ones. `flushes` is False if it only writes.
    `oldest_pending_at` is the Unix time at which the call of its oldest undelivered event began.
    """

    owner: str
    pid: int
    host: str
    at: float
    flushes: bool
    stats: Stats
    unspooled: Totals
    segments: Dict[str, Totals]
    oldest_pending_at: Optional[float] = None


def write_state(folder: Path, state: ProcessState) -> None:
    """Replace what the owner published before. Raises OSError or SpoolError."""
    value = {
        **state._asdict(),
        "stats": _without_newer_zeros(asdict(state.stats)),
        "unspooled": state.unspooled.as_items(),
        "segments": {name: totals.as_items() for name, totals in state.segments.items()},
    }
    path = state_path(folder, state.owner)
    fresh = f"{path}.new"
    check_folder(folder)
    try:
        make_file(fresh, encode(value))
    except FileExistsError:  # a kill left it, or somebody planted it: the name goes, not what a link leads to
        os.unlink(fresh)
        make_file(fresh, encode(value))
    os.replace(fresh, path)


_NEWER = ("locked", "unrouted", "destinations")
"""Members of `Stats` that older versions do not know, which refuse the whole file then."""


def _without_newer_zeros(stats: Dict[str, Any]) -> Dict[str, Any]:
    """Without the newer members that say nothing."""
    return {name: value for name, value in stats.items() if value or name not in _NEWER}


def read_state(folder: Path, owner: str) -> Optional[ProcessState]:
    """What `owner` published last; None if there is no file or it cannot be read."""
    try:
        value: Dict[str, Any] = decode(read_file(state_path(folder, owner), _MAX_BYTES))
        value["stats"] = Stats(**{name: number for name, number in value["stats"].items() if name in _STATS})
        value["unspooled"] = Totals.of_items(value["unspooled"])
        value["segments"] = {name: Totals.of_items(items) for name, items in value["segments"].items()}
        # What a newer version publishes besides is left out, here and in the stats.
        return ProcessState(**{name: value[name] for name in ProcessState._fields if name in value})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def remove_state(folder: Path, owner: str) -> None:
    """Remove what `owner` published. Never raises."""
    path = state_path(folder, owner)
    for name in (path, f"{path}.new"):
        try:
            os.unlink(name)
        except OSError:
            pass  # removed already, or a read-only folder: the next adopter tries again


def last_seen(folder: Path, owner: str, segments: Iterable[Path]) -> Optional[float]:
    """The Unix time in seconds at which `owner` was last known to live; None if there is no trace of that.

    Call it before the segments are opened. For an owner that never published, their modification times are all there
    is, and opening a segment changes them.
    """
    state = read_state(folder, owner)
    if state is not None:
        return state.at
    times = []
    for path in segments:
        for name in (path, f"{path}-wal"):
            try:
                times.append(os.stat(name).st_mtime)
            except OSError:
                pass  # most segments have no write-ahead log
    return max(times, default=None)
