"""LiteLLM's message redaction: what an event shows when its switches differ, and beside other loggers."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, Dict, Iterator, List, Mapping

import litellm
import pytest
from litellm.integrations.custom_logger import CustomLogger

import honeyhive_litellm
from honeyhive_litellm._instrumentation.litellm_functions import ImportedLiteLLM
from honeyhive_litellm.testing import Collector, ModelServer

from ..unit.test_mapping_switches import HIDES
from ..versions import needs_litellm

WORD = "periwinkle"
DISABLE = {"metadata": {"headers": {"litellm-disable-message-redaction": "true"}}}
ENABLE = {"metadata": {"headers": {"litellm-enable-message-redaction": "true"}}}
KINDS = ("chat", "stream", "embedding", "responses", "responses stream", "messages", "messages stream", "router")


@pytest.fixture(autouse=True)
def _message_logging_is_on_again() -> Iterator[None]:
    yield
    litellm.turn_off_message_logging = False


async def read(stream: Any) -> None:
    async for _ in stream:
        pass


async def make_calls(models: ModelServer, options: Mapping[str, Any]) -> List[str]:
    """A call of every kind, async and sync; what was called, in no order."""
    route: Dict[str, Any] = {"api_base": models.url, "api_key": "sk-local", "max_retries": 0}
    chat = {"messages": [{"role": "user", "content": WORD}], **options}
    openai = {"model": "openai/gpt-4o", **route}
    claude = {
        "model": "anthropic/claude-sonnet-4-5",
        "max_tokens": 9,
        "api_base": models.url[: -len("/v1")],
        "api_key": "sk-local",
    }
    router = litellm.Router(model_list=[{"model_name": "main", "litellm_params": openai}], num_retries=0)
    embedding = {**route, "model": "openai/text-embedding-3-small", "input": [WORD]}

    await litellm.acompletion(**openai, **chat)
    await read(await litellm.acompletion(stream=True, **openai, **chat))
    await litellm.aembedding(**embedding, **options)
    await litellm.aresponses(input=WORD, **openai, **options)
    await read(await litellm.aresponses(input=WORD, stream=True, **openai, **options))
    await litellm.anthropic.messages.acreate(**claude, **chat)
    await read(await litellm.anthropic.messages.acreate(stream=True, **claude, **chat))
    await router.acompletion(model="main", **chat)

    def call_now() -> None:
        litellm.completion(**openai, **chat)
        list(litellm.completion(stream=True, **openai, **chat))
        litellm.embedding(**embedding, **options)
        litellm.responses(input=WORD, **openai, **options)
        list(litellm.responses(input=WORD, stream=True, **openai, **options))
        router.completion(model="main", **chat)

    await asyncio.get_running_loop().run_in_executor(None, call_now)
    return [f"a{kind}" for kind in KINDS] + [kind for kind in KINDS if "messages" not in kind]


def kind_of(event: Dict[str, Any]) -> str:
    return f"{event['metadata']['call_type']}{' stream' * event['config']['is_streaming']}"


def sides_with_content(event: Dict[str, Any]) -> List[str]:
    sides = ["input"] if WORD in str(event["inputs"]) else []
    if "embedding" in event["event_name"]:  # the vectors are not recorded
        assert event["outputs"]["num_embeddings"] == 1
        return [*sides, "output"] if sides else []
    return [*sides, "output"] if WORD in str(event["outputs"]) else sides


CASES = {
    "no switch": (False, {}, False, True),
    "another logger wants no messages": (False, {}, True, True),
    "the call allows what is off for all": (True, {"turn_off_message_logging": False}, False, True),
    "a header allows what is off for all": (True, DISABLE, False, True),
    "a header allows it, beside a logger that wants none": (True, DISABLE, True, True),
    "off for all, beside a logger that wants none": (True, {}, True, False),
    "the call forbids it": (False, {"turn_off_message_logging": True}, False, False),
    "a header forbids it": (False, ENABLE, False, False),
}


@needs_litellm("1.110", "it reports these kinds of calls in other ways")
@pytest.mark.parametrize(("is_off", "options", "with_mute", "is_visible"), CASES.values(), ids=CASES)
async def test_an_event_shows_both_sides_of_a_call_or_neither(
    traced: Collector,
    models: ModelServer,
    is_off: bool,
    options: Dict[str, Any],
    with_mute: bool,
    is_visible: bool,
) -> None:
    litellm.turn_off_message_logging = is_off
    if with_mute:
        litellm.callbacks.append(CustomLogger(message_logging=False))
    calls = await make_calls(models, options)
    assert await honeyhive_litellm.aflush(30) == 0
    events = [event for event in traced.events if event["event_type"] == "model"]
    assert len(events) == len(calls), events
    shown = {"".join((kind_of(event), ": ", *sides_with_content(event))) for event in events}
    sides = ("input", "output") if is_visible else ()
    assert shown == {"".join((kind_of(event), ": ", *sides)) for event in events}
    assert "redacted-by-litellm" not in str(events)


@needs_litellm("1.80", "its function takes another argument")
def test_our_reading_of_the_switches_is_litellms(monkeypatch: pytest.MonkeyPatch) -> None:
    for (call_details, *hidden), is_on in itertools.product(HIDES, (False, True)):
        monkeypatch.setattr(litellm, "turn_off_message_logging", is_on)
        complete = {"litellm_params": {}, "standard_callback_dynamic_params": None, **call_details}
        assert ImportedLiteLLM().hides_content(complete) is hidden[is_on], complete
