"""Settings from arguments, variables and defaults, and what their errors say."""

from __future__ import annotations

import dataclasses
import functools
import os
import pickle
import sys
from pathlib import Path
from typing import Any, Dict, List, Mapping

import pytest

from honeyhive_litellm._config.destinations import Condition, Destination
from honeyhive_litellm._config.paths import default_spool_path
from honeyhive_litellm._config.settings import OPTIONS, Settings
from honeyhive_litellm._errors import ConfigError
from honeyhive_litellm._privacy.cipher import new_key
from honeyhive_litellm._runtime.pipeline import spool_folder_of
from honeyhive_litellm._spool.layout import destination_folder

KEY = "hh_ingst_0123456789abcdef"
NEW_KEY, OLD_KEY, FILED_KEY = new_key(), new_key(), new_key()
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


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("HONEYHIVE_SERVER_URL", "api_url"),
        ("HH_SERVER_URL", "api_url"),
        ("HH_DATA_PLANE_URL", "api_url"),
        ("HH_PROJECT", "project"),
        ("HH_SOURCE", "environment"),
    ],
)
def test_the_variables_of_honeyhives_sdk_come_after_ours(variable: str, name: str) -> None:
    key = {"HONEYHIVE_API_KEY": KEY}
    project = {} if name == "project" else {"HONEYHIVE_PROJECT": "shop"}
    value = "https://theirs.example"
    ours = {"HONEYHIVE_API_URL": "https://ours.example", "HONEYHIVE_PROJECT": "x", "HONEYHIVE_ENVIRONMENT": "y"}
    assert getattr(resolve({**key, **project, variable: value}), name) == value
    assert getattr(resolve({**key, **project, variable: value, **ours}), name) in ours.values()


def test_an_ingestion_key_writes_and_honeyhives_own_looks_up() -> None:
    theirs = {"HH_INGESTION_API_KEY": "ingest", "HH_API_KEY": "hh_ro_1", "HH_PROJECT": "shop"}
    settings = resolve(theirs)
    assert (settings.api_key, settings.lookup_api_key) == ("ingest", "hh_ro_1")
    assert "hh_ro_1" not in repr(settings)
    ours = resolve({**theirs, "HONEYHIVE_API_KEY": "hh_ours"})
    assert (ours.api_key, ours.lookup_api_key) == ("hh_ours", None)
    assert resolve({**theirs, "HONEYHIVE_API_KEY": KEY}).lookup_api_key == "hh_ro_1"
    assert resolve({**theirs, "HH_API_KEY": KEY}).lookup_api_key is None


@pytest.mark.parametrize("beginning", ["hh_ro_", "hh_fgdp_", "hh_fgcp_"])
def test_a_key_that_cannot_write_is_refused_with_the_remedy(beginning: str) -> None:
    (problem,) = problems({"HH_API_KEY": f"{beginning}secret", "HH_PROJECT": "shop"})
    assert problem.startswith(f"api_key (from HH_API_KEY) begins with {beginning}, so it cannot write events; give a ")
    assert "secret" not in problem
    (problem,) = problems(lookup_api_key=KEY)
    assert problem.startswith("lookup_api_key (argument; variable HONEYHIVE_LOOKUP_API_KEY) begins with hh_ingst_")


def test_blank_variables_and_none_arguments_count_as_absent() -> None:
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
    "HONEYHIVE_LOOKUP_API_KEY": ("lookup_api_key", " hh_ro_1 ", "hh_ro_1"),
    "HONEYHIVE_SPOOL_KEY": ("spool_key", f" {NEW_KEY},\n{OLD_KEY},{NEW_KEY}", (NEW_KEY, OLD_KEY)),
    "HONEYHIVE_SPOOL_KEY_FILE": ("spool_key_file", os.path.abspath("spool.key"), Path(os.path.abspath("spool.key"))),
    "HONEYHIVE_DESTINATIONS": (
        "destinations",
        '{"a": {"project": "p", "api_key": "hh_k", "match": {"team": "t"}}}',
        (Destination("a", {"project": "p", "api_key": "hh_k"}, (Condition(team=("t",)),)),),
    ),
    "HONEYHIVE_DEFAULT_DESTINATION": ("default_destination", " None ", "none"),
    "HONEYHIVE_BROKER": ("broker", " nats://n1,n2 ", "nats://n1,n2"),
    "HONEYHIVE_BROKER_DESTINATION": ("broker_destination", " search ", "search"),
    "HONEYHIVE_BROKER_CREDENTIALS": ("broker_credentials", os.path.abspath("c"), Path(os.path.abspath("c"))),
    "HONEYHIVE_BROKER_NKEY": ("broker_nkey", os.path.abspath("n"), Path(os.path.abspath("n"))),
    "HONEYHIVE_BROKER_CA": ("broker_ca", os.path.abspath("ca"), Path(os.path.abspath("ca"))),
    "HONEYHIVE_BROKER_KEEP": ("broker_keep", "7200", 7200.0),
}


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with keys, and a table that names it."""
    file = tmp_path / "spool.key"
    file.write_text(f"# the newest first\n{FILED_KEY}\n{OLD_KEY}\n")
    monkeypatch.setitem(VARIABLES, "HONEYHIVE_SPOOL_KEY_FILE", ("spool_key_file", str(file), file))
    return file


@pytest.mark.usefixtures("key_file")
@pytest.mark.parametrize("variable", VARIABLES)
def test_each_variable_sets_its_field(variable: str) -> None:
    name, text, value = VARIABLES[variable]
    found = getattr(resolve({**REQUIRED, variable: text}), name)
    assert (type(found), found) == (type(value), value)


@pytest.mark.usefixtures("key_file")
def test_text_serves_as_an_argument_as_it_does_in_a_variable() -> None:
    variables = {variable: row for variable, row in VARIABLES.items() if variable != "HONEYHIVE_BROKER_NKEY"}
    arguments = {name: text for name, text, _ in variables.values()}
    assert resolve({}, **arguments) == resolve({variable: row[1] for variable, row in variables.items()})


def test_a_broker_needs_no_key_and_has_a_spool_for_each_destination() -> None:
    without_key = {"HONEYHIVE_PROJECT": "shop"}
    settings = resolve(without_key, broker="nats://app:secret@n1,n2:99")
    access = settings.broker_access
    assert access is not None and access.servers == ("nats://n1:4222", "nats://n2:99") and access.password == "secret"
    assert "secret" not in repr(settings) and settings.api_key == ""
    assert settings == Settings(project="shop", broker="nats://app:secret@n1,n2:99")
    moved = resolve(without_key, broker="tls://n3")
    other = resolve(without_key, broker="nats://n1", broker_destination="search")
    assert len({spool_folder_of(settings), spool_folder_of(moved)}) == 1
    assert len({spool_folder_of(each) for each in (settings, other, resolve())}) == 3
    assert spool_folder_of(other) == destination_folder(settings.spool_path, "search")
    inside = resolve(without_key, broker="nats://n1", broker_destination="search", spool_path=spool_folder_of(other))
    assert spool_folder_of(inside) == spool_folder_of(other)
    with pytest.raises(ConfigError, match=r"folder of the destination search, and broker_destination .* is chat"):
        dataclasses.replace(inside, broker_destination="chat")
    assert resolve().broker_access is None
    team = Destination("team", {"project": "p", "api_key": "hh_k"}, (Condition(team=("t",)),))
    assert settings.for_destination(team, Path("x")).broker_destination == "team"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"broker": "http://secret"}, "does not consist of nats:// or tls:// and hosts"),
        ({"broker": "nats://secret\x00"}, "contains characters that are not ASCII"),
        ({"broker": 1}, "is of type int"),
        ({"broker": "nats://u:secret@n1", "broker_nkey": "seed"}, "give one login"),
        ({"broker": "nats://n1", "broker_nkey": "seed", "broker_credentials": "c"}, "give one login"),
        ({"broker": "nats://n1", "broker_destination": "A.b"}, "give a name of small letters"),
        ({"broker": "nats://n1", "broker_destination": "dead"}, "give a name of small letters"),
        ({"broker": "nats://n1", "broker_ca": ""}, "give the path of a file"),
    ],
)
def test_a_bad_broker_is_refused_without_its_secrets(arguments: Mapping[str, object], problem: str) -> None:
    (line,) = problems(REQUIRED, **arguments)
    assert line.startswith("broker") and problem in line and "secret" not in line


def test_the_table_has_a_row_for_every_field_and_a_variable_of_ours_first() -> None:
    assert [option.name for option in OPTIONS] == [field.name for field in dataclasses.fields(Settings)]
    assert [option.variables[0] for option in OPTIONS] == list(VARIABLES)
    assert [option.name for option in OPTIONS if option.required] == ["api_key", "project"]
    assert all(option.doc and "\n" not in option.doc for option in OPTIONS)


def test_all_bad_options_are_named_at_once_each_with_its_source_and_remedy() -> None:
    found = problems(
        {"HONEYHIVE_DEBUG": "maybe", "HH_API_URL": "ftp://host", "HONEYHIVE_REQUEST_TIMEOUT": "soon"},
        durability="forever",
        sheduler="x",
    )
    assert found == [
        "api_key is missing; pass api_key=... or set HONEYHIVE_API_KEY",
        "project is missing; pass project=... or set HONEYHIVE_PROJECT",
        (
            "api_url (from HH_API_URL) does not begin with http:// or https:// and a host; "
            "give an address such as https://api.honeyhive.ai"
        ),
        "debug (from HONEYHIVE_DEBUG) is 'maybe'; give true or false (1/0, yes/no, on/off)",
        'durability (argument; variable HONEYHIVE_DURABILITY) is \'forever\'; give "process" or "power"',
        (
            "request_timeout (from HONEYHIVE_REQUEST_TIMEOUT) is 'soon'; "
            "give a number of seconds above 0, such as 5 or 0.5"
        ),
        next(line for line in found if line.startswith("sheduler is not an option; the options are api_key, project")),
    ]


def test_an_unknown_argument_is_refused_with_the_nearest_name() -> None:
    assert problems(apikey="x") == ["apikey is not an option; did you mean api_key?"]
    assert problems(spool_max_byte=None) == ["spool_max_byte is not an option; did you mean spool_max_bytes?"]


def test_a_field_may_not_be_larger_than_its_event() -> None:
    (line,) = problems(max_event_bytes=5000)
    assert "max_field_bytes (HONEYHIVE_MAX_FIELD_BYTES) is 262144" in line
    assert "max_event_bytes (HONEYHIVE_MAX_EVENT_BYTES), which is 5000" in line
    assert resolve(max_event_bytes=5000, max_field_bytes=5000).max_field_bytes == 5000


def test_the_default_spool_is_that_of_the_project_and_the_server(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    url = "https://hh.example"
    assert resolve({**REQUIRED, **home}).spool_path == default_spool_path("shop", home)
    assert resolve({**REQUIRED, **home}, api_url=url).spool_path == default_spool_path("shop", home, api_url=url)
    assert default_spool_path("shop", home) != default_spool_path("shop", home, api_url=url)


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


def test_no_repr_shows_what_functions_and_attributes_hold() -> None:
    settings = resolve(redact=functools.partial(dict, key="hidden"), custom_attributes={"key": "hidden"})
    assert "hidden" not in repr(settings)


def test_attributes_keep_their_values_and_do_not_follow_later_changes() -> None:
    value = object()
    attributes = {"team": value}
    settings = Settings(KEY, "shop", custom_attributes=attributes)
    attributes["later"] = value
    assert settings.custom_attributes == {"team": value}


def test_the_keys_of_the_file_come_after_those_of_the_option_each_once(key_file: Path) -> None:
    settings = resolve(spool_key=[NEW_KEY, OLD_KEY], spool_key_file=key_file)
    assert settings.spool_key == (NEW_KEY, OLD_KEY, FILED_KEY)
    assert resolve(spool_key_file=key_file).spool_key == (FILED_KEY, OLD_KEY)
    assert resolve().spool_key is None
    assert dataclasses.replace(settings) == settings == pickle.loads(pickle.dumps(settings))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"spool_key": f"{NEW_KEY},{OLD_KEY[:-3]}"}, "has no key in place 2 of 2; give 32 bytes in base64"),
        ({"spool_key": ""}, "is empty; give a key"),
        ({"spool_key": [NEW_KEY, 7]}, "has a value that is no string"),
        ({"spool_key_file": "/no/such/file"}, "cannot be read (No such file or directory)"),
        ({"spool_key_file": os.path.abspath(__file__)}, "has no key in place 1 of"),
        ({"spool_key_file": 7}, "is of type int; give the path of a file with keys"),
    ],
)
def test_a_refused_spool_key_is_not_shown(arguments: Dict[str, Any], words: str) -> None:
    (problem,) = problems(**arguments)
    name = next(iter(arguments))
    assert problem.startswith(f"{name} (argument; variable HONEYHIVE_{name.upper()}) {words}")
    assert NEW_KEY not in problem and OLD_KEY[:-3] not in problem


def test_no_representation_of_settings_has_a_spool_key(key_file: Path) -> None:
    settings = resolve(spool_key=NEW_KEY, spool_key_file=key_file)
    for key in (NEW_KEY, FILED_KEY):
        assert key not in repr(settings) and key not in str(settings)


def test_without_the_extra_a_spool_key_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    (problem,) = problems(spool_key=NEW_KEY)
    assert "pip install 'honeyhive-litellm[encryption]'" in problem
    assert resolve().spool_key is None
