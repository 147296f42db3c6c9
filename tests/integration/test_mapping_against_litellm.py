"""The mapping of LiteLLM's own dictionaries, with every LiteLLM from the oldest supported one.

The calls are LiteLLM's mocked responses and requests to a server on loopback. The golden events hold the same calls
exactly, with the newest LiteLLM.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
import gc
import json
import os
import threading
from typing import Any, AsyncIterator, Awaitable, Callable, Dict, Iterator, List, Optional, Tuple

import pytest
import pytest_asyncio

from honeyhive_litellm._mapping.mapper import map_failure, map_request, map_success
from honeyhive_litellm._mapping.model import Outcome, Request
from honeyhive_litellm.testing import ModelServer

from ..unit.mapping_calls import MappingOptions
from ..versions import NEEDS_RESPONSES, has_litellm, needs_litellm

# LiteLLM never closes its HTTP clients, one set for each loop. All tests share one loop, whose clients are closed at
# its end.
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

MESSAGES = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


class Seen:
    """The parts of each call, mapped at the moment at which LiteLLM reports it."""

    def __init__(self) -> None:
        self.settings = MappingOptions()
        self.requests: List[Request] = []
        self.outcomes: List[Outcome] = []
        self.late_requests: List[Request] = []
        self._news = threading.Condition()
        # LiteLLM keeps callbacks from one loop for the next: those of an earlier test are ignored.
        self._since = datetime.datetime.now()  # noqa: DTZ005 as LiteLLM does

    def began(self, kwargs: Any) -> None:
        with self._news:
            self.requests.append(map_request(kwargs, self.settings))
            self._news.notify_all()

    def ended(self, kwargs: Any, outcome: Outcome) -> None:
        if kwargs["start_time"] < self._since:
            return
        with self._news:
            self.late_requests.append(map_request(kwargs, self.settings))
            self.outcomes.append(outcome)
            self._news.notify_all()

    def wait(self, outcomes: int = 1) -> None:
        with self._news:
            assert self._news.wait_for(lambda: len(self.outcomes) >= outcomes, timeout=20), "no outcome was reported"

    def one(self) -> Tuple[Request, Outcome]:
        """The only call: its request as reported before the provider's, else at the end; and its outcome.

        Of some types of call LiteLLM reports the end twice. The recorder takes care of that, not the mapping.
        """
        self.wait()
        assert len({(outcome.status, repr(outcome.outputs)) for outcome in self.outcomes}) == 1
        return (self.requests or self.late_requests)[0], self.outcomes[0]


@pytest.fixture(scope="module")
def litellm() -> Any:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    module = pytest.importorskip("litellm")
    module.suppress_debug_info = True
    return module


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def _closed_clients(litellm: Any) -> AsyncIterator[None]:
    yield
    if has_litellm("1.80"):  # older ones leave that to the garbage collector
        from litellm.llms.custom_httpx.async_client_cleanup import close_litellm_async_clients

        await close_litellm_async_clients()
    litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture()
def http(server: ModelServer) -> Dict[str, Any]:
    return {"api_base": server.url, "api_key": "sk-hunter2", "max_retries": 0}


@pytest.fixture()
def seen(litellm: Any) -> Iterator[Seen]:
    from litellm.integrations.custom_logger import CustomLogger

    found = Seen()

    class Logger(CustomLogger):  # type: ignore[misc, unused-ignore]
        def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
            found.began(kwargs)

        def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
            found.ended(kwargs, map_success(kwargs, response_obj, found.settings, True))

        def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
            found.ended(kwargs, map_failure(kwargs, kwargs.get("exception"), found.settings, True))

        async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
            self.log_success_event(kwargs, response_obj, start_time, end_time)

        async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
            self.log_failure_event(kwargs, response_obj, start_time, end_time)

    logger = Logger()
    litellm.callbacks.append(logger)
    yield found
    for name in ("callbacks", "input_callback", "success_callback", "failure_callback",
                 "_async_success_callback", "_async_failure_callback"):  # fmt: skip
        registered = getattr(litellm, name, None)
        while isinstance(registered, list) and logger in registered:
            registered.remove(logger)


async def on_a_thread(function: Callable[[], Any]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, function)


async def finish(call: Awaitable[Any], seen: Seen) -> None:
    """Make the call, read it to its end, and wait until LiteLLM has reported it, before the loop is closed."""
    try:
        answer = await call
        if hasattr(answer, "__aiter__"):
            async for _ in answer:
                pass
    except Exception as error:
        assert seen.outcomes or str(error)
    await on_a_thread(seen.wait)


def metadata_of(outcome: Outcome, *names: str) -> Dict[str, object]:
    return {name: outcome.metadata.get(name) for name in names}


# Chats


async def test_a_chat_over_http(litellm: Any, seen: Seen, http: Dict[str, Any]) -> None:
    call = litellm.acompletion(
        model="openai/gpt-4o",
        messages=MESSAGES,
        temperature=0.2,
        user="u-1",
        extra_headers={"X-Secret": "hunter2"},
        extra_body={"top_k": 4},
        metadata={"session_id": "s-1", "purpose": "test", "tags": ["a"]},
        **http,
    )
    await finish(call, seen)
    request, outcome = seen.one()

    assert request.event_name == "completion"
    assert request.inputs == {"chat_history": MESSAGES}
    assert request.config == {
        "provider": "openai",
        "model": "gpt-4o",
        "is_streaming": False,
        "temperature": 0.2,
        "user": "u-1",
        "top_k": 4,
        "max_retries": 0,
    }
    assert request.session == "s-1"
    assert request.user_properties == {"user_id": "u-1"}
    assert request.metadata["purpose"] == "test"
    assert request.metadata["tags"] == ["a"]
    assert request.metadata["api_base"] == http["api_base"][: -len("/v1")]
    assert "hunter2" not in repr((request, outcome))

    assert outcome.outputs == {"role": "assistant", "content": "answer to: hello", "finish_reason": "stop"}
    assert outcome.error is None
    assert outcome.metadata["success"] is True
    assert metadata_of(outcome, "prompt_tokens", "completion_tokens", "reasoning_tokens", "cache_read_tokens") == {
        "prompt_tokens": outcome.metadata["total_tokens"] - outcome.metadata["completion_tokens"],  # type: ignore[operator]
        "completion_tokens": 5,
        "reasoning_tokens": 0,
        "cache_read_tokens": 0,
    }
    assert isinstance(outcome.metadata["cost"], float)
    if has_litellm("1.80"):  # older ones do not measure it
        assert isinstance(outcome.metadata["litellm_overhead_ms"], float)
    assert str(outcome.metadata["provider_request_id"]).startswith("req-")
    assert "time_to_first_token_ms" not in outcome.metadata
    assert outcome.start_ms is not None and outcome.end_ms is not None and outcome.start_ms < outcome.end_ms


async def test_the_keys_that_litellm_adds_to_the_metadata_are_left_out(
    litellm: Any, seen: Seen, http: Dict[str, Any]
) -> None:
    await finish(litellm.acompletion(model="openai/gpt-4o", messages=MESSAGES, metadata={"k": 1}, **http), seen)

    before, after = seen.requests[0].metadata, seen.late_requests[0].metadata
    assert before == after
    assert before["k"] == 1


async def test_a_stream_has_its_time_to_the_first_token(litellm: Any, seen: Seen, http: Dict[str, Any]) -> None:
    options = {"include_usage": True}
    call = litellm.acompletion(model="openai/gpt-4o", messages=MESSAGES, stream=True, stream_options=options, **http)
    await finish(call, seen)
    request, outcome = seen.one()

    assert request.config["is_streaming"] is True
    assert outcome.outputs["content"] == "answer to: hello"
    first, whole = outcome.metadata["time_to_first_token_ms"], outcome.metadata["duration_ms"]
    assert isinstance(first, float) and isinstance(whole, float) and 0 < first < whole
    assert outcome.metadata["completion_tokens"] == (5 if has_litellm("1.80") else 4)  # an older one counts itself
    assert isinstance(outcome.metadata["cost"], float)


async def test_a_synchronous_call_of_a_tool_with_reasoning_and_cached_tokens(
    litellm: Any, seen: Seen, http: Dict[str, Any]
) -> None:
    call = functools.partial(litellm.completion, model="openai/reason-cached", messages=MESSAGES, tools=TOOLS)
    await on_a_thread(functools.partial(call, tool_choice="auto", **http))
    await on_a_thread(seen.wait)
    request, outcome = seen.one()

    assert request.inputs["functions"] == TOOLS
    assert request.config["tool_choice"] == "auto"
    assert "tools" not in request.config
    calls: Any = outcome.outputs["tool_calls"]
    [tool_call] = calls
    assert tool_call["type"] == "function" and tool_call["id"].startswith("call_")
    assert tool_call["function"]["name"] == "weather"
    assert json.loads(tool_call["function"]["arguments"]) == {"city": "hello"}
    assert outcome.outputs["content"] is None
    assert outcome.outputs["finish_reason"] == "tool_calls"
    if has_litellm("1.80"):  # older ones drop it
        assert outcome.outputs["reasoning_content"] == "thinking about: hello"
    assert int(str(outcome.metadata["cache_read_tokens"])) > 0
    assert int(str(outcome.metadata["reasoning_tokens"])) > 0
    # LiteLLM's price list does not know the model, and its payload says 0.0.
    assert "cost" not in outcome.metadata and "estimated_cost" not in outcome.metadata


@pytest.mark.parametrize(
    ("model", "provider", "name"),
    [
        ("gpt-4o", "openai", "gpt-4o"),
        ("anthropic/claude-sonnet-4-20250514", "anthropic", "claude-sonnet-4-20250514"),
        ("bedrock/anthropic.claude-3-sonnet-20240229-v1:0", "bedrock", "anthropic.claude-3-sonnet-20240229-v1:0"),
        ("openrouter/anthropic/claude-3-haiku", "openrouter", "anthropic/claude-3-haiku"),
        ("azure/my-deployment", "azure", "my-deployment"),
    ],
)
async def test_provider_and_model_are_those_litellm_resolved(
    litellm: Any, seen: Seen, model: str, provider: str, name: str
) -> None:
    secrets = {"aws_access_key_id": "hunter2", "aws_secret_access_key": "hunter2"} if provider == "bedrock" else {}
    call = litellm.acompletion(
        model=model, messages=MESSAGES, mock_response="hi", max_tokens=9, api_key="hunter2", **secrets
    )
    await finish(call, seen)
    request, outcome = seen.one()

    assert (request.provider, request.model) == (provider, name)
    assert request.config.get("max_tokens", request.config.get("maxTokens")) == 9  # the latter is Bedrock's, in 1.53
    assert outcome.outputs["content"] == "hi"
    assert "hunter2" not in repr((request, outcome))


# Sessions


@pytest.mark.parametrize(
    ("arguments", "session"),
    [
        ({}, None),
        pytest.param({"litellm_session_id": "s"}, "s", marks=needs_litellm("1.80", "it knows no litellm_session_id")),
        ({"litellm_trace_id": "t"}, "t"),
        pytest.param(
            {"metadata": {"trace_id": "m"}}, "m", marks=needs_litellm("1.83", "it takes no trace id from metadata")
        ),
        ({"metadata": {"session_id": "m"}, "litellm_session_id": "s"}, "m"),
    ],
)
@pytest.mark.parametrize("kind", ["chat", "embedding"])
async def test_a_trace_id_that_litellm_made_up_is_no_session(
    litellm: Any, seen: Seen, http: Dict[str, Any], kind: str, arguments: Dict[str, Any], session: Optional[str]
) -> None:
    if kind == "embedding" and "litellm_trace_id" in arguments and not has_litellm("1.80"):
        pytest.skip("before LiteLLM 1.80: an embedding has no trace id")
    calls: Dict[str, Callable[[], Awaitable[Any]]] = {
        "chat": lambda: litellm.acompletion(model="openai/gpt-4o", messages=MESSAGES, **http, **arguments),
        "embedding": lambda: litellm.aembedding(model="openai/embed", input=["a"], **http, **arguments),
    }
    await finish(calls[kind](), seen)
    request, _ = seen.one()

    assert request.session == session
    if has_litellm("1.83") or "litellm_trace_id" in arguments:  # an older one does not report its own
        assert request.metadata["trace_id"]


# Failures


async def test_a_mocked_rate_limit(litellm: Any, seen: Seen) -> None:
    call = litellm.acompletion(model="gpt-4o", messages=MESSAGES, mock_response="litellm.RateLimitError")
    await finish(call, seen)
    request, outcome = seen.one()

    assert request.inputs == {"chat_history": MESSAGES}
    assert outcome.status == "failure"
    assert outcome.error == "RateLimitError: this is a mock rate limit error"
    assert metadata_of(outcome, "status_code", "error_class", "success", "cost") == {
        "status_code": 429,
        "error_class": "RateLimitError",
        "success": False,
        "cost": None,
    }


async def test_a_servers_error_names_the_providers_request(litellm: Any, seen: Seen, http: Dict[str, Any]) -> None:
    await finish(litellm.acompletion(model="openai/fail-503", messages=MESSAGES, **http), seen)
    _, outcome = seen.one()

    assert outcome.error is not None
    assert outcome.error.startswith("ServiceUnavailableError: OpenAIException")
    assert outcome.metadata["status_code"] == 503
    assert "prompt_tokens" not in outcome.metadata


@needs_litellm("1.110", "it reports an async stream that broke as a success")
async def test_a_stream_that_breaks_keeps_the_tokens_that_litellm_counted(
    litellm: Any, seen: Seen, http: Dict[str, Any]
) -> None:
    call = litellm.acompletion(model="openai/break-2", messages=MESSAGES, stream=True, **http)
    await finish(call, seen)
    _, outcome = seen.one()

    assert outcome.status == "failure"
    assert outcome.error
    assert outcome.metadata["usage_estimated"] is True
    assert int(str(outcome.metadata["completion_tokens"])) > 0


async def test_a_synchronous_call_without_a_provider_is_mapped(litellm: Any, seen: Seen) -> None:
    with pytest.raises(litellm.BadRequestError):
        await on_a_thread(functools.partial(litellm.completion, model="nosuch", messages=MESSAGES))
    request, outcome = seen.one()

    assert (request.provider, request.model) == (None, "nosuch")
    assert outcome.error is not None and outcome.error.startswith("BadRequestError: LLM Provider NOT provided")


# Everything else


async def test_embeddings(litellm: Any, seen: Seen, http: Dict[str, Any]) -> None:
    call = litellm.aembedding(model="openai/text-embedding-3-small", input=["a", "b"], dimensions=3, **http)
    await finish(call, seen)
    request, outcome = seen.one()

    assert request.event_name == "embedding"
    assert request.inputs == {"chunks": ["a", "b"]}
    assert request.config["dimensions"] == 3
    assert outcome.outputs == {"num_embeddings": 2, "dimensions": 3}
    assert outcome.metadata["prompt_tokens"] == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_text_completions(litellm: Any, seen: Seen, http: Dict[str, Any], stream: bool) -> None:
    call = litellm.atext_completion(model="gpt-3.5-turbo-instruct", prompt="hello", stream=stream, **http)
    await finish(call, seen)
    request, outcome = seen.one()

    assert request.event_name == "text_completion"
    assert request.provider == "openai"
    assert request.inputs == {"prompt": "hello"}
    assert outcome.outputs == {"text": "answer to: hello", "finish_reason": "stop"}


@NEEDS_RESPONSES
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
async def test_the_responses_api(litellm: Any, seen: Seen, http: Dict[str, Any], stream: bool) -> None:
    call = litellm.aresponses(
        model="openai/gpt-4o",
        input="hello",
        instructions="be brief",
        stream=stream,
        metadata={"session_id": "s"},
        **http,
    )
    await finish(call, seen)
    request, outcome = seen.one()

    assert request.event_name == "responses"
    assert request.inputs == {"chat_history": MESSAGES}
    assert request.session == "s"
    assert outcome.outputs == {"role": "assistant", "content": "answer to: hello", "finish_reason": "completed"}
    assert outcome.metadata["completion_tokens"] == 5


@needs_litellm("1.80", "it does not speak Anthropic's own form")
async def test_anthropics_own_messages(litellm: Any, seen: Seen) -> None:
    call = litellm.anthropic.messages.acreate(
        model="anthropic/claude-3-5-sonnet-20240620", messages=MESSAGES[1:], max_tokens=9, mock_response="hi"
    )
    await finish(call, seen)
    request, outcome = seen.one()

    assert request.event_name == "anthropic_messages"
    assert (request.provider, request.model) == ("anthropic", "claude-3-5-sonnet-20240620")
    assert outcome.outputs["content"] == "hi"
    assert outcome.metadata["prompt_tokens"] == 2095


@needs_litellm("1.80", "its moderation has one address")
async def test_moderations(litellm: Any, seen: Seen, http: Dict[str, Any]) -> None:
    del http["max_retries"]
    await finish(litellm.amoderation(model="openai/omni-moderation-latest", input="bad", **http), seen)
    request, outcome = seen.one()

    assert request.inputs == {"input": "bad"}
    results: Any = outcome.outputs["results"]
    assert [result["flagged"] for result in results] == [False]
    assert outcome.metadata["cost"] == 0.0  # LiteLLM's price list says that it is free


async def test_images(litellm: Any, seen: Seen) -> None:
    await finish(
        litellm.aimage_generation(model="openai/dall-e-3", prompt="a cat", mock_response="http://x/y.png"), seen
    )
    request, outcome = seen.one()

    assert request.inputs == {"prompt": "a cat"}
    assert outcome.outputs == {"num_images": 1, "images": [{"url": "http://x/y.png"}]}
    assert "total_tokens" not in outcome.metadata
