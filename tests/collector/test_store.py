"""The database: what it returns is what was given, it lasts, and it leaves other people's files alone."""

from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path
from typing import Any, Dict, List

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from honeyhive_litellm._errors import ConfigError
from honeyhive_litellm.collector import _store
from honeyhive_litellm.collector._store import Counts, Store
from honeyhive_litellm.testing import Collector

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet="abé\U0001f41d"), inner, max_size=3),
    max_leaves=8,
)


def event(**fields: Any) -> Dict[str, Any]:
    return {"event_id": str(uuid.uuid4()), "session_id": "s", "event_type": "model", "inputs": {}, **fields}


@settings(max_examples=50, deadline=None)
@given(st.lists(JSON, min_size=1, max_size=5))
def test_what_goes_in_comes_out(values: List[Any]) -> None:
    store = Store()
    try:
        events = [event(inputs={"value": value}) for value in values]
        store.add(events, now_ms=1.0)
        assert store.events() == events
        assert store.get(events[0]["event_id"]) == events[0]
    finally:
        store.close()


def test_an_event_that_comes_again_keeps_its_place_and_has_two_receipts() -> None:
    store = Store()
    first, second = event(event_name="old"), event()
    store.add([first, second], now_ms=1.0)
    store.add([{**first, "event_name": "new"}], now_ms=2.0)

    assert store.events() == [{**first, "event_name": "new"}, second]
    assert store.receipts() == {first["event_id"]: 2, second["event_id"]: 1}
    assert store.counts() == Counts(events=2, sessions=0, receipts=3)
    assert store.get(first["event_id"], received_until_ms=1.0) is not None
    assert store.get(second["event_id"], received_until_ms=0.5) is None
    store.close()


def test_a_transaction_that_fails_stores_nothing() -> None:
    store = Store()
    with pytest.raises(KeyError):
        store.add([event(), {"event_id": "without a type", "session_id": "s"}], now_ms=1.0)
    with pytest.raises(sqlite3.IntegrityError):
        store.add([event(), event(session_id=None)], now_ms=1.0)

    assert store.counts() == Counts(events=0, sessions=0, receipts=0)
    store.add([event()], now_ms=1.0)
    assert store.counts() == Counts(events=1, sessions=0, receipts=1)
    store.close()


def nested(levels: int) -> Any:
    value: Any = "deep"
    for level in range(levels):
        value = [value, 1] if level % 2 else {"a": value, "b": 1}
    return value


@pytest.mark.parametrize("is_sound", [True, False], ids=["this orjson", "an orjson that would abort"])
def test_an_event_that_is_too_deep_is_refused_and_any_other_is_kept(
    monkeypatch: pytest.MonkeyPatch, is_sound: bool
) -> None:
    monkeypatch.setattr(_store, "_ORJSON_IS_SOUND", is_sound and _store._ORJSON_IS_SOUND)
    store = Store()
    with pytest.raises(_store.TooDeepError, match="nested too deeply"):
        store.add([event(), event(inputs={"value": nested(400)})], now_ms=1.0)
    deep = event(inputs={"value": nested(100)})
    store.add([deep], now_ms=1.0)
    assert store.events() == [deep]
    store.close()


def test_what_is_no_json_is_refused() -> None:
    store = Store()
    with pytest.raises(TypeError, match="not JSON serializable"):
        store.add([event(inputs={"value": object()})], now_ms=1.0)
    assert store.events() == []
    store.close()


def test_a_database_keeps_all_over_a_restart_and_counts_on(tmp_path: Path) -> None:
    path = tmp_path / "local.db"
    headers = {"Authorization": "Bearer k"}
    sent = {"event_id": str(uuid.uuid4()), "event_type": "model", "inputs": {}}
    for _ in range(2):
        with Collector(db=path) as collector:
            assert httpx.post(f"{collector.url}/v1/events", json=sent, headers=headers, trust_env=False).is_success
    with Collector(db=str(path)) as collector:
        assert [stored["event_id"] for stored in collector.events] == [sent["event_id"]]
        assert collector.receipts == {sent["event_id"]: 2}
        assert collector.requests == []


@pytest.mark.parametrize("kind", ["text", "other database", "folder", "missing folder"])
def test_a_path_that_cannot_be_a_database_is_refused_and_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "other"
    if kind == "text":
        path.write_bytes(b"not a database, and long enough to be seen as none" * 50)
    elif kind == "other database":
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE theirs (x)")
        connection.close()
    elif kind == "folder":
        path.mkdir()
    else:
        path = tmp_path / "nowhere" / "x.db"
    before = path.read_bytes() if path.is_file() else None

    with pytest.raises(ConfigError, match=r"cannot use .* as its database"), Collector(db=path):
        pass
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_closed_store_says_so() -> None:
    store = Store()
    store.close()
    store.close()
    with pytest.raises(RuntimeError, match="closed"):
        store.events()


def test_an_accident_in_the_database_is_answered_500_and_logged_without_content(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Collector(db=tmp_path / "local.db") as collector:
        connection = sqlite3.connect(tmp_path / "local.db")
        connection.execute("DROP TABLE receipts")
        connection.close()
        body = {"event_type": "model", "inputs": {"prompt": "somebody's words"}}
        answer = httpx.post(
            f"{collector.url}/v1/events", json=body, headers={"Authorization": "Bearer k"}, trust_env=False
        )
        assert collector.events == []

    assert answer.status_code == 500
    assert answer.json() == {"statusCode": 500, "message": "internal error", "success": False}
    assert "POST /v1/events failed" in caplog.text
    assert "somebody's words" not in caplog.text
