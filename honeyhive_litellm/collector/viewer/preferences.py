"""How somebody likes the pages: theme, raw text, open system prompts. Kept in a cookie of plain words."""

from __future__ import annotations

from typing import FrozenSet, Mapping, NamedTuple

COOKIE = "honeyhive_litellm_view"
_WORDS: FrozenSet[str] = frozenset(("dark", "light", "raw", "system", "reasoning"))


class Preferences(NamedTuple):
    """`theme` is dark, light or "" for the system's; `raw` shows Markdown unrendered; the others open what is long."""

    theme: str = ""
    raw: bool = False
    system: bool = False
    reasoning: bool = False


DEFAULTS = Preferences()


def read_preferences(cookies: Mapping[str, str], query: Mapping[str, str]) -> Preferences:
    """The preferences in a cookie; `raw=1` or `raw=0` in the URL beats them, for browsers without scripts."""
    words = _WORDS & set(cookies.get(COOKIE, "").split("."))
    theme = "dark" if "dark" in words else "light" if "light" in words else ""
    is_raw = query["raw"] == "1" if query.get("raw") in ("0", "1") else "raw" in words
    return Preferences(theme, is_raw, "system" in words, "reasoning" in words)
