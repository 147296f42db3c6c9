from __future__ import annotations

import subprocess
import sys

import pytest

import honeyhive_litellm


def test_everything_public_is_listed_sorted_and_there() -> None:
    assert sorted(honeyhive_litellm.__all__) == honeyhive_litellm.__all__
    for name in honeyhive_litellm.__all__:
        assert getattr(honeyhive_litellm, name) is not None


def test_nothing_public_is_left_out() -> None:
    public = {
        name
        for name, value in vars(honeyhive_litellm).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("honeyhive_litellm")
    }
    assert public <= set(honeyhive_litellm.__all__)


def test_dir_has_the_names_that_are_imported_when_they_are_needed() -> None:
    assert set(honeyhive_litellm.__all__) <= set(dir(honeyhive_litellm))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        honeyhive_litellm.nonsense  # noqa: B018


def test_importing_the_package_imports_nothing_that_takes_long() -> None:
    slow = {"litellm", "aiohttp", "sqlite3", "_hashlib", "honeyhive_litellm._config.settings"}
    code = f"import honeyhive_litellm, sys; print(sorted({slow} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_options_without_their_names_are_refused_with_what_to_write() -> None:
    with pytest.raises(TypeError, match='init\\(api_key="hh_your_key", project="my-project"\\)'):
        honeyhive_litellm.init("hh_key", "my-project")


@pytest.mark.parametrize("name", ["flush", "shutdown"])
def test_without_an_asyncio_loop_the_async_functions_say_what_to_do(name: str) -> None:
    coroutine = getattr(honeyhive_litellm, f"a{name}")()  # as trio would run it
    with pytest.raises(RuntimeError, match=rf"await trio.to_thread.run_sync\(honeyhive_litellm.{name}\)"):
        coroutine.send(None)
