from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honeyhive_litellm._mapping.ids import event_id, further_event_id, is_in_sample, session_id

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


@given(st.text() | st.uuids().map(str), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_sample_includes_every_smaller_one(raw: str, one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert is_in_sample(raw, 1.0)
    assert not is_in_sample(raw, 0.0)
    assert is_in_sample(raw, large) or not is_in_sample(raw, small)


def test_a_further_logger_has_an_id_of_its_own_that_its_project_and_the_first_id_make() -> None:
    first = event_id("user-7", 1)
    assert further_event_id(first, "search") == str(uuid.uuid5(uuid.UUID(first), "search"))
    ids = {
        first,
        further_event_id(first, "a"),
        further_event_id(first, "b"),
        further_event_id(event_id("user-7", 2), "a"),
    }
    assert len(ids) == 4
