"""README.md: each Python block runs and its events arrive, each command exists, each table says what is so."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import click
import pytest

from honeyhive_litellm._cli.main import main as command_line
from honeyhive_litellm._config.settings import OPTIONS
from honeyhive_litellm._mapping.proxy_metadata import PROXY_FIELDS
from honeyhive_litellm._privacy.pii import CREDENTIALS, NAMES, without
from honeyhive_litellm._privacy.sanitize import clean_text
from honeyhive_litellm._stats import Stats
from honeyhive_litellm.testing import Collector, ModelServer

from ..faults.programs import environment
from ..versions import has_litellm

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MESSAGES = [{"role": "user", "content": "Why is the sky blue?"}]
ANSWER = "answer to: Why is the sky blue?"

Json = Dict[str, Any]
Expected = Dict[str, object]  # dotted path in the event to its value


class Block(NamedTuple):
    """One fenced block of the page, and the headings it stands under."""

    heading: str
    section: str
    language: str
    code: str


def blocks() -> Iterator[Block]:
    heading = section = ""
    for match in re.finditer(r"^(#+) ([^\n]+)$|^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL):
        if match.group(1) is None:
            yield Block(heading, section, match.group(3), match.group(4))
            continue
        section = match.group(2)
        if len(match.group(1)) <= 2:
            heading = section


PYTHON = [block for block in blocks() if block.language == "python"]
SHELL = [block for block in blocks() if block.language == "sh"]
EXAMPLES = [block for block in PYTHON if block.heading == "Examples"]

CHAT: Expected = {"event_name": "completion", "inputs.chat_history": MESSAGES, "outputs.content": ANSWER}

# What each block under "Examples" sends, in order.
EXAMPLE_EVENTS: Sequence[Tuple[str, Sequence[Expected]]] = (
    ("Examples", ()),
    (
        "Completions, sync and async",
        (
            {**CHAT, "config.temperature": 0.2, "metadata.call_type": "completion"},
            {**CHAT, "metadata.call_type": "acompletion"},
            {**CHAT, "metadata.call_type": "acompletion"},
        ),
    ),
    (
        "Sessions, users, names, tags: `metadata`",
        (
            {
                "event_name": "answer",
                "user_properties": {"plan": "pro", "user_id": "user-1"},
                "metadata.session_id": "chat-42",
                "metadata.tags": ["beta"],
                "metadata.release": "2026.4",
            },
        ),
    ),
    (
        "Sessions, users, names, tags: `metadata`",
        ({**CHAT, "metadata.session_name": "checkout", "user_properties": {"user_id": "user-1"}},),
    ),
    (
        "Sessions, users, names, tags: `metadata`",
        ({"inputs.chat_history": [{"role": "user"}], "outputs": {"role": "assistant", "finish_reason": "stop"}},),
    ),
    (
        "Any provider",
        (
            {"config.provider": "openai", "config.model": "gpt-4o-mini"},
            {"config.provider": "anthropic", "config.model": "claude-sonnet-4-5"},
            {"config.provider": "gemini", "config.model": "gemini-2.0-flash"},
            {"config.provider": "mistral", "config.model": "mistral-large-latest"},
        ),
    ),
    (
        "Streams",
        (
            {**CHAT, "config.is_streaming": True, "metadata.call_type": "completion"},
            {**CHAT, "config.is_streaming": True, "metadata.call_type": "acompletion"},
        ),
    ),
    ("Streams", ({"metadata.status": "abandoned", "outputs.content": "answer "},)),
    ("Tools", ({"inputs.functions.0.function.name": "weather", "outputs.tool_calls.0.function.name": "weather"},)),
    (
        "Router",
        (
            {"metadata.status": "failure", "metadata.router.model_group": "main", "metadata.status_code": 429},
            {"metadata.status": "success", "metadata.router.model_group": "spare", "outputs.content": ANSWER},
            {"event_type": "chain", "metadata.status": "success", "metadata.router.attempts": 2},
        ),
    ),
    ("Embeddings", ({"inputs.chunks": ["bees", "honey"], "outputs": {"num_embeddings": 2, "dimensions": 8}},)),
)


def run(code: str, collector: Collector, models: ModelServer, folder: Path, *command: str) -> Tuple[str, str]:
    """Run a program, or `command` on its file, to its good end; what it printed and what it logged."""
    file = folder / "test_block.py"
    file.write_text(code, encoding="utf-8")
    provider = {"OPENAI_API_KEY": "sk-local", "OPENAI_API_BASE": models.url, "OPENAI_BASE_URL": models.url}
    done = subprocess.run(
        [sys.executable, *command, str(file)],
        cwd=str(folder),
        env=environment(collector.url, folder / "spool", **provider),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout, done.stderr


def at(event: object, path: str) -> object:
    for name in path.split("."):
        if isinstance(event, list):
            event = event[int(name)]
        elif isinstance(event, dict) and name in event:
            event = event[name]
        else:
            raise KeyError(path)
    return event


def has(event: object, path: str) -> bool:
    try:
        return at(event, path) is not None
    except KeyError:
        return False


def fits(event: Json, expected: Expected) -> bool:
    return all(has(event, path) and at(event, path) == value for path, value in expected.items())


def assert_fit(events: List[Json], expected: Sequence[Expected]) -> None:
    """Each expectation has its event and each event its expectation; concurrent calls come in any order."""
    left = list(events)
    for one in expected:
        found = next((event for event in left if fits(event, one)), None)
        assert found is not None, f"no event fits {one} among {json.dumps(left, indent=1)}"
        left.remove(found)
    assert left == []


# ---- Python blocks


@pytest.fixture(scope="module")
def example_events(tmp_path_factory: pytest.TempPathFactory) -> List[List[Json]]:
    """The events of each block under "Examples". The blocks are one program, as the page says."""
    if not has_litellm("1.80"):
        pytest.skip("before LiteLLM 1.80: it asks on another loop with the connections of the first")
    count = "\nassert honeyhive_litellm.flush(30) == 0\nprint('\\n@', honeyhive_litellm.stats().delivered)\n"
    code = "".join(block.code + count for block in EXAMPLES)
    with Collector() as collector, ModelServer() as models:
        printed, _ = run(code, collector, models, tmp_path_factory.mktemp("examples"))
        assert set(collector.receipts.values()) == {1}
        events = collector.events
    ends = [int(end) for end in re.findall(r"^@ (\d+)$", printed, re.MULTILINE)]
    assert len(ends) == len(EXAMPLES)
    return [events[start:end] for start, end in zip([0, *ends], ends)]


def test_every_example_of_the_page_is_known_here() -> None:
    assert [block.section for block in EXAMPLES] == [section for section, _ in EXAMPLE_EVENTS]
    others = [block.heading for block in PYTHON if block not in EXAMPLES]
    assert others == ["Quick start"] * 3 + ["Flush, shutdown and numbers", "Testing your application", "Privacy"]


@pytest.mark.parametrize("number", range(len(EXAMPLE_EVENTS)), ids=[section for section, _ in EXAMPLE_EVENTS])
def test_an_example_sends_what_the_page_says(example_events: List[List[Json]], number: int) -> None:
    assert_fit(example_events[number], EXAMPLE_EVENTS[number][1])


def test_the_attempts_at_one_router_call_share_a_session(example_events: List[List[Json]]) -> None:
    router = [section for section, _ in EXAMPLE_EVENTS].index("Router")
    assert len({event["session_id"] for event in example_events[router]}) == 1


@pytest.mark.parametrize("number", range(3), ids=["init", "variables", "callback"])
def test_a_quick_start_sends_its_call(tmp_path: Path, number: int) -> None:
    block = [block for block in PYTHON if block.heading == "Quick start"][number]
    with Collector() as collector, ModelServer() as models:
        _, logged = run(block.code, collector, models, tmp_path)
        assert_fit(collector.events, [CHAT])
        key = "hh_your_key" if "hh_your_key" in block.code else "hh_key"
        assert collector.requests and all(request.has_key(key) for request in collector.requests)
    assert "honeyhive" not in logged


def test_the_block_on_numbers_delivers_both_its_calls(tmp_path: Path) -> None:
    (block,) = [block for block in PYTHON if block.heading == "Flush, shutdown and numbers"]
    with Collector() as collector, ModelServer() as models:
        printed, _ = run(block.code, collector, models, tmp_path)
        assert_fit(collector.events, [CHAT, {"inputs.chat_history.0.content": "And the sea?"}])
    assert printed == "1 1 0 0 {} None\n"


def test_the_test_on_the_page_passes(tmp_path: Path) -> None:
    (block,) = [block for block in PYTHON if block.heading == "Testing your application"]
    with Collector() as collector, ModelServer() as models:
        printed, _ = run(block.code, collector, models, tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider")
        assert collector.events == []  # it has servers of its own
    assert "1 passed" in printed


def test_the_block_on_redaction_sends_what_is_left(tmp_path: Path) -> None:
    (block,) = [block for block in PYTHON if block.section == "Redaction"]
    with Collector() as collector, ModelServer() as models:
        run(block.code, collector, models, tmp_path)
        said = "Did [redacted: email] pay [case] with [redacted: card]?"
        (event,) = collector.events
        assert_fit([event], [{"inputs.chat_history.0.content": said, "outputs.content": f"answer to: {said}"}])
        assert "customer" not in event["metadata"]


def test_a_refused_key_logs_the_line_on_the_page(tmp_path: Path) -> None:
    block = PYTHON[0]
    (quoted,) = [block.code for block in blocks() if block.language == "text"]
    with Collector(keys={"another"}) as collector, ModelServer() as models:
        code = "import os\nos.environ['HONEYHIVE_SHUTDOWN_TIMEOUT'] = '2'\n" + block.code
        code += "print(honeyhive_litellm.flush(1))\n"
        printed, logged = run(code, collector, models, tmp_path)
        url = collector.url
    assert printed == "1\n"
    assert quoted.strip().replace("https://api.honeyhive.ai", url) in logged


# ---- commands


def test_every_make_target_on_the_page_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", "\n".join(block.code for block in SHELL)))
    assert {"demo", "test", "help", "lint"} <= named <= targets


def test_every_subcommand_and_flag_on_the_page_exists() -> None:
    lines = re.findall(r"honeyhive-litellm ([a-z]+)((?: [^\s`]+)*)", README)
    assert lines
    for name, rest in lines:
        assert name in command_line.commands
        command = command_line.commands[name]
        if isinstance(command, click.Group) and rest:
            command = command.commands[rest.split()[0]]
        if name == "proxy":
            continue  # its flags are those of LiteLLM's own command
        flags = {flag for parameter in command.params for flag in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= flags


def test_every_file_on_the_page_exists() -> None:
    linked = re.findall(r"\]\((?!https?:|#)([^)]+)\)", README)
    assert linked
    for name in linked:
        assert (ROOT / name).is_file()
    for name in ("fastapi_service.py", "agent_loop.py", "batch_job.py"):
        assert (ROOT / "examples" / name).is_file()


def test_every_link_within_the_page_has_its_heading() -> None:
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", README, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= anchors


# ---- tables


def table(first_column: str) -> List[List[str]]:
    """The cells of the table whose first column has this name, without its head."""
    lines = README.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_column} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def code_in(cell: str) -> List[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_table_of_faults_has_a_row_for_each_that_the_benchmark_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    made = importlib.import_module("faults").faults(3.0)
    rows = table("fault")
    assert [row[0] for row in rows] == [fault.name for fault in made]
    for _, sent, delivered, duplicates, lost, _, _ in rows:
        assert (sent, delivered, duplicates, lost) == ("1,000", "1,000", "0", "0")


def test_the_table_of_options_is_that_of_the_code() -> None:
    rows = table("option")
    assert [code_in(row[0]) for row in rows] == [[option.name] for option in OPTIONS]
    for row, option in zip(rows, OPTIONS):
        assert tuple(code_in(row[1])) == option.variables
        if option.required:
            assert row[2] == "required"
        elif option.default is None:
            assert row[2] in ("none", "per project")
        else:
            (default,) = code_in(row[2])
            assert option.read(default) == option.default
        assert row[3]


def test_every_field_in_the_table_is_in_an_event_and_every_part_of_an_event_in_the_table(
    example_events: List[List[Json]],
) -> None:
    named = [name for row in table("field") for name in code_in(row[0])]
    events = [event for block in example_events for event in block]
    missing = [name for name in named if not any(has(event, name) for event in events)]
    assert missing == ["metadata.proxy"]  # tests/proxy have it
    assert {name for event in events for name in event} == {name.partition(".")[0] for name in named}


def test_the_table_of_the_proxy_has_all_that_is_recorded_of_it() -> None:
    named = [name for row in table("`metadata.proxy.`") for name in code_in(row[0])]
    known = {"request_id", "tags", "guardrails", "rejected", "client_disconnected", *(name for name, _ in PROXY_FIELDS)}
    assert sorted(named) == sorted(known)


def test_the_proxys_configuration_on_the_page_is_that_of_the_example() -> None:
    (block,) = [block for block in blocks() if block.language == "yaml"]
    assert block.code in (ROOT / "examples" / "proxy" / "config.yaml").read_text(encoding="utf-8")


def test_the_table_of_patterns_is_that_of_the_code_and_each_finds_its_example() -> None:
    rows = table("name")
    assert {name for row in rows for name in code_in(row[0])} == set(NAMES)
    for row in rows:
        (name,), (example,) = code_in(row[0]), code_in(row[2])
        always = clean_text(example, 1000)
        assert ("redacted" in always) is (name in CREDENTIALS)
        assert name in CREDENTIALS or without(example, [name]) == f"[redacted: {name}]"


def test_the_table_of_numbers_has_every_number() -> None:
    assert {name for row in table("number") for name in code_in(row[0])} == {*Stats.__annotations__} - {"adopted"}
