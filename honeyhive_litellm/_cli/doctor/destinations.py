"""The destinations: what is wrong with the spool of each, and, for `--connect`, with its server and key."""

from __future__ import annotations

import asyncio
from typing import List

from honeyhive_litellm._cli.common import counted
from honeyhive_litellm._cli.spool_folder import options_for_removed
from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._runtime.channels import channel_settings, without_settings
from honeyhive_litellm._spool.status import FolderStatus

from .finding import Finding, Level, ok, warning
from .server import check_server
from .spool import check_spool


def check_destinations(settings: Settings) -> List[Finding]:
    """What needs attention in the spools of the destinations, and of those that are not in the settings any more.

    Nothing if there are no destinations.
    """
    named = channel_settings(settings)
    findings = [
        about
        for name, each in named.items()
        for about in _about(name, check_spool(each.spool_path, each))
        if about.level is not Level.OK
    ]
    removed = asyncio.run(without_settings(settings))
    findings.extend(_removed(name, status, settings) for name, status in removed.items())
    if not findings and named:
        findings.append(ok("destinations.spools", f"{counted(len(named), 'destination')}, each with a sound spool"))
    return findings


def _removed(name: str, status: FolderStatus, settings: Settings) -> Finding:
    numbers = (status.without_deliverer, "undelivered event"), (status.dead_letters, "dead letter")
    parts = [counted(number, noun) for number, noun in numbers if number] or ["files that cannot be read"]
    return warning(
        "destinations.removed",
        f"The spool has {' and '.join(parts)} of the destination {name}, which is not among the settings",
        "Put it back into the settings, or run `drain`, for dead letters `dead retry --all`, with "
        f"{options_for_removed(name, settings)}.",
    )


def check_servers(settings: Settings) -> List[Finding]:
    """Connect to the server of each destination, and use its key."""
    return [about for name, each in channel_settings(settings).items() for about in _about(name, check_server(each))]


def _about(name: str, findings: List[Finding]) -> List[Finding]:
    return [finding._replace(text=f"Destination {name}: {finding.text}") for finding in findings]
