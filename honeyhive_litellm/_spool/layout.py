"""The names of the files in a spool folder, and whose they are.

`<owner>.lease`, `<owner>.state` and `<owner>-<number>.spool` (with SQLite's `-wal` beside it) belong to one owner: one
process in one run. What follows an @ in an owner's name is its project, whose events no other project's process may
deliver. `ledger.db`, `dead.db`, `quarantine/` and `kept/` belong to the folder.

`destinations/` has a spool folder for each destination but the main project.
"""

from __future__ import annotations

import os
import re
import socket
import uuid
from pathlib import Path
from typing import Dict, List, Optional, Set

LEASE_SUFFIX = ".lease"
STATE_SUFFIX = ".state"
SEGMENT_SUFFIX = ".spool"
LEDGER_NAME = "ledger.db"
DEAD_LETTERS_NAME = "dead.db"
QUARANTINE_NAME = "quarantine"
KEPT_NAME = "kept"
DESTINATIONS_NAME = "destinations"

_SEGMENT_NAME = re.compile(r"(?P<segment>(?P<owner>.+)-\d{6,}\.spool)(-wal)?")


def new_owner(project: str = "") -> str:
    """A name never used before: host, process and a random part, and the project unless any project may adopt."""
    host = re.sub(r"[^A-Za-z0-9.]+", "_", socket.gethostname())[:40] or "host"
    name = f"{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return f"{name}@{project}" if project else name


def project_of(owner: str) -> str:
    """The project in an owner's name, "" if any project may adopt its files: an older version made them."""
    return owner.partition("@")[2]


def are_of_one_project(owner: str, other: str) -> bool:
    """Whether the process of one owner may adopt the other's files."""
    own, others = project_of(owner), project_of(other)
    return not own or not others or own == others


def handed_off_owner(owner: str, number: int) -> str:
    """The name under which a living owner hands its file off, as if it were a dead owner's. Not used before either."""
    name, at, project = owner.partition("@")
    return f"{name}.{number}{at}{project}"


def has_handed_off(owner: str, name: str) -> bool:
    """Whether `owner` has handed a file off under this name."""
    return name.startswith(owner.partition("@")[0] + ".")


def lease_path(folder: Path, owner: str) -> Path:
    return folder / f"{owner}{LEASE_SUFFIX}"


def state_path(folder: Path, owner: str) -> Path:
    return folder / f"{owner}{STATE_SUFFIX}"


def segment_path(folder: Path, owner: str, number: int) -> Path:
    return folder / f"{owner}-{number:06d}{SEGMENT_SUFFIX}"


def destination_folder(folder: Path, name: str) -> Path:
    """The spool folder of a destination, in the spool folder of the main project."""
    return folder / DESTINATIONS_NAME / name


def destinations_in(folder: Path) -> List[str]:
    """The names of the destinations that have a folder in the main project's spool folder."""
    try:
        with os.scandir(folder / DESTINATIONS_NAME) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def owner_of(name: str) -> Optional[str]:
    """The owner of the segment to which a file of this name belongs; None if it belongs to none."""
    match = _SEGMENT_NAME.fullmatch(name)
    return match["owner"] if match else None


def owners_in(folder: Path) -> Dict[str, List[Path]]:
    """Every owner that has a regular file in `folder`, with its segments oldest first. Raises OSError.

    If an owner died while it removed a segment, only the write-ahead log may be there; it counts as the segment.
    """
    owners: Dict[str, Set[str]] = {}
    for name in _regular_files(folder):
        stem, suffix = os.path.splitext(name)
        if suffix in (LEASE_SUFFIX, STATE_SUFFIX):
            owners.setdefault(stem, set())
            continue
        match = _SEGMENT_NAME.fullmatch(name)
        if match:
            owners.setdefault(match["owner"], set()).add(match["segment"])
    return {owner: [folder / name for name in sorted(names)] for owner, names in owners.items()}


def _regular_files(folder: Path) -> List[str]:
    """The names of all that is no link, no folder, no pipe and no device."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
