"""The switches of a single call: whether to record it at all, and whether to record its content.

A new switch of ours is read here from the caller's metadata, under a name that begins with "honeyhive_". In the event
it is among the caller's own metadata, under `user_metadata`.
"""

from __future__ import annotations

from typing import Any, Mapping

from .reading import mapping, switch

REDACTED_BY_LITELLM = "redacted-by-litellm"
"""LiteLLM's content for the messages of a call when its own message redaction is on."""


DISABLE_HEADER = "litellm-disable-message-redaction"
ENABLE_HEADERS = ("litellm-enable-message-redaction", "x-litellm-enable-message-redaction")


def allows_content(call_details: Mapping[str, Any], caller_metadata: Mapping[str, Any]) -> bool:
    """Whether the caller does not forbid to record content, and there is any.

    LiteLLM's own switches are another matter: see `hides_messages`.
    """
    return switch(caller_metadata.get("honeyhive_capture_content")) is not False and not is_redacted(call_details)


def hides_messages(call_details: Mapping[str, Any], by_default: bool) -> bool:
    """Whether LiteLLM's message redaction is on for a call, by LiteLLM's own rules.

    The header that turns it off comes first, then the call's switch, which may say either, then the headers that turn
    it on; `by_default` is LiteLLM's global switch.
    """
    litellm_params = mapping(call_details.get("litellm_params"))
    metadata = mapping(litellm_params.get("litellm_metadata")) or mapping(litellm_params.get("metadata"))
    headers = mapping(metadata.get("headers"))
    if headers.get(DISABLE_HEADER):
        return False
    # A LiteLLM of 2024 does not know the call's switch, and passes it on as a parameter of the model's.
    for source in (
        mapping(call_details.get("standard_callback_dynamic_params")),
        mapping(call_details.get("extra_body")),
        call_details,
    ):
        value = switch(source.get("turn_off_message_logging"))
        if value is not None:
            return value
    return by_default or any(bool(headers.get(name)) for name in ENABLE_HEADERS)


def is_redacted(call_details: Mapping[str, Any]) -> bool:
    """Whether LiteLLM has replaced the messages in its details of a call.

    It does so when its message redaction is on for the call, and for all loggers when one of them wants no messages.
    """
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
