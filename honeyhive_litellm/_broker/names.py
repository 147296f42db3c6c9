"""The names that the application and the relay share: streams, subjects, consumers, inboxes, headers."""

from __future__ import annotations

DEAD_STREAM = "HH_DEAD"
DEAD_SUBJECTS = "honeyhive.dead.>"

APPLICATION_INBOX = "_INBOX.hhapp"
RELAY_INBOX = "_INBOX.hhrelay"
"""Inboxes of their own, so that the broker can refuse one the replies to the other."""

# No header of ours begins with "Nats-": those are the broker's.
MESSAGE_ID = "Nats-Msg-Id"
"""The event's id; the broker stores a second message with the same one only after its `duplicate_window`."""
EVENT_ID = "HH-Event-Id"
"""The event's id where `MESSAGE_ID` is another one, so that the broker does not drop an event that is sent again."""
PROJECT = "HH-Project"
SESSION = "HH-Session"
STARTED = "HH-Started"
MAY_BE_DUPLICATE = "HH-May-Be-Duplicate"


def stream_of(destination: str) -> str:
    """The stream that holds a destination's events."""
    return f"HH_{destination}"


def subject_of(destination: str) -> str:
    """The subject that an application publishes a destination's events on."""
    return f"honeyhive.events.{destination}"


def consumer_of(destination: str) -> str:
    """The durable consumer that all relays of a destination share."""
    return f"relay-{destination}"


def dead_subject_of(destination: str) -> str:
    """The subject of a destination's dead letters."""
    return f"honeyhive.dead.{destination}"
