"""How what was sent becomes what is stored: defaults, merging and replacing, as HoneyHive's OpenAPI 1.9 says.

The functions take bodies that `_schema` has found right. `complete_*` write into the parsed body they are
given, which belongs to nobody else; `merged` and `updated` return a new event.
"""

from __future__ import annotations

import uuid
from typing import Any, Dict, Mapping, Optional

from ._schema import EVENT, SESSION, is_uuid

Event = Dict[str, Any]

UNKNOWN = "unknown"
_SESSION_MERGED = ("metadata", "user_properties")
_UPDATE_MERGED = ("metadata", "feedback", "metrics", "config", "user_properties")
_UPDATE_SET = ("duration", "end_time")
# The description of a session's reply demands these; here they say nothing.
SCOPE = {"org_id": "local", "workspace_id": "local", "project_id": "local"}


def new_id() -> str:
    """A random UUID, as the server makes them."""
    return str(uuid.uuid4())


def complete_event(event: Event, session_id: Optional[str] = None) -> Event:
    """Fill in an event's ids and names; *session_id* (from the path, or of a single session) beats its own.

    The parent defaults to the session. Nothing else is made up: an event without `start_time` has none.
    """
    if "event_id" not in event:
        event["event_id"] = new_id()
    if session_id is not None:
        event["session_id"] = session_id
    elif "session_id" not in event:
        event["session_id"] = new_id()
    if "parent_id" not in event:
        event["parent_id"] = event["session_id"]
    event.setdefault("event_name", UNKNOWN)
    event.setdefault("source", UNKNOWN)
    return event


def without_extras(event: Mapping[str, Any]) -> Event:
    """A legacy event with the documented fields alone: what becomes of the others is nowhere described."""
    return {name: value for name, value in event.items() if name in EVENT.fields}


def complete_session(fields: Mapping[str, Any], now_ms: float) -> Event:
    """Turn a session start into the session's event: `event_id` equals `session_id`, and it has no parent.

    A `session_id` that is missing or no UUID becomes a random one, and a time that is a string becomes
    *now_ms* (Unix milliseconds): both in silence, as documented. A legacy start's extra fields are dropped.
    """
    session_id = fields.get("session_id")
    if not is_uuid(session_id):
        session_id = new_id()
    name = fields.get("event_name", fields.get("session_name", UNKNOWN))
    session: Event = {
        "config": {},
        "inputs": {},
        "outputs": {},
        "metadata": {},
        "user_properties": {},
        "children_ids": [],
        "source": UNKNOWN,
        "start_time": now_ms,
        **{field: value for field, value in fields.items() if field in SESSION.fields},
        "event_id": session_id,
        "session_id": session_id,
        "parent_id": None,
        "event_type": "session",
        "event_name": name,
    }
    for field in ("start_time", "end_time"):
        if isinstance(session.get(field), str):
            session[field] = now_ms
    return session


def merged(session: Mapping[str, Any], again: Mapping[str, Any]) -> Event:
    """The stored *session* after being started *again*: metadata and user properties merge."""
    return {**session, **_merge(session, again, _SESSION_MERGED)}


def updated(event: Mapping[str, Any], update: Mapping[str, Any]) -> Event:
    """The stored *event* after a PUT: some fields merge (one level deep), some are set, the others ignored.

    `outputs` is replaced as a whole, and kept when the update says null; an empty `children_ids` is ignored.
    """
    after = {**event, **_merge(event, update, _UPDATE_MERGED)}
    for field in _UPDATE_SET:
        if field in update:
            after[field] = update[field]
    for field in ("outputs", "children_ids"):
        if update.get(field) is not None and update[field] != []:
            after[field] = update[field]
    return after


def _merge(old: Mapping[str, Any], new: Mapping[str, Any], fields: Any) -> Event:
    return {field: {**(old.get(field) or {}), **new[field]} for field in fields if field in new}
