"""The ids of an event and of its session, and whether a session is in the sample."""

from __future__ import annotations

import hashlib
import re
import uuid

from honeyhive_litellm._json import well_formed

_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ANY_UUID = re.compile(r"[0-9a-f]{32}|" + _CANONICAL_UUID.pattern, re.IGNORECASE | re.ASCII)


def event_id(call_id: str, attempt: int) -> str:
    """The id of the event of one attempt (1, 2, ...) at a call: a UUID that depends on nothing else.

    The first attempt has LiteLLM's call id itself if that is a UUID, so that `x-litellm-call-id` finds the event, and
    its UUIDv5 otherwise. Each further attempt has the UUIDv5 of the first one's id and its own number.
    """
    first = session_id(call_id)
    return first if attempt == 1 else str(uuid.uuid5(uuid.UUID(first), str(attempt)))


def further_event_id(first: str, project: str) -> str:
    """The id of the event that a further logger records of an attempt: a UUIDv5 of the first one and the project.

    A server keeps one event for each id, so two loggers that send to one server need two ids.
    """
    return str(uuid.uuid5(uuid.UUID(first), well_formed(project)))


def session_id(raw: str) -> str:
    """`raw` in lower case with dashes if it is a UUID, else its UUIDv5 in the URL name space."""
    if _CANONICAL_UUID.fullmatch(raw):
        return raw
    if _ANY_UUID.fullmatch(raw):
        return str(uuid.UUID(raw))
    return str(uuid.uuid5(uuid.NAMESPACE_URL, well_formed(raw)))


def is_in_sample(raw: str, share: float) -> bool:
    """Whether the session (or trace, or call) with this id is in a sample of `share` of all, from 0 to 1.

    The answer depends on the id alone, so all processes agree, and a larger sample includes every smaller one.
    """
    digest = hashlib.sha256(session_id(raw).encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
