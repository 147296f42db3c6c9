"""The spool folder: permissions, file system, space, and what waits in it."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import time
from pathlib import Path
from typing import Iterator, List, Optional

import click

from honeyhive_litellm._cli.common import counted, duration, locked_in
from honeyhive_litellm._cli.spool_folder import cipher_to_read
from honeyhive_litellm._config.explain import size
from honeyhive_litellm._config.paths import IN_MEMORY
from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher, cipher_of
from honeyhive_litellm._spool.layout import QUARANTINE_NAME
from honeyhive_litellm._spool.status import FolderStatus, status_of

from .finding import Finding, ok, problem, warning
from .mounts import file_system_of

NETWORK_FILE_SYSTEMS = {
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "fuse.ceph",
    "fuse.glusterfs",
    "fuse.gcsfuse",
    "fuse.s3fs",
    "fuse.sshfs",
    "gfs2",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "smb2",
    "smb3",
    "smbfs",
    "virtiofs",
}
_PASSING_FILE_SYSTEMS = {
    "overlay": "is in the container's own layer, which goes with the container",
    "tmpfs": "is in memory, which goes with a restart",
    "ramfs": "is in memory, which goes with a restart",
}

OLD_S = 300.0
"""An event that has waited for longer shows that delivery does not work, or that nobody delivers."""

FULL = 0.8
"""The share of `spool_max_bytes` from which on the spool is nearly full."""


def check_spool(folder: Path, settings: Optional[Settings]) -> List[Finding]:
    """What can be found out without changing anything. Without settings the limits are the defaults."""
    if folder == IN_MEMORY:
        return [ok("spool.folder", "The spool is in memory: a kill loses what the broker does not have")]
    if not folder.is_dir():
        return [_parent_of(folder)]
    findings = [_permissions(folder), _file_system(folder)]
    max_bytes = 2**30 if settings is None else settings.spool_max_bytes
    min_free = 2**26 if settings is None else settings.spool_min_free_bytes
    findings.append(_free_space(folder, min_free))
    cipher = _cipher(settings)
    try:
        status = asyncio.run(status_of(folder, cipher))
    except SpoolError as error:
        remedy = "Make the folder readable for this user."
        return [*findings, problem("spool.readable", f"The numbers cannot be read: {error}", remedy)]
    findings.append(_capacity(status, max_bytes))
    findings.extend(_contents(status))
    findings.extend(_damage(status))
    findings.append(_encryption(cipher))
    findings.extend(_locked(status))
    return findings


def _cipher(settings: Optional[Settings]) -> Cipher:
    if settings is not None:
        return cipher_of(settings.spool_key)
    try:
        return cipher_to_read()
    except click.UsageError:
        return NO_CIPHER  # the findings about the settings name what is wrong


def _parent_of(folder: Path) -> Finding:
    parent = next(parent for parent in folder.parents if parent.exists())
    if os.access(parent, os.W_OK | os.X_OK):
        return ok("spool.folder", f"{folder} is not there yet: the first recorded call creates it")
    return problem(
        "spool.folder",
        f"{folder} is not there, and {parent} is not writable for this user",
        "Make it writable, or set HONEYHIVE_SPOOL_PATH to another folder.",
    )


def _permissions(folder: Path) -> Finding:
    check = "spool.permissions"
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return problem(
            check,
            f"{folder} is not readable and writable for this user",
            "Change its owner or its permissions, or set HONEYHIVE_SPOOL_PATH to another folder.",
        )
    mode = stat.S_IMODE(folder.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        text = f"{folder} has the mode {mode:04o}: others may look into it, and events have prompts"
        return warning(check, text, f"chmod 700 {folder}")
    return ok(check, f"{folder} is readable and writable for this user alone")


def _file_system(folder: Path) -> Finding:
    check, kind = "spool.file_system", file_system_of(folder)
    if kind is None:
        return ok(check, "The file system cannot be determined here")
    if kind in NETWORK_FILE_SYSTEMS:
        return warning(
            check,
            f"{kind} is a network file system, on which file locks may not work",
            "Set HONEYHIVE_SPOOL_PATH to a folder on a local disk.",
        )
    if kind in _PASSING_FILE_SYSTEMS:
        return warning(
            check,
            f"The folder {_PASSING_FILE_SYSTEMS[kind]} ({kind})",
            "Set HONEYHIVE_SPOOL_PATH to a folder on a volume.",
        )
    return ok(check, f"The file system is {kind}")


def _free_space(folder: Path, min_free: int) -> Finding:
    free = shutil.disk_usage(folder).free
    if free < min_free:
        return problem(
            "spool.free_space",
            f"{size(free)} free, less than spool_min_free_bytes ({size(min_free)}): the spool counts as full",
            "Free disk space.",
        )
    return ok("spool.free_space", f"{size(free)} free on the disk")


def _capacity(status: FolderStatus, max_bytes: int) -> Finding:
    used = f"{size(status.bytes_on_disk)} of {size(max_bytes)} used"
    if status.bytes_on_disk >= FULL * max_bytes:
        remedy = "Mend the delivery, run `honeyhive-litellm drain`, or raise HONEYHIVE_SPOOL_MAX_BYTES."
        return warning("spool.capacity", used, remedy)
    return ok("spool.capacity", used)


def _contents(status: FolderStatus) -> Iterator[Finding]:
    living, dead = len(status.processes), len(status.leftovers)
    yield ok("spool.owners", f"{counted(living, 'living process')}, {dead} that ended and left events")
    dropped = sum(status.totals.dropped.values())
    if dropped:
        reasons = ", ".join(f"{events} {reason}" for reason, events in sorted(status.totals.dropped.items()) if events)
        yield warning(
            "spool.dropped", f"{counted(dropped, 'event')} dropped: {reasons}", "docs/reference/numbers.md: reasons"
        )
    age_s = status.oldest_age_s(time.time())
    errors = [process.stats.last_error for process in status.processes if process.stats.last_error]
    if age_s is not None and age_s > OLD_S:
        delivers = any(process.flushes for process in status.processes)
        yield warning(
            "spool.oldest_pending",
            f"{counted(status.pending, 'event')} pending, the oldest for {duration(age_s)}{_because(errors)}",
            "Check the key and the server: honeyhive-litellm doctor --connect."
            if delivers
            else "No process delivers: run honeyhive-litellm drain.",
        )
    else:
        waiting = "" if age_s is None else f", the oldest for {duration(age_s)}"
        yield ok("spool.oldest_pending", f"{counted(status.pending, 'event')} pending{waiting}")
    if status.dead_letters:
        remedy = "Read the reasons: honeyhive-litellm dead list."
        yield warning("spool.dead_letters", f"{counted(status.dead_letters, 'event')} refused for good", remedy)
    else:
        yield ok("spool.dead_letters", "No dead letters")


def _because(errors: List[str]) -> str:
    return f" ({errors[0]})" if errors else ""


def _damage(status: FolderStatus) -> Iterator[Finding]:
    for name, reason in sorted(status.unreadable.items()):
        remedy = "Use the version of this package that wrote it, or check the disk."
        yield problem("spool.unreadable", f"{name} cannot be read: {reason}", remedy)
    quarantine = status.folder / QUARANTINE_NAME
    if quarantine.is_dir() and any(quarantine.iterdir()):
        yield warning("spool.quarantine", f"{quarantine} has damaged files", "Check the disk, then delete them.")
    if not status.adds_up:
        text = f"The numbers do not add up: {status.totals.pending} pending by count, {status.pending} found"
        yield problem("spool.numbers", text, "Run it again; if it stays, report it.")


def _encryption(cipher: Cipher) -> Finding:
    if cipher.key_id is None:
        return ok("spool.encryption", "Without spool_key, events are not encrypted")
    others = counted(len(cipher.key_ids) - 1, "older key")
    return ok("spool.encryption", f"Events are encrypted with the key of id {cipher.key_id.hex()}; {others}")


def _locked(status: FolderStatus) -> Iterator[Finding]:
    locked = locked_in(status)
    if locked is not None:
        remedy = "Add the key to HONEYHIVE_SPOOL_KEY or HONEYHIVE_SPOOL_KEY_FILE, after the newest one."
        yield problem("spool.locked", locked, remedy)
