"""`--log-format`: the log of a command that runs for long, as text or as one JSON object a line."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import Any, Callable, Dict, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])

JSON = "json"

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


def log_format_option(command: _F) -> _F:
    """The option, whose value `set_up_logs` takes."""
    return click.option(
        "--log-format",
        type=click.Choice(["text", JSON]),
        default="text",
        show_default=True,
        help="how the log is written; json: one object a line, to standard error",
    )(command)


def set_up_logs(log_format: str) -> None:
    """With "json", write every record of this process as JSON. With "text", leave Python's default: warnings."""
    if log_format != JSON:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("honeyhive_litellm").setLevel(logging.INFO)


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message, the fields of `extra`, and a traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        line: Dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({name: value for name, value in vars(record).items() if name not in _STANDARD})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
