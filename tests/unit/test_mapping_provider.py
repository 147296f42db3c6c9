"""The provider, the model and the address of a call."""

from __future__ import annotations

from typing import Optional

import pytest

from .mapping_calls import mapped


@pytest.mark.parametrize(
    ("model", "provider", "expected"),
    [
        ("gpt-4o", "openai", ("openai", "gpt-4o")),
        ("claude-3-5-sonnet", "anthropic", ("anthropic", "claude-3-5-sonnet")),
        ("anthropic/claude-3-5-sonnet", None, ("anthropic", "claude-3-5-sonnet")),
        ("openai/gpt-4o", "openai", ("openai", "gpt-4o")),
        ("anthropic.claude-3-v1:0", "bedrock", ("bedrock", "anthropic.claude-3-v1:0")),
        ("anthropic/claude-3", "openrouter", ("openrouter", "anthropic/claude-3")),
        ("gpt-3.5-turbo-instruct", "text-completion-openai", ("openai", "gpt-3.5-turbo-instruct")),
        ("nosuch", None, (None, "nosuch")),
        (None, None, (None, None)),
        (["odd"], {"odd": 1}, (None, None)),
    ],
)
def test_provider_and_model_are_separated(model: object, provider: object, expected: object) -> None:
    request = mapped(call_type="completion", model=model, custom_llm_provider=provider)

    assert (request.provider, request.model) == expected
    assert (request.config.get("provider"), request.config.get("model")) == expected
    assert (request.metadata.get("provider"), request.metadata.get("model")) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://user:pass@x.azure.com:8443/openai/deployments?key=1", "https://x.azure.com:8443"),
        ("http://[::1]:80/v1", "http://[::1]:80"),
        ("https://API.openai.com", "https://api.openai.com"),
        ("http://x:99999999/", None),
        ("no address", None),
        ("", None),
        (["http"], None),
    ],
)
def test_of_the_api_base_only_the_origin_is_recorded(address: object, expected: Optional[str]) -> None:
    assert mapped(litellm_params={"api_base": address}).metadata.get("api_base") == expected
