"""Where a project's spool lies by default. Nothing here creates a folder."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Mapping, Optional

IN_MEMORY = Path(":memory:")
"""The `spool_path` of a spool without files."""

DESTINATIONS_NAME = "destinations"
"""The folder in a spool that has a spool for each destination of its own."""

DEFAULT_URL = "https://api.honeyhive.ai"
NEWER_URL = "https://api.dp1.us.honeyhive.ai"
"""HoneyHive's newer data plane. Which of the two takes a key, the key's organization decides."""


def default_spool_path(
    project: str, environ: Mapping[str, str], platform: str = sys.platform, api_url: str = DEFAULT_URL
) -> Path:
    """The folder for the spool of *project* in this user's state directory.

    It depends on the server as well, so that events of a trial run against another server never go to the real one.

    The state directory is $XDG_STATE_HOME or ~/.local/state, on macOS ~/Library/Application Support, on Windows
    %LOCALAPPDATA%. Without a home, as in many containers, it is a folder of this user's in the temporary directory.
    """
    return _state_folder(environ, platform) / file_name_of(project, api_url)


def file_name_of(project: str, api_url: str = DEFAULT_URL) -> str:
    """What a project is called in names of files and folders: no other project, or server, has the same."""
    slug = re.sub(r"[^a-z0-9]+", "-", project.lower()).strip("-")[:40].strip("-") or "project"
    identity = project if api_url == DEFAULT_URL else f"{project} {api_url}"
    import hashlib  # loads OpenSSL, which `import honeyhive_litellm` shall not wait for

    return f"{slug}-{hashlib.sha256(identity.encode('utf-8')).hexdigest()[:8]}"


def _state_folder(environ: Mapping[str, str], platform: str) -> Path:
    state = environ.get("LOCALAPPDATA" if platform == "win32" else "XDG_STATE_HOME", "")
    # The XDG base directory specification: a relative path is invalid and must be ignored.
    if state and platform != "darwin" and os.path.isabs(state):
        return Path(state) / "honeyhive-litellm"
    home = _home(environ, platform)
    if home is None:
        user = os.getuid() if hasattr(os, "getuid") else environ.get("USERNAME", "user")
        import tempfile

        temporary = environ.get("TMPDIR", "").strip() or tempfile.gettempdir()
        return Path(temporary) / f"honeyhive-litellm-{user}"
    inside = {"win32": "AppData/Local", "darwin": "Library/Application Support"}.get(platform, ".local/state")
    return home / inside / "honeyhive-litellm"


def _home(environ: Mapping[str, str], platform: str) -> Optional[Path]:
    """The home folder; None if there is none, or if it is the root, as for a user id without a name in a container."""
    variable = environ.get("USERPROFILE" if platform == "win32" else "HOME", "").strip()
    try:
        home = Path(variable) if variable else Path.home()
        usable = home.is_absolute() and home != Path(home.anchor) and home.is_dir()
    except (OSError, RuntimeError, ValueError):  # a folder that we may not look into; no entry in the password file
        return None
    return home if usable else None
