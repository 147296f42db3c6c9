"""Streams of messages to A2A agents: events about a task, or one message."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from honeyhive_litellm._mapping.reading import fields, items, text, without_none

_STATES_AT_THE_END = ("completed", "failed", "canceled", "rejected", "input-required", "auth-required")


class AgentMessages:
    """A task's artifacts and state, or the message that an agent answers with."""

    def __init__(self) -> None:
        self.is_complete = False
        self._id: object = None
        self._message: Mapping[str, Any] = {}
        self._status: Dict[str, Any] = {}
        self._artifacts: Dict[object, List[Any]] = {}
        """The parts of each artifact by its id, as the events add to them."""

    @staticmethod
    def takes(event: Mapping[str, Any]) -> bool:
        return "jsonrpc" in event

    def add(self, event: Mapping[str, Any]) -> None:
        result = fields(event.get("result"))
        self._id = event.get("id") or self._id
        self.is_complete = self.is_complete or is_last(event)
        if result.get("kind") == "message":
            self._message = result
        for artifact in map(fields, [*items(result.get("artifacts")), result.get("artifact")]):
            id_ = artifact.get("artifactId") or artifact.get("artifact_id")
            parts = items(artifact.get("parts"))
            if parts:
                self._artifacts[id_] = [*self._artifacts.get(id_, ()), *parts] if result.get("append") else parts
        status = fields(result.get("status"))
        if status:
            self._status = {**self._status, **without_none(state=status.get("state"), message=status.get("message"))}

    @property
    def response(self) -> Dict[str, Any]:
        """The answer in the form of one that is not streamed."""
        artifacts = [{"parts": parts} for parts in self._artifacts.values()]
        task = {"kind": "task", "status": self._status, "artifacts": artifacts}
        return without_none(id=self._id, result=self._message or task)


def is_last(event: Mapping[str, Any]) -> bool:
    """Whether nothing follows on this event."""
    result = fields(event.get("result"))
    if result.get("kind") == "message" or result.get("final") is True:
        return True
    return result.get("kind") == "task" and text(fields(result.get("status")).get("state")) in _STATES_AT_THE_END


def adds_text(event: Mapping[str, Any]) -> bool:
    """Whether an event brings a part of the answer."""
    result = fields(event.get("result"))
    holders = [
        result,
        result.get("artifact"),
        *items(result.get("artifacts")),
        fields(result.get("status")).get("message"),
    ]
    return any(items(fields(holder).get("parts")) for holder in holders)
