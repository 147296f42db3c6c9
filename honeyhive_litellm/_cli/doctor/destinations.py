"""The destinations: what is wrong with the spool of each, and, for `--connect`, with its server and key."""

from __future__ import annotations

from typing import List

from honeyhive_litellm._cli.common import counted
from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._runtime.channels import channel_settings, without_settings

from .finding import Finding, Level, ok, warning
from .server import check_server
from .spool import check_spool


def check_destinations(settings: Settings) -> List[Finding]:
    """What needs attention in the spools of the destinations, and of those that are not in the settings any more."""
    named = channel_settings(settings)
    findings = [
        about
        for name, each in named.items()
        for about in _about(name, check_spool(each.spool_path, each))
        if about.level is not Level.OK
    ]
    findings.extend(
        warning(
            "destinations.removed",
            f"The spool has files of the destination {name}, which is not among the settings",
            "Put it back into the settings, or deliver them: "
            f"honeyhive-litellm drain --destination {name}, with its key in HONEYHIVE_API_KEY.",
        )
        for name in without_settings(settings)
    )
    return findings or [ok("destinations.spools", f"{counted(len(named), 'destination')}, each with a sound spool")]


def check_servers(settings: Settings) -> List[Finding]:
    """Connect to the server of each destination, and use its key."""
    return [about for name, each in channel_settings(settings).items() for about in _about(name, check_server(each))]


def _about(name: str, findings: List[Finding]) -> List[Finding]:
    return [finding._replace(text=f"Destination {name}: {finding.text}") for finding in findings]
