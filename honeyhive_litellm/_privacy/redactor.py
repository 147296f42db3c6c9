"""What the option `redact` does to an event, and what is left of one when it fails.

It runs between the removal of credentials, which nobody has to ask for, and the cut to size, so that no half of an
address stays where a text was cut. It sees an event's content in two parts: what was asked, when the call begins, for
the record of the start and the event alike; and what came of it, when it ends.
"""

from __future__ import annotations

from typing import AbstractSet, Any, Callable, Dict, List, Mapping

from honeyhive_litellm._log import warn

from .pii import without
from .sanitize import clean

Function = Callable[[Dict[str, Any]], Mapping[str, Any]]

_UNCUT = 2**62
_PARTS = ("inputs", "outputs", "metadata", "config", "user_properties")
_TEXTS = ("event_name", "error")

# What an event says of a call when its content could not be redacted: no word that a caller or a model chose.
_SAFE_CONFIG = ("provider", "model", "is_streaming")
_SAFE_TEXTS = ("status", "error_class", "call_type", "provider", "model", "project", "timestamp")


class Redactor:
    """Makes content fit for an event: free of credentials, redacted as the user asked, cut to size."""

    def __init__(self, redact: object, max_field_bytes: int, outcome_metadata: AbstractSet[str]) -> None:
        """`redact` is the setting: a tuple of names of `pii` and then functions, or None.

        `outcome_metadata` are the metadata names that only an outcome may write.
        """
        steps = redact if isinstance(redact, tuple) else ()
        self._names: List[str] = [step for step in steps if isinstance(step, str)]
        self._functions: List[Function] = [step for step in steps if not isinstance(step, str)]
        self._is_asked_for = bool(steps)
        self._max_bytes = max_field_bytes
        self._outcome_metadata = outcome_metadata

    def asked(self, content: Mapping[str, object]) -> Dict[str, Any]:
        """The request's part. Its metadata has no name that an outcome may write."""
        told = self._cleaned(content)
        if self._functions and not told["metadata"].get("redaction_failed"):
            told["metadata"] = {name: v for name, v in told["metadata"].items() if name not in self._outcome_metadata}
        return told

    def answered(self, content: Mapping[str, object]) -> Dict[str, Any]:
        """The outcome's part. Its metadata has no name that it had not, lest that be in the request's as well."""
        told = self._cleaned(content)
        if self._functions:
            had = {"redaction_failed", *_mapping(content.get("metadata"))}
            told["metadata"] = {name: v for name, v in told["metadata"].items() if name in had}
        return told

    def _cleaned(self, content: Mapping[str, object]) -> Dict[str, Any]:
        """Those parts of `content` that are in it, as plain values."""
        if not self._is_asked_for:
            return _filled(content, clean(content, self._max_bytes))
        try:
            redacted = clean(self._redacted(content), self._max_bytes)
        except Exception as error:
            # Its message may quote what was to be redacted.
            warn("redact", "honeyhive: redact failed (%s), the content is left out of the event", type(error).__name__)
            redacted = clean(_withheld(content, self._outcome_metadata), self._max_bytes)
        return _filled(content, redacted)

    def _redacted(self, content: Mapping[str, object]) -> object:
        """Raises whatever a function of the user raises, and TypeError for what is no content."""
        told: Any = without(clean(content, _UNCUT), self._names)
        for function in self._functions:
            told = function({**{name: {} for name in _PARTS}, **dict.fromkeys(_TEXTS, ""), **told})
            if not isinstance(told, Mapping):
                raise TypeError("not a dict")
            told = {name: told[name] for name in (*_PARTS, *_TEXTS) if told.get(name) is not None}
            _check(told)
        return told


def _check(told: Mapping[str, object]) -> None:
    for names, kind in ((_PARTS, Mapping), (_TEXTS, str)):
        for name in names:
            if name in told and not isinstance(told[name], kind):
                raise TypeError(f"{name} is of another kind than it was")


def _filled(content: Mapping[str, object], told: object) -> Dict[str, Any]:
    """The parts that `content` has, as `told` has them: an empty dict where one was taken away, and no empty text."""
    known = told if isinstance(told, dict) else {}
    parts = {name: known[name] if isinstance(known.get(name), dict) else {} for name in content if name in _PARTS}
    texts = {name: known[name] for name in content if name in _TEXTS and known.get(name)}
    return {**parts, **texts}


def _withheld(content: Mapping[str, object], outcome_metadata: AbstractSet[str]) -> Dict[str, object]:
    """What needs no redaction, and a note that the rest was left out."""
    metadata, config = _mapping(content.get("metadata")), _mapping(content.get("config"))
    safe: Dict[str, object] = {
        name: value
        for name, value in metadata.items()
        if (name in _SAFE_TEXTS and isinstance(value, str))
        or (name in outcome_metadata and isinstance(value, (bool, int, float)))
    }
    told: Dict[str, object] = {
        "metadata": {**safe, "redaction_failed": True},
        "config": {name: config[name] for name in _SAFE_CONFIG if name in config},
    }
    if content.get("error"):
        told["error"] = metadata.get("error_class") or "Error"
    return told


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
