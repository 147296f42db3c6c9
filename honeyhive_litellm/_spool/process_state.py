"""What a process tells about itself: one small JSON file per owner, replaced as a whole.

A living process's segments are locked, so it has to tell their numbers itself. A file of its own and not a row in a
shared database: a hundred workers that tell how they are every second then neither wait for each other nor make the
disk sync. When the owner is dead, the file tells when it was last seen, and what became of the events that never
reached a segment on disk; whoever adopts its segments writes the latter down in the ledger and removes the file.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, Iterable, NamedTuple, Optional

from honeyhive_litellm._json import decode, encode
from honeyhive_litellm._stats import Stats, Totals

from .lease import state_path

LOST = "lost"
"""Why events are dropped that were in memory alone when their process ended."""


class Published(NamedTuple):
    """How a process stood at the Unix time `at`, in seconds.

    `stats` are its numbers since it began. `unspooled` are the events that are in no segment on disk, `segments`
    those of each segment file that it holds, its own and adopted ones. `flushes` is False if it only writes.
    """

    owner: str
    pid: int
    host: str
    at: float
    flushes: bool
    stats: Stats
    unspooled: Totals
    segments: Dict[str, Totals]


def publish(folder: Path, published: Published) -> None:
    """Replace what the owner told before. Raises OSError."""
    value = {
        **published._asdict(),
        "stats": asdict(published.stats),
        "unspooled": published.unspooled.as_items(),
        "segments": {name: totals.as_items() for name, totals in published.segments.items()},
    }
    path = state_path(folder, published.owner)
    fresh = f"{path}.new"
    handle = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    try:
        os.write(handle, encode(value))
    finally:
        os.close(handle)
    os.replace(fresh, path)


def published_by(folder: Path, owner: str) -> Optional[Published]:
    """What `owner` told last; None if that is nothing, or cannot be read."""
    try:
        value: Dict[str, Any] = decode(state_path(folder, owner).read_bytes())
        value["stats"] = Stats(**value["stats"])
        value["unspooled"] = Totals.of_items(value["unspooled"])
        value["segments"] = {name: Totals.of_items(items) for name, items in value["segments"].items()}
        return Published(**value)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def withdraw(folder: Path, owner: str) -> None:
    """Remove what `owner` told. Never raises."""
    path = state_path(folder, owner)
    for name in (path, f"{path}.new"):
        try:
            os.unlink(name)
        except OSError:
            pass  # gone already, or a folder that lets nothing go: whoever comes next tries again


def last_seen(folder: Path, owner: str, segments: Iterable[Path]) -> Optional[float]:
    """The Unix time in seconds at which `owner` was last known to live; None if nothing tells.

    To be asked before its files are opened: where it never published, the files' times tell when it wrote last, and
    opening them changes these.
    """
    published = published_by(folder, owner)
    if published is not None:
        return published.at
    times = []
    for path in segments:
        for name in (path, f"{path}-wal"):
            try:
                times.append(os.stat(name).st_mtime)
            except OSError:
                pass  # most segments have no such file
    return max(times, default=None)
