"""A small MCP server on loopback with two tools, one of which fails."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Iterator

import uvicorn
from mcp.server.mcpserver import MCPServer

from ..waiting import until


def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"snow in {city}"


def forecast(days: int) -> str:
    """Fail."""
    raise ValueError(f"nobody knows the weather in {days} days")


@contextlib.contextmanager
def tools_served() -> Iterator[str]:
    """The URL of the server while it serves, on a thread of its own."""
    server = MCPServer("sky")
    server.add_tool(weather)
    server.add_tool(forecast)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = server.streamable_http_app(stateless_http=True, json_response=True)
    served = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=served.run, daemon=True)
    thread.start()
    try:
        until(lambda: served.started, what="the tool server's start")
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        served.should_exit = True
        thread.join(10)
