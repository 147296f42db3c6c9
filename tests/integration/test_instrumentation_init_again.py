"""`init` with other settings while calls are in flight: each call is recorded once, with the settings it began with."""

from __future__ import annotations

import asyncio
import collections
import threading
from pathlib import Path
from typing import Any, Awaitable, Callable, Counter, Dict, Iterator, List

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm._capture import tenure
from honeyhive_litellm._instrumentation.callback_lists import CALLBACK_LISTS
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import needs_litellm
from ..waiting import until, until_on_loop


@pytest.fixture
def second() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(autouse=True)
def _shut_down(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tenure, "GRACE_S", 0.2)
    yield
    honeyhive_litellm.shutdown(5)


def init(collector: Collector, project: str, folder: Path, **options: Any) -> None:
    options.update(api_key="hh_key", project=project, api_url=collector.url, spool_path=folder / project)
    honeyhive_litellm.init(**options)


class Calls:
    """One call of each kind, all of which reach the provider before any of them ends."""

    REQUESTS = 9

    def __init__(self, name: str, models: ModelServer) -> None:
        self._name = name
        self._route: Dict[str, Any] = {"api_base": models.url, "api_key": "sk-local", "max_retries": 0}
        self._go_on = asyncio.Event()
        self._go_on_now = threading.Event()

    def begin(self) -> List[Awaitable[None]]:
        kinds = (self._answered, self._failed, self._embedded, self._read, self._routed)
        run = asyncio.get_running_loop().run_in_executor
        now = (self._answered_now, self._failed_now, self._read_now, self._routed_now)
        return [*(asyncio.ensure_future(kind()) for kind in kinds), *(run(None, kind) for kind in now)]

    def finish(self) -> None:
        """Read the streams on."""
        self._go_on.set()
        self._go_on_now.set()

    def _call(self, model: str, **options: Any) -> Dict[str, Any]:
        """The arguments of a call whose question is the caller's name, which no other call has."""
        return {"model": f"openai/{model}", **self._asking(model), **self._route, **options}

    def _asking(self, question: str) -> Dict[str, Any]:
        return {"messages": [{"role": "user", "content": f"{self._name}: {question}"}]}

    async def _answered(self) -> None:
        await litellm.acompletion(**self._call("a-slow-1000"))

    async def _failed(self) -> None:
        with pytest.raises(litellm.BadRequestError):
            await litellm.acompletion(**self._call("b-slow-1000-fail-400"))

    async def _embedded(self) -> None:
        call = self._call("text-embedding-slow-1000", input=[f"{self._name}: embedding"])
        del call["messages"]
        await litellm.aembedding(**call)

    async def _read(self) -> None:
        stream: Any = await litellm.acompletion(**self._call("d-slow-10", stream=True))
        await stream.__anext__()
        await self._go_on.wait()
        async for _ in stream:
            pass

    async def _routed(self) -> None:
        await self._router("e").acompletion(model="main", **self._asking("routed"))

    def _answered_now(self) -> None:
        litellm.completion(**self._call("f-slow-1000"))

    def _failed_now(self) -> None:
        with pytest.raises(litellm.BadRequestError):
            litellm.completion(**self._call("g-slow-1000-fail-400"))

    def _read_now(self) -> None:
        stream: Any = iter(litellm.completion(**self._call("h-slow-10", stream=True)))
        next(stream)
        assert self._go_on_now.wait(40)
        list(stream)

    def _routed_now(self) -> None:
        self._router("i").completion(model="main", **self._asking("routed now"))

    def _router(self, name: str) -> litellm.Router:
        models = [("main", f"openai/{name}-slow-1000-fail-400"), ("other", f"openai/{name}-slow-10")]
        deployments = [{"model_name": m, "litellm_params": {"model": n, **self._route}} for m, n in models]
        return litellm.Router(model_list=deployments, num_retries=0, fallbacks=[{"main": ["other"]}])


def outcomes(collector: Collector, name: str) -> Counter[str]:
    """How often each outcome of each call has come; calls of another name than this one's stay as they are."""
    assert set(collector.receipts.values()) == {1}
    found = (f"{event['inputs']} {event['event_type']} {event['metadata']['status']}" for event in collector.events)
    return collections.Counter(each.replace(f"{name}: ", "") for each in found)


async def nothing() -> None:
    pass


async def shut_down_at_once() -> None:
    honeyhive_litellm.shutdown(0)


async def shut_down_in_time() -> None:
    await honeyhive_litellm.ashutdown(0.1)


@needs_litellm("1.80", "it has no hook before an async call returns")
@pytest.mark.parametrize(
    ("before_init", "project"),
    [(nothing, "new"), (shut_down_at_once, "new"), (shut_down_at_once, "old"), (shut_down_in_time, "old")],
)
async def test_calls_in_flight_keep_the_settings_they_began_with(
    collector: Collector,
    second: Collector,
    models: ModelServer,
    tmp_path: Path,
    before_init: Callable[[], Awaitable[None]],
    project: str,
) -> None:
    init(collector, "old", tmp_path)
    old, new = Calls("old", models), Calls("new", models)
    running = old.begin()
    await until_on_loop(lambda: len(models.requests) >= Calls.REQUESTS, what="all calls at the provider")
    await before_init()
    init(second, project, tmp_path)  # into the folder of the calls in flight, if the project is the same
    running += new.begin()
    await until_on_loop(lambda: len(models.requests) >= 2 * Calls.REQUESTS, what="all calls at the provider")
    old.finish()
    new.finish()
    await asyncio.gather(*running)
    assert await honeyhive_litellm.aflush(30) == 0

    assert outcomes(collector, "old") == outcomes(second, "new")
    further = 2 * 2  # of each Router's request the second attempt, and the request itself
    assert len(collector.events) == Calls.REQUESTS + further
    assert {event["metadata"]["status"] for event in collector.events} == {"success", "failure"}
    assert {event["metadata"]["project"] for event in collector.events} == {"old"}
    assert honeyhive_litellm.stats().accepted == 2 * len(collector.events)


@needs_litellm("1.80", "it has no hook before an async call returns")
async def test_settings_that_write_no_starts_keep_a_first_call_in_flight(
    collector: Collector, models: ModelServer, tmp_path: Path
) -> None:
    init(collector, "old", tmp_path, capture_in_flight=False)
    route = {"api_base": models.url, "api_key": "sk-local", "messages": [{"role": "user", "content": "question"}]}
    call = asyncio.ensure_future(litellm.acompletion(model="openai/slow-300", **route))
    await until_on_loop(lambda: len(models.requests) == 1, what="the call at the provider")
    init(collector, "new", tmp_path)
    await call
    assert await honeyhive_litellm.aflush(30) == 0
    assert [(e["metadata"]["project"], e["metadata"]["status"]) for e in collector.events] == [("old", "success")]


def loggers() -> int:
    every = [callback for name in CALLBACK_LISTS for callback in getattr(litellm, name)]
    return len({id(callback) for callback in every if isinstance(callback, honeyhive_litellm.HoneyHiveLogger)})


def threads() -> int:
    return sum(thread.name == "honeyhive-litellm" for thread in threading.enumerate())


def make_call(question: str) -> None:
    litellm.completion(model="gpt-4o", messages=[{"role": "user", "content": question}], mock_response="answer")


def test_replaced_settings_leave_nothing_behind_once_their_calls_are_delivered(
    collector: Collector, tmp_path: Path
) -> None:
    before = loggers(), threads()
    for number in range(4):
        init(collector, f"project {number}", tmp_path)
        make_call(f"question {number}")
    until(lambda: (loggers(), threads()) == (before[0] + 1, before[1] + 1), what=lambda: f"{loggers()}, {threads()}")
    assert honeyhive_litellm.flush(30) == 0
    questions = [(e["metadata"]["project"], e["inputs"]["chat_history"][0]["content"]) for e in collector.events]
    assert sorted(questions) == [(f"project {number}", f"question {number}") for number in range(4)]
    assert {event["metadata"]["status"] for event in collector.events} == {"success"}
    stats = honeyhive_litellm.stats()
    assert (stats.accepted, stats.delivered, stats.pending, stats.in_flight) == (4, 4, 0, 0)


def test_settings_that_come_back_record_anew(collector: Collector, tmp_path: Path) -> None:
    for project in ("one", "two", "one", "two"):
        init(collector, project, tmp_path)
        make_call("question")
    assert honeyhive_litellm.flush(30) == 0
    assert collections.Counter(event["metadata"]["project"] for event in collector.events) == {"one": 2, "two": 2}


def test_a_logger_of_the_applications_own_goes_on_when_init_gets_other_settings(
    collector: Collector, tmp_path: Path
) -> None:
    init(collector, "one", tmp_path)
    options = {"api_key": "hh_key", "project": "one", "api_url": collector.url, "spool_path": tmp_path / "one"}
    own = honeyhive_litellm.HoneyHiveLogger(**options)
    litellm.callbacks.append(own)
    init(collector, "two", tmp_path)
    make_call("question")
    assert honeyhive_litellm.flush(30) == 0
    assert sorted(event["metadata"]["project"] for event in collector.events) == ["one", "two"]


@pytest.mark.parametrize("change", [init, lambda *_: None], ids=["changed", "unchanged"])
def test_threads_that_call_meanwhile_lose_and_double_nothing(
    collector: Collector, tmp_path: Path, change: Callable[..., None]
) -> None:
    init(collector, "0", tmp_path)
    made: List[str] = []
    is_over = threading.Event()

    def call_on(name: int) -> None:
        while not is_over.is_set():
            made.append(f"{name} {len(made)} {threading.get_ident()}")
            make_call(made[-1])

    callers = [threading.Thread(target=call_on, args=(n,)) for n in range(3)]
    for caller in callers:
        caller.start()
    for number in range(1, 4):
        count = len(made)
        until(lambda count=count: len(made) > count + 10, what="more calls")  # type: ignore[misc]
        change(collector, str(number), tmp_path)
    is_over.set()
    for caller in callers:
        caller.join()
    assert honeyhive_litellm.flush(30) == 0
    arrived = collections.Counter(event["inputs"]["chat_history"][0]["content"] for event in collector.events)
    assert arrived == collections.Counter(made)
    assert {event["metadata"]["status"] for event in collector.events} == {"success"}
