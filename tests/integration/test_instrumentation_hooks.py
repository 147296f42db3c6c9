"""What this package relies on LiteLLM to do, one test a hook: a LiteLLM that changes one fails the test of its name.

Nothing of ours is under test here: LiteLLM's own code calls a plain logger, and the methods that we wrap
are counted. Each failure says what the hook is for.
"""

from __future__ import annotations

import asyncio
import datetime
import threading
import uuid
from typing import Any, Dict, Iterator, List, Tuple

import litellm
import pytest
from litellm.integrations.custom_logger import CustomLogger
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper

from honeyhive_litellm._instrumentation.callback_lists import CALLBACK_LISTS, remove_everywhere
from honeyhive_litellm._instrumentation.logging_threads import logging_pools
from honeyhive_litellm._instrumentation.patches.apply import FEATURES
from honeyhive_litellm._instrumentation.patches.router import strategy_of
from honeyhive_litellm.testing import ModelServer

from ..versions import LITELLM, needs_litellm
from ..waiting import until_on_loop

MARK = "hook_test"
MESSAGES = [{"role": "user", "content": "hello"}]
SAME = "all hooks of one call find what the first of them put into the call's details"
HookCall = Tuple[str, Dict[str, Any], str]


def broken(hook: str, use: str) -> str:
    return f"LiteLLM {LITELLM} has changed {hook}, which honeyhive_litellm needs: {use}"


class Logger(CustomLogger):  # type: ignore[misc, unused-ignore]
    """Keeps each call of a hook: its name, its arguments by name, and the thread."""

    def __init__(self) -> None:
        super().__init__()
        self.mark = str(uuid.uuid4())
        self._calls: List[HookCall] = []
        self._changed = threading.Condition()

    def note(self, hook: str, **arguments: Any) -> None:
        if hook != "log_pre_api_call" and arguments.get("kwargs", {MARK: self.mark}).get(MARK) != self.mark:
            return  # a call of an earlier test, whose loop ended before LiteLLM called this
        with self._changed:
            self._calls.append((hook, arguments, threading.current_thread().name))
            self._changed.notify_all()

    def of(self, hook: str) -> List[Tuple[Dict[str, Any], str]]:
        return [(arguments, thread) for name, arguments, thread in list(self._calls) if name == hook]

    def first(self, hook: str, use: str) -> Tuple[Dict[str, Any], str]:
        """The first call of this hook, once it has come."""
        with self._changed:
            came = self._changed.wait_for(lambda: any(call[0] == hook for call in self._calls), 20)
        assert came, broken(hook, use) + f"; it was not called, only {[call[0] for call in self._calls]}"
        return self.of(hook)[0]

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
        kwargs[MARK] = self.mark
        self.note("log_pre_api_call", kwargs=kwargs, start_time=kwargs.get("start_time"))

    def log_post_api_call(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self.note("log_post_api_call", kwargs=kwargs, reply=kwargs.get("original_response"))

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self.note("log_success_event", kwargs=kwargs, response=response_obj)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self.note("log_failure_event", kwargs=kwargs)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self.note("async_log_success_event", kwargs=kwargs, response=response_obj)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self.note("async_log_failure_event", kwargs=kwargs)

    async def async_post_call_success_deployment_hook(self, request_data: Any, response: Any, call_type: Any) -> None:
        self.note("async_post_call_success_deployment_hook", request_data=request_data, response=response)


@pytest.fixture
def logger() -> Iterator[Logger]:
    logger = Logger()
    litellm.callbacks.append(logger)
    yield logger
    remove_everywhere(logger)


@pytest.fixture
def route() -> Iterator[Dict[str, Any]]:
    with ModelServer() as models:
        yield {"messages": MESSAGES, "api_base": models.url, "api_key": "sk-local", "max_retries": 0}


def test_log_pre_api_call(logger: Logger, route: Dict[str, Any]) -> None:
    use = "the record of a call's start, on disk before the provider answers"
    litellm.completion(model="openai/gpt-4o", **route)
    asyncio.run(litellm.acompletion(model="openai/gpt-4o", **route))
    calls = logger.of("log_pre_api_call")  # inline: nothing is waited for
    assert len(calls) == 2, broken("log_pre_api_call", use)
    for arguments, _ in calls:
        details = arguments["kwargs"]
        shown = {name: details.get(name) for name in ("litellm_call_id", "model", "messages")}
        assert shown["litellm_call_id"], broken("log_pre_api_call", use)
        assert (shown["model"], shown["messages"]) == ("gpt-4o", MESSAGES), broken("log_pre_api_call", use)
        assert isinstance(arguments["start_time"], datetime.datetime), broken("log_pre_api_call", use)


def test_log_post_api_call(logger: Logger, route: Dict[str, Any]) -> None:
    use = "`flush` waits for the callbacks that are due for a call that was answered"
    litellm.completion(model="openai/gpt-4o", **route)
    calls = logger.of("log_post_api_call")
    assert calls, broken("log_post_api_call", use)
    assert isinstance(calls[0][0]["reply"], str), broken("log_post_api_call", use)
    assert "answer to: hello" in calls[0][0]["reply"], broken("log_post_api_call", use)


@needs_litellm("1.80", "it has no async_post_call_success_deployment_hook")
def test_async_post_call_success_deployment_hook(logger: Logger, route: Dict[str, Any]) -> None:
    use = "the outcome of an async call is held, or on disk if strict, before its caller has it"
    answer = asyncio.run(litellm.acompletion(model="openai/gpt-4o", **route))
    calls = logger.of("async_post_call_success_deployment_hook")
    assert len(calls) == 1, broken("async_post_call_success_deployment_hook", use)
    arguments, _ = calls[0]
    assert arguments["response"].id == answer.id, broken("async_post_call_success_deployment_hook", use)
    details = arguments["request_data"]["litellm_logging_obj"].model_call_details
    assert details.get(MARK) == logger.mark, broken("logging_obj.model_call_details", SAME)


def test_log_success_event(logger: Logger, route: Dict[str, Any]) -> None:
    use = "the event of a sync call, with its tokens and cost"
    litellm.completion(model="openai/gpt-4o", **route)
    arguments, _ = logger.first("log_success_event", use)
    assert arguments["response"].choices[0].message.content == "answer to: hello", broken("log_success_event", use)
    assert arguments["kwargs"].get(MARK) == logger.mark, broken("log_success_event", SAME)


def test_async_log_success_event(logger: Logger, route: Dict[str, Any]) -> None:
    use = "the event of an async call, with its tokens and cost"

    async def ask() -> None:
        await litellm.acompletion(model="openai/gpt-4o", **route)
        await asyncio.get_running_loop().run_in_executor(None, logger.first, "async_log_success_event", use)

    asyncio.run(ask())
    arguments, _ = logger.first("async_log_success_event", use)
    assert arguments["response"].choices[0].message.content == "answer to: hello", broken(
        "async_log_success_event", use
    )
    assert arguments["kwargs"].get(MARK) == logger.mark, broken("async_log_success_event", SAME)


def test_log_failure_event(logger: Logger, route: Dict[str, Any]) -> None:
    use = "the event of a sync call that failed"
    with pytest.raises(litellm.RateLimitError):
        litellm.completion(model="openai/fail-429", **route)
    arguments, _ = logger.first("log_failure_event", use)
    assert isinstance(arguments["kwargs"].get("exception"), litellm.RateLimitError), broken("log_failure_event", use)


def test_async_log_failure_event(logger: Logger, route: Dict[str, Any]) -> None:
    use = "the event of an async call that failed, on disk before its caller has the error if strict"
    with pytest.raises(litellm.RateLimitError):
        asyncio.run(litellm.acompletion(model="openai/fail-429", **route))
    calls = logger.of("async_log_failure_event")
    assert calls, broken("async_log_failure_event", use)
    error = calls[0][0]["kwargs"].get("exception")
    assert isinstance(error, litellm.RateLimitError), broken("async_log_failure_event", use)


def calls_of(monkeypatch: pytest.MonkeyPatch, owner: Any, method: str) -> List[Any]:
    """The objects that this method is called on, from now on."""
    seen: List[Any] = []
    original = vars(owner)[method]

    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(self)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(owner, method, wrapped)
    return seen


@pytest.mark.parametrize("is_async", [False, True])
def test_a_streams_init_and_chunks(
    logger: Logger, route: Dict[str, Any], monkeypatch: pytest.MonkeyPatch, is_async: bool
) -> None:
    use = "a stream's text as it is read: nothing else has that of a dropped, cancelled or broken one"
    begun = calls_of(monkeypatch, CustomStreamWrapper, "__init__")
    read = 0

    async def later() -> int:
        return len([chunk async for chunk in await litellm.acompletion(model="openai/gpt-4o", stream=True, **route)])

    read = (
        asyncio.run(later()) if is_async else len(list(litellm.completion(model="openai/gpt-4o", stream=True, **route)))
    )
    assert len(begun) == 1, broken("CustomStreamWrapper.__init__", use)
    chunks = begun[0].chunks
    assert isinstance(chunks, list) and 1 < len(chunks) <= read, broken("CustomStreamWrapper.chunks", use)
    rebuilt = litellm.stream_chunk_builder(list(chunks))
    assert rebuilt.choices[0].message.content == "answer to: hello", broken(
        "stream_chunk_builder", "the answer of a stream is put together from its chunks"
    )
    details = begun[0].logging_obj.model_call_details
    assert details.get(MARK) == logger.mark, broken("CustomStreamWrapper.logging_obj.model_call_details", SAME)


def test_a_streams_anext(route: Dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    use = "a reader that is cancelled while it waits for a chunk, and strict streams"
    readers = calls_of(monkeypatch, CustomStreamWrapper, "__anext__")

    async def read() -> int:
        return len([chunk async for chunk in await litellm.acompletion(model="openai/gpt-4o", stream=True, **route)])

    count = asyncio.run(read())
    assert len(readers) == count + 1, broken("CustomStreamWrapper.__anext__", use)  # the last one ends it


@needs_litellm("1.110", "it streams contents in another way, or not at all")
@pytest.mark.parametrize("is_async", [False, True])
def test_the_readers_of_streams_of_other_forms(
    route: Dict[str, Any], monkeypatch: pytest.MonkeyPatch, is_async: bool
) -> None:
    from litellm.llms.custom_httpx.llm_http_handler import BaseLLMHTTPHandler  # older ones have neither
    from litellm.responses import streaming_iterator

    use = "the text of a stream of responses or contents that is dropped, and how a sync one of contents ends"
    reader = "ResponsesAPIStreamingIterator" if is_async else "SyncResponsesAPIStreamingIterator"
    readers = calls_of(monkeypatch, getattr(streaming_iterator, reader), "__anext__" if is_async else "__next__")
    handler = "async_generate_content_handler" if is_async else "generate_content_handler"
    handled = calls_of(monkeypatch, BaseLLMHTTPHandler, handler)
    where = {"api_base": route["api_base"], "api_key": route["api_key"]}
    contents = [{"role": "user", "parts": [{"text": "hello"}]}]
    of_gemini = {"model": "gemini/gemini-2.5-flash", "contents": contents, **where}

    async def later() -> Any:
        answer = await litellm.aresponses(model="openai/gpt-4o", input="hello", stream=True, **where)
        assert [event async for event in answer]
        return await litellm.google_genai.agenerate_content_stream(**of_gemini)

    if is_async:
        stream = asyncio.run(later())
    else:
        assert list(litellm.responses(model="openai/gpt-4o", input="hello", stream=True, **where))
        stream = litellm.google_genai.generate_content_stream(**of_gemini)
    assert readers, broken(f"{reader}'s reading", use)
    assert readers[0].logging_obj.model_call_details, broken(f"{reader}.logging_obj.model_call_details", SAME)
    assert handled, broken(f"BaseLLMHTTPHandler.{handler}", use)
    assert hasattr(stream, "collected_chunks"), broken("the form of Gemini's streams", use)
    assert stream.litellm_logging_obj.model_call_details, broken("litellm_logging_obj.model_call_details", SAME)


@needs_litellm("1.80", "its cache cannot read the types of today's openai package, and keeps nothing")
def test_an_answer_from_the_cache(route: Dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    use = "the event of an async call that the cache answers, when LiteLLM's callback does not come"
    ways = dict(FEATURES)["answers from the cache"]
    seen: Dict[str, List[Any]] = {}
    for point in (point for way in ways for point in way):
        owner = point.find_owner()
        if owner is not None:
            seen[point.method] = calls_of(monkeypatch, owner, point.method)
    monkeypatch.setattr(litellm, "cache", litellm.Cache(type="local"))

    async def ask() -> None:
        await litellm.acompletion(model="openai/gpt-4o", caching=True, **route)
        await until_on_loop(lambda: litellm.cache.cache.cache_dict)  # LiteLLM fills it in the background
        answer = await litellm.acompletion(model="openai/gpt-4o", caching=True, **route)
        assert answer._hidden_params["cache_hit"]

    asyncio.run(ask())
    hook = "_async_log_cache_hit_on_callbacks"
    assert len(seen.pop(hook, ())) == 1, broken(f"LLMCachingHandler.{hook}", use)
    assert any(seen.values()), broken("LLMCachingHandler.async_get_cache", "a strict call that the cache answers")


@pytest.mark.parametrize("is_async", [False, True])
def test_a_routers_request(route: Dict[str, Any], monkeypatch: pytest.MonkeyPatch, is_async: bool) -> None:
    use = "the parent of a Router's attempts, and its rejections"
    ways = dict(FEATURES)["requests to a Router"]
    seen: List[Any] = []
    for point in (point for way in ways for point in way):
        owner = point.find_owner()
        if owner is not None:
            seen.append(calls_of(monkeypatch, owner, point.method))
    served = {"model": "openai/gpt-4o", **{name: value for name, value in route.items() if name != "messages"}}
    router = litellm.Router(model_list=[{"model_name": "main", "litellm_params": served}], num_retries=0)
    if is_async:
        answer = asyncio.run(router.acompletion(model="main", messages=MESSAGES))
    else:
        answer = router.completion(model="main", messages=MESSAGES)
    assert answer.choices[0].message.content == "answer to: hello"
    calls = [owner for owners in seen for owner in owners]
    assert calls, broken("the Router's methods " + ", ".join(p.method for way in ways for p in way), use)
    assert strategy_of(calls[0], {}, "main") == "simple-shuffle", broken(
        "Router.routing_strategy", "`routing_strategy`"
    )


def test_completion_cost(route: Dict[str, Any]) -> None:
    use = "the cost of a call that LiteLLM's callback did not report"
    answer = litellm.completion(model="openai/gpt-4o", **route)
    amount = litellm.completion_cost(completion_response=answer, model="openai/gpt-4o", call_type="completion")
    assert amount > 0, broken("completion_cost", use)


def test_the_callback_lists(logger: Logger, route: Dict[str, Any]) -> None:
    use = "to take our logger out again at `shutdown`"
    litellm.completion(model="openai/gpt-4o", **route)
    asyncio.run(litellm.acompletion(model="openai/gpt-4o", **route))
    holding = [name for name, value in vars(litellm).items() if isinstance(value, list) and logger in value]
    assert set(holding) <= set(CALLBACK_LISTS), broken("its callback lists", use)
    assert "callbacks" in holding, broken("litellm.callbacks", use)


@needs_litellm("1.80", "it reports each sync call on a thread of its own")
def test_the_logging_threads(logger: Logger, route: Dict[str, Any]) -> None:
    use = "to start them anew in a forked process, so that its sync calls are reported"
    litellm.completion(model="openai/gpt-4o", **route)
    _, thread = logger.first("log_success_event", use)
    pools = logging_pools()
    assert pools, broken("its pool of logging threads", use)
    workers = {worker.name for pool in pools for worker in pool._threads}
    assert thread in workers, broken("its pool of logging threads", use)
    for pool in pools:
        assert {"_max_workers", "_thread_name_prefix"} <= set(vars(pool)), broken("its pool of logging threads", use)
