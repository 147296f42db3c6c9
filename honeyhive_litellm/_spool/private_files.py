"""The spool's folder and files are this user's alone: made so, and checked before each use.

Prompts must not go into a file that somebody else has made, or through a link that somebody else has planted. SQLite
opens files by name, so the check of a name and its use are two steps. What makes the names safe in between is the
folder: nobody else may write to it. It is checked by descriptor, before a file is opened and after.

Nothing here opens a file that SQLite may have open: closing it again would drop a POSIX lock of this process on it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO, Union

from honeyhive_litellm._errors import UnsafeFileError

_HAS_OWNERS = os.name == "posix"
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_BESIDE = ("", "-wal", "-journal", "-shm")
_REMEDY = "or set spool_path / HONEYHIVE_SPOOL_PATH to a folder of your own"


def effective_folder(path: Path) -> Path:
    """The folder in which the spool of `path` is: `path`, or one of this user's own inside.

    The latter if `path` is another user's, or everybody may write to it. A volume that a container gets is like that.
    """
    if not _HAS_OWNERS:
        return path
    try:
        found = os.stat(path)
    except OSError:
        return path  # still to be made
    if not stat.S_ISDIR(found.st_mode) or (found.st_uid == os.geteuid() and not found.st_mode & stat.S_IWOTH):
        return path
    return path / f"honeyhive-litellm-{os.geteuid()}"


def make_private_folder(folder: Path) -> None:
    """Make `folder` and the parents that are missing, with mode 0700. Raises UnsafeFileError or OSError."""
    missing = []
    path = folder
    while not os.path.lexists(path):
        missing.append(path)
        path = path.parent
    for path in reversed(missing):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            continue  # another process was faster
        if _HAS_OWNERS and os.stat(path).st_mode & 0o700 != 0o700:  # an unusual umask
            os.chmod(path, 0o700)
    check_folder(folder)


def check_folder(folder: Path) -> None:
    """Raise UnsafeFileError unless `folder` is this user's, and only this user may write to it. Raises OSError."""
    if not _HAS_OWNERS:
        return
    _check_way_to(folder)
    descriptor = os.open(os.path.realpath(folder), os.O_RDONLY | os.O_DIRECTORY | _NO_FOLLOW)
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid():
            raise UnsafeFileError(
                f"{folder} belongs to user {found.st_uid}, and this process runs as user {os.geteuid()}: change its "
                f"owner, run as that user, {_REMEDY}"
            )
        if found.st_mode & stat.S_IWOTH:
            raise UnsafeFileError(f"everybody may write to {folder}: run `chmod 700` on it, {_REMEDY}")
        if found.st_mode & stat.S_IWGRP:  # Kubernetes makes a volume so at each mount, for `fsGroup`
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & ~stat.S_IWGRP)
    finally:
        os.close(descriptor)


def _check_way_to(folder: Path) -> None:
    """Raise UnsafeFileError if another user can have planted a part of the way, as in a common folder."""
    trusted = (0, os.geteuid())
    path = Path(os.path.abspath(folder))
    for part in (*reversed(path.parents), path):
        found = os.lstat(part)
        is_link = stat.S_ISLNK(found.st_mode)
        if found.st_uid not in trusted and (is_link or os.stat(part.parent).st_mode & stat.S_IWOTH):
            what = "a link of" if is_link else "of"
            raise UnsafeFileError(
                f"{part} is {what} user {found.st_uid}, in the way to the spool: remove it, {_REMEDY}"
            )


def check_file(path: Union[Path, str]) -> None:
    """Raise UnsafeFileError unless the file is a regular one of this user's alone, or is not there. Raises OSError."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "no regular file"
        raise UnsafeFileError(f"{path} is {kind}: remove it, {_REMEDY}")
    if not _HAS_OWNERS:
        return
    if found.st_uid != os.geteuid():
        raise UnsafeFileError(f"{path} belongs to user {found.st_uid}: change its owner or remove it, {_REMEDY}")
    if found.st_nlink > 1:
        raise UnsafeFileError(f"{path} is a file that has another name, too (a hard link): remove it, {_REMEDY}")
    if found.st_mode & stat.S_IWOTH:
        raise UnsafeFileError(f"everybody may write to {path}: run `chmod 600` on it if you know it, {_REMEDY}")
    if found.st_mode & 0o077:
        # Copied by hand, or from Kubernetes, as above. Nobody else can have replaced it, as the folder is ours.
        os.chmod(path, 0o600)


def check_database(path: Path) -> None:
    """Check an SQLite file, its folder, and what SQLite may open beside it. Raises UnsafeFileError or OSError."""
    check_folder(path.parent)
    for suffix in _BESIDE:
        check_file(f"{path}{suffix}")


def make_database(path: Path) -> None:
    """Create an empty file with mode 0600, unless it exists, and check it. Raises UnsafeFileError or OSError.

    SQLite gives its WAL and journal the same mode.
    """
    check_folder(path.parent)
    try:
        make_file(path)
    except FileExistsError:
        pass
    for suffix in _BESIDE:
        check_file(f"{path}{suffix}")


def make_file(path: Union[Path, str], content: bytes = b"") -> None:
    """Create a file that is not there yet, with mode 0600. Raises OSError."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _NO_FOLLOW | _BINARY, 0o600)
    try:
        if _HAS_OWNERS:
            os.fchmod(descriptor, 0o600)  # whatever the umask
        if content:
            os.write(descriptor, content)
    finally:
        os.close(descriptor)


def read_file(path: Union[Path, str], max_bytes: int) -> bytes:
    """The beginning of a regular file of this user's. Raises OSError."""
    with open_file(path) as file:
        return file.read(max_bytes)


def open_file(path: Union[Path, str]) -> BinaryIO:
    """Open a regular file of this user's to read it. Waits for no pipe and follows no link. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | _NO_FOLLOW | _BINARY | getattr(os, "O_NONBLOCK", 0))
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or (_HAS_OWNERS and found.st_uid != os.geteuid()):
        os.close(descriptor)
        raise OSError(f"{path} is no regular file of this user's")
    return open(descriptor, "rb")
