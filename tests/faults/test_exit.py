from __future__ import annotations

import time
from pathlib import Path
from typing import Any, List

import pytest

from honeyhive_litellm.testing import Collector

from .programs import drain, run


def answers_at(collector: Collector) -> List[Any]:
    return sorted(event["outputs"].get("content") for event in collector.events)


@pytest.mark.parametrize("count", [1, 50, 1000])
@pytest.mark.parametrize("kind", ["call", "read"])
def test_a_script_that_ends_right_after_its_last_call_loses_none(tmp_path: Path, count: int, kind: str) -> None:
    code = f"""
async def main():
    await asyncio.gather(*({kind}("answer %d" % i) for i in range({count})))
asyncio.run(main())
"""
    with Collector() as collector:
        run(code, collector.url, tmp_path)
        if len(collector.events) < count:
            drain(collector.url, tmp_path)
        assert answers_at(collector) == sorted(f"answer {i}" for i in range(count))
        assert set(collector.receipts.values()) == {1}
        assert {event["metadata"]["status"] for event in collector.events} == {"success"}


def test_the_backend_down_until_after_the_exit_delays_and_loses_nothing(tmp_path: Path) -> None:
    code = """
for i in range(20):
    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="sync %d" % i)
async def main():
    await asyncio.gather(*(call("async %d" % i) for i in range(20)))
asyncio.run(main())
"""
    with Collector() as collector:
        collector.down()
        run(code, collector.url, tmp_path, HONEYHIVE_SHUTDOWN_TIMEOUT="1")
        collector.up()
        drain(collector.url, tmp_path)
        assert answers_at(collector) == sorted([f"sync {i}" for i in range(20)] + [f"async {i}" for i in range(20)])
        assert set(collector.receipts.values()) == {1}


@pytest.mark.parametrize("trouble", ["hangs", "refuses", "drips", "is a wall of 500s"])
def test_exit_takes_no_longer_than_the_shutdown_timeout_whatever_the_server_does(tmp_path: Path, trouble: str) -> None:
    code = """
for i in range(5):
    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="answer")
committed(5)
import atexit
started = time.monotonic()
atexit.register(lambda: None)
honeyhive_litellm.shutdown()
print(time.monotonic() - started)
"""
    with Collector() as collector:
        if trouble == "hangs":
            collector.hang()
        elif trouble == "refuses":
            collector.down()
        elif trouble == "drips":
            collector.delay(0.5)
        else:
            collector.fail(500)
        began = time.monotonic()
        took = float(run(code, collector.url, tmp_path, HONEYHIVE_SHUTDOWN_TIMEOUT="1"))
        assert took < 1.5
        assert time.monotonic() - began < 30
        collector.clear()
        collector.up()
        drain(collector.url, tmp_path)
        assert len(collector.events) == 5
        assert set(collector.receipts.values()) == {1}


def test_calls_that_go_on_after_shutdown_are_kept_for_the_next_process(tmp_path: Path) -> None:
    code = """
from honeyhive_litellm import HoneyHiveLogger
litellm.callbacks = [HoneyHiveLogger()]
litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="before")
committed(1)
honeyhive_litellm.shutdown()
litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="after")
"""
    with Collector() as collector:
        run(code, collector.url, tmp_path)
        drain(collector.url, tmp_path)
        assert answers_at(collector) == ["after", "before"]
        assert set(collector.receipts.values()) == {1}
