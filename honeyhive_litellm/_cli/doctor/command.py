"""`honeyhive-litellm doctor`: run the checks and print what they found."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

import click

from honeyhive_litellm._cli.common import EXIT_LEFT, counted, print_json, style, wrapped
from honeyhive_litellm._cli.config import as_json as settings_as_json
from honeyhive_litellm._cli.config import print_settings
from honeyhive_litellm._cli.spool_folder import spool_options
from honeyhive_litellm._config.explain import Explained, explain, explain_settings
from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._errors import ConfigError
from honeyhive_litellm._runtime.pipeline import spool_folder_of

from .application import check_application, check_others, installed_loggers, load
from .clock import check_clock
from .destinations import check_destinations, check_servers
from .finding import Finding, Level, ok, problem
from .server import check_server
from .spool import check_spool
from .versions import check_versions

_COLORS = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "red"}


class Section(NamedTuple):
    """Findings that belong together."""

    title: str
    findings: List[Finding]


@click.command()
@spool_options
@click.option("--app", metavar="MODULE[:FUNCTION]", help="import the application, call the function, and look")
@click.option("--connect", is_flag=True, help="connect to the server and try the key; sends no event")
@click.option("--json", "is_json", is_flag=True, help="print one JSON object")
def doctor(app: Optional[str], connect: bool, is_json: bool, **options: Optional[str]) -> None:
    """Look for what keeps events from arriving, and say what to do about it. Changes nothing.

    Without --connect the network is not used. Without --app the settings are those of this shell's environment; with it
    they are those that the application has. Exit code 0, or 3 if there is a problem; a warning is none.

    \b
    Example:
        honeyhive-litellm doctor --app my_service.main:start --connect
    """
    if app is not None:
        load(app)
    loggers = installed_loggers()
    settings: Optional[Settings] = loggers[0].settings if loggers else None
    if settings is not None:
        explained = explain_settings(settings, os.environ)
    else:
        explained, settings = explain(os.environ, options), _resolved(options)
    folder = _folder(settings, options)
    sections = [
        Section("Settings", _settings_findings(explained)),
        Section("Versions", check_versions()),
        Section("Application", check_others(is_loaded=False) if app is None else check_application(app)),
        Section("Spool", _no_folder() if folder is None else check_spool(folder, settings)),
        Section("Clock", [check_clock(folder, time.time())]),
    ]
    about_destinations = [] if settings is None else check_destinations(settings)
    if about_destinations:
        sections.insert(4, Section("Destinations", about_destinations))
    if connect:
        sections.append(Section("Server", _no_settings() if settings is None else check_server(settings)))
        if settings is not None and settings.destination_list:
            sections.append(Section("Servers of the destinations", check_servers(settings)))
    counts = {level: sum(f.level is level for s in sections for f in s.findings) for level in Level}
    if is_json:
        print_json(
            ok=not counts[Level.PROBLEM],
            problems=counts[Level.PROBLEM],
            warnings=counts[Level.WARNING],
            settings=settings_as_json(explained),
            findings=[{**f._asdict(), "level": f.level.value} for s in sections for f in s.findings],
        )
    else:
        print_settings(explained)
        _print(sections[0].findings)
        for section in sections[1:]:
            click.echo(f"\n{style(section.title, bold=True)}")
            _print(section.findings)
        _print_sum(counts)
    if counts[Level.PROBLEM]:
        sys.exit(EXIT_LEFT)


def _resolved(options: Dict[str, Optional[str]]) -> Optional[Settings]:
    try:
        return Settings.resolve(os.environ, **options)
    except ConfigError:
        return None  # `_settings_findings` names what is wrong


def _folder(settings: Optional[Settings], options: Dict[str, Optional[str]]) -> Optional[Path]:
    """The spool's folder, also if the key or another setting is missing."""
    if settings is not None:
        return spool_folder_of(settings)
    found = next(one for one in explain(os.environ, options) if one.option.name == "spool_path")
    return None if found.value is None else Path(found.shown)


def _settings_findings(explained: List[Explained]) -> List[Finding]:
    problems = [
        problem(f"settings.{one.option.name}", text, f"{remedy[:1].upper()}{remedy[1:]}.")
        for one in explained
        if one.problem is not None
        for text, _, remedy in [one.problem.partition("; ")]
    ]
    return problems or [ok("settings.valid", "Every setting is valid")]


def _no_folder() -> List[Finding]:
    remedy = "Set HONEYHIVE_PROJECT or HONEYHIVE_SPOOL_PATH, or give --spool-path."
    return [problem("spool.folder", "The folder is unknown without a project", remedy)]


def _no_settings() -> List[Finding]:
    return [problem("server.settings", "Not tried, because a setting is wrong or missing", "See the settings above.")]


def _print(findings: List[Finding]) -> None:
    for finding in findings:
        word = style(finding.level.value.ljust(9), fg=_COLORS[finding.level])
        click.echo(wrapped(finding.text, first=f"  {word}", indent=11))
        if finding.remedy:
            click.echo(wrapped(finding.remedy, first=f"{' ' * 11}-> ", indent=14))


def _print_sum(counts: Dict[Level, int]) -> None:
    problems, warnings = counts[Level.PROBLEM], counts[Level.WARNING]
    color = _COLORS[Level.PROBLEM if problems else Level.WARNING if warnings else Level.OK]
    words = [counted(number, noun) for number, noun in ((problems, "problem"), (warnings, "warning")) if number]
    click.echo(f"\n{style(', '.join(words) or 'All is well.', fg=color, bold=True)}")
