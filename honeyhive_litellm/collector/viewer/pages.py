"""The pages: each is a function of the database and a URL, and returns what a browser gets."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple
from urllib.parse import quote

from honeyhive_litellm.collector import _queries as queries
from honeyhive_litellm.collector._database import Database
from honeyhive_litellm.collector._filter import CHOICES, Filter, read_filter, values_of
from honeyhive_litellm.collector._index import Index
from honeyhive_litellm.collector._queries import Cursor, Row
from honeyhive_litellm.collector._semantics import Event

from .conversation import Conversation, Message, as_json, conversation
from .differences import differences
from .preferences import DEFAULTS, Preferences
from .rendering import render
from .trace import totals, trace

READ_TIMEOUT_S = 2.0
"""A page whose queries take longer says so instead."""

TRACE_LIMIT = 5_000
TURNS = 50
_SUMMARIZED_AT_ONCE = 2_000
_SPANS_OF_TIME = (("15m", "15 minutes"), ("1h", "hour"), ("24h", "24 hours"), ("7d", "7 days"))
_CANDIDATES = 15


@dataclass(frozen=True)
class Ask:
    """What a page reads of a request."""

    query: Sequence[Tuple[str, str]] = ()
    id: str = ""
    preferences: Preferences = DEFAULTS

    def get(self, name: str) -> str:
        """The last value of a name in the URL's query, or ""."""
        return next((value for key, value in reversed(self.query) if key == name), "")


@dataclass(frozen=True)
class Reply:
    """What a browser gets."""

    body: str
    status: int = 200
    content_type: str = "text/html"
    headers: Mapping[str, str] = field(default_factory=dict)


def not_found(ask: Ask, what: str) -> Reply:
    """That there is no such thing."""
    return Reply(render("message.html", **frame(ask, "Not found"), heading="Not found", text=what), 404)


def took_too_long(ask: Ask) -> Reply:
    """That the database was given up on."""
    text = "That took too long. A narrower time range, or fewer words to search for, is answered sooner."
    return Reply(render("message.html", **frame(ask, "Too slow"), heading="Took too long", text=text), 503)


def frame(ask: Ask, title: str, active: str = "", q: str = "") -> Dict[str, Any]:
    """What every page's template needs."""
    return {"title": title, "active": active, "preferences": ask.preferences, "q": q}


class Pages:
    """The pages over one database. *url* is what a program takes as `api_url`, *key* its `api_key`."""

    def __init__(self, database: Database, index: Index, url: str, key: str) -> None:
        self._database = database
        self._index = index
        self._url = url
        self._key = key

    def events(self, ask: Ask) -> Reply:
        """The list, newest first."""
        meant, problems = read_filter(ask.query)
        before, after = Cursor.read(ask.get("before")), Cursor.read(ask.get("after"))
        now_ms = time.time() * 1000.0
        search = queries.search_for(meant, now_ms, self._index.has_full_text)
        lag = self.catch_up()
        with self._database.read(READ_TIMEOUT_S) as connection:
            page = queries.events(connection, search, before, after)
            total, is_exact = queries.count(connection, search, meant)
            facets = queries.facets(connection)
            names = queries.session_names(connection, [row.summary.session_id for row in page.rows])
            last = queries.last_seq(connection)
        if not facets and meant.is_empty():
            return Reply(
                render("empty.html", **frame(ask, "Events", "events"), url=self._url, key=self._key, last=last)
            )
        values = {
            "meant": meant,
            "problems": problems,
            "chips": _chips(meant),
            "query": meant.query(),
            "rows": page.rows,
            "names": names,
            "total": total,
            "is_exact": is_exact,
            "facets": facets,
            "choices": CHOICES,
            "spans": _SPANS_OF_TIME,
            "newer": _with(meant.query(), after=page.rows[0]) if page.has_newer else None,
            "older": _with(meant.query(), before=page.rows[-1]) if page.has_older else None,
            "is_first_page": not page.has_newer and before is None,
            "lag": lag,
            "last": last,
        }
        return Reply(render("events.html", **frame(ask, "Events", "events", meant.q), **values))

    def event(self, ask: Ask) -> Reply:
        """One event: the conversation, and the facts beside it."""
        self.catch_up()
        with self._database.read(READ_TIMEOUT_S) as connection:
            found = queries.event(connection, ask.id)
            if found is None:
                return not_found(ask, f"There is no event {ask.id} here.")
            row, event = found
            if row.summary.event_type == "session":
                return Reply("", 303, headers={"Location": f"/sessions/{quote(ask.id)}"})
            everything = queries.search_for(Filter(), 0.0, False)
            cursor = Cursor(row.summary.start_ms, row.seq)
            newer = queries.events(connection, everything, after=cursor, limit=1).rows
            older = queries.events(connection, everything, before=cursor, limit=1).rows
            siblings = queries.group(connection, row.summary.session_id, 2)
            name = queries.session_name(connection, row.summary.session_id)
        values = {
            "seq": row.seq,
            "event": event,
            "summary": row.summary,
            "talk": conversation(event),
            "facts": _facts(event),
            "newer": newer[0].summary.event_id if newer else None,
            "older": older[0].summary.event_id if older else None,
            "has_siblings": len(siblings) > 1,
            "session_name": name,
        }
        return Reply(render("event.html", **frame(ask, row.summary.name, "events"), **values))

    def trace(self, ask: Ask) -> Reply:
        """The events of a trace or a session as a tree and a waterfall."""
        rows, name = self._group(ask.id)
        if not rows:
            return not_found(ask, f"There is no trace {ask.id} here.")
        summaries = [row.summary for row in rows]
        values = {
            "id": ask.id,
            "name": name,
            "trace": trace(rows),
            "totals": totals(summaries),
            "is_session": any(summary.session_id == ask.id for summary in summaries),
            "is_cut": len(rows) >= TRACE_LIMIT,
        }
        return Reply(render("trace.html", **frame(ask, name or "Trace", "events"), **values))

    def session(self, ask: Ask) -> Reply:
        """A session's turns, each with what is new in it."""
        self.catch_up()
        first = max(0, int(ask.get("turn"))) if ask.get("turn").isdigit() and len(ask.get("turn")) < 8 else 0
        with self._database.read(READ_TIMEOUT_S) as connection:
            rows = queries.group(connection, ask.id, TRACE_LIMIT)
            name = queries.session_name(connection, ask.id)
            turns = [row for row in rows if row.summary.event_type != "chain"]
            shown = turns[max(0, first - 1) : first + TURNS]
            events = queries.events_of(connection, shown)
        if not rows and name is None:
            return not_found(ask, f"There is no session {ask.id} here.")
        talks = _only_what_is_new([conversation(event) for event in events])
        pairs = list(zip(shown, talks))[1 if first else 0 :]
        values = {
            "id": ask.id,
            "name": name,
            "turns": [(first + at + 1, row.summary, talk) for at, (row, talk) in enumerate(pairs)],
            "totals": totals([row.summary for row in rows]),
            "rows": rows,
            "first": first,
            "size": TURNS,
            "count": len(turns),
        }
        return Reply(render("session.html", **frame(ask, name or "Session", "events"), **values))

    def compare(self, ask: Ask) -> Reply:
        """Two events side by side, or what to compare one with."""
        self.catch_up()
        left_id, right_id = ask.get("a").strip()[:100], ask.get("b").strip()[:100]
        with self._database.read(READ_TIMEOUT_S) as connection:
            left, right = queries.event(connection, left_id), queries.event(connection, right_id)
            candidates = [] if left is None or right is not None else _candidates(connection, left[0])
        missing = [id_ for id_, found in ((left_id, left), (right_id, right)) if id_ and found is None]
        sections: List[Tuple[str, Any]] = []
        if left is not None and right is not None:
            sections = _compared(left[1], right[1])
        values = {
            "left": left[0].summary if left else None,
            "right": right[0].summary if right else None,
            "left_id": left_id,
            "right_id": right_id,
            "missing": missing,
            "sections": sections,
            "candidates": candidates,
        }
        return Reply(render("compare.html", **frame(ask, "Compare", "events"), **values))

    def help(self, ask: Ask) -> Reply:
        """Keys, searching, exports, the command line."""
        values = {"url": self._url, "key": self._key, "has_full_text": self._index.has_full_text}
        return Reply(render("help.html", **frame(ask, "Help", "help"), **values))

    def row(self, row: Row, names: Mapping[str, str]) -> str:
        """One row of the list, as the live list gets it."""
        return render("row.html", row=row, names=names)

    def last_seq(self) -> int:
        """The number of the newest record."""
        self.catch_up()
        with self._database.read(READ_TIMEOUT_S) as connection:
            return queries.last_seq(connection)

    def catch_up(self) -> int:
        """Summarize what has just arrived, up to so many; return how many records wait to be found by a search."""
        lag = self._index.lag()
        if lag.summaries:
            self._index.catch_up(summaries_only=True, most=_SUMMARIZED_AT_ONCE)
        return max(self._index.lag().summaries, lag.search) if lag.summaries else lag.search

    def _group(self, id_: str) -> Tuple[List[Row], Optional[str]]:
        self.catch_up()
        with self._database.read(READ_TIMEOUT_S) as connection:
            return queries.group(connection, id_, TRACE_LIMIT), queries.session_name(connection, id_)


def _with(query: str, **cursors: Row) -> str:
    """The query with a place in the list."""
    ((name, row),) = cursors.items()
    cursor = f"{name}={quote(str(Cursor(row.summary.start_ms, row.seq)))}"
    return f"{query}&{cursor}" if query else cursor


def _chips(meant: Filter) -> List[Tuple[str, str, str]]:
    """Each condition that is set: its name, its value, and the query without it."""
    chips = []
    for name, value in values_of(meant).items():
        key = "from_" if name == "from" else name
        for item in value if isinstance(value, tuple) else (value,):
            shown = f"{item:.15g}" if isinstance(item, float) else str(item)
            chips.append((name, shown, meant.without(key, item if isinstance(value, tuple) else None)))
    return chips


def _facts(event: Event) -> List[Tuple[str, List[Tuple[str, str, bool]]]]:
    """Config, metadata and the like as names and values; a value that is an object or a list is JSON."""
    groups = []
    for title in ("config", "metadata", "user_properties", "feedback", "metrics"):
        value = event.get(title)
        if isinstance(value, dict) and value:
            groups.append((title.replace("_", " "), [(name, *_shown(item)) for name, item in value.items()]))
    return groups


def _shown(value: Any) -> Tuple[str, bool]:
    if isinstance(value, list) and all(isinstance(item, str) and len(item) < 60 for item in value):
        return ", ".join(value), False
    if isinstance(value, (dict, list)):
        return as_json(value), True
    if isinstance(value, str):
        return value, False
    return as_json(value), False


def _only_what_is_new(talks: List[Conversation]) -> List[Conversation]:
    """Leave out of each turn the messages with which the one before it began, and the answer that it repeats."""
    previous: List[Tuple[str, str]] = []
    for talk in talks:
        own = [_key(message) for message in talk.messages]
        same = 0
        while same < min(len(previous), len(own)) and previous[same] == own[same]:
            same += 1
        previous = own + [_key(message) for message in talk.answers]
        talk.omitted += same
        talk.messages = talk.messages[same:]
    return talks


def _key(message: Message) -> Tuple[str, str]:
    return message.role, message.plain() or repr([(call.name, call.arguments) for call in message.calls])


def _candidates(connection: Any, row: Row) -> List[Row]:
    """Events that somebody may want to compare this one with: of the same name, the newest first."""
    search = queries.search_for(Filter(kind=(row.summary.kind,)), 0.0, False)
    found = queries.events(connection, search, limit=_CANDIDATES + 1).rows
    return [other for other in found if other.seq != row.seq][:_CANDIDATES]


def _compared(left: Event, right: Event) -> List[Tuple[str, Any]]:
    one, other = conversation(left), conversation(right)
    return [
        ("Prompt", differences(_text(one.messages, one.other_inputs), _text(other.messages, other.other_inputs))),
        ("Answer", differences(_text(one.answers, one.other_outputs), _text(other.answers, other.other_outputs))),
        ("Parameters", differences(as_json(left.get("config") or {}), as_json(right.get("config") or {}))),
        ("Tools", differences("\n".join(text for _, text in one.tools), "\n".join(text for _, text in other.tools))),
        ("Error", differences(str(left.get("error") or ""), str(right.get("error") or ""))),
    ]


def _text(messages: Sequence[Message], other: str) -> str:
    parts = []
    for message in messages:
        calls = [f"{call.name}({call.arguments})" for call in message.calls]
        parts.append("\n".join([f"[{message.role}]", message.plain(), *calls]))
    return "\n\n".join([*parts, *([other] if other else [])])
