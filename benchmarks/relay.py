"""How fast a relay takes events from a stream of a NATS broker to the backend, and what CPU time that costs.

    python benchmarks/relay.py            # 20,000 events of 3 KB, three rounds; a stream on one node, and on three
    python benchmarks/relay.py --quick    # 10,000, one round

The stream is filled first. The relay is a fresh process with four workers; the clock runs from its start, without the
time in which its code is loaded, until the backend has everything. The backend is a process of its own on loopback
that only counts, so that what is measured is the relay, the broker, and HTTP.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from typing import Dict, List, Optional, Sequence

from _common import (
    Json,
    environment,
    parse,
    parser_for,
    result_of,
    spawn,
    write_report,
)
from _counting_server import CountingServer
from _nats import NatsServers, report
from _relaying import fill_stream, relay_all

NODES = (1, 3)


# ---- in the measured process


def child(job: Json) -> None:
    """Fill the stream, or relay all that is in it; print how long that took, and its CPU time."""
    if job["part"] == "fill":
        asyncio.run(fill_stream(job["broker"], job["url"], job["events"], job["bytes"]))
        print(json.dumps({}), flush=True)
        return
    began, cpu = time.perf_counter(), time.process_time()
    asyncio.run(relay_all(job["broker"], job["url"], job["events"]))
    measured = {"s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}
    print(json.dumps(measured), flush=True)


# ---- in the measuring process


def measure(events: int, size: int, rounds: int, nodes: int) -> List[Json]:
    """A sample for each round."""
    samples = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder, NatsServers(folder, nodes) as broker, CountingServer() as backend:
            job = {"events": events, "bytes": size, "broker": broker.address, "url": backend.url}
            result_of(spawn(__file__, {**job, "part": "fill"}))
            sample = result_of(spawn(__file__, {**job, "part": "relay"}))
            if backend.counts()["events"] != events:
                raise RuntimeError(f"the backend got {backend.counts()['events']} of {events} events")
            sample.update(events_per_s=events / sample["s"], cpu_us=sample["cpu_s"] / events * 1e6)
            samples.append(sample)
    return samples


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = parser_for(__doc__, "3; quick 1")
    parser.add_argument("--events", type=int, help="events in the stream (20000; quick 10000)")
    parser.add_argument("--bytes", type=int, default=3072, help="of each (3072)")
    parser.add_argument("--nodes", type=int, choices=NODES, help="of the broker (both, in turns)")
    options = parse(parser, child, arguments)
    events = options.events or (10_000 if options.quick else 20_000)
    rounds = options.rounds or (1 if options.quick else 3)
    replicas: Dict[str, List[Json]] = {
        str(nodes): measure(events, options.bytes, rounds, nodes)
        for nodes in ([options.nodes] if options.nodes else NODES)
    }
    result: Json = {"environment": environment(), "events": events, "bytes": options.bytes, "rounds": rounds}
    result["replicas"] = replicas
    write_report(result, report(result), options.json)


if __name__ == "__main__":
    main()
