"""What else goes through a proxy: tools of an MCP server, a realtime session, an answer that a guardrail keeps back."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any, Dict, Iterator, List

import aiohttp
import httpx
import pytest

from honeyhive_litellm.testing import Collector, ModelServer

from ..golden.compare import check
from ..realtime import SPOKEN
from ..versions import needs_litellm
from ..waiting import until
from .served import HOOK, LITELLM, SITE, Proxy, serving

pytestmark = [pytest.mark.timeout(240), needs_litellm("1.110", "its gateway for MCP is another")]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, honeyhive: Collector, models: ModelServer) -> Iterator[Proxy]:
    from .tool_server import tools_served  # an older Python has no `mcp`

    folder = tmp_path_factory.mktemp("gateway")
    with tools_served() as tools, serving(
        LITELLM, SITE / "gateway.yaml", folder, honeyhive, models, TOOL_SERVER=tools, **HOOK
    ) as running:
        yield running


def use(proxy: Proxy, name: str, **arguments: Any) -> Any:
    """Call a tool through the proxy, as an agent does; a list of the tools if that is its name."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def later() -> Any:
        headers = {"Authorization": f"Bearer {proxy.key}"}
        async with contextlib.AsyncExitStack() as open_:
            client = httpx.AsyncClient(headers=headers, follow_redirects=True, timeout=30)
            http = await open_.enter_async_context(client)
            streams = await open_.enter_async_context(streamable_http_client(proxy.url + "/mcp/", http_client=http))
            session = await open_.enter_async_context(ClientSession(*streams[:2]))
            await session.initialize()
            return await (session.list_tools() if name == "list" else session.call_tool(name, arguments))

    return asyncio.run(asyncio.wait_for(later(), 60))


def events_of(proxy: Proxy, name: str, **metadata: Any) -> List[Dict[str, Any]]:
    """The events of that name whose metadata say so, once there is one."""

    def found() -> List[Dict[str, Any]]:
        named = [event for event in proxy.collector.events if event["event_name"] == name]
        return [event for event in named if metadata.items() <= {**event["metadata"], "proxy": None}.items()]

    until(lambda: bool(found()), 20, f"an event of {name}")
    return found()


def hold_golden(name: str, event: Dict[str, Any]) -> None:
    """WRITE_GOLDEN=1 writes it anew: read the difference."""
    event["metadata"].pop("otel", None)  # MCP's client sends its own span where another test left a tracer behind
    for made_up in ("response_id", "provider_request_id"):  # which the model server counts
        if made_up in event["metadata"]:
            event["metadata"][made_up] = f"<{made_up}>"
    router = event["metadata"].get("router", {})
    if "deployment_id" in router:
        router["deployment_id"] = "<deployment_id>"  # of one that the config gives none
    check(name, [event], write=os.environ.get("WRITE_GOLDEN") == "1")


def test_the_call_of_a_tool_is_one_event_of_type_tool(proxy: Proxy) -> None:
    assert use(proxy, "sky-weather", city="Bern").content[0].text == "snow in Bern"
    (event,) = events_of(proxy, "call_mcp_tool", status="success")
    assert event["event_type"] == "tool"
    assert event["inputs"] == {"tool": "weather", "server": "sky", "arguments": {"city": "Bern"}}
    assert event["outputs"] == {"content": "snow in Bern"}
    hold_golden("proxy_mcp_tool", event)


def test_a_tool_that_fails_is_one_failed_event(proxy: Proxy) -> None:
    assert "Error executing tool forecast" in use(proxy, "sky-forecast", days=9).content[0].text
    (event,) = events_of(proxy, "call_mcp_tool", status="failure")
    assert event["event_type"] == "tool"
    assert event["inputs"] == {"tool": "forecast", "server": "sky", "arguments": {"days": 9}}
    assert event["error"] == "MCPToolResultError: Error executing tool forecast"


def test_a_list_of_tools_names_them(proxy: Proxy) -> None:
    assert len(use(proxy, "list").tools) == 2
    event = events_of(proxy, "list_mcp_tools")[-1]
    assert event["event_type"] == "tool"
    assert event["outputs"]["num_tools"] == 2
    described = {"name": "sky-weather", "description": "Tell the weather in a city."}
    assert described in event["outputs"]["tools"]


def test_a_realtime_session_is_one_event(proxy: Proxy) -> None:
    async def talk() -> None:
        headers = {"Authorization": f"Bearer {proxy.key}"}
        where = proxy.url + "/v1/realtime?model=voice"
        async with aiohttp.ClientSession(headers=headers) as session, session.ws_connect(where) as socket:
            for event in SPOKEN:
                await socket.send_json(event)
            while (await socket.receive_json(timeout=20))["type"] != "response.done":
                pass

    asyncio.run(talk())
    (event,) = events_of(proxy, "realtime")
    assert event["outputs"]["content"] == "answer to: 100000 bytes of sound"
    assert event["metadata"]["proxy"]["route"] == "/v1/realtime"
    hold_golden("proxy_realtime", event)


def test_an_answer_that_a_guardrail_keeps_back_is_one_failed_event(proxy: Proxy) -> None:
    response = proxy.ask(messages=[{"role": "user", "content": "a bomb"}])
    assert response.status_code == 400
    (event,) = events_of(proxy, "completion", error_class="HTTPException")
    metadata = event["metadata"]
    (guardrail,) = metadata["proxy"]["guardrails"]
    assert (guardrail["name"], guardrail["mode"]) == ("no-answers-to-bombs", "post_call")
    assert guardrail["status"] == "guardrail_intervened"
    assert metadata["status"] == "failure"
    assert metadata["status_code"] == 400
    assert metadata["total_tokens"] == 17  # the provider was asked, and is to be paid
    assert metadata["cost"] > 0
    assert "usage_estimated" not in metadata
    hold_golden("proxy_kept_back", event)


def test_an_answer_that_it_lets_through_is_not_recorded_twice(proxy: Proxy) -> None:
    event = proxy.event(proxy.ask(messages=[{"role": "user", "content": "peace"}]))
    (guardrail,) = event["metadata"]["proxy"]["guardrails"]
    assert guardrail["status"] == "success"
    assert event["outputs"]["content"] == "answer to: peace"
    assert "answer to: peace" not in str(event["metadata"])


def test_nothing_was_recorded_twice(proxy: Proxy) -> None:
    """The last one: the proxy is gone afterwards."""
    proxy.terminate()
    events = proxy.collector.events
    calls = [event["metadata"]["proxy"]["request_id"] for event in events]
    assert len(calls) == len(set(calls))
    assert set(proxy.collector.receipts.values()) == {1}
