"""The lines of a finished batch, dispatched by LiteLLM's own code to the loggers in its list for them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Dict, Iterator, List

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm import HoneyHiveLogger
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import needs_litellm

pytestmark = [
    needs_litellm("1.110.2", "its Proxy reports no lines of batches"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

Json = Dict[str, Any]
USAGE = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
CHAT = {
    "id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini", "usage": USAGE,
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
}  # fmt: skip
REFUSED = {"error": {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}}


def request(custom_id: str, text: str) -> Json:
    body = {"model": "gpt-4o-mini", "temperature": 0.5, "messages": [{"role": "user", "content": text}]}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def result(custom_id: str, body: Json, status: int = 200) -> Json:
    return {"custom_id": custom_id, "response": {"status_code": status, "body": body}, "error": None}


def jsonl(*lines: Json) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def parts_of(batch_id: str, provider: Any, requests: bytes, results: bytes) -> List[Any]:
    from litellm.batches.batch_line_items import BatchLineItemSource, batch_line_item_parts, line_item_metadata

    model = "claude-sonnet-4-5" if provider == "anthropic" else "gpt-4o-mini"
    who = line_item_metadata({"user_api_key_hash": "a" * 64, "user_api_key_alias": "batch jobs"})
    source = BatchLineItemSource(batch_id, 1_700_000_000, model, provider, provider, None, who)
    return list(batch_line_item_parts(source, requests, [results], 16 * 2**20))


def dispatch(parts: List[Any], redact: bool = False) -> None:
    from litellm.batches.batch_line_items import dispatch_batch_line_items

    async def run() -> None:
        for part in parts:
            await dispatch_batch_line_items(part, redact_bodies=redact)
        await honeyhive_litellm.aflush(10)

    asyncio.run(run())


@pytest.fixture
def listed(traced: Collector) -> Iterator[Collector]:
    """The package's logger is in the list."""
    logger = next(each for each in litellm.callbacks if isinstance(each, HoneyHiveLogger))
    litellm.batch_line_item_callbacks = [logger]
    yield traced
    litellm.batch_line_item_callbacks = ()


def test_each_line_is_one_event_however_often_it_is_reported(listed: Collector) -> None:
    requests = jsonl(request("a", "Why?"), request("b", "How?"))
    parts = parts_of("batch_1", "openai", requests, jsonl(result("a", CHAT), result("b", REFUSED, 400)))
    dispatch([*parts, *parts])

    good, bad = listed.events
    assert (good["event_type"], good["event_name"]) == ("model", "completion")
    assert good["inputs"] == {"chat_history": [{"role": "user", "content": "Why?"}]}
    assert good["config"] == {"model": "gpt-4o-mini", "provider": "openai", "temperature": 0.5, "is_streaming": False}
    assert good["outputs"] == {"role": "assistant", "content": "hi", "finish_reason": "stop"}
    metadata = good["metadata"]
    assert {name: metadata[name] for name in USAGE} == USAGE
    assert metadata["cost"] > 0
    assert (metadata["batch_id"], metadata["custom_id"], metadata["status"]) == ("batch_1", "a", "success")
    assert metadata["proxy"]["key_alias"] == "batch jobs"
    assert good["session_id"] == bad["session_id"] != good["event_id"]
    assert (bad["metadata"]["status"], bad["metadata"]["error_class"]) == ("failure", "context_length_exceeded")
    assert bad["error"] == "context_length_exceeded: too long"
    assert "cost" not in bad["metadata"]
    assert set(listed.receipts.values()) == {1}

    honeyhive_litellm.shutdown(5)  # as another process would report them
    logger = HoneyHiveLogger(api_key="hh_key", project="tests", api_url=listed.url)
    litellm.batch_line_item_callbacks = [logger]
    dispatch(parts)
    assert len(listed.events) == 2, "the lines have other ids"
    assert set(listed.receipts.values()) == {2}


def test_lines_belong_under_the_batch_that_this_process_has_created(listed: Collector, models: ModelServer) -> None:
    call = {"custom_llm_provider": "openai", "api_base": models.url, "api_key": "sk-local"}

    async def create() -> Any:
        with honeyhive_litellm.session(name="nightly"):
            batch = await litellm.acreate_batch(
                completion_window="24h", endpoint="/v1/chat/completions", input_file_id="file-1", **call
            )
        await honeyhive_litellm.aflush(10)
        return batch

    batch = asyncio.run(create())
    requests = {
        "custom_id": "c",
        "params": {"max_tokens": 9, "system": "Be brief", "messages": [{"role": "user", "content": "Why?"}]},
    }
    message = {
        "id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 4, "output_tokens": 2},
    }  # fmt: skip
    results = {"custom_id": "c", "result": {"type": "succeeded", "message": message}}
    expired = {"custom_id": "d", "result": {"type": "expired"}}
    dispatch(parts_of(batch.id, "anthropic", jsonl(requests), jsonl(results, expired)))

    created, good, bad = listed.events
    for event in (good, bad):
        assert (event["parent_id"], event["session_id"]) == (created["event_id"], created["session_id"])
    assert [message["role"] for message in good["inputs"]["chat_history"]] == ["system", "user"]
    assert good["outputs"]["content"] == "hi"
    assert good["metadata"]["total_tokens"] == 6
    assert bad["metadata"]["status"] == "failure"
    litellm.in_memory_llm_clients_cache.flush_cache()


def test_withheld_content_leaves_counts_and_cost(listed: Collector) -> None:
    dispatch(parts_of("batch_2", "openai", jsonl(request("a", "Why?")), jsonl(result("a", CHAT))), redact=True)
    (event,) = listed.events
    assert (event["inputs"], event["outputs"]) == ({}, {})
    assert event["metadata"]["total_tokens"] == 1500
    assert event["metadata"]["cost"] > 0


def test_the_loop_gets_a_turn_within_a_large_part(listed: Collector) -> None:
    from litellm.batches.batch_line_items import dispatch_batch_line_items

    names = [str(number) for number in range(50)]
    (part,) = parts_of(
        "batch_3", "openai", jsonl(*(request(n, n) for n in names)), jsonl(*(result(n, CHAT) for n in names))
    )

    async def run() -> int:
        turns = 0
        task = asyncio.ensure_future(dispatch_batch_line_items(part, redact_bodies=False))
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        await honeyhive_litellm.aflush(10)
        return turns

    assert asyncio.run(run()) > 2
    assert sorted(event["metadata"]["custom_id"] for event in listed.events) == sorted(names)


def test_lines_of_a_team_without_a_destination_are_recorded_nowhere(collector: Collector, tmp_path: Path) -> None:
    rule = {"project": "jobs", "api_key": "hh_of_jobs", "match": {"key_alias": "batch jobs"}}
    options = {"api_key": "hh_key", "project": "tests", "api_url": collector.url, "spool_path": tmp_path}
    requests, results = jsonl(request("a", "Why?")), jsonl(result("a", CHAT))
    for alias, expected in (("others", 0), ("batch jobs", 1)):
        rule["match"] = {"key_alias": alias}
        logger = HoneyHiveLogger(**options, destinations={"jobs": rule}, default_destination="none")
        litellm.batch_line_item_callbacks = [logger]
        try:
            dispatch(parts_of("batch_4", "openai", requests, results))
        finally:
            litellm.batch_line_item_callbacks = ()
            honeyhive_litellm.shutdown(5)
        assert [event["metadata"]["project"] for event in collector.events] == ["jobs"] * expected
