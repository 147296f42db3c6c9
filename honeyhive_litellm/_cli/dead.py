"""`honeyhive-litellm dead`: the events that HoneyHive refused for good."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import click

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._delivery.sink import Result, Verdict
from honeyhive_litellm._privacy.cipher import Cipher, cipher_of
from honeyhive_litellm._runtime.pipeline import redrive_letters, spool_folder_of
from honeyhive_litellm._spool import dead_letters
from honeyhive_litellm._spool.dead_letters import DeadLetter

from .common import EXIT_LEFT, errors_reported, json_option, moment, one_line, print_json, table
from .letters import LOCKED, print_letter, selected_ids
from .spool_folder import (
    cipher_to_read,
    destination_option,
    existing,
    folder_to_change,
    folder_to_read,
    settings_of,
    spool_options,
)

_REASON_LENGTH = 100


@click.group()
def dead() -> None:
    """The dead letters: events that HoneyHive refused for good, kept with its reason.

    \b
    Example:
        honeyhive-litellm dead list --project my-project
    """


_ids_argument = click.argument("ids", nargs=-1, metavar="[ID...]")


@dead.command("list")
@spool_options
@destination_option
@json_option
def list_(as_json: bool, **options: Optional[str]) -> None:
    """List them, oldest first. In the other commands an ID may be shortened as long as it is unique.

    \b
    Example:
        honeyhive-litellm dead list --json
    """
    with errors_reported():
        letters = dead_letters.letters(folder_to_read(options), cipher_to_read())
    if as_json:
        print_json(letters=[_as_json(letter) for letter in letters])
    elif letters:
        rows = [(le.id, moment(le.at), le.status, le.size, one_line(_reason(le), _REASON_LENGTH)) for le in letters]
        table("Dead letters", ("id", "refused", "status", "bytes", "reason"), rows)
    else:
        click.echo("no dead letters")


@dead.command()
@spool_options
@destination_option
@json_option
@click.argument("id_", metavar="ID")
def show(id_: str, as_json: bool, **options: Optional[str]) -> None:
    """Show one: when and why it was refused, and the event itself.

    \b
    Example:
        honeyhive-litellm dead show 3f2a
    """
    with errors_reported():
        folder, cipher = folder_to_read(options), cipher_to_read()
        (letter,) = _chosen(folder, [id_], cipher, everything=False)
        body = dead_letters.body_of(folder, letter.id, cipher)
        if body is None:
            raise click.ClickException(f"{letter.id} has just been removed by another process")
    print_letter(letter, body, _as_json(letter) if as_json else None)


@dead.command()
@spool_options
@destination_option
@json_option
@click.option("--all", "everything", is_flag=True, help="all of them")
@_ids_argument
def retry(ids: Sequence[str], everything: bool, as_json: bool, **options: Optional[str]) -> None:
    """Send them again, with their event ids: accepted ones are removed, the others keep the new reason.

    The key is taken from HONEYHIVE_API_KEY alone, since other users can read command lines. Exit code 0 if all were
    accepted, 3 if some were not. Encrypted ones whose key is missing are not tried.

    \b
    Example:
        honeyhive-litellm dead retry --all
    """
    with errors_reported():
        settings = settings_of(options)
        folder = existing(spool_folder_of(settings))
        letters = _chosen(folder, ids, cipher_of(settings.spool_key), everything=everything)
        result = asyncio.run(redrive_letters(settings, letters))
    left = len(letters) - result.accepted - result.refused
    if as_json:
        print_json(accepted=result.accepted, refused=result.refused, not_tried=left)
    else:
        click.echo(f"accepted {result.accepted}, refused again {result.refused}, not tried {left}")
    if result.failure is not None:
        click.echo(f"{_why(result.failure, settings)}. The letters are kept", err=True)
    if result.other_project:
        click.echo(
            f"{result.other_project} are of another project than {settings.project}: give --project and its key",
            err=True,
        )
    _note_locked(letters)
    if result.accepted < len(letters):
        sys.exit(EXIT_LEFT)


@dead.command()
@spool_options
@destination_option
@json_option
@click.option("--all", "everything", is_flag=True, help="all of them")
@_ids_argument
def purge(ids: Sequence[str], everything: bool, as_json: bool, **options: Optional[str]) -> None:
    """Delete them for good; the spool's numbers then count them as dropped ("purged").

    --all leaves the encrypted ones whose key is missing.

    \b
    Example:
        honeyhive-litellm dead purge 3f2a 41c7
    """
    with errors_reported():
        folder = folder_to_change(options)
        letters = _chosen(folder, ids, cipher_to_read(), everything=everything)
        doomed = [letter.id for letter in letters if not (everything and letter.is_locked)]
        removed = dead_letters.purge(folder, doomed)
    if as_json:
        print_json(purged=removed)
    else:
        click.echo(f"purged {removed}")
    if everything:
        _note_locked(letters)


def _reason(letter: DeadLetter) -> str:
    return LOCKED if letter.is_locked else letter.reason


def _note_locked(letters: Sequence[DeadLetter]) -> None:
    locked = sum(letter.is_locked for letter in letters)
    if locked:
        click.echo(f"{locked} are left alone: they are encrypted with a key that HONEYHIVE_SPOOL_KEY lacks", err=True)


def _why(failure: Result, settings: Settings) -> str:
    target = settings.target
    if failure.verdict is Verdict.PAUSE:
        if settings.broker is not None:
            return (
                f"{target} answers {failure.log_text}, so the address, the login or its permissions are wrong: "
                "check HONEYHIVE_BROKER and what its user may do"
            )
        return (
            f"{target} answers {failure.log_text}, so the key or the address is wrong: "
            "check HONEYHIVE_API_KEY and --api-url"
        )
    return f"{target} takes no events now ({failure.log_text}): try again later"


def _chosen(folder: Path, ids: Sequence[str], cipher: Cipher, *, everything: bool) -> List[DeadLetter]:
    """The letters that the user chose, each once, oldest first. Raises ClickException."""
    letters = dead_letters.letters(folder, cipher)
    chosen = selected_ids(letters, ids, everything, f" in {folder}; see `honeyhive-litellm dead list`")
    return [letter for letter in letters if letter.id in chosen]


def _as_json(letter: DeadLetter) -> Dict[str, Any]:
    return {
        "id": letter.id,
        "at": letter.at,
        "status": letter.status,
        "reason": letter.reason,
        "bytes": letter.size,
        "locked": letter.is_locked,
    }
