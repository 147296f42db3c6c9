"""The generated parts of the pages are what the code says now, and nothing that they should hold is missing."""

from __future__ import annotations

import inspect
import logging
import re
from typing import Set

import pytest

from honeyhive_litellm._config.settings import OPTIONS
from honeyhive_litellm._log_codes import LogCode
from tests.docs.pages import PAGES, code_in, tables
from tools.docs import event_fields, generate, log_messages
from tools.docs.commands import EXAMPLE, commands


@pytest.mark.parametrize("page", [page for page, text in PAGES.items() if "<!-- generated:" in text])
def test_a_generated_part_is_up_to_date(page: str) -> None:
    assert generate.filled(PAGES[page]) == PAGES[page], "python -m tools.docs.generate"


def test_every_generator_has_its_place() -> None:
    text = "".join(PAGES.values())
    assert all(text.count(f"<!-- generated: {name} -->\n") == 1 for name in generate.PARTS)


def names_in(page: str) -> Set[str]:
    """What is set as code in the first column of the page's tables."""
    return {name for table in tables() if table.page == page for row in table.rows for name in code_in(row[0])}


def test_every_option_has_a_row_that_says_what_it_is() -> None:
    rows = [row for table in tables() if table.page == "docs/reference/options.md" for row in table.rows]
    meanings = {code_in(row[0])[0]: row[-1] for row in rows if code_in(row[0])}
    assert all(meanings[option.name].endswith(".") for option in OPTIONS)
    kinds = {row[2] for row in rows if len(row) == 5}
    assert kinds <= {row[0] for row in rows if len(row) == 3}


def test_every_command_has_a_section_and_a_help_text() -> None:
    page = PAGES["docs/reference/command-line.md"]
    for name, command in commands():
        assert f"\n## `{name}`\n" in page
        assert command.help
        example = inspect.cleandoc(command.help).partition(f"\n\b\n{EXAMPLE}")[2].strip()
        assert name in example and "\n" not in example, f"{name}: the help text ends with one example"


def test_every_field_of_a_golden_event_is_described() -> None:
    assert event_fields.undescribed() == set()
    described = {path for group in event_fields.GROUPS.values() for path in group}
    assert described - set(event_fields.golden_fields()) == set(event_fields.TESTED_ELSEWHERE)
    assert described | {"inputs.chat_history", "outputs.content"} <= names_in("docs/reference/events.md")


def test_every_call_that_logs_has_a_code_and_every_code_is_used() -> None:
    found = log_messages.messages()
    assert len(found) > 30
    assert [message.place for message in found if message.code is None or message.text is None] == []
    assert {message.code for message in found} == set(LogCode)
    assert {message.level for message in found} <= {name.lower() for name in logging._nameToLevel}


def test_a_code_is_stable_text_with_something_to_do() -> None:
    codes = [row.code for row in LogCode]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+\.[a-z_]+", code) for code in codes)
    assert all(row.action.endswith(".") for row in LogCode)
