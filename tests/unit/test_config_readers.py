"""What each option refuses, and what its reader makes of a value that it accepts."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, Dict, List, Mapping

import pytest

from honeyhive_litellm._config.settings import OPTIONS, Settings
from honeyhive_litellm._errors import ConfigError
from honeyhive_litellm._privacy.pii import NAMES

KEY = "hh_ingst_0123456789abcdef"
REQUIRED = {"HONEYHIVE_API_KEY": KEY, "HONEYHIVE_PROJECT": "shop"}


def resolve(variables: Mapping[str, str] = REQUIRED, **arguments: object) -> Settings:
    return Settings.resolve(variables, **arguments)


def problems(variables: Mapping[str, str] = REQUIRED, **arguments: object) -> List[str]:
    """The lines of the error, one for each bad option."""
    with pytest.raises(ConfigError) as caught:
        Settings.resolve(variables, **arguments)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


async def _later(content: Dict[str, Any]) -> Dict[str, Any]:
    return content


BAD: Dict[str, List[object]] = {
    "api_key": ["", "  ", "two words", "line\nbreak", "k\x00y", "schlüssel", 7, b"hh_bytes"],
    "project": ["", " ", "a\nb", "a\x00b", "\udcff", 7],
    "environment": ["", 1],
    "api_url": [
        "",
        "api.honeyhive.ai",
        "ftp://api.honeyhive.ai",
        "https://",
        "https://:443",
        "https://host:port",
        "https://host:99999",
        "https://user:secret@host",
        "https://@host",
        "https://host/?query",
        "https://host/#part",
        "https://ho st",
        "https://[::1",
        "https://h\u2100st",
        5,
    ],
    "capture_message_content": ["maybe", "", 1, 0.0, []],
    "custom_attributes": ["[1]", "{", "[" * 100_000, [("a", 1)], {1: "a"}, 7],
    "spool_path": ["", " ", "a\0b", 7, b"/bytes"],
    "durability": ["", "disk", 1, None.__class__],
    "redact": ["e-mails of people", ["email", "emial"], 7, [7], {"email": True}, True, _later],
    "sample_rate": [-0.1, 1.1, math.nan, "", "10%", True, []],
    "shutdown_timeout": [-1, "-0.1", math.nan, "nan", math.inf, "inf", True, "", "5s", 10**400, []],
    "lookup_delay": [-1, "later"],
    "request_timeout": [0, 0.0, "0", -1, math.inf],
    "spool_max_bytes": [0, -1, 65535, 2**51, 1e9, True, "1 TB", "1ib", "-1", "1e9", "9" * 5000, "", []],
    "max_field_bytes": [0, 255, "255b"],
    "max_event_bytes": [4095, 5_000_001, "5MiB"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in BAD for value in BAD[name]])
def test_a_bad_value_is_refused_under_its_fields_name(name: str, value: object) -> None:
    (line,) = problems(REQUIRED, **{name: value})
    variable = next(option.variables[0] for option in OPTIONS if option.name == name)
    assert line.startswith(f"{name} (argument; variable {variable}) ")
    assert re.search(r"; (give|remove|name) ", line)
    assert len(line) < 250


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in BAD for value in BAD[name]])
def test_the_constructor_refuses_what_resolve_refuses_in_the_same_words(name: str, value: object) -> None:
    values: Dict[str, Any] = {"api_key": KEY, "project": "shop", name: value}
    with pytest.raises(ConfigError) as caught:
        Settings(**values)
    assert str(caught.value).splitlines()[1:] == [f"  {line}" for line in problems(REQUIRED, **{name: value})]


@pytest.mark.parametrize("key", ["hh_secret key", "hh_secret\nX: y", "hh_secret\u00e4"])
def test_no_error_shows_the_key(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.resolve({"HONEYHIVE_API_KEY": key}, debug="maybe", api_url="https://u:hh_secret@h")
    assert "hh_secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_equal_choices_of_what_to_redact_are_equal_settings() -> None:
    class Mask:
        def one(self, content: Dict[str, Any]) -> Dict[str, Any]:
            return content

    mask = Mask()
    assert resolve(redact="all").redact == NAMES == resolve(redact=["api-key", *reversed(NAMES)]).redact
    assert resolve(redact=[mask.one, "ip", "email", mask.one]) == resolve(redact=["email,ip", mask.one])
    assert resolve(redact=mask.one) != resolve(redact=Mask().one)
    assert resolve(redact=[]).redact is resolve(redact=",").redact is resolve(redact=None).redact is None
    assert resolve({**REQUIRED, "HONEYHIVE_REDACT": "pii"}).redact == NAMES[:6]


def test_a_relative_spool_path_is_made_absolute_and_a_home_sign_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert resolve(spool_path=Path("a") / ".." / "b").spool_path == Path.cwd() / "b"
    assert resolve(spool_path=".").spool_path == Path.cwd()
    assert resolve(spool_path="~/c").spool_path == tmp_path / "c"
