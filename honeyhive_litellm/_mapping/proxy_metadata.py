"""What LiteLLM's Router and proxy wrote into a call's metadata: `metadata.router` and `metadata.proxy` of the event."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

from .metadata import is_proxied, tags
from .reading import fields, mapping, text, without_none

PROXY_FIELDS = (
    ("virtual_key_hash", "user_api_key_hash"),
    ("key_alias", "user_api_key_alias"),
    ("team_id", "user_api_key_team_id"),
    ("team_alias", "user_api_key_team_alias"),
    ("org_id", "user_api_key_org_id"),
    ("org_alias", "user_api_key_org_alias"),
    ("user_id", "user_api_key_user_id"),
    ("end_user_id", "user_api_key_end_user_id"),
    ("route", "user_api_key_request_route"),
    ("spend", "user_api_key_spend"),
    ("max_budget", "user_api_key_max_budget"),
    ("team_spend", "user_api_key_team_spend"),
    ("team_max_budget", "user_api_key_team_max_budget"),
    ("user_spend", "user_api_key_user_spend"),
    ("user_max_budget", "user_api_key_user_max_budget"),
    ("end_user_max_budget", "user_api_end_user_max_budget"),
    ("budget_reset_at", "user_api_key_budget_reset_at"),
)
"""Names in `metadata.proxy`, each with LiteLLM's name for it."""

_MASTER_KEY = "litellm_proxy_master_key"
"""LiteLLM's placeholder for the hash of the proxy's master key."""

_GUARDRAIL_FIELDS = (
    ("name", "guardrail_name"),
    ("provider", "guardrail_provider"),
    ("mode", "guardrail_mode"),
    ("status", "guardrail_status"),
    ("duration_s", "duration"),
    ("masked_entities", "masked_entity_count"),
)


def router(caller_metadata: Mapping[str, Any]) -> Optional[Dict[str, object]]:
    """What the Router decided; None for a call that it did not make."""
    if "model_group" not in caller_metadata:
        return None
    fallbacks = caller_metadata.get("attempted_fallbacks")
    fallback_info = {
        "original_model_group": caller_metadata.get("original_model_group"),
        "attempted_fallbacks": fallbacks,
    }
    return without_none(
        model_group=text(caller_metadata.get("model_group")),
        deployment_id=text(fields(caller_metadata.get("model_info")).get("id")),
        deployment=text(caller_metadata.get("deployment")),
        retry_count=caller_metadata.get("attempted_retries"),
        fallback_info=fallback_info if fallbacks else None,
    )


def proxy(
    call_details: Mapping[str, Any], caller_metadata: Mapping[str, Any], include_content: bool
) -> Optional[Dict[str, object]]:
    """Who called the proxy, and with which key; None for a call that it did not make.

    `rejected` is there if the proxy itself refused it: a bad key, no budget left, an unknown model, a guardrail.
    """
    if not is_proxied(caller_metadata):
        return None
    found = {name: caller_metadata[key] for name, key in PROXY_FIELDS if caller_metadata.get(key) is not None}
    if found.get("virtual_key_hash") == _MASTER_KEY:
        del found["virtual_key_hash"]
        found["key_alias"] = "master key"
    request_id = text(call_details.get("litellm_call_id"))
    if request_id is not None:
        found["request_id"] = request_id
    call_tags = tags(caller_metadata)
    if call_tags:
        found["tags"] = list(call_tags)
    if call_details.get("litellm_no_upstream_llm_call"):
        found["rejected"] = True
    return {**found, **proxy_outcome(caller_metadata, include_content)}


def proxy_outcome(caller_metadata: Mapping[str, Any], include_content: bool) -> Dict[str, object]:
    """What the proxy adds by the end of a call: what its guardrails did, whether the client had disconnected."""
    found: Dict[str, object] = {}
    results = caller_metadata.get("standard_logging_guardrail_information")
    if isinstance(results, Mapping):  # LiteLLM before 1.80 reports one
        results = [results]
    if isinstance(results, (list, tuple)):
        guardrails = [_guardrail(mapping(result), include_content) for result in results]
        found["guardrails"] = [guardrail for guardrail in guardrails if guardrail]
    if caller_metadata.get("client_disconnected"):
        found["client_disconnected"] = True
    return {name: value for name, value in found.items() if value}


def _guardrail(result: Mapping[str, Any], include_content: bool) -> Dict[str, object]:
    """One guardrail's result. Its response may quote the messages, so it is content."""
    found = {name: result[key] for name, key in _GUARDRAIL_FIELDS if result.get(key) is not None}
    response = result.get("guardrail_response")
    is_model_response = {"choices", "output"} & set(fields(response))  # the model's, which the guardrail let pass
    if include_content and response is not None and not is_model_response:
        found["response"] = response
    return found
