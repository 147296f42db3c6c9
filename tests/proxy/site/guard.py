"""A guardrail that blocks a word."""

from __future__ import annotations

from typing import Any

from fastapi import HTTPException
from litellm.integrations.custom_guardrail import CustomGuardrail, log_guardrail_information


class NoBombs(CustomGuardrail):  # type: ignore[misc]
    @log_guardrail_information  # type: ignore[untyped-decorator]
    async def async_pre_call_hook(self, user_api_key_dict: Any, cache: Any, data: Any, call_type: Any) -> Any:
        if "bomb" in str(data.get("messages")):
            raise HTTPException(status_code=400, detail={"error": "Violated guardrail policy"})
        return data


class NoAnswersToBombs(CustomGuardrail):  # type: ignore[misc]
    @log_guardrail_information  # type: ignore[untyped-decorator]
    async def async_post_call_success_hook(self, data: Any, user_api_key_dict: Any, response: Any) -> Any:
        if "bomb" in str(response):
            raise HTTPException(status_code=400, detail={"error": "Violated guardrail policy"})
        return response
