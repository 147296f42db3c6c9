"""The switches of a single call: whether to record it at all, and whether to record its content.

A new switch of ours is read here from the caller's metadata, under a name that begins with "honeyhive_". In the event
it is among the caller's own metadata, under `user_metadata`.
"""

from __future__ import annotations

from typing import Any, Mapping

from .reading import mapping, switch

REDACTED_BY_LITELLM = "redacted-by-litellm"
"""LiteLLM's content for the messages of a call when its own message redaction is on."""


def allows_content(call_details: Mapping[str, Any], caller_metadata: Mapping[str, Any]) -> bool:
    """Whether neither the caller nor LiteLLM's message redaction forbids to record content.

    LiteLLM's global `turn_off_message_logging` does not show before a call; afterwards the redacted messages do.
    """
    return switch(caller_metadata.get("honeyhive_capture_content")) is not False and not is_redacted(
        call_details, caller_metadata
    )


def is_redacted(call_details: Mapping[str, Any], caller_metadata: Mapping[str, Any]) -> bool:
    """Whether LiteLLM's message redaction is on: by the call's switch, by a request header, or as its work shows."""
    # A LiteLLM of 2024 does not know the call's switch, and passes it on as a parameter of the model's.
    for source in (
        mapping(call_details.get("standard_callback_dynamic_params")),
        mapping(call_details.get("extra_body")),
        call_details,
    ):
        value = source.get("turn_off_message_logging")
        if value is not None and switch(value):
            return True
    headers = mapping(caller_metadata.get("headers")) or mapping(call_details.get("headers"))
    if headers.get("litellm-enable-message-redaction") or headers.get("x-litellm-enable-message-redaction"):
        return True
    messages = call_details.get("messages")
    if isinstance(messages, list) and len(messages) == 1:
        return mapping(messages[0]).get("content") == REDACTED_BY_LITELLM
    return False


def is_skipped(
    call_details: Mapping[str, Any], litellm_params: Mapping[str, Any], caller_metadata: Mapping[str, Any]
) -> bool:
    """Whether the call gets no event, by our switch or by LiteLLM's `no-log`."""
    values = (
        caller_metadata.get("honeyhive_skip"),
        litellm_params.get("no-log"),
        call_details.get("no-log"),
        caller_metadata.get("no-log"),
    )
    return any(switch(value) for value in values if value is not None)
