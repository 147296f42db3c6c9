"""The virtual keys of a gateway's teams, without the database that keeps them."""

from __future__ import annotations

from typing import Any, Dict

from litellm.proxy._types import UserAPIKeyAuth

KEYS: Dict[str, Dict[str, Any]] = {
    "sk-search": {"team_id": "team-search", "team_alias": "Search"},
    "sk-ads": {"team_id": "team-ads", "team_alias": "Ads"},
    "sk-banners": {"key_alias": "banner jobs"},
    "sk-lab": {"key_alias": "lab", "metadata": {"honeyhive_destination": "lab"}},
    "sk-lab-team": {"team_id": "team-lab", "team_metadata": {"honeyhive_destination": "lab"}},
    "sk-logging": {
        "key_alias": "logging",
        "metadata": {
            "logging": [{"callback_name": "honeyhive", "callback_vars": {"honeyhive_destination": "lab"}}],
        },
    },
    "sk-forbidden": {
        "key_alias": "forbidden",
        "metadata": {
            "logging": [{"callback_name": "honeyhive", "callback_vars": {"honeyhive_destination": "search"}}],
        },
    },
    "sk-other": {"team_id": "team-other"},
}


async def user(request: Any, api_key: str) -> Any:
    return UserAPIKeyAuth(api_key=api_key, **KEYS[api_key])
