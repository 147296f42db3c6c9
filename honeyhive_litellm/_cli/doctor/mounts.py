"""On which kind of file system a folder is, from Linux's table of mounts."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Optional

_TABLE = Path("/proc/self/mountinfo")


def file_system_of(folder: Path, table: Path = _TABLE) -> Optional[str]:
    """The kind ("ext4", "nfs4", "overlay"); None where there is no such table."""
    try:
        lines = table.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    path = os.path.realpath(folder)
    found, longest = None, -1
    for line in lines:
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 5:
            continue
        mount = _unescaped(fields[4])
        is_inside = path == mount or path.startswith(mount.rstrip("/") + "/")
        if is_inside and len(mount) >= longest:  # of two at the same place the later one is on top
            found, longest = after.split(" ")[0], len(mount)
    return found


def _unescaped(text: str) -> str:
    """Spaces and such are octal numbers in the table."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)
