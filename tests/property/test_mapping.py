"""Whatever LiteLLM may hand out one day: the mapping never raises, never changes it, and never leaks content."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

from hypothesis import given, settings
from hypothesis import strategies as st

from honeyhive_litellm._mapping.mapper import map_failure, map_request, map_success
from honeyhive_litellm._mapping.model import OUTCOME_METADATA

KEYS = (
    "model", "messages", "input", "call_type", "litellm_params", "metadata", "litellm_metadata",
    "optional_params", "additional_args", "complete_input_dict", "standard_logging_object", "startTime",
    "endTime", "error_information", "error_class", "hidden_params", "response_cost", "choices", "message",
    "content", "role", "tool_calls", "function", "name", "arguments", "usage", "prompt_tokens", "output",
    "type", "data", "embedding", "results", "text", "id", "session_id", "tags", "user", "model_info",
    "extra_body", "tools", "functions", "prompt", "stream", "headers", "api_base", "response_headers",
    "provider_specific_fields", "thinking_blocks", "requester_metadata", "system", "file",
    "reasoning_content", "instructions", "documents", "query", "refusal", "audio", "images", "summary",
    "custom_attributes", "other",
)  # fmt: skip
CALL_TYPES = (
    "completion", "aembedding", "atext_completion", "aresponses", "rerank", "transcription", "image_generation",
    "moderation", "speech", "anthropic_messages", "other",
)  # fmt: skip

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(KEYS)
keys = st.sampled_from(KEYS) | st.text(max_size=4)
trees = st.recursive(
    scalars, lambda parts: st.lists(parts, max_size=4) | st.dictionaries(keys, parts, max_size=6), max_leaves=30
)
calls = st.dictionaries(keys, trees, max_size=12)


@dataclass(frozen=True)
class MappingOptions:
    project: str = "demo"
    environment: str = "test"
    custom_attributes: Optional[Mapping[str, Any]] = None
    capture_message_content: bool = True
    capture_headers: bool = True
    capture_raw_request: bool = True


@settings(max_examples=300, deadline=None)
@given(call_details=calls, response=trees)
def test_nothing_raises_and_nothing_is_changed(call_details: Dict[str, Any], response: Any) -> None:
    before = copy.deepcopy((call_details, response))

    request = map_request(call_details, MappingOptions())
    success = map_success(call_details, response, MappingOptions(), request.capture_content)
    failure = map_failure(call_details, response, MappingOptions(), request.capture_content)

    assert repr((call_details, response)) == repr(before)
    assert not OUTCOME_METADATA & set(request.metadata)
    assert set(success.metadata) | set(failure.metadata) <= OUTCOME_METADATA | {"proxy"}
    assert success.status in ("success", "cancelled")
    assert failure.error


SECRET = "xyzzy plugh"


def parts(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5), max_leaves=20
    )


contents = parts(st.just(SECRET) | st.none() | st.integers(0, 9))
# These hold no content: names and identifiers that distinguish calls.
NAMES = {"role", "type", "name", "id", "call_id", "finish_reason", "status", "model", "language", "stop_reason"}


def without_names(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: without_names(value) for key, value in tree.items() if key not in NAMES}
    return [without_names(part) for part in tree] if isinstance(tree, list) else tree


@settings(max_examples=300, deadline=None)
@given(
    call_type=st.sampled_from(CALL_TYPES),
    messages=contents,
    call_input=contents,
    optional=st.dictionaries(keys, contents, max_size=8),
    sent=contents,
    response=contents,
)
def test_without_content_no_word_of_it_is_left(
    call_type: str, messages: Any, call_input: Any, optional: Any, sent: Any, response: Any
) -> None:
    settings_ = MappingOptions(capture_message_content=False, capture_headers=False)
    optional.pop("metadata", None)  # the caller's metadata is not content
    call_details = {
        "call_type": call_type,
        "messages": without_names(messages),
        "input": without_names(call_input),
        "optional_params": {name: without_names(value) for name, value in optional.items() if name != "user"},
        "additional_args": {"complete_input_dict": without_names(sent)},
    }

    request = map_request(call_details, settings_)
    success = map_success(call_details, without_names(response), settings_, request.capture_content)
    failure = map_failure(call_details, ValueError(SECRET), settings_, request.capture_content)

    assert SECRET not in repr(request)
    assert SECRET not in repr(success.outputs)
    assert SECRET not in repr(failure)
