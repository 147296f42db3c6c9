"""The content of a request: the event's `inputs`, read by one function for each shape of request.

`call_types` says which function reads which type of call. The keys are those that HoneyHive's pages show:
`chat_history` and `functions` for chats, `chunks` for embeddings, `query` for searches and rerankings. Without content
there are only the roles of messages, the names of tools, and counts.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping

from .reading import ARGUMENTS_KEY, complete_input, fields, file_name, items, mapping, text, without_none

InputsReader = Callable[[Mapping[str, Any], Mapping[str, Any], bool], Dict[str, object]]
"""Takes LiteLLM's `call_details`, their `optional_params`, and whether to include content."""

FILE_ARGUMENTS = ("file_id", "batch_id", "input_file_id", "purpose", "endpoint", "completion_window", "after", "limit")
"""The arguments of calls about files and batches. None of these is content."""

IDS = (
    "response_id", "video_id", "fine_tuning_job_id", "container_id", "file_id", "vector_store_id", "assistant_id",
    "thread_id", "run_id", "eval_id", "skill_id",
)  # fmt: skip
"""The arguments that say which of a provider's stored things a call is about. None of these is content."""

CONVERSATION_ARGUMENTS = ("system", "instructions", "systemInstruction", "system_instruction", "config", "metadata")
"""Of a call that LiteLLM may translate into one of another API: it may lose the system prompt and the metadata."""

_SYSTEM_PROMPTS = ("instructions", "system", "systemInstruction", "system_instruction")

_SHA256_DIGITS = 64
_PLACEHOLDER = "default-message-value"
"""LiteLLM's content for the messages of a call that has none."""


def chat(
    call_details: Mapping[str, Any], optional_params: Mapping[str, Any], include_content: bool
) -> Dict[str, object]:
    messages = _messages(call_details)
    if not messages:
        return {}
    system = _system_prompt(optional_params)
    if not system:
        system = _noted_system_prompt(call_details)
        messages = _without_system_prompt(messages, system) if system else messages
    if system:
        messages = [{"role": "system", "content": system}, *messages]
    if not include_content:
        messages = [_role(message) for message in messages]
    return {"chat_history": messages}


def responses(
    call_details: Mapping[str, Any], optional_params: Mapping[str, Any], include_content: bool
) -> Dict[str, object]:
    """The Responses API: its input's items as chat messages."""
    found = chat(call_details, optional_params, True)
    history = [_response_item(item) for item in items(found.get("chat_history"))]
    if not history:
        return {}
    return {"chat_history": history if include_content else [_role(message) for message in history]}


def noted_conversation(
    call_details: Mapping[str, Any], optional_params: Mapping[str, Any], include_content: bool
) -> Dict[str, object]:
    """A conversation that is among the noted arguments: LiteLLM reports none."""
    noted = mapping(call_details.get(ARGUMENTS_KEY))
    messages = noted.get("messages") or noted.get("input")
    found = responses({**call_details, "messages": messages, "input": None}, optional_params, include_content)
    if include_content and noted.get("retrieval_config"):
        found["retrieval_config"] = noted["retrieval_config"]
    return found


def embedding(
    call_details: Mapping[str, Any], optional_params: Mapping[str, Any], include_content: bool
) -> Dict[str, object]:
    value = _input_value(call_details)
    if value is None:
        return {}
    is_single = isinstance(value, str) or (isinstance(value, list) and value and isinstance(value[0], int))
    chunks = [value] if is_single else value
    if include_content:
        return {"chunks": chunks}
    return {"num_chunks": len(chunks)} if isinstance(chunks, list) else {}


def prompt(
    call_details: Mapping[str, Any], optional_params: Mapping[str, Any], include_content: bool
) -> Dict[str, object]:
    value = complete_input(call_details).get("prompt") or optional_params.get("prompt") or _input_value(call_details)
    if value is None:
        return {}
    if include_content:
        return {"prompt": value}
    return {"num_prompts": len(value)} if isinstance(value, list) else {}


def rerank(
    call_details: Mapping[str, Any], optional_params: Mapping[str, Any], include_content: bool
) -> Dict[str, object]:
    noted = mapping(call_details.get(ARGUMENTS_KEY))
    documents = optional_params.get("documents") or call_details.get("documents") or noted.get("documents")
    if not include_content:
        return {"num_documents": len(documents)} if isinstance(documents, list) else {}
    query = (
        optional_params.get("query") or call_details.get("query") or noted.get("query") or _input_value(call_details)
    )
    return without_none(query=query, documents=documents)


def search(
    call_details: Mapping[str, Any], optional_params: Mapping[str, Any], include_content: bool
) -> Dict[str, object]:
    return without_none(query=_input_value(call_details)) if include_content else {}


def bare_input(
    call_details: Mapping[str, Any], optional_params: Mapping[str, Any], include_content: bool
) -> Dict[str, object]:
    return without_none(input=_input_value(call_details)) if include_content else {}


def audio_file(
    call_details: Mapping[str, Any], optional_params: Mapping[str, Any], include_content: bool
) -> Dict[str, object]:
    """The name of the file and the SHA-256 that LiteLLM computes of it; never its bytes."""
    checksum = mapping(mapping(call_details.get("litellm_params")).get("metadata")).get("file_checksum")
    if len(text(checksum) or "") > _SHA256_DIGITS:
        checksum = None  # an older LiteLLM has the `repr` of the whole file there
    if not include_content:
        return without_none(sha256=checksum)
    noted = mapping(call_details.get(ARGUMENTS_KEY))
    name = file_name(complete_input(call_details).get("file")) or noted.get("file")
    return without_none(file=name, sha256=checksum, prompt=optional_params.get("prompt") or noted.get("prompt"))


def image(
    call_details: Mapping[str, Any], optional_params: Mapping[str, Any], include_content: bool
) -> Dict[str, object]:
    """The prompt, and the name of the picture where LiteLLM passes it on."""
    found = prompt(call_details, optional_params, include_content)
    name = file_name(mapping(complete_input(call_details).get("data")).get("image"))
    name = name or mapping(call_details.get(ARGUMENTS_KEY)).get("image")
    return {**found, "image": name} if include_content and name else found


def document(
    call_details: Mapping[str, Any], optional_params: Mapping[str, Any], include_content: bool
) -> Dict[str, object]:
    if not include_content:
        return {}
    value = complete_input(call_details).get("document")
    return without_none(document=_input_value(call_details) if value is None else value)


def arguments(
    call_details: Mapping[str, Any], optional_params: Mapping[str, Any], include_content: bool
) -> Dict[str, object]:
    """The arguments of a call about a file, a batch or another stored thing."""
    noted = mapping(call_details.get(ARGUMENTS_KEY))
    return {name: value for name, value in noted.items() if include_content or name in FILE_ARGUMENTS or name in IDS}


def mcp_tool(
    call_details: Mapping[str, Any], optional_params: Mapping[str, Any], include_content: bool
) -> Dict[str, object]:
    """A call of an MCP server's tool: the server, the tool and, as content, the arguments."""
    tool_call = mapping(call_details.get("mcp_tool_call_metadata"))
    found = without_none(tool=text(tool_call.get("name")), server=text(tool_call.get("mcp_server_name")))
    if include_content and tool_call.get("arguments") is not None:
        found["arguments"] = tool_call["arguments"]
    return found or chat(call_details, optional_params, include_content)


def add_functions(found: Dict[str, object], optional_params: Mapping[str, Any], include_content: bool) -> None:
    """Add the tools that the model may call, which any type of call may have."""
    tools = optional_params.get("tools") or optional_params.get("functions")
    if tools and isinstance(tools, list):
        found["functions"] = tools if include_content else [_tool_name(tool) for tool in tools]


def _messages(call_details: Mapping[str, Any]) -> List[Any]:
    """The messages; a bare text is one by the user."""
    messages = call_details.get("messages") or call_details.get("input")
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    if not isinstance(messages, list):
        return []
    if len(messages) == 1 and mapping(messages[0]).get("content") == _PLACEHOLDER:
        return []
    return messages


def _system_prompt(parameters: Mapping[str, Any]) -> object:
    """The system prompt that is given beside the messages: Anthropic's, the Responses API's or Gemini's."""
    for name in _SYSTEM_PROMPTS:
        found = parameters.get(name)
        if found:
            break
    else:
        return None
    parts = items(fields(found).get("parts"))  # Gemini's form
    return "".join(_texts(parts)) or parts if parts else found


def _noted_system_prompt(call_details: Mapping[str, Any]) -> object:
    """The same as the caller gave it to a call that LiteLLM has translated."""
    arguments = mapping(call_details.get(ARGUMENTS_KEY))
    if not arguments:
        return None
    return _system_prompt(arguments) or _system_prompt(fields(arguments.get("config")))


def _without_system_prompt(messages: List[Any], system: object) -> List[Any]:
    """The messages without the one that LiteLLM made of the system prompt, for an API that has no place for it."""
    first = fields(messages[0])
    if first.get("role") in ("system", "developer") and _texts(first.get("content")) == _texts(system):
        return messages[1:]
    return messages


def _texts(content: object) -> List[str]:
    """The texts in the content of a message."""
    if isinstance(content, str):
        return [content]
    texts = [fields(part).get("text") if not isinstance(part, str) else part for part in items(content)]
    return [each for each in texts if isinstance(each, str)]


def _input_value(call_details: Mapping[str, Any]) -> Any:
    """The input of a call without messages: the caller's, LiteLLM's `input`, else the texts of its `messages`.

    LiteLLM makes a message of each text, removes from `input` what its cache answers, and on some paths removes
    `input` when the call ends.
    """
    value = mapping(call_details.get(ARGUMENTS_KEY)).get("input") or call_details.get("input")
    if value is None or value == "":
        value = call_details.get("messages")
    if not value:
        return None
    if not isinstance(value, list) or "role" not in mapping(value[0]):
        return value
    texts = [mapping(message).get("content") for message in value]
    if texts == [_PLACEHOLDER]:
        return None
    return texts[0] if len(texts) == 1 else texts


def _role(message: object) -> Dict[str, object]:
    role = fields(message).get("role")
    return {"role": role} if isinstance(role, str) else {}


def _tool_name(tool: object) -> Dict[str, object]:
    parts = fields(tool)
    name = text(fields(parts.get("function")).get("name"))
    if name is not None:
        return {"type": "function", "function": {"name": name}}
    return without_none(type=text(parts.get("type")), name=text(parts.get("name")))


def _response_item(item: object) -> object:
    """An item of the Responses API's input as a chat message, which HoneyHive's chat view can show."""
    parts = fields(item)
    kind = parts.get("type")
    if kind == "function_call":
        function = {"name": parts.get("name"), "arguments": parts.get("arguments")}
        tool_call = {"id": parts.get("call_id"), "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [tool_call]}
    if kind == "function_call_output":
        return {"role": "tool", "tool_call_id": parts.get("call_id"), "content": parts.get("output")}
    return item
