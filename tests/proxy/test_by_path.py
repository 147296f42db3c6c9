"""The logger by its dotted path, without a hook; and options that cannot work."""

from __future__ import annotations

import json
from pathlib import Path

from honeyhive_litellm.testing import Collector, ModelServer

from .served import LITELLM, serving, until

CONFIG = """
litellm_settings:
  callbacks: ["honeyhive_litellm.proxy.logger"]
  success_callback: ["honeyhive_litellm.proxy.logger"]
  honeyhive_api_key: hh_key
  %s
model_list:
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_base: os.environ/MODEL_SERVER, api_key: sk-local}
"""


def written(folder: Path, line: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(CONFIG % line)
    return path


def test_the_dotted_path_of_the_logger(collector: Collector, models: ModelServer, tmp_path: Path) -> None:
    config = written(tmp_path, "honeyhive_project: by-path")
    with serving(LITELLM, config, tmp_path, collector, models) as proxy:
        asked = [proxy.ask().headers["x-litellm-call-id"] for _ in range(3)]
        for call_id in asked:
            (event,) = proxy.events(request_id=call_id)
            assert event["metadata"]["project"] == "by-path"
        proxy.terminate()

    assert sorted(event["event_id"] for event in collector.events) == sorted(asked)


def test_options_that_cannot_work_are_told_once_and_calls_are_served(
    collector: Collector, models: ModelServer, tmp_path: Path
) -> None:
    config = written(tmp_path, "honeyhive_smaple_rate: 2")
    with serving(LITELLM, config, tmp_path, collector, models) as proxy:
        for _ in range(3):
            response = proxy.ask()
            assert response.status_code == 200
            assert json.loads(response.text)["choices"][0]["message"]["content"] == "answer to: hello"
        until(lambda: "NONE is recorded" in proxy.log.read_text(), 20, "the error in the log")
        proxy.terminate()
        told = proxy.log.read_text()

    assert told.count("NONE is recorded") == 1
    assert "project (HONEYHIVE_PROJECT) is missing" in told
    assert "did you mean sample_rate?" in told
    assert "litellm_settings" in told
    assert "hh_key" not in told
    assert collector.requests == []
