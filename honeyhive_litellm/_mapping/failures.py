"""How a call failed."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Optional

from .reading import fields, mapping, or_default, text
from .response import request_id

_ERROR_TAILS = ("\nTraceback (most recent call last)", "\n\nThis looks like a bug in LiteLLM")


class Failure(NamedTuple):
    """`message` reads "Class: message"; `status` is the HTTP status, if the failure has one."""

    message: str
    error_class: str
    status: Optional[int]
    request_id: Optional[str]


UNREADABLE = Failure("Error", "Error", None, None)
"""A failure of which nothing could be read."""


def failure(exception: object, payload: Mapping[str, Any]) -> Failure:
    """What the exception says or, without one, LiteLLM's standard payload."""
    reported = mapping(payload.get("error_information"))
    if isinstance(exception, BaseException):
        name = type(exception).__name__
        message = or_default("", str, exception)
    else:
        name = text(reported.get("error_class")) or "Error"
        message = text(exception) or text(reported.get("error_message")) or text(payload.get("error_str")) or ""
    parts = fields(exception)
    status = _status(parts.get("status_code")) or _status(reported.get("error_code"))
    identity = (
        text(reported.get("error_provider_request_id"))
        or request_id(getattr(parts.get("response"), "headers", None))
        or request_id(parts.get("litellm_response_headers"))
    )
    return Failure(_class_and_message(name, message), name, status, identity)


def _status(value: object) -> Optional[int]:
    """An HTTP status, as a number or as text."""
    if isinstance(value, str) and value.isdigit() and len(value) == 3:
        value = int(value)
    return value if isinstance(value, int) and 100 <= value <= 599 else None


def _class_and_message(name: str, message: str) -> str:
    """The class once, then the message. LiteLLM begins with "litellm.Timeout: Timeout: " and may add a traceback."""
    for tail in _ERROR_TAILS:
        message = message.partition(tail)[0]
    message = message.strip()
    prefixes = (f"litellm.{name}:", f"{name}:")
    while message.startswith(prefixes):
        message = message.partition(":")[2].lstrip()
    return f"{name}: {message}" if message else name
