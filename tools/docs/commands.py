"""The commands of `honeyhive-litellm` with their options, from click."""

from __future__ import annotations

import inspect
import re
from typing import Iterator, List, Tuple

import click

from honeyhive_litellm._cli.main import main

NAME = "honeyhive-litellm"
EXAMPLE = "Example:\n"
_NOTE = re.compile(r" +\[env: ([A-Z_]+)(?:; default: ([^\]]+))?\]$")


def commands() -> Iterator[Tuple[str, click.Command]]:
    """Every command with its full name, the parents before their children."""
    yield from _commands(NAME, main)


def _commands(name: str, command: click.Command) -> Iterator[Tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for child in sorted(command.commands):
            yield from _commands(f"{name} {child}", command.commands[child])


def sections() -> str:
    """A section for each command: usage, help, options."""
    return "\n".join(_section(name, command) for name, command in commands())


def _section(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    parts = [f"## `{name}`\n", f"```text\n{usage}\n```\n", _help(command)]
    rows = list(_rows(command))
    if rows:
        parts.append("\n".join(["| option | variable | default | meaning |", "|---|---|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def _help(command: click.Command) -> str:
    """The help text as Markdown: an example is a block of its own, indented lines are shown as they are."""
    paragraphs: List[str] = []
    for paragraph in inspect.cleandoc(command.help or "").replace("\b\n", "").split("\n\n"):
        if paragraph.startswith(EXAMPLE):
            example = inspect.cleandoc(paragraph[len(EXAMPLE) :])
            paragraphs.append(f"```sh\n{example}\n```")
        elif paragraph.startswith("    "):
            paragraphs.append(f"```text\n{inspect.cleandoc(paragraph)}\n```")
        else:
            paragraphs.append(_code(paragraph))
    return "\n\n".join(paragraphs) + "\n"


def _rows(command: click.Command) -> Iterator[str]:
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
            default = f"`{option.default}`" if option.show_default and option.default is not None else "-"
            meaning, variable = option.help or "", "-"
            noted = _NOTE.search(meaning)
            if noted is not None:
                meaning, variable = meaning[: noted.start()], f"`{noted.group(1)}`"
                default = noted.group(2) or default
            yield f"| {names} | {variable} | {default} | {_code(meaning).replace('|', chr(92) + '|')} |"


def _code(text: str) -> str:
    """The text with options and variables set as code. Brackets would be a link in Markdown."""
    text = re.sub(r" +\[([^\]]+)\]", r" (\1)", text)
    return re.sub(r"(?<![`\w-])(--[a-z][a-z-]+|HONEYHIVE_[A-Z_]+)(?![`\w])", r"`\1`", text)
