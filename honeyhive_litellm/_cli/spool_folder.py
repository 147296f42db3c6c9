"""Which spool a command is about: its options, its folder, its settings."""

from __future__ import annotations

import dataclasses
import os
import shlex
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, TypeVar, cast

import click

from honeyhive_litellm._config.broker import DEFAULT_DESTINATION
from honeyhive_litellm._config.destinations import MAIN
from honeyhive_litellm._config.paths import default_spool_path
from honeyhive_litellm._config.settings import OPTIONS, Settings, check, choose, target_of
from honeyhive_litellm._errors import ConfigError
from honeyhive_litellm._privacy.cipher import Cipher, cipher_of
from honeyhive_litellm._runtime.channels import channel_settings
from honeyhive_litellm._spool.layout import (
    DEAD_LETTERS_NAME,
    DESTINATIONS_NAME,
    LEDGER_NAME,
    destination_folder,
    destinations_in,
    owners_in,
)
from honeyhive_litellm._spool.private_files import effective_folder

_F = TypeVar("_F", bound=Callable[..., Any])

_KEY_OPTIONS = ("spool_key", "spool_key_file")
_MAX_LISTED = 20
_HOW_TO_NAME = "give --spool-path or --project, or set HONEYHIVE_SPOOL_PATH or HONEYHIVE_PROJECT"


class MissingSpoolError(click.ClickException):
    """The folder that the user named is not there."""

    def __init__(self, folder: Path, message: str) -> None:
        super().__init__(message)
        self.folder = folder


def spool_options(command: _F) -> _F:
    """The options that name a spool, each with its environment variable."""
    for decorator in reversed(
        (
            click.option(
                "--spool-path",
                type=click.Path(file_okay=False),
                help="folder of the spool  [env: HONEYHIVE_SPOOL_PATH; default: the project's]",
            ),
            click.option("--project", help="HoneyHive project  [env: HONEYHIVE_PROJECT]"),
            click.option("--api-url", help="HoneyHive's address  [env: HONEYHIVE_API_URL]"),
        )
    ):
        command = decorator(command)
    return command


def destination_option(command: _F) -> _F:
    """The option that chooses one destination of the spool."""
    text = f'only this destination of the spool; "{MAIN}" is the main project'
    return click.option("--destination", metavar="NAME", help=text)(command)


def settings_of(options: Dict[str, Optional[str]]) -> Settings:
    """The settings of a command that sends. Raises UsageError: wrong usage ends with exit code 2.

    Those of the destination that the option names. One that is not among the settings has the key and the project that
    the user gives for this run, never silently those of the main project.
    """
    name = options.get("destination")
    settings = _main_settings({option: value for option, value in options.items() if option != "destination"})
    if name is None or name == _own_name(settings):
        return settings
    alone = {**_ALONE, "broker_destination": name} if settings.broker is not None else _ALONE
    if settings.broker is not None and name == DEFAULT_DESTINATION:
        return dataclasses.replace(settings, **alone)
    configured = channel_settings(settings)
    if name in configured:
        return configured[name]
    folder = effective_folder(settings.spool_path)
    _check_destination(folder, name)
    is_named = (options.get("project") or "").strip() and _value("spool_path", options) is not None
    if settings.broker is None and not is_named:  # without the folder, the project names it, and so is the main one
        raise click.UsageError(
            f"the destination {name} is not in HONEYHIVE_DESTINATIONS, and the main project's key is not its key: use "
            f"{options_for_removed(name, settings)}"
        )
    return dataclasses.replace(settings, **alone, spool_path=destination_folder(folder, name))


def options_for_removed(name: str, settings: Settings) -> str:
    """How a command that sends is about a destination that is not in the settings."""
    if settings.broker is not None:
        return f"--destination {name}"
    folder = shlex.quote(str(settings.spool_path))
    return f"--destination {name} --project PROJECT --spool-path {folder}, with its key in HONEYHIVE_API_KEY"


def _own_name(settings: Settings) -> str:
    """What the options call the part of the spool that these settings are about, besides the listed destinations."""
    return MAIN if settings.broker is None or settings.destination_list else settings.broker_destination


_ALONE: Dict[str, Any] = {"destinations": None, "default_destination": MAIN}


def _check_destination(folder: Path, name: str) -> None:
    names = destinations_in(folder)
    if name not in names:
        raise click.UsageError(
            f"there is no destination {name!r} in {folder}; there {_are(', '.join(names)) if names else 'are none'}"
        )


def _are(names: str) -> str:
    return f"are {names}" if "," in names else f"is {names}"


def _main_settings(options: Dict[str, Optional[str]]) -> Settings:
    missing = []
    if _value("api_key", options) is None and _value("broker", options) is None:
        missing.append(
            "there is no API key: set it in the environment variable HONEYHIVE_API_KEY "
            "(there is no option for it, since other users can read command lines)"
        )
    if _value("project", options) is None:
        missing.append("there is no project: give --project or set HONEYHIVE_PROJECT")
    if missing:
        raise click.UsageError("\n       ".join(missing))
    try:
        return Settings.resolve(os.environ, **options)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error


def cipher_to_read() -> Cipher:
    """The keys of the environment, for a command that needs no other setting. Raises UsageError."""
    values, variables = choose(os.environ, {})
    clean, problems = check({name: values[name] for name in _KEY_OPTIONS if name in values}, variables)
    wrong = [problem for problem in problems if problem.startswith(_KEY_OPTIONS)]
    if wrong:
        raise click.UsageError("\n       ".join(wrong))
    return cipher_of(cast(Optional[Sequence[str]], clean.get("spool_key")))


def folder_to_read(options: Dict[str, Optional[str]]) -> Path:
    """The folder of the spool, which must exist, for a command that changes and sends nothing, and so needs no key.

    It is that of the destination that the option names, or the broker's destination that the environment names.
    """
    return _of_destination(_main_folder_to_read(options), options)


def _of_destination(folder: Path, options: Dict[str, Optional[str]]) -> Path:
    name = options.get("destination")
    own = _brokers_destination(options)
    means_own = name == MAIN if _value("destinations", options) is not None else name is None
    if means_own and own is not None and folder.parent.name != DESTINATIONS_NAME:
        return existing(destination_folder(effective_folder(folder), own))
    if name is None or name == MAIN:
        return folder
    folder = effective_folder(folder)
    _check_destination(folder, name)
    return destination_folder(folder, name)


def _brokers_destination(options: Dict[str, Optional[str]]) -> Optional[str]:
    """The broker's destination that the environment names, if it has a folder of its own."""
    if _value("broker", options) is None:
        return None
    name = _value("broker_destination", options)
    return None if name == DEFAULT_DESTINATION else name


def _main_folder_to_read(options: Dict[str, Optional[str]]) -> Path:
    """`folder_to_read` of the main project.

    A folder's default name depends on project and address. Without an address, the project's only folder is meant.
    """
    project = _value("project", options)
    if _value("spool_path", options) is None and project is not None and _value("api_url", options) is None:
        slug = _slug(default_spool_path(project, os.environ))
        candidates = [folder for folder in _spools_in(_state_folder()) if _slug(folder) == slug]
        if len(candidates) > 1:
            raise click.UsageError(
                f"project {project!r} has several spools, one for each address: give --api-url or --spool-path"
                f"{_list_of(candidates)}"
            )
        if candidates:
            return candidates[0]
    return _main_folder_to_change(options)


def folder_to_change(options: Dict[str, Optional[str]]) -> Path:
    """The folder of the spool, which must exist, for a command that needs no key. Nothing is guessed."""
    own = _brokers_destination(options)
    if options.get("destination") is None and own is not None and _value("destinations", options) is not None:
        raise click.UsageError(
            f'which destination? Give --destination "{MAIN}" for {own}, which HONEYHIVE_BROKER_DESTINATION names, or '
            "the name of one in HONEYHIVE_DESTINATIONS"
        )
    return _of_destination(_main_folder_to_change(options), options)


def _main_folder_to_change(options: Dict[str, Optional[str]]) -> Path:
    path, project = _value("spool_path", options), _value("project", options)
    if path is not None:
        return existing(Path(os.path.abspath(os.path.expanduser(path))))
    if project is None:
        raise click.UsageError(f"which spool? {_HOW_TO_NAME}{_list_of(_spools_in(_state_folder()))}")
    return existing(default_spool_path(project, os.environ, api_url=target_of(_chosen(options))))


def existing(folder: Path) -> Path:
    """`folder`, which must exist: a mistyped name must not look like an empty spool."""
    if not folder.is_dir():
        parents = dict.fromkeys((folder.parent, _state_folder()))
        raise MissingSpoolError(
            folder,
            f"there is no spool in {folder}. The first recorded call creates it. If you mean another one: "
            f"{_HOW_TO_NAME}{_list_of([spool for parent in parents for spool in _spools_in(parent)])}",
        )
    return folder


def _chosen(options: Dict[str, Optional[str]]) -> Dict[str, object]:
    """What the name of the default folder depends on."""
    found = {name: _value(name, options) for name in ("broker", "api_url")}
    chosen: Dict[str, object] = {name: value.rstrip("/") for name, value in found.items() if value is not None}
    return chosen


def _value(name: str, options: Dict[str, Optional[str]]) -> Optional[str]:
    """What the user chose by an option or a variable; None if neither."""
    (variables,) = (option.variables for option in OPTIONS if option.name == name)
    values = [options.get(name), *(os.environ.get(variable) for variable in variables)]
    return next((value.strip() for value in values if value is not None and value.strip()), None)


def _state_folder() -> Path:
    """The folder that holds the spools of all projects, unless they have a path of their own."""
    return default_spool_path("any", os.environ).parent


def _slug(folder: Path) -> str:
    """What a default folder's name shows of the project; the rest is a hash of project and address."""
    return folder.name.rpartition("-")[0]


def _spools_in(parent: Path) -> List[Path]:
    try:
        return sorted(folder for folder in parent.iterdir() if folder.is_dir() and _is_spool(folder))
    except OSError:
        return []


def _is_spool(folder: Path) -> bool:
    names = set(os.listdir(folder))
    return bool(names & {LEDGER_NAME, DEAD_LETTERS_NAME, DESTINATIONS_NAME} or owners_in(folder))


def _list_of(folders: List[Path]) -> str:
    if not folders:
        return ""
    lines = [str(folder) for folder in folders[:_MAX_LISTED]]
    if len(folders) > _MAX_LISTED:
        lines.append(f"and {len(folders) - _MAX_LISTED} more")
    return "\nThere are these spools:" + "".join(f"\n  {line}" for line in lines)
