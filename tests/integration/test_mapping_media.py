"""Megabytes of media and vectors go through LiteLLM; an event has a few words for them."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from typing import Any, Callable, Dict, Iterator

import litellm
import pytest

import honeyhive_litellm
from honeyhive_litellm.testing import Collector, ModelServer
from honeyhive_litellm.testing._model_server.media import png, wav

from ..versions import needs_litellm

Route = Dict[str, Any]
BIG = png(1200)
SOUND = wav(100)


@pytest.fixture
def route() -> Iterator[Route]:
    with ModelServer() as models:
        for name in ("gpt-image-1", "tts-1", "mistral-ocr-latest"):
            models.behave(name, "long-900")
        yield {"api_base": models.url, "api_key": "sk-local"}


def picture_in_a_chat(route: Route) -> None:
    uri = "data:image/png;base64," + base64.b64encode(BIG).decode()
    content = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": uri}}]
    litellm.completion(model="openai/gpt-4o", messages=[{"role": "user", "content": content}], **route)


def picture_made(route: Route) -> None:
    litellm.image_generation(model="openai/gpt-image-1", prompt="a cat", n=3, **route)


def picture_edited(route: Route) -> None:
    litellm.image_edit(model="openai/gpt-image-1", prompt="a cat", image=io.BytesIO(BIG), **route)


def sound_heard(route: Route) -> None:
    litellm.transcription(model="openai/whisper-1", file=("talk.wav", SOUND), **route)


def sound_made(route: Route) -> None:
    litellm.speech(model="openai/tts-1", input="hello", voice="alloy", **route)


def document_read(route: Route) -> None:
    uri = "data:application/pdf;base64," + base64.b64encode(b"%PDF" + BIG).decode()
    litellm.ocr(model="mistral/mistral-ocr-latest", document={"type": "document_url", "document_url": uri}, **route)


def texts_embedded(route: Route) -> None:
    litellm.embedding(model="openai/text-embedding-3-large", input=["bees"] * 50, dimensions=3072, **route)


def file_sent(route: Route) -> None:
    litellm.create_file(file=("big.jsonl", SOUND), purpose="batch", custom_llm_provider="openai", **route)


@pytest.mark.parametrize(
    "call",
    [
        picture_in_a_chat,
        pytest.param(picture_made, marks=needs_litellm("1.80", "it cannot read today's answers with images")),
        pytest.param(picture_edited, marks=needs_litellm("1.80", "it edits no images")),
        sound_heard,
        sound_made,
        pytest.param(document_read, marks=needs_litellm("1.80", "it reads no documents")),
        texts_embedded,
        pytest.param(file_sent, marks=needs_litellm("1.80", "it tells nobody of files")),
    ],
)
def test_an_event_is_small_however_much_was_sent_and_came(
    traced: Collector, route: Route, call: Callable[[Route], None]
) -> None:
    call(route)
    assert honeyhive_litellm.flush(20) == 0
    (event,) = traced.wait_for(1, timeout=20)
    assert len(json.dumps(event)) < 6000
    assert event["outputs"]
    assert event["metadata"]["status"] == "success"


def test_a_picture_is_recorded_as_its_digest_type_and_size(traced: Collector, route: Route) -> None:
    picture_in_a_chat(route)
    assert honeyhive_litellm.flush(20) == 0
    (event,) = traced.events
    recorded = event["inputs"]["chat_history"][0]["content"][1]["image_url"]["url"]
    assert recorded == {"sha256": hashlib.sha256(BIG).hexdigest(), "mime_type": "image/png", "bytes": len(BIG)}
