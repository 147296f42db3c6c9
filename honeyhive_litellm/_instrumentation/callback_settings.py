"""The callbacks that LiteLLM's proxy lets its operators attach to a virtual key or a team, under `metadata.logging`.

LiteLLM keeps these entries from loggers, since they hold credentials, but for one hook: the one before a call gets the
key's own object (seen in 1.110).
"""

from __future__ import annotations

from typing import Any, Dict, Iterator

from honeyhive_litellm._capture.routing import NAMED_KEY, logging_destinations
from honeyhive_litellm._mapping.reading import or_default


def choose_destination(user_api_key_dict: Any, data: Dict[str, Any]) -> None:
    """Note the destination that the callback settings of a call's key or team name, unless the call names one."""
    name = next(_named(user_api_key_dict), None)
    if name is None:
        return
    for place in ("metadata", "litellm_metadata"):
        metadata = data.get(place)
        if isinstance(metadata, dict) and "user_api_key_hash" in metadata:
            metadata.setdefault(NAMED_KEY, name)


def _named(user_api_key_dict: Any) -> Iterator[str]:
    try:
        from litellm.proxy.litellm_pre_call_utils import KeyAndTeamLoggingSettings as Entries
    except ImportError:  # an older LiteLLM
        return
    for read in (Entries.get_key_dynamic_logging_settings, Entries.get_team_dynamic_logging_settings):
        for name in logging_destinations({"logging": or_default(None, read, user_api_key_dict)}):
            if isinstance(name, str):
                yield name
