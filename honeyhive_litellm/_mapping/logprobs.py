"""Log probabilities of the tokens of an answer, where the caller asked for them; at most MAX_TOKENS of them."""

from __future__ import annotations

from typing import Dict, List, Mapping

from .reading import fields, items, plain_without_none

MAX_TOKENS = 1000
"""Further tokens are left out, and a mark says how many those were."""


def bounded(logprobs: object) -> Dict[str, object]:
    """A choice's `logprobs`: of a chat, lists of tokens; of a text completion, parallel lists about its tokens."""
    return {name: bounded_list(listed) for name, listed in fields(logprobs).items() if isinstance(listed, list)}


def bounded_list(listed: List[object]) -> List[object]:
    found: List[object] = [_token(item) for item in listed[:MAX_TOKENS]]
    if len(listed) > MAX_TOKENS:
        found.append(f"[{len(listed) - MAX_TOKENS} more]")
    return found


def _token(item: object) -> object:
    """One token without its bytes, which its text has, too."""
    parts = plain_without_none(item)
    if not isinstance(parts, dict):
        return parts
    found = _without_bytes(parts)
    alternatives = items(found.get("top_logprobs"))
    if alternatives:
        found["top_logprobs"] = [_without_bytes(each) if isinstance(each, dict) else each for each in alternatives[:20]]
    return found


def _without_bytes(parts: Mapping[str, object]) -> Dict[str, object]:
    return {name: value for name, value in parts.items() if name != "bytes"}
