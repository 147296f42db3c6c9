from __future__ import annotations

import json
import uuid
from typing import Any, Dict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive_litellm._json import V1_FIELDS, decode, encode, event_id, join, members, session_id

CALL = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"


def is_uuid(text: str) -> bool:
    return str(uuid.UUID(text)) == text


@pytest.mark.parametrize(
    "raw",
    [CALL, CALL.upper(), CALL.replace("-", ""), CALL.replace("-", "").upper()],
)
def test_a_call_id_that_is_a_uuid_is_the_first_attempts_event_id(raw: str) -> None:
    assert event_id(raw, 1) == CALL
    assert session_id(raw) == CALL


@pytest.mark.parametrize("raw", ["", "chatcmpl-123", CALL + "\n", CALL[:-1], f"{{{CALL}}}", "é", "\ud800", "a\0b"])
def test_any_other_id_becomes_a_uuid_of_its_own(raw: str) -> None:
    assert is_uuid(session_id(raw))
    assert session_id(raw) != session_id(raw + "x")


def test_an_id_that_is_no_uuid_becomes_its_uuid_5_in_the_url_name_space() -> None:
    assert session_id("user-7") == str(uuid.uuid5(uuid.NAMESPACE_URL, "user-7"))
    assert event_id("user-7", 3) == str(uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_URL, "user-7"), "3"))


@given(st.text() | st.uuids().map(str), st.integers(1, 50), st.integers(1, 50))
def test_each_attempt_has_always_the_same_uuid_and_no_other_attempts(call_id: str, one: int, other: int) -> None:
    assert is_uuid(event_id(call_id, one))
    assert event_id(call_id, one) == event_id(call_id, one)
    assert (event_id(call_id, one) == event_id(call_id, other)) == (one == other)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), VALUES))
def test_an_event_comes_back_as_it_was_encoded(event: Dict[str, Any]) -> None:
    assert decode(encode(event)) == event
    assert json.loads(encode(event)) == event


@given(st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=4))
def test_joined_members_are_one_object(mappings: Any) -> None:
    keys = [key for mapping in mappings for key in mapping]
    if len(set(keys)) == len(keys):
        expected = {key: value for mapping in mappings for key, value in mapping.items()}
        assert decode(join(*map(members, mappings))) == expected


def test_the_members_of_nothing_are_nothing() -> None:
    assert members({}) == b""
    assert members({"a": 1, "b": {}}) == b'"a":1,"b":{}'
    assert join() == join(b"", b"") == b"{}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\ud800", "a\\ud800"),
        (2**64, hex(2**64)),
        ({"\udfff": {2: -(2**70)}}, {"\\udfff": {"2": hex(-(2**70))}}),
        ([object()], ["<unserialisable: object>"]),
        (float("nan"), None),
    ],
)
def test_what_json_cannot_hold_is_mended_and_not_raised(value: object, expected: object) -> None:
    assert json.loads(encode(value)) == expected


def test_a_tree_too_deep_for_the_encoder_is_cut_off() -> None:
    deep: object = 1
    for _ in range(400):
        deep = [deep]
    assert b"unserialisable" in encode(deep)


@pytest.mark.parametrize("data", [b"[]", b"1", b"{", b"", b"null"])
def test_what_is_no_event_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|character|input|unexpected|empty|EOF"):
        decode(data)


def test_the_fields_are_those_of_the_v1_event() -> None:
    assert len(V1_FIELDS) == 19
    assert {"event_type", "inputs", "duration"} <= V1_FIELDS
    assert not {"project", "tenant", "session_name"} & V1_FIELDS
