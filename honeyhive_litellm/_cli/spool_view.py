"""A spool's numbers in the form that the collector's delivery page shows."""

from __future__ import annotations

from typing import Sequence

from honeyhive_litellm._spool.dead_letters import DeadLetter
from honeyhive_litellm._spool.status import FolderStatus
from honeyhive_litellm.collector.spool_view import Letter, Owner, SpoolView

from .letters import LOCKED

_LETTERS_SHOWN = 200


def view_of(status: FolderStatus, letters: Sequence[DeadLetter]) -> SpoolView:
    """The view of a folder and its dead letters, of which the newest come first."""
    alive = [
        Owner(p.owner, True, p.pid, p.host, p.at, p.stats.pending, p.stats.in_flight, p.stats.last_error)
        for p in status.processes
    ]
    dead = [
        Owner(left.owner, False, None, None, left.last_seen, left.pending, left.interrupted, None)
        for left in status.leftovers
    ]
    newest = sorted(letters, key=lambda letter: -letter.at)[:_LETTERS_SHOWN]
    return SpoolView(
        folder=str(status.folder),
        bytes_on_disk=status.bytes_on_disk,
        accepted=status.totals.accepted,
        delivered=status.totals.delivered,
        pending=status.pending,
        dead=status.totals.dead,
        adds_up=status.adds_up,
        dropped=dict(status.totals.dropped),
        owners=[*alive, *dead],
        letters=[Letter(le.id, le.at, le.status, LOCKED if le.is_locked else le.reason, le.size) for le in newest],
        unreadable=dict(status.unreadable),
        locked=status.locked,
    )
