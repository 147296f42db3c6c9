"""What was asked of a model: the call's type, provider, parameters (`config`) and content (`inputs`).

The keys are those that HoneyHive's interface reads: `config.provider` and `config.model`, `inputs.chat_history` and
`inputs.functions` for chats, `inputs.chunks` for embeddings, `inputs.query` for rerankings.
"""

from __future__ import annotations

import functools
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple
from urllib.parse import urlsplit

from .call_types import ARGUMENTS, ASKED, JOBS
from .reading import fields, file_name, items, mapping, text, without_credentials, without_none

_UNKNOWN = "unknown"
_SHA256_DIGITS = 64
_PLACEHOLDER = "default-message-value"
_SYNC_NAMES_WITH_A = ("anthropic_messages", "add_message")
_MODEL_PREFIX = "text-completion-"

# Parameters that say what to work on; they belong to `inputs`, or to `is_streaming`.
_CONTENT = frozenset(
    ("tools", "functions", "stream", "messages", "input", "prompt", "query", "documents", "file", "image", "mask",
     "contents", "instructions", "system", "metadata", "litellm_metadata", "extra_body")
)  # fmt: skip

# Never in an event: how a provider is reached, and by whom.
_SECRET = frozenset(
    ("extra_headers", "headers", "default_headers", "client", "http_client", "litellm_logging_obj", "token",
     "password", "proxies", "vertex_credentials", "vertex_ai_credentials", "service_account",
     # what LiteLLM's proxy hands to its Router beside the request
     "proxy_server_request", "secret_fields", "shared_session")
)  # fmt: skip
_SECRET_PREFIXES = ("litellm_", "aws_", "vertex_", "azure_", "watsonx_", "oci_", "sap_")
_SECRET_ENDINGS = (
    "api_key", "apikey", "access_key", "access_token", "auth_token", "ad_token", "bearer_token", "_secret",
    "_password", "credentials", "private_key",
)  # fmt: skip

# LiteLLM's own notes, which some kinds of call have among their parameters.
_NOTES = frozenset(
    ("api_base", "base_url", "api_version", "allow_client_keepalive_override", "use_in_pass_through",
     "use_litellm_proxy", "use_xai_oauth", "merge_reasoning_content_in_choices", "litellm_call_id",
     "litellm_trace_id", "litellm_session_id", "custom_llm_provider", "model_info", "proxy_server_request")
)  # fmt: skip

# The parameters that stay when content is not to be recorded: numbers, switches and words from closed lists.
_HARMLESS = frozenset(
    ("temperature", "top_p", "top_k", "min_p", "max_tokens", "max_completion_tokens", "max_output_tokens", "n",
     "best_of", "seed", "presence_penalty", "frequency_penalty", "repetition_penalty", "logprobs", "top_logprobs",
     "parallel_tool_calls", "reasoning_effort", "verbosity", "service_tier", "store", "truncation", "echo",
     "max_retries", "timeout", "num_retries", "dimensions", "encoding_format", "top_n", "return_documents",
     "max_chunks_per_doc", "max_tokens_per_doc", "size", "quality", "style", "voice", "speed", "language",
     "background", "max_tool_calls", "tool_choice", "response_format")
)  # fmt: skip
_OURS = ("provider", "model", "is_streaming")
_TYPED = ("tool_choice", "response_format", "thinking")


def event_name(call_type: str) -> str:
    """The call type without the `a` of its asynchronous twin: "acompletion" gives "completion".

    LiteLLM also has names such as "_arealtime" and "a_add_message", and a few synchronous ones that begin with an a.
    """
    name = call_type.lstrip("_")
    if not name.startswith("a") or name in _SYNC_NAMES_WITH_A:
        return name or _UNKNOWN
    return name[1:].lstrip("_") or name


def event_type(call_type: str) -> str:
    """HoneyHive's kind of event: a call of an MCP server's tool, or of its list of tools, is no model's."""
    return "tool" if call_type in ("call_mcp_tool", "list_mcp_tools") else "model"


def provider_and_model(call: Mapping[str, Any], params: Mapping[str, Any]) -> Tuple[Optional[str], Optional[str]]:
    """Who was asked, and which model, both as LiteLLM resolved them.

    LiteLLM's `model` is what the provider is asked for: "anthropic/claude-x" becomes "claude-x", and
    "openrouter/anthropic/claude-x" becomes "anthropic/claude-x". It is the name to look prices up by. Where LiteLLM
    reports before it resolved the name, the provider's prefix is taken off here, so that both look alike.
    """
    model = text(call.get("model"))
    provider = text(call.get("custom_llm_provider")) or text(params.get("custom_llm_provider"))
    if model is not None and "/" in model:
        prefix, _, rest = model.partition("/")
        if rest and (provider is None or provider == prefix):
            provider, model = prefix or None, rest
    if provider is not None and provider.startswith(_MODEL_PREFIX):
        provider = provider[len(_MODEL_PREFIX) :]
    return provider, model


def is_streaming(call: Mapping[str, Any], optional: Mapping[str, Any]) -> bool:
    return call.get("stream") is True or optional.get("stream") is True


def add_parameters(config: Dict[str, object], call: Mapping[str, Any], optional: Mapping[str, Any], keep: bool) -> None:
    """Add every request parameter that was given; without content only harmless ones of closed lists."""
    add = _add_any if keep else _add_harmless
    extra = optional.get("extra_body")
    if extra and isinstance(extra, dict):
        add(config, extra)
        clashing = {name: extra[name] for name in _OURS if name in extra}
        if clashing and keep:
            config["extra_body"] = clashing
    add(config, optional)
    if config.get(str(call.get("call_type"))) is True:  # "acreate_batch": so LiteLLM calls its own sync function
        del config[str(call.get("call_type"))]
    voice = complete_input(call).get("voice")
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
        if name in _TYPED and isinstance(value, dict):
            config[name] = without_none(type=text(value.get("type")))
        elif name in _HARMLESS and isinstance(value, (str, int, float)):
            config[name] = value


@functools.lru_cache(maxsize=1024)
def _is_parameter(name: str) -> bool:
    lower = name.lower()
    return not (
        lower in _CONTENT
        or lower in _SECRET
        or lower in _NOTES
        or lower.startswith(_SECRET_PREFIXES)
        or lower.endswith(_SECRET_ENDINGS)
    )


def complete_input(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """The provider's request as LiteLLM built it, where it is a dictionary."""
    return mapping(mapping(call.get("additional_args")).get("complete_input_dict"))


# ---- inputs


def inputs(name: str, call: Mapping[str, Any], optional: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    """What the model was given. Without content: roles, names of tools, and how many of each."""
    function = _INPUTS.get(name, _chat)
    found = function(call, optional, keep)
    tools = optional.get("tools") or optional.get("functions")
    if tools and isinstance(tools, list):
        found["functions"] = tools if keep else [_tool_name(tool) for tool in tools]
    return found


def _chat(call: Mapping[str, Any], optional: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    messages = _messages(call)
    if not messages:
        return {}
    system = optional.get("instructions") or optional.get("system")
    if system:
        messages = [{"role": "system", "content": system}, *messages]
    if not keep:
        messages = [_role(message) for message in messages]
    return {"chat_history": messages}


def _responses(call: Mapping[str, Any], optional: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    found = _chat(call, optional, True)
    history = [_response_item(item) for item in items(found.get("chat_history"))]
    if not history:
        return {}
    return {"chat_history": history if keep else [_role(message) for message in history]}


def _embedding(call: Mapping[str, Any], optional: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    given = _given(call)
    if given is None:
        return {}
    is_one = isinstance(given, str) or (isinstance(given, list) and given and isinstance(given[0], int))
    chunks = [given] if is_one else given
    if keep:
        return {"chunks": chunks}
    return {"num_chunks": len(chunks)} if isinstance(chunks, list) else {}


def _prompt(call: Mapping[str, Any], optional: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    prompt = complete_input(call).get("prompt") or optional.get("prompt") or _given(call)
    if prompt is None:
        return {}
    if keep:
        return {"prompt": prompt}
    return {"num_prompts": len(prompt)} if isinstance(prompt, list) else {}


def _rerank(call: Mapping[str, Any], optional: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    documents = optional.get("documents") or call.get("documents")
    if not keep:
        return {"num_documents": len(documents)} if isinstance(documents, list) else {}
    query = optional.get("query") or call.get("query") or _given(call)
    return without_none(query=query, documents=documents)


def _query(call: Mapping[str, Any], optional: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    return without_none(query=_given(call)) if keep else {}


def _input(call: Mapping[str, Any], optional: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    return without_none(input=_given(call)) if keep else {}


def _file(call: Mapping[str, Any], optional: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    """The name of the file and, as LiteLLM computes it, the SHA-256 of what is in it; never its bytes."""
    checksum = mapping(mapping(call.get("litellm_params")).get("metadata")).get("file_checksum")
    if len(text(checksum) or "") > _SHA256_DIGITS:
        checksum = None  # in an older LiteLLM that is the file itself, as Python prints it
    if not keep:
        return without_none(sha256=checksum)
    name = file_name(complete_input(call).get("file"))
    return without_none(file=name, sha256=checksum, prompt=optional.get("prompt"))


def _image(call: Mapping[str, Any], optional: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    """The prompt, and the name of the picture where LiteLLM tells it."""
    found = _prompt(call, optional, keep)
    image = file_name(mapping(complete_input(call).get("data")).get("image")) or mapping(call.get(ASKED)).get("image")
    return {**found, "image": image} if keep and image else found


def _document(call: Mapping[str, Any], optional: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    if not keep:
        return {}
    document = complete_input(call).get("document")
    return without_none(document=_given(call) if document is None else document)


def _job(call: Mapping[str, Any], optional: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    """What was asked about a file or a batch."""
    asked = mapping(call.get(ASKED))
    return {name: value for name, value in asked.items() if keep or name in ARGUMENTS}


def _tool(call: Mapping[str, Any], optional: Mapping[str, Any], keep: bool) -> Dict[str, object]:
    """A call of an MCP tool: its server, its name and, as content, its arguments."""
    known = mapping(call.get("mcp_tool_call_metadata"))
    found = without_none(tool=text(known.get("name")), server=text(known.get("mcp_server_name")))
    if keep and known.get("arguments") is not None:
        found["arguments"] = known["arguments"]
    return found or _chat(call, optional, keep)


_INPUTS: Dict[str, Callable[[Mapping[str, Any], Mapping[str, Any], bool], Dict[str, object]]] = {
    "responses": _responses,
    "embedding": _embedding,
    "text_completion": _prompt,
    "image_generation": _prompt,
    "image_edit": _image,
    "image_variation": _image,
    "video_generation": _prompt,
    "rerank": _rerank,
    "search": _query,
    "vector_store_search": _query,
    "moderation": _input,
    "speech": _input,
    "transcription": _file,
    "ocr": _document,
    "call_mcp_tool": _tool,
    **{name: _job for name in JOBS if name != "image_edit"},
}


def _messages(call: Mapping[str, Any]) -> List[Any]:
    """The messages; a bare text is one by the user."""
    messages = call.get("messages") or call.get("input")
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    if not isinstance(messages, list):
        return []
    if len(messages) == 1 and mapping(messages[0]).get("content") == _PLACEHOLDER:
        return []
    return messages


def _given(call: Mapping[str, Any]) -> Any:
    """What a call without messages was given: LiteLLM's `input`, else its `messages` taken apart again.

    LiteLLM makes a message of each text, and on some paths forgets the input when the call is over.
    """
    given = call.get("input")
    if given is None or given == "":
        given = call.get("messages")
    if not given:
        return None
    if not isinstance(given, list) or "role" not in mapping(given[0]):
        return given
    texts = [mapping(message).get("content") for message in given]
    if texts == [_PLACEHOLDER]:
        return None
    return texts[0] if len(texts) == 1 else texts


def _role(message: object) -> Dict[str, object]:
    role = fields(message).get("role")
    return {"role": role} if isinstance(role, str) else {}


def _tool_name(tool: object) -> Dict[str, object]:
    known = fields(tool)
    function = fields(known.get("function"))
    name = text(function.get("name"))
    if name is not None:
        return {"type": "function", "function": {"name": name}}
    return without_none(type=text(known.get("type")), name=text(known.get("name")))


def _response_item(item: object) -> object:
    """An item of the Responses API's input as a chat message, which is what the chat view can show."""
    known = fields(item)
    kind = known.get("type")
    if kind == "function_call":
        function = {"name": known.get("name"), "arguments": known.get("arguments")}
        call = {"id": known.get("call_id"), "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if kind == "function_call_output":
        return {"role": "tool", "tool_call_id": known.get("call_id"), "content": known.get("output")}
    return item


# ---- how it was sent


@functools.lru_cache(maxsize=256)
def origin(url: str) -> Optional[str]:
    """Scheme, host and port of a URL; None if it has none. Its path, query and user may hold a credential."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.scheme or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" if port is None else f"{parts.scheme}://{host}:{port}"


def raw_request(call: Mapping[str, Any], api_base: Optional[str]) -> Optional[Dict[str, object]]:
    """The provider's request as LiteLLM built it, without credentials; None where LiteLLM does not tell."""
    arguments = mapping(call.get("additional_args"))
    body = arguments.get("complete_input_dict")
    if not body:
        return None
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if not _is_secret(name)}
    sent = without_credentials(arguments.get("headers"))
    return without_none(api_base=api_base, headers=sent or None, body=body)


def _is_secret(name: object) -> bool:
    if not isinstance(name, str):
        return False
    lower = name.lower()
    return lower in _SECRET or lower.endswith(_SECRET_ENDINGS)
