"""The documented configuration as it is written, with many workers, and what their end costs: nothing."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List

import openai
import pytest

from honeyhive_litellm.testing import Collector, ModelServer

from .served import COMMAND, MESSAGES, ROOT, Proxy, serving, until

DOCUMENTED = ROOT / "examples" / "proxy" / "config.yaml"


def ask_with_openai(proxy: Proxy, number: int) -> str:
    with openai.OpenAI(base_url=proxy.url + "/v1", api_key=proxy.key, max_retries=3) as client:
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


def check(proxy: Proxy, asked: List[str]) -> None:
    """Each call has one event, delivered once."""
    told = proxy.collector.events
    sessions = [event["metadata"].get("session_id") for event in told]
    assert sorted(sessions) == sorted(f"s{number}" for number in asked), proxy.log.read_text()
    assert set(proxy.collector.receipts.values()) == {1}
    for event in told:
        assert event["metadata"]["project"] == "proxy-demo"
        assert event["source"] == "production"
        assert event["metadata"]["status"] == "success"


@pytest.mark.parametrize(
    "options",
    [
        ("--num_workers", "2"),
        ("--run_gunicorn", "--num_workers", "2", "--max_requests_before_restart", "7"),
    ],
    ids=["uvicorn", "gunicorn that recycles its workers"],
)
def test_every_worker_knows_the_name_and_ends_without_a_loss(
    collector: Collector, models: ModelServer, tmp_path: Path, options: List[str]
) -> None:
    variables = {"HONEYHIVE_API_KEY": "hh_key", "HONEYHIVE_ENVIRONMENT": "not this one"}
    with serving(COMMAND, DOCUMENTED, tmp_path, collector, models, *options, **variables) as proxy:
        asked = ask_many(proxy, 30)
        status = proxy.terminate()
        # What a worker could not deliver in its last moments is left for the next process; here it has none to wait for.
        until(lambda: len(collector.events) >= len(asked), 20, "the events of all workers")

        check(proxy, asked)
        assert status in (0, -15)


def test_the_command_becomes_litellm_and_keeps_the_hooks_of_others(tmp_path: Path) -> None:
    from honeyhive_litellm._cli_proxy import HOOK, with_hook

    assert with_hook("") == HOOK
    assert with_hook("mine:setup, yours:setup") == f"{HOOK},mine:setup,yours:setup"
    assert with_hook(f"mine:setup,{HOOK}") == f"{HOOK},mine:setup"
    assert os.path.exists(DOCUMENTED)
