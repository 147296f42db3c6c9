"""The only module here, beside `_relaying.py`, that uses private modules of the package; renames are adapted here.

It gives the other benchmarks records and a runtime without LiteLLM, and observers of a record's way to the disk.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, Callable, List, Optional, Sequence, Tuple

from _common import CHILD_TIMEOUT_S, PROSE, UNREACHABLE

from honeyhive_litellm import Settings
from honeyhive_litellm._delivery.circuit_breaker import WORKERS
from honeyhive_litellm._privacy import cipher
from honeyhive_litellm._privacy.credentials import scrub
from honeyhive_litellm._runtime import channels
from honeyhive_litellm._runtime.lifecycle import runtime_for
from honeyhive_litellm._runtime.runtime import Runtime
from honeyhive_litellm._spool.dead_letters import letters
from honeyhive_litellm._spool.record import EVENT, START, Record
from honeyhive_litellm._spool.writer import Writer

search_for_credentials = scrub
new_key = cipher.new_key

CONNECTIONS = WORKERS
"""How many requests we have in flight at most."""

KINDS = {"start": START, "event": EVENT}

_FILL_AT_ONCE = 10_000


def record(kind: str, id_: str, body: bytes, started_ms: float = 1.0) -> Record:
    """A record of a kind of KINDS."""
    return Record(KINDS[kind], id_, started_ms, None, body)


def records(count: int, size: int, first: int = 0) -> List[Record]:
    """So many records of finished events, each with a body of `size` bytes."""
    return [_event_record(number, size) for number in range(first, first + count)]


def event_id(number: int, process: int) -> str:
    """The id of event `number` of `records`, made in the process with this id."""
    return f"{number:08x}-0000-4000-8000-{process:012x}"


def _event_record(number: int, size: int) -> Record:
    """A finished event like those of the callback, `size` bytes of JSON; the number is in its id."""
    id_ = event_id(number, os.getpid())
    start = 1_700_000_000_000.0 + number
    body = f'{{"event_id":"{id_}","event_type":"model","source":"bench","start_time":{start},"end_time":{start + 1},'
    body += '"duration":1,"config":{"provider":"openai","model":"gpt-4o"},"metadata":{},"inputs":{"text":"'
    room = max(0, size - len(body) - 3)
    text = f"{number}: {PROSE * (room // len(PROSE) + 1)}"[:room]
    return record("event", id_, f'{body}{text}"}}}}'.encode(), start)


def runtime(url: str, spool: str, **options: Any) -> Runtime:
    """The package's runtime on this spool, without LiteLLM. A forked child gets a runtime of its own."""
    options = {"spool_max_bytes": 2**40, **options}  # a backlog of any size
    settings = Settings(api_key="hh_bench", project="bench", api_url=url, spool_path=Path(spool), **options)
    return runtime_for(settings, NoLiteLLM())


class NoLiteLLM:
    """Stands where LiteLLM would, for hooks that are called without it."""

    def tokens(self, model: Optional[str], prompt: object) -> Optional[int]:
        return None

    def cost(self, response: object, call_type: str, model: str) -> Optional[float]:
        return None

    def has_price(self, provider: Optional[str], model: Optional[str]) -> bool:
        return True

    def hides_content(self, call_details: Any) -> bool:
        return False

    def reports_batch_lines(self) -> bool:
        return False


def hooks_of(recording: Runtime) -> Tuple[Callable[[Any], None], Callable[[Any, object], None]]:
    """The hooks of a call's start and of its success, as LiteLLM calls them with its details of the call."""
    recorder = recording.recorder
    return lambda details: recorder.on_start(details, recording), recorder.on_success


def close_idle_channels() -> None:
    """From now on a destination without work closes its files at once, and not after a minute."""
    channels.IDLE_S = 0.0


def fill(spool: str, count: int, size: int) -> None:
    """Leave so many events of `size` bytes in the spool, as a process does whose backend was down."""
    filling = runtime(UNREACHABLE, spool)
    for first in range(0, count, _FILL_AT_ONCE):
        for each in records(min(_FILL_AT_ONCE, count - first), size, first):
            filling.submit(each)
        await_commit(filling)
    left = filling.shutdown(5.0)
    if left != count or filling.stats().dropped:
        raise RuntimeError(f"the spool was not filled: {filling.stats()}")


def await_commit(writing: Runtime) -> None:
    """Wait until all that the runtime has taken in is committed."""
    done = threading.Event()
    writing.channels.main.queue.when_committed(done.set)
    if not done.wait(CHILD_TIMEOUT_S):
        raise TimeoutError(f"not committed in time: {writing.stats()}")


def dead_letters(spool: Path) -> int:
    return len(letters(spool))


def observe(on_submit: Callable[[int, str], None], on_commit: Callable[[int, str], None]) -> None:
    """Call these with the kind and the id of each later record: before it is queued, and once it is committed."""
    submit, committed = Runtime.submit, Writer._committed

    def observed_submit(runtime: Any, entry: Any) -> int:
        on_submit(entry.kind, entry.id)
        return submit(runtime, entry)

    def observed_commit(writer: Any, group: Sequence[Any]) -> None:
        for each in group:
            on_commit(each.kind, each.id)
        committed(writer, group)

    Runtime.submit = observed_submit  # type: ignore[assignment,method-assign]
    Writer._committed = observed_commit  # type: ignore[assignment,method-assign]


def import_all_that_a_first_call_imports() -> None:
    """Import, in a process that is going to fork, what `init` and a first call would import in each child."""
    import aiohttp  # noqa: F401
    import aiosqlite  # noqa: F401
    import litellm  # noqa: F401

    from honeyhive_litellm._instrumentation.patches import apply
    from honeyhive_litellm._runtime import pipeline  # noqa: F401

    for point in (*(point for _, ways in apply.FEATURES for way in ways for point in way), *apply.OPTIONAL):
        point.find_owner()
