"""What faults of a fleet cost: of 50,000 events through a broker, how many are lost, doubled, and how long it stalls.

    python benchmarks/fleet_faults.py                           # the whole table: some nine minutes
    python benchmarks/fleet_faults.py --only leader,partition   # some rows
    python benchmarks/fleet_faults.py --quick                   # 4,000 events, short outages
    python benchmarks/fleet_faults.py --older 1a2b3c            # the commit of the other version in the row "versions"

Three nodes of a real broker, whose streams have three replicas, two relays, two processes that publish from their
spools at a steady rate, and the collector in this process, all on loopback. The fault comes when a fifth of the events
have arrived. An event counts once its spool has committed it. "stall" is the longest time in which a publisher got no
acknowledgement, "election" how long a killed leader's stream had no other one, by the brokers' logs. Needs `fork`.
Ends with status 1 if an event is lost or doubled, or if the broker's numbers do not add up.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

import _certificate
from _common import Json, environment, environment_line, parse, parser_for, table, write_report
from _fleet import DESTINATION, KEY, Access, Fleet, Size, publish_all
from _nats import NatsServers
from _partition import PartitionableRoutes

from honeyhive_litellm.testing import Collector

ROOT = Path(__file__).parents[1]
NODES = 3
RELAYS = 2
STREAM_BYTES = 2 * 2**30
SMALL_STREAM_BYTES = 8 * 2**20
SMALL_DISK_BYTES = 48 * 2**20
LARGE_BYTES = 2**20 - 2048
LARGE_FACTOR = 50
"""Of large events there are so many times fewer, as many times more slowly."""
REPLY_DELAY_S = 0.05
"""How long the collector's answers take while relays are ended, so that this happens in mid-batch."""


class Outages(NamedTuple):
    """How long a fault lasts, in seconds, and how often a process ends."""

    short_s: float
    long_s: float
    ends: int


class Fault(NamedTuple):
    """A row. `happen` does it; the rest is what the fleet is made of. `bytes` replaces the usual size of an event."""

    about: str
    happen: Callable[[Fleet, Outages], None]
    stream_bytes: int = STREAM_BYTES
    bytes: int = 0
    forks: int = 0
    spools: str = "shared"
    refused_of: int = 0
    """The collector refuses one event in so many for good."""


# ---- what happens


def nothing(_fleet: Fleet, _outages: Outages) -> None:
    pass


def kill_follower(fleet: Fleet, outages: Outages) -> None:
    _kill_node(fleet, (fleet.leader() + 1) % len(fleet.nodes), outages)


def kill_leader(fleet: Fleet, outages: Outages) -> None:
    leader = fleet.leader()
    fleet.leader_killed_at = time.time()
    _kill_node(fleet, leader, outages)


def _kill_node(fleet: Fleet, number: int, outages: Outages) -> None:
    fleet.nodes[number].end()
    time.sleep(outages.short_s)
    fleet.nodes[number].start()
    fleet.servers.wait_until_healthy()


def hang_leader(fleet: Fleet, outages: Outages) -> None:
    leader = fleet.nodes[fleet.leader()]
    leader.send(signal.SIGSTOP)
    time.sleep(outages.long_s)
    leader.send(signal.SIGCONT)


def kill_all_nodes(fleet: Fleet, outages: Outages) -> None:
    for node in fleet.nodes:
        node.end()
    time.sleep(outages.long_s)
    for node in fleet.nodes:
        node.start()
    fleet.servers.wait_until_healthy()


def restart_nodes_in_turn(fleet: Fleet, _outages: Outages) -> None:
    for node in fleet.nodes:
        node.end(signal.SIGTERM)
        node.start()
        fleet.servers.wait_until_healthy()


def kill_relays(fleet: Fleet, outages: Outages) -> None:
    _end_relays(fleet, outages, signal.SIGKILL)


def end_relays(fleet: Fleet, outages: Outages) -> None:
    _end_relays(fleet, outages, signal.SIGTERM)


def _end_relays(fleet: Fleet, outages: Outages, number: int) -> None:
    fleet.collector.delay(REPLY_DELAY_S, path="/v1/events/batch", after=True)
    for kill in range(outages.ends):
        relay = fleet.relays[kill % RELAYS]
        relay.end(number)
        relay.start()
        fleet.wait_for_deliveries(200)
    fleet.collector.clear()


def kill_publishers(fleet: Fleet, outages: Outages) -> None:
    _kill_publishers(fleet, outages, pause_s=0)


def kill_publishers_beyond_window(fleet: Fleet, outages: Outages) -> None:
    """The broker's memory for duplicates is 0.1 s long; between a kill and the start after it is a second."""
    fleet.change_duplicate_window(0.1)
    _kill_publishers(fleet, outages, pause_s=1)


def _kill_publishers(fleet: Fleet, outages: Outages, pause_s: float) -> None:
    for kill in range(outages.ends // 2):
        publisher = fleet.publishers[kill % len(fleet.publishers)]
        publisher.kill()
        time.sleep(pause_s)
        publisher.start()
        fleet.wait_for_deliveries(200)


def fill_stream(fleet: Fleet, outages: Outages) -> None:
    fleet.collector.down()
    fleet.wait(lambda: fleet.status()["bytes"] > 0.95 * SMALL_STREAM_BYTES, "a full stream")
    time.sleep(outages.short_s)
    fleet.collector.up()


def lose_replies(fleet: Fleet, outages: Outages) -> None:
    """The collector stores a batch and never answers."""
    fleet.collector.hang(times=outages.ends, path="/v1/events/batch", after=True)


def partition_leader(fleet: Fleet, outages: Outages) -> None:
    """The leader and the other nodes do not reach each other. Everybody else reaches every node."""
    leader = fleet.nodes[fleet.leader()]
    assert fleet.routes is not None
    fleet.routes.cut(leader)
    time.sleep(outages.long_s)
    fleet.routes.restore()
    fleet.servers.wait_until_healthy()


def fill_disk_of_leader(fleet: Fleet, outages: Outages) -> None:
    """The disk of the leader has no byte left. Then there is room again, and the node is started anew."""
    leader = fleet.nodes[fleet.leader()]
    filler = leader.store / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(2**12))
        except OSError:
            pass
    time.sleep(outages.long_s)
    filler.unlink()
    leader.end(signal.SIGTERM)
    leader.start()
    fleet.servers.wait_until_healthy()


def make_dead_stream(fleet: Fleet, outages: Outages) -> None:
    """The collector refuses some events, and the stream of dead letters was missing until now."""
    time.sleep(outages.short_s)
    fleet.make_streams(STREAM_BYTES)


def change_security(fleet: Fleet, outages: Outages) -> None:
    """A new certificate, then the application may not publish for a while; then a node is killed: all connect anew."""
    _certificate.write(fleet.folder)
    _reload(fleet, secured(fleet.folder))
    _reload(fleet, secured(fleet.folder, subject="nothing"))
    time.sleep(outages.short_s)
    _reload(fleet, secured(fleet.folder))
    kill_leader(fleet, outages)


def _reload(fleet: Fleet, configuration: str) -> None:
    fleet.servers.configure(configuration)
    for node in fleet.nodes:
        node.send(signal.SIGHUP)


def secured(folder: Path, subject: str = f"honeyhive.events.{DESTINATION}") -> str:
    """A broker's configuration with a certificate and two users. The application may publish on `subject`."""
    return f"""
tls {{ cert_file: "{folder}/server.pem", key_file: "{folder}/server.key" }}
accounts {{ HH {{ jetstream: enabled, users: [
  {{ user: app, password: secret, permissions: {{ publish: ["{subject}"], subscribe: ["_INBOX.hhapp.>"] }} }}
  {{ user: relay, password: secret, permissions: {{ publish: ["$JS.API.>", "$JS.ACK.>", "honeyhive.>"]
                                                subscribe: ["_INBOX.hhrelay.>"] }} }}
] }} }}
"""


# ---- the table


FAULTS: Dict[str, Fault] = {
    "none": Fault("nothing happens", nothing),
    "follower": Fault("a follower is killed, and started again", kill_follower),
    "leader": Fault("the leader is killed, and started again", kill_leader),
    "hang": Fault("the leader hangs", hang_leader),
    "partition": Fault("the leader and the other nodes do not reach each other", partition_leader),
    "nodes": Fault("all nodes are killed, and started again", kill_all_nodes),
    "rolling": Fault("all nodes are restarted, one after the other", restart_nodes_in_turn),
    "disk": Fault("the disk of the leader is full", fill_disk_of_leader, stream_bytes=SMALL_STREAM_BYTES),
    "relays": Fault("relays are killed in mid-batch", kill_relays),
    "sigterm": Fault("relays end by SIGTERM in mid-batch", end_relays),
    "publishers": Fault("publishers are killed", kill_publishers),
    "window": Fault("publishers are killed, and the broker forgets what it got", kill_publishers_beyond_window),
    "full": Fault("the collector is down until the stream is full", fill_stream, stream_bytes=SMALL_STREAM_BYTES),
    "replies": Fault("the collector stores batches and never answers", lose_replies),
    "dead": Fault("one event in 100 is refused; no stream for dead letters", make_dead_stream, refused_of=100),
    "secured": Fault("certificate and permissions change, then the leader is killed", change_security),
    "versions": Fault("one of the relays is of another version", nothing),
    "fork": Fault("each publisher is four forked processes with one spool", nothing, forks=3),
    "large": Fault("events of nearly 1 MiB", nothing, bytes=LARGE_BYTES),
    "applications": Fault("100 publishers, each with a spool of its own", nothing, forks=49, spools="apart"),
}


def measure(name: str, size: Size, outages: Outages, older: str) -> Json:
    """A row: what became of the events. Raises RowError if this machine cannot have what the row needs."""
    fault = FAULTS[name]
    if fault.bytes:
        size = size._replace(events=size.events // LARGE_FACTOR, rate=size.rate / LARGE_FACTOR, bytes=fault.bytes)
    size = size._replace(forks=fault.forks, spools=fault.spools)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="honeyhive-fleet-")))
        collector = stack.enter_context(Collector(keys={KEY}))
        fleet = stack.enter_context(_fleet(name, folder, collector, stack))
        fleet.make_streams(fault.stream_bytes)
        if name == "dead":
            fleet.remove_dead_stream()
        sources: List[Optional[Path]] = [None] * RELAYS
        if name == "versions":
            sources[0] = package_of(older, folder / "other")
        began = time.monotonic()
        fleet.start(size, sources)
        if fault.refused_of:
            fleet.refuse_each(fault.refused_of)
        fleet.wait_for_deliveries(size.events // 5)
        fault.happen(fleet, outages)
        for publisher in fleet.publishers:
            publisher.finish()
        fleet.wait(lambda: fleet.status()["waiting"] == 0, "an empty stream")
        return {"name": name, "about": fault.about, "s": time.monotonic() - began, **_outcome(fleet, fault)}


def _fleet(name: str, folder: Path, collector: Collector, stack: ExitStack) -> Fleet:
    routes = stack.enter_context(PartitionableRoutes()) if name == "partition" else None
    extra = authority = ""
    if name == "secured":
        authority = str(_certificate.write(folder))
        extra = secured(folder)
    servers = NatsServers(str(folder), NODES, extra=extra, route=routes.port if routes else None)
    access = Access(servers.address, servers.address)
    if authority:
        application, relay = (servers.address_of("tls", f"{user}:secret@") for user in ("app", "relay"))
        access = Access(application, relay, authority)
    if name == "disk":
        for node in servers.nodes:
            stack.enter_context(small_disk(node.store))
    stack.enter_context(servers)
    return Fleet(__file__, folder, servers, access, collector, routes)


def _outcome(fleet: Fleet, fault: Fault) -> Json:
    expected = {id_ for publisher in fleet.publishers for id_ in publisher.expected}
    if fault.refused_of:
        expected -= fleet.refused
    receipts = fleet.collector.receipts
    numbers = fleet.status()
    parts = sum(numbers[part] for part in ("delivered", "waiting", "dead", "purged"))
    return {
        "events": len(expected) + numbers["dead"],
        "wanted": sum(publisher.count for publisher in fleet.publishers),
        "lost": len(expected - set(receipts)),
        "doubled": sum(times - 1 for times in receipts.values()),
        "dead": numbers["dead"],
        "expected_dead": len(fleet.refused),
        "is_balanced": numbers["accepted"] == parts,
        "published_twice": numbers["accepted"] - numbers["dead"] - len(receipts),
        "stall_s": max(publisher.stall_s for publisher in fleet.publishers),
        "election_s": fleet.election_s(),
    }


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system in memory there, without much room. Raises RowError if this process may not mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RowError(f"a small disk cannot be mounted: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def package_of(commit: str, folder: Path) -> Path:
    """The package as it was at this commit, in a folder for PYTHONPATH. Raises RowError if git has it not."""
    done = subprocess.run(["git", "archive", commit, "honeyhive_litellm"], capture_output=True, cwd=ROOT, check=False)
    if done.returncode:
        raise RowError(f"git has no such commit: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder)
    return folder


class RowError(Exception):
    """A row cannot be measured on this machine. The text says why."""


def is_good(row: Json) -> bool:
    """All that was to be published was, nothing is lost or doubled, and every number adds up."""
    if "why_not" in row:
        return True
    is_whole = row["events"] == row["wanted"] and row["dead"] == row["expected_dead"] and row["is_balanced"]
    return is_whole and not row["lost"] and not row["doubled"]


def report(result: Json) -> str:
    lines = []
    for row in result["rows"]:
        if "why_not" in row:
            lines.append([row["about"], f"not measured: {row['why_not']}", *[""] * 7])
            continue
        counts = [f"{row[name]:,}" for name in ("events", "lost", "doubled", "dead", "published_twice")]
        election = "" if row["election_s"] is None else f"{row['election_s']:.1f}"
        lines.append([row["about"], *counts, f"{row['stall_s']:.1f}", election, f"{row['s']:.0f}"])
    head = ["fault", "events", "lost", "doubled", "dead letters", "published twice", "stall s", "election s", "s"]
    size = f"{result['events']:,} events of {result['bytes']:,} bytes, {result['rate']:,.0f} a second"
    return f"{size}. {environment_line(result['environment'])}\n\n{table(head, lines)}"


def main(arguments: Optional[Sequence[str]] = None) -> int:
    parser = parser_for(__doc__, rounds=None)
    parser.add_argument("--quick", action="store_true", help="4,000 events and short outages")
    parser.add_argument("--only", default="", help=f"some rows, with commas between: {' '.join(FAULTS)}")
    parser.add_argument("--events", type=int, help="for each row (50000; quick 4000)")
    parser.add_argument("--bytes", type=int, default=3072, help="of each (3072)")
    parser.add_argument("--rate", type=float, default=4_000, help="events a second, of all publishers (4000)")
    parser.add_argument("--older", default="HEAD~1", metavar="COMMIT", help="the other version (HEAD~1)")
    options = parse(parser, publish_all, arguments)
    names = [name for name in options.only.split(",") if name] or list(FAULTS)
    unknown = set(names) - set(FAULTS)
    if unknown:
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}")
    size = Size(options.events or (4_000 if options.quick else 50_000), options.bytes, options.rate)
    outages = Outages(1.0, 6.0, 4) if options.quick else Outages(3.0, 20.0, 10)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no node and no relay is left
    result: Json = {"environment": environment(), **size._asdict(), "rows": []}
    for name in names:
        try:
            row = measure(name, size, outages, options.older)
        except RowError as error:
            row = {"name": name, "about": FAULTS[name].about, "why_not": str(error)}
        print(name, "good" if is_good(row) else f"NOT GOOD: {row}", file=sys.stderr, flush=True)
        result["rows"].append(row)
    write_report(result, report(result), options.json)
    return int(not all(is_good(row) for row in result["rows"]))


if __name__ == "__main__":
    sys.exit(main())
