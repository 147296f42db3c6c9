"""`honeyhive-litellm kept`: spool files that are kept after a broker has acknowledged their events."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Callable, List, Optional, TypeVar

import click

from honeyhive_litellm._errors import HoneyHiveError
from honeyhive_litellm._spool.kept_segments import KeptFile, kept_in, offer_again, remove

from .common import duration, errors_reported, json_option, moment, print_json, span, table
from .spool_folder import destination_option, folder_to_change, folder_to_read, spool_options

_F = TypeVar("_F", bound=Callable[..., Any])


@click.group()
def kept() -> None:
    """Spool files whose events a broker has acknowledged, kept for a while by the option broker_keep.

    \b
    Example:
        honeyhive-litellm kept list --project my-project
    """


def _which(command: _F) -> _F:
    """The options that choose among the files."""
    newer = click.option("--newer-than", metavar="SPAN", help="those kept since then, such as 30m or 2h")
    return newer(click.option("--all", "everything", is_flag=True, help="all of them")(command))


@kept.command("list")
@spool_options
@destination_option
@json_option
def list_(as_json: bool, **options: Optional[str]) -> None:
    """List them, oldest first.

    \b
    Example:
        honeyhive-litellm kept list --json
    """
    with errors_reported():
        found = kept_in(folder_to_read(options))
    if as_json:
        print_json(kept=[{"file": each.path.name, "bytes": each.size, "since": each.since} for each in found])
    elif found:
        rows = [(each.path.name, moment(each.since), duration(time.time() - each.since), each.size) for each in found]
        table("Kept spool files", ("file", "acknowledged", "ago", "bytes"), rows)
    else:
        click.echo("nothing is kept")


@kept.command()
@spool_options
@destination_option
@json_option
@_which
def publish(newer_than: Optional[str], everything: bool, as_json: bool, **options: Optional[str]) -> None:
    """Have their events published again, after the broker has lost what it had acknowledged.

    The events keep their ids, and a relay whose key may read looks each of them up: those that HoneyHive has are not
    sent. A process that delivers from this spool publishes them within seconds; without one, run `drain`.

    \b
    Example:
        honeyhive-litellm kept publish --newer-than 2h
    """
    events, failed = 0, 0
    with errors_reported():
        folder = folder_to_change(options)
        chosen = _chosen(folder, newer_than, everything)
    for each in chosen:
        try:
            events += offer_again(folder, each)
        except HoneyHiveError as error:  # the others are published all the same
            if each.path.exists():  # else it was just removed, or published by another command
                failed += 1
                click.echo(f"Error: {error}", err=True)
    if as_json:
        print_json(events=events, failed=failed)
    else:
        click.echo(f"{events} events are in the spool again")
    if failed:
        sys.exit(1)


@kept.command()
@spool_options
@destination_option
@json_option
@_which
def purge(newer_than: Optional[str], everything: bool, as_json: bool, **options: Optional[str]) -> None:
    """Delete them. Nothing is lost that the broker has.

    \b
    Example:
        honeyhive-litellm kept purge --all
    """
    with errors_reported():
        folder = folder_to_change(options)
        removed = sum(remove(each) for each in _chosen(folder, newer_than, everything))
    if as_json:
        print_json(files=removed)
    else:
        click.echo(f"deleted {removed} files")


def _chosen(folder: Path, newer_than: Optional[str], everything: bool) -> List[KeptFile]:
    """The files that the user chose. Raises UsageError."""
    if everything is (newer_than is not None):
        raise click.UsageError("which files? Give --newer-than SPAN or --all")
    since = 0.0 if newer_than is None else time.time() - span(newer_than)
    return [each for each in kept_in(folder) if each.since >= since]
