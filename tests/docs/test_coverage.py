"""docs/reference/coverage.md says what the golden events hold, and they hold what matters."""

from __future__ import annotations

from tests.coverage_table import COLUMNS, PAGE, PROXY, page
from tests.golden.calls import CALLS
from tests.golden.compare import FOLDER

ROWS = {cells[1].strip("` "): [cell.strip() for cell in cells[2:-1]] for cells in
        (line.split("|") for line in PAGE.read_text().splitlines() if line.startswith("| `"))}  # fmt: skip


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "python -m tests.coverage_table"


def test_a_cell_names_a_golden_event_that_a_test_compares() -> None:
    named = {cell for cells in ROWS.values() for cell in cells if cell != "-"}
    assert {name for name in named if not (FOLDER / f"{name}.json").exists()} == set()
    assert {name for name in named if name not in CALLS and not name.startswith(f"{PROXY}_")} == set()


def test_every_field_and_call_is_held_on_some_way() -> None:
    empty = {row for row, cells in ROWS.items() if set(cells) == {"-"} and not row.startswith("metadata.proxy.")}
    assert empty == set()


def test_what_every_event_has_is_held_on_every_way_of_the_sdk() -> None:
    ways = list(COLUMNS).index(PROXY)
    for row in ("event_id", "session_id", "event_name", "config.model", "metadata.status=success", "duration"):
        assert "-" not in ROWS[row][:ways]
