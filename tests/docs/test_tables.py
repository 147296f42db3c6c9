"""Every table of every page: it names what exists, and says of it what the code says."""

from __future__ import annotations

import importlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

import pytest

import honeyhive_litellm
from honeyhive_litellm._config.settings import OPTIONS
from honeyhive_litellm._delivery.sink import Verdict
from honeyhive_litellm._delivery.sinks.http_status import Reply, result_of
from honeyhive_litellm._mapping.proxy_metadata import PROXY_FIELDS
from honeyhive_litellm._privacy.pii import CREDENTIALS, NAMES, without
from honeyhive_litellm._privacy.sanitize import clean_text
from honeyhive_litellm._runtime.metric_table import METRICS
from honeyhive_litellm._stats import Stats
from honeyhive_litellm.testing import Collector
from tests.coverage_table import FIELDS
from tests.golden.compare import FOLDER
from tools.docs import event_fields
from tools.docs.commands import commands

from .pages import PAGES, ROOT, Table, code_in, tables

PACKAGE = Path(honeyhive_litellm.__file__).parent
GENERATED = {
    "docs/reference/api.md",
    "docs/reference/command-line.md",
    "docs/reference/coverage.md",
    "docs/reference/events.md",
    "docs/reference/log-messages.md",
}

OPTION_NAMES = {option.name for option in OPTIONS}
VARIABLES = {variable for option in OPTIONS for variable in option.variables}
FIELD_NAMES = {
    name
    for path in (*event_fields.golden_fields(), *event_fields.TESTED_ELSEWHERE)
    for name in (path, path.split(".")[-1])
}
STATUSES = {"success", "failure", "cancelled", "abandoned", "interrupted"}
STATS = set(Stats.__annotations__)
OURS = {f"honeyhive_litellm.{name}" for name in honeyhive_litellm.__all__} | set(honeyhive_litellm.__all__)
COMMANDS = {word for name, _ in commands() for word in (name, name.split()[-1], " ".join(name.split()[1:]))}
METRIC_NAMES = {metric.prometheus_name for metric in METRICS}
FLAGS = {flag for _, command in commands() for option in command.params for flag in option.opts}
EXPECTED = {
    *OPTION_NAMES,
    *VARIABLES,
    *FIELD_NAMES,
    *STATUSES,
    *STATS,
    *OURS,
    *COMMANDS,
    *FLAGS,
    *METRIC_NAMES,
    *NAMES,
}


def table(page: str, first: str) -> List[List[str]]:
    """The rows of the table of that page whose first column has this name."""
    (found,) = [one for one in tables() if one.page == page and one.heads[0] == first]
    return found.rows


def column(page: str, first: str, number: int = 0) -> List[str]:
    return [name for row in table(page, first) for name in code_in(row[number])]


# ---- names


def exists(name: str) -> bool:
    """Whether the code has this name: an option, a field, a command, a file, a switch of a call, a call of ours."""
    word = re.sub(r"\(.*\)$", "", name).partition("=")[0]
    if name in EXPECTED or word in EXPECTED or (ROOT / name).exists():
        return True
    if word.startswith("collector."):
        return hasattr(Collector, word[len("collector.") :])
    return is_in_source(word)


@lru_cache(maxsize=None)
def is_in_source(word: str) -> bool:
    """Whether the package names this in a string or as a name."""
    # A look-behind at the start would make each search a hundred times slower.
    ends = re.finditer(rf"{re.escape(word)}(?!\w)", SOURCE)
    return any(re.match(r"[\w.]", SOURCE[max(0, end.start() - 1)]) is None for end in ends)


SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py")))

# Names of other projects, forms of values, and words that stand for what a user writes.
NOT_OURS = {
    "docs/explanation/compatibility.md": {"--preload"},
    "docs/how-to/kubernetes.md": {"startupProbe", "livenessProbe", "readinessProbe"},
    "docs/how-to/prefork.md": {"--preload"},
    "docs/how-to/router.md": {"main", "spare"},
    "docs/how-to/testing.md": {"openai/fail-429", "openai/slow-500", "openai/break-3"},
    "docs/reference/options.md": {
        "$XDG_STATE_HOME/honeyhive-litellm", "%LOCALAPPDATA%\\honeyhive-litellm", "/", "0", "0.5", "1", "4MiB", "5",
        "512MB", "Path", "email,card", "honeyhive-litellm-<user id>", "https://api.honeyhive.ai", "~", "~/",
        "~/.local/state/honeyhive-litellm", "~/Library/Application Support/honeyhive-litellm", "1GiB", "64MiB",
        "256KiB", "1MiB", "true", "false", "yes", "no", "on", "off", "str", "bool", "int", "float", "dict",
    },
    "docs/reference/files.md": {
        "<owner>-<number>.spool", "<owner>-<number>.spool-wal", "<owner>.lease", "<owner>.state", "quarantine/",
        "honeyhive-litellm-<user id>",
    },
}  # fmt: skip


def hand_written() -> Iterator[Tuple[Table, str]]:
    for one in tables():
        if one.page in GENERATED or "migrate-from" in one.page or one.page == "ARCHITECTURE.md":  # has its own test
            continue
        for row in one.rows:
            for cell in row:
                for name in code_in(cell):
                    yield one, name


def test_every_name_in_a_table_is_one_that_exists() -> None:
    unknown: Dict[str, Set[str]] = {}
    for one, name in hand_written():
        if name not in NOT_OURS.get(one.page, set()) and not exists(name):
            unknown.setdefault(one.page, set()).add(name)
    for page in ("docs/how-to/redaction.md", "docs/explanation/privacy.md"):  # their examples have tests of their own
        unknown.pop(page, None)
    assert unknown == {}


# ---- single tables


def test_the_table_of_faults_has_a_row_for_each_that_the_benchmark_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    made = importlib.import_module("faults").faults(3.0)
    rows = table("docs/explanation/guarantees.md", "fault")
    assert [row[0] for row in rows] == [fault.name for fault in made]
    for fault, (_, sent, delivered, duplicates, lost, _, _) in zip(made, rows):
        calls = "20" if fault.way == "forks" else "1,000"
        assert (sent, delivered, duplicates, lost) == (calls, calls, "0", "0")
    for _, delivered, lost, duplicates in table("README.md", "fault"):
        assert (delivered, duplicates, lost) == ("1,000", "0", "0")


def test_the_table_of_a_fleets_faults_has_a_row_for_each_that_the_benchmark_makes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    made = importlib.import_module("fleet_faults").FAULTS.values()
    rows = table("docs/explanation/guarantees.md", "fault of a fleet")
    assert [events for _, events, *_ in rows] == ["1,000" if fault.bytes else "50,000" for fault in made]
    assert [dead for _, _, dead, *_ in rows] == ["500" if fault.refused_of else "0" for fault in made]


def test_every_guarantee_names_tests_that_exist() -> None:
    rows = table("docs/explanation/guarantees.md", "guarantee")
    assert len(rows) == PAGES["docs/explanation/guarantees.md"].partition("## What arrives")[0].count("\n**")
    for _, cell in rows:
        assert code_in(cell)
        for path in code_in(cell):
            assert "def test_" in (ROOT / path).read_text(encoding="utf-8")


def test_the_table_of_patterns_is_that_of_the_code_and_each_finds_its_example() -> None:
    rows = table("docs/how-to/redaction.md", "name")
    assert {name for row in rows for name in code_in(row[0])} == set(NAMES)
    for row in rows:
        (name,), (example,) = code_in(row[0]), code_in(row[2])
        always = clean_text(example, 1000)
        assert ("redacted" in always) is (name in CREDENTIALS) is ("always removed" in row[1])
        assert name in CREDENTIALS or without(example, [name]) == f"[redacted: {name}]"


def test_the_table_of_numbers_has_every_number_and_every_reason() -> None:
    page = "docs/reference/numbers.md"
    assert column(page, "number") == list(dict.fromkeys(column(page, "number")))
    assert set(column(page, "number")) == STATS
    reasons = column(page, "reason")
    found = set(re.findall(r"""\.(?:drop|lose)\(\s*"([a-z]+)",""", SOURCE))
    assert found <= set(reasons)
    assert all(is_in_source(reason) for reason in reasons)


def test_the_table_of_the_proxy_has_all_that_is_recorded_of_it() -> None:
    expected = {
        "request_id",
        "tags",
        "guardrails",
        "rejected",
        "client_disconnected",
        *(name for name, _ in PROXY_FIELDS),
    }
    assert {path.split(".")[-1] for path in event_fields.PROXY} == expected


def test_every_status_of_an_event_has_its_row() -> None:
    assert set(column("docs/reference/events.md", "status")) == STATUSES


def test_the_table_of_answers_says_what_the_code_does() -> None:
    kept, again = "Everything is kept", "sent again"
    for row in table("docs/reference/delivery.md", "answer"):
        statuses = [int(number) for number in re.findall(r"\b\d{3}\b", row[0])]
        statuses += [500, 503] if row[0].startswith("5xx") else []
        assert statuses
        for status in statuses:
            verdict = result_of(Reply(status), 2).verdict
            assert (verdict is Verdict.DELIVERED) is ("leave the spool" in row[2]), row
            assert (verdict is Verdict.SPLIT) is ("halved" in row[2]), row
            assert (verdict is Verdict.RETRY) is (again in row[2]), row
            assert (verdict is Verdict.PAUSE) is (kept in row[2] and again not in row[2]), row


def test_each_field_of_a_migration_table_is_in_a_golden_event() -> None:
    golden = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json"))
    for one in tables():
        if "migrate-from" in one.page:
            named = [name for row in one.rows for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)?)`", row[1])]
            ours = [name for name in named if name not in ("a", "custom_attributes", "completion", "embedding")]
            assert len(ours) > 20
            for name in ours:
                assert name in FIELDS, name
                assert f'"{name.split(".")[-1]}":' in golden, name


def test_the_files_of_a_spool_are_in_the_table(tmp_path: Path) -> None:
    from honeyhive_litellm._spool.layout import (
        DEAD_LETTERS_NAME,
        KEPT_NAME,
        LEASE_SUFFIX,
        LEDGER_NAME,
        QUARANTINE_NAME,
        SEGMENT_SUFFIX,
        STATE_SUFFIX,
    )

    named = column("docs/reference/files.md", "file")
    assert set(named) == {
        f"<owner>-<number>{SEGMENT_SUFFIX}",
        f"<owner>-<number>{SEGMENT_SUFFIX}-wal",
        f"<owner>{LEASE_SUFFIX}",
        f"<owner>{STATE_SUFFIX}",
        LEDGER_NAME,
        DEAD_LETTERS_NAME,
        f"{KEPT_NAME}/",
        f"{QUARANTINE_NAME}/",
    }
