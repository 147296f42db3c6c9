"""The patches of a process: made once, also of an unknown LiteLLM, for requests in requests and for strict calls."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from pathlib import Path
from typing import Iterator, List

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm._instrumentation.patches.router import on_async_request, on_request
from honeyhive_litellm._instrumentation.patches.unreported import UNREPORTED, patch_functions
from honeyhive_litellm.testing import Collector, ModelServer

from ..faults.programs import start
from ..versions import needs_litellm

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

MESSAGES = [{"role": "user", "content": "hello"}]


def test_functions_are_wrapped_once(traced: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(litellm, "run_thread", raising=False)  # some LiteLLM lacks it
    before = {name: getattr(litellm, name, None) for name in UNREPORTED}
    patch_functions()
    assert {name: getattr(litellm, name, None) for name in UNREPORTED} == before
    assert hasattr(litellm.moderation, "__wrapped__")


async def ask_on_loop(_router: object, **_arguments: object) -> str:
    for _ in range(2):
        await litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response="hi")
    return "answer"


def ask(_router: object, **_arguments: object) -> str:
    for _ in range(2):
        litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="hi")
    return "answer"


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_fallback_of_a_request_is_no_request_of_its_own(traced: Collector, is_async: bool) -> None:
    """The Router calls the function that is wrapped again, with `fallback_depth`."""

    async def sessions(**arguments: object) -> List[str]:
        before = len(traced.events)
        if is_async:
            assert await on_async_request(ask_on_loop)(None, model="main", **arguments) == "answer"
        else:
            assert on_request(ask)(None, model="main", **arguments) == "answer"
        assert await honeyhive_litellm.aflush(10) == 0
        events = traced.events[before:]
        return [event["session_id"] for event in events if event["event_type"] == "model"]

    in_request, in_fallback = await sessions(), await sessions(fallback_depth=1)
    assert (len(in_request), len(set(in_request))) == (2, 1)
    assert (len(in_fallback), len(set(in_fallback))) == (2, 2)


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running
    litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()  # here, where unclosed sockets of LiteLLM's are forgiven


@needs_litellm("1.80", "it cancels no batches")
@pytest.mark.parametrize("fails", [False, True])
def test_a_strict_call_that_litellm_does_not_report_is_on_disk_when_it_returns(
    collector: Collector, models: ModelServer, tmp_path: Path, fails: bool
) -> None:
    honeyhive_litellm.init(
        api_key="hh_key", project="tests", api_url=collector.url, spool_path=tmp_path, strict=True, flush=False
    )
    route = {"api_base": "http://127.0.0.1:9/v1" if fails else models.url, "api_key": "sk-local", "max_retries": 0}

    async def cancel() -> int:
        with pytest.raises(Exception, match="onnection") if fails else contextlib.nullcontext():
            await litellm.acancel_batch(batch_id="batch-1", custom_llm_provider="openai", **route)
        return honeyhive_litellm.stats().committed

    try:
        assert asyncio.run(cancel()) == 1
    finally:
        honeyhive_litellm.shutdown(5)


UNKNOWN = """
import logging, litellm
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper
logging.basicConfig(level=logging.WARNING)
anext = CustomStreamWrapper.__anext__
del CustomStreamWrapper.__anext__
import honeyhive_litellm
honeyhive_litellm.init()
litellm.completion(model="gpt-4o", messages=[{"role": "user", "content": "hello"}], mock_response="hi")
print(hasattr(CustomStreamWrapper.__next__, "__wrapped__"), honeyhive_litellm.flush(20))
"""


def test_an_unknown_litellm_is_warned_of_and_its_calls_are_recorded(collector: Collector, tmp_path: Path) -> None:
    with start(UNKNOWN, collector.url, tmp_path, head="") as process:
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "False 0\n"), errors
    (warning,) = [line for line in errors.splitlines() if "this LiteLLM is not known to us" in line]
    assert "streams are recorded in less detail: please report its version" in warning
    (event,) = collector.events
    assert event["outputs"]["content"] == "hi"
