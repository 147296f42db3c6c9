"""Which provider and which model a call went to, and at what address."""

from __future__ import annotations

import functools
from typing import Any, Mapping, Optional, Tuple
from urllib.parse import urlsplit

from .reading import mapping, text

_TEXT_COMPLETION_PREFIX = "text-completion-"


def provider_and_model(
    call_details: Mapping[str, Any], litellm_params: Mapping[str, Any]
) -> Tuple[Optional[str], Optional[str]]:
    """The provider and the model, both as LiteLLM resolved them.

    LiteLLM's `model` is the name that the provider gets: "anthropic/claude-x" becomes "claude-x", and
    "openrouter/anthropic/claude-x" becomes "anthropic/claude-x". It is the name to look prices up by. Where LiteLLM
    reports a call before it has resolved the name, the provider's prefix is removed here.

    The provider of a tool is its MCP server.
    """
    model = text(call_details.get("model"))
    provider = text(call_details.get("custom_llm_provider")) or text(litellm_params.get("custom_llm_provider"))
    if model is not None and "/" in model:
        prefix, _, rest = model.partition("/")
        if rest and (provider is None or provider == prefix):
            provider, model = prefix or None, rest
    if provider is not None and provider.startswith(_TEXT_COMPLETION_PREFIX):
        provider = provider[len(_TEXT_COMPLETION_PREFIX) :]
    server = text(mapping(call_details.get("mcp_tool_call_metadata")).get("mcp_server_name"))
    return provider or server, model


@functools.lru_cache(maxsize=256)
def origin(url: str) -> Optional[str]:
    """Scheme, host and port of a URL; None if it has none. Its path, query and user name may hold a credential."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.scheme or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" if port is None else f"{parts.scheme}://{host}:{port}"
