from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest

from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import needs_litellm
from .programs import HEAD, drain, run


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


# Each of these ends a process of its own, forked from one that has only imported LiteLLM: the quick way to many.
ENDINGS = {
    "sys.exit": """
async def main():
    await asyncio.gather(*(call("sys.exit %d" % i) for i in range(20)))
asyncio.run(main())
def nested():
    try:
        sys.exit(3)
    finally:
        sync("sys.exit 20")
nested()
""",
    "exception": """
for i in range(20):
    sync("exception %d" % i)
raise RuntimeError("nobody handles this")
""",
    "os._exit": """
for i in range(20):
    sync("os._exit %d" % i)
committed(20)
os._exit(0)
""",
    "SIGTERM": """
for i in range(20):
    sync("SIGTERM %d" % i)
committed(20)
os.kill(os.getpid(), signal.SIGTERM)
""",
    "Ctrl-C in async code": """
async def main():
    await asyncio.gather(*(call("Ctrl-C in async code %d" % i) for i in range(20)))
    interrupt_the_next_call()
    await litellm.acompletion(**ENDLESS)
asyncio.run(main())
""",
    "Ctrl-C in sync code": """
for i in range(20):
    sync("Ctrl-C in sync code %d" % i)
interrupt_the_next_call()
litellm.completion(**ENDLESS)
""",
    # A notebook's kernel runs cell after cell on one loop, which it stops and does not close.
    "notebook": """
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
async def cell(i):
    await call("notebook %d" % (2 * i))
    await read("notebook %d" % (2 * i + 1))
    if i < 4:
        loop.create_task(cell(i + 1))
    else:
        loop.call_later(0.1, loop.stop)
loop.create_task(cell(0))
loop.run_forever()
""",
    "daemon thread": """
made = []
def endless():
    while True:
        asyncio.run(call("daemon thread %d" % len(made)))
        made.append(None)
threading.Thread(target=endless, daemon=True).start()
until(lambda: len(made) >= 20)
# LiteLLM imports in a finalizer, for whose lock it waits for ever if the thread was frozen in an import of its own.
AFTER_OURS.append(lambda: os._exit(0))
""",
    # LiteLLM's async calls fail in an `atexit` handler, before ours and after it: they need a thread.
    "exit handlers": """
asyncio.run(call("exit handlers 0"))
early = getattr(threading, "_register_atexit", atexit.register)  # Python 3.8 has but one kind
early(lambda: sync("exit handlers 1"))
atexit.register(lambda: asyncio.run(call("fails")))
AFTER_OURS.append(lambda: asyncio.run(call("fails, too")))
""",
}
EXPECTED = {"sys.exit": 21, "exception": 20, "os._exit": 20, "SIGTERM": 20, "notebook": 10, "exit handlers": 2}
EXPECTED.update(dict.fromkeys(("Ctrl-C in async code", "Ctrl-C in sync code"), 20))

FIRST_EXIT_HANDLER = """
import atexit
AFTER_OURS = []
atexit.register(lambda: [handler() for handler in AFTER_OURS])  # registered first, run last
"""
ALL_ENDINGS = """
import json, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite that a shell runs in the background has it ignored
from litellm.integrations.custom_logger import CustomLogger
def sync(answer):
    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response=answer)
def interrupt_the_next_call():
    class Begun(CustomLogger):
        def log_pre_api_call(self, model, messages, kwargs):
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    litellm.callbacks.append(Begun())
ENDLESS = {"model": "openai/hang", "messages": MESSAGES, "api_base": os.environ["MODELS"], "api_key": "sk-x"}
children = {}
for name, code in ENDINGS.items():
    child = os.fork()
    if child == 0:
        MESSAGES[0]["content"] = name
        break
    children[child] = name
else:
    ended = {}
    while children:
        child, status = os.wait()
        ended[children.pop(child)] = status
    print(json.dumps(ended))
    os._exit(0)
exec(code)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_whatever_ends_a_process_its_calls_are_not_lost(tmp_path: Path) -> None:
    with Collector() as collector, ModelServer() as models:
        code, head = f"ENDINGS = {ENDINGS!r}" + ALL_ENDINGS, FIRST_EXIT_HANDLER + HEAD
        # The children take over from each other, as soon as one is gone: what it sent has to be there by then.
        out = run(code, collector.url, tmp_path, 100, head, MODELS=models.url, HONEYHIVE_LOOKUP_DELAY="1")
        drain(collector.url, tmp_path)
        assert json.loads(out.splitlines()[-1]) == {  # every ending keeps its meaning
            **dict.fromkeys(("os._exit", "notebook", "daemon thread", "exit handlers"), 0),
            **dict.fromkeys(("Ctrl-C in async code", "Ctrl-C in sync code"), signal.SIGINT),
            "sys.exit": 3 << 8,
            "exception": 1 << 8,
            "SIGTERM": signal.SIGTERM,
        }
        assert set(collector.receipts.values()) == {1}
        answers: Dict[str, List[int]] = {}
        others: Dict[str, List[str]] = {}
        for event in collector.events:
            name, _, number = str(event.get("outputs", {}).get("content")).rpartition(" ")
            if number.isdigit():
                assert event["metadata"]["status"] == "success"
                answers.setdefault(name, []).append(int(number))
            else:
                (question,) = event["inputs"]["chat_history"]
                others.setdefault(question["content"], []).append(event["metadata"]["status"])
                if event["metadata"]["status"] == "failure":
                    assert re.search("new futures|new thread|shutdown", event["error"]), event["error"]
        daemon = sorted(answers.pop("daemon thread"))
        assert daemon == list(range(len(daemon))) and len(daemon) >= 20
        # From Python 3.12 on LiteLLM may be unable to start its thread then, and the last call of these fails as well.
        late = answers["exit handlers"]
        fails_late = EXPECTED["exit handlers"] - len(late) if sys.version_info >= (3, 12) else 0
        assert fails_late in (0, 1)
        late += [1] * fails_late
        assert {name: sorted(numbers) for name, numbers in answers.items()} == {
            name: list(range(count)) for name, count in EXPECTED.items()
        }
        for name in ("Ctrl-C in async code", "Ctrl-C in sync code"):
            (status,) = others.pop(name)
            assert status in ("cancelled", "interrupted")
        fails = sorted(others.pop("exit handlers"))
        last = sorted(others.pop("daemon thread", []))
        assert not others
        if sys.version_info < (3, 9):  # one of the two can succeed, and the thread calls on while all else has ended
            assert fails == ["failure", "success"]
            assert set(last) <= {"cancelled", "interrupted", "failure"}
            assert last.count("failure") <= 1  # which ends the thread
        else:
            assert fails == ["failure"] * (2 + fails_late)
            # The last call of the thread fails. The one before may be answered when nothing can be written any more.
            assert last in ([], ["failure"], ["interrupted"], ["failure", "interrupted"])


@needs_litellm("1.80", "it has no hook before an async call returns")
def test_a_call_that_is_answered_after_our_exit_handler_is_not_taken_for_interrupted(tmp_path: Path) -> None:
    code = """
from litellm.integrations.custom_logger import CustomLogger
begun, ends, heard = threading.Event(), threading.Event(), threading.Event()
class Slow(CustomLogger):
    async def async_post_call_success_deployment_hook(self, *args, **kwargs):
        begun.set()
        ends.wait(30)
class Last(CustomLogger):
    async def async_post_call_success_deployment_hook(self, *args, **kwargs):
        heard.set()
        await asyncio.Event().wait()  # so LiteLLM never gets to tell that it was a success
litellm.callbacks.insert(0, Slow())
litellm.callbacks.append(Last())
threading.Thread(target=lambda: asyncio.run(call("late")), daemon=True).start()
begun.wait(30)
AFTER_OURS.append(lambda: (ends.set(), print(heard.wait(30))))
"""
    with Collector() as collector:
        assert run(code, collector.url, tmp_path, head=FIRST_EXIT_HANDLER + HEAD).split() == ["True"]
        drain(collector.url, tmp_path)
        assert answers_at(collector) == ["late"]
        assert {event["metadata"]["status"] for event in collector.events} == {"success"}
        assert set(collector.receipts.values()) == {1}


def test_plain_exit_while_the_backend_hangs_takes_no_longer_than_the_shutdown_timeout(tmp_path: Path) -> None:
    code = """
AFTER_OURS.append(lambda: print(time.monotonic() - began[0]))
for i in range(20):
    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="sync %d" % i)
asyncio.run(call("async"))
began = []
atexit.register(lambda: began.append(time.monotonic()))
"""
    with Collector() as collector:
        collector.hang()
        head = FIRST_EXIT_HANDLER + HEAD
        took = float(run(code, collector.url, tmp_path, head=head, HONEYHIVE_SHUTDOWN_TIMEOUT="1"))
        assert took < 1.5
        collector.clear()
        drain(collector.url, tmp_path)
        assert answers_at(collector) == sorted(["async", *(f"sync {i}" for i in range(20))])
        assert set(collector.receipts.values()) == {1}
