"""Whatever happens to a spool in whatever order: nothing is lost, nothing comes twice, and the numbers add up.

Up to three processes share the folder: spools in this process, each with counters of its own. What a kill leaves of one
is made as it would be: its files stay as they are at that moment, its locks go, and nothing it still does reaches them.
A kill may strike between any two statements of what the process was doing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Coroutine, Dict, Iterator, List, Optional, Sequence, Set

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from honeyhive_litellm._privacy.cipher import KEY_BYTES, NO_CIPHER, Cipher
from honeyhive_litellm._spool import connection, lease, limits
from honeyhive_litellm._spool.dead_letters import letters
from honeyhive_litellm._spool.late_writer import LateWriter
from honeyhive_litellm._spool.limits import Limits
from honeyhive_litellm._spool.record import EVENT, START, Record
from honeyhive_litellm._spool.segment import Batch
from honeyhive_litellm._spool.spool import Spool
from honeyhive_litellm._stats import Counters

# A process that is killed closes nothing; here its connections are left to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

processes = st.integers(0, 2)
picks = st.integers(0, 5)
sizes = st.sampled_from([10, 10, 300, 1500])
plans = st.lists(st.sampled_from(["start", "start", "finish", "finish", "both", "unstarted"]), min_size=1, max_size=5)
steps = st.integers(0, 7)


class Killed(BaseException):
    """The process is dead."""


class Mortal(connection.AtomicConnection):
    """Calls `before` before each statement is run."""

    before: Callable[[], None] = staticmethod(lambda: None)

    def execute(self, *arguments: Any) -> Any:
        Mortal.before()
        return super().execute(*arguments)

    def executescript(self, *arguments: Any) -> Any:
        Mortal.before()
        return super().executescript(*arguments)


class InHand:
    """A batch that was taken, whether it is marked, and whether the server got it."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.is_marked = True
        self.was_sent = False


class Process:
    """One process: its spool, the calls it has in flight, the batches it has taken."""

    def __init__(self, folder: Path, max_bytes: int, cipher: Cipher) -> None:
        self.counters = Counters()
        self.cipher = cipher
        self.spool = Spool(folder, self.counters, durability="process", limits=Limits(max_bytes), cipher=cipher)
        self.in_flight: List[str] = []
        self.in_hand: List[InHand] = []

    def paths(self) -> Set[Path]:
        return {Path(segment.path) for segment in self.spool.segments()}


class SpoolMachine(RuleBasedStateMachine):
    """The rules do what the runtime and the flusher do with a spool."""

    max_bytes = 2**30
    ciphers: Sequence[Cipher] = (NO_CIPHER,)
    """The processes have these in turns."""

    def __init__(self) -> None:
        super().__init__()
        self.made = 0
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.processes: List[Optional[Process]] = [None, None, None]
        self.calls = 0
        self.began: Set[str] = set()  # their start, or their event, is committed
        self.ended: Set[str] = set()  # their event is committed
        self.perhaps: Set[str] = set()  # their process was killed while it wrote their start or their event
        self.perhaps_ended: Set[str] = set()  # the same, of their event
        self.server: Dict[str, str] = {}  # what it has, by id: the status
        self.dropped: Counter[str] = Counter()  # by processes that are gone

    # ---- processes, and their ends

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def process(self, number: int) -> Process:
        process = self.processes[number]
        if process is None:
            process = self.processes[number] = self.run(self.begun(self.max_bytes))
        return process

    async def begun(self, max_bytes: int) -> Process:
        self.made += 1
        cipher = self.ciphers[self.made % len(self.ciphers)]
        return Process(self.folder, max_bytes, cipher)  # before Python 3.10 a lock asks for its loop when it is made

    def files_but_of(self, others: List[Optional[Process]]) -> Dict[Path, bytes]:
        """Segments and their logs that no other process has: to read a file drops the locks that we have on it."""
        held = {path for other in others if other is not None for path in other.paths()}
        files = [path for path in self.folder.iterdir() if ".spool" in path.name]
        return {path: path.read_bytes() for path in files if path.with_suffix(".spool") not in held}

    @contextlib.contextmanager
    def death_of(self, number: int, after: int) -> Iterator[None]:
        """Kill process `number` within the block before its `after`-th statement, at the block's end at the latest."""
        process = self.process(number)
        others = [other for other in self.processes if other is not process]
        remains: Dict[Path, bytes] = {}
        left = after

        def before() -> None:
            nonlocal left
            left -= 1
            if left == -1:
                remains.update(self.files_but_of(others))
                raise Killed

        Mortal.before = staticmethod(before)
        try:
            yield
        except Killed:
            pass
        finally:
            Mortal.before = staticmethod(lambda: None)
        if left >= 0:
            remains.update(self.files_but_of(others))
        self.forget(number, was_killed=True)
        self.run(self.let_go(process))
        for path in self.files_but_of(others):
            path.unlink()
        for path, content in remains.items():
            path.write_bytes(content)

    async def let_go(self, process: Process) -> None:
        """Close what a process has open; what that does to its files is undone."""
        for owned in (process.spool._held.own, *process.spool._held.adopted.values()):
            for opened in owned.segments:
                await opened.close()
            if owned.lease is not None:
                owned.lease.connection.close()
        for in_hand in process.in_hand:
            await in_hand.batch.segment.close()

    def forget(self, number: int, *, was_killed: bool = False) -> None:
        process = self.processes[number]
        assert process is not None
        self.dropped.update(process.counters.snapshot().dropped)
        if was_killed:  # what it had in hand of segments that it had dropped is gone with it
            self.dropped["capacity"] += self.unseen(process)
        self.processes[number] = None

    def unseen(self, process: Process) -> int:
        """Events on their way whose segment was dropped meanwhile."""
        segments = set(process.spool.segments())
        return sum(len(x.batch.rows) for x in process.in_hand if x.batch.segment not in segments)

    # ---- what a process does

    async def write(self, process: Process, plan: List[str], size: int) -> None:
        records: List[Record] = []
        in_flight = list(process.in_flight)
        for step in plan:
            if step != "finish":
                self.calls += 1
                id_ = f"call-{self.calls}"
            elif in_flight:
                id_ = in_flight.pop(len(in_flight) // 2)
            else:
                continue
            if step in ("start", "both"):
                records.append(record(START, id_, "in_flight", size))
            if step == "start":
                in_flight.append(id_)
            else:
                records.append(record(EVENT, id_, "success", size))
        if not records:
            return
        events = {r.id for r in records if r.kind == EVENT}
        process.counters.accept(len(events))
        try:
            await process.spool.append(records)
        except Killed:
            self.perhaps |= {r.id for r in records}
            self.perhaps_ended |= events
            raise
        process.in_flight = in_flight
        self.began |= {r.id for r in records}
        self.ended |= events

    async def take(self, process: Process) -> None:
        batch = await process.spool.next_batch()
        if batch is not None:
            process.in_hand.append(InHand(batch))

    async def send(self, process: Process, in_hand: InHand) -> None:
        """Look up what may have been sent before, send the rest."""
        if in_hand.was_sent:
            return
        batch = in_hand.batch
        if batch.ambiguous_since is not None:
            found = [row for row in batch.rows if row.id in self.server]
            process.counters.deliver(len(found))
            rows = tuple(row for row in batch.rows if row not in found)
            in_hand.batch = batch = batch._replace(rows=rows, ambiguous_since=None)
            in_hand.is_marked = False
        if not in_hand.is_marked:
            await process.spool.mark(batch)
            in_hand.is_marked = True
        for row in batch.rows:
            assert row.id not in self.server, f"{row.id} comes again, although it was not marked as ambiguous"
            self.server[row.id] = json.loads(row.body)["metadata"]["status"]
        in_hand.was_sent = True

    async def settle(self, process: Process, in_hand: InHand) -> None:
        await self.send(process, in_hand)
        process.in_hand.remove(in_hand)
        process.counters.deliver(len(in_hand.batch.rows))
        await process.spool.settle(in_hand.batch)

    async def refuse(self, process: Process, in_hand: InHand) -> None:
        """Halve a batch, or move a single event to the dead letters."""
        batch = in_hand.batch
        if in_hand.was_sent or not in_hand.is_marked or batch.ambiguous_since is not None:
            return
        if len(batch.rows) > 1:
            process.in_hand.remove(in_hand)
            process.in_hand += [InHand(half) for half in await process.spool.split(batch)]
        elif batch.rows:
            process.in_hand.remove(in_hand)
            assert await process.spool.add_dead_letter(batch, 400, "refused")

    async def put_back(self, process: Process, in_hand: InHand) -> None:
        """The server certainly did not store it; it stays in hand."""
        if in_hand.is_marked and not in_hand.was_sent and in_hand.batch.ambiguous_since is None:
            await process.spool.unmark(in_hand.batch)
            in_hand.is_marked = False

    async def act(self, process: Process, what: str, pick: int, plan: List[str], size: int) -> None:
        if what == "write":
            await self.write(process, plan, size)
        elif what == "take":
            await self.take(process)
        elif what == "adopt":
            await process.spool.adopt()
        elif process.in_hand:
            in_hand = process.in_hand[pick % len(process.in_hand)]
            doing = {"send": self.send, "settle": self.settle, "refuse": self.refuse, "put back": self.put_back}
            await doing[what](process, in_hand)

    # ---- the rules

    @rule(number=processes, plan=plans, size=sizes)
    def writes(self, number: int, plan: List[str], size: int) -> None:
        self.run(self.act(self.process(number), "write", 0, plan, size))

    @rule(number=processes)
    def takes(self, number: int) -> None:
        self.run(self.act(self.process(number), "take", 0, [], 0))

    @rule(number=processes)
    def adopts(self, number: int) -> None:
        self.run(self.act(self.process(number), "adopt", 0, [], 0))

    @rule(number=processes, what=st.sampled_from(["send", "settle", "settle", "refuse", "put back"]), pick=picks)
    def delivers(self, number: int, what: str, pick: int) -> None:
        self.run(self.act(self.process(number), what, pick, [], 0))

    @rule(number=processes, plan=plans, size=sizes)
    def does_all_at_once(self, number: int, plan: List[str], size: int) -> None:
        process = self.process(number)

        async def at_once() -> None:
            doing = (self.write(process, plan, size), self.take(process), process.spool.adopt())
            await asyncio.gather(*doing, *(self.settle(process, in_hand) for in_hand in process.in_hand[:1]))

        self.run(at_once())

    @rule(number=processes)
    def is_killed(self, number: int) -> None:
        with self.death_of(number, 0):
            pass

    @rule(
        number=processes,
        what=st.sampled_from(["write", "take", "adopt", "send", "settle", "refuse", "put back"]),
        after=steps,
        pick=picks,
        plan=plans,
        size=sizes,
    )
    def is_killed_while_it(self, number: int, what: str, after: int, pick: int, plan: List[str], size: int) -> None:
        process = self.process(number)
        with self.death_of(number, after):
            self.run(self.act(process, what, pick, plan, size))

    @rule(number=processes, late=st.integers(0, 2))
    def ends(self, number: int, late: int) -> None:
        """Close the spool; then LiteLLM's exit handler reports some more calls, and the process ends."""
        process = self.process(number)
        self.run(process.spool.close())
        self.forget(number)
        writer = LateWriter(self.folder, process.spool.owner, process.cipher)
        for id_ in process.in_flight[:late]:
            writer.append(record(EVENT, id_, "success", 10))
            self.ended.add(id_)
        if writer._db is not None and writer._lease is not None:
            files = self.files_but_of(self.processes)
            writer._db.close()
            writer._lease.connection.close()
            for path, content in files.items():
                path.write_bytes(content)

    # ---- what holds

    @invariant()
    def the_numbers_add_up(self) -> None:
        for process in self.processes:
            if process is not None:
                stats = process.counters.snapshot()
                assert stats.pending == process.spool.pending + self.unseen(process)
                assert stats.accepted == stats.delivered + stats.pending + stats.dead + sum(stats.dropped.values())

    @invariant()
    def no_start_leaks(self) -> None:
        for process in self.processes:
            if process is not None:
                open_starts = [id_ for segment in process.spool.segments() for id_ in segment.open_starts]
                assert sorted(open_starts) == sorted(process.in_flight)
                if not process.in_flight and not process.in_hand and process.spool.pending == 0:
                    assert set(process.spool.segments()) <= {process.spool._held.active}

    @invariant()
    def nothing_was_damaged(self) -> None:
        assert not (self.folder / "quarantine").exists()

    def teardown(self) -> None:
        try:
            for number, process in enumerate(self.processes):
                if process is not None:
                    self.ends(number, 0)
            last: Process = self.run(self.begun(2**30))
            self.processes[0] = last
            while not last.spool.scan_complete or last.spool.pending:
                self.run(last.spool.adopt())
                self.run(self.take(last))
                for in_hand in list(last.in_hand):
                    self.run(self.settle(last, in_hand))
                self.the_numbers_add_up()
            self.nothing_was_damaged()
            self.run(last.spool.close())
            self.forget(0)
            self.all_is_accounted_for()
        finally:
            self.loop.close()
            shutil.rmtree(self.folder)

    def all_is_accounted_for(self) -> None:
        dead = {letter.id for letter in letters(self.folder)}
        assert set(self.server) | dead <= self.began | self.perhaps
        missing = self.began - set(self.server) - dead
        assert set(self.dropped) <= {"capacity"}
        assert len(missing) <= self.dropped["capacity"]
        for id_, status in self.server.items():
            if id_ in self.ended:
                assert status == "success", id_
            elif id_ not in self.perhaps_ended:
                assert status == "interrupted", id_
        left = [path.name for path in self.folder.iterdir() if ".spool" in path.name or path.name.endswith(".lease")]
        assert left == []


def record(kind: int, id_: str, status: str, size: int) -> Record:
    body = {"event_id": id_, "inputs": {"text": "x" * size}, "metadata": {"status": status}}
    return Record(kind, id_, 1.0, None, json.dumps(body).encode())


@pytest.fixture(autouse=True)
def _small_segments_and_mortal_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEGMENT_BYTES", 3000)
    monkeypatch.setattr(limits, "BATCH_EVENTS", 4)
    monkeypatch.setattr(connection, "AtomicConnection", Mortal)
    # A process may be killed that has a lease and no segment any more. The last process finds no lease too young.
    monkeypatch.setattr(lease, "NEW_LEASE_S", 0)


class FullSpoolMachine(SpoolMachine):
    """One whose segments are soon too many."""

    max_bytes = 60_000  # an adopted segment has 40 KB


class EncryptedSpoolMachine(SpoolMachine):
    """One whose processes seal with one of two keys, and have both."""

    ciphers = (Cipher([b"a" * KEY_BYTES, b"b" * KEY_BYTES]), Cipher([b"b" * KEY_BYTES, b"a" * KEY_BYTES]))

    def files_but_of(self, others: List[Optional[Process]]) -> Dict[Path, bytes]:
        files = super().files_but_of(others)
        assert not any(b"event_id" in content for content in files.values())
        return files


TestEncryptedSpool = EncryptedSpoolMachine.TestCase
TestEncryptedSpool.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
TestSpool = SpoolMachine.TestCase
TestSpool.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
TestFullSpool = FullSpoolMachine.TestCase
TestFullSpool.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
