"""One call and two recorders, of which one replaces the other at any moment of the call: one event, never two."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

import litellm
import pytest
from litellm.integrations.custom_logger import CustomLogger

import honeyhive_litellm
from honeyhive_litellm import Settings
from honeyhive_litellm._capture.recorder import Recorder
from honeyhive_litellm._spool.record import EVENT, Entry
from honeyhive_litellm.testing import Collector

from ..faults.emitter import NoLiteLLM
from ..versions import needs_litellm

Step = Callable[[], object]

MESSAGES = [{"role": "user", "content": "question"}]


class Call:
    """A call that two recorders hear of, and the events that come of it."""

    def __init__(self, folder: Path) -> None:
        self.events: List[str] = []
        self._details: Dict[str, Any] = {"litellm_call_id": "id", "call_type": "completion", "model": "gpt-4o"}
        self.old, self.new = self._recorder(folder, "old"), self._recorder(folder, "new")

    def _recorder(self, folder: Path, project: str) -> Recorder:
        def take(entry: Entry) -> int:
            record = entry.encode()
            if record is not None and record.kind == EVENT:
                self.events.append(project)
            return 0

        settings = Settings(api_key="k", project=project, api_url="http://127.0.0.1:9", spool_path=folder)
        return Recorder(settings, take, NoLiteLLM(), f"token of {project}")

    def announce(self) -> None:
        """The new recorder's logger is about to be registered beside the old one's."""
        self.new.tenure.predecessor = self.old.tenure

    def replace(self) -> None:
        """From now on the new recorder records the calls that begin."""
        self.old.tenure.end(self.new.tenure)

    def steps(self, start: Sequence[Recorder], end: Sequence[Recorder]) -> List[Step]:
        """The call begins, the recorders in `start` hear that it reaches its provider, those in `end` its outcome."""
        return [
            lambda: self._details.update(start_time=datetime.now()),  # noqa: DTZ005 - naive, as that of LiteLLM
            *(lambda each=each: each.on_start(self._details, each) for each in start),
            *(lambda each=each: each.on_failure(self._details) for each in end),
        ]


@pytest.mark.parametrize("starts", [(), ("old",), ("old", "new"), ("new", "old")], ids=str)
@pytest.mark.parametrize("ends", [("old", "new"), ("new", "old")], ids=str)
def test_a_call_has_one_event_whenever_its_recorder_is_replaced(
    tmp_path: Path, starts: Tuple[str, ...], ends: Tuple[str, ...]
) -> None:
    count = 1 + len(starts) + len(ends)
    # LiteLLM looks into its lists of callbacks once the call has begun: the new logger is in them by then.
    moments = [(announced, ended) for announced in (0, 1) for ended in range(announced, count + 1)]
    for announced, ended in moments:
        call = Call(tmp_path)
        recorders = {"old": call.old, "new": call.new}
        steps = call.steps([recorders[name] for name in starts], [recorders[name] for name in ends])
        steps.insert(ended, call.replace)
        steps.insert(announced, call.announce)
        for step in steps:
            step()
        assert len(call.events) == 1, (announced, ended, call.events)


def test_an_outcome_that_comes_when_the_recorder_of_its_beginning_has_left_is_recorded_by_its_successor(
    tmp_path: Path,
) -> None:
    call = Call(tmp_path)
    begin, *outcome = call.steps([], [call.old, call.new])
    for step in (call.announce, begin, call.replace, call.old.tenure.leave, *outcome):
        step()
    assert call.events == ["new"]


class ChangesSettings(CustomLogger):  # type: ignore[misc]
    """A callback of the application's that has `init` change the settings when a call is about to be made."""

    def __init__(self, change: Step) -> None:
        super().__init__()
        self._change = change

    async def async_pre_call_deployment_hook(self, kwargs: Dict[str, Any], call_type: Any) -> Dict[str, Any]:
        self._change()
        return kwargs


@pytest.fixture
def settings_change(collector: Collector, tmp_path: Path) -> Iterator[Dict[str, Any]]:
    """`init` has been called, and is called again with these options, during the call that the test makes."""
    new = {"api_key": "k", "project": "new", "api_url": collector.url, "spool_path": tmp_path / "new"}
    honeyhive_litellm.init(**{**new, "project": "old", "spool_path": tmp_path / "old"})
    application = ChangesSettings(lambda: honeyhive_litellm.init(**new))
    litellm.callbacks.append(application)
    yield new
    litellm.callbacks.remove(application)
    honeyhive_litellm.shutdown(5)


@needs_litellm("1.80", "it has no hook before an async call is made")
@pytest.mark.usefixtures("settings_change")
async def test_a_call_that_has_begun_but_not_reached_its_provider_when_init_changes_settings_has_one_event(
    collector: Collector,
) -> None:
    await litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response="answer")
    assert await honeyhive_litellm.aflush(30) == 0
    assert [event["metadata"]["project"] for event in collector.events] == ["new"]


@needs_litellm("1.80", "it has no hook before an async call is made")
async def test_a_request_to_a_router_that_a_logger_heard_of_before_init_registered_it_has_one_event(
    collector: Collector, settings_change: Dict[str, Any]
) -> None:
    logger = honeyhive_litellm.HoneyHiveLogger(**settings_change)  # as `init` makes it, before it registers it
    parameters = {"model": "gpt-4o", "api_key": "k", "mock_response": RuntimeError("no answer")}
    router = litellm.Router(model_list=[{"model_name": "main", "litellm_params": parameters}], num_retries=0)
    with pytest.raises(Exception, match="no answer"):
        await router.acompletion(model="main", messages=MESSAGES)
    assert await honeyhive_litellm.aflush(30) == 0
    assert {event["metadata"]["project"] for event in collector.events} == {"old"}
    assert sorted(event["event_type"] for event in collector.events) == ["chain", "model"]
    assert logger.runtime.stats().accepted == 0
