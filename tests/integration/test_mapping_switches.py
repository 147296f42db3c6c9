"""The switches that keep a call, or what was said in it, out of events: each on every path, the start included."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Dict, Iterator, List

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import has_litellm
from ..waiting import until_committed

WORD = "periwinkle"  # what was said
TOOL = {
    "type": "function",
    "function": {"name": "paint", "parameters": {"type": "object", "properties": {WORD: {"type": "string"}}}},
}


@pytest.fixture(autouse=True)
def _message_logging_is_on_again() -> Iterator[None]:
    yield
    litellm.turn_off_message_logging = False


def calls(models: ModelServer) -> List[Dict[str, Any]]:
    served = {"api_base": models.url, "api_key": "sk-local", "max_retries": 0}
    chat = {"messages": [{"role": "user", "content": WORD}], **served}
    return [
        {"model": "openai/gpt-4o", **chat},
        {"model": "openai/gpt-4o", "tools": [TOOL], **chat},
        {"model": "openai/gpt-4o", "stream": True, **chat},
        {"model": "openai/break-3", "stream": True, **chat},
        {"model": "openai/fail-400", **chat},
        {"model": "gpt-4o", "mock_response": RuntimeError(f"cannot say {WORD}"), **chat},
    ]


def make_all(models: ModelServer, options: Dict[str, Any]) -> int:
    """Every call in both ways, a stream that is dropped, a Router's; how many attempts these were."""
    # With an older LiteLLM an embedding has no such switches: it sends them to the provider.
    takes_all = has_litellm("1.80") or not {"no-log", "turn_off_message_logging"} & set(options)

    async def later() -> None:
        for call in calls(models):
            try:
                answer = await litellm.acompletion(**call, **options)
                if call.get("stream"):
                    async for _ in answer:
                        pass
            except Exception as error:
                assert "gpt-4o" not in call["model"] or "mock_response" in call, error
        async for _ in await litellm.acompletion(**calls(models)[2], **options):
            break
        embedded = {**calls(models)[0], **options, "model": "openai/text-embedding-3-small", "input": [WORD]}
        del embedded["messages"]
        if takes_all:
            await litellm.aembedding(**embedded)

    asyncio.run(later())
    for call in calls(models):
        try:
            answer = litellm.completion(**call, **options)
            if call.get("stream"):
                for _ in answer:
                    pass
        except Exception as error:
            assert "gpt-4o" not in call["model"] or "mock_response" in call, error
    params = {name: value for name, value in calls(models)[0].items() if name != "messages"}
    router = litellm.Router(model_list=[{"model_name": "main", "litellm_params": params}], num_retries=0)
    router.completion(model="main", messages=calls(models)[0]["messages"], **options)
    return 2 * len(calls(models)) + 2 + takes_all


def on_disk(folder: Path) -> str:
    return "".join(path.read_bytes().decode("utf-8", "replace") for path in folder.rglob("*") if path.is_file())


def record(collector: Collector, folder: Path, **options: Any) -> None:
    collector.down()  # so that all that is recorded lies on the disk first
    honeyhive_litellm.init(
        api_key="hh_key",
        project="tests",
        api_url=collector.url,
        spool_path=folder,
        capture_headers=True,
        capture_raw_request=True,
        **options,
    )


@pytest.mark.parametrize(
    "options",
    [{"metadata": {"honeyhive_skip": True}}, {"metadata": {"honeyhive_skip": "true"}}, {"no-log": True}],
    ids=str,
)
def test_a_call_that_is_to_be_skipped_leaves_nothing(
    collector: Collector, models: ModelServer, tmp_path: Path, options: Dict[str, Any]
) -> None:
    record(collector, tmp_path)
    make_all(models, options)
    assert honeyhive_litellm.flush(1) == 0
    assert (honeyhive_litellm.stats().accepted, honeyhive_litellm.stats().in_flight) == (0, 0)
    assert WORD not in on_disk(tmp_path)
    assert '"status":"in_flight"' not in on_disk(tmp_path)
    honeyhive_litellm.shutdown(5)


@pytest.mark.parametrize(
    ("settings", "switched", "options"),
    [
        ({"capture_message_content": False}, False, {}),
        ({}, False, {"metadata": {"honeyhive_capture_content": False}}),
        ({}, False, {"turn_off_message_logging": True}),
        ({}, True, {}),
    ],
    ids=["setting", "metadata", "per request", "global"],
)
def test_content_is_nowhere_when_it_is_not_to_be_recorded(
    collector: Collector,
    models: ModelServer,
    tmp_path: Path,
    settings: Dict[str, Any],
    switched: bool,
    options: Dict[str, Any],
) -> None:
    record(collector, tmp_path, **settings)
    litellm.turn_off_message_logging = switched
    attempts = make_all(models, options)
    until_committed(attempts)
    stored = on_disk(tmp_path)
    assert '"status":"in_flight"' in stored
    assert WORD not in stored
    collector.up()
    assert honeyhive_litellm.flush(30) == 0
    honeyhive_litellm.shutdown(5)
    assert len(collector.events) == attempts
    assert all("raw_request" not in event["metadata"] for event in collector.events)
    assert {event["metadata"]["status"] for event in collector.events} == {"success", "failure", "abandoned"}
    assert all(event["error"] == event["metadata"]["error_class"] for event in collector.events if "error" in event)


def test_without_a_switch_it_is_everywhere(collector: Collector, models: ModelServer, tmp_path: Path) -> None:
    record(collector, tmp_path)
    attempts = make_all(models, {})
    until_committed(attempts)
    collector.up()
    assert honeyhive_litellm.flush(30) == 0
    honeyhive_litellm.shutdown(5)
    assert len(collector.events) == attempts
    assert all(WORD in str(event["inputs"]) for event in collector.events)
