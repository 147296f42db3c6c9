from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from honeyhive_litellm.testing import Collector, ModelServer

from .programs import drain, signal_ready, start, until_written


@pytest.mark.parametrize("kind", ["call", "read"])
def test_what_was_committed_before_a_sigkill_arrives_after_the_restart(tmp_path: Path, kind: str) -> None:
    code = f"""
async def main():
    await asyncio.gather(*({kind}("answer %d" % i) for i in range(200)))
    await asyncio.get_running_loop().run_in_executor(None, committed, 200)
    print("committed", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    with Collector() as collector:
        collector.down()
        with start(code, collector.url, tmp_path) as process:
            assert signal_ready(process) == "committed"
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        collector.up()
        drain(collector.url, tmp_path)
        assert len(collector.events) == 200
        assert set(collector.receipts.values()) == {1}
        assert {e["outputs"]["content"] for e in collector.events} == {f"answer {i}" for i in range(200)}


def test_a_call_in_flight_at_a_sigkill_is_reported_as_interrupted_with_its_input(tmp_path: Path) -> None:
    with Collector() as collector, ModelServer() as models:
        code = f"""
async def main():
    await litellm.acompletion(model="openai/hang", messages=MESSAGES, api_base="{models.url}", api_key="sk-x")
asyncio.run(main())
"""
        with start(code, collector.url, tmp_path) as process:
            models.wait_for(1, 30)
            until_written(tmp_path, b"hello")
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        drain(collector.url, tmp_path)
        (event,) = collector.events
        assert event["metadata"]["status"] == "interrupted"
        assert event["inputs"]["chat_history"] == [{"role": "user", "content": "hello"}]
        assert event["config"]["model"] == "hang"
        assert event["error"].startswith("Interrupted")


def test_a_living_process_takes_over_from_a_killed_one_without_being_restarted(tmp_path: Path) -> None:
    with Collector() as collector:
        living = start(
            """
litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="living")
print("here", flush=True)
sys.stdin.readline()
""",
            collector.url,
            tmp_path,
        )
        with living:
            assert signal_ready(living) == "here"
            collector.wait_for(1, 20)
            collector.down()
            with start(
                """
litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="killed")
committed(1)
print("committed", flush=True)
sys.stdin.read()
""",
                collector.url,
                tmp_path,
            ) as killed:
                assert signal_ready(killed) == "committed"
                os.kill(killed.pid, signal.SIGKILL)
                killed.communicate()
            collector.up()
            collector.wait_for(2, 20)
            living.communicate("\n", timeout=30)
        assert sorted(e["outputs"]["content"] for e in collector.events) == ["killed", "living"]
        assert set(collector.receipts.values()) == {1}
