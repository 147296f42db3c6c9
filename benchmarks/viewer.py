"""How long the collector's pages take with many events, and what they cost its insertion rate.

    python benchmarks/viewer.py [--quick] [--json FILE]

Fills a database with events of 3 KB, then asks for every page and for searches, over HTTP, from another process'
server: median and p95 of some requests each. Then a trace of 2,000 events, and the rate at which a collector with
pages and one without take batches of 100 events, in turns.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from honeyhive_litellm.collector._index import Index
from honeyhive_litellm.collector._store import Store

Json = Dict[str, Any]

SERVER = """
import asyncio, sys
from honeyhive_litellm.collector import PageOptions, Server

async def main():
    pages = PageOptions() if sys.argv[2] == "pages" else None
    async with Server(db=sys.argv[1], pages=pages) as server:
        print(server.url, server.page_link if pages else "-", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""
MODELS = (
    ("gpt-4o-mini", "openai"),
    ("gpt-4o", "openai"),
    ("claude-sonnet-4-5", "anthropic"),
    ("gemini-2.5-pro", "gemini"),
)
TRACE = "7ace0000-0000-4000-8000-000000000000"
LIMITS_MS = {"/": 50.0}
LIMIT_MS = 150.0
TRACE_LIMIT_MS = 1000.0
RATE_LIMIT = 0.9


class Words:
    """Prose of a large vocabulary, of which some words are common."""

    def __init__(self, chance: random.Random) -> None:
        letters = "abcdefghijklmnopqrstuvwxyz"
        vocabulary = ["".join(chance.choices(letters, k=chance.randint(2, 10))) for _ in range(20_000)]
        ranks = (min(int(chance.paretovariate(0.6)), len(vocabulary) - 1) for _ in range(300_000))
        self._text = " ".join(vocabulary[rank] for rank in ranks)
        self._chance = chance

    def piece(self, length: int) -> str:
        start = self._chance.randrange(len(self._text) - length)
        return self._text[start : start + length]


def events(count: int, seed: int = 7) -> Iterator[Json]:
    """Events of 3 KB, one a second up to now, in sessions of ten."""
    chance = random.Random(seed)
    words = Words(chance)
    first_ms = (time.time() - count) * 1000.0
    session = ""
    for number in range(count):
        if number % 10 == 0:
            session = str(uuid.UUID(int=chance.getrandbits(128)))
        model, provider = chance.choice(MODELS)
        status = chance.choices(["success", "failure", "cancelled", "interrupted"], (95, 3, 1, 1))[0]
        took = chance.lognormvariate(7, 0.8)
        yield {
            "event_id": str(uuid.UUID(int=chance.getrandbits(128))),
            "session_id": session,
            "parent_id": session,
            "event_type": "model",
            "event_name": "completion",
            "source": "production",
            "start_time": first_ms + number * 1000.0,
            "duration": took,
            "config": {"model": model, "provider": provider},
            "inputs": {
                "chat_history": [
                    {"role": "system", "content": words.piece(800)},
                    {"role": "user", "content": words.piece(600)},
                ]
            },
            "outputs": {"role": "assistant", "content": words.piece(900), "finish_reason": "stop"},
            "metadata": {
                "call_type": "acompletion", "status": status, "project": "bench", "tags": chance.sample("abcde", 2),
                "trace_id": str(uuid.UUID(int=chance.getrandbits(128))), "cost": chance.random() / 100,
                "prompt_tokens": chance.randrange(3000), "completion_tokens": chance.randrange(900),
                "time_to_first_token_ms": took / 3,
            },
            "user_properties": {"user_id": f"user-{chance.randrange(500)}"},
            **({} if status == "success" else {"error": "InternalServerError: upstream is unavailable"}),
        }  # fmt: skip


def fill(path: Path, count: int, traced: int) -> Tuple[Json, float]:
    """Store and index them; return one of the newest, and the microseconds that an event's index took."""
    store = Store(path)
    batch: List[Json] = []
    last: Json = {}
    for event in events(count):
        batch.append(event)
        if len(batch) == 500:
            store.add(batch, time.time() * 1000)
            last, batch = batch[-7], []
    spans = [
        {
            **event,
            "trace_id": TRACE,
            "session_id": TRACE,
            "parent_id": TRACE,
            "start_time": time.time() * 1000 - 5_000 + at,
        }
        for at, event in enumerate(events(traced, seed=8))
    ]
    for span in spans:
        span.pop("trace_id")
    store.add(spans, time.time() * 1000)
    index = Index(store.database)
    began = time.perf_counter()
    index.catch_up()
    took = (time.perf_counter() - began) / (count + traced) * 1e6
    store.close()
    return last, took


class Served:
    """A collector in a process of its own."""

    def __init__(self, db: Path, pages: bool) -> None:
        command = [sys.executable, "-c", SERVER, str(db), "pages" if pages else "none"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url, link = self._process.stdout.readline().split()
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar()))
        self._opener = urllib.request.build_opener(*handlers)
        if pages:
            self.get(link[len(self.url) :])

    def get(self, path: str) -> bytes:
        with self._opener.open(self.url + path, timeout=60) as answer:
            body: bytes = answer.read()
            return body

    def post(self, body: bytes) -> None:
        headers = {"Authorization": "Bearer k", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/v1/events/batch", body, headers)
        self._opener.open(request, timeout=60).close()

    def close(self) -> None:
        self._process.communicate(timeout=60)


def measured(ask: Callable[[], object], times: int) -> Tuple[float, float]:
    """Median and p95 in milliseconds; the first request warms up and is not counted."""
    ask()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        took.append((time.perf_counter() - began) * 1e3)
    took.sort()
    return statistics.median(took), took[min(len(took) - 1, int(len(took) * 0.95))]


def pages_of(event: Json) -> Dict[str, str]:
    word = event["outputs"]["content"].split()[1]
    id_, session = event["event_id"], event["session_id"]
    return {
        "first page": "/",
        "filter: status": "/?status=failure",
        "filter: rare": "/?status=interrupted&model=gpt-4o&user=user-7",
        "filter: tag and cost": "/?tag=a&cost_min=0.0099",
        "filter: nothing matches": "/?model=nobody",
        "search: common words": "/?q=upstream+unavailable",
        "search: one word": f"/?q={word}",
        "search: with filter": "/?q=upstream&model=gpt-4o&user=user-7",
        "search: no match": "/?q=zzzzqqqqxxxx",
        "event": f"/events/{id_}",
        "session": f"/sessions/{session}",
        "compare": f"/compare?a={id_}&b={id_}",
        "overview": "/overview",
        "overview: an hour": "/overview?last=1h",
        "delivery": "/delivery",
        "help": "/help",
    }


def rates(folder: Path, count: int, rounds: int) -> Tuple[float, float, float]:
    """Events a second without and with pages, and their ratio: medians of rounds in turns."""
    batch: List[Json] = []
    encoded: List[bytes] = []
    for event in events(count, seed=9):
        batch.append(event)
        if len(batch) == 100:
            encoded.append(json.dumps({"events": batch}).encode())
            batch = []
    found: Dict[bool, List[float]] = {False: [], True: []}
    for number in range(rounds):
        for pages in (False, True) if number % 2 == 0 else (True, False):
            server = Served(folder / f"rate-{number}-{pages}.db", pages)
            for body in encoded[:5]:
                server.post(body)
            began = time.perf_counter()
            for body in encoded[5:]:
                server.post(body)
            found[pages].append((len(encoded) - 5) * 100 / (time.perf_counter() - began))
            server.close()
    without, with_pages = statistics.median(found[False]), statistics.median(found[True])
    return without, with_pages, with_pages / without


def main(arguments: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10,000 events instead of 100,000")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(arguments)
    count, times = (10_000, 10) if options.quick else (100_000, 30)
    results: Json = {"events": count, "pages": {}}
    failed = False
    with tempfile.TemporaryDirectory(prefix="honeyhive-viewer-") as name:
        folder = Path(name)
        event, indexing_us = fill(folder / "local.db", count, 2_000)
        results["indexing_us"] = indexing_us
        print(f"{count:,} events; an event's index takes {indexing_us:.0f} us\n\n| page | p50 ms | p95 ms | limit |")
        print("|---|---:|---:|---:|")
        server = Served(folder / "local.db", pages=True)
        for label, path in pages_of(event).items():
            p50, p95 = measured(lambda path=path: server.get(path), times)  # type: ignore[misc]
            limit = LIMITS_MS.get(path, LIMIT_MS)
            failed |= p95 > limit
            results["pages"][label] = {"p50_ms": p50, "p95_ms": p95}
            print(f"| {label} | {p50:.1f} | {p95:.1f} | {limit:.0f} |")
        p50, p95 = measured(lambda: server.get(f"/traces/{TRACE}"), 5)
        spans = len(re.findall(rb"w-bar", server.get(f"/traces/{TRACE}")))
        results["trace"] = {"spans": spans, "p50_ms": p50, "p95_ms": p95}
        print(f"| trace of {spans:,} events | {p50:.1f} | {p95:.1f} | {TRACE_LIMIT_MS:.0f} |")
        server.close()
        without, with_pages, ratio = rates(folder, 5_000 if options.quick else 20_000, 3 if options.quick else 5)
        results["rate"] = {"without": without, "with": with_pages, "ratio": ratio}
        print(f"\nevents/s without pages {without:,.0f}, with pages {with_pages:,.0f}: ratio {ratio:.2f}")
        failed |= p95 > TRACE_LIMIT_MS or ratio < RATE_LIMIT
    if options.json:
        options.json.write_text(json.dumps(results, indent=2), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
