"""What was asked about a file, a batch or a picture: LiteLLM tells its callbacks only what was answered."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Sequence

from .reading import file_name, without_none

ASKED = "honeyhive_asked"
"""Where among LiteLLM's details of a call these arguments are put, to be found when it is over."""

JOBS = {
    "create_file": "file",
    "file_retrieve": "file_id",
    "file_delete": "file_id",
    "file_content": "file_id",
    "file_list": "custom_llm_provider",
    "create_batch": "completion_window",
    "retrieve_batch": "batch_id",
    "cancel_batch": "batch_id",
    "list_batches": "after",
    "image_edit": "image",
}
"""The calls, by their synchronous names, each with its first argument."""

NAMES = frozenset([*JOBS, *("a" + name for name in JOBS)])
"""The same, and their asynchronous twins."""

ARGUMENTS = ("file_id", "batch_id", "input_file_id", "purpose", "endpoint", "completion_window", "after", "limit")
"""What is noted; none of it is content, as the names of files and pictures are, which are noted, too."""


def named_arguments(call_type: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Dict[str, object]:
    """What was asked, by name; of files and pictures their names, never what is in them."""
    first = JOBS.get(call_type) or JOBS.get(call_type[1:])
    given = {**({first: args[0]} if args and first else {}), **kwargs}
    found = {name: given.get(name) for name in ARGUMENTS}
    return without_none(**found, file=file_name(given.get("file")), image=file_name(given.get("image")))
