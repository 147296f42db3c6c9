"""Every type of call that is not mapped like a chat, in one table: which functions read its request and response."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import agents, inputs, mcp, outputs, passthrough, realtime
from .cached_embeddings import with_cached_embeddings
from .inputs import InputsReader
from .outputs import OutputsReader
from .reading import ARGUMENTS_KEY, file_name, mapping, or_default, text
from .usage import Payment

_UNKNOWN = "unknown"
_FILES = ("file", "file_data", "image")
_PASSED_THROUGH = ("pass_through_endpoint", "llm_passthrough_route")
_SYNC_NAMES_WITH_A = ("anthropic_messages", "add_message")


class CallType(NamedTuple):
    """How calls of one type become events.

    `adapt_call` and `adapt_response` bring an unusual form into that of a chat before anything else reads it.
    `noted` names the arguments that are noted when the call begins, because LiteLLM does not report them, or changes
    them before it does; `positional` names as many of the function's parameters as are needed to find them. `payment`
    says whether the tokens and the cost that such a call reports are its own.
    """

    inputs: InputsReader = inputs.chat
    outputs: OutputsReader = outputs.outputs
    event_type: str = "model"
    noted: Tuple[str, ...] = ()
    positional: Tuple[str, ...] = ()
    payment: Payment = Payment.OWN
    adapt_call: Optional[Callable[[Mapping[str, Any]], Mapping[str, Any]]] = None
    adapt_response: Optional[Callable[[Mapping[str, Any], object], object]] = None


def _file_or_batch(first_argument: str) -> CallType:
    """LiteLLM reports the response of such a call only."""
    return CallType(
        inputs.arguments,
        event_type="tool",
        noted=(*inputs.FILE_ARGUMENTS, "file"),
        positional=(first_argument,),
        payment=Payment.OTHERS,
    )


def _with_arguments(*positional: str) -> CallType:
    """A model's answer to the arguments after the first, which is the model's name."""
    return CallType(inputs.arguments, outputs.record, noted=positional[1:], positional=positional)


_CHAT = CallType()
_MESSAGES = CallType(noted=inputs.CONVERSATION_ARGUMENTS)
_TOOL = CallType(event_type="tool")
_ADMINISTRATION = CallType(inputs.arguments, event_type="tool", noted=inputs.IDS, payment=Payment.OTHERS)

_MESSAGE_TO_AGENT = CallType(
    agents.message_inputs, agents.message_outputs, noted=("request",), positional=("a2a_client", "request")
)
_VIDEO = CallType(
    inputs.arguments,
    outputs.record,
    noted=("prompt", "video_id", "seconds"),
    positional=("video_id", "prompt", "seconds"),
    payment=Payment.OWN_AND_POLLED,
)
_RUN = CallType(
    inputs.arguments,
    outputs.record,
    noted=("thread_id", "assistant_id", "instructions", "additional_instructions"),
    positional=("custom_llm_provider", "thread_id", "assistant_id", "additional_instructions", "instructions"),
)

ADMINISTRATIVE = frozenset(
    (
        # fine-tuning
        "create_fine_tuning_job", "cancel_fine_tuning_job", "list_fine_tuning_jobs", "retrieve_fine_tuning_job",
        # vector stores, and the files in them
        "vector_store_create", "vector_store_retrieve", "vector_store_list", "vector_store_update",
        "vector_store_delete", "vector_store_file_create", "vector_store_file_list", "vector_store_file_retrieve",
        "vector_store_file_content", "vector_store_file_update", "vector_store_file_delete",
        # containers and sandboxes
        "create_container", "list_containers", "retrieve_container", "delete_container", "list_container_files",
        "upload_container_file", "create_sandbox", "delete_sandbox",
        # assistants and their threads
        "get_assistants", "create_assistants", "delete_assistant", "create_thread", "get_thread", "get_messages",
        # stored responses
        "delete_responses", "cancel_responses", "list_input_items",
        # videos that a model has made or is making
        "video_retrieve", "video_retrieve_job", "video_status", "video_content", "video_list", "video_delete",
        "video_create_character", "video_get_character",
        # tokens and call set-up of the realtime API, whose sessions do not pass through LiteLLM
        "create_realtime_client_secret", "create_realtime_transcription_session",
        "create_realtime_translation_client_secret", "realtime_calls", "realtime_translation_calls",
        # skills and evaluations
        "create_skill", "list_skills", "get_skill", "delete_skill", "create_eval", "list_evals", "get_eval",
        "update_eval", "delete_eval", "cancel_eval", "create_run", "list_runs", "get_run", "cancel_run", "delete_run",
        # the functions that LiteLLM reports by their bare names, whatever module they are of
        "list", "get", "retrieve", "retrieve_content", "update", "delete", "cancel", "list_versions",
    )
)  # fmt: skip
"""Calls that manage what a provider stores and have no content of their own: no model answers them."""

CALL_TYPES: Dict[str, CallType] = {
    **dict.fromkeys(ADMINISTRATIVE, _ADMINISTRATION),
    "video_status": _ADMINISTRATION._replace(payment=Payment.FIRST_POLL),
    "responses": CallType(
        inputs.responses,
        noted=inputs.CONVERSATION_ARGUMENTS,
        positional=("input", "model", "include", "instructions", "max_output_tokens", "prompt", "metadata"),
        payment=Payment.OWN_AND_POLLED,
    ),
    "anthropic_messages": _MESSAGES,
    "generate_content": _MESSAGES,
    "generate_content_stream": _MESSAGES,
    "get_responses": _ADMINISTRATION._replace(positional=("response_id",), payment=Payment.FIRST_POLL),
    "embedding": CallType(
        inputs.embedding,
        outputs.embedding,
        noted=("input",),
        positional=("model", "input"),
        adapt_response=with_cached_embeddings,
    ),
    "text_completion": CallType(inputs.prompt, outputs.text_completion),
    "image_generation": CallType(inputs.prompt),
    "image_edit": CallType(inputs.image, noted=("image",), positional=("image",)),
    "image_variation": CallType(inputs.image),
    "rerank": CallType(inputs.rerank, noted=("query", "documents"), positional=("model", "query", "documents")),
    "search": CallType(inputs.search, event_type="tool"),
    "vector_store_search": CallType(inputs.search, event_type="tool"),
    "moderation": CallType(inputs.bare_input, event_type="tool"),
    "speech": CallType(inputs.bare_input),
    "transcription": CallType(inputs.audio_file, noted=("file", "prompt"), positional=("model", "file")),
    "ocr": CallType(inputs.document),
    "realtime": CallType(adapt_response=realtime.as_chat_response),
    "pass_through_endpoint": CallType(adapt_call=passthrough.as_call, adapt_response=passthrough.as_response),
    "pass_through_stored": CallType(
        passthrough.stored_inputs,
        outputs.record,
        event_type="tool",
        payment=Payment.OTHERS,
        adapt_response=passthrough.stored_response,
    ),
    "call_mcp_tool": CallType(inputs.mcp_tool, mcp.mcp_tool, event_type="tool"),
    "list_mcp_tools": CallType(outputs=mcp.mcp_tools, event_type="tool"),
    "create_file": _file_or_batch("file"),
    "file_retrieve": _file_or_batch("file_id"),
    "file_delete": _file_or_batch("file_id"),
    "file_content": _file_or_batch("file_id"),
    "file_list": _file_or_batch("custom_llm_provider"),
    "create_batch": _file_or_batch("completion_window"),
    "retrieve_batch": _file_or_batch("batch_id")._replace(payment=Payment.FIRST_POLL),
    "cancel_batch": _file_or_batch("batch_id"),
    "list_batches": _file_or_batch("after"),
    "compact_responses": CallType(
        inputs.noted_conversation,
        noted=(*inputs.CONVERSATION_ARGUMENTS, "input"),
        positional=("input", "model", "instructions"),
    ),
    "responses_websocket": CallType(inputs.responses, adapt_response=passthrough.socket_response),
    "llm_passthrough_route": CallType(
        noted=("json", "data", "content", "method", "endpoint"),
        adapt_call=passthrough.as_routed_call,
        adapt_response=passthrough.as_routed_response,
    ),
    "create_interaction": CallType(
        agents.interaction_inputs,
        agents.interaction_outputs,
        noted=("input", "agent", "system_instruction"),
        positional=("model", "agent", "input"),
    ),
    "create": CallType(noted=("input", "agent", "system_instruction", "name", "vector_store_id", "file_id")),
    "send_message": _MESSAGE_TO_AGENT,
    "send_message_streaming": _MESSAGE_TO_AGENT,
    "query": CallType(
        inputs.noted_conversation,
        noted=("messages", "retrieval_config"),
        positional=("model", "messages", "retrieval_config"),
    ),
    "ingest": CallType(
        inputs.arguments,
        outputs.record,
        "tool",
        ("file_url", "file_id", "file_data", "ingest_options"),
        ("ingest_options", "file_data", "file", "file_url", "file_id"),
    ),
    "extraction": _with_arguments("model", "fields", "state", "images", "reference_date"),
    "decisions": CallType(
        inputs.arguments,
        outputs.record,
        noted=("input", "state", "questions", "images"),
        positional=("model", "input", "questions"),
    ),
    "systemone": _with_arguments("model", "state", "questions", "images"),
    "run_code": CallType(inputs.arguments, outputs.record, "tool", ("code",), ("provider", "container", "code")),
    "code_interpreter_tool": CallType(inputs.arguments, outputs.record, "tool", ("code",), ("provider", "code")),
    "create_video": _VIDEO,
    "video_generation": _VIDEO._replace(positional=("prompt",)),
    "video_edit": _VIDEO,
    "video_remix": _VIDEO,
    "video_extension": _VIDEO,
    "add_message": CallType(
        inputs.arguments,
        outputs.record,
        "tool",
        ("thread_id", "role", "content", "attachments"),
        ("custom_llm_provider", "thread_id", "role", "content", "attachments"),
    ),
    "run_thread": _RUN,
    "run_thread_stream": _RUN,
}
"""By event name. A type that is missing here is mapped like a chat.

An event is of the type `model` where a model answers, because HoneyHive counts these as requests to a model, and of
the type `tool` otherwise.
"""

COUNTED_BY_LITELLM = ("send_message", "send_message_streaming")
"""The types of call whose token counts are LiteLLM's own: an agent of the A2A protocol reports none."""

_NOTED = [name for name, call_type in CALL_TYPES.items() if call_type.noted]
NOTED_CALL_TYPES = frozenset([*_NOTED, *("a" + name for name in _NOTED)])
"""The functions whose arguments are noted, the asynchronous ones included."""


def event_name(call_type: str) -> str:
    """LiteLLM's call type without the `a` of an asynchronous function: "acompletion" gives "completion".

    LiteLLM also has names such as "_arealtime" and "a_add_message", and a few synchronous ones that begin with an a.
    """
    name = call_type.lstrip("_")
    if not name.startswith("a") or name in _SYNC_NAMES_WITH_A:
        return name or _UNKNOWN
    return name[1:].lstrip("_") or name


def name_of_call(call_details: Mapping[str, Any]) -> str:
    """The event name of a call.

    LiteLLM reports two functions as "create", which differ in their arguments, and any request that it passes through
    by one name.
    """
    name = event_name(text(call_details.get("call_type")) or "")
    if name == "create":
        noted = mapping(call_details.get(ARGUMENTS_KEY))
        return "create_interaction" if "input" in noted else "vector_store_create"
    if name in _PASSED_THROUGH and passthrough.is_about_stored(call_details):
        return "pass_through_stored"
    return name


def call_type_of(name: str) -> CallType:
    """The row for calls of this event name."""
    return CALL_TYPES.get(name, _CHAT)


def is_tool(call_details: Mapping[str, Any]) -> bool:
    """Whether no model answers this call. LiteLLM's own calls on behalf of another one are answered by a model."""
    return call_type_of(name_of_call(call_details)).event_type == "tool"


def inputs_of(
    name: str, call_details: Mapping[str, Any], optional_params: Mapping[str, Any], include_content: bool
) -> Dict[str, object]:
    """The inputs of a call of this event name. Any type of call may have tools that the model can call."""
    found = call_type_of(name).inputs(call_details, optional_params, include_content)
    inputs.add_functions(found, optional_params, include_content)
    return found


def outputs_of(name: str, response: object, include_content: bool) -> Dict[str, object]:
    """The outputs of a response to a call of this event name; empty for None or if they cannot be read."""
    return {} if response is None else or_default({}, call_type_of(name).outputs, response, include_content)


def named_arguments(call_type: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Dict[str, object]:
    """The noted arguments of a call: of files and pictures the name, never the bytes."""
    row = call_type_of(event_name(call_type))
    passed = {**dict(zip(row.positional, args)), **kwargs}
    found = {name: file_name(passed.get(name)) if name in _FILES else passed.get(name) for name in row.noted}
    return {name: value for name, value in found.items() if value is not None}
