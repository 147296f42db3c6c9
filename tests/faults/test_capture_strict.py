"""`strict=True`: an async call returns only after its outcome is on disk, so that a kill loses no answer."""

from __future__ import annotations

from pathlib import Path
from typing import List

import pytest

from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import has_litellm, needs_litellm
from .programs import drain, start

needs_the_hook = needs_litellm("1.80", "it has no hook before an async call returns, on which `strict` rests")
KILL = "os.kill(os.getpid(), 9)"


def but_outage(log: str) -> List[str]:
    """The lines of a program's log, without those about the collector that is down: they depend on the machine."""
    return [line for line in log.splitlines() if "takes no events now" not in line]


@needs_the_hook
@pytest.mark.parametrize("number", [1, 100])
def test_a_kill_in_the_next_instruction_loses_no_answer(tmp_path: Path, number: int) -> None:
    code = f"""
async def main():
    await asyncio.gather(*(call("answer %d" % i) for i in range({number})))
    {KILL}
asyncio.run(main())
"""
    with Collector() as collector:
        collector.down()
        with start(code, collector.url, tmp_path, HONEYHIVE_STRICT="1") as process:
            assert but_outage(process.communicate(timeout=60)[1]) == []
            assert process.returncode == -9
        collector.up()
        drain(collector.url, tmp_path)
        assert {e["outputs"].get("content") for e in collector.events} == {f"answer {i}" for i in range(number)}
        assert {e["metadata"]["status"] for e in collector.events} == {"success"}
        assert len(collector.events) == number
        assert set(collector.receipts.values()) == {1}
        assert all(e["metadata"]["total_tokens"] > 0 and e["metadata"]["cost"] > 0 for e in collector.events)


def test_a_kill_when_the_last_chunk_is_there_or_a_call_has_failed(tmp_path: Path) -> None:
    with Collector() as collector, ModelServer() as models:
        code = f"""
route = dict(messages=MESSAGES, api_base="{models.url}", api_key="sk-x", max_retries=0)
async def failure():
    try:
        await litellm.acompletion(model="openai/fail-400", **route)
    except litellm.BadRequestError:
        pass
async def broken():
    try:
        async for _ in await litellm.acompletion(model="openai/break-2", stream=True, **route):
            pass
    except Exception:
        pass
async def unread(**options):
    async for chunk in await litellm.acompletion(model="openai/gpt-4o", stream=True, **route, **options):
        if chunk.choices and chunk.choices[0].finish_reason:
            return
async def main():
    await asyncio.gather(failure(), broken(), unread(), unread(stream_options={{"include_usage": True}}))
    {KILL}
asyncio.run(main())
"""
        collector.down()
        with start(code, collector.url, tmp_path, HONEYHIVE_STRICT="1") as process:
            process.communicate(timeout=60)
            assert process.returncode == -9
        collector.up()
        drain(collector.url, tmp_path)
        seen = sorted((e["config"]["model"], e["metadata"]["status"]) for e in collector.events)
        # LiteLLM 1.80 and 1.83 report an async stream that broke as a success.
        broken = "failure" if has_litellm("1.110") or not has_litellm("1.80") else "success"
        assert seen == [("break-2", broken), ("fail-400", "failure")] + [("gpt-4o", "success")] * 2
        events = {e["config"]["model"]: e for e in collector.events}
        assert events["gpt-4o"]["outputs"]["content"] == "answer to: hello"
        assert events["break-2"]["outputs"]["content"]
        assert events["fail-400"]["metadata"]["status_code"] == 400


@needs_litellm("1.80", "its cache cannot read the types of today's openai package, and keeps nothing")
def test_a_kill_right_after_the_cache_has_answered(tmp_path: Path) -> None:
    code = f"""
litellm.enable_cache(type="local")
async def main():
    await call("answer", caching=True)
    await until_on_loop(lambda: litellm.cache.cache.cache_dict)  # LiteLLM fills its cache in the background
    response = await call("answer", caching=True)
    if response._hidden_params.get("cache_hit"):
        {KILL}
asyncio.run(main())
"""
    with Collector() as collector:
        collector.down()
        with start(code, collector.url, tmp_path, HONEYHIVE_STRICT="1") as process:
            assert but_outage(process.communicate(timeout=60)[1]) == []
            assert process.returncode == -9
        collector.up()
        drain(collector.url, tmp_path)
        (hit,) = (event for event in collector.events if event["metadata"].get("cache_hit"))
        assert hit["metadata"]["status"] == "success"
        assert hit["outputs"]["content"] == "answer"
        assert hit["metadata"]["cost"] == 0


def test_durability_power_synchronises_every_commit(tmp_path: Path) -> None:
    """What FULL does is SQLite's business; that the segment's connection runs with it is ours."""
    code = f"""
asyncio.run(call("answer"))
committed(1)
from honeyhive_litellm._instrumentation import logger
pipeline = logger._installed._runtime.channels.main.pipeline
(db,) = [segment.connection for segment in pipeline.spool.segments()]
level = asyncio.run_coroutine_threadsafe(db.execute_fetchall("PRAGMA synchronous"), pipeline.loop).result(20)
print(list(level)[0][0], flush=True)
{KILL}
"""
    with Collector() as collector:
        collector.down()
        for durability, level in (("power", "2"), ("process", "1")):
            with start(code, collector.url, tmp_path / level, HONEYHIVE_DURABILITY=durability) as process:
                assert process.communicate(timeout=60)[0].strip() == level
        collector.up()
        for level in ("1", "2"):
            drain(collector.url, tmp_path / level)
        assert len(collector.events) == 2
