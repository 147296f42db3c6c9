"""What the events of a proxy's calls hold: started by LiteLLM's own command, with our hook in its environment."""

from __future__ import annotations

import contextlib
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Iterator, List, Tuple

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from honeyhive_litellm.testing import Collector, ModelServer

from ..golden.compare import check
from ..property.streams import Script, ScriptServer
from ..versions import needs_litellm
from ..waiting import until
from .scripted import assert_as_read, event_of_case, read_stream, streams
from .served import HOOK, LITELLM, MESSAGES, SITE, Proxy, serving

pytestmark = [
    pytest.mark.timeout(240),
    needs_litellm("1.83", "its proxy calls no hooks when a worker starts, so that it cannot know our name"),
]


STREAMS_AT_ONCE = 10


@pytest.fixture(scope="module")
def provider() -> Iterator[ScriptServer]:
    """Streams what a test has scripted."""
    with ScriptServer() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory, honeyhive: Collector, models: ModelServer, provider: ScriptServer
) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("capture")
    scripted = {"SCRIPT_SERVER": provider.url, "ANTHROPIC_API_BASE": provider.url, "ANTHROPIC_API_KEY": "sk-local"}
    variables = {**HOOK, **scripted, "KEY_OF_HONEYHIVE": "hh_key", "HONEYHIVE_PROJECT": "not this one"}
    with serving(LITELLM, SITE / "config.yaml", folder, honeyhive, models, key="sk-good", **variables) as running:
        yield running


def test_a_chat_names_its_user_and_its_key(proxy: Proxy) -> None:
    metadata = {"session_id": "chat-42", "tags": ["beta"], "release": "2026.4"}
    event = proxy.event(proxy.ask(user="customer-9", metadata=metadata))

    metadata = event["metadata"]
    request_id = metadata["proxy"].pop("request_id")
    (guardrail,) = metadata["proxy"].pop("guardrails")
    assert guardrail.pop("duration_s") >= 0
    assert guardrail == {"name": "no-bombs", "mode": "pre_call", "status": "success", "response": "allow"}
    assert event["event_id"] == request_id
    end_user = metadata["proxy"].pop("end_user_id", "customer-9")  # LiteLLM has it where it keeps end users
    assert end_user == "customer-9"
    assert metadata["proxy"] == {
        "virtual_key_hash": hashlib.sha256(b"sk-good").hexdigest(),
        "key_alias": "batch jobs",
        "team_id": "team-1",
        "team_alias": "Search",
        "org_id": "org-1",
        "user_id": "user-1",
        "route": "/v1/chat/completions",
        "tags": ["beta"],
        "spend": 1.5,
        "max_budget": 10.0,
        "team_spend": 3.25,
        "team_max_budget": 99.0,
    }
    assert metadata["project"] == "proxy-tests"
    assert metadata["session_id"] == "chat-42"
    assert metadata["release"] == "2026.4"
    assert metadata["region"] == "north"
    assert metadata["status"] == "success"
    assert metadata["router"]["model_group"] == "gpt-4o"
    assert event["user_properties"] == {"user_id": "customer-9"}
    assert event["inputs"] == {"chat_history": MESSAGES}
    assert event["outputs"]["content"] == "answer to: hello"
    assert not [name for name in metadata if name.startswith("_")]


TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
COLLIDING: Dict[str, Any] = {"status": "open", "raw_request": "mine", "litellm_x": "1", "hidden_params": "2"}
"""Metadata of a client under names of ours and of LiteLLM's."""

ENDPOINTS: Dict[str, Dict[str, Any]] = {
    "/v1/chat/completions": {},
    "/v1/completions": {"prompt": "hello"},
    "/v1/embeddings": {"model": "embed", "input": ["hello"]},
    "/v1/responses": {"input": "hello"},
    "/v1/messages": {"max_tokens": 30},
    "/upstream/chat": {"temperature": 0.5},
}
NAMES = ("completion", "text_completion", "embedding", "responses", "anthropic_messages", "pass_through_endpoint")


@pytest.mark.parametrize(("path", "name"), list(zip(ENDPOINTS, NAMES)))
def test_every_endpoint_is_one_event(proxy: Proxy, path: str, name: str) -> None:
    event = proxy.event(
        proxy.ask(path, **ENDPOINTS[path], metadata={"session_id": f"s {path}", "release": "7", **COLLIDING})
    )

    assert event["event_name"] == name
    assert event["metadata"]["status"] == "success"
    assert event["metadata"]["proxy"]["route"] == path
    assert event["metadata"]["proxy"]["key_alias"] == "batch jobs"
    assert event["metadata"]["release"] == "7"
    if name != "pass_through_endpoint":  # there LiteLLM mixes them with its own
        assert event["metadata"]["user_metadata"].items() >= COLLIDING.items()
    assert event["metadata"]["session_id"] == f"s {path}"
    assert event["metadata"]["prompt_tokens"] > 0
    text = event["outputs"].get("content") or event["outputs"].get("text")
    assert text == (None if name == "embedding" else "answer to: hello")
    assert event["inputs"] in ({"prompt": "hello"}, {"chunks": ["hello"]}, {"chat_history": MESSAGES})


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/upstream/chat"])
def test_a_stream_is_one_event(proxy: Proxy, path: str) -> None:
    response = proxy.ask(path, **ENDPOINTS[path], stream=True)
    assert "answer" in response.text
    event = proxy.event(response)

    assert event["metadata"]["status"] == "success"
    assert event["config"]["is_streaming"] is True
    assert event["outputs"]["content"] == "answer to: hello"
    assert event["metadata"]["time_to_first_token_ms"] >= 0


GOLDEN: Dict[str, Dict[str, Any]] = {
    "proxy_chat": {"user": "customer-9", "metadata": {"session_id": "chat-42", "tags": ["beta"]}, "temperature": 0.5},
    "proxy_stream": {"stream": True},
    "proxy_tools": {"tools": [TOOL], "tool_choice": "auto", "model": "tools"},
    "proxy_text_completion": {"path": "/v1/completions", "prompt": "hello"},
    "proxy_embedding": {"path": "/v1/embeddings", "model": "embed", "input": ["hello"]},
    "proxy_responses": {"path": "/v1/responses", "input": "hello"},
    "proxy_anthropic_messages": {"path": "/v1/messages", "max_tokens": 30},
    "proxy_rejected": {"model": "not-in-the-list"},
    "proxy_failure": {"model": "failing"},
}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_call_through_the_proxy_gives_its_golden_event(proxy: Proxy, name: str) -> None:
    """WRITE_GOLDEN=1 writes them anew: read the difference."""
    response = proxy.ask(**GOLDEN[name])

    def found() -> Any:
        return [e for e in proxy.collector.events if e["config"]["model"] == "not-in-the-list"]

    if name == "proxy_rejected":  # such a client is told no id
        until(lambda: bool(found()), 20, "the event of a rejection")
    event = found()[0] if name == "proxy_rejected" else proxy.event(response)
    for made_up in ("response_id", "provider_request_id"):  # which the model server counts
        if made_up in event["metadata"]:
            assert isinstance(event["metadata"][made_up], str)
            event["metadata"][made_up] = f"<{made_up}>"
    check(name, [event], write=os.environ.get("WRITE_GOLDEN") == "1")


def test_the_other_place_for_metadata(proxy: Proxy) -> None:
    event = proxy.event(proxy.ask(litellm_metadata={"session_id": "elsewhere", "release": "8"}))

    assert event["metadata"]["session_id"] == "elsewhere"
    assert event["metadata"]["release"] == "8"


def test_a_fallback_inside_the_proxy_is_two_attempts_under_one_call_id(proxy: Proxy) -> None:
    response = proxy.ask(model="broken")
    assert response.status_code == 200
    call_id = response.headers["x-litellm-call-id"]
    failed, served = sorted(proxy.events(2, request_id=call_id), key=lambda event: event["start_time"])

    assert (failed["metadata"]["status"], failed["event_id"]) == ("failure", call_id)
    assert (served["metadata"]["status"], served["outputs"]["content"]) == ("success", "answer to: hello")
    assert failed["metadata"]["status_code"] == 500
    assert served["event_id"] != failed["event_id"]
    (whole,) = [e for e in proxy.collector.events if e["event_id"] == failed["parent_id"]]
    assert whole["event_type"] == "chain"
    assert served["parent_id"] == whole["event_id"]
    assert whole["config"] == {"model": "broken", "provider": "openai", "is_streaming": False}


@pytest.mark.parametrize(
    ("body", "status", "error_class"),
    [
        ({"key": "sk-wrong"}, 401, "ProxyException"),
        ({"key": "sk-spent"}, 422, "BudgetExceededError"),
        ({"model": "no such model"}, 400, "ProxyModelNotFoundError"),
        ({"messages": [{"role": "user", "content": "a bomb"}]}, 400, "HTTPException"),
    ],
    ids=["bad key", "over budget", "unknown model", "guardrail"],
)
def test_a_rejection_is_one_failed_event(proxy: Proxy, body: Dict[str, Any], status: int, error_class: str) -> None:
    sent = {"messages": MESSAGES, "model": "gpt-4o", **body}
    assert proxy.ask(**body).status_code == status

    def found() -> Any:
        of_this_model = [e for e in proxy.collector.events if e["config"].get("model") == sent["model"]]
        return [e for e in of_this_model if e["metadata"].get("error_class") == error_class]

    until(lambda: bool(found()), 20, f"the event of a {error_class}")
    (event,) = found()

    assert event["metadata"]["status"] == "failure"
    assert event["metadata"]["status_code"] == status
    assert event["metadata"]["proxy"]["route"] == "/v1/chat/completions"
    assert event["metadata"]["proxy"]["rejected"] is True
    assert event["inputs"]["chat_history"] == sent["messages"]
    assert event["config"]["model"] == sent["model"]
    assert event["error"].startswith(error_class)
    assert "sk-" not in str(event)
    if error_class == "HTTPException":
        (guardrail,) = event["metadata"]["proxy"]["guardrails"]
        assert guardrail["status"] == "guardrail_intervened"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
def test_a_client_that_leaves_a_stream_cancels_the_call(proxy: Proxy, path: str) -> None:
    body = {"model": "stall", "messages": MESSAGES, "input": "hello", "max_tokens": 30, "stream": True}
    with proxy.client.stream("POST", path, json={k: v for k, v in body.items() if k in _TAKES[path]}) as response:
        heard = ""
        for line in response.iter_lines():
            heard += line
            if "to:" in line:
                break
    event = proxy.event(response)

    assert event["metadata"]["status"] == "cancelled"
    assert event["metadata"]["success"] is False
    assert event["metadata"]["status_code"] == 499
    assert event["metadata"]["error_class"] == "ClientDisconnected"
    assert event["metadata"]["proxy"]["client_disconnected"] is True
    assert event["outputs"]["content"].startswith("answer to:")


_TAKES = {
    "/v1/chat/completions": ("model", "messages", "stream"),
    "/v1/responses": ("model", "input", "stream"),
    "/v1/messages": ("model", "messages", "max_tokens", "stream"),
}


def test_a_client_that_does_not_wait_for_its_answer_cancels_the_call(proxy: Proxy, models: ModelServer) -> None:
    before = len(models.requests)
    with contextlib.suppress(httpx.ReadTimeout):
        proxy.client.post("/v1/chat/completions", json={"model": "hang", "messages": MESSAGES}, timeout=1.0)
        raise AssertionError("answered")
    assert len(models.requests) > before

    def found() -> Any:
        return [e for e in proxy.collector.events if e["config"].get("model") == "hang"]

    until(lambda: bool(found()), 20, "the event of the call that was given up")
    (event,) = found()
    assert event["metadata"]["status"] == "cancelled"
    assert event["metadata"]["status_code"] == 499
    assert event["metadata"]["proxy"]["client_disconnected"] is True
    assert event["inputs"] == {"chat_history": MESSAGES}


@settings(max_examples=int(os.environ.get("PROXY_STREAMS", "30")) // STREAMS_AT_ONCE)
@given(st.lists(streams(), min_size=STREAMS_AT_ONCE, max_size=STREAMS_AT_ONCE))
def test_an_event_has_what_the_client_got_of_its_stream(
    proxy: Proxy, provider: ScriptServer, drawn: List[Tuple[str, Script]]
) -> None:
    """Random streams; `PROXY_STREAMS=1000` tries more of them."""
    first = max(provider.scripts, default=-1) + 1
    numbered = dict(enumerate(drawn, first))
    provider.scripts = {number: script for number, (_, script) in numbered.items()}
    with ThreadPoolExecutor(STREAMS_AT_ONCE) as clients:
        got = list(clients.map(lambda number: read_stream(proxy, number, *numbered[number]), numbered))
    for (number, (_, script)), client in zip(numbered.items(), got):
        assert_as_read(script, client, event_of_case(proxy, number))


def test_a_proxy_that_is_terminated_loses_nothing(proxy: Proxy) -> None:
    """The last one: the proxy is gone afterwards."""

    def ask(number: int) -> str:
        return proxy.ask(metadata={"session_id": f"last {number}"}).headers["x-litellm-call-id"]

    with ThreadPoolExecutor(8) as clients:
        request_ids = list(clients.map(ask, range(40)))
    status = proxy.terminate()

    ids = [event["event_id"] for event in proxy.collector.events]
    assert set(request_ids) <= set(ids)
    assert len(ids) == len(set(ids))
    assert status in (0, -15), proxy.log.read_text()
    assert all(count == 1 for count in proxy.collector.receipts.values())
