"""Every Python block of every page: it runs, its events arrive as the page says, and it prints what the page shows."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any, Dict, List, Sequence

import pytest

from honeyhive_litellm._log import log_error
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm.testing import Collector, ModelServer

from ..versions import has_litellm
from .pages import blocks
from .programs import Program, programs, run

MESSAGES = [{"role": "user", "content": "Why is the sky blue?"}]
ANSWER = "answer to: Why is the sky blue?"

Json = Dict[str, Any]
Expected = Dict[str, object]  # dotted path in the event to its value

PROGRAMS = programs()
CHAT: Expected = {"event_name": "completion", "inputs.chat_history": MESSAGES, "outputs.content": ANSWER}

AGENTS, BATCH, FASTAPI, HOOKS = "how-to/agents", "how-to/batch-jobs", "how-to/fastapi", "how-to/proxy"
OPENINFERENCE, OPENLIT = "how-to/migrate-from-openinference", "how-to/migrate-from-openlit"
PREFORK, PROJECTS, REDACTION = "how-to/prefork", "how-to/several-projects", "how-to/redaction"
ROUTER, SAMPLING, SESSIONS = "how-to/router", "how-to/sampling", "how-to/sessions"
STREAMS, TEAMS, TESTING = "how-to/streams", "how-to/teams", "how-to/testing"
TROUBLE = "how-to/nothing-arrives"
LOG_MESSAGES, METRICS = "reference/log-messages", "how-to/metrics"

# What the programs send that can run one after the other in one process, page by page.
TOGETHER: Dict[str, Sequence[Expected]] = {
    AGENTS: (
        {
            "event_name": "agent turn",
            "metadata.turn": 1,
            "metadata.session_name": "weather agent",
            "inputs.functions.0.function.name": "weather",
            "outputs.tool_calls.0.function.name": "weather",
        },
        {"event_name": "agent turn", "metadata.turn": 2, "inputs.chat_history.2.role": "tool"},
    ),
    SESSIONS: (
        {
            "event_name": "answer",
            "user_properties": {"plan": "pro", "user_id": "user-1"},
            "metadata.session_id": "chat-42",
            "metadata.tags": ["beta"],
            "metadata.release": "2026.4",
        },
        {**CHAT, "metadata.session_name": "checkout", "user_properties": {"user_id": "user-1"}},
        {"inputs.chat_history": [{"role": "user"}], "outputs": {"role": "assistant", "finish_reason": "stop"}},
    ),
    STREAMS: (
        {**CHAT, "config.is_streaming": True, "metadata.usage_estimated": True},
        {**CHAT, "config.is_streaming": True, "metadata.call_type": "acompletion"},
        {"metadata.status": "abandoned", "outputs.content": "answer "},
    ),
    ROUTER: (
        {"metadata.status": "failure", "metadata.router.model_group": "main", "metadata.status_code": 429},
        {"metadata.status": "success", "metadata.router.model_group": "spare", "outputs.content": ANSWER},
        {"event_type": "chain", "metadata.status": "success", "outputs.served_by.model_group": "spare"},
    ),
    TEAMS: [{**CHAT, "metadata.project": "search-team", "metadata.tags": ["ads"]}],
    BATCH: [{"metadata.session_id": "nightly-batch"}] * 20,
}

# The others, with what they send. `tests/docs/test_tutorial.py` walks through the tutorial and README.
ALONE = {
    FASTAPI,
    HOOKS,
    LOG_MESSAGES,
    METRICS,
    OPENINFERENCE,
    OPENLIT,
    PREFORK,
    PROJECTS,
    REDACTION,
    SAMPLING,
    TESTING,
    TROUBLE,
}


def page(name: str) -> List[Program]:
    return PROGRAMS[f"docs/{name}.md"]


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
    except (KeyError, IndexError):
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


def test_every_program_of_every_page_has_its_test() -> None:
    tested = {f"docs/{name}.md" for name in (*TOGETHER, *ALONE)} | {"README.md", "docs/tutorial.md"}
    assert set(PROGRAMS) == tested


# ---- programs that only need `init()`


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, List[Json]]:
    """The events of each of these pages. One process runs them all: to import LiteLLM takes seconds."""
    if not has_litellm("1.80"):
        pytest.skip("before LiteLLM 1.80: it calls on another loop with the connections of the first")
    count = "\nassert honeyhive_litellm.flush(30) == 0\nprint('\\n@', honeyhive_litellm.stats().delivered)\n"
    code = "".join("".join(program.code for program in page(name)) + count for name in TOGETHER)
    with Collector() as collector, ModelServer() as models:
        printed, _ = run(code, collector, models, tmp_path_factory.mktemp("programs"))
        assert set(collector.receipts.values()) == {1}
        events = collector.events
    for name in TOGETHER:
        for program in page(name):
            assert (program.output or "").strip() in printed or name == BATCH
    ends = [int(end) for end in re.findall(r"^@ (\d+)$", printed, re.MULTILINE)]
    assert len(ends) == len(TOGETHER)
    return {name: events[start:end] for name, start, end in zip(TOGETHER, [0, *ends], ends)}


@pytest.mark.parametrize("name", list(TOGETHER))
def test_a_page_sends_what_it_says(together: Dict[str, List[Json]], name: str) -> None:
    assert_fit(together[name], TOGETHER[name])


def test_the_attempts_at_one_router_call_share_a_session_below_their_request(together: Dict[str, List[Json]]) -> None:
    events = together[ROUTER]
    (request,) = [event for event in events if event["event_type"] == "chain"]
    assert len({event["session_id"] for event in events}) == 1
    assert {event["parent_id"] for event in events if event is not request} == {request["event_id"]}


# ---- the others


def test_the_fastapi_service_answers_and_delivers_at_its_end(tmp_path: Path) -> None:
    (service,) = page(FASTAPI)
    use = """
from fastapi.testclient import TestClient
with TestClient(app) as client:
    answer = client.post("/chat", params={"question": "Why is the sky blue?", "chat_id": "chat-42"})
    assert answer.json() == {"answer": "answer to: Why is the sky blue?"}, answer.text
assert honeyhive_litellm.stats().pending == 0
"""
    with Collector() as collector, ModelServer() as models:
        run(service.code + use, collector, models, tmp_path)
        assert_fit(collector.events, [{**CHAT, "event_name": "chat", "metadata.session_id": "chat-42"}])


def test_the_redaction_program_sends_what_is_left(tmp_path: Path) -> None:
    (program,) = page(REDACTION)
    with Collector() as collector, ModelServer() as models:
        run(program.code, collector, models, tmp_path)
        left = "Did [redacted: email] pay [case] with [redacted: card]?"
        (event,) = collector.events
    assert_fit([event], [{"inputs.chat_history.0.content": left, "outputs.content": f"answer to: {left}"}])
    assert "customer" not in event["metadata"]


def test_the_sampling_program_counts_each_call_once(tmp_path: Path) -> None:
    (program,) = page(SAMPLING)
    with Collector() as collector, ModelServer() as models:
        assert run(program.code, collector, models, tmp_path).printed == program.output
        assert len(collector.events) < 20


def test_the_test_on_the_page_passes(tmp_path: Path) -> None:
    (program,) = page(TESTING)
    with Collector() as collector, ModelServer() as models:
        printed, _ = run(program.code, collector, models, tmp_path, is_test=True)
        assert collector.events == []  # it has servers of its own
    assert "1 passed" in printed


def test_two_loggers_send_a_call_to_two_servers(tmp_path: Path) -> None:
    (program,) = page(PROJECTS)
    with Collector() as collector, Collector() as local, ModelServer() as models:
        run(program.code.replace("http://127.0.0.1:8787", local.url), collector, models, tmp_path)
        assert_fit(collector.events, [{**CHAT, "metadata.project": "search"}])
        assert_fit(local.events, [{**CHAT, "metadata.project": "local"}])
    assert (tmp_path / "spool-local").is_dir()


def test_a_refused_key_logs_the_line_on_the_page(tmp_path: Path) -> None:
    (program,) = page(TROUBLE)
    (quoted,) = [block.code for block in blocks("text") if block.page == program.page]
    with Collector(keys={"another"}) as collector, ModelServer() as models:
        code = "import os\nos.environ['HONEYHIVE_SHUTDOWN_TIMEOUT'] = '2'\n" + program.code
        code += f"import litellm\nlitellm.completion(model='gpt-4o-mini', messages={MESSAGES})\n"
        code += "print(honeyhive_litellm.flush(1), honeyhive_litellm.stats().last_error)\n"
        printed, logged = run(code, collector, models, tmp_path)
        line = quoted.strip().replace("https://api.honeyhive.ai answers", f"{collector.url} answers")
    assert printed.startswith("Stats(accepted=0,")
    assert f"\n1 {line[len('honeyhive: ') :]}\n" in printed
    assert line in logged


def test_the_files_for_the_proxy_load(tmp_path: Path) -> None:
    logger, early = page(HOOKS)
    with Collector() as collector, ModelServer() as models:
        code = f"{early.code}{logger.code}\nprint(type(logger).__mro__[1].__name__)\n"
        assert run(code, collector, models, tmp_path).printed == "HoneyHiveLogger\n"


def test_the_celery_tasks_are_python() -> None:
    (program,) = page(PREFORK)  # Celery is not installed here
    assert {"honeyhive_litellm", "init", "worker_process_shutdown"} <= set(
        compile(program.code, program.title, "exec").co_names
    )


# ---- migration


EXPECTED: Dict[str, Expected] = {
    OPENINFERENCE: {
        "user_properties.user_id": "user-1",
        "metadata.session_id": "chat-42",
        "metadata.release": "2026.4",
        "metadata.tags": ["beta"],
        "source": "production",
    },
    OPENLIT: {
        "user_properties.user_id": "user-1",
        "metadata.application_name": "my-app",
        "source": "staging",
    },
}


@pytest.mark.parametrize("name", list(EXPECTED))
def test_the_code_of_before_is_python(name: str) -> None:
    before, _ = page(name)
    assert "litellm" in compile(before.code, name, "exec").co_names


@pytest.mark.parametrize("name", list(EXPECTED))
def test_the_code_of_after_sends_what_the_page_says(name: str, tmp_path: Path) -> None:
    _, after = page(name)
    with Collector() as collector, ModelServer() as models:
        run(after.code, collector, models, tmp_path)
        assert_fit(collector.events, [{**CHAT, **EXPECTED[name]}])


# ---- the settings in the environment


def test_a_program_with_its_settings_in_the_environment_sends_its_call(tmp_path: Path) -> None:
    (readme,) = [program for program in PROGRAMS["README.md"] if not program.title]
    (tutorial,) = [program for program in PROGRAMS["docs/tutorial.md"] if not program.title]
    assert readme.code == tutorial.code
    with Collector() as collector, ModelServer() as models:
        _, logged = run(readme.code, collector, models, tmp_path)
        assert_fit(collector.events, [CHAT])
    assert "honeyhive" not in logged


def test_the_metrics_of_the_page_are_exported(tmp_path: Path) -> None:
    (program,) = page(METRICS)
    with Collector() as collector, ModelServer() as models:
        code = f"{program.code}\nimport litellm\nlitellm.completion(model='gpt-4o-mini', messages={MESSAGES})\n"
        code += "assert honeyhive_litellm.flush(30) == 0\nreader.force_flush()\n"
        printed = run(code, collector, models, tmp_path).printed
    assert '"name": "honeyhive.events.delivered"' in printed and '"value": 1' in printed


# ---- programs that call nothing


def test_the_formatter_on_the_page_of_log_messages_shows_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("honeyhive_litellm")
    handlers, propagates = list(logger.handlers), logger.propagate
    try:
        (program,) = page(LOG_MESSAGES)
        exec(program.code, {})
        log_error(LogCode.PROXY_NOT_RECORDING, "no call is recorded")
    finally:
        logger.handlers, logger.propagate = handlers, propagates
    assert capsys.readouterr().err.endswith(" ERROR proxy.not_recording no call is recorded\n")
