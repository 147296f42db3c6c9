"""A forked child ends in time and its calls have the right outcome, whatever LiteLLM's threads did at the fork."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Dict

import pytest

from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import needs_litellm
from .programs import HEAD, drain, run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

BLOCKER = """
from litellm.integrations.custom_logger import CustomLogger
class Blocker(CustomLogger):
    # Its callback runs before ours, on LiteLLM's logging thread, and needs a lock, as an import does.
    lock, reached, release = threading.Lock(), threading.Event(), threading.Event()
    def log_success_event(self, kwargs, response_obj, start_time, end_time):
        with self.lock:
            self.reached.set()
            self.release.wait()
litellm.callbacks.append(Blocker())
"""
CALLS = """
def sync(answer):
    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response=answer)
def wait_for(child):
    assert os.waitpid(child, 0)[1] == 0, child
"""
FIRST_BLOCKER = HEAD.replace("honeyhive_litellm.init()\n", "") + BLOCKER + "honeyhive_litellm.init()\n" + CALLS


def statuses(collector: Collector) -> Dict[str, str]:
    assert set(collector.receipts.values()) == {1}
    return {event["outputs"].get("content"): event["metadata"]["status"] for event in collector.events}


@needs_litellm("1.80", "it logs sync calls in another way")
@pytest.mark.parametrize("ending", ["sys.exit(0)", "multiprocessing"])
def test_a_child_ends_although_its_logging_thread_waits_for_ever(tmp_path: Path, ending: str) -> None:
    # The parent's thread holds the lock at the fork, so in the child nobody ever releases it.
    child = """
    sync("child")
    began.append(time.monotonic())
"""
    if ending == "multiprocessing":
        fork = f"""
import multiprocessing
def work():
{child}
process = multiprocessing.get_context("fork").Process(target=work)
process.start()
process.join()
assert process.exitcode == 0
"""
    else:
        fork = f"""
pid = os.fork()
if pid == 0:
{child}
    {ending}
wait_for(pid)
"""
    code = f"""
import warnings
warnings.simplefilter("ignore")  # of a fork while threads run
began = []
sync("parent")
assert Blocker.reached.wait(30)
{fork}
Blocker.release.set()
"""
    with Collector() as collector:
        run(code, collector.url, tmp_path, head=FIRST_BLOCKER, HONEYHIVE_SHUTDOWN_TIMEOUT="3")
        drain(collector.url, tmp_path)
        assert statuses(collector) == {"parent": "success", "child": "success"}


@needs_litellm("1.80", "it logs sync calls in another way")
def test_a_fork_waits_until_litellms_logging_threads_have_finished(tmp_path: Path) -> None:
    code = """
sync("parent")
assert Blocker.reached.wait(30)
threading.Timer(0.2, Blocker.release.set).start()
child = os.fork()
if child == 0:
    assert Blocker.lock.acquire(timeout=0), "a thread of the parent holds it"
    Blocker.lock.release()
    sync("child")
    sys.exit(0)
wait_for(child)
"""
    with Collector() as collector:
        run(code, collector.url, tmp_path, head=FIRST_BLOCKER)
        drain(collector.url, tmp_path)
        assert statuses(collector) == {"parent": "success", "child": "success"}


@needs_litellm("1.80", "it logs sync calls in another way")
def test_a_logging_thread_that_forks_does_not_wait_for_itself(tmp_path: Path) -> None:
    head = (
        HEAD
        + CALLS
        + """
from litellm.integrations.custom_logger import CustomLogger
class Forking(CustomLogger):
    took, has_forked = [], threading.Event()
    def log_success_event(self, kwargs, response_obj, start_time, end_time):
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            os._exit(0)
        wait_for(child)
        self.took.append(time.monotonic() - began)
        self.has_forked.set()
litellm.callbacks.append(Forking())
"""
    )
    code = """
sync("parent")
assert honeyhive_litellm.flush(30) == 0 and Forking.has_forked.wait(30)
print(*Forking.took)
"""
    with Collector() as collector:
        (took,) = run(code, collector.url, tmp_path, head=head).split()
        assert float(took) < 2  # seconds: the most that a fork waits
        assert statuses(collector) == {"parent": "success"}


@needs_litellm("1.80", "it logs sync calls in another way")
def test_a_child_whose_parent_had_no_init_records_its_sync_calls(tmp_path: Path) -> None:
    # LiteLLM's pool of the child counts threads that are not there, and would start none.
    head = HEAD.replace("honeyhive_litellm.init()\n", "") + CALLS
    code = """
sync("before init")
child = os.fork()
if child == 0:
    honeyhive_litellm.init()
    sync("child")
    sys.exit(0)
wait_for(child)
"""
    with Collector() as collector:
        run(code, collector.url, tmp_path, head=head)
        drain(collector.url, tmp_path)
        assert statuses(collector) == {"child": "success"}
        (event,) = collector.events
        assert event["metadata"]["cost"] > 0


def test_children_deliver_to_each_destination_what_they_recorded_and_nothing_of_the_parent(tmp_path: Path) -> None:
    code = """
def calls(who):
    for team in ("a", "b", "none"):
        for number in range(2):
            litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response=f"{team} {who} {number}",
                               metadata={"user_api_key_team_id": team})
calls("before")
children = []
for number in range(3):
    child = os.fork()
    if child == 0:
        calls(f"child{number}")
        if number == 2:  # as a worker that its server ends without exit handlers
            honeyhive_litellm.flush(20)
            os._exit(0)
        sys.exit(0)
    children.append(child)
calls("after")
for child in children:
    wait_for(child)
"""
    with Collector() as collector:
        destinations = {
            name: {"project": f"p-{name}", "api_key": f"hh_{name}", "api_url": collector.url, "match": {"team": name}}
            for name in ("a", "b")
        }
        listed = json.dumps(destinations)
        run(code, collector.url, tmp_path, head=HEAD + CALLS, HONEYHIVE_DESTINATIONS=listed)
        drain(collector.url, tmp_path, HONEYHIVE_DESTINATIONS=listed)
        assert set(statuses(collector).values()) == {"success"}
        projects = {"a": "p-a", "b": "p-b", "none": "faults"}
        assert sorted(
            (event["metadata"]["project"], event["outputs"]["content"]) for event in collector.events
        ) == sorted(
            (projects[team], f"{team} {who} {number}")
            for team in projects
            for who in ("before", "after", "child0", "child1", "child2")
            for number in range(2)
        )


@needs_litellm("1.80", "it logs sync calls in another way")
def test_a_child_that_is_forked_while_replaced_settings_have_a_call_in_flight_records_its_calls(tmp_path: Path) -> None:
    code = """
route = {"api_base": os.environ["MODELS"], "api_key": "sk-local", "messages": MESSAGES}
caller = threading.Thread(target=litellm.completion, kwargs={"model": "openai/slow-1000", **route})
caller.start()
until(lambda: honeyhive_litellm.stats().in_flight == 1, what=honeyhive_litellm.stats)
honeyhive_litellm.init(project="other")
sync("parent")
child = os.fork()
if child == 0:
    sync("child")
    sys.exit(0)
wait_for(child)
caller.join()
"""
    with Collector() as collector, ModelServer() as models:
        run(code, collector.url, tmp_path, head=HEAD + CALLS, MODELS=models.url)
        drain(collector.url, tmp_path)
        assert {**statuses(collector), "parent": "success", "child": "success"} == statuses(collector)
        assert len(collector.events) == 3
