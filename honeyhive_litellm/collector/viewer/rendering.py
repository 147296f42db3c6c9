"""Templates and what they share: every value is escaped unless this package made it as HTML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from . import formats
from .markdown import code, is_safe_link, markdown

FOLDER = Path(__file__).parent
STATIC_FOLDER = FOLDER / "static"

STATUSES = ("success", "failure", "cancelled", "abandoned", "interrupted")
"""The statuses that have a shape and a colour of their own."""


def _made() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    for name in ("count", "short_count", "dollars", "duration", "clock", "full_time", "iso", "field_time", "size"):
        environment.filters[name] = getattr(formats, name)
    environment.filters.update(short_id=formats.short_id, markdown=markdown, code=code, status_class=status_class)
    environment.globals.update(is_safe_link=is_safe_link, NOTHING=formats.NOTHING)
    return environment


def status_class(status: str) -> str:
    """The class of a status: its own word, or "other"."""
    return status if status in STATUSES else "other"


_ENVIRONMENT = _made()


def render(template: str, **values: Any) -> str:
    """The template with these values."""
    return _ENVIRONMENT.get_template(template).render(**values)
