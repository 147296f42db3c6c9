"""The request's part of an event, by one set of settings."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Mapping, Optional

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._json import snapshot
from honeyhive_litellm._mapping.mapper import map_request
from honeyhive_litellm._mapping.model import CallContext, Request
from honeyhive_litellm._mapping.reading import copy_containers

from .outcomes import LiteLLMFunctions


class RequestMapper:
    """Maps requests, without content where LiteLLM's own switches forbid to log it."""

    def __init__(self, settings: Settings, litellm: LiteLLMFunctions) -> None:
        self._settings = settings
        self._without_content = dataclasses.replace(settings, capture_message_content=False)
        self._litellm = litellm

    def request(self, call_details: Mapping[str, Any], context: CallContext) -> Request:
        """The request of a call that began in `context`. Shares no dictionary or list with `call_details`."""
        settings = self._without_content if self._litellm.hides_content(call_details) else self._settings
        request = map_request(call_details, settings, context)
        request.tools = _take_tools(request.inputs)
        for part in (request.config, request.inputs, request.metadata, request.user_properties):
            copy_containers(part)  # another thread reads them later
        return request


def _take_tools(inputs: Dict[str, object]) -> Optional[bytes]:
    """Take the tools out of the inputs; None if there are none, or if they have to be copied like all the rest."""
    tools = snapshot(inputs["functions"]) if "functions" in inputs else None
    if tools is not None:
        del inputs["functions"]
    return tools
