"""The peers: how each is set up, and the calls that its process makes for `peers.py`.

It runs in the interpreter of the peer, perhaps in a venv without this package.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Sequence

from _common import PROSE, Json

KILL = "kill right after the last call"
AT_ONCE = 50
WARM_UP = 20
SETTLE_S = 6.0
"""LiteLLM's own loggers send every 5 s."""

_TEXT = (PROSE * 3)[:280]


class Column(NamedTuple):
    """A way to make calls: so many in flight, or one every `pace_s`; `is_sync` means without an event loop."""

    at_once: int = 1
    is_sync: bool = False
    is_stream: bool = False
    pace_s: float = 0.0


COLUMNS: Dict[str, Column] = {
    "async one by one": Column(),
    "async 32 in flight": Column(32),
    "async streams": Column(is_stream=True),
    "async 80/s": Column(pace_s=1 / 80),
    "sync one by one": Column(is_sync=True),
    "sync streams": Column(is_sync=True, is_stream=True),
}


# ---- how a peer is set up


def _honeyhive(job: Json) -> None:
    honeyhive_litellm = importlib.import_module("honeyhive_litellm")
    honeyhive_litellm.init(
        api_key="hh_bench", project="peers", api_url=job["url"], spool_path=f"{job['folder']}/spool", lookup_delay=1.0
    )


def _langsmith(job: Json) -> None:
    os.environ.update(LANGSMITH_API_KEY="bench", LANGSMITH_PROJECT="bench", LANGSMITH_BASE_URL=job["url"])
    _use("langsmith")


def _opik(job: Json) -> None:
    os.environ.update(OPIK_API_KEY="bench", OPIK_WORKSPACE="default", OPIK_URL_OVERRIDE=f"{job['url']}/api")
    _use("opik")


def _otel(job: Json) -> None:
    os.environ.update(OTEL_EXPORTER="otlp_http", OTEL_ENDPOINT=f"{job['url']}/v1/traces")
    _use("otel")


def _openinference(job: Json) -> None:
    trace = importlib.import_module("opentelemetry.sdk.trace")
    export = importlib.import_module("opentelemetry.sdk.trace.export")
    otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    provider = trace.TracerProvider()
    exporter = otlp.OTLPSpanExporter(endpoint=f"{job['url']}/v1/traces")
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    instrumentor = importlib.import_module("openinference.instrumentation.litellm").LiteLLMInstrumentor
    instrumentor().instrument(tracer_provider=provider)


def _openlit(job: Json) -> None:
    prices = Path(job["folder"], "prices.json")  # it would fetch them
    prices.write_text("{}", encoding="utf-8")
    importlib.import_module("openlit").init(otlp_endpoint=job["url"], disable_metrics=True, pricing_json=str(prices))


def _noop(job: Json) -> None:
    import litellm
    from litellm.integrations.custom_logger import CustomLogger

    litellm.callbacks = [CustomLogger()]


def _use(name: str) -> None:
    import litellm

    litellm.callbacks = [name]


class Peer(NamedTuple):
    """How it is set up, and what is to be installed beside LiteLLM; `alone` without what these packages require."""

    set_up: Callable[[Json], None]
    packages: Sequence[str] = ()
    alone: Sequence[str] = ()
    keeps: bool = True
    stores: bool = False


_OTLP = ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
PEERS: Dict[str, Peer] = {
    "bare": Peer(lambda _: None, keeps=False),
    "noop": Peer(_noop, keeps=False),
    "honeyhive": Peer(_honeyhive, stores=True),
    "beside": Peer(_honeyhive, stores=True),
    "langsmith": Peer(_langsmith),
    "opik": Peer(_opik),
    "otel": Peer(_otel, _OTLP),
    "openinference": Peer(_openinference, ("openinference-instrumentation-litellm", *_OTLP)),
    # What it requires cannot be had beside this LiteLLM: openai before 3, anthropic before 1, a dozen instrumentations.
    "openlit": Peer(
        _openlit,
        ("opentelemetry-instrumentation", "opentelemetry-exporter-otlp", "anthropic", "boto3", "requests", "schedule"),
        alone=("openlit",),
    ),
}
"""`langsmith`, `opik` and `otel` are LiteLLM's own callbacks of these names. `beside` is another checkout of ours."""


# ---- the calls


def child(job: Json) -> None:
    """Set the peer up, and make calls: those of the job, or a block for each line of the standard input."""
    PEERS[job["peer"]].set_up(job)
    if job["fault"] is None:
        _make_blocks(job)
    else:
        asyncio.run(_amid(job))


def _make_blocks(job: Json) -> None:
    """For each line make so many calls and print a line when they have returned, and what they cost SETTLE_S later.

    All blocks share one event loop, which stands still during sync calls.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    for column in COLUMNS.values():
        _make_block(loop, column, range(WARM_UP), job["provider"], "warm")
    loop.run_until_complete(asyncio.sleep(SETTLE_S))
    print("{}", flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        numbers = range(command["first"], command["first"] + command["count"])
        # A full collection looks at all of LiteLLM's objects for a fifth of a second, in one block and not in the next.
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        _make_block(loop, COLUMNS[command["column"]], numbers, job["provider"])
        wall = time.perf_counter() - wall
        print("{}", flush=True)
        loop.run_until_complete(asyncio.sleep(SETTLE_S))
        print(json.dumps({"cpu_s": time.process_time() - cpu, "wall_s": wall}), flush=True)


def _make_block(
    loop: asyncio.AbstractEventLoop, column: Column, numbers: Sequence[int], provider: str, word: str = "question"
) -> None:
    answered = {"api_base": provider, "api_key": "bench", "stream": column.is_stream}
    if column.is_sync:
        _make_sync(numbers, answered, word)
    elif column.pace_s:
        loop.run_until_complete(_make_paced(numbers, answered, word, column.pace_s))
    else:
        loop.run_until_complete(_make(numbers, answered, word, column.at_once))


async def _amid(job: Json) -> None:
    """Make the calls, and end as the fault wants it."""
    is_killed = job["fault"] == KILL
    mocked = {"mock_response": _TEXT}
    await _make(range(1), mocked, "warm", AT_ONCE)
    provided = {"api_base": f"{job['url']}/v1", "api_key": "bench"}
    await _make(range(job["calls"]), provided if is_killed else mocked, "question", AT_ONCE)
    if is_killed:
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(job["stay_s"])


def _question(number: int, word: str) -> Json:
    """The arguments of a call with a question of 1.2 KB, which has a word of its own."""
    texts = [f"{word}-{number:06d} {_TEXT}", *(_TEXT,) * 3]
    return {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": text} for text in texts]}


async def _call(number: int, answered: Json, word: str) -> None:
    from litellm import acompletion

    response: Any = await acompletion(**_question(number, word), **answered)
    if answered.get("stream"):
        async for _ in response:
            pass


async def _make(numbers: Sequence[int], answered: Json, word: str, at_once: int) -> None:
    left = iter(numbers)

    async def caller() -> None:
        for number in left:
            await _call(number, answered, word)

    await asyncio.gather(*(caller() for _ in range(at_once)))


async def _make_paced(numbers: Sequence[int], answered: Json, word: str, pace_s: float) -> None:
    began = time.perf_counter()
    calls: List[asyncio.Future[None]] = []
    for place, number in enumerate(numbers):
        await asyncio.sleep(max(0.0, began + place * pace_s - time.perf_counter()))
        calls.append(asyncio.ensure_future(_call(number, answered, word)))
    await asyncio.gather(*calls)


def _make_sync(numbers: Sequence[int], answered: Json, word: str) -> None:
    from litellm import completion

    for number in numbers:
        response: Any = completion(**_question(number, word), **answered)
        if answered.get("stream"):
            for _ in response:
                pass


if __name__ == "__main__":
    if sys.argv[1:2] != ["--child"]:
        sys.exit(__doc__)
    child(json.loads(sys.argv[2]))
