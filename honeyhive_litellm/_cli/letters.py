"""What the commands about dead letters have in common, be they a spool's or a fleet's."""

from __future__ import annotations

import json
from typing import Any, Dict, Optional, Protocol, Sequence, Set

import click

from honeyhive_litellm._json import decode

from .common import moment, one_line, print_json

LOCKED = "(encrypted, and its key is not here)"
"""Stands where the reason of such a dead letter would."""


class Letter(Protocol):
    """A dead letter: `at` is the Unix time of the refusal, `status` and `reason` are the server's."""

    @property
    def id(self) -> str: ...

    @property
    def at(self) -> float: ...

    @property
    def status(self) -> Optional[int]: ...

    @property
    def reason(self) -> str: ...


def print_letter(letter: Letter, body: bytes, fields: Optional[Dict[str, Any]]) -> None:
    """Print a letter with its event: as a JSON object with these `fields`, without them for a reader."""
    try:
        event: Any = decode(body)
    except ValueError:
        event = body.decode("utf-8", "replace")
    if fields is not None:
        print_json(**fields, event=event)
        return
    click.echo(f"id:      {letter.id}")
    click.echo(f"refused: {moment(letter.at)}")
    click.echo(f"status:  {'-' if letter.status is None else letter.status}")
    click.echo(f"reason:  {one_line(letter.reason, len(letter.reason) + 1)}")
    click.echo("event:")
    click.echo(json.dumps(event, indent=2))


def selected_ids(letters: Sequence[Letter], ids: Sequence[str], everything: bool, hint: str) -> Set[str]:
    """The ids of the letters that the user chose by `ids`, which may be shortened, or with --all.

    `hint` ends the message about an id that is none: where the ids are. Raises ClickException.
    """
    if bool(ids) == everything:
        raise click.UsageError("give the IDs of letters, or --all")
    existing = {letter.id for letter in letters}
    if everything:
        return existing
    selected = set()
    for id_ in ids:
        matches = {id_} if id_ in existing else {each for each in existing if each.startswith(id_)}
        if len(matches) != 1:
            problem = f"{len(matches)} dead letters begin with" if matches else "there is no dead letter"
            raise click.ClickException(f"{problem} {id_!r}{hint}")
        selected |= matches
    return selected
