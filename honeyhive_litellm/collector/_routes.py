"""The routes: what each does with a body that is known to be JSON, and with a key that may call it.

Nothing here speaks HTTP or waits: a route is a function of a `Call` that returns the JSON value to answer
with 200, or raises `Refusal`. What HoneyHive's texts leave open is settled thus:

* An unknown `session_id` on an event is taken, and no session is made for it: a PUT to that session is
  refused, and so is a batch for it. With `Rules.require_session` such an event is refused with 400 instead.
* A v1 batch with a faulty event is refused as a whole (400). The legacy batch route has no 400 for that: the
  faulty events are left out and the answer is 500, with the body that the older text gives.
* The body of a partial failure on v1 is not described, so it tells no ids.
* PUT answers `{}`: no content is described, but HoneyHive's own Python client (1.7.0) parses the reply as
  JSON.
* `POST /events/model` and its batch do not exist here (404): they move `error` and `duration` into the
  inputs.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Collection, Dict, List, NamedTuple, Optional, Tuple

from honeyhive_litellm.collector import _schema as schema
from honeyhive_litellm.collector import _search

from . import _semantics
from ._auth import Need
from ._schema import Spec, find_problem, find_problems
from ._semantics import Event
from ._store import Store, TooDeepError

MAX_BODY_BYTES = 5_000_000


@dataclass(frozen=True)
class Rules:
    """How strict the server is.

    *keys* are the API keys it accepts, None for any that is not empty. *bad_key_status* is 401 (and 403
    where a key may not do what it asks) or 404, which is what HoneyHive answers in both cases since
    September 2026. *max_body_bytes* is the documented limit of 5 MB; more is answered 413.
    *visible_after_s* keeps an event from readers for so long after its receipt, as the real service does
    for some seconds.
    """

    keys: Optional[Collection[str]] = field(default=None, repr=False)
    bad_key_status: int = 401
    max_body_bytes: int = MAX_BODY_BYTES
    require_session: bool = False
    visible_after_s: float = 0.0

    def __post_init__(self) -> None:
        if self.bad_key_status not in (401, 404):
            raise ValueError("bad_key_status must be 401 or 404")
        if isinstance(self.keys, str):
            raise ValueError("keys must be a collection of keys, not one string")


class Refusal(Exception):  # noqa: N818 - to refuse is this server's job, no error of its own
    """An answer other than 200. *extra* replaces the usual error body where another one is documented."""

    def __init__(self, status: int, message: str, extra: Optional[Dict[str, Any]] = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.extra = extra

    @property
    def body(self) -> Dict[str, Any]:
        """The error body of HoneyHive's services."""
        if self.extra is not None:
            return self.extra
        return {"statusCode": self.status, "message": self.message, "success": False}


class Partial(NamedTuple):
    """A scripted partial failure: store all but *event_id*, or without one the first *keep* events."""

    keep: int
    event_id: Optional[str]

    def of(self, events: List[Event]) -> List[Event]:
        """The events that are stored."""
        if self.event_id is not None:
            return [event for event in events if event["event_id"] != self.event_id]
        return events[: self.keep]


@dataclass
class Call:
    """One request: the id from its path, its parsed body, and what a script wants of it.

    *carried* is set to the number of events the request brought, once it is known to be well-formed.
    """

    target: str = ""
    body: Any = None
    partial: Optional[Partial] = None
    carried: int = 0


Action = Callable[[Call], Any]
_WITH_ID = re.compile(r"(/v1/events/|/v1/sessions/|/session/)([^/]+)(|/events/batch|/traces)")


class Api:
    """The routes over one store.

    On the server's thread *on_stored* is called after each transaction, and *on_events* with each request's events.
    """

    def __init__(
        self,
        store: Store,
        rules: Rules,
        on_stored: Callable[[], None] = lambda: None,
        on_events: Callable[[List[Event]], None] = lambda events: None,
    ) -> None:
        self.store = store
        self.rules = rules
        self._on_stored = on_stored
        self._on_events = on_events
        read, write = Need.READ, Need.WRITE
        self._routes: Dict[Tuple[str, str], Tuple[Need, Action]] = {
            ("POST", "/v1/sessions"): (write, lambda call: self._start_session(call.body, schema.SESSION)),
            ("POST", "/session/start"): (write, self._start_session_legacy),
            ("POST", "/v1/events"): (write, self._add_event),
            ("POST", "/events"): (write, self._add_event_legacy),
            ("POST", "/v1/events/batch"): (write, self._add_batch),
            ("POST", "/events/batch"): (write, self._add_batch_legacy),
            ("POST", "/v1/sessions/{}/events/batch"): (write, self._add_to_session),
            ("POST", "/session/{}/traces"): (write, self._add_to_session_legacy),
            ("PUT", "/v1/events/{}"): (
                write,
                lambda call: self._update(call.target, call.body, schema.UPDATE),
            ),
            ("PUT", "/events"): (write, self._update_legacy),
            ("GET", "/v1/events/{}"): (read, self._get_event),
            ("POST", "/v1/events/search"): (read, lambda call: self._search(call, _search.read_search)),
            ("POST", "/v1/events/export"): (read, lambda call: self._search(call, _search.read_export)),
        }

    def find(self, method: str, path: str) -> Tuple[Need, Action, str]:
        """The route of a request, with the id in its path or ""; refuse with 404 or 405 without one."""
        templates = {path: ""}
        match = _WITH_ID.fullmatch(path)
        if match is not None:
            templates[f"{match[1]}{{}}{match[3]}"] = match[2]
        for template, target in templates.items():
            if (method, template) in self._routes:
                need, action = self._routes[method, template]
                return need, action, target
        if any(template in templates for _, template in self._routes):
            raise Refusal(405, "this method is not allowed here")
        raise Refusal(404, "no such route")

    def _start_session(self, fields: Any, spec: Spec) -> Event:
        _refuse(find_problem(fields, spec, "the session"))
        now_ms = _now_ms()
        session = _semantics.complete_session(fields, now_ms)
        existing = self.store.get(session["session_id"])
        if existing is not None:
            if existing["event_type"] != "session":
                raise Refusal(400, "the session_id is that of an event")
            session = _semantics.merged(existing, fields)
        self._keep(self.store.put, [session], now_ms)
        return {**session, **_semantics.SCOPE}

    def _start_session_legacy(self, call: Call) -> Event:
        _refuse(find_problem(call.body, schema.LEGACY_SESSION_WRAPPER))
        return self._start_session(call.body["session"], schema.LEGACY_SESSION)

    def _add_event(self, call: Call) -> Dict[str, Any]:
        _refuse(find_problem(call.body, schema.EVENT, "the event"))
        return self._add_one(call, call.body)

    def _add_event_legacy(self, call: Call) -> Dict[str, Any]:
        _refuse(find_problem(call.body, schema.LEGACY_EVENT_WRAPPER))
        _refuse(find_problem(call.body["event"], schema.LEGACY_EVENT, "the event"))
        return self._add_one(call, _semantics.without_extras(call.body["event"]))

    def _add_one(self, call: Call, event: Event) -> Dict[str, Any]:
        self._add(call, [_semantics.complete_event(event)])
        return {"success": True, "event_id": event["event_id"]}

    def _add_batch(self, call: Call) -> Dict[str, Any]:
        body = call.body
        _refuse(find_problem(body, schema.BATCH))
        properties = body.get("session_properties", {})
        _refuse(find_problem(properties, schema.SESSION_PROPERTIES, "session_properties"))
        _refuse_any(find_problems(body["events"], schema.EVENT, "events"))
        return self._add_events(call, body["events"], body.get("single_session", False), properties)

    def _add_batch_legacy(self, call: Call) -> Dict[str, Any]:
        body = call.body
        _refuse(find_problem(body, schema.LEGACY_BATCH))
        properties = body.get("session_properties", body.get("session", {}))
        _refuse(find_problem(properties, schema.SESSION_PROPERTIES, "session_properties"))
        problems = find_problems(body["events"], schema.LEGACY_EVENT, "events")
        sound = [
            _semantics.without_extras(event)
            for position, event in enumerate(body["events"])
            if position not in problems
        ]
        is_single = body.get("single_session", body.get("is_single_session", False))
        answer = self._add_events(call, sound, is_single, properties)
        if problems:
            errors = [f"could not create event: {problem}" for problem in problems.values()]
            raise Refusal(500, "events partially created", {**answer, "errors": errors})
        return answer

    def _add_events(
        self, call: Call, events: List[Event], is_single: bool, properties: Dict[str, Any]
    ) -> Dict[str, Any]:
        answer: Dict[str, Any] = {}
        session_id = None
        if is_single:
            session_id = _semantics.new_id()
            self._start_session({**properties, "session_id": session_id}, schema.LEGACY_SESSION)
            answer["session_id"] = session_id
        self._add(call, [_semantics.complete_event(event, session_id) for event in events])
        return {"event_ids": [event["event_id"] for event in events], "success": True, **answer}

    def _add_to_session(self, call: Call) -> Dict[str, Any]:
        self._refuse_unknown_session(call.target)
        _refuse(find_problem(call.body, schema.SESSION_BATCH))
        _refuse_any(find_problems(call.body["events"], schema.EVENT, "events"))
        self._add(call, [_semantics.complete_event(event, call.target) for event in call.body["events"]])
        return {"success": True}

    def _add_to_session_legacy(self, call: Call) -> Dict[str, Any]:
        self._refuse_unknown_session(call.target)
        _refuse(find_problem(call.body, schema.LEGACY_SESSION_BATCH))
        present = [name for name in ("logs", "events") if name in call.body]
        if len(present) != 1:
            raise Refusal(400, "the body must have exactly one of logs and events")
        events = call.body[present[0]]
        _refuse_any(find_problems(events, schema.LEGACY_EVENT, present[0]))
        kept = [_semantics.complete_event(_semantics.without_extras(event), call.target) for event in events]
        self._add(call, kept)
        return {"success": True}

    def _add(self, call: Call, events: List[Event]) -> None:
        """Store complete *events* and count them; a scripted partial failure stores some and refuses."""
        call.carried = len(events)
        if self.rules.require_session:
            for session_id in {event["session_id"] for event in events}:
                self._refuse_unknown_session(session_id)
        kept = events if call.partial is None else call.partial.of(events)
        self._keep(self.store.add, kept, _now_ms())
        self._on_events(kept)
        if call.partial is not None:
            raise Refusal(500, "Events partially created")

    def _keep(self, keep: Callable[[List[Event], float], None], events: List[Event], now_ms: float) -> None:
        try:
            keep(events, now_ms)
        except TooDeepError as error:
            raise Refusal(400, str(error)) from None
        self._on_stored()

    def _update_legacy(self, call: Call) -> Dict[str, Any]:
        _refuse(find_problem(call.body, schema.LEGACY_UPDATE))
        return self._update(call.body["event_id"], call.body, schema.LEGACY_UPDATE)

    def _update(self, event_id: str, update: Any, spec: Spec) -> Dict[str, Any]:
        _refuse_non_uuid(event_id)
        _refuse(find_problem(update, spec))
        event = self.store.get(event_id)
        if event is None:
            raise Refusal(400, "there is no event of that id: an update never creates one")
        self._keep(self.store.put, [_semantics.updated(event, update)], _now_ms())
        return {}

    def _get_event(self, call: Call) -> Dict[str, Any]:
        _refuse_non_uuid(call.target)
        event = self.store.get(call.target, self._visible_until_ms())
        if event is None:
            raise Refusal(404, "event not found")
        return {"event": event}

    def _search(self, call: Call, read: Callable[[object], _search.Query]) -> Dict[str, Any]:
        """Answer a page of matches; `count`, which is not explained anywhere, is that of all matches."""
        try:
            query = read(call.body)
        except ValueError as error:
            raise Refusal(400, str(error)) from None
        found = [event for event in self.store.newest_first(self._visible_until_ms()) if query.matches(event)]
        return {"events": query.page_of(found), "count": len(found)}

    def _visible_until_ms(self) -> float:
        return _now_ms() - self.rules.visible_after_s * 1000.0

    def _refuse_unknown_session(self, session_id: str) -> None:
        _refuse_non_uuid(session_id)
        if not self.store.has_session(session_id):
            raise Refusal(400, "there is no session of that id: start it first")


def _now_ms() -> float:
    return time.time() * 1000.0


def _refuse(problem: Optional[str]) -> None:
    if problem is not None:
        raise Refusal(400, problem)


def _refuse_any(problems: Dict[int, str]) -> None:
    for problem in problems.values():
        raise Refusal(400, problem)


def _refuse_non_uuid(value: str) -> None:
    if not schema.is_uuid(value):
        raise Refusal(400, "the id in the path must be a UUID")
