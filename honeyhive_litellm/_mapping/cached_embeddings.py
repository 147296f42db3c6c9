"""A list of texts of which LiteLLM's cache had some embeddings, and the provider made the others."""

from __future__ import annotations

from typing import Any, Mapping

from .reading import ARGUMENTS_KEY, CACHED_PART, fields, hidden_params, items, mapping, number


def with_cached_embeddings(call_details: Mapping[str, Any], response: object) -> object:
    """The embeddings that the caller gets: those that LiteLLM's cache had, and the provider's for the other inputs."""
    cached = mapping(call_details.get(ARGUMENTS_KEY)).get(CACHED_PART)
    slots = items(fields(cached).get("data"))
    if not slots:
        return response
    parts = fields(response)
    fresh = iter(items(parts.get("data")))
    data = [next(fresh, None) if item is None else item for item in slots]
    counts, cached_counts = fields(parts.get("usage")), fields(fields(cached).get("usage"))
    usage = {
        name: (number(counts.get(name)) or 0) + (number(cached_counts.get(name)) or 0)
        for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    }
    return {**parts, "data": data, "usage": usage, "_hidden_params": hidden_params(response)}
