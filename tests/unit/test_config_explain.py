"""Where each setting comes from, and how it is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

import pytest

from honeyhive_litellm import Settings
from honeyhive_litellm._config.explain import Explained, explain, explain_settings, masked, size
from honeyhive_litellm._config.settings import OPTIONS
from honeyhive_litellm._privacy.cipher import id_of, key_of, new_key

KEY = "hh_secret_key_of_a_test"


def of(environ: Dict[str, str], **arguments: object) -> Dict[str, Explained]:
    return {one.option.name: one for one in explain(environ, arguments)}


def test_each_option_has_its_value_and_its_origin() -> None:
    environ = {"HH_API_KEY": KEY, "HONEYHIVE_PROJECT": "of the variable", "HONEYHIVE_SPOOL_MAX_BYTES": "512MiB"}
    found = of(environ, project="of the argument", environment=None)
    assert list(found) == [option.name for option in OPTIONS]
    rows = {name: (one.shown, one.origin, one.problem) for name, one in found.items()}
    assert rows["api_key"] == ("hh_...test", "HH_API_KEY", None)
    assert rows["project"] == ("of the argument", "argument", None)
    assert rows["environment"] == ("production", "default", None)
    assert rows["spool_max_bytes"] == ("512 MiB", "HONEYHIVE_SPOOL_MAX_BYTES", None)
    assert (rows["request_timeout"][0], rows["sample_rate"][0], rows["redact"][0]) == ("30 s", "1", "none")
    resolved = Settings.resolve(environ, project="of the argument")
    assert found["spool_path"].shown == str(resolved.spool_path)


def test_a_missing_and_a_refused_option_have_their_problem_and_the_others_their_value() -> None:
    found = of({"HONEYHIVE_PROJECT": "p", "HONEYHIVE_SAMPLE_RATE": "2"})
    assert found["project"].value == "p"
    assert found["api_key"].problem == "api_key is missing; pass api_key=... or set HONEYHIVE_API_KEY"
    assert found["sample_rate"].origin == "HONEYHIVE_SAMPLE_RATE"
    assert "give a share from 0 to 1" in str(found["sample_rate"].problem)


def test_a_spool_key_is_shown_by_its_id() -> None:
    keys = [new_key(), new_key()]
    found = of({"HONEYHIVE_SPOOL_KEY": ",".join(keys)}, api_key=KEY, project="p")["spool_key"]
    ids = [id_of(key_of(key) or b"").hex() for key in keys]
    assert found.shown == found.value == f"id {ids[0]}, id {ids[1]}"
    assert not any(key in json.dumps([found.value, found.shown, found.problem]) for key in keys)


def redact_names(inputs: Dict[str, Any]) -> Dict[str, Any]:
    return inputs


def test_nothing_that_is_shown_is_a_secret() -> None:
    found = of({}, api_key=KEY, project="p", custom_attributes={"team": "a secret"}, redact=["email", redact_names])
    shown = json.dumps([(one.value, one.shown) for one in found.values()])
    assert KEY not in shown and "a secret" not in shown
    assert found["custom_attributes"].shown == "team=..."
    assert found["redact"].shown == "email, redact_names"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("hh_ingst_0123456789abcdef", "hh_ingst_...cdef"),
        ("0123456789abcdef", "...cdef"),
        ("hh_short", "hh_..."),
        ("", "..."),
    ],
)
def test_a_masked_key_can_be_recognized_but_not_used(key: str, expected: str) -> None:
    assert masked(key) == expected


def test_settings_in_force_are_explained_as_well(tmp_path: Path) -> None:
    environ = {"HONEYHIVE_PROJECT": "p", "HONEYHIVE_STRICT": "on"}
    settings = Settings.resolve(environ, api_key=KEY, spool_path=tmp_path, strict=True)
    found = {one.option.name: one.origin for one in explain_settings(settings, environ)}
    assert (found["api_key"], found["spool_path"]) == ("argument", "argument")
    assert (found["project"], found["strict"], found["debug"]) == ("HONEYHIVE_PROJECT", "HONEYHIVE_STRICT", "default")


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (2**30, "1 GiB"), (2**45, "32 TiB")],
)
def test_a_size_has_the_largest_unit(number: int, expected: str) -> None:
    assert size(number) == expected
