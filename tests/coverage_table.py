"""docs/reference/coverage.md: which golden event holds which field of an event, on which way through LiteLLM.

A cell is derived from the golden events, which `tests/golden/test_golden.py` compares field by field with what a real
call gave, so it names a file only if a test asserts the field there. `python -m tests.coverage_table` writes it anew.
A golden file whose name begins with `proxy_` is in the column Proxy: a test of the Proxy compares its events by
`tests.golden.compare.check("proxy_...", events)`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

from honeyhive_litellm._mapping.call_types import ADMINISTRATIVE, CALL_TYPES, event_name
from tests.golden.calls import ASYNC, CALLS, ROUTER, STREAM, SYNC
from tests.golden.compare import FOLDER

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "coverage.md"
PROXY = "proxy"
INTERNAL_NAMES = {"create"}
"""A name of two functions, whose events are named after what they create."""
COLUMNS = {SYNC: "SDK sync", ASYNC: "SDK async", STREAM: "stream", ROUTER: "Router", PROXY: "Proxy"}

FIELDS = """
event_id session_id parent_id event_type event_name source start_time end_time duration error
config.provider config.model config.is_streaming config.temperature config.max_tokens config.n config.tool_choice
inputs.chat_history inputs.functions inputs.chunks inputs.prompt inputs.query inputs.documents inputs.document
inputs.input inputs.file inputs.image inputs.file_id inputs.batch_id inputs.tool inputs.server
inputs.arguments
outputs.role outputs.content outputs.tool_calls outputs.finish_reason outputs.reasoning_content outputs.choices
outputs.text outputs.num_embeddings outputs.dimensions outputs.images outputs.results outputs.pages outputs.items
outputs.served_by
user_properties.user_id user_properties.plan
metadata.status=success metadata.status=failure metadata.status=cancelled metadata.status=abandoned
metadata.status=interrupted
metadata.trace_id metadata.timestamp metadata.duration_ms metadata.success metadata.call_type metadata.project
metadata.model metadata.provider metadata.api_base metadata.response_id metadata.response_model
metadata.provider_request_id metadata.system_fingerprint
metadata.prompt_tokens metadata.completion_tokens metadata.total_tokens metadata.reasoning_tokens
metadata.cache_read_tokens metadata.cache_creation_tokens metadata.usage_estimated
metadata.cost metadata.estimated_cost metadata.cache_hit metadata.saved_cost
metadata.time_to_first_token_ms metadata.litellm_overhead_ms metadata.status_code metadata.error_class
metadata.last_seen metadata.tags metadata.session_id metadata.user_metadata metadata.otel
metadata.response_headers metadata.raw_request
metadata.router.routing_strategy metadata.router.deployment_id metadata.router.model_group
metadata.router.fallback_info metadata.router.retry_count metadata.router.attempt
metadata.proxy.virtual_key_hash metadata.proxy.key_alias metadata.proxy.team_id metadata.proxy.team_alias
metadata.proxy.user_id metadata.proxy.end_user_id metadata.proxy.request_id metadata.proxy.route
metadata.proxy.spend metadata.proxy.max_budget
""".split()  # noqa: SIM905 a list of a hundred names is no easier to read

BY_PAYLOAD = (
    "vector_store_search", "pass_through_endpoint", "pass_through_stored", "list_mcp_tools", "responses_websocket",
    "llm_passthrough_route", "send_message", "send_message_streaming", "ingest", "extraction", "decisions", "systemone",
    "run_code", "code_interpreter_tool", "create_video", "run_thread_stream",
)  # fmt: skip
"""Types of call without a golden event: `tests/unit/test_mapping_payloads.py` maps LiteLLM's shapes of them."""

KINDS = ["completion", *(n for n in CALL_TYPES if n not in {*ADMINISTRATIVE, *INTERNAL_NAMES, *BY_PAYLOAD})]
"""Every type of call with content: a row that is added to the table of call types appears here."""

HEAD = """# What is tested where

Each cell names a golden event (`tests/golden/<name>.json`) that holds the field, exactly, on that way through LiteLLM;
a real call is made for each and its events are compared with it, field by field. `-`: no golden event holds it there.
This page is made from those files by `python -m tests.coverage_table`, and a test fails if it is not up to date.

"""


BY_UNIT = """These have no golden event: a unit test maps LiteLLM's own shapes of their arguments and results. Calls
that only manage what a provider stores are in the list `ADMINISTRATIVE` of the table of call types."""


def page() -> str:
    """The text of the page."""
    found: Dict[Tuple[str, str], str] = {}
    for name, column, events in _golden():
        for event in events:
            for row in (*_held(event), "kind " + _kind(event)):
                found.setdefault((row, column), name)
    fields = _table("field", [(field, field) for field in FIELDS], found)
    kinds = _table("call", [(kind, "kind " + kind) for kind in KINDS], found)
    rest = "\n".join(f"* `{name}`" for name in BY_PAYLOAD)
    return f"{HEAD}## Fields\n\n{fields}\n## Calls\n\n{kinds}\n{BY_UNIT}\n\n{rest}\n"


def _kind(event: Dict[str, Any]) -> str:
    name = event_name(event["metadata"]["call_type"])
    return str(event["event_name"]) if name in INTERNAL_NAMES else name


def _golden() -> Iterator[Tuple[str, str, List[Dict[str, Any]]]]:
    names = [name for name in CALLS if (FOLDER / f"{name}.json").exists()]
    for name in names:
        yield name, CALLS[name].column, json.loads((FOLDER / f"{name}.json").read_text())
    for path in sorted(FOLDER.glob("proxy_*.json")):
        yield path.stem, PROXY, json.loads(path.read_text())


def _held(event: Dict[str, Any]) -> Iterator[str]:
    for field in FIELDS:
        path, _, wanted = field.partition("=")
        value: Any = event
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None and (not wanted or value == wanted):
            yield field


def _table(title: str, rows: List[Tuple[str, str]], found: Dict[Tuple[str, str], str]) -> str:
    lines = [f"| {title} | {' | '.join(COLUMNS.values())} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for shown, row in rows:
        cells = [found.get((row, column), "-") for column in COLUMNS]
        lines.append(f"| `{shown}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
