"""A writing process is killed by SIGKILL at a random moment, again and again. Is all there that it had acknowledged?

    python benchmarks/kills.py                # 1,000 kills, about three minutes
    python benchmarks/kills.py --kills 50
    python benchmarks/kills.py --kills 200 --encrypted

One process forks a writer, kills it some milliseconds later, forks the next one on the same spool. A writer puts tiny
records through the package's own runtime, without LiteLLM, takes over what the killed ones left, delivers to the
collector (on loopback, in the measuring process), and writes to a pipe how many of its events are committed. One
call in five never ends. At the end a process drains the spool, and everything that was ever acknowledged is looked for.
With `--encrypted` the writers encrypt, in turns with two keys, as while one replaces the other, and after the last kill
every byte of the spool is searched for content. Needs `fork`. Ends with status 1 if an acknowledged event is missing,
something came twice, a file was damaged, or content was readable.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from _common import Json, measured_environment, output_of, parse, parser_for, spawn, write_report
from _internals import new_key, record, runtime

MEAN_LIFE_S = 0.12
LONGEST_LIFE_S = 1.0
"""From the fork to the kill, exponentially distributed; the first event is committed after some 15 ms."""

CALLS_OF_WHICH_ONE_NEVER_ENDS = 5
LOOKUP_DELAY_S = 1.0
VISIBLE_AFTER_S = 0.2
DRAIN_S = 240
_NAMES = uuid.UUID("8e1b5a0e-7a43-4f57-9d0c-1d2f7c5a1c11")
_ACK_BYTES = 8
_KEYS_VARIABLE = "HONEYHIVE_SPOOL_KEY"


def call_id(writer: int, call: int) -> str:
    """The event id of a writer's call."""
    return str(uuid.uuid5(_NAMES, f"{writer} {call}"))


def has_end(call: int) -> bool:
    return call % CALLS_OF_WHICH_ONE_NEVER_ENDS != CALLS_OF_WHICH_ONE_NEVER_ENDS - 1


def last_acknowledged(events: int) -> int:
    """The number of the call whose end is the *events*-th; all calls before it had begun."""
    in_a_row = CALLS_OF_WHICH_ONE_NEVER_ENDS - 1
    return (events - 1) // in_a_row * CALLS_OF_WHICH_ONE_NEVER_ENDS + (events - 1) % in_a_row


def child(job: Json) -> None:
    print(json.dumps(kill_writers(job) if job["part"] == "kill" else drain(job)))


# ---- in the process that forks the writers, which has no other thread


def kill_writers(job: Json) -> List[int]:
    """Fork and kill so many writers; how many events each of them knew to be committed."""
    chance = random.Random(job["seed"])
    keys = os.environ.get(_KEYS_VARIABLE, "").split()
    forked = [_runtime(job, keys), _runtime(job, keys[::-1])]  # without keys, the same one
    acknowledged = []
    for number in range(job["kills"]):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _write(forked[number % 2], number, writing, random.Random(f"{job['seed']} {number}"))
        os.close(writing)
        time.sleep(min(chance.expovariate(1 / MEAN_LIFE_S), LONGEST_LIFE_S))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            raise RuntimeError(f"writer {number} ended by itself, with status {status}")
        with os.fdopen(reading, "rb") as pipe:
            acknowledgements = pipe.read()
        acknowledged.append(int(acknowledgements[-_ACK_BYTES:]) if acknowledgements else 0)
    return acknowledged


def _write(writing: Any, number: int, pipe: int, chance: random.Random) -> None:
    """Write until killed. A pipe takes thousands of acknowledgements before it would block."""
    call = 0
    acknowledged = 0
    while True:
        for _ in range(chance.randint(1, 30)):
            id_ = call_id(number, call)
            body = b'{"event_id":"%s","event_type":"model","inputs":{},"metadata":{"status":"%s"}}'
            writing.submit(record("start", id_, body % (id_.encode(), b"in_flight")))
            if has_end(call):
                writing.submit(record("event", id_, body % (id_.encode(), b"success")))
            call += 1
        writing.flush(0.0)  # waits for nothing, but sends at once
        stats = writing.stats()
        committed = stats.committed - stats.adopted
        if committed > acknowledged:
            acknowledged = committed
            os.write(pipe, b"%*d" % (_ACK_BYTES, acknowledged))
        time.sleep(chance.uniform(0, 0.004))


def drain(job: Json) -> Json:
    """Deliver all that is left, as the next process; its numbers."""
    draining = _runtime(job, os.environ.get(_KEYS_VARIABLE, "").split())
    left = draining.flush(DRAIN_S)
    draining.shutdown(5.0)
    return {"left": left, "dropped": draining.stats().dropped}


def _runtime(job: Json, keys: Sequence[str]) -> Any:
    return runtime(job["url"], job["spool"], lookup_delay=LOOKUP_DELAY_S, spool_key=keys or None)


# ---- in the measuring process


def measure(kills: int, seed: int, *, encrypted: bool) -> Json:
    """Kill, drain, and count what is missing."""
    from honeyhive_litellm.testing import Collector

    with Collector(visible_after_s=VISIBLE_AFTER_S) as collector, tempfile.TemporaryDirectory() as folder:
        job: Json = {"url": collector.url, "spool": f"{folder}/spool", "kills": kills, "seed": seed}
        variables = {_KEYS_VARIABLE: f"{new_key()} {new_key()}"} if encrypted else {}
        began = time.monotonic()
        acknowledged, warnings = _run({**job, "part": "kill"}, 60 + kills * 2, variables)
        before = len(collector.receipts)
        readable = sum(b"event_type" in path.read_bytes() for path in Path(job["spool"]).rglob("*") if path.is_file())
        drained, more = _run({**job, "part": "drain"}, DRAIN_S + 60, variables)
        expected = {
            call_id(number, call): "success" if has_end(call) else "interrupted"
            for number, events in enumerate(acknowledged)
            if events
            for call in range(last_acknowledged(events) + 1)
        }
        arrived = {event["event_id"]: event["metadata"]["status"] for event in collector.events}
        return {
            "kills": kills,
            "seed": seed,
            "seconds": round(time.monotonic() - began, 1),
            "acknowledged events": sum(acknowledged),
            "writers that had acknowledged some": sum(map(bool, acknowledged)),
            "arrived": len(arrived),
            "arrived before the last kill": before,
            "interrupted": sum(status == "interrupted" for status in arrived.values()),
            "lost": sum(id_ not in arrived for id_ in expected),
            "of another status": sum(arrived.get(id_, status) != status for id_, status in expected.items()),
            "duplicates": sum(collector.receipts.values()) - len(arrived),
            "undelivered": drained["left"],
            "dropped": drained["dropped"],
            # The ledger stays; the lease of a writer that was killed before its first commit goes after some seconds.
            "files with readable content": readable if encrypted else 0,
            "files left": sorted(path.name for path in Path(job["spool"]).rglob("*.spool*")),
            "warnings": sorted({*warnings, *more}),
        }


def is_sound(result: Json) -> bool:
    """Whether everything that was acknowledged arrived once, and nothing was damaged or left behind."""
    zero = ("lost", "of another status", "duplicates", "undelivered", "files with readable content")
    return not any(result[name] for name in (*zero, "dropped", "files left", "warnings"))


def _run(job: Json, timeout_s: float, variables: Dict[str, str]) -> Any:
    """One of the functions above in a process of its own: what it returns, and the lines it logged."""
    process = spawn(__file__, job, environment={**measured_environment(), **variables})
    out, errors = output_of(process, timeout_s)
    return json.loads(out), errors.splitlines()


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = parser_for(__doc__, rounds=None)
    parser.add_argument("--kills", type=int, default=1000, help="how many writers are killed (1000)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the random moments")
    parser.add_argument("--encrypted", action="store_true", help="with two keys, which are changed in turns")
    options = parse(parser, child, arguments)
    result = measure(options.kills, options.seed, encrypted=options.encrypted)
    write_report(result, "\n".join(f"{name}: {value}" for name, value in result.items()), options.json)
    sys.exit(0 if is_sound(result) else 1)


if __name__ == "__main__":
    main()
