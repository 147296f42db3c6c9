"""The Proxy's logger in this process: its options come with its first call, and its destinations with the keys."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List

import litellm
import pytest
from litellm.proxy._types import UserAPIKeyAuth

import honeyhive_litellm
from honeyhive_litellm._capture.routing import NAMED_KEY
from honeyhive_litellm._instrumentation.callback_lists import remove_everywhere
from honeyhive_litellm._instrumentation.callback_settings import choose_destination
from honeyhive_litellm._instrumentation.proxy_logger import ProxyLogger, the_logger
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import needs_litellm

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

MESSAGES = [{"role": "user", "content": "hello"}]
SEARCH = {"project": "search-team", "api_key": "hh_of_search", "selectable": True}
LINES = "litellm.batches.batch_line_items"


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch, collector: Collector, tmp_path: Path) -> Iterator[ProxyLogger]:
    """One whose options the config has left as attributes of `litellm`, but for the project."""
    options = {"api_key": "hh_key", "api_url": collector.url, "spool_path": str(tmp_path), "lookup_delay": 0}
    for name, value in options.items():
        monkeypatch.setattr(litellm, f"honeyhive_{name}", value, raising=False)
    logger = ProxyLogger()
    litellm.callbacks.append(logger)
    yield logger
    honeyhive_litellm.shutdown(5)
    remove_everywhere(logger)
    litellm.in_memory_llm_clients_cache.flush_cache()


@pytest.fixture
def ready(logger: ProxyLogger, monkeypatch: pytest.MonkeyPatch) -> ProxyLogger:
    monkeypatch.setattr(litellm, "honeyhive_project", "p", raising=False)
    return logger


def call(models: ModelServer, model: str = "gpt-4o", **more: Any) -> Any:
    route = {"api_base": models.url, "api_key": "sk-local", "max_retries": 0}
    return litellm.completion(model=f"openai/{model}", messages=MESSAGES, **route, **more)


async def call_on_loop(models: ModelServer, model: str = "gpt-4o") -> Any:
    route = {"api_base": models.url, "api_key": "sk-local", "max_retries": 0}
    try:
        return await litellm.acompletion(model=f"openai/{model}", messages=MESSAGES, **route)
    finally:
        await honeyhive_litellm.aflush(10)


def test_every_hook_reports_once_the_options_are_there(
    ready: ProxyLogger, models: ModelServer, collector: Collector
) -> None:
    call(models)
    with pytest.raises(litellm.RateLimitError):
        call(models, "fail-429")
    asyncio.run(call_on_loop(models))
    with pytest.raises(litellm.RateLimitError):
        asyncio.run(call_on_loop(models, "fail-429"))

    assert honeyhive_litellm.flush(10) == 0
    statuses = [event["metadata"]["status"] for event in collector.events]
    assert sorted(statuses) == ["failure", "failure", "success", "success"]
    assert {event["metadata"]["project"] for event in collector.events} == {"p"}
    assert set(collector.receipts.values()) == {1}


async def report_late(logger: ProxyLogger) -> None:
    """What LiteLLM's worker and its batches report, in this moment."""
    await logger.async_log_success_event({}, None, None, None)
    await logger.async_log_batch_line_items({"part": 0, "lines": [{}]})


def test_without_a_project_calls_are_answered_and_one_error_is_logged(
    logger: ProxyLogger, models: ModelServer, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "honeyhive_litellm"):
        assert call(models).choices[0].message.content == "answer to: hello"
        with pytest.raises(litellm.RateLimitError):
            call(models, "fail-429")
        answer = asyncio.run(call_on_loop(models))
        with pytest.raises(litellm.RateLimitError):
            asyncio.run(call_on_loop(models, "fail-429"))
        asyncio.run(report_late(logger))

    assert answer.choices[0].message.content == "answer to: hello"
    (message,) = [record.getMessage() for record in caplog.records if record.name.startswith("honeyhive_litellm")]
    assert "NONE is recorded" in message and "project is missing" in message and "hh_key" not in message
    assert collector.requests == []
    assert not logger.records_in(None)


async def lines_of(callbacks: List[object], collector: Collector) -> List[Dict[str, Any]]:
    from litellm.batches.batch_line_items import BatchLineItemSource, batch_line_item_parts, dispatch_batch_line_items

    source = BatchLineItemSource("batch_1", 1_700_000_000, "gpt-4o-mini", "openai", "openai", None, {})
    request = b'{"custom_id": "a", "body": {"model": "gpt-4o-mini", "messages": []}}\n'
    result = b'{"custom_id": "a", "response": {"status_code": 200, "body": {"choices": []}}}\n'
    litellm.batch_line_item_callbacks = callbacks
    for part in batch_line_item_parts(source, request, [result], 2**20):
        await dispatch_batch_line_items(part, redact_bodies=False)
    await honeyhive_litellm.aflush(10)
    return collector.events


@needs_litellm("1.110.2", "its Proxy reports no lines of batches")
def test_lines_of_batches_come_to_the_logger_and_to_its_names(
    ready: ProxyLogger, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litellm, "batch_line_item_callbacks", ())
    (event,) = asyncio.run(lines_of([ready, "no such callback"], collector))
    assert event["metadata"]["custom_id"] == "a"

    the_logger()
    from litellm.batches import batch_line_items

    for name in ("honeyhive", "honeyhive_litellm.proxy.logger"):
        assert batch_line_items._resolve_logger(name) is the_logger()
    assert batch_line_items._resolve_logger(ready) is ready
    assert batch_line_items._resolve_logger("no such callback") is None


# ---- the callback settings of a key and its team


def settings_for(name: object) -> Dict[str, Any]:
    return {"logging": [{"callback_name": "honeyhive", "callback_vars": {NAMED_KEY: name}}]}


BY_PROXY = {"user_api_key_hash": "a" * 64}
OTHER = {"logging": [{"callback_name": "langfuse", "callback_vars": {"host": "https://langfuse.example"}}]}


@needs_litellm("1.110", "an older one keeps them elsewhere")
@pytest.mark.parametrize(
    ("of_key", "of_team", "chosen"),
    [
        (settings_for("search"), {}, "search"),
        (settings_for("search"), settings_for("ads"), "search"),
        ({}, settings_for("ads"), "ads"),
        (OTHER, settings_for("ads"), "ads"),
        (settings_for(7), settings_for("ads"), "ads"),
        (OTHER, {}, None),
        ({}, {}, None),
    ],
)
def test_the_settings_of_the_key_name_the_destination_before_those_of_its_team(
    of_key: Dict[str, Any], of_team: Dict[str, Any], chosen: object
) -> None:
    auth = UserAPIKeyAuth(metadata=of_key, team_metadata=of_team)
    data: Dict[str, Any] = {"metadata": {"tags": []}, "litellm_metadata": dict(BY_PROXY)}
    choose_destination(auth, data)
    assert data["litellm_metadata"].get(NAMED_KEY) == chosen
    assert data["metadata"] == {"tags": []}, "it is the client's"


@needs_litellm("1.110", "an older one keeps them elsewhere")
def test_a_destination_that_the_call_names_stays() -> None:
    data = {"metadata": {**BY_PROXY, NAMED_KEY: "ads"}, "litellm_metadata": None}
    choose_destination(UserAPIKeyAuth(metadata=settings_for("search")), data)
    assert data["metadata"] == {**BY_PROXY, NAMED_KEY: "ads"}


def test_a_litellm_without_such_settings_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litellm.proxy.litellm_pre_call_utils", None)
    data = {"metadata": dict(BY_PROXY)}
    choose_destination(UserAPIKeyAuth(metadata=settings_for("search")), data)
    assert data == {"metadata": BY_PROXY}


@needs_litellm("1.110", "an older one keeps them elsewhere")
@pytest.mark.parametrize("has_destinations", [True, False])
async def test_the_hook_before_a_call_looks_at_them_only_where_there_are_destinations(
    ready: ProxyLogger, monkeypatch: pytest.MonkeyPatch, has_destinations: bool
) -> None:
    if has_destinations:
        monkeypatch.setattr(litellm, "honeyhive_destinations", {"search": SEARCH}, raising=False)
    data = {"metadata": dict(BY_PROXY)}
    await ready.async_pre_call_hook(UserAPIKeyAuth(metadata=settings_for("search")), None, data, "completion")
    assert data["metadata"].get(NAMED_KEY) == ("search" if has_destinations else None)
