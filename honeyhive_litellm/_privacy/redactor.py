"""The option `redact`: what it does to an event, and what is left of one if it fails.

It runs after the removal of credentials, which nobody has to ask for, and before texts are cut to size, so that no half
of an address stays where a text was cut. It sees the content of an event in two parts: the request, when the call
begins, for the start record and the event alike; and the outcome, when it ends.
"""

from __future__ import annotations

from typing import AbstractSet, Any, Callable, Dict, List, Mapping

from honeyhive_litellm._foreign import class_name, is_interrupt
from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode

from .pii import without
from .sanitize import clean

Function = Callable[[Dict[str, Any]], Mapping[str, Any]]

Call = Callable[[Function, Dict[str, Any]], object]
"""How a function is called. It may raise FailedCallError."""

_UNCUT = 2**62
_PARTS = ("inputs", "outputs", "metadata", "config", "user_properties")
_TEXTS = ("event_name", "error")

# What an event says if its content could not be redacted: nothing that a caller or a model wrote.
_SAFE_CONFIG = ("provider", "model", "is_streaming")
_SAFE_TEXTS = ("status", "error_class", "call_type", "provider", "model", "project", "timestamp")


class FailedCallError(Exception):
    """A function of the user raised, or did not return. The argument names the class of the error."""


class Redactor:
    """Makes content fit for an event: free of credentials, redacted as the user configured, cut to size."""

    def __init__(
        self,
        redact: object,
        max_field_bytes: int,
        outcome_metadata: AbstractSet[str],
        call: Call = lambda function, content: function(content),
    ) -> None:
        """`redact` is the option's value: a tuple of names of `pii` and then functions, or None.

        `outcome_metadata` are the metadata names that only an outcome may write.
        """
        steps = redact if isinstance(redact, tuple) else ()
        self._names: List[str] = [step for step in steps if isinstance(step, str)]
        self._functions: List[Function] = [step for step in steps if not isinstance(step, str)]
        self.is_configured = bool(steps)
        """Whether the user wants more removed than credentials."""
        self._max_bytes = max_field_bytes
        self._outcome_metadata = outcome_metadata
        self._call = call

    def redact_request(self, content: Mapping[str, object]) -> Dict[str, Any]:
        """The request's part, without metadata under a name that an outcome may write."""
        redacted = self._clean(content)
        metadata = redacted["metadata"]
        if self._functions and not metadata.get("redaction_failed"):
            redacted["metadata"] = {name: v for name, v in metadata.items() if name not in self._outcome_metadata}
        return redacted

    def redact_outcome(self, content: Mapping[str, object]) -> Dict[str, Any]:
        """The outcome's part, without metadata that a user's function added.

        An added name could collide with one of the request's metadata, which are encoded already.
        """
        redacted = self._clean(content)
        if self._functions:
            names = {"redaction_failed", *_mapping(content.get("metadata"))}
            redacted["metadata"] = {name: v for name, v in redacted["metadata"].items() if name in names}
        return redacted

    def _clean(self, content: Mapping[str, object]) -> Dict[str, Any]:
        """The parts that `content` has, as plain values."""
        if not self.is_configured:
            return _same_parts(content, clean(content, self._max_bytes))
        try:
            redacted = clean(self._redact(content), self._max_bytes)
        except BaseException as error:
            if is_interrupt(error):
                raise
            # The text of the error may quote what was to be redacted.
            warn(
                LogCode.REDACT_FAILED,
                "honeyhive: the option redact failed with %s; the event is recorded without its content",
                error if isinstance(error, FailedCallError) else class_name(error),
            )
            redacted = clean(_withheld(content, self._outcome_metadata), self._max_bytes)
        return _same_parts(content, redacted)

    def _redact(self, content: Mapping[str, object]) -> object:
        """Raises whatever a function of the user raises, and TypeError if one returns something else than content."""
        redacted: Any = without(clean(content, _UNCUT), self._names)
        for function in self._functions:
            redacted = self._call(function, {**{name: {} for name in _PARTS}, **dict.fromkeys(_TEXTS, ""), **redacted})
            if not isinstance(redacted, Mapping):
                raise TypeError("not a dict")
            redacted = {name: redacted[name] for name in (*_PARTS, *_TEXTS) if redacted.get(name) is not None}
            _check(redacted)
        return redacted


def _check(content: Mapping[str, object]) -> None:
    for names, kind in ((_PARTS, Mapping), (_TEXTS, str)):
        for name in names:
            if name in content and not isinstance(content[name], kind):
                raise TypeError(f"{name} is of another type than before")


def _same_parts(content: Mapping[str, object], redacted: object) -> Dict[str, Any]:
    """The parts that `content` has, as `redacted` has them: an empty dict for a removed part, no empty text."""
    found = redacted if isinstance(redacted, dict) else {}
    parts = {name: found[name] if isinstance(found.get(name), dict) else {} for name in content if name in _PARTS}
    texts = {name: found[name] for name in content if name in _TEXTS and found.get(name)}
    return {**parts, **texts}


def _withheld(content: Mapping[str, object], outcome_metadata: AbstractSet[str]) -> Dict[str, object]:
    """The little that needs no redaction, and `redaction_failed`."""
    metadata, config = _mapping(content.get("metadata")), _mapping(content.get("config"))
    safe: Dict[str, object] = {
        name: value
        for name, value in metadata.items()
        if (name in _SAFE_TEXTS and isinstance(value, str))
        or (name in outcome_metadata and isinstance(value, (bool, int, float)))
    }
    withheld: Dict[str, object] = {
        "metadata": {**safe, "redaction_failed": True},
        "config": {name: config[name] for name in _SAFE_CONFIG if name in config},
    }
    if content.get("error"):
        withheld["error"] = metadata.get("error_class") or "Error"
    return withheld


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
