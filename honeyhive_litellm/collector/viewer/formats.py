"""How numbers, times and ids look, for people. Pure, and each takes whatever an event may hold."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any, Optional

NOTHING = "–"  # noqa: RUF001 - an en dash is what a table shows for no value


def count(value: Optional[float]) -> str:
    """A whole number with thin separators."""
    return NOTHING if value is None else f"{int(value):,}"


def short_count(value: Optional[float]) -> str:
    """A whole number in little room: 950, 1.2k, 34k, 1.1M."""
    if value is None:
        return NOTHING
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            scaled = value / limit
            return f"{scaled:.1f}{unit}" if scaled < 10 else f"{scaled:.0f}{unit}"
    return f"{int(value)}"


def dollars(value: Optional[float]) -> str:
    """A cost: cents and more to two places, less to two digits that count."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == 0:
        return "$0"
    if abs(value) >= 1000:
        return f"${value:,.0f}"
    if abs(value) >= 0.1:
        return f"${value:.2f}"
    places = min(8, 1 - math.floor(math.log10(abs(value))))
    digits = f"{value:.{places}f}"
    return f"${digits.rstrip('0')}" if abs(value) < 0.01 else f"${digits}"


def duration(ms: Optional[float]) -> str:
    """A span of time: 340 ms, 2.1 s, 3 m 05 s, 2 h 10 m."""
    if ms is None or not math.isfinite(ms):
        return NOTHING
    if ms < 0:
        return f"-{duration(-ms)}"
    if ms < 999.5:
        return f"{ms:.0f} ms" if ms >= 10 or ms == 0 else f"{ms:.1f} ms"
    seconds = ms / 1000.0
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} m" if hours < 100 else f"{hours // 24} d"


def moment(ms: Optional[float]) -> Optional[datetime]:
    """A Unix time in milliseconds, in this machine's time zone; None if no calendar has it."""
    if ms is None:
        return None
    try:
        return datetime.fromtimestamp(ms / 1000.0, tz=timezone.utc).astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def clock(ms: Optional[float]) -> str:
    """The time of day, and the date where that is not today's."""
    at = moment(ms)
    if at is None:
        return NOTHING
    now = datetime.now().astimezone()
    if at.date() == now.date():
        return at.strftime("%H:%M:%S")
    return at.strftime("%d %b %H:%M") if at.year == now.year else at.strftime("%Y-%m-%d")


def full_time(ms: Optional[float]) -> str:
    """Date, time to the millisecond and zone."""
    at = moment(ms)
    return NOTHING if at is None else f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} {at:%z}"


def iso(ms: Optional[float]) -> str:
    """For a machine, in UTC; empty where there is none."""
    at = moment(ms)
    return "" if at is None else at.astimezone(timezone.utc).isoformat(timespec="milliseconds")


def field_time(ms: Optional[float]) -> str:
    """For a form's field of date and time."""
    at = moment(ms)
    return "" if at is None else at.strftime("%Y-%m-%dT%H:%M")


def size(value: Any) -> str:
    """A number of bytes."""
    if type(value) not in (int, float) or not math.isfinite(value):
        return NOTHING
    for limit, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if value >= limit:
            return f"{value / limit:.1f} {unit}"
    return f"{int(value)} bytes"


def short_id(value: Optional[str]) -> str:
    """The beginning of an id, enough to tell it from its neighbours."""
    if not value:
        return NOTHING
    return value if len(value) <= 12 else value[:8]
