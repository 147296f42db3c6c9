"""Settings from arguments, variables and defaults, and what their errors say."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import pickle
import re
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Mapping

import pytest

from honeyhive_litellm._config.settings import OPTIONS, Settings, default_spool_path
from honeyhive_litellm._errors import ConfigError
from honeyhive_litellm._privacy.pii import NAMES

KEY = "hh_ingst_0123456789abcdef"
REQUIRED = {"HONEYHIVE_API_KEY": KEY, "HONEYHIVE_PROJECT": "shop"}


def resolve(variables: Mapping[str, str] = REQUIRED, **arguments: object) -> Settings:
    return Settings.resolve(variables, **arguments)


def problems(variables: Mapping[str, str] = REQUIRED, **arguments: object) -> List[str]:
    """The lines of the error, one for each bad setting."""
    with pytest.raises(ConfigError) as caught:
        Settings.resolve(variables, **arguments)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_key_and_project_are_all_that_a_user_must_give() -> None:
    settings = resolve()
    defaults = {option.name: option.default for option in OPTIONS if option.default is not None}
    assert {name: getattr(settings, name) for name in defaults} == defaults
    assert (settings.api_key, settings.project, settings.custom_attributes) == (KEY, "shop", None)
    assert settings == Settings(KEY, "shop", spool_path=settings.spool_path)


def test_argument_beats_our_variable_beats_honeyhives_own_beats_the_default() -> None:
    layers: Dict[str, str] = {**REQUIRED}
    found = [resolve(layers).api_url]
    layers["HH_API_URL"] = "https://hh.example"
    found.append(resolve(layers).api_url)
    layers["HONEYHIVE_API_URL"] = "https://ours.example"
    found.append(resolve(layers).api_url)
    found.append(resolve(layers, api_url="https://argument.example").api_url)
    assert found == [
        "https://api.honeyhive.ai",
        "https://hh.example",
        "https://ours.example",
        "https://argument.example",
    ]
    assert resolve({"HH_API_KEY": "hh_other"}, project="shop").api_key == "hh_other"


def test_blank_variables_and_none_arguments_count_as_not_given() -> None:
    blank = {**REQUIRED, "HONEYHIVE_API_URL": "  ", "HONEYHIVE_DEBUG": "", "HH_API_URL": "https://hh.example"}
    settings = resolve(blank, api_key=None, debug=None)
    assert (settings.api_key, settings.api_url, settings.debug) == (KEY, "https://hh.example", False)


VARIABLES: Dict[str, Any] = {
    "HONEYHIVE_API_KEY": ("api_key", f"  {KEY}\n", KEY),
    "HONEYHIVE_PROJECT": ("project", " Ünïque shop ", "Ünïque shop"),
    "HONEYHIVE_ENVIRONMENT": ("environment", "staging", "staging"),
    "HONEYHIVE_API_URL": ("api_url", "http://127.0.0.1:8080/base//", "http://127.0.0.1:8080/base"),
    "HONEYHIVE_CAPTURE_CONTENT": ("capture_message_content", "off", False),
    "HONEYHIVE_CAPTURE_HEADERS": ("capture_headers", "TRUE", True),
    "HONEYHIVE_CAPTURE_RAW": ("capture_raw_request", "1", True),
    "HONEYHIVE_CUSTOM_ATTRIBUTES": ("custom_attributes", '{"team": "a", "n": [1]}', {"team": "a", "n": [1]}),
    "HONEYHIVE_DEBUG": ("debug", " Yes ", True),
    "HONEYHIVE_FLUSH": ("flush", "off", False),
    "HONEYHIVE_SPOOL_PATH": ("spool_path", os.path.abspath("spool"), Path(os.path.abspath("spool"))),
    "HONEYHIVE_DURABILITY": ("durability", "POWER", "power"),
    "HONEYHIVE_CAPTURE_IN_FLIGHT": ("capture_in_flight", "no", False),
    "HONEYHIVE_STRICT": ("strict", "on", True),
    "HONEYHIVE_REDACT": ("redact", " e-mail, Credit Card,ip", ("email", "card", "ip")),
    "HONEYHIVE_SAMPLE_RATE": ("sample_rate", "0.25", 0.25),
    "HONEYHIVE_SHUTDOWN_TIMEOUT": ("shutdown_timeout", "0", 0.0),
    "HONEYHIVE_REQUEST_TIMEOUT": ("request_timeout", "2.5", 2.5),
    "HONEYHIVE_LOOKUP_DELAY": ("lookup_delay", "0.5", 0.5),
    "HONEYHIVE_SPOOL_MAX_BYTES": ("spool_max_bytes", "512MB", 512_000_000),
    "HONEYHIVE_SPOOL_POLICY": ("spool_policy", "Drop_Newest", "drop_newest"),
    "HONEYHIVE_SPOOL_MAX_AGE": ("spool_max_age", "86400", 86400.0),
    "HONEYHIVE_SPOOL_MIN_FREE_BYTES": ("spool_min_free_bytes", "1GB", 1_000_000_000),
    "HONEYHIVE_MAX_FIELD_BYTES": ("max_field_bytes", "64 KiB", 65536),
    "HONEYHIVE_MAX_EVENT_BYTES": ("max_event_bytes", "2000000", 2_000_000),
}


@pytest.mark.parametrize("variable", VARIABLES)
def test_each_variable_sets_its_field(variable: str) -> None:
    name, text, value = VARIABLES[variable]
    found = getattr(resolve({**REQUIRED, variable: text}), name)
    assert (type(found), found) == (type(value), value)


def test_text_serves_as_an_argument_as_it_does_in_a_variable() -> None:
    arguments = {name: text for name, text, _ in VARIABLES.values()}
    assert resolve({}, **arguments) == resolve({variable: row[1] for variable, row in VARIABLES.items()})


def test_the_table_has_a_row_for_every_field_and_a_variable_of_ours_first() -> None:
    assert [option.name for option in OPTIONS] == [field.name for field in dataclasses.fields(Settings)]
    assert [option.variables[0] for option in OPTIONS] == list(VARIABLES)
    assert [option.name for option in OPTIONS if option.required] == ["api_key", "project"]
    assert all(option.doc and "\n" not in option.doc for option in OPTIONS)


def test_all_bad_fields_are_named_at_once_each_with_variable_and_remedy() -> None:
    found = problems(
        {"HONEYHIVE_DEBUG": "maybe", "HH_API_URL": "ftp://host", "HONEYHIVE_REQUEST_TIMEOUT": "soon"},
        durability="forever",
        sheduler="x",
    )
    assert found == [
        "api_key (HONEYHIVE_API_KEY) is missing; pass api_key=... or set HONEYHIVE_API_KEY",
        "project (HONEYHIVE_PROJECT) is missing; pass project=... or set HONEYHIVE_PROJECT",
        "api_url (HH_API_URL) is no http(s) address with a host; give one such as https://api.honeyhive.ai",
        "debug (HONEYHIVE_DEBUG) is 'maybe'; give true or false (1/0, yes/no, on/off)",
        'durability (HONEYHIVE_DURABILITY) is \'forever\'; give "process" or "power"',
        "request_timeout (HONEYHIVE_REQUEST_TIMEOUT) is 'soon'; give seconds above 0, such as 5 or 0.5",
        next(line for line in found if line.startswith("sheduler is no setting; known are api_key, project")),
    ]


def test_an_unknown_argument_is_refused_with_the_nearest_name() -> None:
    assert problems(apikey="x") == ["apikey is no setting; did you mean api_key?"]
    assert problems(spool_max_byte=None) == ["spool_max_byte is no setting; did you mean spool_max_bytes?"]


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
    assert line.startswith(f"{name} ({variable}) ")
    assert re.search(r"; (give|remove|name) ", line)
    assert len(line) < 250


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in BAD for value in BAD[name]])
def test_the_constructor_refuses_what_resolve_refuses_in_the_same_words(name: str, value: object) -> None:
    values: Dict[str, Any] = {"api_key": KEY, "project": "shop", name: value}
    with pytest.raises(ConfigError) as caught:
        Settings(**values)
    assert str(caught.value).splitlines()[1:] == [f"  {line}" for line in problems(REQUIRED, **{name: value})]


def test_a_field_may_not_be_larger_than_its_event() -> None:
    (line,) = problems(max_event_bytes=5000)
    assert "max_field_bytes (HONEYHIVE_MAX_FIELD_BYTES) is 262144" in line
    assert "max_event_bytes (HONEYHIVE_MAX_EVENT_BYTES), which is 5000" in line
    assert resolve(max_event_bytes=5000, max_field_bytes=5000).max_field_bytes == 5000


@pytest.mark.parametrize("key", ["hh_secret key", "hh_secret\nX: y", "hh_secret\u00e4"])
def test_no_error_shows_the_key(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.resolve({"HONEYHIVE_API_KEY": key}, debug="maybe", api_url="https://u:hh_secret@h")
    assert "hh_secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_repr_hides_the_key_and_equality_sees_it() -> None:
    one, other = Settings(KEY, "shop"), Settings("hh_other", "shop")
    assert KEY not in repr(one)
    assert one != other
    assert one == Settings(KEY, "shop")


def test_settings_survive_copy_pickle_and_replace() -> None:
    settings = resolve(custom_attributes={"a": object}, spool_path="~/spool")
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert dataclasses.replace(settings, debug=True).debug is True
    with pytest.raises(ConfigError):
        dataclasses.replace(settings, durability="none")
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.debug = True  # type: ignore[misc]


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


def test_no_repr_shows_what_functions_and_attributes_hold() -> None:
    settings = resolve(redact=functools.partial(dict, key="hidden"), custom_attributes={"key": "hidden"})
    assert "hidden" not in repr(settings)


def test_attributes_keep_their_values_and_do_not_follow_later_changes() -> None:
    value = object()
    given = {"team": value}
    settings = Settings(KEY, "shop", custom_attributes=given)
    given["later"] = value
    assert settings.custom_attributes == {"team": value}


def test_a_relative_spool_path_is_made_absolute_and_a_home_sign_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert resolve(spool_path=Path("a") / ".." / "b").spool_path == Path.cwd() / "b"
    assert resolve(spool_path=".").spool_path == Path.cwd()
    assert resolve(spool_path="~/c").spool_path == tmp_path / "c"


def test_the_spool_has_a_folder_for_each_project_in_the_users_state_folder(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    assert default_spool_path("My Shop/2!", home, "linux").parent == tmp_path / ".local/state/honeyhive-litellm"
    found = default_spool_path("My Shop/2!", home, "darwin")
    assert found.parent == tmp_path / "Library/Application Support/honeyhive-litellm"
    assert re.fullmatch(r"my-shop-2-[0-9a-f]{8}", found.name)
    assert default_spool_path("a", home, "win32").parent == tmp_path / "AppData/Local/honeyhive-litellm"
    assert resolve({**REQUIRED, **home}).spool_path == default_spool_path("shop", home)


def test_names_that_look_alike_in_a_path_still_get_folders_of_their_own(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    names = ["a b", "a-b", "A B", "商店", "店", "x" * 300, "x" * 301, "..", "/"]
    folders = {default_spool_path(name, home, "linux") for name in names}
    assert len(folders) == len(names)
    assert all(len(folder.name) <= 49 and folder.parent.parent.name == "state" for folder in folders)


def test_the_state_folder_variables_are_obeyed_when_absolute(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path / "home"), "USERPROFILE": str(tmp_path)}
    (tmp_path / "home").mkdir()
    state = {**home, "XDG_STATE_HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
    assert default_spool_path("a", state, "linux").parent == tmp_path / "honeyhive-litellm"
    assert default_spool_path("a", state, "win32").parent == tmp_path / "honeyhive-litellm"
    relative = {**home, "XDG_STATE_HOME": "state"}
    assert default_spool_path("a", relative, "linux").parent == tmp_path / "home/.local/state/honeyhive-litellm"


@pytest.mark.parametrize("home", ["/nonexistent", "/", "relative"])
def test_without_a_home_the_spool_lies_in_a_temporary_folder_of_this_user(home: str, tmp_path: Path) -> None:
    found = default_spool_path("a", {"HOME": home, "TMPDIR": str(tmp_path)}, "linux")
    user = os.getuid() if hasattr(os, "getuid") else "user"
    assert found.parent == tmp_path / f"honeyhive-litellm-{user}"
    assert default_spool_path("a", {"HOME": home}, "linux").parent.parent == Path(tempfile.gettempdir())


def test_a_home_that_only_the_system_knows_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert default_spool_path("a", {}, "linux").parent == tmp_path / ".local/state/honeyhive-litellm"
