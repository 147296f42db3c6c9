"""The right to one owner's segments, and the moments in which two processes want it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any, List

import pytest

from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._spool import lease as lease_module
from honeyhive_litellm._spool.lease import Lease, is_free, may_be_about_to_be_taken

_HOLDS = """
import sys
from pathlib import Path
from honeyhive_litellm._spool.lease import Lease
lease = Lease.take(Path(sys.argv[1]))
assert lease is not None
print("taken", flush=True)
sys.stdin.read()
"""


def take(path: Path) -> Lease:
    lease = Lease.take(path)
    assert lease is not None
    return lease


def test_a_lease_has_one_holder_and_is_free_again_when_that_process_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.lease"
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDS, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        assert Lease.take(path) is None
        holder.kill()
        holder.wait()
        take(path).release(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_on_a_file_that_its_last_holder_has_just_removed_is_no_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last holder removes the file after we have opened it, and before we lock it."""
    path = tmp_path / "a.lease"
    connect = sqlite3.connect
    opened: List[sqlite3.Connection] = []

    def connect_and_lose_the_file(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        if not opened:
            connection.execute("PRAGMA schema_version")  # SQLite opens the file at the first statement
            path.unlink()
        opened.append(connection)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_and_lose_the_file)
    lease = take(path)
    assert len(opened) == 2
    assert lease.connection is opened[1]
    assert path.exists()
    lease.release(remove=True)
    assert not path.exists()


def test_a_lease_that_cannot_be_made_says_where_and_why(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "a.lease"
    with pytest.raises(SpoolError, match=r"a\.lease: .*No such file"):
        Lease.take(path)


@pytest.mark.parametrize("may_unlink", [False, True])
def test_a_lease_that_is_released_is_free_and_its_file_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may_unlink: bool
) -> None:
    monkeypatch.setattr(lease_module, "CAN_UNLINK_OPEN_FILES", may_unlink)
    path = tmp_path / "a.lease"
    take(path).release(remove=True)
    assert not path.exists()
    held = take(path)
    path.unlink()  # by somebody who cleans up
    held.release(remove=True)
    take(path).release(remove=False)
    assert path.exists() and is_free(path)


def test_a_lease_that_cannot_be_taken_at_all_is_not_free(tmp_path: Path) -> None:
    (tmp_path / "a.lease").mkdir()
    assert not is_free(tmp_path / "a.lease")
    held = take(tmp_path / "b.lease")
    assert not is_free(tmp_path / "b.lease")
    held.release(remove=False)
    assert is_free(tmp_path / "b.lease")


def test_a_file_that_is_new_or_just_gone_may_be_about_to_be_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.lease"
    assert may_be_about_to_be_taken(path)
    path.touch()
    assert may_be_about_to_be_taken(path)
    os.utime(path, (1.0, 1.0))
    assert not may_be_about_to_be_taken(path)
