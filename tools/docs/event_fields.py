"""The meaning of each field of an event, and the tables of `docs/reference/events.md`.

Types and examples come from the golden events, so a table shows what was really sent. The meaning and the unit are
written here; `tests/docs/test_generated.py` fails if a golden event has a field that is not described.
"""

from __future__ import annotations

import json
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Set, Tuple

from honeyhive_litellm._mapping.call_types import event_name
from tests.golden.calls import CALLS
from tests.golden.compare import FOLDER


class Field(NamedTuple):
    """What is written by hand about a field."""

    unit: str
    meaning: str


EVENT: Dict[str, Field] = {
    "event_id": Field("UUID", "LiteLLM's call id. Further attempts under the same call id get a UUIDv5 of it."),
    "event_type": Field(
        "",
        "`model` where a model answers; `tool` for tools, files, batches, searches, moderation and other calls about "
        "what a provider stores; `chain` for a Router request of several attempts.",
    ),
    "event_name": Field("", "The kind of call, or `event_name` from the call's metadata."),
    "session_id": Field("UUID", "The session. Calls without a session get one of their own."),
    "parent_id": Field("UUID", "The event above this one. HoneyHive fills in the session when it is missing."),
    "source": Field("", "The option `environment`."),
    "start_time": Field("Unix ms", "When the call began."),
    "end_time": Field("Unix ms", "When the call ended. For `interrupted`: when its process was last seen."),
    "duration": Field("ms", "`end_time` minus `start_time`."),
    "error": Field("", "Class and message of a failure."),
    "config": Field("", "The request's parameters, as the caller gave them."),
    "inputs": Field("", "What the caller sent. The parts differ by kind of call."),
    "outputs": Field("", "What came back. The parts differ by kind of call."),
    "metadata": Field("", "Everything else: status, tokens, cost, times, and the caller's own metadata."),
    "user_properties": Field("", "`user_id`, and the `user_properties` of the call or of its session."),
}

CONFIG: Dict[str, Field] = {
    "config.provider": Field(
        "",
        "The provider, as LiteLLM resolved it; of an MCP tool its server. `litellm` if LiteLLM refused the call before "
        "it had one. On a `chain` event: that of the first attempt.",
    ),
    "config.model": Field("", "The model, as LiteLLM resolved it."),
    "config.is_streaming": Field("", "Whether the caller asked for a stream."),
}

METADATA: Dict[str, Field] = {
    "metadata.status": Field("", "How the call ended: see [Status](#status)."),
    "metadata.success": Field("", "Whether the status is `success`."),
    "metadata.call_type": Field("", "The LiteLLM function that was called."),
    "metadata.model": Field("", "The same as `config.model`."),
    "metadata.model_name": Field("", "The same, under the name that HoneyHive's page reads."),
    "metadata.tool_name": Field("", "On a `tool` event: the tool's name, or the kind of call."),
    "metadata.provider": Field("", "The same as `config.provider`."),
    "metadata.api_base": Field("", "Scheme and host of the provider's address."),
    "metadata.project": Field("", "The HoneyHive project."),
    "metadata.timestamp": Field("ISO 8601, UTC", "When the call began."),
    "metadata.duration_ms": Field("ms", "The same as `duration`."),
    "metadata.latency_ms": Field("ms", "The same, under the name that HoneyHive's page reads."),
    "metadata.time_to_first_token_ms": Field(
        "ms", "For a stream: from the attempt's start to the first piece of the answer that its reader got."
    ),
    "metadata.litellm_overhead_ms": Field("ms", "The time that LiteLLM itself took, by its own measurement."),
    "metadata.trace_id": Field(
        "", "LiteLLM's trace id, or the `trace_id` of the call's metadata. A call without either is its own trace."
    ),
    "metadata.finish_reason": Field("", "The same as `outputs.finish_reason`."),
    "metadata.response_id": Field("", "The provider's id of the answer."),
    "metadata.response_model": Field("", "The provider's name of the model that answered."),
    "metadata.provider_request_id": Field("", "The provider's id of the request, from its response headers."),
    "metadata.system_fingerprint": Field("", "The provider's fingerprint of the model's configuration."),
    "metadata.prompt_tokens": Field("tokens", "Tokens of the prompt."),
    "metadata.completion_tokens": Field("tokens", "Tokens of the answer."),
    "metadata.total_tokens": Field("tokens", "The sum of both, as the provider counts."),
    "metadata.reasoning_tokens": Field("tokens", "The part of `completion_tokens` that the model used to reason."),
    "metadata.cache_read_tokens": Field("tokens", "Prompt tokens that the provider read from its prompt cache."),
    "metadata.cache_creation_tokens": Field("tokens", "Prompt tokens that the provider wrote to its prompt cache."),
    "metadata.cache_read_input_tokens": Field(
        "tokens", "The same as `cache_read_tokens`, under the name that HoneyHive's page reads."
    ),
    "metadata.cache_write_input_tokens": Field("tokens", "The same for `cache_creation_tokens`."),
    "metadata.usage_estimated": Field(
        "", "True if the provider sent no token counts and LiteLLM counted. There is then no `cost`."
    ),
    "metadata.cost": Field(
        "US dollars",
        "From LiteLLM's price list. Left out if the price is unknown, and on polls of what was paid before.",
    ),
    "metadata.estimated_cost": Field("US dollars", "The same figure; it is also there for estimated token counts."),
    "metadata.cache_hit": Field("", "Whether LiteLLM's cache answered."),
    "metadata.saved_cost": Field("US dollars", "For a cache hit: the cost of a call to the provider."),
    "metadata.error_class": Field("", "The class of the failure."),
    "metadata.status_code": Field("HTTP status", "The status of a failed request."),
    "metadata.last_seen": Field("ISO 8601, UTC", "For `interrupted`: the last sign of life of the process."),
    "metadata.tags": Field("", "The `tags` of the call's metadata."),
    "metadata.session_id": Field("", "The session's id in your form, if it is not a UUID."),
    "metadata.session_name": Field("", "The session's name, if it has one."),
    "metadata.user_id": Field("", "The user: the same as `user_properties.user_id`."),
    "metadata.user_metadata": Field("", "Your metadata under names that this table or LiteLLM itself uses."),
    "metadata.otel": Field("", "The W3C ids of the OpenTelemetry span that surrounds the call."),
    "metadata.otel.trace_id": Field("32 hex digits", "The W3C trace id."),
    "metadata.otel.span_id": Field("16 hex digits", "The W3C span id."),
    "metadata.response_headers": Field("", "The provider's response headers, with `capture_headers=True`."),
    "metadata.raw_request": Field("", "The request as the provider got it, with `capture_raw_request=True`."),
    "metadata.redaction_failed": Field("", "True if a `redact` function failed. The event then has no content."),
    "metadata.router": Field("", "For a Router call, or one with `fallbacks`: see [Router](#router)."),
    "metadata.proxy": Field("", "For a call through LiteLLM's Proxy: see [Proxy](#proxy)."),
}

ROUTER: Dict[str, Field] = {
    "metadata.router.routing_strategy": Field("", "The Router's strategy."),
    "metadata.router.model_group": Field("", "The model group of this attempt."),
    "metadata.router.requested_model_group": Field("", "After a fallback: the model group that the caller asked for."),
    "metadata.router.deployment_id": Field("", "The id of the deployment."),
    "metadata.router.deployment": Field("", "The model of the deployment."),
    "metadata.router.model": Field("", "Of a call with `fallbacks`, without a Router: provider and model."),
    "metadata.router.attempt": Field("", "The number of this attempt, from 1."),
    "metadata.router.attempts": Field("", "On the `chain` event: the number of attempts."),
    "metadata.router.retry_count": Field("", "The number of retries before this attempt, as LiteLLM counts them."),
    "metadata.router.fallback_info": Field(
        "",
        "The attempts that failed before: deployment, model group, error. The last 50; `left_out` counts earlier ones.",
    ),
    "outputs.served_by": Field("", "On the `chain` event: the attempt and the deployment that answered."),
    "outputs.served_by.attempt": Field("", "The number of that attempt."),
    "outputs.served_by.model": Field("", "Of a call with `fallbacks`: provider and model of that attempt."),
    "outputs.served_by.deployment": Field("", "The model of that deployment."),
    "outputs.served_by.deployment_id": Field("", "The id of that deployment."),
    "outputs.served_by.model_group": Field("", "The model group of that deployment."),
}

PROXY: Dict[str, Field] = {
    "metadata.proxy.virtual_key_hash": Field("SHA-256", "The hash of the virtual key. The key itself is never stored."),
    "metadata.proxy.key_alias": Field("", "The alias of the virtual key."),
    "metadata.proxy.team_id": Field("", "The team that owns the key."),
    "metadata.proxy.team_alias": Field("", "The name of the team."),
    "metadata.proxy.org_id": Field("", "The organization that owns the key."),
    "metadata.proxy.org_alias": Field("", "The name of the organization."),
    "metadata.proxy.user_id": Field("", "The user that owns the key."),
    "metadata.proxy.end_user_id": Field("", "The end user, as the request names it."),
    "metadata.proxy.request_id": Field("UUID", "The Proxy's call id. The attempts of a fallback share it."),
    "metadata.proxy.route": Field("", "The path of the endpoint."),
    "metadata.proxy.tags": Field("", "The tags of the request."),
    "metadata.proxy.spend": Field("US dollars", "What the key had spent before this call."),
    "metadata.proxy.max_budget": Field("US dollars", "The budget of the key."),
    "metadata.proxy.budget_reset_at": Field("ISO 8601", "When the budget of the key is reset."),
    "metadata.proxy.team_spend": Field("US dollars", "What the team had spent before this call."),
    "metadata.proxy.team_max_budget": Field("US dollars", "The budget of the team."),
    "metadata.proxy.user_spend": Field("US dollars", "What the user had spent before this call."),
    "metadata.proxy.user_max_budget": Field("US dollars", "The budget of the user."),
    "metadata.proxy.end_user_max_budget": Field("US dollars", "The budget of the end user."),
    "metadata.proxy.guardrails": Field(
        "",
        "What each guardrail did: `name`, `provider`, `mode`, `status`, `duration_s`, `masked_entities`, and with "
        "content its `response`.",
    ),
    "metadata.proxy.rejected": Field("", "True if the Proxy refused the call itself: bad key, no budget, a guardrail."),
    "metadata.proxy.client_disconnected": Field("", "True if the client hung up."),
}

GROUPS: Dict[str, Dict[str, Field]] = {
    "event": EVENT,
    "config": CONFIG,
    "metadata": METADATA,
    "router": ROUTER,
    "proxy": PROXY,
}
"""Each is one generated table of the page."""

TESTED_ELSEWHERE: Dict[str, Any] = {
    "metadata.session_name": "checkout",
    "metadata.redaction_failed": True,
    "metadata.proxy.org_alias": "Research",
    "metadata.proxy.budget_reset_at": "2026-02-01T00:00:00+00:00",
    "metadata.proxy.user_spend": 0.75,
    "metadata.proxy.user_max_budget": 20.0,
    "metadata.proxy.end_user_max_budget": 5.0,
    "metadata.proxy.client_disconnected": True,
}
"""Fields that no golden event has, each with an example: tests of redaction, sessions and the Proxy hold them."""

STANDARD = (
    "trace_id", "timestamp", "duration_ms", "latency_ms", "status", "success", "project", "provider", "model",
    "model_name", "tool_name", "finish_reason",
)  # fmt: skip
"""The metadata that the table of event types shows."""

EVENT_TYPES = ("model", "tool", "chain")

OPEN = ("inputs.", "outputs.", "config.", "user_properties.")
"""Parts whose fields differ by kind of call; the table of each kind shows them."""

OWN = {
    "metadata.region", "metadata.release", "metadata.team", "metadata.event_name", "metadata.user_properties",
    "metadata.user_properties.plan",
}  # fmt: skip
"""Metadata that the golden calls themselves send."""

_WHOLE = {
    "inputs.chat_history", "inputs.functions", "inputs.arguments", "inputs.document", "outputs.request_counts",
    "outputs.choices", "outputs.tool_calls", "metadata.user_metadata", "metadata.response_headers",
    "metadata.raw_request", "metadata.router.fallback_info", "config.stream_options",
}  # fmt: skip
"""Values that are shown as a whole: what is inside them is the caller's or the provider's."""

_PLACEHOLDERS: Dict[str, Any] = {
    "<ms>": 812.4,
    "<unix ms>": 1767225600000.0,
    "<iso 8601>": "2026-01-01T00:00:00.000+00:00",
    "<loopback>": "https://api.openai.com",
    "<chatcmpl-uuid>": "chatcmpl-7a3e0f7c",
}
_UUID = "7a3e0f7c-0b1d-4c55-9a44-1f0c2d9a6b10"
_EXAMPLE_CHARS = 60


class Seen(NamedTuple):
    """A value in a golden event of one kind of call."""

    kind: str
    value: Any


def golden_fields() -> Dict[str, List[Seen]]:
    """Every path of every golden event, with the values that were seen there."""
    found: Dict[str, List[Seen]] = {}
    for _, event in _golden_events():
        kind = event_name(event["metadata"]["call_type"])
        for path, value in _paths(event, ""):
            found.setdefault(path, []).append(Seen(kind, _example(value)))
    return found


def table(group: str) -> str:
    """The table of one group of fields."""
    seen = golden_fields()
    lines = ["| field | type | unit | example | meaning |", "|---|---|---|---|---|"]
    for path, described in GROUPS[group].items():
        values = seen.get(path) or [Seen("", TESTED_ELSEWHERE[path])]
        unit = described.unit or "-"
        lines.append(f"| `{path}` | {_types(values)} | {unit} | {_shown(values)} | {described.meaning} |")
    return "\n".join(lines) + "\n"


def standard() -> str:
    """Which event types have which of the fields that every event should have."""
    found: Dict[str, List[Mapping[str, Any]]] = {name: [] for name in EVENT_TYPES}
    for _, event in _golden_events():
        found[event["event_type"]].append(event["metadata"])
    lines = [f"| field | {' | '.join(f'`{name}`' for name in EVENT_TYPES)} |", "|---" * (len(EVENT_TYPES) + 1) + "|"]
    for name in STANDARD:
        cells = [_share(sum(name in metadata for metadata in events), len(events)) for events in found.values()]
        lines.append(f"| `metadata.{name}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _share(count: int, total: int) -> str:
    return "always" if count == total else "where there is one" if count else "never"


def kinds() -> str:
    """For each kind of call, what its events have in `inputs`, `outputs` and `config`."""
    fields = golden_fields()
    functions = _functions()
    described = {path for group in GROUPS.values() for path in group}
    parts = []
    for kind in sorted(functions):
        lines = [f"### `{kind}`\n", f"LiteLLM functions: {', '.join(f'`{name}`' for name in functions[kind])}.\n"]
        lines += ["| field | type | example |", "|---|---|---|"]
        for path in sorted(fields):
            values = [seen for seen in fields[path] if seen.kind == kind]
            if values and path.startswith(OPEN) and path not in described:
                lines.append(f"| `{path}` | {_types(values)} | {_shown(values)} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def undescribed() -> Set[str]:
    """Paths of golden events that have neither a row nor a place in the table of their kind of call."""
    described = {path for group in GROUPS.values() for path in group} | OWN
    return {path for path in golden_fields() if path not in described and not path.startswith(OPEN)}


def _functions() -> Dict[str, Sequence[str]]:
    found: Dict[str, Set[str]] = {}
    for _, event in _golden_events():
        call_type = event["metadata"]["call_type"]
        found.setdefault(event_name(call_type), set()).add(call_type)
    return {kind: sorted(names) for kind, names in found.items()}


def _golden_events() -> Iterator[Tuple[str, Mapping[str, Any]]]:
    paths = [FOLDER / f"{name}.json" for name in CALLS]
    for path in [*paths, *sorted(FOLDER.glob("proxy_*.json"))]:
        if path.exists():
            for event in json.loads(path.read_text(encoding="utf-8")):
                yield path.stem, event


def _paths(value: Any, path: str) -> Iterator[Tuple[str, Any]]:
    if path:
        yield path, value
    if isinstance(value, dict) and path not in _WHOLE:
        for name, item in value.items():
            yield from _paths(item, f"{path}.{name}" if path else name)


def _example(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _example(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_example(item) for item in value]
    if isinstance(value, str):
        return _UUID if value.startswith("<uuid") else _PLACEHOLDERS.get(value, value)
    return value


def _types(values: Sequence[Seen]) -> str:
    names = {bool: "boolean", int: "number", float: "number", str: "text", list: "list", dict: "object"}
    return " or ".join(sorted({names.get(type(seen.value), "null") for seen in values}))


def _shown(values: Sequence[Seen]) -> str:
    simple = [seen.value for seen in values if seen.value is not None and not isinstance(seen.value, dict)]
    if not simple:
        return "-"
    text = json.dumps(simple[0], ensure_ascii=False).replace("|", "\\|")
    return f"`{text if len(text) <= _EXAMPLE_CHARS else text[: _EXAMPLE_CHARS - 1] + '…'}`"
