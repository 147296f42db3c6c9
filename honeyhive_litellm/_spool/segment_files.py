"""The files of one segment on disk: the database `<name>.spool` and SQLite's write-ahead log beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, Optional, Tuple, Union

from honeyhive_litellm._errors import SpoolError

from .private_files import make_private_folder

MEMORY = ":memory:"
"""The path of a segment that has no file: the last resort while nothing can be written."""


class SegmentFiles:
    """What is done to a segment's files by name. The connection to the database is not its business."""

    def __init__(self, path: Union[Path, str]) -> None:
        self.path = path

    @property
    def has_empty_database(self) -> bool:
        """Whether the database is missing or has no bytes."""
        return _size(self.path) == 0

    @property
    def are_empty(self) -> bool:
        """Whether there is nothing to read in any of them.

        A kill leaves them so while the segment is created or removed; of these steps, removing the database is first.
        """
        return not os.path.exists(self.path) or (self.has_empty_database and _size(self._wal) == 0)

    @property
    def has_wal(self) -> bool:
        return os.path.lexists(self._wal)

    @property
    def _wal(self) -> str:
        return f"{self.path}-wal"

    def written_at(self) -> float:
        """When the segment was last written to, in Unix seconds; 0 if it has no file."""
        return max(_written_at(self.path), _written_at(self._wal))

    def identity(self) -> Optional[Tuple[int, int]]:
        return None if self.path == MEMORY else identity_of(Path(self.path))

    def unlink(self) -> None:
        self._each(os.unlink)

    def move_to(self, folder: Path) -> None:
        """The database first: a write-ahead log without one is harmless, the reverse would lose its transactions.

        If the folder cannot be used, the files stay where they are, under names that no process takes for a segment's.
        """
        try:
            make_private_folder(folder)
        except (OSError, SpoolError):
            self._each(lambda path: os.replace(path, f"{path}.damaged"))
        else:
            self._each(lambda path: os.replace(path, folder / os.path.basename(path)))

    def rename(self, path: Path) -> None:
        """Give the database another name. Raises SpoolError, and then it keeps its name.

        That includes the case of a write-ahead log beside it, whose transactions would be lost.
        """
        if self.has_wal:
            raise SpoolError(f"{self.path} has a write-ahead log and cannot be renamed")
        try:
            os.rename(self.path, path)
        except OSError as error:
            raise SpoolError(f"{self.path}: {error}") from error

    def _each(self, action: Callable[[str], None]) -> None:
        if self.path == MEMORY:
            return
        for suffix in ("", "-wal", "-journal"):  # the last exists for a moment, while the segment is created
            try:
                action(f"{self.path}{suffix}")
            except OSError:
                pass  # removed already, or a read-only folder: the next adopter tries again


def identity_of(path: Path) -> Optional[Tuple[int, int]]:
    """Device and inode of the file that has this name now; None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _written_at(path: Union[Path, str]) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def _size(path: Union[Path, str]) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
