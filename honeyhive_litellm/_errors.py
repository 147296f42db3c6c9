"""Every error this package raises, on one screen."""

from __future__ import annotations


class HoneyHiveError(Exception):
    """The root of this package's errors."""


class ConfigError(HoneyHiveError, ValueError):
    """Settings that cannot work: the message names every bad field, its variable and the remedy."""


class SpoolError(HoneyHiveError):
    """The spool on disk could not be opened, read or written."""


class LockedError(SpoolError):
    """Somebody else has the file open, now."""


class NewerFormatError(SpoolError):
    """A segment was written by a newer version of this package, which alone may touch it."""
