"""What is in the sdist, with which a packager builds, tests and documents, and in the wheel, which a user installs."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple, Set

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "honeyhive_litellm"
FOLDERS = (PACKAGE, "tests", "benchmarks", "examples", "docs", "tools")
NOT_SOURCE = {"__pycache__", ".pytest_cache", ".hypothesis"}


class Built(NamedTuple):
    """The names of the files in both, below the sdist's own folder."""

    sdist: Set[str]
    wheel: Set[str]


def run(*command: str, **variables: str) -> None:
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "install", "-q", "--target", str(folder / "backend"), "hatchling>=1.18")
    backend = {"PYTHONPATH": str(folder / "backend")}
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder), **backend)
    (archive,) = folder.glob("*.tar.gz")
    run(*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(archive), **backend)
    (wheel,) = folder.glob("*.whl")
    with tarfile.open(archive) as tar:
        in_sdist = {member.name.partition("/")[2] for member in tar.getmembers() if member.isfile()}
    with zipfile.ZipFile(wheel) as zipped:
        return Built(in_sdist, {name for name in zipped.namelist() if not name.endswith("/")})


def sources(folder: str) -> Set[str]:
    files = (path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(ROOT).as_posix() for path in files if not NOT_SOURCE.intersection(path.parts)}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("folder", FOLDERS)
def test_the_sdist_has_every_file_of_a_folder(built: Built, folder: str) -> None:
    assert sources(folder) - built.sdist == set()


def test_the_sdist_has_the_pages_and_commands_of_the_repository_and_nothing_else(built: Built) -> None:
    pages = {path.name for path in ROOT.glob("*.md")}
    assert {"ARCHITECTURE.md", "README.md", "CHANGELOG.md"} <= pages
    flat = {name for name in built.sdist if "/" not in name}
    assert flat == pages | {"LICENSE", "Makefile", "zensical.toml", "pyproject.toml", "PKG-INFO", ".gitignore"}
    assert {name.split("/")[0] for name in built.sdist if "/" in name} == set(FOLDERS)


def test_the_wheel_has_the_package_with_its_data_and_nothing_else(built: Built) -> None:
    metadata = {name for name in built.wheel if name.split("/")[0].endswith(".dist-info")}
    assert built.wheel - metadata == sources(PACKAGE)
    assert {name.rpartition("/")[2] for name in metadata} >= {"METADATA", "entry_points.txt", "LICENSE", "RECORD"}
