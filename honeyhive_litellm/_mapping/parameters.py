"""The parameters of a request, for the event's `config`, and the request as the provider got it."""

from __future__ import annotations

import functools
import re
from typing import Any, Dict, Mapping, Optional

from honeyhive_litellm._privacy.secret_names import is_secret_name

from .reading import complete_input, mapping, without_credentials, without_none

# Parameters that hold content, which belongs to `inputs`, or that are recorded elsewhere in the event.
_CONTENT = frozenset(
    ("tools", "functions", "stream", "messages", "input", "prompt", "query", "documents", "file", "image", "mask",
     "contents", "instructions", "system", "systeminstruction", "system_instruction", "metadata", "litellm_metadata",
     "extra_body")
)  # fmt: skip

# How LiteLLM reaches a provider, and its credentials there. Never in an event, like what has the name of a credential.
_CONNECTION = frozenset(
    ("extra_headers", "headers", "default_headers", "client", "http_client", "litellm_logging_obj", "token",
     "proxies", "service_account",
     # what LiteLLM's proxy hands to its Router beside the request
     "proxy_server_request", "secret_fields", "shared_session")
)  # fmt: skip
_CONNECTION_PREFIXES = ("litellm_", "aws_", "vertex_", "azure_", "watsonx_", "oci_", "sap_")

# LiteLLM's own notes, which some types of call have among their parameters.
_LITELLM_NOTES = frozenset(
    ("api_base", "base_url", "api_version", "allow_client_keepalive_override", "use_in_pass_through",
     "use_litellm_proxy", "use_xai_oauth", "merge_reasoning_content_in_choices", "custom_llm_provider", "model_info")
)  # fmt: skip

# The parameters that are recorded without content, too: numbers, switches and words from closed lists.
_HARMLESS = frozenset(
    ("temperature", "top_p", "top_k", "min_p", "max_tokens", "max_completion_tokens", "max_output_tokens", "n",
     "best_of", "seed", "presence_penalty", "frequency_penalty", "repetition_penalty", "logprobs", "top_logprobs",
     "parallel_tool_calls", "reasoning_effort", "verbosity", "service_tier", "store", "truncation", "echo",
     "max_retries", "timeout", "num_retries", "dimensions", "encoding_format", "top_n", "return_documents",
     "max_chunks_per_doc", "max_tokens_per_doc", "size", "quality", "style", "voice", "speed", "language",
     "background", "max_tool_calls", "tool_choice", "response_format")
)  # fmt: skip
_HARMLESS_BY_TYPE = ("tool_choice", "response_format", "thinking")
"""Of these, where they are dictionaries, the `type` alone is harmless."""

_WORD = re.compile(r"[\w.:/-]{1,64}")
"""What a harmless text looks like. A caller may give any text for any parameter, and one with spaces may be content."""

_CONFIG_NAMES = ("provider", "model", "is_streaming")
"""The names in `config` that the mapping sets itself."""


def add_parameters(
    config: Dict[str, object],
    call_details: Mapping[str, Any],
    optional_params: Mapping[str, Any],
    include_content: bool,
) -> None:
    """Add every parameter of the request to `config`; without content only the harmless ones."""
    add = _add_any if include_content else _add_harmless
    extra_body = optional_params.get("extra_body")
    if extra_body and isinstance(extra_body, dict):
        add(config, extra_body)
        clashing = {name: extra_body[name] for name in _CONFIG_NAMES if name in extra_body}
        if clashing and include_content:
            config["extra_body"] = clashing
    add(config, optional_params)
    call_type = str(call_details.get("call_type"))
    if config.get(call_type) is True:  # LiteLLM's `acreate_batch` calls `create_batch` with `acreate_batch=True`
        del config[call_type]
    voice = complete_input(call_details).get("voice")
    if voice is not None:
        add(config, {"voice": voice})


def _add_any(config: Dict[str, object], parameters: Mapping[str, Any]) -> None:
    config.update(
        {
            name: value
            for name, value in parameters.items()
            if value is not None and isinstance(name, str) and _is_parameter(name)
        }
    )


def _add_harmless(config: Dict[str, object], parameters: Mapping[str, Any]) -> None:
    for name, value in parameters.items():
        if name in _HARMLESS_BY_TYPE and isinstance(value, dict):
            config[name] = without_none(type=_word(value.get("type")))
        elif name in _HARMLESS and (isinstance(value, (int, float)) or _word(value)):
            config[name] = value


def _word(value: object) -> Optional[str]:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


@functools.lru_cache(maxsize=1024)
def _is_parameter(name: str) -> bool:
    lower = name.lower()
    return not (
        lower in _CONTENT or lower in _LITELLM_NOTES or lower.startswith(_CONNECTION_PREFIXES) or _is_private(name)
    )


def _is_private(name: str) -> bool:
    return name.lower() in _CONNECTION or is_secret_name(name)


def is_streaming(call_details: Mapping[str, Any], optional_params: Mapping[str, Any]) -> bool:
    return call_details.get("stream") is True or optional_params.get("stream") is True


def raw_request(call_details: Mapping[str, Any], api_base: Optional[str]) -> Optional[Dict[str, object]]:
    """The provider's request as LiteLLM built it, without credentials; None where LiteLLM does not pass it on."""
    arguments = mapping(call_details.get("additional_args"))
    body = arguments.get("complete_input_dict")
    if not body:
        return None
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if not (isinstance(name, str) and _is_private(name))}
    headers = without_credentials(arguments.get("headers"))
    return without_none(api_base=api_base, headers=headers or None, body=body)
