"""`honeyhive-litellm status`: the numbers of a whole spool."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import asdict
from typing import Any, Dict, List, Optional

import click

from honeyhive_litellm._config.explain import size
from honeyhive_litellm._spool.layout import destination_folder, destinations_in
from honeyhive_litellm._spool.process_state import ProcessState
from honeyhive_litellm._spool.status import FolderStatus, status_of

from .common import (
    EXIT_LEFT,
    counted,
    duration,
    errors_reported,
    json_option,
    locked_in,
    moment,
    print_json,
    span,
    style,
    table,
    wrapped,
)
from .spool_folder import MissingSpoolError, cipher_to_read, destination_option, folder_to_read, spool_options


@click.command()
@spool_options
@destination_option
@json_option
@click.option("--check", is_flag=True, help="print one line, for a probe")
@click.option("--max-age", type=span, metavar="SPAN", help="exit with 3 if an event has waited for longer: 30s, 5m, 2h")
def status(as_json: bool, check: bool, max_age: Optional[float], **options: Optional[str]) -> None:
    """Show what became of every event in a spool, and which processes use it.

    When all processes have ended the numbers are exact; those of living processes are about a second old. Exit code 0,
    or 3 if the numbers do not add up, a file cannot be read, something is encrypted with a key that is neither in
    HONEYHIVE_SPOOL_KEY nor in HONEYHIVE_SPOOL_KEY_FILE, or an event is older than --max-age. With --check a folder that
    is not there yet is no error.

    \b
    Example:
        honeyhive-litellm status --project my-project --check --max-age 5m
    """
    with errors_reported():
        found = _status_of(options, may_be_missing=check)
        others = {} if options["destination"] else _destinations_of(found)
    wrong = _what_is_wrong(found, max_age, time.time())
    for name, other in others.items():
        wrong += [f"destination {name}: {text}" for text in _what_is_wrong(other, max_age, time.time())]
    if as_json:
        each = {name: _as_json(other) for name, other in others.items()}
        print_json(**_as_json(found), **({"destinations": each} if each else {}), ok=not wrong)
    elif check:
        pending = found.pending + sum(other.pending for other in others.values())
        click.echo(f"{'; '.join(wrong) or 'ok'}: {counted(pending, 'event')} pending in {found.folder}")
    else:
        _print(found, "All events" if not others else "The main project's events")
        _print_destinations(others)
    if wrong:
        sys.exit(EXIT_LEFT)


def _status_of(options: Dict[str, Optional[str]], *, may_be_missing: bool) -> FolderStatus:
    try:
        folder = folder_to_read(options)
    except MissingSpoolError as error:
        if may_be_missing:  # before the first call
            return FolderStatus(error.folder)
        raise
    return asyncio.run(status_of(folder, cipher_to_read()))


def _destinations_of(main: FolderStatus) -> Dict[str, FolderStatus]:
    cipher = cipher_to_read()
    return {
        name: asyncio.run(status_of(destination_folder(main.folder, name), cipher))
        for name in destinations_in(main.folder)
    }


def _print_destinations(others: Dict[str, FolderStatus]) -> None:
    rows = []
    for name, found in others.items():
        age_s = found.oldest_age_s(time.time())
        totals = found.totals
        numbers = totals.accepted, totals.delivered, found.pending, totals.dead, sum(totals.dropped.values())
        rows.append((name, *numbers, len(found.processes), None if age_s is None else duration(age_s)))
    if rows:
        click.echo()
    heads = ("name", "accepted", "delivered", "pending", "dead", "dropped", "processes", "oldest")
    table("Destinations, each with a spool of its own: `status --destination NAME`", heads, rows)
    for name, found in others.items():
        locked = locked_in(found)
        if locked is not None:
            click.echo(f"  {name}, {style('locked', fg='yellow')}: {locked}")


def _what_is_wrong(found: FolderStatus, max_age_s: Optional[float], now: float) -> List[str]:
    age_s = found.oldest_age_s(now)
    wrong = []
    if not found.adds_up:
        wrong.append("the numbers do not add up")
    if found.unreadable:
        wrong.append(f"{counted(len(found.unreadable), 'file')} cannot be read")
    locked = locked_in(found)
    if locked is not None:
        wrong.append(locked)
    if max_age_s is not None and age_s is not None and age_s > max_age_s:
        wrong.append(f"the oldest event has waited for {duration(age_s)}, more than {duration(max_age_s)}")
    return wrong


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
        "locked": found.locked,
        "locked_letters": found.locked_letters,
        "missing_keys": sorted(found.missing_keys),
        "oldest_pending_at": found.oldest_pending_at,
        "processes": [
            {"owner": p.owner, "pid": p.pid, "host": p.host, "at": p.at, "flushes": p.flushes, **asdict(p.stats)}
            for p in found.processes
        ],
        "leftovers": [leftover._asdict() for leftover in found.leftovers],
        "untold": found.unpublished,  # scripts read it by this name
        "unreadable": found.unreadable,
    }


def _print(found: FolderStatus, title: str) -> None:
    totals, now = found.totals, time.time()
    age_s = found.oldest_age_s(now)
    click.echo(found.folder)
    facts = [f"{size(found.bytes_on_disk)} on disk", counted(found.dead_letters, "dead letter")]
    if age_s is not None:
        facts.append(f"oldest undelivered event: {duration(age_s)}")
    click.echo(f"{', '.join(facts)}\n")
    sum_ = "adds up" if found.adds_up else style("DOES NOT ADD UP", fg="red")
    table(
        f"{title}: the sum {sum_}",
        ("accepted", "delivered", "pending", "dead", "dropped"),
        [(totals.accepted, totals.delivered, found.pending, totals.dead, sum(totals.dropped.values()))],
    )
    if any(totals.dropped.values()):
        click.echo(f"  dropped: {_dropped(totals.dropped)}")
    locked = locked_in(found)
    if locked is not None:
        click.echo(f"  {style('locked', fg='yellow')}: {locked}")
    if found.processes:
        click.echo(style("\nLiving processes, each with its numbers since it started", bold=True))
    for process in found.processes:
        _print_process(process, now)
    if found.leftovers:
        click.echo()
        table(
            "Left by processes that ended; `honeyhive-litellm drain` delivers it",
            ("owner", "files", "pending", "interrupted", "last seen"),
            [(o.owner, o.segments, o.pending, o.interrupted, moment(o.last_seen)) for o in found.leftovers],
        )
    if found.unpublished:
        click.echo()
        title = "Held by a living process that has not published its numbers yet"
        table(title, ("file",), [(name,) for name in found.unpublished])
    if found.unreadable:
        click.echo()
        table("Cannot be read", ("file", "why"), sorted(found.unreadable.items()))


def _print_process(process: ProcessState, now: float) -> None:
    stats = process.stats
    role = "delivers" if process.flushes else "only writes"
    seen = f"as of {duration(max(0.0, now - process.at))} ago"
    click.echo(f"  {process.host}, pid {process.pid}, {role}, {seen}")
    numbers = (
        f"accepted {stats.accepted}, delivered {stats.delivered}, pending {stats.pending}, dead {stats.dead}, "
        f"dropped {_dropped(stats.dropped)}, in flight {stats.in_flight}"
    )
    click.echo(wrapped(numbers, first="    ", indent=4))
    if stats.last_error:
        click.echo(wrapped(stats.last_error, first=style("    last error: ", fg="yellow"), indent=16))


def _dropped(dropped: Any) -> str:
    return ", ".join(f"{events} {reason}" for reason, events in sorted(dropped.items()) if events) or "0"
