"""How fast a relay takes events from a stream of a NATS broker to the backend, and what CPU time that costs.

    python benchmarks/relay.py            # 20,000 events of 3 KB, three rounds; a stream on one node, and on three
    python benchmarks/relay.py --quick    # 10,000, one round
    python benchmarks/relay.py --events 3500000 --rounds 1 --nodes 1 --restart    # a backlog of 10 GB: some 15 minutes

The stream is filled first. The relay is a fresh process with four workers; the clock runs from its start, without the
time in which its code is loaded, until the backend has everything. The backend is a process of its own on loopback
that only counts, so that what is measured is the relay, the broker, and HTTP. With `--restart` all nodes are killed
when the stream is full, and started again: how long until they are ready is measured as well.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from typing import Dict, List, Optional, Sequence

from _common import (
    CHILD_TIMEOUT_S,
    Json,
    environment,
    parse,
    parser_for,
    peak_bytes,
    result_of,
    spawn,
    write_report,
)
from _counting_server import CountingServer
from _nats import NatsServers, report
from _relaying import fill_stream, relay_all

NODES = (1, 3)
LEAST_PER_S = 1_000
"""A machine that is slower than that is waited for in vain."""


# ---- in the measured process


def child(job: Json) -> None:
    """Fill the stream, or relay all that is in it; print how long that took, and its CPU time."""
    if job["part"] == "fill":
        asyncio.run(fill_stream(job["broker"], job["url"], job["events"], job["bytes"]))
        print(json.dumps({}), flush=True)
        return
    began, cpu = time.perf_counter(), time.process_time()
    before = peak_bytes()
    asyncio.run(relay_all(job["broker"], job["url"], job["events"], timeout_s(job["events"])))
    measured = {"s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}
    measured.update(more_bytes=peak_bytes() - before, bytes=peak_bytes())
    print(json.dumps(measured), flush=True)


# ---- in the measuring process


def timeout_s(events: int) -> float:
    return CHILD_TIMEOUT_S + events / LEAST_PER_S


def measure(events: int, size: int, rounds: int, nodes: int, *, is_restarted: bool) -> List[Json]:
    """A sample for each round."""
    samples = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder, NatsServers(folder, nodes) as broker, CountingServer() as backend:
            job = {"events": events, "bytes": size, "broker": broker.address, "url": backend.url}
            result_of(spawn(__file__, {**job, "part": "fill"}), timeout_s(events))
            restart_s = restart(broker) if is_restarted else None
            sample = result_of(spawn(__file__, {**job, "part": "relay"}), timeout_s(events))
            sample["restart_s"] = restart_s
            if backend.counts()["events"] != events:
                raise RuntimeError(f"the backend got {backend.counts()['events']} of {events} events")
            sample.update(events_per_s=events / sample["s"], cpu_us=sample["cpu_s"] / events * 1e6)
            samples.append(sample)
    return samples


def restart(broker: NatsServers) -> float:
    """Kill all nodes and start them again; after so many seconds they say that they are ready."""
    for node in broker.nodes:
        node.end()
    began = time.perf_counter()
    for node in broker.nodes:
        node.start()
    broker.wait_until_healthy()
    return time.perf_counter() - began


def memory_report(result: Json) -> str:
    """What memory the relays took, and how long restarts did, a line for each sample."""
    lines = []
    for nodes, samples in result["replicas"].items():
        for sample in samples:
            grown, most = (sample[name] / 2**20 for name in ("more_bytes", "bytes"))
            line = f"replicas {nodes}: the relay grew by {grown:.0f} MB, to {most:.0f} MB"
            if sample["restart_s"] is not None:
                line += f"; killed nodes were ready again after {sample['restart_s']:.1f} s"
            lines.append(line)
    return "\n".join(lines)


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = parser_for(__doc__, "3; quick 1")
    parser.add_argument("--events", type=int, help="events in the stream (20000; quick 10000)")
    parser.add_argument("--bytes", type=int, default=3072, help="of each (3072)")
    parser.add_argument("--nodes", type=int, choices=NODES, help="of the broker (both, in turns)")
    parser.add_argument("--restart", action="store_true", help="kill and start the nodes once the stream is full")
    options = parse(parser, child, arguments)
    events = options.events or (10_000 if options.quick else 20_000)
    rounds = options.rounds or (1 if options.quick else 3)
    replicas: Dict[str, List[Json]] = {
        str(nodes): measure(events, options.bytes, rounds, nodes, is_restarted=options.restart)
        for nodes in ([options.nodes] if options.nodes else NODES)
    }
    result: Json = {"environment": environment(), "events": events, "bytes": options.bytes, "rounds": rounds}
    result["replicas"] = replicas
    write_report(result, f"{report(result)}\n\n{memory_report(result)}", options.json)


if __name__ == "__main__":
    main()
