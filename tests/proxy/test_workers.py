"""The documented configuration as it is written, with many workers, and what their end costs: nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List, Tuple

import openai
import pytest

from honeyhive_litellm._cli.proxy import HOOK, with_hook
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import needs_litellm
from .served import COMMAND, LITELLM, MESSAGES, ROOT, Proxy, serving

pytestmark = pytest.mark.timeout(300)  # two workers import LiteLLM three times

DOCUMENTED = ROOT / "examples" / "proxy" / "config.yaml"


def ask_with_openai(proxy: Proxy, number: int) -> str:
    http = openai.DefaultHttpxClient(verify=False)
    with openai.OpenAI(base_url=proxy.url + "/v1", api_key=proxy.key, max_retries=3, http_client=http) as client:
        answer = client.chat.completions.create(
            model="gpt-4o-mini",
            messages=MESSAGES,  # type: ignore[arg-type]
            extra_body={"metadata": {"session_id": f"s{number}"}},
        )
    assert answer.choices[0].message.content == "answer to: hello"
    return str(number)


def ask_many(proxy: Proxy, count: int) -> List[str]:
    with ThreadPoolExecutor(6) as clients:
        return list(clients.map(lambda number: ask_with_openai(proxy, number), range(count)))


def check(proxy: Proxy, numbers: List[str]) -> None:
    """Each call has one event, delivered once."""
    events = proxy.collector.events
    sessions = [event["metadata"].get("session_id") for event in events]
    assert sorted(sessions) == sorted(f"s{number}" for number in numbers), proxy.log.read_text()
    assert set(proxy.collector.receipts.values()) == {1}
    for event in events:
        assert event["metadata"]["project"] == "proxy-demo"
        assert event["source"] == "production"
        assert event["metadata"]["status"] == "success"


needs_hooks = needs_litellm("1.83", "its proxy calls no hooks when a worker starts, so that it cannot know our name")
needs_granian = needs_litellm("1.110", "its proxy does not run under granian")
# LiteLLM starts a thread in gunicorn's first process, right before that forks its workers, and in it loads this module:
# a worker that is forked meanwhile waits for it for ever.
WITH_ASCII = "import encodings.ascii, runpy, sys; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
GUNICORN = [sys.executable, "-c", WITH_ASCII, *LITELLM]
RECYCLED = ("--run_gunicorn", "--num_workers", "2", "--max_requests_before_restart", "7")


@pytest.mark.parametrize(
    ("name", "command", "options"),
    [
        pytest.param("honeyhive", COMMAND, ("--num_workers", "2"), marks=needs_hooks, id="uvicorn, by name"),
        pytest.param("honeyhive_litellm.proxy.logger", GUNICORN, RECYCLED, id="gunicorn that recycles, by path"),
        pytest.param(
            "honeyhive", COMMAND, ("--run_granian", "--num_workers", "2"), marks=needs_granian, id="granian, by name"
        ),
    ],
)
def test_every_worker_records_and_ends_without_a_loss(
    collector: Collector, models: ModelServer, tmp_path: Path, name: str, command: List[str], options: Tuple[str, ...]
) -> None:
    config = DOCUMENTED
    if name != "honeyhive":
        config = tmp_path / "config.yaml"
        config.write_text(DOCUMENTED.read_text().replace('"honeyhive"', f'"{name}"'))
    variables = {"HONEYHIVE_API_KEY": "hh_key", "HONEYHIVE_ENVIRONMENT": "not this one"}
    with serving(command, config, tmp_path, collector, models, *options, **variables) as proxy:
        numbers = ask_many(proxy, 30)
        status = proxy.terminate()

        check(proxy, numbers)
        assert status in (0, -signal.SIGTERM)


def test_the_command_ends_as_litellm_does() -> None:
    refused = subprocess.run(
        [*COMMAND, "--no_such_option", "1"], capture_output=True, text=True, timeout=120, check=False
    )

    assert refused.returncode == 2
    assert "--no_such_option" in refused.stderr
    assert "Usage: litellm" in refused.stderr


def test_the_hooks_of_others_stay() -> None:
    assert with_hook("") == HOOK
    assert with_hook("mine:setup, yours:setup") == f"{HOOK},mine:setup,yours:setup"
    assert with_hook(f"mine:setup,{HOOK}") == f"{HOOK},mine:setup"
