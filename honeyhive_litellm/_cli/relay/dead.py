"""`honeyhive-litellm relay dead`: the events of a fleet that HoneyHive refused for good."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence

import click

from honeyhive_litellm._cli.common import json_option, moment, one_line, print_json, table
from honeyhive_litellm._cli.letters import LOCKED, print_letter, selected_ids
from honeyhive_litellm._errors import UnknownKeyError

from .common import administer, chosen, config_option, configuration, destination_option

if TYPE_CHECKING:
    from nats.js import JetStreamContext

    from honeyhive_litellm._relay.config import Destination, RelayConfig
    from honeyhive_litellm._relay.dead_letters import RelayLetter

_REASON_LENGTH = 100


@click.group()
def dead() -> None:
    """The dead letters of a fleet: events that HoneyHive refused for good, kept in the broker with its reason.

    \b
    Example:
        honeyhive-litellm relay dead list --destination default
    """


_ids_argument = click.argument("ids", nargs=-1, metavar="[ID...]")
_all_option = click.option("--all", "everything", is_flag=True, help="all of the destination")


@dead.command("list")
@config_option
@destination_option
@json_option
def list_(path: Path, name: Optional[str], as_json: bool) -> None:
    """List them, oldest first. In the other commands an ID may be shortened as long as it is unique.

    \b
    Example:
        honeyhive-litellm relay dead list --json
    """
    with configuration(path) as config:
        found = _letters(config, chosen(config, name))
    if as_json:
        print_json(letters=[_as_json(letter) for letter in found])
    elif found:
        rows = [(le.id, moment(le.at), le.status, len(le.body), _reason(le)) for le in found]
        table("Dead letters", ("id", "refused", "status", "bytes", "reason"), rows)
    else:
        click.echo("no dead letters")


@dead.command()
@config_option
@destination_option
@json_option
@click.argument("id_", metavar="ID")
def show(id_: str, path: Path, name: Optional[str], as_json: bool) -> None:
    """Show one: when and why it was refused, and the event itself.

    If it is encrypted, that needs the key which the configuration's key_env or key_file names.

    \b
    Example:
        honeyhive-litellm relay dead show 3f2a
    """
    with configuration(path) as config:
        from honeyhive_litellm._relay.dead_letters import event_in

        letter = _selected(_letters(config, chosen(config, name)), [id_], everything=False)[-1]
        try:
            event = event_in(letter, config.cipher)
        except UnknownKeyError as error:
            raise click.ClickException(f"{letter.id}: {error}; key_env or key_file in {path} names it") from error
    print_letter(letter, event, _as_json(letter) if as_json else None)


@dead.command()
@config_option
@destination_option
@json_option
@_all_option
@_ids_argument
def retry(ids: Sequence[str], path: Path, name: Optional[str], everything: bool, as_json: bool) -> None:
    """Publish them to their stream again, where a relay takes them; one that is refused again is a letter again.

    An encrypted one is published as it is, with or without its key: the relays need the key.

    \b
    Example:
        honeyhive-litellm relay dead retry --all
    """
    with configuration(path) as config:
        from honeyhive_litellm._relay import dead_letters

        found = _selected(_letters(config, chosen(config, name)), ids, everything)
        administer(config, lambda js: dead_letters.retry(js, found))
    if as_json:
        print_json(published=len(found))
    else:
        click.echo(f"published {len(found)} again")
    locked = sum(letter.is_locked for letter in found)
    if locked:
        click.echo(f"{locked} of them are encrypted with a key that is not here: a relay needs it to deliver", err=True)


@dead.command()
@config_option
@destination_option
@json_option
@_all_option
@_ids_argument
def purge(ids: Sequence[str], path: Path, name: Optional[str], everything: bool, as_json: bool) -> None:
    """Delete them for good; `relay status` then counts them as purged.

    \b
    Example:
        honeyhive-litellm relay dead purge 3f2a 41c7
    """
    with configuration(path) as config:
        from honeyhive_litellm._relay import dead_letters

        found = _selected(_letters(config, chosen(config, name)), ids, everything)
        administer(config, lambda js: dead_letters.purge(js, found))
    if as_json:
        print_json(purged=len(found))
    else:
        click.echo(f"purged {len(found)}")


def _letters(config: RelayConfig, destination: Destination) -> List[RelayLetter]:
    from honeyhive_litellm._relay.dead_letters import letters

    async def read(js: JetStreamContext) -> List[RelayLetter]:
        return [letter async for letter in letters(js, destination.name, config.cipher)]

    return administer(config, read)


def _reason(letter: RelayLetter) -> str:
    return LOCKED if letter.is_locked else one_line(letter.reason, _REASON_LENGTH)


def _selected(found: Sequence[RelayLetter], ids: Sequence[str], everything: bool) -> List[RelayLetter]:
    """The letters that the user chose, oldest first; an event that was refused twice has two. Raises ClickException."""
    selected = selected_ids(found, ids, everything, "; see `honeyhive-litellm relay dead list`")
    return [letter for letter in found if letter.id in selected]


def _as_json(letter: RelayLetter) -> Dict[str, Any]:
    return {
        "id": letter.id,
        "destination": letter.destination,
        "at": letter.at,
        "status": letter.status,
        "reason": letter.reason,
        "bytes": len(letter.body),
        "locked": letter.is_locked,
    }
