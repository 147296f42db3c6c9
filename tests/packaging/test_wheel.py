"""The wheel, installed with nothing but its own dependencies, on the oldest and the newest Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Optional

import pytest

from honeyhive_litellm.testing import Collector

ROOT = Path(__file__).parents[2]

PROGRAM = """
import litellm, honeyhive_litellm
honeyhive_litellm.init()
litellm.completion(model="gpt-4o", messages=[{"role": "user", "content": "hello"}], mock_response="hi from the wheel")
assert honeyhive_litellm.flush(20) == 0, honeyhive_litellm.stats()
"""


def python(version: str) -> Optional[str]:
    """An interpreter of that version: this one, one on the path, or one under pyenv."""
    if sys.version_info[:2] == tuple(int(part) for part in version.split(".")):
        return sys.executable
    for path in sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python")):
        return str(path)
    return shutil.which(f"python{version}")


def run(*command: str, **variables: str) -> str:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HONEYHIVE_", "HH_", "PYTHON"))}
    done = subprocess.run(command, env={**inherited, **variables}, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT))
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_what_the_pages_are_made_of(wheel: Path) -> None:
    folder = ROOT / "honeyhive_litellm" / "collector" / "viewer"
    sources = [path for name in ("templates", "static") for path in (folder / name).iterdir()]
    with zipfile.ZipFile(wheel) as built:
        names = set(built.namelist())
    assert len(sources) > 15
    assert {path.relative_to(ROOT).as_posix() for path in sources} <= names


@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", ["3.8", "3.13"])
def test_the_wheel_installs_and_a_call_arrives(wheel: Path, tmp_path: Path, version: str) -> None:
    interpreter = python(version)
    if interpreter is None:
        pytest.skip(f"Python {version} is not installed on this machine")
    run(interpreter, "-m", "venv", str(tmp_path / "env"))
    env = tmp_path / "env" / "bin" / "python"
    run(str(env), "-m", "pip", "install", "-q", "-U", "pip")  # the one that comes with Python takes twice as long
    # LiteLLM's last releases for Python 3.8 have no source that builds there.
    binaries = "litellm,tokenizers,tiktoken"
    run(str(env), "-m", "pip", "install", "-q", "--no-compile", "--only-binary", binaries, str(wheel))
    packages = run(str(env), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    with Collector() as collector:
        run(
            str(env),
            "-W",
            "error::ResourceWarning",
            "-c",
            PROGRAM,
            LITELLM_LOCAL_MODEL_COST_MAP="True",
            # LiteLLM's releases for Python 3.8 look for their tokenizers in a folder that does not exist.
            CUSTOM_TIKTOKEN_CACHE_DIR=f"{packages}/litellm/litellm_core_utils/tokenizers",
            HONEYHIVE_API_KEY="hh_key",
            HONEYHIVE_PROJECT="wheel",
            HONEYHIVE_API_URL=collector.url,
            HONEYHIVE_SPOOL_PATH=str(tmp_path / "spool"),
        )
        (event,) = collector.events
    assert event["outputs"]["content"] == "hi from the wheel"
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["ledger.db"]
