"""No call returns before its own start is on disk, from the very first call of a process on: a kill leaves no gap."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import List

import pytest

from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import needs_litellm
from .programs import HEAD, drain, run, run_file, start

CALLS = """
import signal, warnings
warnings.simplefilter("ignore")  # of a fork while threads run
def sync(answer):
    litellm.completion(model="gpt-4o", messages=[{"role": "user", "content": answer}], mock_response=answer)
def sync_stream(answer):
    messages = [{"role": "user", "content": answer}]
    next(iter(litellm.completion(model="gpt-4o", messages=messages, mock_response=answer, stream=True)))
async def first_chunk(answer):
    messages = [{"role": "user", "content": answer}]
    await (await litellm.acompletion(model="gpt-4o", messages=messages, mock_response=answer, stream=True)).__anext__()
def die():
    os.kill(os.getpid(), signal.SIGKILL)
ROUTE = {"model": "openai/gpt-4o", "api_base": os.environ.get("MODELS_URL"), "api_key": "sk-local"}
def next_event(answer):
    next(iter(litellm.responses(input=answer, stream=True, **ROUTE)))
async def on_loop(function, *args):
    function(*args)
async def first_event(answer):
    stream = await litellm.aresponses(input=answer, stream=True, **ROUTE)
    await stream.__anext__()
async def killed(call):
    await call
    die()
def fails(answer):
    try:
        messages = [{"role": "user", "content": answer}]
        litellm.completion(model="gpt-4o", messages=messages, mock_response="litellm.RateLimitError")
    except litellm.RateLimitError:
        pass
async def asks(answer):
    messages = [{"role": "user", "content": answer}]
    await litellm.acompletion(model="gpt-4o", messages=messages, mock_response=answer)
"""
FIRST_CALLS = {
    "sync": "sync(question)",
    "sync stream": "sync_stream(question)",
    "sync events": "next_event(question)",
    "sync on a loop": "asyncio.run(on_loop(sync, question))",
    "sync stream on a loop": "asyncio.run(on_loop(sync_stream, question))",
    "failure": "fails(question)",
    "async": "asyncio.run(killed(asks(question)))",
    "async stream": "asyncio.run(killed(first_chunk(question)))",
    "async events": "asyncio.run(killed(first_event(question)))",
}
if sys.version_info < (3, 9):  # LiteLLM's Responses API does not import
    del FIRST_CALLS["sync events"], FIRST_CALLS["async events"]


SLOW_DISK = """
from honeyhive_litellm._runtime import pipeline
from honeyhive_litellm._spool.writer import Writer
unrecorded = {"mock_response": "imports the rest of LiteLLM", "metadata": {"honeyhive_skip": True}}
asyncio.run(litellm.acompletion(model="gpt-4o", messages=MESSAGES, **unrecorded))
list(litellm.completion(model="gpt-4o", messages=MESSAGES, stream=True, **unrecorded))
append = Writer._append
async def append_late(self, group):
    await asyncio.sleep(0.3)
    await append(self, group)
Writer._append = append_late
"""


def questions(collector: Collector) -> List[str]:
    assert set(collector.receipts.values()) <= {1}
    return sorted(event["inputs"]["chat_history"][0]["content"] for event in collector.events)


@needs_litellm("1.80", "it has no hook before a call returns")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_the_first_call_of_a_process_that_is_killed_as_it_returns_is_on_disk(tmp_path: Path) -> None:
    # Each process is forked from one that has recorded no call, since each would take seconds to import LiteLLM. The
    # disk takes its time, so that a call that does not wait for it is not there.
    code = SLOW_DISK + "".join(
        f"""
child = os.fork()
if child == 0:
    question = {kind!r}
    {call}
    die()
assert os.waitpid(child, 0)[1] == signal.SIGKILL, {kind!r}
"""
        for kind, call in FIRST_CALLS.items()
    )
    with Collector() as collector, ModelServer() as models:
        run(CALLS + code, collector.url, tmp_path, MODELS_URL=models.url)
        drain(collector.url, tmp_path)
        assert questions(collector) == sorted(FIRST_CALLS)


@needs_litellm("1.80", "it has no hook before a call returns")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_that_ends_abruptly_right_after_its_calls_loses_none(tmp_path: Path) -> None:
    code = """
sync("parent")
for n in range(5):
    child = os.fork()
    if child == 0:
        for call in range(3):
            sync(f"child {n} call {call}")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
die()
"""
    with Collector() as collector:
        with start(CALLS + code, collector.url, tmp_path) as process:
            _, err = process.communicate(timeout=90)
        assert process.returncode == -signal.SIGKILL, err[-4000:]
        drain(collector.url, tmp_path)
        assert questions(collector) == [*(f"child {n} call {call}" for n in range(5) for call in range(3)), "parent"]


@needs_litellm("1.80", "it has no hook before a call returns")
def test_a_pool_that_terminates_its_spawned_workers_loses_no_call(tmp_path: Path) -> None:
    # `with` a pool ends its workers by SIGTERM as soon as `map` has returned.
    program = tmp_path / "program.py"
    program.write_text(
        HEAD
        + CALLS
        + """
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(sync, [f"question {n}" for n in range(6)])
"""
    )
    with Collector() as collector:
        run_file(program, collector.url, tmp_path / "spool")
        drain(collector.url, tmp_path / "spool")
        assert questions(collector) == [f"question {n}" for n in range(6)]
