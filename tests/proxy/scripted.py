"""Random streams through the proxy: what its client reads of them, from the events on the wire."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, Iterator, Optional, Tuple

import httpx
from hypothesis import strategies as st

from ..property.streams import Event, Script, scripts
from ..waiting import until
from .served import Proxy

PATHS = {
    "chat": ("/v1/chat/completions", "scripted-chat"),
    "responses": ("/v1/responses", "scripted-chat"),
    "messages": ("/v1/messages", "scripted-messages"),
    "passed through": ("/anthropic/v1/messages", "claude-sonnet-4-5"),
}
"""By the way through the proxy: the path, and the model that the client names."""


@dataclass
class Client:
    """What the proxy's client got of one stream."""

    text: str = ""
    finish_reason: Optional[str] = None
    is_complete: bool = False
    has_error: bool = False
    has_left: bool = False
    is_empty: bool = True

    def notice(self, lines: Iterator[str]) -> Iterator[str]:
        """The same lines; one of them shows that the stream is not empty."""
        for line in lines:
            self.is_empty = False
            yield line

    def take(self, event: Event) -> None:
        kind = str(event.get("type"))
        for choice in event.get("choices") or ():
            self.text += choice["delta"].get("content") or ""
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            self.is_complete = self.finish_reason is not None
        if kind == "content_block_delta":
            self.text += event["delta"].get("text", "")
        elif kind == "response.output_text.delta":
            self.text += event["delta"]
        elif kind == "message_delta":
            self.finish_reason = event["delta"]["stop_reason"]
        elif kind in ("response.completed", "response.incomplete"):
            details = event["response"].get("incomplete_details") or {}
            self.finish_reason = details.get("reason") or event["response"]["status"]
        self.is_complete = self.is_complete or kind in ("message_stop", "response.completed", "response.incomplete")
        self.has_error = self.has_error or ("error" in (kind, *event) and event.get("error", kind) is not None)


def body_of(way: str, number: int) -> Dict[str, Any]:
    content = f"case-{number}"
    model = PATHS[way][1]
    if way == "responses":
        return {"model": model, "input": content, "stream": True}
    messages = [{"role": "user", "content": content}]
    return {"model": model, "messages": messages, "stream": True, **({} if way == "chat" else {"max_tokens": 99})}


def events_in(lines: Iterator[str]) -> Iterator[Event]:
    for line in lines:
        data = line.partition("data:")[2].strip() if line.startswith("data:") else ""
        if data and data != "[DONE]":
            try:
                yield json.loads(data)
            except ValueError:
                continue  # cut off


def read_stream(proxy: Proxy, number: int, way: str, script: Script) -> Client:
    """Read the stream, to its end or, as the script says, for some events."""
    client = Client()
    headers = {"Authorization": f"Bearer {proxy.key}"}
    request = httpx.stream("POST", proxy.url + PATHS[way][0], json=body_of(way, number), headers=headers, timeout=30)
    try:
        with request as response:
            if response.status_code != 200:
                response.read()
                client.has_error = True
                return client
            for count, event in enumerate(events_in(client.notice(response.iter_lines())), 1):
                client.take(event)
                if count == script.reads:
                    client.has_left = True
                    break
    except httpx.HTTPError:
        client.has_error = True
    return client


def event_of_case(proxy: Proxy, number: int) -> Event:
    """The one event of the call with this number among its inputs."""
    found: Dict[str, Event] = {}

    def is_there() -> bool:
        content = f'"case-{number}"'
        found.update((event["event_id"], event) for event in proxy.collector.events if content in json.dumps(event))
        return bool(found)

    until(is_there, 20, f"the event of stream {number}")
    (event,) = found.values()
    return event


@st.composite
def streams(draw: st.DrawFn) -> Tuple[str, Script]:
    """A way through the proxy, and a script in the protocol that its provider speaks there."""
    way = draw(st.sampled_from(tuple(PATHS)))
    protocol = "messages" if way == "passed through" else way
    return way, draw(scripts([(protocol, protocol)]))


def assert_as_read(script: Script, client: Client, event: Event) -> None:
    """A client that leaves may have got less than the proxy has sent; any other one got what is in the event."""
    outputs, metadata = event["outputs"], event["metadata"]
    content = outputs.get("content") or ""
    if client.has_left:
        assert content.startswith(client.text)
        assert metadata["status"] in ("cancelled", "success", "failure")
    else:
        assert content == client.text
        assert outputs.get("finish_reason") == client.finish_reason
        # A stream without a single byte has nothing that could be missing.
        is_success = (client.is_complete or client.is_empty) and not client.has_error
        # LiteLLM's proxy logs an error that follows a response's last event, and passes it on to no client.
        is_hidden = is_success and script.api == "responses" and script.events[-1].get("type") == "error"
        assert metadata["status"] == ("success" if is_success else "failure") or (
            is_hidden and metadata["status"] == "failure"
        )
    assert metadata["success"] is (metadata["status"] == "success")
    assert bool(event.get("error")) is (metadata["status"] == "failure")
    assert 0 <= metadata.get("time_to_first_token_ms", 0) <= metadata["duration_ms"]
