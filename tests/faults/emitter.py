"""A program without LiteLLM that records many events, for tests of many kills and restarts."""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
import uuid
from typing import Any, Dict, Mapping, Optional

from honeyhive_litellm import Settings
from honeyhive_litellm._runtime.lifecycle import runtime_for
from honeyhive_litellm._runtime.runtime import Runtime
from honeyhive_litellm._spool import limits
from honeyhive_litellm._spool.record import EVENT, IN_FLIGHT, START, Record
from tests.waiting import until


class NoLiteLLM:
    """Stands where LiteLLM would."""

    def tokens(self, model: Optional[str], prompt: object) -> Optional[int]:
        return None

    def cost(self, response: object, call_type: str, model: str) -> Optional[float]:
        return None

    def has_price(self, provider: Optional[str], model: Optional[str]) -> bool:
        return False

    def hides_content(self, call_details: Mapping[str, Any]) -> bool:
        return False

    def reports_batch_lines(self) -> bool:
        return False


def event_id(run: str, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{run} {number}"))


def record(kind: int, run: str, number: int) -> Record:
    id_ = event_id(run, number)
    now_ms = time.time() * 1000
    body: Dict[str, object] = {
        "event_id": id_,
        "event_type": "model",
        "event_name": "e",
        "start_time": now_ms,
        "inputs": {"n": number},
    }
    if kind == START:
        body["metadata"] = {"status": IN_FLIGHT}
    return Record(kind, id_, now_ms, None, json.dumps(body).encode())


def committed(runtime: Runtime) -> int:
    stats = runtime.stats()
    return stats.committed - stats.adopted


def main(run: str, count: int, pause_s: float) -> None:
    """Begin and end `count` calls, or calls without end if it is 0, and begin one more that never ends.

    Prints every now and then how many events are on disk, and "committed" when all are. Then waits for a line, hands
    over or delivers, prints how many are undelivered and waits again.
    """
    limits.SEGMENT_BYTES = 60_000
    runtime = runtime_for(Settings.resolve(os.environ), NoLiteLLM())
    for number in range(count) if count else itertools.count():
        runtime.submit(record(START, run, number))
        runtime.submit(record(EVENT, run, number))
        time.sleep(pause_s)
        if number % 20 == 19:
            print(committed(runtime), flush=True)
    runtime.submit(record(START, run, count))  # never ends
    until(lambda: committed(runtime) >= count, what=runtime.stats)
    print("committed", flush=True)
    sys.stdin.readline()
    print(runtime.flush(20), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
