"""Every error that this package raises."""

from __future__ import annotations

from typing import Sequence


class HoneyHiveError(Exception):
    """The root of this package's errors."""


class ConfigError(HoneyHiveError, ValueError):
    """Settings that cannot work. The message names every bad option, where its value is from, and the remedy."""


class SpoolError(HoneyHiveError):
    """The spool on disk could not be opened, read or written."""


class LockedError(SpoolError):
    """Another process has the file open."""


class NewerFormatError(SpoolError):
    """A segment was written by a newer version of this package; only that version may change it."""


class UnsafeFileError(SpoolError):
    """A file or folder of the spool is another user's, or open to others; it was not used."""


class UnknownKeyError(SpoolError):
    """What was to be read, so many `events`, is encrypted with keys, of these ids, that this process does not have."""

    def __init__(self, message: str, key_ids: Sequence[bytes], events: int = 1) -> None:
        super().__init__(f"{message} (key id: {', '.join(key_id.hex() for key_id in key_ids)})")
        self.key_ids = key_ids
        self.events = events


class DamagedBodyError(SpoolError):
    """An encrypted body does not open although its key is there: it was changed, or moved to another record."""
