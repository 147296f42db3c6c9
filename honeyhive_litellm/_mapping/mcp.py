"""The results of an MCP server: of a tool that was called, and the list of its tools."""

from __future__ import annotations

from typing import Dict

from .reading import fields, items, plain_without_none


def mcp_tool(response: object, include_content: bool) -> Dict[str, object]:
    """The result of an MCP server's tool: its text, and whatever else there is."""
    result = fields(response)
    blocks = [fields(block) for block in items(result.get("content"))]
    found: Dict[str, object] = {}
    if result.get("is_error") is True or result.get("isError") is True:
        found["is_error"] = True
    if not include_content:
        return {**found, "num_items": len(blocks)}
    texts = [block["text"] for block in blocks if isinstance(block.get("text"), str)]
    found["content"] = "\n".join(texts) if texts else None
    others = [plain_without_none(block) for block in blocks if not isinstance(block.get("text"), str)]
    if others:
        found["items"] = others
    structured = result.get("structured_content") or result.get("structuredContent")
    if structured and structured != {"result": found["content"]}:
        found["structured_content"] = structured
    return found


def mcp_tools(response: object, include_content: bool) -> Dict[str, object]:
    """The list of an MCP server's tools."""
    listed = response if isinstance(response, list) else items(fields(response).get("tools"))
    names = ("name", "description") if include_content else ("name",)
    tools = [{name: tool[name] for name in names if tool.get(name)} for tool in map(fields, listed)]
    return {"num_tools": len(listed), "tools": tools}
