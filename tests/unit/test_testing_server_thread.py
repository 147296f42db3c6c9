"""The thread of a loopback server: what goes wrong on it is raised where the server is started or closed."""

from __future__ import annotations

import threading

import pytest

from honeyhive_litellm.testing import _server_thread
from honeyhive_litellm.testing._server_thread import ServerThread


class SilentServer(ServerThread):
    """It never says that it listens."""

    async def _serve(self) -> None:
        await self._closing.wait()


class BrokenServer(ServerThread):
    """It fails while it is closed."""

    async def _serve(self) -> None:
        self._ready()
        await self._closing.wait()
        raise OSError("the socket was gone")


def test_a_server_that_never_listens_is_an_error_and_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server_thread, "_START_TIMEOUT_S", 0.05)
    server = SilentServer()
    with pytest.raises(RuntimeError, match="the SilentServer did not start"):
        server.__enter__()
    server.close()
    assert "SilentServer" not in [thread.name for thread in threading.enumerate()]


def test_what_fails_while_a_server_is_closed_is_raised_there_and_once() -> None:
    server = BrokenServer()
    with pytest.raises(OSError, match="the socket was gone"), server:
        pass
    server.close()
    assert "BrokenServer" not in [thread.name for thread in threading.enumerate()]


def test_a_server_that_cannot_serve_is_an_error_where_it_is_started() -> None:
    with pytest.raises(NotImplementedError), ServerThread():
        pass


def test_a_server_that_was_not_started_is_closed_already() -> None:
    server = SilentServer()
    server.close()
    assert "SilentServer" not in [thread.name for thread in threading.enumerate()]
