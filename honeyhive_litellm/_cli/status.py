"""`honeyhive-litellm status` and `honeyhive-litellm drain`."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from dataclasses import asdict
from typing import Any, Dict, Optional

import click

from honeyhive_litellm._runtime.drain import Drain
from honeyhive_litellm._spool.status import FolderStatus, status_of
from honeyhive_litellm._stats import Stats

from .common import LEFT, existing, folder_of, moment, settings_of, spool_options, table, told_failures


@click.command()
@spool_options
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def status(as_json: bool, **options: Optional[str]) -> None:
    """Tell what became of every event in a spool, and who is at work in it.

    With all processes ended the numbers are exact; what living ones have is about a second old. Exit code 0, or 3
    if the numbers do not add up or a file cannot be read.
    """
    with told_failures():
        found = asyncio.run(status_of(folder_of(options)))
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
        "untold": found.unpublished,
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
        "living processes, each with its numbers since it began",
        ("host", "pid", "role", "accepted", "delivered", "pending", "dead", "dropped", "in flight", "as of", "trouble"),
        [
            (
                p.host,
                p.pid,
                "flushes" if p.flushes else "writes",
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
        "to be taken over by the next process, or by `honeyhive-litellm drain`",
        ("left by", "segments", "pending", "calls cut off", "last seen"),
        [(o.owner, o.segments, o.pending, o.interrupted, moment(o.last_seen)) for o in found.leftovers],
    )
    table(
        "held by a living process that has not published its numbers yet",
        ("segment",),
        [(name,) for name in found.unpublished],
    )
    table("cannot be read", ("segment", "why"), sorted(found.unreadable.items()))


def _dropped(dropped: Any) -> str:
    told = ", ".join(f"{events} {reason}" for reason, events in sorted(dropped.items()) if events)
    return told or "0"


@click.command()
@spool_options
@click.option("--follow", is_flag=True, help="go on until SIGTERM or Ctrl-C, as a sidecar")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="end after so many seconds")
def drain(follow: bool, timeout: Optional[float], **options: Optional[str]) -> None:
    """Deliver what is in a spool: of processes that ended, and of those that only write (`flush=False`).

    Processes that deliver themselves are left to it. The key is taken from HONEYHIVE_API_KEY alone, since anybody
    can read command lines. Without --follow and --timeout it ends when all is delivered, or when nothing has
    moved for a minute. Exit code 0 if nothing is left in hand, 3 if something is: it stays in the spool.
    """
    with told_failures():
        settings = settings_of(options)
        if not follow:
            existing(settings.spool_path)
        stats = asyncio.run(_run(Drain(settings, follow=follow, timeout_s=timeout)))
    dropped = sum(stats.dropped.values())
    click.echo(f"delivered {stats.delivered}, dead letters {stats.dead}, dropped {dropped}, left {stats.pending}")
    if stats.pending:
        why = f": {stats.last_error}" if stats.last_error else ""
        click.echo(f"{stats.pending} events stay in {settings.spool_path}{why}", err=True)
        sys.exit(LEFT)


async def _run(work: Drain) -> Stats:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, work.stop)
        except NotImplementedError:  # Windows: Ctrl-C then ends it as it ends any program, and nothing is lost
            break
    return await work.run()
