"""Which attempt at a call a hook is about, however many other calls come in between."""

from __future__ import annotations

import gc
import itertools
import uuid
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set

import litellm
import pytest
from litellm.integrations.custom_logger import CustomLogger

import honeyhive_litellm
from honeyhive_litellm import Settings
from honeyhive_litellm._capture import open_attempts, recorder
from honeyhive_litellm._capture.recorder import Recorder
from honeyhive_litellm._spool.record import EVENT, Entry
from honeyhive_litellm.testing import Collector, ModelServer

from ..faults.emitter import NoLiteLLM

CALL_ID = "00000000-0000-4000-8000-000000000001"
OTHERS = 50
"""Far more calls than are remembered here."""

LIMIT = 5


@pytest.fixture(autouse=True)
def _little_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_attempts, "REMEMBERED_CALLS", LIMIT)
    monkeypatch.setattr(open_attempts, "REMEMBERED_OUTCOMES", LIMIT)


class Hooks:
    """A recorder's hooks, called as LiteLLM calls them, and the records that come of it."""

    def __init__(self, folder: Path) -> None:
        self.event_ids: List[str] = []
        settings = Settings(api_key="k", project="p", api_url="http://127.0.0.1:9", spool_path=folder)
        self.recorder = Recorder(settings, self._take, NoLiteLLM(), "honeyhive_event_id")

    def _take(self, entry: Entry) -> int:
        record = entry.encode()
        if record is not None and record.kind == EVENT:
            self.event_ids.append(record.id)
        return 0

    def start(self, call_details: Dict[str, Any]) -> Dict[str, Any]:
        self.recorder.on_start(call_details, self)
        return call_details

    def fail(self, call_details: Dict[str, Any]) -> None:
        self.recorder.on_failure({**call_details, "exception": RuntimeError("no answer")})

    def make_other_calls(self, count: int = OTHERS) -> None:
        for _ in range(count):
            self.fail(self.start(details_of(str(uuid.uuid4()))))


def details_of(call_id: str) -> Dict[str, Any]:
    return {
        "litellm_call_id": call_id,
        "call_type": "completion",
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "hello"}],
    }


@pytest.fixture
def hooks(tmp_path: Path) -> Hooks:
    return Hooks(tmp_path)


def test_a_retry_has_an_id_of_its_own_however_late_it_comes(hooks: Hooks) -> None:
    """LiteLLM tries again with the details of the first attempt, whose event was written long ago."""
    details = hooks.start(details_of(CALL_ID))
    hooks.fail(details)
    for _ in range(3):
        hooks.make_other_calls()
        hooks.fail(hooks.start(details))
    assert hooks.event_ids[0] == CALL_ID
    assert len(set(hooks.event_ids)) == len(hooks.event_ids) == 4 + 3 * OTHERS


def test_a_further_attempt_at_an_open_call_has_an_id_of_its_own(hooks: Hooks) -> None:
    """The attempts have details of their own, and nothing but the call id in common."""
    details = [hooks.start(details_of(CALL_ID))]
    for _ in range(3):
        hooks.make_other_calls()
        details.append(hooks.start(details_of(CALL_ID)))
    for number in (1, 0, 2, 3):  # the first one to end is the second, and the first stays open for long
        hooks.make_other_calls()
        hooks.fail(details[number])
    assert len(set(hooks.event_ids)) == len(hooks.event_ids) == 4 + 7 * OTHERS


def test_more_open_calls_than_are_remembered(hooks: Hooks) -> None:
    ids = [str(uuid.uuid4()) for _ in range(OTHERS)]
    details = [hooks.start(details_of(id_)) for id_ in ids + ids]
    for each in details:
        hooks.fail(each)
    assert len(set(hooks.event_ids)) == len(hooks.event_ids) == 2 * OTHERS


def test_two_calls_of_one_id_with_fewer_calls_between_them_than_are_remembered(hooks: Hooks) -> None:
    hooks.fail(hooks.start(details_of(CALL_ID)))
    hooks.make_other_calls(LIMIT - 1)
    hooks.fail(hooks.start(details_of(CALL_ID)))
    assert len(set(hooks.event_ids)) == len(hooks.event_ids) == LIMIT + 1


def test_a_call_id_that_an_application_uses_again_much_later_is_taken_for_a_new_one(hooks: Hooks) -> None:
    """What goes wrong once a call id is forgotten whose calls have ended: both calls get one event id."""
    hooks.fail(hooks.start(details_of(CALL_ID)))
    hooks.make_other_calls(2 * LIMIT)
    hooks.fail(hooks.start(details_of(CALL_ID)))
    assert hooks.event_ids.count(CALL_ID) == 2


class CallsBetween(CustomLogger):  # type: ignore[misc, unused-ignore]
    """Makes other calls whenever one has failed, before LiteLLM's Router tries again."""

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        for _ in range(OTHERS):
            litellm.completion(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], mock_response="yes")


@pytest.fixture
def calls_between() -> Iterator[None]:
    logger = CallsBetween()
    litellm.callbacks.append(logger)
    yield
    for name in ("callbacks", "success_callback", "failure_callback", "input_callback"):
        callbacks = getattr(litellm, name)
        while logger in callbacks:
            callbacks.remove(logger)


def test_the_attempts_of_a_router_have_ids_of_their_own(traced: Collector, calls_between: None) -> None:
    """Each has details of its own, and all have the call id that the application chose."""
    with ModelServer() as models:
        served = {"model": "openai/flaky-2", "api_base": models.url, "api_key": "sk-x", "max_retries": 0}
        router = litellm.Router(
            model_list=[{"model_name": "main", "litellm_params": served}], num_retries=3, retry_after=0
        )
        router.completion(model="main", messages=[{"role": "user", "content": "hello"}], litellm_call_id=CALL_ID)
    assert honeyhive_litellm.flush(30) == 0
    events = [event for event in traced.events if event["event_type"] == "model"]
    attempts = [event for event in events if event["inputs"]["chat_history"][0]["content"] == "hello"]
    assert len(events) == 3 + 2 * OTHERS
    assert sorted(event["metadata"]["status"] for event in attempts) == ["failure", "failure", "success"]
    assert len({event["event_id"] for event in attempts}) == 3
    assert set(traced.receipts.values()) == {1}


def objects_held_by(root: object) -> int:
    """How many objects are reachable from `root`, without what every program has: modules, classes and functions."""
    seen: Set[int] = set()
    found = [root]
    while found:
        referents = gc.get_referents(found.pop())
        for referent in referents:
            if id(referent) not in seen and not isinstance(referent, (type, type(gc), type(objects_held_by))):
                seen.add(id(referent))
                found.append(referent)
    return len(seen)


def test_calls_whose_start_was_not_seen_leave_little_behind(hooks: Hooks) -> None:
    numbers = itertools.count()
    for _ in range(4 * LIMIT):
        hooks.fail(details_of(f"call-{next(numbers)}"))
    few = objects_held_by(hooks.recorder)
    for _ in range(1000):
        hooks.fail(details_of(f"call-{next(numbers)}"))
    assert len(set(hooks.event_ids)) == 4 * LIMIT + 1000
    assert objects_held_by(hooks.recorder) - objects_held_by(hooks.event_ids) < few + 8 * LIMIT


def test_a_second_notice_of_an_outcome_is_no_second_event(hooks: Hooks) -> None:
    """The start was not seen, and each callback comes with a copy of the details, so with no token of ours."""
    hooks.fail(details_of(CALL_ID))
    for number in range(LIMIT - 1):
        hooks.fail(details_of(f"call-{number}"))
    hooks.fail(details_of(CALL_ID))
    assert hooks.event_ids.count(CALL_ID) == 1
    assert len(hooks.event_ids) == LIMIT


def test_a_notice_that_comes_after_too_many_others_is_the_same_event_again(hooks: Hooks) -> None:
    """What goes wrong once outcome and call id are forgotten: the event is sent twice, under one id."""
    hooks.fail(details_of(CALL_ID))
    for number in range(2 * LIMIT):
        hooks.fail(details_of(f"call-{number}"))
    hooks.fail(details_of(CALL_ID))
    assert hooks.event_ids.count(CALL_ID) == 2
    assert len(hooks.event_ids) == 2 * LIMIT + 2


def test_an_outcome_without_a_start_is_one_event_as_long_as_it_is_remembered(hooks: Hooks) -> None:
    for _ in range(3):
        hooks.fail(details_of(CALL_ID))
    assert hooks.event_ids == [CALL_ID]
    for _ in range(OTHERS):
        hooks.fail(details_of(str(uuid.uuid4())))
    hooks.fail(details_of(CALL_ID))  # the call is forgotten as well: the same event
    assert [hooks.event_ids[0], hooks.event_ids[-1]] == [CALL_ID, CALL_ID]
    assert len(hooks.event_ids) == 2 + OTHERS


def test_a_forgotten_outcome_of_a_remembered_call_is_a_further_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_attempts, "REMEMBERED_CALLS", 10 * OTHERS)
    hooks = Hooks(tmp_path)
    hooks.fail(details_of(CALL_ID))
    for _ in range(OTHERS):
        hooks.fail(details_of(str(uuid.uuid4())))
    hooks.fail(details_of(CALL_ID))
    hooks.fail(details_of(CALL_ID))
    assert hooks.event_ids[0] == CALL_ID
    assert len(set(hooks.event_ids)) == len(hooks.event_ids) == 2 + OTHERS


def test_a_callback_that_comes_after_the_hold_adds_no_event(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    details = hooks.start(details_of(CALL_ID))
    response = litellm.ModelResponse(id="r", model="gpt-4o")
    hooks.recorder.on_response(details, response, None)
    hooks.recorder.sweep()
    assert hooks.event_ids == []  # it is held
    monkeypatch.setattr(recorder, "HOLD_S", -1.0)
    hooks.recorder.sweep()
    assert hooks.event_ids == [CALL_ID]
    hooks.recorder.on_success(details, response)
    hooks.fail(details)
    hooks.recorder.sweep()
    assert hooks.event_ids == [CALL_ID]
    assert hooks.recorder.in_flight == 0
