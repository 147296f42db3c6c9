"""Options that cannot work, and how the proxy gets its logger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

import litellm
import pytest
from litellm.litellm_core_utils import litellm_logging
from litellm.proxy.types_utils.utils import get_instance_fn

import honeyhive_litellm
from honeyhive_litellm._instrumentation.proxy_logger import options_of, the_logger
from honeyhive_litellm.proxy import register
from honeyhive_litellm.testing import Collector, ModelServer

from ..waiting import until
from .served import LITELLM, serving

pytestmark = pytest.mark.timeout(240)

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


def test_a_copy_of_the_module_beside_the_config_has_the_same_logger(tmp_path: Path) -> None:
    """LiteLLM's loader takes a file beside the config first."""
    here = Path(honeyhive_litellm.__file__).parent
    from_package = get_instance_fn("honeyhive_litellm.proxy.logger", str(tmp_path / "config.yaml"))
    from_file = get_instance_fn("honeyhive_litellm.proxy.logger", str(here.parent / "config.yaml"))

    assert from_package is from_file is the_logger()


def test_options_are_the_attributes_that_the_config_left() -> None:
    attributes: Dict[str, Any] = {
        "honeyhive_project": "p",
        "honeyhive_environment": None,
        "callbacks": [],
        "honeyhive_api_key": "hh_k",
    }

    assert options_of(attributes) == {"project": "p", "api_key": "hh_k"}


def test_a_reference_that_litellm_left_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", "hh_k")

    assert options_of({"honeyhive_api_key": "os.environ/THE_KEY"}) == {"api_key": "hh_k"}
    assert options_of({"honeyhive_api_key": "os.environ/NOT_SET_ANYWHERE"}) == {}


def test_registering_twice_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    names = list(litellm._known_custom_logger_compatible_callbacks)
    monkeypatch.setattr(litellm, "_known_custom_logger_compatible_callbacks", names)
    for function in ("_init_custom_logger_compatible_class", "get_custom_logger_compatible_class"):
        monkeypatch.setattr(litellm_logging, function, getattr(litellm_logging, function))

    register()
    original = litellm_logging._init_custom_logger_compatible_class
    register()

    assert names.count("honeyhive") == 1
    assert litellm_logging._init_custom_logger_compatible_class is original
    assert original("honeyhive", internal_usage_cache=None, llm_router=None) is the_logger()
    assert original("no such callback", internal_usage_cache=None, llm_router=None) is None


def test_options_that_cannot_work_are_logged_once_and_calls_are_served(
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
        log = proxy.log.read_text()

    assert log.count("NONE is recorded") == 1
    assert "project is missing; pass project=... or set HONEYHIVE_PROJECT" in log
    assert "did you mean sample_rate?" in log
    assert "litellm_settings" in log
    assert "hh_key" not in log
    assert collector.requests == []
