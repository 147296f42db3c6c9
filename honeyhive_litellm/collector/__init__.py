"""A local server that speaks HoneyHive's ingestion API and keeps what it gets in SQLite.

It is what the tests, the demo and `honeyhive-litellm serve` run. It follows HoneyHive's published OpenAPI
text (data plane 1.9) and is never more lenient than that; where the text is silent, the stricter reading is
built and the docstring of that place says so. `honeyhive_litellm.testing.Collector` runs the same server
inside a test.
"""

from __future__ import annotations

from ._routes import Rules
from ._server import DEFAULT_PORT, PageOptions, Server, run, serve

__all__ = ["DEFAULT_PORT", "PageOptions", "Rules", "Server", "run", "serve"]
