"""Streams of Google's interactions."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from honeyhive_litellm._mapping.reading import fields, text

LAST_EVENTS = ("interaction.completed", "interaction.complete")
_DELTAS = ("step.delta", "content.delta")
_BEGINNINGS = ("interaction.", "step.", "content.")


class Interactions:
    """An interaction's text, as the events add to it."""

    def __init__(self) -> None:
        self.is_complete = False
        self._found: Dict[str, Any] = {}
        self._final: Mapping[str, Any] = {}
        self._texts: List[str] = []

    @staticmethod
    def takes(event: Mapping[str, Any]) -> bool:
        return str(event.get("event_type")).startswith(_BEGINNINGS)

    def add(self, event: Mapping[str, Any]) -> None:
        interaction = fields(event.get("interaction"))
        for name in ("id", "model"):
            if text(interaction.get(name)):
                self._found[name] = interaction[name]
        if event.get("event_type") in LAST_EVENTS:
            self.is_complete = True
            self._final = interaction
        elif event.get("event_type") in _DELTAS:
            self._texts += filter(None, [text_of_delta(event)])

    @property
    def response(self) -> Mapping[str, Any]:
        """The last event's interaction, with the text that was streamed if it has none."""
        response = {**self._found, **self._final}
        if self._texts and not response.get("outputs") and not response.get("steps"):
            response["outputs"] = [{"type": "text", "text": "".join(self._texts)}]
        return response


def text_of_delta(event: Mapping[str, Any]) -> str:
    """What an event adds to the text; nothing if it adds something else."""
    delta = fields(event.get("delta"))
    return str(delta.get("text") or "") if delta.get("type", "text") == "text" else ""
