"""How fast an application's spool goes to a stream of a NATS broker, and what CPU time that costs.

    python benchmarks/broker.py            # 20,000 events of 3 KB, three rounds; a stream on one node, and on three
    python benchmarks/broker.py --quick    # 10,000, one round

The spool is filled first. The application is a fresh process; the clock runs from the start of its runtime until the
broker has acknowledged everything and the spool is settled. All nodes share the machine with it.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from typing import Dict, List, Optional, Sequence

from _common import (
    CHILD_TIMEOUT_S,
    UNREACHABLE,
    Json,
    environment,
    parse,
    parser_for,
    result_of,
    spawn,
    write_report,
)
from _internals import fill, runtime
from _nats import NatsServers, report

NODES = [1, 3]


# ---- in the measured process


def child(job: Json) -> None:
    """Make the stream, fill the spool, or publish all that is in it; print how long that took, and its CPU time."""
    measured: Json = {}
    if job["part"] == "stream":
        from _relaying import fill_stream  # it loads the NATS client

        asyncio.run(fill_stream(job["broker"], UNREACHABLE, 0, 0))
    elif job["part"] == "fill":
        fill(f"{job['spool']}/destinations/bench", job["events"], job["bytes"])  # the folder of that destination
    else:
        began, cpu = time.perf_counter(), time.process_time()
        publishing = runtime(UNREACHABLE, job["spool"], broker=job["broker"], broker_destination="bench")
        if publishing.flush(CHILD_TIMEOUT_S) or publishing.stats().delivered != job["events"]:
            raise RuntimeError(f"not all was published: {publishing.stats()}")
        measured = {"s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}
    print(json.dumps(measured), flush=True)


# ---- in the measuring process


def measure(events: int, size: int, rounds: int, nodes: int) -> List[Json]:
    """A sample for each round."""
    samples = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder, NatsServers(folder, nodes) as broker:
            job = {"events": events, "bytes": size, "broker": broker.address, "spool": f"{folder}/spool"}
            for part in ("stream", "fill"):
                result_of(spawn(__file__, {**job, "part": part}))
            sample = result_of(spawn(__file__, {**job, "part": "publish"}))
            sample.update(events_per_s=events / sample["s"], cpu_us=sample["cpu_s"] / events * 1e6)
            samples.append(sample)
    return samples


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = parser_for(__doc__, "3; quick 1")
    parser.add_argument("--events", type=int, help="events in the spool (20000; quick 10000)")
    parser.add_argument("--bytes", type=int, default=3072, help="of each (3072)")
    parser.add_argument("--nodes", type=int, nargs="+", default=NODES, help="nodes and replicas (1 3)")
    options = parse(parser, child, arguments)
    events = options.events or (10_000 if options.quick else 20_000)
    rounds = options.rounds or (1 if options.quick else 3)
    replicas: Dict[str, List[Json]] = {str(n): measure(events, options.bytes, rounds, n) for n in options.nodes}
    result: Json = {"environment": environment(), "events": events, "bytes": options.bytes, "rounds": rounds}
    result["replicas"] = replicas
    write_report(result, report(result), options.json)


if __name__ == "__main__":
    main()
