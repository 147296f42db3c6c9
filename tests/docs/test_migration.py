"""The pages for those who come from elsewhere: their code runs, and the fields they promise are there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Dict, List, Tuple

import pytest

from honeyhive_litellm.testing import Collector, ModelServer
from tests.coverage_table import FIELDS
from tests.docs.test_readme import at, run
from tests.golden.compare import FOLDER

DOCS = Path(__file__).parents[2] / "docs" / "how-to"
PAGES = ["migrate-from-openinference.md", "migrate-from-openlit.md"]
QUESTION = [{"role": "user", "content": "Why is the sky blue?"}]
EXPECTED: Dict[str, Dict[str, object]] = {
    "migrate-from-openinference.md": {
        "user_properties.user_id": "user-1",
        "metadata.session_id": "chat-42",
        "metadata.release": "2026.4",
        "metadata.tags": ["beta"],
        "source": "production",
    },
    "migrate-from-openlit.md": {
        "user_properties.user_id": "user-1",
        "metadata.application_name": "my-app",
        "source": "staging",
    },
}


def sections(page: str) -> Dict[str, str]:
    parts = re.split(r"^## (.+)$", (DOCS / page).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def python_of(page: str, section: str) -> str:
    (code,) = re.findall(r"^```python\n(.*?)^```$", sections(page)[section], re.MULTILINE | re.DOTALL)
    return str(code)


def rows(page: str) -> List[Tuple[str, str]]:
    lines = [line for line in sections(page)["Field by field"].splitlines() if line.startswith("| ")]
    return [(left, right) for left, right in (line.strip("| ").split(" | ") for line in lines[1:])]


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_before_is_python(page: str) -> None:
    names = compile(python_of(page, "Before"), page, "exec").co_names
    assert "litellm" in names


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_after_sends_what_the_page_says(page: str, tmp_path: Path) -> None:
    with Collector() as collector, ModelServer() as models:
        run(python_of(page, "After"), collector, models, tmp_path)
        (event,) = collector.wait_for(1)
    assert event["inputs"]["chat_history"] == QUESTION
    assert {path: at(event, path) for path in EXPECTED[page]} == EXPECTED[page]


@pytest.mark.parametrize("page", PAGES)
def test_each_field_that_the_table_names_is_in_a_golden_event(page: str) -> None:
    golden = "".join(path.read_text() for path in FOLDER.glob("*.json"))
    named = [name for _, right in rows(page) for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)?)`", right)]
    ours = [name for name in named if name not in ("a", "custom_attributes", "completion", "embedding")]
    assert len(ours) > 20
    for name in ours:
        assert name in FIELDS, name
        assert json.dumps(name.split(".")[-1]) + ":" in golden, name
