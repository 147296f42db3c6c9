"""How fast a backlog is delivered, beside a bare aiohttp loop that posts the same bodies from memory.

    python benchmarks/drain.py            # 20,000 events of 3 KB, five rounds
    python benchmarks/drain.py --quick    # 10,000, two rounds

**honeyhive** is a fresh process on a prepared spool: it takes the segments over, reads, marks, posts and acknowledges.
**aiohttp** posts batches of 100 of the same bodies, as many at a time as we do, and looks at nothing but the status.
Each is a process of its own, in turns. The backend is in another one, on loopback: first this package's collector,
which decodes, checks and stores every event as a server does; then one that only counts, so that all there is to see
is the sender.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from contextlib import ExitStack
from typing import Dict, List, Optional, Sequence

from _common import (
    CHILD_TIMEOUT_S,
    Json,
    environment,
    environment_line,
    in_turns,
    median,
    parse,
    parser_for,
    result_of,
    spawn,
    table,
    write_report,
)
from _counting_server import CountingServer
from _internals import CONNECTIONS, fill, records, runtime

SENDERS = ("honeyhive", "aiohttp")
BACKENDS = ("collector", "counts only")
BATCH = 100


# ---- in the measured process


def child(job: Json) -> None:
    """Deliver all there is; print how long it took, and its CPU time."""
    import aiohttp  # noqa: F401  loading code is not sending

    if job["sender"] == "fill":
        fill(job["spool"], job["events"], job["bytes"])
        measured: Json = {}
    elif job["sender"] == "honeyhive":
        began, cpu = time.perf_counter(), time.process_time()
        draining = runtime(job["url"], job["spool"])
        left = draining.flush(CHILD_TIMEOUT_S)
        measured = {"s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}
        if left or draining.stats().delivered != job["events"]:
            raise RuntimeError(f"not all was delivered: {draining.stats()}")
    else:
        payloads = [record.body for record in records(job["events"], job["bytes"])]
        began, cpu = time.perf_counter(), time.process_time()
        asyncio.run(_post(job["url"], payloads))
        measured = {"s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}
    print(json.dumps(measured), flush=True)


async def _post(url: str, payloads: Sequence[bytes]) -> None:
    import aiohttp

    firsts = iter(range(0, len(payloads), BATCH))
    headers = {"Authorization": "Bearer hh_bench", "Content-Type": "application/json"}

    async def post_some() -> None:
        for first in firsts:
            body = b'{"events":[' + b",".join(payloads[first : first + BATCH]) + b"]}"
            async with session.post(f"{url}/v1/events/batch", data=body, headers=headers) as reply:
                await reply.read()
                reply.raise_for_status()

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(post_some() for _ in range(CONNECTIONS)))


# ---- in the measuring process


def measure(events: int, size: int, rounds: int, backend: str) -> Dict[str, List[Json]]:
    """Every round's samples, by sender."""
    samples: Dict[str, List[Json]] = {name: [] for name in SENDERS}
    with tempfile.TemporaryDirectory() as folder:
        job = {"events": events, "bytes": size, "spool": f"{folder}/full"}
        result_of(spawn(__file__, {**job, "sender": "fill"}))
        for sender in in_turns(SENDERS, rounds):
            spool = shutil.copytree(f"{folder}/full", f"{folder}/spool")
            with ExitStack() as stack:
                url = _url(stack, backend)
                job.update(spool=str(spool), url=url)
                samples[sender].append(result_of(spawn(__file__, {**job, "sender": sender})))
            shutil.rmtree(spool)
    for each in samples.values():
        for sample in each:
            sample.update(events_per_s=events / sample["s"], cpu_us=sample["cpu_s"] / events * 1e6)
    return samples


def _url(stack: ExitStack, backend: str) -> str:
    if backend != "collector":
        return stack.enter_context(CountingServer()).url
    from honeyhive_litellm.testing import Collector

    return stack.enter_context(Collector()).url


def report(result: Json) -> str:
    """The result as Markdown."""
    rows = []
    for backend, senders in result["backends"].items():
        for name, mine in senders.items():
            pairs = zip(mine, senders["aiohttp"])
            ratio = median([{"r": a["events_per_s"] / b["events_per_s"]} for a, b in pairs], "r")
            rates = sorted(sample["events_per_s"] for sample in mine)
            spread = f"{rates[0]:,.0f}-{rates[-1]:,.0f}"
            rate, cpu = median(mine, "events_per_s"), median(mine, "cpu_us")
            rows.append([backend, name, f"{rate:,.0f} ({spread})", f"x{ratio:.2f}", f"{cpu:,.0f}"])
    intro = f"{result['events']:,} events of {result['bytes']:,} bytes, {result['rounds']} rounds. "
    head = ["backend", "sender", "events/s (min-max)", "beside aiohttp", "CPU us/event"]
    return f"{intro}{environment_line(result['environment'])}\n\n{table(head, rows)}"


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = parser_for(__doc__, "5; quick 2")
    parser.add_argument("--events", type=int, help="events in the spool (20000; quick 10000)")
    parser.add_argument("--bytes", type=int, default=3072, help="of each (3072)")
    options = parse(parser, child, arguments)
    events = options.events or (10_000 if options.quick else 20_000)
    rounds = options.rounds or (2 if options.quick else 5)
    result: Json = {"environment": environment(), "events": events, "bytes": options.bytes, "rounds": rounds}
    result["backends"] = {backend: measure(events, options.bytes, rounds, backend) for backend in BACKENDS}
    write_report(result, report(result), options.json)


if __name__ == "__main__":
    main()
