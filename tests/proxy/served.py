"""A real LiteLLM Proxy as a process of its own, between our model server and our collector."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import httpx

from honeyhive_litellm.testing import Collector, ModelServer

from ..faults.programs import runtime_folder
from ..waiting import until

SITE = Path(__file__).parent / "site"
ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
START_S = 150.0
END_S = 40.0

COMMAND = [str(BIN / "honeyhive-litellm"), "proxy"]
LITELLM = [str(BIN / "litellm")]
HOOK = {"LITELLM_WORKER_STARTUP_HOOKS": "honeyhive_litellm.proxy:register"}
MESSAGES = [{"role": "user", "content": "hello"}]


class Proxy:
    """A running proxy; `key` is what its clients send."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, key: str, log: Path, collector: Collector) -> None:
        self.process = process
        self.url = url
        self.key = key
        self.log = log
        self.collector = collector
        # Every client here has `verify=False`: to read all authorities' certificates takes 20 ms, for plain HTTP.
        self.client = httpx.Client(base_url=url, timeout=30, headers={"Authorization": f"Bearer {key}"}, verify=False)

    def ask(self, path: str = "/v1/chat/completions", **body: Any) -> httpx.Response:
        """Post, over a connection of its own so that any worker may take it."""
        body.setdefault("model", "gpt-4o")
        if path.endswith(("chat/completions", "messages", "chat")):
            body.setdefault("messages", MESSAGES)
        key = body.pop("key", self.key)
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.post(self.url + path, json=body, headers=headers, timeout=30, verify=False)

    def events(self, count: int = 1, **facts: Any) -> List[Dict[str, Any]]:
        """The events whose `metadata.proxy` has these facts, once there are `count` of them."""
        until(lambda: len(self._found(facts)) >= count, 20, f"{count} events of {facts}")
        return self._found(facts)

    def event(self, response: httpx.Response) -> Dict[str, Any]:
        """The one event of a call, by the id that its client was told."""
        (event,) = self.events(request_id=response.headers["x-litellm-call-id"])
        return event

    def _found(self, facts: Dict[str, Any]) -> List[Dict[str, Any]]:
        return [
            event
            for event in self.collector.events
            if facts.items() <= {**event["metadata"].get("proxy", {}), "tags": None, "guardrails": None}.items()
        ]

    def terminate(self) -> int:
        """SIGTERM, as an orchestrator does; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(END_S)


@contextlib.contextmanager
def serving(
    command: List[str],
    config: Path,
    spool: Path,
    collector: Collector,
    models: ModelServer,
    *options: str,
    key: Optional[str] = None,
    **variables: str,
) -> Iterator[Proxy]:
    """The proxy that `command` starts, from when it serves; ended, with all its workers, on leaving."""
    cleanup = contextlib.ExitStack()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    master = "sk-" + secrets.token_hex(24)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HONEYHIVE_", "HH_", "LITELLM_", "OPENAI_"))}
    environment = {
        **inherited,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MASTER_KEY": master,
        "OPENAI_API_KEY": "sk-local",
        "OPENAI_API_BASE": models.url,
        "MODEL_SERVER": models.url,
        "MODEL_SERVER_CHAT": models.url + "/chat/completions",
        "HONEYHIVE_API_URL": collector.url,
        "HONEYHIVE_SPOOL_PATH": str(spool / "spool"),
        "HONEYHIVE_LOOKUP_DELAY": "0",
        "XDG_RUNTIME_DIR": cleanup.enter_context(runtime_folder()),
        **variables,
    }
    url = f"http://127.0.0.1:{port}"
    log = spool / "log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [*command, "--config", str(config), "--host", "127.0.0.1", "--port", str(port), *options],
            env=environment,
            cwd=spool,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    proxy = Proxy(process, url, key or master, log, collector)
    try:
        until(lambda: process.poll() is not None or _serves(url), START_S, "the proxy serves", every_s=0.1)
        assert process.poll() is None, log.read_text()
        yield proxy
    except BaseException:
        sys.stderr.write(log.read_text(errors="replace")[-8000:])
        raise
    finally:
        proxy.client.close()
        with contextlib.suppress(ProcessLookupError):  # its workers, too: the session is the test's own
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(END_S)
        cleanup.close()


def _serves(url: str) -> bool:
    try:
        return httpx.get(url + "/health/liveliness", timeout=5, verify=False).status_code == 200
    except httpx.HTTPError:
        return False
