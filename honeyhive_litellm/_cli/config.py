"""`honeyhive-litellm config`: the settings, and where each comes from."""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, List, Optional, Tuple

import click

from honeyhive_litellm._config.explain import DEFAULT, Explained, explain

from .common import print_json, style, table, wrapped
from .spool_folder import spool_options

WRONG = 2
"""Exit code: a setting is wrong or missing, as with every command that needs it."""


@click.group()
def config() -> None:
    """The settings that a program in this environment has.

    \b
    Example:
        honeyhive-litellm config show
    """


@config.command()
@spool_options
@click.option("--json", "is_json", is_flag=True, help="print one JSON object")
def show(is_json: bool, **options: Optional[str]) -> None:
    """Show each setting with its value and where that comes from. Keys are masked.

    Exit code 0, or 2 if a setting is wrong or missing.

    \b
    Example:
        honeyhive-litellm config show --project my-project
    """
    explained = explain(os.environ, options)
    if is_json:
        print_json(settings=as_json(explained))
    else:
        print_settings(explained)
        for one in explained:
            if one.problem is not None:
                click.echo(wrapped(one.problem, first=style("problem  ", fg="red"), indent=9))
    if any(one.problem is not None for one in explained):
        sys.exit(WRONG)


def print_settings(explained: List[Explained]) -> None:
    """The settings as a table."""
    rows = [(one.option.name, *_value_and_origin(one)) for one in explained]
    table("Settings", ("setting", "value", "from"), rows)


def _value_and_origin(one: Explained) -> Tuple[str, str]:
    if one.problem is None or one.value is not None:
        return one.shown, one.origin
    return ("missing", "-") if one.origin == DEFAULT else ("refused", one.origin)


def as_json(explained: List[Explained]) -> List[Dict[str, Any]]:
    return [
        {"setting": one.option.name, "value": one.value, "from": one.origin, "problem": one.problem}
        for one in explained
    ]
