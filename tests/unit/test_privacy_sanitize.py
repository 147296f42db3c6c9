"""The walk through a value: names, depth, size, and what cannot be read."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import uuid
from typing import Any, Callable, ClassVar, Dict, Iterator, List

import pytest

from honeyhive_litellm._json import encode
from honeyhive_litellm._privacy import sanitize
from honeyhive_litellm._privacy.credentials import scrub
from honeyhive_litellm._privacy.redactor import Redactor
from honeyhive_litellm._privacy.sanitize import MAX_DEPTH, clean, clean_text

LIMIT = 10_000
TAIL = "Zq7Zq7Zq7Zq7Zq7Zq7Zq7Zq7Zq7Zq7Zq7Zq7"


@pytest.mark.parametrize(
    "name",
    ["api_key", "apiKey", "x-api-key", "Authorization", "proxy-authorization", "cookie", "password", "client_secret",
     "aws_secret_access_key", "aws_access_key_id", "aws_session_token", "azure_ad_token", "azure_password",
     "vertex_credentials", "private_key", "access_token", "refresh_token", "connection_string", "database_url"],
)  # fmt: skip
def test_a_value_under_a_credentials_name_is_replaced_whatever_it_looks_like(name: str) -> None:
    assert clean({"a": [{name: "plain word"}]}, LIMIT) == {"a": [{name: "[redacted]"}]}
    assert clean({name: {"nested": "plain word"}}, LIMIT) == {name: "[redacted]"}
    assert clean({name: None, "beside": 1}, LIMIT) == {name: None, "beside": 1}


def test_a_tools_parameter_named_like_a_credential_stays() -> None:
    schema = {"type": "object", "properties": {"password": {"type": "string", "description": "the user's"}}}
    assert clean(schema, LIMIT) == schema


def test_no_half_of_a_credential_is_left_at_the_cut() -> None:
    result = clean_text("x" * 960 + " " + f"sk-proj-{TAIL}" + " and more" * 1000, 1000)
    assert "Zq7" not in result


def test_no_half_of_a_credential_appears_where_redaction_made_a_text_shorter() -> None:
    jwt = f"eyJhbGciOiJIUzI1NiJ9.eyJ{TAIL * 20}.{TAIL} "
    for shift in range(0, 1000, 97):
        assert "Zq7" not in clean_text("y" * shift + " " + jwt * 40, 10_000)


def test_a_text_that_is_a_uuid_needs_no_search_but_its_name_counts() -> None:
    for _ in range(200):
        identity = str(uuid.uuid4())
        assert scrub(identity) == identity == clean(identity, LIMIT)
        secrets = {
            "api_key": identity,
            "list": ["--password", identity],
            "pair": {"name": "API_KEY", "value": identity},
        }
        assert identity not in str(clean(secrets, LIMIT))
        assert identity not in str(clean({"text": f"password: {identity}"}, LIMIT))


def test_what_json_does_not_have_costs_itself_alone() -> None:
    loop: List[Any] = []
    loop.append(loop)
    cleaned = clean({"lock": threading.Lock(), "loop": loop, "nan": float("nan"), "big": 2**80, 3: {1}}, LIMIT)
    assert cleaned == {
        "lock": "<unserialisable: lock>",
        "loop": ["<cycle>"],
        "nan": "nan",
        "big": hex(2**80),
        "3": [1],
    }


def test_depth_and_length_are_bounded() -> None:
    deep: Any = "end"
    for _ in range(1000):
        deep = [deep]
    assert clean(deep, LIMIT) == json.loads("[" * MAX_DEPTH + '"<too deep>"' + "]" * MAX_DEPTH)
    long = clean(list(range(100_000)), LIMIT)
    assert isinstance(long, list)
    assert len(long) == 10_000 and long[-1] == "[90001 more]"
    assert clean(long, LIMIT) == long
    wide = encode(clean([[list(range(100))] * 100] * 1000, LIMIT))
    assert len(wide) < 1_000_000 and b" more]" in wide


def test_an_object_that_cannot_be_read_costs_itself_alone() -> None:
    class Unreadable:
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(name)

        def __str__(self) -> str:
            raise RuntimeError

        __repr__ = __str__

    class BadKey:
        def __hash__(self) -> int:
            return 1

        def __repr__(self) -> str:
            raise RuntimeError

    assert clean({"a": Unreadable(), "b": 1}, LIMIT) == {"a": "<unserialisable: Unreadable>", "b": 1}
    assert clean({BadKey(): 1}, LIMIT) == {"<unserialisable: BadKey>": 1}


@pytest.mark.parametrize("text", ["\ud800", "a\ud800b " * 400])
def test_a_lone_surrogate_becomes_a_question_mark(text: str) -> None:
    assert clean({"a": text}, LIMIT) == {"a": text.replace("\ud800", "?")}


def test_a_number_too_long_to_write_out_is_described() -> None:
    assert clean([2**64, 2**5000], LIMIT) == [hex(2**64), "<int of 5001 bits>"]


def test_a_text_that_is_cut_and_one_that_is_media_are_not_kept_whole() -> None:
    uri = "data:image/png;base64," + "aB" * 10
    found: Any = clean({"long": "x" * 20_000, "uri": uri, "beside": "password=hunter22"}, LIMIT)

    assert found["long"].endswith("…[truncated: 20000 bytes]")
    assert found["uri"]["mime_type"] == "image/png"
    assert found["beside"] == "password=[redacted]"


def test_a_dictionary_loses_the_tail_that_there_is_no_room_for() -> None:
    found: Any = clean({str(number): number for number in range(20_000)}, LIMIT)

    assert len(found) == 10_000
    assert found["…"] == "[10001 more]"


def test_without_a_search_there_is_no_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed: a fault in the search costs the content and lets no credential through."""

    def broken(text: str) -> Any:
        raise RuntimeError(text)

    monkeypatch.setattr(sanitize, "possible_rules", broken)
    monkeypatch.setattr(sanitize, "scrub", broken)

    assert clean({"a": f"never seen before {TAIL}"}, LIMIT) == "<unserialisable: dict>"
    assert clean_text(f"sk-proj-{TAIL}", LIMIT) == "<unserialisable: str>"


@pytest.mark.parametrize(
    ("value", "is_kept"),
    [
        (5, True),
        (True, True),
        (1.5, True),
        ("", True),
        (None, True),
        (2**70, False),
        (float("nan"), False),
        ([], False),
    ],
)
def test_a_number_a_switch_or_nothing_under_a_credentials_name_is_none(value: object, is_kept: bool) -> None:
    assert clean({"api_key": value}, LIMIT) == {"api_key": value if is_kept else "[redacted]"}


def test_a_long_text_in_a_list_and_a_long_key_are_cleaned_like_any_other() -> None:
    key = "the key sk-proj-abcdefgh12345678 " + "x" * 80
    found: Any = clean([["y" * 3000], {key: 1}], LIMIT)

    assert found[0] == ["y" * 3000]
    assert found[1] == {key.replace("sk-proj-abcdefgh12345678", "[redacted: api key]"): 1}


def test_plain_values_in_a_list_are_kept() -> None:
    assert clean([None, True, 1, 1.5, "a"], LIMIT) == [None, True, 1, 1.5, "a"]


class TimeIsUpError(Exception):
    """What the application's own signal handler raises, such as a timeout."""


@contextlib.contextmanager
def signals_that_raise() -> Iterator[None]:
    def handler(number: int, frame: object) -> None:
        raise TimeIsUpError

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


class SignalledModel:
    """A value of the caller's, in the midst of which a signal comes."""

    model_fields: ClassVar[Dict[str, object]] = {}

    def model_dump(self, **options: object) -> Dict[str, object]:
        signal.raise_signal(signal.SIGUSR1)
        return {}


class SignalledText(str):
    def isascii(self) -> bool:
        signal.raise_signal(signal.SIGUSR1)
        return True


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    "work",
    [
        pytest.param(lambda: clean({"a": SignalledModel()}, LIMIT), id="a value"),
        pytest.param(lambda: clean_text(SignalledText("é"), LIMIT), id="a text"),
        pytest.param(
            lambda: Redactor((lambda _: SignalledModel().model_dump(),), LIMIT, set()).redact_request({"inputs": {}}),
            id="a function of the caller's",
        ),
    ],
)
def test_what_a_signal_handler_raises_reaches_the_application(work: Callable[[], object]) -> None:
    with signals_that_raise(), pytest.raises(TimeIsUpError):
        work()


def test_a_name_that_is_one_of_a_credential_at_times_hides_keys_alone() -> None:
    assert clean({"token": 12, "key": "a word"}, LIMIT) == {"token": 12, "key": "a word"}


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ({"my_token": TAIL}, {"my_token": "[redacted]"}),
        ({"my_token": "hello"}, {"my_token": "hello"}),
        ({"name": "deploy_key", "value": TAIL}, {"name": "deploy_key", "value": "[redacted]"}),
        ({"name": "deploy_key", "value": 12}, {"name": "deploy_key", "value": 12}),
        (["--password", "hunter2Hunter", "-v"], ["--password", "[redacted]", "-v"]),
        (["--token", "none", "--user", "joe"], ["--token", "none", "--user", "joe"]),
    ],
)
def test_of_a_value_by_its_name_only_what_can_be_a_credential_goes(value: object, cleaned: object) -> None:
    assert clean(value, LIMIT) == cleaned
