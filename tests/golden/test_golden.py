"""Each golden call gives the golden events, field by field.

Where an event is meant to change: `python -m tests.golden.test_golden --write [names]`, then read the difference.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import inspect
import json
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm._capture import recorder
from honeyhive_litellm._runtime import runtime
from honeyhive_litellm.testing import Collector, ModelServer
from tests.golden.calls import CALLS, Call, Stage
from tests.golden.compare import FOLDER, check

NEWEST = (1, 110)
V1_FIELDS = {
    "event_id", "session_id", "parent_id", "children_ids", "project_id", "event_type", "event_name", "source",
    "config", "inputs", "outputs", "metadata", "feedback", "metrics", "user_properties",
    "error", "start_time", "end_time", "duration",
}  # fmt: skip
"""What HoneyHive's OpenAPI 1.9 allows in an event of `/v1/events`; its schema forbids any other field."""

NAMED_BY_WHAT_IS_STORED = ("video_remix", "video_edit", "video_extension", "run_thread")
"""A model answers these calls, but it is that of the video or the assistant."""

_VERSION = tuple(int(part) for part in importlib.metadata.version("litellm").split(".")[:2])

pytestmark = [
    pytest.mark.skipif(_VERSION < NEWEST, reason="older LiteLLMs tell less, or in other words: golden is the newest"),
    # LiteLLM keeps its HTTP clients, one set a loop.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning"),  # `image_variation`, by the `openai` package
    pytest.mark.filterwarnings("ignore:The Assistants API:DeprecationWarning"),
]


def events_of(call: Call, spool: Path) -> List[Dict[str, Any]]:
    """Make the call, and return its events: as many as it has to give, and no more."""
    litellm.suppress_debug_info = True
    with Collector() as collector, ModelServer() as models:
        options = {"api_key": "hh_key", "project": "tests", "api_url": collector.url, "spool_path": spool}
        honeyhive_litellm.init(**{**options, **call.options})
        try:
            stage = Stage(models, collector, spool)
            if inspect.iscoroutinefunction(call.run):
                asyncio.run(_make(call, stage))
            else:
                call.run(stage)
            honeyhive_litellm.flush(20)
            collector.wait_for(call.events, timeout=30)
            honeyhive_litellm.flush(20)
        finally:
            honeyhive_litellm.shutdown(5)
        assert len(collector.events) == call.events
        assert set(collector.receipts.values()) == {1}
        return collector.events


async def _make(call: Call, stage: Stage) -> None:
    """The call, on a loop that lives until LiteLLM has reported it."""
    await call.run(stage)
    gc.collect()
    loop = asyncio.get_running_loop()
    await honeyhive_litellm.aflush(20)
    await loop.run_in_executor(None, lambda: stage.collector.wait_for(call.events, timeout=30))


@pytest.fixture(autouse=True)
def _wait_for_callbacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine LiteLLM's callback may come later than a held outcome waits, and it alone knows all fields."""
    monkeypatch.setattr(recorder, "HOLD_S", 60.0)
    monkeypatch.setattr(runtime, "HOLD_S", 60.0)


@pytest.fixture(autouse=True)
def _no_clients_of_other_loops() -> Iterator[None]:
    yield
    litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()  # here, where unclosed sockets of LiteLLM's are forgiven


@pytest.mark.parametrize("name", CALLS)
def test_a_call_gives_its_golden_events(name: str, tmp_path: Path) -> None:
    check(name, events_of(CALLS[name], tmp_path))


def test_every_golden_event_belongs_to_a_test() -> None:
    tests = "".join(path.read_text() for path in FOLDER.parent.rglob("test_*.py"))
    orphans = [path.stem for path in FOLDER.glob("*.json") if path.stem not in CALLS and f'"{path.stem}"' not in tests]
    assert orphans == []


def test_every_golden_event_has_only_fields_that_honeyhive_allows() -> None:
    for path in FOLDER.glob("*.json"):
        for event in json.loads(path.read_text()):
            assert event.keys() <= V1_FIELDS, path.name


def test_every_golden_event_has_the_standard_fields() -> None:
    standard = {
        "trace_id", "timestamp", "duration_ms", "latency_ms", "success", "status", "call_type", "project", "provider",
    }  # fmt: skip
    for path in FOLDER.glob("*.json"):
        for event in json.loads(path.read_text()):
            assert event["metadata"].keys() >= standard, path.name
            assert event["event_type"] != "tool" or "tool_name" in event["metadata"], path.name
            has_model = event["event_type"] == "chain" or event["event_name"] not in NAMED_BY_WHAT_IS_STORED
            assert event["event_type"] == "tool" or not has_model or "model" in event["metadata"], path.name
            assert event["config"]["provider"] == event["metadata"]["provider"], path.name


if __name__ == "__main__":
    import tempfile

    if sys.argv[1:2] != ["--write"]:
        sys.exit(__doc__)
    for wanted in sys.argv[2:] or list(CALLS):
        print(wanted, flush=True)
        try:
            check(wanted, events_of(CALLS[wanted], Path(tempfile.mkdtemp())), write=True)
        except Exception as error:
            print(f"  {type(error).__name__}: {error}")
