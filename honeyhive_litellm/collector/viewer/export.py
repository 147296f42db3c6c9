"""Events for other programs: JSON lines, CSV, and Markdown that costs a language model few tokens. Pure."""

from __future__ import annotations

import csv
import io
from typing import Any, List, Mapping, Optional, Sequence

from honeyhive_litellm.collector._summary import Summary

from . import formats
from .conversation import Message, Part, conversation
from .trace import Trace

CSV_COLUMNS = (
    "started", "event_id", "event_type", "name", "kind", "status", "model", "provider", "project", "source", "user",
    "session_id", "trace_id", "parent_id", "duration_ms", "first_token_ms", "prompt_tokens", "completion_tokens",
    "cost", "error", "question", "answer",
)  # fmt: skip
# A spreadsheet takes a cell that begins so for a formula, also after blanks that it cuts.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def csv_head() -> str:
    """The first line of a CSV file."""
    return _csv_line(CSV_COLUMNS)


def csv_line(summary: Summary) -> str:
    """One event as a line of CSV."""
    values = {**summary._asdict(), "started": formats.iso(summary.start_ms)}
    return _csv_line([_cell(values[name]) for name in CSV_COLUMNS])


def _cell(value: Any) -> Any:
    """A cell that no spreadsheet runs: what would be a formula gets an apostrophe, which spreadsheets do not show."""
    if isinstance(value, str) and value.lstrip(" \u00a0").startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value


def _csv_line(cells: Sequence[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue()


def event_line(summary: Summary) -> str:
    """One event on one line, for people and language models at a terminal."""
    parts = [
        formats.full_time(summary.start_ms)[:19],
        summary.event_id,
        summary.status,
        summary.model or summary.kind,
        f"{formats.short_count(summary.prompt_tokens)}>{formats.short_count(summary.completion_tokens)} tok",
        formats.dollars(summary.cost),
        formats.duration(summary.duration_ms),
    ]
    words = summary.error if summary.status != "success" and summary.error else summary.question
    return "  ".join([*parts, _printable(words or "", 80)])


def event_markdown(summary: Summary, event: Mapping[str, Any]) -> str:
    """One event as compact Markdown."""
    lines = [f"# {summary.name}: {summary.status}", "", _facts(summary), ""]
    if summary.error:
        lines += [f"**Error:** {_one_text(event.get('error'))}", ""]
    found = conversation(event)
    if found.omitted:
        lines += [f"({found.omitted} earlier messages left out)", ""]
    for message in (*found.messages, *found.answers):
        lines += _message(message)
    for title, text in (("Other inputs", found.other_inputs), ("Other outputs", found.other_outputs)):
        if text:
            lines += [f"## {title}", "", _fenced(text, "json"), ""]
    if found.tools:
        lines += [f"Tools offered: {', '.join(name for name, _ in found.tools)}", ""]
    return "\n".join(lines).rstrip() + "\n"


def trace_markdown(title: str, found: Trace) -> str:
    """A trace as an indented list: what was tried, how it ended, and when."""
    lines = [f"# {title}", ""]
    for span in found.spans:
        event = span.event
        at = formats.duration(event.start_ms - found.start_ms)
        words = f": {_printable(event.error, 200)}" if event.error else ""
        seen = f" (last seen {event.last_seen})" if event.last_seen else ""
        lines.append(f"{'  ' * span.depth}- +{at} **{event.status}** {_facts(event)}{seen}{words}")
    return "\n".join(lines) + "\n"


def _facts(summary: Summary) -> str:
    facts: List[Optional[str]] = [
        summary.kind,
        summary.model,
        summary.provider,
        f"deployment {summary.deployment}" if summary.deployment else None,
        f"attempt {summary.attempt}" if summary.attempt else None,
        formats.duration(summary.duration_ms) if summary.duration_ms is not None else None,
        f"{summary.prompt_tokens} + {summary.completion_tokens} tokens" if summary.prompt_tokens is not None else None,
        formats.dollars(summary.cost) if summary.cost is not None else None,
        f"id {summary.event_id}",
    ]
    return _printable(", ".join(fact for fact in facts if fact), 600)


def _message(message: Message) -> List[str]:
    lines = [f"## {_printable(message.role, 60)}{f' ({_printable(message.note, 80)})' if message.note else ''}", ""]
    if message.reasoning:
        lines += ["> " + message.reasoning.replace("\n", "\n> "), ""]
    for part in message.parts:
        lines += [_part(part), ""]
    for call in message.calls:
        lines += [f"Calls `{_printable(call.name, 120)}`:", "", _fenced(call.arguments, "json"), ""]
        for part in call.result or ():
            lines += ["Result:", "", _part(part), ""]
    return lines


def _part(part: Part) -> str:
    if part.media is not None:
        return f"[{part.media.mime_type}, {formats.size(part.media.bytes)}, sha256 {part.media.sha256}]"
    return _fenced(part.text, "json") if part.kind == "json" else part.text


def _fenced(text: str, language: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"


def _printable(text: str, length: int) -> str:
    """*text* on one line without control characters, cut."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= length else f"{line[: length - 3]}..."


def _one_text(value: Any) -> str:
    return value if isinstance(value, str) else ""
