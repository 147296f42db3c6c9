"""What a call used and cost: tokens and money.

An unknown figure is left out. LiteLLM writes 0 in its place: 0 tokens for a stream whose provider sent no usage, a
cost of 0.0 for a model that its price list lacks.
"""

from __future__ import annotations

import base64
import binascii
import enum
import re
from typing import Any, Dict, Mapping, Optional

from .reading import fields, mapping, number

FIGURES = (
    "prompt_tokens", "completion_tokens", "total_tokens", "reasoning_tokens", "cache_read_tokens",
    "cache_creation_tokens", "cache_read_input_tokens", "cache_write_input_tokens", "cost", "estimated_cost",
    "usage_estimated", "saved_cost",
)  # fmt: skip
"""The metadata names of what a call used and cost."""

_ID_IN_LITELLMS = re.compile(rb";(?:response|video|llm_batch)_id:([^;]+)")


class Payment(enum.Enum):
    """Whose tokens and cost a call of some type reports. They are recorded once, with the call that they are paid by.

    The result of a call that runs in the background may be seen by polls only, of which each reports its cost.
    """

    OWN = "its own"
    OWN_AND_POLLED = "its own, which polls report again"
    FIRST_POLL = "of a call in the background, unless an event has them already"
    OTHERS = "of another call, which has them"


def is_payable_by_poll(response: object) -> bool:
    """Whether a poll with this response may be the first to report the tokens and the cost.

    Those of a response that the provider did not make in the background are in the event of the call that made it.
    """
    parts = fields(response)
    return parts.get("object") != "response" or parts.get("background") is True


def provider_id(id_: str) -> str:
    """The provider's own id of a response, a video or a batch: LiteLLM encodes it together with names that vary."""
    for encoded in (id_.partition("_")[2], id_):  # that of a batch has no prefix
        try:
            match = _ID_IN_LITELLMS.search(base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_"))
        except (binascii.Error, ValueError):
            continue
        if match is not None:
            return match.group(1).decode("utf-8", "replace")
    return id_


def drop_figures(metadata: Dict[str, object]) -> None:
    """Remove the tokens and the cost."""
    for name in FIGURES:
        metadata.pop(name, None)


def add_usage(metadata: Dict[str, object], usage: object) -> bool:
    """Add the token counts; False if there are none.

    Names differ by API: prompt and completion, or input and output tokens; the cached ones are among OpenAI's details
    or beside the totals.
    """
    counts = fields(usage)
    prompt = _count(counts, "prompt_tokens", "input_tokens", "total_input_tokens")
    completion = _count(counts, "completion_tokens", "output_tokens", "total_output_tokens")
    total = _count(counts, "total_tokens")
    if not (prompt or completion or total):
        return False
    prompt_details = fields(counts.get("prompt_tokens_details") or counts.get("input_tokens_details"))
    completion_details = fields(counts.get("completion_tokens_details") or counts.get("output_tokens_details"))
    read = _count(counts, "cache_read_input_tokens")
    created = _count(counts, "cache_creation_input_tokens")
    found = (
        ("prompt_tokens", prompt),
        ("completion_tokens", completion),
        ("total_tokens", (prompt or 0) + (completion or 0) if total is None else total),
        ("reasoning_tokens", _count(completion_details, "reasoning_tokens")),
        ("cache_read_tokens", _count(prompt_details, "cached_tokens") if read is None else read),
        (
            "cache_creation_tokens",
            _count(prompt_details, "cache_creation_tokens", "cache_write_tokens") if created is None else created,
        ),
    )
    metadata.update({name: count for name, count in found if count is not None})
    return True


def mark_estimate(metadata: Dict[str, object]) -> None:
    """Mark the token counts as LiteLLM's estimate, because the provider sent none, and drop the exact `cost`.

    An answer from the cache costs nothing all the same. A count of 0 is dropped: LiteLLM counts what it sees, and sees
    no prompt in a stream that was not read to its end.
    """
    if "total_tokens" not in metadata:
        return
    metadata["usage_estimated"] = True
    is_free = metadata.get("cache_hit") is True
    if not is_free:
        metadata.pop("cost", None)
    if not metadata.get("prompt_tokens"):
        metadata.pop("total_tokens")
        if not is_free:
            metadata.pop("estimated_cost", None)
    for name in ("prompt_tokens", "completion_tokens", "reasoning_tokens", "cache_read_tokens"):
        if metadata.get(name) == 0:
            del metadata[name]


def _count(counts: Mapping[str, Any], *names: str) -> Optional[int]:
    """The first count under these names that is not 0: LiteLLM fills the names that an API lacks with zeros."""
    zero = None
    for name in names:
        value = counts.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            if value > 0:
                return value
            zero = 0 if value == 0 else zero
    return zero


def usage_of(response: object, payload: Mapping[str, Any]) -> object:
    """The response's usage; LiteLLM's standard payload where the response object has lost it."""
    parts = fields(response)
    usage = parts.get("usage")
    if usage is None:
        usage = fields(parts.get("meta")).get("tokens")
    return payload if usage is None else usage


def add_cost(
    metadata: Dict[str, object],
    call_details: Mapping[str, Any],
    hidden: Mapping[str, Any],
    payload: Mapping[str, Any],
    is_estimate: bool,
) -> None:
    """Add the cost that LiteLLM computed from its price list, in US dollars.

    `estimated_cost` is always that figure; `cost` is the same, unless the token counts themselves are an estimate. A
    zero is recorded only where it is certain: for a cache hit, or a price of zero.
    """
    amount = None
    for source in (call_details, hidden, payload):
        amount = number(source.get("response_cost"))
        if amount is not None:
            break
    if amount is None or amount < 0 or (amount == 0 and not _is_free(call_details, payload)):
        return
    metadata["estimated_cost"] = amount
    if not is_estimate:
        metadata["cost"] = amount


def add_saved_cost(metadata: Dict[str, object], payload: Mapping[str, Any]) -> None:
    """Add what an answer from LiteLLM's cache would have cost, in US dollars; LiteLLM's 0 may mean "unknown"."""
    saved = number(payload.get("saved_cache_cost"))
    if metadata.get("cache_hit") is True and saved is not None and saved > 0:
        metadata["saved_cost"] = saved


def _is_free(call_details: Mapping[str, Any], payload: Mapping[str, Any]) -> bool:
    if call_details.get("cache_hit") is True or payload.get("cache_hit") is True:
        return True
    prices = fields(mapping(payload.get("model_map_information")).get("model_map_value"))
    for source in (prices, mapping(call_details.get("litellm_params"))):
        if number(source.get("input_cost_per_token")) == 0:
            return not number(source.get("output_cost_per_token"))
    return False
