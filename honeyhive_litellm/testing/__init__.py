"""Servers on loopback for tests: no provider, no HoneyHive, no network."""

from __future__ import annotations

from ._collector import Collector
from ._model_server.server import ModelServer

__all__ = ["Collector", "ModelServer"]
