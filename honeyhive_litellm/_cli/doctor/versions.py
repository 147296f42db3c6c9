"""Versions: of Python, SQLite and LiteLLM, and whether they were tested."""

from __future__ import annotations

import re
import sqlite3
import sys
from importlib import metadata
from typing import List, Optional, Tuple

from honeyhive_litellm._version import __version__

from .finding import Finding, ok, problem, warning

PYTHON = ((3, 8), (3, 13))
LITELLM = ((1, 53), (1, 110))
SQLITE = (3, 40)
"""The oldest and newest versions that the suite ran on; of SQLite the oldest. See docs/explanation/compatibility.md."""

_OLDEST_SQLITE = (3, 24)
"""Older ones lack `ON CONFLICT ... DO UPDATE`, which the ledger needs."""


def check_versions() -> List[Finding]:
    python = f"Python {sys.version_info[0]}.{sys.version_info[1]}.{sys.version_info[2]}"
    return [
        ok("versions.package", f"honeyhive-litellm {__version__}"),
        _tested("versions.python", python, sys.version_info[:2], PYTHON),
        _sqlite(sqlite3.sqlite_version_info[:2]),
        _litellm(_installed("litellm")),
    ]


def _litellm(version: Optional[str]) -> Finding:
    if version is None:
        return problem("versions.litellm", "LiteLLM is not installed", "pip install litellm")
    numbers = [int(number) for number in re.findall(r"\d+", version)[:2]]
    return _tested("versions.litellm", f"LiteLLM {version}", (numbers[0], numbers[1]), LITELLM)


def _sqlite(version: Tuple[int, int]) -> Finding:
    text = f"SQLite {sqlite3.sqlite_version}"
    if version < _OLDEST_SQLITE:
        return problem("versions.sqlite", f"{text} is too old", "Use a Python whose SQLite is 3.24 or newer.")
    if version < SQLITE:
        return warning("versions.sqlite", f"{text} was not tested", "Use a Python whose SQLite is 3.40 or newer.")
    return ok("versions.sqlite", text)


def _tested(
    check: str, text: str, version: Tuple[int, int], tested: Tuple[Tuple[int, int], Tuple[int, int]]
) -> Finding:
    oldest, newest = ("{}.{}".format(*one) for one in tested)
    if version < tested[0]:
        return problem(check, f"{text} is too old", f"Use {oldest} or newer.")
    if version > tested[1]:
        return warning(
            check, f"{text} is newer than {newest}, the newest tested", "If calls are missing, report the version."
        )
    return ok(check, f"{text}, tested")


def _installed(package: str) -> Optional[str]:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
