"""The model server's answers in the forms of Anthropic, Gemini and Cohere, and its pictures and transcriptions."""

from __future__ import annotations

import base64
import json
from typing import Any, Dict, Iterator, List

import httpx
import pytest

from honeyhive_litellm.testing._model_server.server import ModelServer

PROMPT = {"role": "user", "content": "Bern"}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "snow"}]}
TOOL = {"name": "weather", "input_schema": {"type": "object"}}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with ModelServer() as server, httpx.Client(base_url=server.url, timeout=5.0, trust_env=False) as connected:
        yield connected


def answer(client: httpx.Client, path: str, **body: Any) -> Any:
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def streamed(client: httpx.Client, path: str, **body: Any) -> List[Dict[str, Any]]:
    """The events of a stream, without the line that ends some."""
    with client.stream("POST", path, json={"stream": True, **body}) as response:
        data = [line[len("data: ") :] for line in response.iter_lines() if line.startswith("data: ")]
    return [json.loads(piece) for piece in data if piece != "[DONE]"]


# Anthropic


def test_a_message_with_tools_is_the_use_of_the_first_until_a_tool_has_answered(client: httpx.Client) -> None:
    call = answer(client, "messages", model="claude", messages=[PROMPT], tools=[TOOL])
    assert call["content"] == [
        {"type": "tool_use", "id": call["content"][0]["id"], "name": "weather", "input": {"city": "Bern"}}
    ]
    assert call["stop_reason"] == "tool_use"

    done = answer(client, "messages", model="claude", messages=[PROMPT, RESULT], tools=[TOOL])
    assert [block["type"] for block in done["content"]] == ["text"]
    assert done["stop_reason"] == "end_turn"


def test_a_streamed_message_has_the_blocks_of_one_that_is_not(client: httpx.Client) -> None:
    body: Dict[str, Any] = {"model": "claude-reasoner", "messages": [PROMPT]}
    for more in ({}, {"tools": [TOOL]}):
        plain = answer(client, "messages", **body, **more)
        events = streamed(client, "messages", **body, **more)
        assert (events[0]["type"], events[-1]["type"]) == ("message_start", "message_stop")
        blocks = [event["content_block"] for event in events if event["type"] == "content_block_start"]
        texts = ["" for _ in blocks]
        for event in events:
            if event["type"] == "content_block_delta":
                delta = event["delta"]
                texts[event["index"]] += next(
                    delta.get(name, "") for name in ("text", "thinking", "partial_json", "signature") if name in delta
                )
        assert [block["type"] for block in blocks] == [block["type"] for block in plain["content"]]
        assert texts[0] == plain["content"][0]["thinking"] + plain["content"][0]["signature"]
        last = plain["content"][-1]
        assert texts[-1] == last["text"] if last["type"] == "text" else json.loads(texts[-1]) == last["input"]


def test_tokens_of_a_cached_message_are_counted_apart(client: httpx.Client) -> None:
    plain, cached = (
        answer(client, "messages", model=model, messages=[PROMPT])["usage"] for model in ("claude", "claude-cached")
    )
    assert plain["cache_creation_input_tokens"] == plain["cache_read_input_tokens"] == 0
    assert cached["cache_creation_input_tokens"] == 7
    assert cached["input_tokens"] + cached["cache_read_input_tokens"] == plain["input_tokens"]


# Gemini


def gemini(model: str, *roles: str, **more: Any) -> Dict[str, Any]:
    contents = [{"role": role, "parts": [{"text": role}, {"inlineData": {}}]} for role in roles]
    return {"model": model, "contents": contents, **more}


def test_contents_answer_the_last_of_the_user(client: httpx.Client) -> None:
    found = answer(client, "models/gemini:generateContent", **gemini("gemini", "user", "model"))
    (candidate,) = found["candidates"]
    assert candidate["content"] == {"role": "model", "parts": [{"text": "answer to: user"}]}
    assert found["usageMetadata"]["totalTokenCount"] > 0


def test_contents_with_declared_functions_call_the_first(client: httpx.Client) -> None:
    tools = [{"googleSearch": {}}, {"functionDeclarations": [{"name": "weather"}, {"name": "other"}]}]
    body = gemini("gemini", "user", tools=tools)
    call = {"functionCall": {"name": "weather", "args": {"city": "user"}}}
    plain = answer(client, "models/gemini:generateContent", **body)
    assert plain["candidates"][0]["content"]["parts"] == [call]
    first, last = streamed(client, "models/gemini:streamGenerateContent", **body)
    assert first["candidates"][0]["content"]["parts"] == [call]
    assert last["candidates"][0]["finishReason"] == "STOP"


def test_a_model_of_geminis_reasons_caches_and_leaves_out_its_usage_by_its_name(client: httpx.Client) -> None:
    usage = answer(client, "models/x:generateContent", **gemini("reason-cached", "user"))["usageMetadata"]
    assert usage["thoughtsTokenCount"] == 3 and "cachedContentTokenCount" in usage
    body = gemini("reason-nousage", "user")
    assert "usageMetadata" not in answer(client, "models/x:generateContent", **body)
    events = streamed(client, "models/x:streamGenerateContent", **body)
    parts = [part for event in events for part in event["candidates"][0]["content"]["parts"]]
    assert "".join(part["text"] for part in parts if part.get("thought")) == "thinking about: user"
    assert "".join(part["text"] for part in parts if not part.get("thought")) == "answer to: user"
    assert not any("usageMetadata" in event for event in events)


# Cohere, pictures, transcriptions


def test_a_reranking_keeps_the_order_and_shows_documents_on_request(client: httpx.Client) -> None:
    documents = ["one", {"text": "two"}, "three"]
    plain = answer(client, "rerank", model="r", query="q", documents=documents)
    assert [result["index"] for result in plain["results"]] == [0, 1, 2]
    assert plain["usage"]["total_tokens"] > 0 and "document" not in plain["results"][0]
    shown = answer(client, "rerank", model="r-nousage", query="q", documents=documents, top_n=2, return_documents=True)
    assert [result["document"] for result in shown["results"]] == [{"text": "one"}, {"text": "two"}]
    assert "usage" not in shown and "meta" not in shown


def test_pictures_are_addresses_on_request_and_files_otherwise(client: httpx.Client) -> None:
    by_address = answer(client, "images/generations", model="dall-e-3", prompt="bees", n=2, response_format="url")
    assert len({picture["url"] for picture in by_address["data"]}) == 2
    assert all(picture["url"].startswith("https://images.example/") for picture in by_address["data"])
    (picture,) = answer(client, "images/generations", model="dall-e-3", prompt="bees")["data"]
    assert base64.b64decode(picture["b64_json"]).startswith(b"\x89PNG")


@pytest.mark.parametrize("form", ["json", "verbose_json"])
def test_a_transcription_says_how_much_it_heard(client: httpx.Client, form: str) -> None:
    data = {"model": "whisper-1", "response_format": form}
    found = client.post("audio/transcriptions", data=data, files={"file": ("bees.wav", b"12345")}).json()
    assert found["text"] == "heard 5 bytes of bees.wav"
    assert ("language" in found) == (form == "verbose_json")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("completions", {"prompt": "x"}),
        ("embeddings", {"input": "x"}),
        ("responses", {"input": "x"}),
        ("rerank", {"query": "x", "documents": ["x"]}),
    ],
)
def test_a_model_leaves_out_its_usage_by_its_name(client: httpx.Client, path: str, body: Dict[str, Any]) -> None:
    assert answer(client, path, model="m", **body)["usage"]["total_tokens"] > 0
    assert "usage" not in answer(client, path, model="m-nousage", **body)
