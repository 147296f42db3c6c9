"""The file of dead letters where it is missing, empty, damaged or somebody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest

from honeyhive_litellm import SpoolError
from honeyhive_litellm._spool import dead_letters
from honeyhive_litellm._spool.record import Row

ROW = Row(1, "a", 1.0, None, b'{"event_id":"a"}')


def test_what_is_not_there_is_no_letter(tmp_path: Path) -> None:
    assert dead_letters.letters(tmp_path) == []
    assert dead_letters.row_of(tmp_path, "a") is None
    assert dead_letters.body_of(tmp_path, "a") is None
    assert not (tmp_path / "dead.db").exists()


async def test_a_file_that_a_kill_left_empty_has_no_letters_and_takes_some(tmp_path: Path) -> None:
    (tmp_path / "dead.db").touch(0o600)
    assert dead_letters.letters(tmp_path) == []
    await dead_letters.add(tmp_path, [ROW], 400, "no")
    assert [letter.id for letter in dead_letters.letters(tmp_path)] == ["a"]
    assert dead_letters.row_of(tmp_path, "b") is None
    assert dead_letters.purge(tmp_path, ["b"]) == 0
    assert dead_letters.body_of(tmp_path, "a") == ROW.body


@pytest.mark.parametrize(
    "work",
    [
        dead_letters.letters,
        lambda folder: dead_letters.row_of(folder, "a"),
        lambda folder: dead_letters.purge(folder, ["a"]),
        lambda folder: dead_letters.mark(folder, ["a"], 1.0),
        lambda folder: dead_letters.refused_again(folder, ["a"], 400, "no"),
    ],
    ids=["list", "show", "purge", "mark", "refuse"],
)
@pytest.mark.parametrize("damage", ["no database", "a folder"])
async def test_a_file_that_is_none_of_ours_is_an_error_and_stays(
    tmp_path: Path, work: Callable[[Path], object], damage: str
) -> None:
    path = tmp_path / "dead.db"
    if damage == "a folder":
        path.mkdir()
    else:
        path.write_bytes(b"no database" * 1000)
        path.chmod(0o600)
    with pytest.raises(SpoolError, match=r"dead\.db"):
        work(tmp_path)
    with pytest.raises(SpoolError, match=r"dead\.db"):
        await dead_letters.add(tmp_path, [ROW], 400, "no")
    assert path.is_dir() or path.read_bytes() == b"no database" * 1000
