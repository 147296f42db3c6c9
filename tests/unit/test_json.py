from __future__ import annotations

import json
from typing import Any, Dict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive_litellm._json import decode, encode, join, members

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
        ([None, True, 0.5, 7, 2**64], [None, True, 0.5, 7, hex(2**64)]),
    ],
)
def test_what_orjson_refuses_is_replaced_and_nothing_raises(value: object, expected: object) -> None:
    assert json.loads(encode(value)) == expected


def test_a_tree_too_deep_for_the_encoder_is_cut_off() -> None:
    deep: object = 1
    for _ in range(400):
        deep = [deep]
    assert b"unserialisable" in encode(deep)


@pytest.mark.parametrize("data", [b"[]", b"1", b"{", b"", b"null"])
def test_only_a_json_object_is_decoded(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON object|character|input|unexpected|empty|EOF"):
        decode(data)
