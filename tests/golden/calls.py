"""The calls whose events are kept as golden ones: what each does, and the column of the coverage table it is in."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import io
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import litellm
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator

import honeyhive_litellm
from honeyhive_litellm.testing import Collector, ModelServer
from honeyhive_litellm.testing._model_server.media import png, wav
from tests.faults.programs import until_written
from tests.golden.scripted import provider
from tests.realtime import SPOKEN, converse, typed
from tests.support.forked_programs import PythonProcess

KEY = "sk-local"
MESSAGES = [{"role": "user", "content": "hello"}]
CONTENTS = [{"role": "user", "parts": [{"text": "hello"}]}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tell the weather in a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
SYNC, ASYNC, STREAM, ROUTER = "sdk-sync", "sdk-async", "stream", "router"


@dataclass
class Stage:
    """Where a call is made."""

    models: ModelServer
    collector: Collector
    spool: Path

    @property
    def route(self) -> Dict[str, Any]:
        """For providers of OpenAI's kind, without the retries of the `openai` client."""
        return {**self.plain, "max_retries": 0}

    @property
    def plain(self) -> Dict[str, Any]:
        return {"api_base": self.models.url, "api_key": KEY}

    @property
    def root(self) -> Dict[str, Any]:
        """For Anthropic, to whose address LiteLLM adds the version itself."""
        return {"api_base": self.models.url[: -len("/v1")], "api_key": KEY}


@dataclass(frozen=True)
class Call:
    """`run` makes the call, and returns when its caller would; `events` is how many there will be."""

    column: str
    run: Callable[[Stage], Any]
    events: int = 1
    options: Dict[str, Any] = field(default_factory=dict)


CALLS: Dict[str, Call] = {}


def call(column: str, *, events: int = 1, **options: Any) -> Callable[[Callable[[Stage], Any]], Callable[[Stage], Any]]:
    """Add a call under the name of its function."""

    def add(run: Callable[[Stage], Any]) -> Callable[[Stage], Any]:
        CALLS[run.__name__] = Call(column, run, events, options)
        return run

    return add


async def read(stream: Any) -> None:
    async for _ in stream:
        pass


def read_now(stream: Any) -> None:
    for _ in stream:
        pass


# ---- chats


@call(SYNC)
def chat_sync(stage: Stage) -> None:
    litellm.completion(model="openai/gpt-4o", messages=MESSAGES, temperature=0.5, max_tokens=99, **stage.route)


@call(ASYNC)
async def chat_async(stage: Stage) -> None:
    await litellm.acompletion(model="openai/gpt-4o", messages=MESSAGES, temperature=0.5, max_tokens=99, **stage.route)


@call(SYNC, custom_attributes={"team": "core"}, environment="staging")
def chat_of_a_session(stage: Stage) -> None:
    metadata = {
        "session_id": "chat 42",
        "honeyhive_parent_id": "step 7",
        "event_name": "greeting",
        "user_id": "u1",
        "user_properties": {"plan": "pro"},
        "tags": ["a"],
        "trace_id": "trace-1",
        "release": "2026.4",
        "status": "taken",
    }
    litellm.completion(model="openai/gpt-4o", messages=MESSAGES, metadata=metadata, **stage.route)


@call(STREAM)
async def chat_stream(stage: Stage) -> None:
    request = {"stream": True, "stream_options": {"include_usage": True}}
    await read(await litellm.acompletion(model="openai/gpt-4o", messages=MESSAGES, **request, **stage.route))


@call(STREAM)
def chat_stream_uncounted(stage: Stage) -> None:
    read_now(litellm.completion(model="openai/gpt-4o", messages=MESSAGES, stream=True, **stage.route))


@call(ASYNC)
async def chat_tools(stage: Stage) -> None:
    await litellm.acompletion(model="openai/gpt-4o", messages=MESSAGES, tools=TOOLS, tool_choice="auto", **stage.route)


@call(STREAM)
def chat_tools_stream(stage: Stage) -> None:
    request = {"stream": True, "stream_options": {"include_usage": True}}
    read_now(litellm.completion(model="openai/gpt-4o", messages=MESSAGES, tools=TOOLS, **request, **stage.route))


@call(SYNC)
def chat_tool_answer(stage: Stage) -> None:
    request = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}
    messages = [
        {"role": "user", "content": "Snow in Bern?"},
        {"role": "assistant", "content": None, "tool_calls": [request]},
        {"role": "tool", "tool_call_id": "call_1", "content": "snow"},
    ]
    litellm.completion(model="openai/gpt-4o", messages=messages, tools=TOOLS, **stage.route)


@call(SYNC)
def chat_reasoning_cached(stage: Stage) -> None:
    stage.models.behave("gpt-4o", "reason cached")
    litellm.completion(model="openai/gpt-4o", messages=MESSAGES, **stage.route)


@call(SYNC)
def chat_several_choices(stage: Stage) -> None:
    litellm.completion(model="openai/gpt-4o", messages=MESSAGES, n=3, **stage.route)


@call(ASYNC)
async def chat_image(stage: Stage) -> None:
    uri = "data:image/png;base64," + base64.b64encode(png(64)).decode()
    content = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": uri}}]
    await litellm.acompletion(model="openai/gpt-4o", messages=[{"role": "user", "content": content}], **stage.route)


@call(ASYNC)
async def chat_anthropic(stage: Stage) -> None:
    stage.models.behave("claude-sonnet-4-5", "reason cached")
    await litellm.acompletion(model="anthropic/claude-sonnet-4-5", messages=MESSAGES, max_tokens=99, **stage.root)


@call(SYNC)
def chat_gemini(stage: Stage) -> None:
    litellm.completion(model="gemini/gemini-2.5-flash", messages=MESSAGES, **stage.plain)


@call(SYNC)
def chat_unknown_price(stage: Stage) -> None:
    litellm.completion(model="anthropic/claude-sonnet-4-5-of-ours", messages=MESSAGES, max_tokens=9, **stage.root)


@call(SYNC)
def chat_uncounted(stage: Stage) -> None:
    stage.models.behave("gpt-4o", "nousage")
    litellm.completion(model="openai/gpt-4o", messages=MESSAGES, **stage.route)


@call(SYNC, events=2)
def chat_cache_hit(stage: Stage) -> None:
    litellm.cache = litellm.Cache()
    try:
        for _ in range(2):
            litellm.completion(model="openai/gpt-4o", messages=MESSAGES, caching=True, **stage.route)
            honeyhive_litellm.flush(10)
    finally:
        litellm.cache = None


@call(STREAM, events=2)
def chat_cache_hit_stream(stage: Stage) -> None:
    """Read once, and so cached; then dropped."""
    request: Dict[str, Any] = {"model": "openai/gpt-4o", "messages": MESSAGES, "stream": True, "caching": True}
    litellm.cache = litellm.Cache()
    try:
        read_now(litellm.completion(**request, **stage.route))
        honeyhive_litellm.flush(10)
        next(litellm.completion(**request, **stage.route))
        gc.collect()
    finally:
        litellm.cache = None


class SameIds(IdGenerator):
    """OpenTelemetry's ids, the same in every run."""

    def generate_trace_id(self) -> int:
        return 0x4BF92F3577B34DA6A3CE929D0E0E4736

    def generate_span_id(self) -> int:
        return 0x00F067AA0BA902B7


@call(SYNC)
def chat_in_a_span(stage: Stage) -> None:
    tracer = TracerProvider(id_generator=SameIds()).get_tracer("tests")
    with tracer.start_as_current_span("work"):
        litellm.completion(model="openai/gpt-4o", messages=MESSAGES, **stage.route)


@call(ASYNC)
async def chat_in_a_span_async(stage: Stage) -> None:
    tracer = TracerProvider(id_generator=SameIds()).get_tracer("tests")
    with tracer.start_as_current_span("work"):
        await litellm.acompletion(model="openai/gpt-4o", messages=MESSAGES, **stage.route)


# ---- how calls end


@call(SYNC)
def failure_sync(stage: Stage) -> None:
    with contextlib.suppress(litellm.RateLimitError):
        litellm.completion(model="openai/fail-429", messages=MESSAGES, **stage.route)


@call(ASYNC)
async def failure_async(stage: Stage) -> None:
    with contextlib.suppress(litellm.AuthenticationError):
        await litellm.acompletion(model="openai/fail-401", messages=MESSAGES, **stage.route)


@call(STREAM)
def failure_stream_broken(stage: Stage) -> None:
    with contextlib.suppress(Exception):
        read_now(litellm.completion(model="openai/break-3", messages=MESSAGES, stream=True, **stage.route))


@call(STREAM)
async def abandoned_stream(stage: Stage) -> None:
    stage.models.behave("gpt-4o", "stall-3")
    stream = await litellm.acompletion(model="openai/gpt-4o", messages=MESSAGES, stream=True, **stage.route)
    for _ in range(2):
        await stream.__anext__()
    del stream
    gc.collect()


@call(ASYNC)
async def cancelled(stage: Stage) -> None:
    stage.models.behave("gpt-4o", "hang")
    task = asyncio.ensure_future(litellm.acompletion(model="openai/gpt-4o", messages=MESSAGES, **stage.route))
    await asyncio.get_running_loop().run_in_executor(None, stage.models.wait_for, 1, 20.0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    del task
    gc.collect()


_DYING = """
import os, sys, litellm, honeyhive_litellm
url, spool, models = sys.argv[1:]
honeyhive_litellm.init(api_key="hh_key", project="tests", api_url=url, spool_path=spool)
litellm.completion(
    model="openai/gpt-4o", messages=[{"role": "user", "content": "hello"}], api_base=models, api_key="sk-local"
)
"""


@call(SYNC)
def interrupted(stage: Stage) -> None:
    honeyhive_litellm.shutdown(5)
    stage.models.behave("gpt-4o", "hang")
    arguments = [stage.collector.url, str(stage.spool), stage.models.url]
    child = PythonProcess("-c", _DYING, *arguments, env=dict(os.environ))
    try:
        assert stage.models.wait_for(1, 60)
        until_written(stage.spool, b"chat_history")
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    honeyhive_litellm.init(api_key="hh_key", project="tests", api_url=stage.collector.url, spool_path=stage.spool)


# ---- what is left out


@call(SYNC, capture_message_content=False)
def content_off(stage: Stage) -> None:
    messages = [{"role": "system", "content": "be brief"}, *MESSAGES]
    litellm.completion(model="openai/gpt-4o", messages=messages, tools=TOOLS, temperature=0, **stage.route)


@call(ASYNC, capture_message_content=False)
async def content_off_failure(stage: Stage) -> None:
    with contextlib.suppress(litellm.InternalServerError):
        await litellm.acompletion(model="openai/fail-500", messages=MESSAGES, **stage.route)


@call(SYNC, redact=["email", "card"])
def redacted(stage: Stage) -> None:
    text = "joe@example.com pays with 4111 1111 1111 1111"
    litellm.completion(model="openai/gpt-4o", messages=[{"role": "user", "content": text}], **stage.route)


@call(SYNC, capture_headers=True, capture_raw_request=True)
def headers_and_raw_request(stage: Stage) -> None:
    extra = {"extra_headers": {"Authorization": "Bearer sk-x", "X-Team": "blue"}}
    litellm.completion(model="openai/gpt-4o", messages=MESSAGES, **extra, **stage.route)


# ---- other kinds


@call(SYNC)
def text_completion_sync(stage: Stage) -> None:
    litellm.text_completion(model="text-completion-openai/gpt-3.5-turbo-instruct", prompt="hello", **stage.route)


@call(ASYNC)
async def text_completion_async(stage: Stage) -> None:
    model = "text-completion-openai/gpt-3.5-turbo-instruct"
    await litellm.atext_completion(model=model, prompt="hello", **stage.route)


@call(STREAM)
async def text_completion_stream(stage: Stage) -> None:
    model = "text-completion-openai/gpt-3.5-turbo-instruct"
    await read(await litellm.atext_completion(model=model, prompt="hello", stream=True, **stage.route))


@call(SYNC)
def embedding_sync(stage: Stage) -> None:
    litellm.embedding(model="openai/text-embedding-3-small", input=["bees", "honey"], **stage.route)


@call(ASYNC)
async def embedding_async(stage: Stage) -> None:
    await litellm.aembedding(model="openai/text-embedding-3-small", input="bees", dimensions=4, **stage.route)


@call(SYNC)
def responses_sync(stage: Stage) -> None:
    litellm.responses(model="openai/gpt-4o", input="hello", instructions="be brief", **stage.route)


@call(ASYNC)
async def responses_async(stage: Stage) -> None:
    await litellm.aresponses(model="openai/gpt-4o", input="hello", **stage.route)


@call(STREAM)
async def responses_stream(stage: Stage) -> None:
    await read(await litellm.aresponses(model="openai/gpt-4o", input="hello", stream=True, **stage.route))


@call(STREAM)
def responses_stream_abandoned(stage: Stage) -> None:
    stage.models.behave("gpt-4o", "stall-4")
    stream: Any = litellm.responses(model="openai/gpt-4o", input="hello", stream=True, **stage.route)
    for _ in range(3):
        next(stream)
    del stream
    gc.collect()


@call(ASYNC)
async def anthropic_messages(stage: Stage) -> None:
    stage.models.behave("claude-sonnet-4-5", "reason cached")
    await litellm.anthropic.messages.acreate(
        model="anthropic/claude-sonnet-4-5", messages=MESSAGES, max_tokens=99, system="be brief", **stage.root
    )


@call(ASYNC)
async def anthropic_messages_translated(stage: Stage) -> None:
    await litellm.anthropic.messages.acreate(
        model="hosted_vllm/qwen",
        messages=MESSAGES,
        max_tokens=99,
        system=[{"type": "text", "text": "be brief"}],
        metadata={"session_id": "agent 7", "user_id": "u1"},
        **stage.plain,
    )


@call(SYNC, events=3)
def chat_fallbacks(stage: Stage) -> None:
    litellm.completion(model="openai/fail-500", messages=MESSAGES, fallbacks=["openai/gpt-4o"], **stage.route)


@call(SYNC)
def image_generation_sync(stage: Stage) -> None:
    litellm.image_generation(model="openai/gpt-image-1", prompt="a cat", n=2, **stage.route)


@call(ASYNC)
async def image_generation_async(stage: Stage) -> None:
    await litellm.aimage_generation(model="openai/dall-e-3", prompt="a cat", **stage.route)


@call(SYNC)
def transcription_sync(stage: Stage) -> None:
    litellm.transcription(model="openai/whisper-1", file=("hello.wav", wav(0.2)), **stage.route)


@call(ASYNC)
async def transcription_async(stage: Stage) -> None:
    await litellm.atranscription(model="openai/whisper-1", file=("hello.wav", wav(0.2)), **stage.route)


@call(SYNC)
def speech_sync(stage: Stage) -> None:
    litellm.speech(model="openai/tts-1", input="hello", voice="alloy", **stage.route)


@call(ASYNC)
async def speech_async(stage: Stage) -> None:
    await litellm.aspeech(model="openai/tts-1", input="hello", voice="alloy", **stage.route)


@call(SYNC)
def rerank_sync(stage: Stage) -> None:
    documents = ["bees make honey", "cats sleep"]
    litellm.rerank(model="hosted_vllm/bge", query="honey", documents=documents, return_documents=True, **stage.plain)


@call(ASYNC)
async def rerank_async(stage: Stage) -> None:
    documents = ["bees make honey", "cats sleep"]
    await litellm.arerank(model="hosted_vllm/bge", query="honey", documents=documents, top_n=1, **stage.plain)


DOCUMENT = {"type": "document_url", "document_url": "https://docs.example/letter.pdf"}


@call(SYNC)
def ocr_sync(stage: Stage) -> None:
    litellm.ocr(model="mistral/mistral-ocr-latest", document=DOCUMENT, **stage.plain)


@call(ASYNC)
async def ocr_async(stage: Stage) -> None:
    await litellm.aocr(model="mistral/mistral-ocr-latest", document=DOCUMENT, **stage.plain)


@call(SYNC)
def vector_store_search_sync(stage: Stage) -> None:
    litellm.vector_stores.search(vector_store_id="vs_1", query="honey", custom_llm_provider="openai", **stage.plain)


@call(ASYNC)
async def vector_store_search_async(stage: Stage) -> None:
    request = {"vector_store_id": "vs_1", "query": "honey", "custom_llm_provider": "openai"}
    await litellm.vector_stores.asearch(**request, **stage.plain)


@call(SYNC)
def generate_content_sync(stage: Stage) -> None:
    litellm.google_genai.generate_content(model="gemini/gemini-2.5-flash", contents=CONTENTS, **stage.plain)


@call(ASYNC)
async def generate_content_async(stage: Stage) -> None:
    await litellm.google_genai.agenerate_content(model="gemini/gemini-2.5-flash", contents=CONTENTS, **stage.plain)


def contents_stream(stage: Stage) -> Any:
    return litellm.google_genai.generate_content_stream(
        model="gemini/gemini-2.5-flash", contents=CONTENTS, **stage.plain
    )


@call(STREAM)
def generate_content_stream(stage: Stage) -> None:
    stage.models.behave("gemini-2.5-flash", "reason cached")
    read_now(contents_stream(stage))


@call(STREAM)
async def generate_content_stream_async(stage: Stage) -> None:
    stage.models.behave("gemini-2.5-flash", "reason cached")
    await read(
        await litellm.google_genai.agenerate_content_stream(
            model="gemini/gemini-2.5-flash", contents=CONTENTS, **stage.plain
        )
    )


@call(STREAM)
def generate_content_stream_abandoned(stage: Stage) -> None:
    stage.models.behave("gemini-2.5-flash", "stall-2")
    next(contents_stream(stage))
    gc.collect()


@call(ASYNC)
async def realtime(stage: Stage) -> None:
    await converse([SPOKEN, typed("why?")], stage.models.url, model="openai/gpt-realtime")


# ---- calls that look alike in both ways


def picture() -> io.BytesIO:
    file = io.BytesIO(png(16))
    file.name = "cat.png"
    return file


PROVIDER = {"custom_llm_provider": "openai"}
BATCH = {"completion_window": "24h", "endpoint": "/v1/chat/completions", "input_file_id": "file-1"}
PAIRS: Dict[str, Callable[[], Dict[str, Any]]] = {
    "image_edit": lambda: {"model": "openai/gpt-image-1", "prompt": "a cat", "image": picture()},
    "image_variation": lambda: {"model": "openai/dall-e-2", "image": picture()},
    "create_file": lambda: {"file": ("batch.jsonl", b'{"custom_id": "1"}\n'), "purpose": "batch", **PROVIDER},
    "file_retrieve": lambda: {"file_id": "file-1", **PROVIDER},
    "file_list": lambda: PROVIDER,
    "file_delete": lambda: {"file_id": "file-1", **PROVIDER},
    "file_content": lambda: {"file_id": "file-1", **PROVIDER},
    "create_batch": lambda: {**BATCH, **PROVIDER},
    "retrieve_batch": lambda: {"batch_id": "batch-1", **PROVIDER},
    "list_batches": lambda: PROVIDER,
    "cancel_batch": lambda: {"batch_id": "batch-1", **PROVIDER},
    "moderation": lambda: {"model": "openai/omni-moderation-latest", "input": "a violent text"},
}
"""What each of these is asked, in both ways."""


def add_pair(name: str, request: Callable[[], Dict[str, Any]]) -> None:
    def now(stage: Stage) -> None:
        getattr(litellm, name)(**request(), **stage.plain)

    async def later(stage: Stage) -> None:
        await getattr(litellm, f"a{name}")(**request(), **stage.plain)

    CALLS[f"{name}_sync"] = Call(SYNC, now)
    CALLS[f"{name}_async"] = Call(ASYNC, later)


for _name, _request in PAIRS.items():
    add_pair(_name, _request)


# ---- calls of APIs that the model server does not have


_USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
_ANSWER = {
    "id": "resp_1", "object": "response", "created_at": 1700000000, "status": "completed", "model": "gpt-4o",
    "output": [
        {
            "type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": "short", "annotations": []}],
        }
    ],
    "usage": _USAGE, "parallel_tool_calls": True, "tools": [], "tool_choice": "auto", "metadata": {},
}  # fmt: skip
_VIDEO = {
    "id": "video_1", "object": "video", "status": "queued", "created_at": 1700000000, "model": "sora-2", "progress": 0,
    "seconds": "4", "size": "720x1280",
}  # fmt: skip
_INTERACTION = {
    "id": "interaction_1", "object": "interaction", "model": "gemini-2.5-flash", "status": "completed",
    "steps": [{"type": "model_output", "content": [{"type": "text", "text": "hi there"}]}],
    "usage": {"total_input_tokens": 3, "total_output_tokens": 2, "total_tokens": 5},
}  # fmt: skip
_MESSAGE = {
    "id": "msg_1", "object": "thread.message", "created_at": 1700000000, "thread_id": "thread_1", "role": "user",
    "status": "completed", "content": [{"type": "text", "text": {"value": "hello", "annotations": []}}],
}  # fmt: skip
_RUN = {
    "id": "run_1", "object": "thread.run", "created_at": 1700000000, "thread_id": "thread_1", "status": "completed",
    "assistant_id": "asst_1", "model": "gpt-4o", "instructions": "be brief", "tools": [],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}  # fmt: skip
_CHAT = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "gpt-4o",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "honey"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}  # fmt: skip
_FOUND = {
    "object": "vector_store.search_results.page", "search_query": "what do bees make?", "has_more": False,
    "data": [
        {"file_id": "f", "filename": "n", "score": 0.9, "attributes": {}, "content": [{"type": "text", "text": "bees"}]}
    ],
}  # fmt: skip
_STORE = {
    "id": "vs_1", "object": "vector_store", "created_at": 1700000000, "name": "letters", "status": "completed",
    "usage_bytes": 1, "file_counts": {"in_progress": 0, "completed": 1, "failed": 0, "cancelled": 0, "total": 1},
}  # fmt: skip
_QUESTION = [{"role": "user", "content": "what do bees make?"}]
_STORED = {"vector_store_id": "vs_1", "custom_llm_provider": "openai"}
_SCRIPTED: Dict[str, Tuple[Dict[str, Any], Callable[[Dict[str, Any]], Any]]] = {
    "compact_responses": (
        {"/compact": {**_ANSWER, "object": "response.compaction"}},
        lambda to: litellm.compact_responses(input="a long talk", model="openai/gpt-4o", **to),
    ),
    "get_responses": (
        {"/resp_1": _ANSWER},
        lambda to: litellm.get_responses(response_id="resp_1", custom_llm_provider="openai", **to),
    ),
    "create_interaction": (
        {"/interactions": _INTERACTION},
        lambda to: litellm.interactions.create(model="gemini/gemini-2.5-flash", input="hello", **to),
    ),
    "video_generation": (
        {"/videos": _VIDEO},
        lambda to: litellm.video_generation(prompt="a cat", model="openai/sora-2", **to),
    ),
    "video_remix": (
        {"/remix": _VIDEO},
        lambda to: litellm.video_remix(video_id="video_1", prompt="a dog", custom_llm_provider="openai", **to),
    ),
    "video_edit": (
        {"/edits": _VIDEO},
        lambda to: litellm.video_edit(video_id="video_1", prompt="a dog", custom_llm_provider="openai", **to),
    ),
    "video_extension": (
        {"/extensions": _VIDEO},
        lambda to: litellm.video_extension(
            video_id="video_1", prompt="go on", seconds="4", custom_llm_provider="openai", **to
        ),
    ),
    "add_message": (
        {"/messages": _MESSAGE},
        lambda to: litellm.add_message("openai", "thread_1", "user", "hello", **to),
    ),
    "run_thread": (
        {"/runs": _RUN, "/runs/run_1": _RUN},
        lambda to: litellm.run_thread("openai", "thread_1", "asst_1", instructions="be brief", **to),
    ),
    "query": (
        {"/search": _FOUND, "/chat/completions": _CHAT},
        lambda to: asyncio.run(
            litellm.aquery(model="openai/gpt-4o", messages=_QUESTION, retrieval_config=_STORED, **to)
        ),
    ),
    "vector_store_create": (
        {"/vector_stores": _STORE},
        lambda to: litellm.vector_stores.create(name="letters", custom_llm_provider="openai", **to),
    ),
}
"""What a provider answers by the end of the path, and the call, of which the argument is where the provider is."""


def add_scripted(name: str, answers: Dict[str, Any], make: Callable[[Dict[str, Any]], Any]) -> None:
    def run(stage: Stage) -> None:
        with provider(answers) as url:
            make({"api_base": url, "api_key": KEY})

    CALLS[name] = Call(SYNC, run)


for _name, (_answers, _make) in _SCRIPTED.items():
    add_scripted(_name, _answers, _make)


# ---- the Router


def router(stage: Stage, **names: str) -> Any:
    """A Router with a deployment for each name, asking for that model."""
    deployments: List[Dict[str, Any]] = [
        {
            "model_name": name,
            "litellm_params": {"model": f"openai/{model}", **stage.route},
            "model_info": {"id": f"deployment-{name}"},
        }
        for name, model in names.items()
    ]
    return litellm.Router(model_list=deployments, fallbacks=[{"main": ["spare"]}], num_retries=0)


@call(ROUTER)
async def router_chat(stage: Stage) -> None:
    await router(stage, main="gpt-4o").acompletion(model="main", messages=MESSAGES)


@call(ROUTER, events=3)
async def router_fallback(stage: Stage) -> None:
    routed = router(stage, main="fail-500", spare="gpt-4o")
    await routed.acompletion(model="main", messages=MESSAGES)


@call(ROUTER)
async def router_unknown_price(stage: Stage) -> None:
    await router(stage, main="one-of-ours").acompletion(model="main", messages=MESSAGES)


@call(ROUTER)
async def router_embedding(stage: Stage) -> None:
    await router(stage, main="text-embedding-3-small").aembedding(model="main", input=["bees"])
