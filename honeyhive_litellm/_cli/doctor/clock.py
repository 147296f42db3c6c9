"""The clock: events have this machine's time, so a wrong one puts them into a wrong place in HoneyHive."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, Optional

from honeyhive_litellm._cli.common import moment
from honeyhive_litellm._version import __file__ as installed_file

from .finding import Finding, ok, warning

FUTURE_S = 60.0
SKEW_S = 5.0
_REMEDY = "Set the clock, best by NTP."


def check_clock(folder: Optional[Path], now: float) -> Finding:
    """Compare with files: nothing that was written can be newer than now."""
    newest = max(_times(folder), default=now)
    if newest > now + FUTURE_S:
        text = f"The clock says {moment(now)}, but files were written at {moment(newest)}"
        return warning("clock.local", text, _REMEDY)
    return ok("clock.local", f"The clock says {moment(now)}")


def check_skew(server_time: float, now: float) -> Finding:
    """Compare with the server's clock, which it shows in whole seconds."""
    skew = now - server_time
    if abs(skew) > SKEW_S:
        ahead = "ahead of" if skew > 0 else "behind"
        return warning("clock.server", f"The clock is {abs(skew):.0f} s {ahead} the server's", _REMEDY)
    return ok("clock.server", "The clock agrees with the server's")


def _times(folder: Optional[Path]) -> Iterator[float]:
    files = [Path(installed_file), *(folder.glob("*") if folder is not None else ())]
    for path in files:
        try:
            yield path.stat().st_mtime
        except OSError:
            pass  # removed meanwhile
