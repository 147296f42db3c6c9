"""`honeyhive-litellm status`: the numbers of a whole spool."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Any, Dict, Optional

import click

from honeyhive_litellm._spool.status import FolderStatus, status_of

from .common import LEFT, errors_reported, moment, table
from .spool_folder import folder_to_read, spool_options


@click.command()
@spool_options
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def status(as_json: bool, **options: Optional[str]) -> None:
    """Show what became of every event in a spool, and which processes use it.

    When all processes have ended the numbers are exact; those of living processes are about a second old. Exit code 0,
    or 3 if the numbers do not add up or a file cannot be read.
    """
    with errors_reported():
        found = asyncio.run(status_of(folder_to_read(options)))
    if as_json:
        click.echo(json.dumps(_as_json(found), indent=2))
    else:
        _print(found)
    if not found.adds_up or found.unreadable:
        sys.exit(LEFT)


def _as_json(found: FolderStatus) -> Dict[str, Any]:
    return {
        "folder": str(found.folder),
        "bytes_on_disk": found.bytes_on_disk,
        "accepted": found.totals.accepted,
        "delivered": found.totals.delivered,
        "pending": found.pending,
        "dead": found.totals.dead,
        "dropped": dict(found.totals.dropped),
        "adds_up": found.adds_up,
        "dead_letters": found.dead_letters,
        "processes": [
            {"owner": p.owner, "pid": p.pid, "host": p.host, "at": p.at, "flushes": p.flushes, **asdict(p.stats)}
            for p in found.processes
        ],
        "leftovers": [leftover._asdict() for leftover in found.leftovers],
        "untold": found.unpublished,  # scripts read it by this name
        "unreadable": found.unreadable,
    }


def _print(found: FolderStatus) -> None:
    totals = found.totals
    click.echo(f"{found.folder}: {found.bytes_on_disk / 2**20:.1f} MiB on disk, {found.dead_letters} dead letters")
    table(
        "all events",
        ("accepted", "delivered", "pending", "dead", "dropped", ""),
        [
            (
                totals.accepted,
                totals.delivered,
                found.pending,
                totals.dead,
                _dropped(totals.dropped),
                "adds up" if found.adds_up else "DOES NOT ADD UP",
            )
        ],
    )
    table(
        "living processes, each with its numbers since it started",
        (
            "host",
            "pid",
            "role",
            "accepted",
            "delivered",
            "pending",
            "dead",
            "dropped",
            "in flight",
            "as of",
            "last error",
        ),
        [
            (
                p.host,
                p.pid,
                "delivers" if p.flushes else "only writes",
                p.stats.accepted,
                p.stats.delivered,
                p.stats.pending,
                p.stats.dead,
                _dropped(p.stats.dropped),
                p.stats.in_flight,
                moment(p.at),
                p.stats.last_error,
            )
            for p in found.processes
        ],
    )
    table(
        "left by processes that ended, to be delivered by the next process or by `honeyhive-litellm drain`",
        ("left by", "segments", "pending", "interrupted calls", "last seen"),
        [(o.owner, o.segments, o.pending, o.interrupted, moment(o.last_seen)) for o in found.leftovers],
    )
    table(
        "held by a living process that has not published its numbers yet",
        ("segment",),
        [(name,) for name in found.unpublished],
    )
    table("cannot be read", ("segment", "why"), sorted(found.unreadable.items()))


def _dropped(dropped: Any) -> str:
    return ", ".join(f"{events} {reason}" for reason, events in sorted(dropped.items()) if events) or "0"
