"""Which events are meant: a filter, as the query of a URL and as SQL. Pure.

The pages, the exports and the command line share it, so that a URL copied from one means the same in the other.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple
from urllib.parse import urlencode

from ._summary import spaced

CHOICES = ("status", "model", "provider", "kind", "project", "source", "user", "tag")
"""The fields of which a filter may name several values; any of them will do."""

IDS = ("session", "trace")
RANGES = ("cost_min", "cost_max", "duration_min", "duration_max")
_TIMES = ("from", "to")
_SPAN = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_SPAN_MS = {"s": 1e3, "m": 60e3, "h": 3600e3, "d": 86400e3, "w": 604800e3}
_LONGEST_VALUE = 1000
_MOST_VALUES = 50
_MOST_WORDS = 20
_RANGE_COLUMNS = {
    "cost_min": "s.cost >= ?",
    "cost_max": "s.cost <= ?",
    "duration_min": "s.duration_ms >= ?",
    "duration_max": "s.duration_ms <= ?",
}


@dataclass(frozen=True)
class Filter:
    """What must hold of an event; an empty filter holds of every one.

    Costs are in dollars, durations in milliseconds, `from_` and `to` in Unix milliseconds; `last` is a span of time
    before now, such as "15m". `q` are words that must all occur, "quoted ones" side by side, a -word not at all.
    """

    status: Tuple[str, ...] = ()
    model: Tuple[str, ...] = ()
    provider: Tuple[str, ...] = ()
    kind: Tuple[str, ...] = ()
    project: Tuple[str, ...] = ()
    source: Tuple[str, ...] = ()
    user: Tuple[str, ...] = ()
    tag: Tuple[str, ...] = ()
    session: Optional[str] = None
    trace: Optional[str] = None
    cost_min: Optional[float] = None
    cost_max: Optional[float] = None
    duration_min: Optional[float] = None
    duration_max: Optional[float] = None
    from_: Optional[float] = None
    to: Optional[float] = None
    last: Optional[str] = None
    q: str = ""

    def is_empty(self) -> bool:
        """Whether it holds of every event."""
        return self == Filter()

    def query(self, **changes: Any) -> str:
        """The filter with *changes* as the query of a URL, without a question mark; what is not set is left out."""
        pairs: List[Tuple[str, str]] = []
        for field in fields(self):
            value = changes.get(field.name, getattr(self, field.name))
            name = field.name.rstrip("_")
            if isinstance(value, tuple):
                pairs.extend((name, item) for item in value)
            elif isinstance(value, float):
                pairs.append((name, f"{value:.15g}"))
            elif value:
                pairs.append((name, str(value)))
        return urlencode(pairs)

    def without(self, name: str, value: Optional[str] = None) -> str:
        """The query of the filter less the condition *name*, or less one of its values."""
        current = getattr(self, name)
        left: Any = "" if name == "q" else None
        if isinstance(current, tuple):
            left = () if value is None else tuple(item for item in current if item != value)
        return self.query(**{name: left})


class ReadFilter(NamedTuple):
    """A filter as read from outside, and one sentence about each part that made no sense and was left out."""

    filter: Filter
    problems: List[str]


def read_filter(query: Iterable[Tuple[str, str]]) -> ReadFilter:
    """Read the query of a URL. Names that are no filter's are left alone: pages have others."""
    texts: Dict[str, List[str]] = {}
    for name, value in query:
        text = value.strip()
        if text:
            texts.setdefault(name, []).append(text[:_LONGEST_VALUE])
    values: Dict[str, Any] = {}
    problems: List[str] = []
    for name in CHOICES:
        values[name] = tuple(dict.fromkeys(texts.get(name, [])))[:_MOST_VALUES]
    for name in IDS:
        values[name] = texts.get(name, [None])[-1]
    values["q"] = texts.get("q", [""])[-1]
    for name in (*RANGES, *_TIMES, "last"):
        if name in texts:
            _read_one(name, texts[name][-1], values, problems)
    return ReadFilter(Filter(**values), problems)


def _read_one(name: str, text: str, values: Dict[str, Any], problems: List[str]) -> None:
    if name == "last":
        if _SPAN.fullmatch(text):
            values["last"] = text
        else:
            problems.append("last must be a span of time such as 15m, 24h or 7d")
    elif name in _TIMES:
        moment = unix_ms(text)
        if moment is None:
            problems.append(f"{name} must be a date and time such as 2026-01-31T12:00")
        else:
            values["from_" if name == "from" else name] = moment
    else:
        number = _number(text)
        if number is None:
            problems.append(f"{name} must be a number")
        else:
            values[name] = number


def _number(text: str) -> Optional[float]:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def unix_ms(text: str) -> Optional[float]:
    """Unix milliseconds of an ISO 8601 text, of this machine's time zone unless it names one, or of such a number."""
    number = _number(text)
    if number is not None:
        return number
    try:
        return datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in ("Z", "z") else text).timestamp() * 1000.0
    except (ValueError, OverflowError, OSError):
        return None


class Where(NamedTuple):
    """SQL conditions on `summaries AS s`, to be joined by AND, and their values."""

    conditions: Tuple[str, ...]
    values: Tuple[Any, ...]

    def and_(self, condition: str, *values: Any) -> Where:
        """These and one more."""
        return Where((*self.conditions, condition), (*self.values, *values))

    def __str__(self) -> str:
        return " AND ".join(self.conditions)


def where(meant: Filter, now_ms: float) -> Where:
    """The filter as SQL, but for its words; sessions are no events here."""
    found = Where(("s.event_type <> 'session'",), ())
    for name in CHOICES:
        chosen: Sequence[str] = getattr(meant, name)
        marks = ", ".join("?" * len(chosen))
        if chosen and name == "tag":
            found = found.and_(f"EXISTS (SELECT 1 FROM tags WHERE tag IN ({marks}) AND tags.seq = s.seq)", *chosen)  # noqa: S608
        elif chosen:
            found = found.and_(f"s.{name} IN ({marks})", *chosen)
    if meant.session is not None:
        found = found.and_("s.session_id = ?", meant.session)
    if meant.trace is not None:
        found = found.and_("s.trace_id = ?", meant.trace)
    for name, condition in _RANGE_COLUMNS.items():
        if getattr(meant, name) is not None:
            found = found.and_(condition, getattr(meant, name))
    start_ms, end_ms = time_range(meant, now_ms)
    if start_ms is not None:
        found = found.and_("s.start_ms >= ?", start_ms)
    if end_ms is not None:
        found = found.and_("s.start_ms <= ?", end_ms)
    return found


def time_range(meant: Filter, now_ms: float) -> Tuple[Optional[float], Optional[float]]:
    """From when to when in Unix milliseconds, inclusive; None where there is no limit."""
    start_ms = meant.from_
    if meant.last is not None:
        match = _SPAN.fullmatch(meant.last)
        assert match is not None  # it was read so
        last_ms = now_ms - float(match[1]) * _SPAN_MS[match[2]]
        start_ms = last_ms if start_ms is None else max(start_ms, last_ms)
    return start_ms, meant.to


# A word of a search: quoted, or up to the next blank, with a minus before it if it must not occur.
_WORD = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')
_PREFIX_LENGTH = 3


class Words(NamedTuple):
    """The words of a search: those that must occur, or begin a word that does, and those that must not."""

    present: Tuple[str, ...]
    absent: Tuple[str, ...]


def words_of(q: str) -> Words:
    """Read what somebody typed into the search field."""
    present: List[str] = []
    absent: List[str] = []
    for minus, quoted, bare in _WORD.findall(q):
        word = quoted or bare
        if any(character.isalnum() for character in word):
            (absent if minus else present).append(word)
    return Words(tuple(present[:_MOST_WORDS]), tuple(absent[:_MOST_WORDS]))


def full_text_query(words: Words) -> Optional[str]:
    """The words in the language of FTS5, where everything is quoted; None if no word must occur."""
    if not words.present:
        return None
    query = " AND ".join(_quoted(word, is_prefix=True) for word in words.present)
    return " NOT ".join([f"({query})", *(_quoted(word) for word in words.absent)])


def _quoted(word: str, is_prefix: bool = False) -> str:
    text = " ".join(spaced(word).replace("\0", " ").split()).replace('"', '""')
    return f'"{text}"' + ("*" if is_prefix and len(word) >= _PREFIX_LENGTH else "")


def like_conditions(words: Words) -> Where:
    """The words as SQL on `records AS r`, for a SQLite without FTS5: slow, and blind to case in ASCII alone."""
    found = Where((), ())
    for word in words.present:
        found = found.and_(r"CAST(r.body AS TEXT) LIKE ? ESCAPE '\'", _like(word))
    for word in words.absent:
        found = found.and_(r"CAST(r.body AS TEXT) NOT LIKE ? ESCAPE '\'", _like(word))
    return found


def _like(word: str) -> str:
    for character in ("\\", "%", "_"):
        word = word.replace(character, f"\\{character}")
    return f"%{word}%"


def values_of(meant: Filter) -> Mapping[str, Any]:
    """The conditions that are set, by their names in a URL."""
    named = {field.name: getattr(meant, field.name) for field in fields(meant)}
    return {name.rstrip("_"): value for name, value in named.items() if value not in (None, (), "")}
