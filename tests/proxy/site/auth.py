"""What the tests' proxy asks about a key: a virtual key's facts, without the database that keeps them."""

from __future__ import annotations

from typing import Any

from litellm import BudgetExceededError
from litellm.proxy._types import ProxyErrorTypes, ProxyException, UserAPIKeyAuth


async def user(request: Any, api_key: str) -> Any:
    if api_key == "sk-spent":
        raise BudgetExceededError(current_cost=11.0, max_budget=10.0)
    if api_key != "sk-good":
        raise ProxyException(message="no such key", type=ProxyErrorTypes.auth_error, param="key", code=401)
    return UserAPIKeyAuth(
        api_key="sk-good",
        key_alias="batch jobs",
        team_id="team-1",
        team_alias="Search",
        user_id="user-1",
        org_id="org-1",
        spend=1.5,
        max_budget=10.0,
        team_spend=3.25,
        team_max_budget=99.0,
    )
