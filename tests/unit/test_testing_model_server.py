"""The model server: first by a plain HTTP client, then as LiteLLM sees it."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import os
import threading
import time
from array import array
from typing import Any, Dict, Iterator, List

import httpx
import pytest

from honeyhive_litellm.testing._model_server.server import ModelServer

from ..versions import NEEDS_RESPONSES, SERVER_ERROR, needs_litellm

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        },
    },
}


@pytest.fixture()
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture()
def client(server: ModelServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=5.0, trust_env=False) as connected:
        yield connected


@pytest.fixture(scope="module")
def litellm() -> Any:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    module = pytest.importorskip("litellm")
    module.suppress_debug_info = True
    return module


def user(text: str) -> List[Dict[str, str]]:
    return [{"role": "user", "content": text}]


def ask(client: httpx.Client, text: str, model: str = "gpt-4o", **more: Any) -> httpx.Response:
    return client.post("chat/completions", json={"model": model, "messages": user(text), **more})


def events_of(client: httpx.Client, path: str, **body: Any) -> List[Any]:
    """Read a whole stream; the terminating [DONE] comes back as the string it is."""
    with client.stream("POST", path, json={"stream": True, **body}) as response:
        assert response.headers["content-type"] == "text/event-stream"
        data = [line[len("data: ") :] for line in response.iter_lines() if line.startswith("data: ")]
    return [piece if piece == "[DONE]" else json.loads(piece) for piece in data]


def stream_until_dropped(client: httpx.Client, model: str) -> List[str]:
    """Read a chat's stream until the connection breaks, and return the texts that arrived."""
    texts: List[str] = []
    body = {"model": model, "messages": user("one two three"), "stream": True}
    with client.stream("POST", "chat/completions", json=body) as response, pytest.raises(httpx.RemoteProtocolError):
        lines = (line[len("data: ") :] for line in response.iter_lines() if line)
        texts.extend(json.loads(line)["choices"][0]["delta"]["content"] for line in lines)
    return texts


# Answers


def test_the_answer_names_its_question_and_carries_ids_of_its_own(client: httpx.Client) -> None:
    first, second = ask(client, "hello"), ask(client, "hello")

    assert first.json()["choices"][0]["message"]["content"] == "answer to: hello"
    assert first.json()["choices"][0]["finish_reason"] == "stop"
    assert first.json()["usage"]["total_tokens"] > 2
    assert first.json()["id"] != second.json()["id"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


def test_parts_of_a_message_are_read_as_one_question(client: httpx.Client) -> None:
    parts = [{"type": "text", "text": "what is"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    answer = client.post("chat/completions", json={"model": "m", "messages": [{"role": "user", "content": parts}]})

    assert answer.json()["choices"][0]["message"]["content"] == "answer to: what is"


def test_n_choices_are_all_different(client: httpx.Client) -> None:
    choices = ask(client, "hi", n=3).json()["choices"]

    assert [choice["message"]["content"] for choice in choices] == [
        "answer to: hi",
        "answer 2 to: hi",
        "answer 3 to: hi",
    ]
    assert [choice["index"] for choice in choices] == [0, 1, 2]


def test_a_stream_has_the_text_of_the_plain_answer_and_ends_with_usage_if_requested(
    client: httpx.Client,
) -> None:
    question = {"model": "gpt-4o", "messages": user("say it in words"), "n": 2}
    *events, done = events_of(client, "chat/completions", stream_options={"include_usage": True}, **question)
    plain = client.post("chat/completions", json=question).json()

    texts = ["", ""]
    for event in events:
        for choice in event["choices"]:
            texts[choice["index"]] += choice["delta"].get("content", "")
    assert texts == [choice["message"]["content"] for choice in plain["choices"]]
    assert done == "[DONE]"
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    assert events[-1]["choices"] == []
    assert events[-1]["usage"] == plain["usage"]
    assert len({event["id"] for event in events}) == 1


def test_a_stream_without_include_usage_has_none(client: httpx.Client) -> None:
    *events, _ = events_of(client, "chat/completions", model="gpt-4o", messages=user("hi"))

    assert events
    assert all("usage" not in event for event in events)


def test_tools_are_called_for_a_user_and_their_result_is_answered_by_text(client: httpx.Client) -> None:
    message = ask(client, "Bern", tools=[WEATHER]).json()["choices"][0]["message"]
    call = message["tool_calls"][0]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "snow"}
    body = {"model": "gpt-4o", "tools": [WEATHER], "messages": [*user("Bern"), message, result]}
    second = client.post("chat/completions", json=body).json()["choices"][0]["message"]

    assert message["content"] is None
    assert call["function"]["name"] == "weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "Bern", "days": 4}
    assert second["content"] == "answer to: Bern (the tool said: snow)"
    assert "tool_calls" not in second


def test_tool_choice_is_obeyed(client: httpx.Client) -> None:
    other = {"type": "function", "function": {"name": "other"}}
    chosen = {"type": "function", "function": {"name": "other"}}
    call = ask(client, "x", tools=[WEATHER, other], tool_choice=chosen).json()["choices"][0]["message"]
    none = ask(client, "x", tools=[WEATHER], tool_choice="none").json()["choices"][0]["message"]

    assert call["tool_calls"][0]["function"] == {"name": "other", "arguments": "{}"}
    assert none["content"] == "answer to: x"


def test_a_streamed_tool_call_comes_in_pieces(client: httpx.Client) -> None:
    *events, _ = events_of(client, "chat/completions", model="m", messages=user("a b c"), tools=[WEATHER])
    calls = [call for event in events for choice in event["choices"] for call in choice["delta"].get("tool_calls", [])]

    assert calls[0]["function"]["name"] == "weather"
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {
        "city": "a b c",
        "days": 5,
    }
    assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_reasoning_model_shows_its_thoughts_and_counts_them(client: httpx.Client) -> None:
    answer = ask(client, "why", model="my-reasoner").json()
    *events, _ = events_of(client, "chat/completions", model="my-reasoner", messages=user("why"))
    streamed = "".join(event["choices"][0]["delta"].get("reasoning_content", "") for event in events)

    assert answer["choices"][0]["message"]["reasoning_content"] == "thinking about: why" == streamed
    reasoning_tokens = answer["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert 0 < reasoning_tokens < answer["usage"]["completion_tokens"]


def test_cached_tokens_and_a_missing_usage_follow_the_model_name(client: httpx.Client) -> None:
    cached = ask(client, "hello", model="gpt-4o-cached").json()["usage"]

    assert 0 < cached["prompt_tokens_details"]["cached_tokens"] < cached["prompt_tokens"]
    assert "usage" not in ask(client, "hello", model="nousage").json()
    options = {"include_usage": True}
    *events, _ = events_of(client, "chat/completions", model="nousage", messages=user("x"), stream_options=options)
    assert all("usage" not in event for event in events)


def test_a_long_answer_has_the_requested_length_and_not_many_chunks(client: httpx.Client) -> None:
    text = ask(client, "hi", model="long-100").json()["choices"][0]["message"]["content"]
    *events, _ = events_of(client, "chat/completions", model="long-100", messages=user("hi"))

    assert 100 * 1024 <= len(text) < 101 * 1024
    assert len(events) < 100


def test_completions_answer_each_prompt_plain_and_streamed(client: httpx.Client) -> None:
    plain = client.post("completions", json={"model": "m", "prompt": ["a", "b"], "n": 2}).json()
    *events, done = events_of(client, "completions", model="m", prompt="tell me")

    assert [choice["text"] for choice in plain["choices"]] == [
        "answer to: a",
        "answer 2 to: a",
        "answer to: b",
        "answer 2 to: b",
    ]
    assert "".join(event["choices"][0]["text"] for event in events) == "answer to: tell me"
    assert done == "[DONE]"


def test_embeddings_are_the_same_for_the_same_text_in_both_encodings(client: httpx.Client) -> None:
    body = {"model": "e", "input": ["x", "y", "x"], "dimensions": 5}
    data = client.post("embeddings", json=body).json()["data"]
    encoded = client.post("embeddings", json={**body, "encoding_format": "base64"}).json()["data"]

    vectors = [item["embedding"] for item in data]
    assert [len(vector) for vector in vectors] == [5, 5, 5]
    assert vectors[0] == vectors[2] != vectors[1]
    decoded = array("f", base64.b64decode(encoded[1]["embedding"]))
    assert list(decoded) == pytest.approx(vectors[1])


def test_token_numbers_are_one_input(client: httpx.Client) -> None:
    data = client.post("embeddings", json={"model": "e", "input": [1, 2, 3]}).json()["data"]

    assert len(data) == 1


def test_responses_answer_plain_and_streamed(client: httpx.Client) -> None:
    items = [{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}]
    plain = client.post("responses", json={"model": "m", "input": items}).json()
    events = events_of(client, "responses", model="m", input="hello")

    assert plain["output"][0]["content"][0]["text"] == "answer to: hello"
    assert plain["usage"]["total_tokens"] == plain["usage"]["input_tokens"] + plain["usage"]["output_tokens"]
    assert events[0]["type"] == "response.created"
    assert "".join(event.get("delta", "") for event in events) == "answer to: hello"
    assert events[-1]["response"]["output"] == [{**plain["output"][0], "id": events[-1]["response"]["output"][0]["id"]}]


def test_moderations_flag_nothing(client: httpx.Client) -> None:
    answer = client.post("moderations", json={"model": "m", "input": ["a", "b"]}).json()

    assert [result["flagged"] for result in answer["results"]] == [False, False]


# Scripted behaviour


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_a_failing_model_answers_with_its_status_and_an_error_body(client: httpx.Client, status: int) -> None:
    answer = ask(client, "x", model=f"fail-{status}")

    assert answer.status_code == status
    assert answer.json()["error"]["message"] == f"scripted failure {status}"
    assert answer.json()["error"]["type"].endswith("_error")


def test_a_flaky_model_fails_so_often_for_each_question(client: httpx.Client) -> None:
    first = [ask(client, "one", model="flaky-2").status_code for _ in range(4)]
    other = [ask(client, "two", model="flaky-2").status_code for _ in range(3)]

    assert first == [500, 500, 200, 200]
    assert other == [500, 500, 200]


def test_a_slow_model_takes_its_time(client: httpx.Client) -> None:
    started = time.monotonic()
    answer = ask(client, "x", model="slow-120")

    assert answer.status_code == 200
    assert time.monotonic() - started >= 0.12


def test_any_model_can_be_made_to_behave_otherwise_and_back(server: ModelServer, client: httpx.Client) -> None:
    server.behave("gpt-4o", "fail-503")
    during = ask(client, "x").status_code
    server.behave("gpt-4o", "")

    assert during == 503
    assert ask(client, "x").status_code == 200


def test_a_broken_stream_gives_so_many_chunks_and_then_no_connection(client: httpx.Client) -> None:
    assert stream_until_dropped(client, "break-3") == ["answer ", "to: ", "one "]
    assert ask(client, "still there?").status_code == 200


def test_a_broken_model_without_a_stream_drops_the_connection(client: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        ask(client, "x", model="break-0")


def test_a_stalled_stream_gives_so_many_chunks_and_waits_for_the_end(server: ModelServer, client: httpx.Client) -> None:
    def close_after_a_request() -> None:
        server.wait_for(1)
        server.close()

    closer = threading.Thread(target=close_after_a_request)
    closer.start()

    assert stream_until_dropped(client, "stall-2") == ["answer ", "to: "]
    closer.join()


def test_a_hanging_model_answers_nobody_and_does_not_delay_the_close(server: ModelServer) -> None:
    outcome: List[BaseException] = []

    def hang() -> None:
        with httpx.Client(base_url=server.url, timeout=30.0, trust_env=False) as client:
            try:
                ask(client, "x", model="hang")
            except httpx.HTTPError as error:
                outcome.append(error)

    caller = threading.Thread(target=hang)
    caller.start()
    assert server.wait_for(1)
    started = time.monotonic()
    server.close()
    caller.join(5.0)

    assert time.monotonic() - started < 2.0
    assert isinstance(outcome[0], httpx.RemoteProtocolError)


def test_a_body_that_is_no_json_object_is_refused(client: httpx.Client) -> None:
    assert client.post("chat/completions", content=b"{nonsense").status_code == 400
    assert client.post("chat/completions", json=[1]).status_code == 400


# Bookkeeping and life cycle


def test_requests_are_recorded_without_their_content(server: ModelServer, client: httpx.Client) -> None:
    answer = ask(client, "my secret")
    ask(client, "x", model="fail-500")
    events_of(client, "completions", model="m", prompt="x")

    assert [(item.path, item.model, item.stream) for item in server.requests] == [
        ("/chat/completions", "gpt-4o", False),
        ("/chat/completions", "fail-500", False),
        ("/completions", "m", True),
    ]
    assert server.requests[0].request_id == answer.headers["x-request-id"]
    assert "secret" not in repr(server) + repr(server.requests)


def test_requests_from_many_threads_are_all_counted_with_distinct_ids(server: ModelServer) -> None:
    def many() -> None:
        with httpx.Client(base_url=server.url, timeout=10.0, trust_env=False) as client:
            for number in range(10):
                ask(client, str(number))

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert server.wait_for(40, timeout=20.0)
    for thread in threads:
        thread.join()

    assert len(server.requests) == 40
    assert len({item.request_id for item in server.requests}) == 40


def test_waiting_for_requests_that_do_not_come_ends_at_the_deadline(server: ModelServer) -> None:
    assert server.wait_for(1, timeout=0.01) is False


def test_nothing_is_left_after_the_close(recwarn: pytest.WarningsRecorder) -> None:
    gc.collect()  # what earlier tests left
    recwarn.clear()
    with ModelServer() as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        assert ask(client, "x").status_code == 200
    server.close()
    gc.collect()

    assert "ModelServer" not in [thread.name for thread in threading.enumerate()]
    assert [str(warning.message) for warning in recwarn] == []
    with pytest.raises(httpx.ConnectError), httpx.Client(trust_env=False) as client:
        client.post(server.url + "/completions")


def test_a_taken_port_is_an_error_where_the_server_is_started(server: ModelServer) -> None:
    with pytest.raises(OSError, match="address already in use"), ModelServer(port=server.port):
        pass


def test_a_server_starts_only_once(server: ModelServer) -> None:
    with pytest.raises(RuntimeError, match="started already"):
        server.__enter__()


# Through LiteLLM


def through(server: ModelServer, model: str = "openai/gpt-4o") -> Dict[str, Any]:
    return {"model": model, "api_base": server.url, "api_key": "sk-local", "max_retries": 0}


def test_litellm_completes_and_knows_the_cost(server: ModelServer, litellm: Any) -> None:
    answer = litellm.completion(messages=user("hello"), **through(server))

    assert answer.choices[0].message.content == "answer to: hello"
    assert answer.id == "chatcmpl-000001"
    assert litellm.completion_cost(answer) > 0
    assert [item.model for item in server.requests] == ["gpt-4o"]


async def test_litellm_completes_on_a_loop_many_at_a_time(server: ModelServer, litellm: Any) -> None:
    answers = await asyncio.gather(
        *(litellm.acompletion(messages=user(str(number)), **through(server)) for number in range(8))
    )

    assert [answer.choices[0].message.content for answer in answers] == [f"answer to: {n}" for n in range(8)]


async def test_litellm_streams_with_usage_sync_and_async(server: ModelServer, litellm: Any) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}, **through(server)}
    chunks = list(litellm.completion(messages=user("in words"), **options))
    async_chunks = [chunk async for chunk in await litellm.acompletion(messages=user("in words"), **options)]

    for received in (chunks, async_chunks):
        text = "".join(chunk.choices[0].delta.content or "" for chunk in received if chunk.choices)
        assert text == "answer to: in words"
        assert received[-1].usage.total_tokens > 2


async def test_litellm_embeds_sync_and_async(server: ModelServer, litellm: Any) -> None:
    arguments = {"input": ["x", "y"], **through(server, "openai/text-embedding-3-small")}
    plain = litellm.embedding(**arguments)
    later = await litellm.aembedding(**arguments)

    assert len(plain.data) == 2
    assert plain.data[0]["embedding"] == later.data[0]["embedding"] != plain.data[1]["embedding"]


async def test_litellm_calls_tools_sync_and_async(server: ModelServer, litellm: Any) -> None:
    pytest.importorskip("mcp")
    arguments = {"messages": user("Bern"), "tools": [WEATHER], **through(server)}
    plain = litellm.completion(**arguments)
    later = await litellm.acompletion(**arguments)

    for answer in (plain, later):
        call = answer.choices[0].message.tool_calls[0]
        assert call.function.name == "weather"
        assert json.loads(call.function.arguments) == {"city": "Bern", "days": 4}


@needs_litellm("1.80", "it drops what a model of OpenAI's reasons")
def test_litellm_reads_reasoning_and_cached_tokens(server: ModelServer, litellm: Any) -> None:
    thoughtful = litellm.completion(messages=user("why"), **through(server, "openai/reasoner"))
    cached = litellm.completion(messages=user("hello"), **through(server, "openai/cached"))

    assert thoughtful.choices[0].message.reasoning_content == "thinking about: why"
    assert cached.usage.prompt_tokens_details.cached_tokens > 0


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("fail-400", "BadRequestError"),
        ("fail-401", "AuthenticationError"),
        ("fail-429", "RateLimitError"),
        ("fail-500", SERVER_ERROR),
    ],
)
def test_litellm_raises_the_error_of_the_status(server: ModelServer, litellm: Any, model: str, error: str) -> None:
    with pytest.raises(getattr(litellm, error)):
        litellm.completion(messages=user("x"), **through(server, f"openai/{model}"))
    assert len(server.requests) == 1


def test_litellm_reports_a_stream_that_broke(server: ModelServer, litellm: Any) -> None:
    texts: List[str] = []
    stream = litellm.completion(messages=user("a b c"), stream=True, **through(server, "openai/break-3"))
    with pytest.raises(Exception, match=r"incomplete chunked read|Connection error"):  # by release
        texts.extend(chunk.choices[0].delta.content or "" for chunk in stream)

    assert "".join(texts).startswith("answer to:")


@NEEDS_RESPONSES
def test_litellm_completes_text_and_responses(server: ModelServer, litellm: Any) -> None:
    text = litellm.text_completion(prompt="tell", **through(server, "text-completion-openai/gpt-3.5-turbo-instruct"))
    answer = litellm.responses(input="hello", **through(server))

    assert text.choices[0].text == "answer to: tell"
    assert answer.output[0].content[0].text == "answer to: hello"


async def test_a_router_falls_back_to_the_next_model(server: ModelServer, litellm: Any) -> None:
    def deployment(name: str, model: str) -> Dict[str, Any]:
        return {"model_name": name, "litellm_params": through(server, model)}

    router = litellm.Router(
        model_list=[deployment("main", "openai/fail-500"), deployment("spare", "openai/gpt-4o")],
        fallbacks=[{"main": ["spare"]}],
        num_retries=0,
    )
    answer = await router.acompletion(model="main", messages=user("hello"))

    assert answer.choices[0].message.content == "answer to: hello"
    assert [item.model for item in server.requests] == ["fail-500", "gpt-4o"]
