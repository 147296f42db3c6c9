"""Many processes and one spool: each writes its own, and what the dead leave is delivered once."""

from __future__ import annotations

import os
import shutil
import sqlite3
import uuid
import zlib
from pathlib import Path
from typing import Any, List

import orjson
import pytest

from honeyhive_litellm._spool.layout import lease_path, new_owner, segment_path
from honeyhive_litellm._spool.lease import Lease
from honeyhive_litellm.testing import Collector

from ..versions import has_litellm
from .programs import HEAD, SPOOL_HEAD, drain, run, run_file, signal_ready, start

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

# LiteLLM 1.53 puts a sync stream's text together in several threads, and may lose a chunk of it.
KINDS = ("sync", "sync stream", "async", "async stream") if has_litellm("1.80") else ("sync", "async", "async stream")
CALLS = (
    f"KINDS = {KINDS!r}"
    """
import warnings
warnings.simplefilter("ignore")  # of a fork while threads run
def sync(answer):
    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response=answer)
def sync_stream(answer):
    for _ in litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response=answer, stream=True):
        pass
def every_kind(who):
    sync(who + " sync")
    if "sync stream" in KINDS:
        sync_stream(who + " sync stream")
    asyncio.run(call(who + " async"))
    asyncio.run(read(who + " async stream"))
def wait_for(child):
    assert os.waitpid(child, 0)[1] == 0, child
"""
)


def contents(collector: Collector) -> List[Any]:
    assert set(collector.receipts.values()) == {1}
    return sorted(str(event.get("outputs", {}).get("content")) for event in collector.events)


def names(collector: Collector) -> List[Any]:
    assert set(collector.receipts.values()) == {1}
    return sorted(event["event_name"] for event in collector.events)


# ---- fork


@needs_fork
def test_children_forked_before_and_after_the_first_call_and_their_children_lose_nothing(tmp_path: Path) -> None:
    code = """
early = os.fork()
if early == 0:
    every_kind("early")
    sys.exit(0)
every_kind("parent before")
child = os.fork()
if child == 0:
    grandchild = os.fork()  # before the child's first use
    if grandchild == 0:
        every_kind("grandchild")
        sys.exit(0)
    every_kind("child")
    late = os.fork()  # after it
    if late == 0:
        every_kind("late grandchild")
        sys.exit(0)
    wait_for(grandchild)
    wait_for(late)
    sys.exit(0)
every_kind("parent after")
wait_for(early)
wait_for(child)
"""
    who = ("early", "parent before", "parent after", "child", "grandchild", "late grandchild")
    with Collector() as collector:
        run(CALLS + code, collector.url, tmp_path)
        drain(collector.url, tmp_path)
        assert contents(collector) == sorted(f"{one} {kind}" for one in who for kind in KINDS)
        assert {event["metadata"]["status"] for event in collector.events} == {"success"}


@needs_fork
def test_a_fork_while_other_threads_are_writing_gives_a_child_that_works(tmp_path: Path) -> None:
    # Without care one child in three hangs: it inherits SQLite's mutexes as some thread of its parent holds them, but
    # not the thread. LiteLLM would only slow this down.
    code = """
import warnings
warnings.simplefilter("ignore")  # of a fork while threads run
running = True
made = []
def load(n):
    while running:
        put("load")
        made.append(None)
        if len(made) % 10 == 0:
            time.sleep(0.001)
threads = [threading.Thread(target=load, args=(n,)) for n in range(2)]
for thread in threads:
    thread.start()
committed(100)
children = []
for n in range(40):
    child = os.fork()
    if child == 0:
        put("child %d" % n)
        committed(1)
        os._exit(0)
    children.append(child)
    time.sleep(0.005)
statuses = [os.waitpid(child, 0)[1] for child in children]
running = False
for thread in threads:
    thread.join()
if any(statuses):
    sys.exit(str(statuses))
print(len(made))
"""
    with Collector() as collector:
        made = run(code, collector.url, tmp_path, timeout=100, head=SPOOL_HEAD)
        drain(collector.url, tmp_path)
        assert names(collector) == sorted([f"child {n}" for n in range(40)] + ["load"] * int(made))


@needs_fork
def test_children_of_a_prefork_pool_that_end_abruptly_leave_all_to_their_parent(tmp_path: Path) -> None:
    # As Celery works: the parent starts everything, the children live long and end with os._exit.
    code = """
pool = []
for n in range(3):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        tasks = os.fdopen(reader)
        for done in range(1, 4):
            tasks.readline()
            sync("child %d task %d" % (n, done))
            committed(done)
        os._exit(0)
    pool.append((child, writer))
for _ in range(3):
    for _, writer in pool:
        os.write(writer, b"work\\n")
for child, _ in pool:
    wait_for(child)
sync("parent")
print("ended", flush=True)
sys.stdin.readline()
"""
    with Collector() as collector:
        collector.down()
        with start(CALLS + code, collector.url, tmp_path) as parent:
            assert signal_ready(parent) == "ended"
            collector.up()
            collector.wait_for(10, 40)
            parent.communicate("\n", timeout=30)
        tasks = [f"child {n} task {done}" for n in range(3) for done in range(1, 4)]
        assert contents(collector) == sorted([*tasks, "parent"])


def test_a_child_of_multiprocessing_delivers_before_it_ends_however_it_was_started(tmp_path: Path) -> None:
    # The parent makes no call, so nobody but the children can deliver. They end with os._exit, without `atexit`.
    program = tmp_path / "program.py"
    program.write_text(
        HEAD
        + CALLS
        + """
import multiprocessing
if __name__ == "__main__":
    methods = multiprocessing.get_all_start_methods()
    children = [multiprocessing.get_context(m).Process(target=every_kind, args=(m,)) for m in methods]
    for child in children:
        child.start()
    with multiprocessing.get_context(methods[0]).Pool(2) as pool:
        pool.map(sync, ["pool %d" % n for n in range(6)])
        pool.close()
        pool.join()
    for child in children:
        child.join()
        assert child.exitcode == 0
    print(*methods)
"""
    )
    with Collector() as collector:
        methods = run_file(program, collector.url, tmp_path / "spool").split()
        made = [f"{method} {kind}" for method in methods for kind in KINDS]
        assert contents(collector) == sorted(made + [f"pool {n}" for n in range(6)])
        assert [path.name for path in (tmp_path / "spool").iterdir()] == ["ledger.db"]


# ---- adoption


def test_of_four_living_processes_one_adopts_what_a_killed_one_left_whatever_host_it_was_on(tmp_path: Path) -> None:
    living = """
put("living")
print("here", flush=True)
sys.stdin.readline()
print(RUNTIME.stats().adopted)
"""
    killed = """
put(*("killed %d" % n for n in range(250)))
committed(250)
print("here", flush=True)
sys.stdin.readline()
"""
    with Collector() as collector:
        with start(killed, collector.url, tmp_path, SPOOL_HEAD) as dead:
            collector.down()
            assert signal_ready(dead) == "here"
            dead.kill()
            dead.communicate()
        for path in tmp_path.iterdir():  # as on a volume that another host had mounted
            path.rename(tmp_path / f"elsewhere.example-{path.name.partition('-')[2]}")
        adopters = [start(living, collector.url, tmp_path, SPOOL_HEAD) for _ in range(4)]
        for adopter in adopters:
            assert signal_ready(adopter) == "here"
        collector.up()
        collector.wait_for(254, 40)
        adopted = [int(adopter.communicate("\n", timeout=30)[0]) for adopter in adopters]
        assert sorted(adopted) == [0, 0, 0, 250]
        assert names(collector) == sorted(["living"] * 4 + [f"killed {n}" for n in range(250)])
        assert [path.name for path in tmp_path.iterdir()] == ["ledger.db"]


def orphans(url: str, folder: Path, count: int, *, damaged: int = 0, empty: int = 0) -> None:
    """Fill `folder` with what `count` dead processes left, an event each, and with files that are good for nothing."""
    run('put("orphan 0"); committed(1); os._exit(0)', url, folder, head=SPOOL_HEAD)
    (template,) = folder.glob("*.spool")
    db = sqlite3.connect(str(template))
    (body,) = db.execute("SELECT body FROM record").fetchone()
    db.close()  # makes one file of two
    for n in range(1, count):
        path = segment_path(folder, new_owner(), 1)
        shutil.copy(template, path)
        event = {**orjson.loads(body), "event_id": str(uuid.uuid4()), "event_name": f"orphan {n}"}
        changed = orjson.dumps(event)
        db = sqlite3.connect(str(path), isolation_level=None)
        db.execute("PRAGMA synchronous = OFF")
        db.execute("UPDATE record SET id = ?, crc = ?, body = ?", (event["event_id"], zlib.crc32(changed), changed))
        db.close()
    for _ in range(damaged):
        segment_path(folder, new_owner(), 1).write_bytes(os.urandom(9000))
    for _ in range(empty):
        lease = lease_path(folder, new_owner())
        lease.touch()
        os.utime(lease, (0, 0))  # or it would be taken for that of a process that is just starting


def test_a_process_that_starts_beside_busy_adopters_keeps_its_lease(tmp_path: Path) -> None:
    # The file of a lease comes before its lock: an adopter in between must not take the newborn for dead.
    code = """
import asyncio, select
from pathlib import Path
from honeyhive_litellm._spool.limits import Limits
from honeyhive_litellm._spool.spool import Spool
from honeyhive_litellm._stats import Counters
async def adopt():
    spool = Spool(Path(os.environ["HONEYHIVE_SPOOL_PATH"]), Counters(), durability="process", limits=Limits())
    while not select.select([sys.stdin], [], [], 0)[0]:
        await spool.adopt()
print("here", flush=True)
asyncio.run(adopt())
"""
    adopters = [start(code, "http://127.0.0.1:1", tmp_path, SPOOL_HEAD) for _ in range(2)]
    for adopter in adopters:
        assert signal_ready(adopter) == "here"
    for _ in range(1000):
        path = lease_path(tmp_path, new_owner())
        lease = Lease.take(path)
        assert lease is not None
        assert path.exists()
        lease.release(remove=True)
    for adopter in adopters:
        adopter.communicate("\n", timeout=30)
        assert adopter.returncode == 0


def test_three_adopters_that_race_for_many_orphans_deliver_each_once(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.down()
        orphans(collector.url, tmp_path, 60)
        collector.up()
        flush = "print(RUNTIME.flush(60), RUNTIME.stats().adopted)"
        racers = [start(flush, collector.url, tmp_path, SPOOL_HEAD) for _ in range(3)]
        results = [racer.communicate(timeout=90)[0].split() for racer in racers]
        assert [left for left, _ in results] == ["0"] * 3
        assert sum(int(adopted) for _, adopted in results) == 60
        assert names(collector) == sorted(f"orphan {n}" for n in range(60))
        assert [path.name for path in tmp_path.iterdir()] == ["ledger.db"]


def test_a_folder_full_of_orphans_and_rubbish_delays_neither_the_start_nor_ones_own_events(tmp_path: Path) -> None:
    code = """
started = time.monotonic()
RUNTIME.start()
for n in range(20):
    put("own %d" % n)
committed(20)
print(time.monotonic() - started, flush=True)
sys.stdin.readline()
print(RUNTIME.flush(100))
"""
    with Collector() as collector:
        collector.down()
        orphans(collector.url, tmp_path, 100, damaged=150, empty=100)
        collector.up()
        with start(code, collector.url, tmp_path, SPOOL_HEAD) as process:
            assert float(signal_ready(process)) < 5  # seconds; some 0.1 on an idle machine
            out, err = process.communicate("\n", timeout=110)
        assert out.split() == ["0"], err[-4000:]
        arrived = [event["event_name"] for event in collector.events]
        assert sorted(arrived) == sorted([f"own {n}" for n in range(20)] + [f"orphan {n}" for n in range(100)])
        assert max(arrived.index(f"own {n}") for n in range(20)) < 60
        assert set(collector.receipts.values()) == {1}
        assert len(list((tmp_path / "quarantine").iterdir())) == 150
        assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger.db", "quarantine"]
