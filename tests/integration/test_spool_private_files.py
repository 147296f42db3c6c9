"""Files of this user alone, also where there are no owners, and where another process makes the same ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from honeyhive_litellm._errors import UnsafeFileError
from honeyhive_litellm._spool import private_files
from honeyhive_litellm._spool.private_files import (
    check_file,
    check_folder,
    effective_folder,
    make_database,
    make_file,
    make_private_folder,
    read_file,
)


def test_a_folder_that_another_process_makes_at_the_same_time_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = os.mkdir

    def made_by_another(path: Any, mode: int = 0o777) -> None:
        make(path, mode)
        make(path, mode)  # ours: the other one was faster

    folder = tmp_path / "state" / "spool"
    monkeypatch.setattr(os, "mkdir", made_by_another)
    make_private_folder(folder)
    assert folder.is_dir() and folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can make a folder another user's")
def test_a_folder_of_another_user_is_refused_with_both_users_and_the_remedy(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, -1)
    try:
        with pytest.raises(UnsafeFileError, match="belongs to user 65534, and this process runs as user 0: change"):
            check_folder(tmp_path)
        with pytest.raises(UnsafeFileError):
            make_database(tmp_path / "a.db")
        assert list(tmp_path.iterdir()) == []
    finally:
        os.chown(tmp_path, 0, -1)


@pytest.mark.parametrize("content", [b"", b"content"])
@pytest.mark.parametrize("has_owners", [False, True])
def test_what_is_made_is_readable_and_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, has_owners: bool
) -> None:
    monkeypatch.setattr(private_files, "_HAS_OWNERS", has_owners)
    path = tmp_path / "a"
    make_file(path, content)
    assert path.read_bytes() == content == read_file(path, 100)
    with pytest.raises(FileExistsError):
        make_file(path, b"other")


def test_where_there_are_no_owners_every_folder_and_regular_file_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_files, "_HAS_OWNERS", False)
    tmp_path.chmod(0o777)
    assert effective_folder(tmp_path) == tmp_path
    check_folder(tmp_path)
    make_private_folder(tmp_path / "new")
    make_database(tmp_path / "a.db")
    (tmp_path / "a.db").chmod(0o666)
    check_file(tmp_path / "a.db")
    assert (tmp_path / "a.db").stat().st_mode & 0o777 == 0o666
    with pytest.raises(UnsafeFileError, match="is no regular file"):
        check_file(tmp_path / "new")
