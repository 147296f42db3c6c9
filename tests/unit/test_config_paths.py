"""The default folder of a spool, on each system and without a home."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest

from honeyhive_litellm._config.paths import default_spool_path


def test_the_spool_has_a_folder_for_each_project_in_the_users_state_folder(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    assert default_spool_path("My Shop/2!", home, "linux").parent == tmp_path / ".local/state/honeyhive-litellm"
    found = default_spool_path("My Shop/2!", home, "darwin")
    assert found.parent == tmp_path / "Library/Application Support/honeyhive-litellm"
    assert re.fullmatch(r"my-shop-2-[0-9a-f]{8}", found.name)
    assert default_spool_path("a", home, "win32").parent == tmp_path / "AppData/Local/honeyhive-litellm"


def test_names_that_look_alike_in_a_path_still_get_folders_of_their_own(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    names = ["a b", "a-b", "A B", "商店", "店", "x" * 300, "x" * 301, "..", "/"]
    folders = {default_spool_path(name, home, "linux") for name in names}
    assert len(folders) == len(names)
    assert all(len(folder.name) <= 49 and folder.parent.parent.name == "state" for folder in folders)


def test_a_state_folder_variable_counts_if_it_is_absolute(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path / "home"), "USERPROFILE": str(tmp_path)}
    (tmp_path / "home").mkdir()
    state = {**home, "XDG_STATE_HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
    assert default_spool_path("a", state, "linux").parent == tmp_path / "honeyhive-litellm"
    assert default_spool_path("a", state, "win32").parent == tmp_path / "honeyhive-litellm"
    relative = {**home, "XDG_STATE_HOME": "state"}
    assert default_spool_path("a", relative, "linux").parent == tmp_path / "home/.local/state/honeyhive-litellm"


@pytest.mark.parametrize("home", ["/nonexistent", "/", "relative", "/" + "x" * 300])
def test_without_a_home_the_spool_lies_in_a_temporary_folder_of_this_user(home: str, tmp_path: Path) -> None:
    found = default_spool_path("a", {"HOME": home, "TMPDIR": str(tmp_path)}, "linux")
    user = os.getuid() if hasattr(os, "getuid") else "user"
    assert found.parent == tmp_path / f"honeyhive-litellm-{user}"
    assert default_spool_path("a", {"HOME": home}, "linux").parent.parent == Path(tempfile.gettempdir())


def test_a_home_that_only_the_system_knows_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert default_spool_path("a", {}, "linux").parent == tmp_path / ".local/state/honeyhive-litellm"
