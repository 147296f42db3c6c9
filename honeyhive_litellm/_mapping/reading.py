"""Read what LiteLLM hands out: dictionaries or objects, complete or not, of any type.

A response is a pydantic object on one path and a dictionary on another, and any part of it may be missing or of
another type than documented. These functions accept every value and change none.

They look at `type(value)`: `isinstance` also reads the value's `__class__`, which may be code that raises.
"""

from __future__ import annotations

import math
import uuid
from typing import Any, Callable, Dict, List, Mapping, Optional, TypeVar, Union

from honeyhive_litellm._foreign import is_interrupt
from honeyhive_litellm._privacy.secret_names import is_secret_header

ARGUMENTS_KEY = "honeyhive_arguments"
"""Where a patch leaves arguments of a call in its `call_details`, which LiteLLM does not report or has changed."""

CALL_ID_KEY = "honeyhive_call_id"
"""Where a patch leaves an id of ours in the `call_details` of a call whose id may be another call's as well."""

CACHED_PART = "cached_part"
"""Among these arguments, the part of the response that LiteLLM's cache gave. The provider gives the rest."""

_T = TypeVar("_T")

_EMPTY: Mapping[str, Any] = {}
_INT_LIMIT = 2**63
_FALSE_WORDS = frozenset(("", "0", "false", "no", "off", "none", "null"))


def or_default(default: _T, function: Callable[..., _T], *arguments: Any) -> _T:
    """What the function returns, or the default if it raises: an unreadable part costs that part only."""
    try:
        return function(*arguments)
    except BaseException as error:
        if is_interrupt(error):
            raise
        return default


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a dictionary, else an empty one."""
    kind = type(value)
    return value if kind is dict or (value is not None and issubclass(kind, dict)) else _EMPTY


def fields(value: Any) -> Mapping[str, Any]:
    """A dictionary as it is, or the attributes of an object; empty for a value that has none.

    Reads a pydantic object's own dictionaries, because asking it for a missing attribute takes some 4 microseconds.
    """
    kind = type(value)
    if kind is dict or (value is not None and issubclass(kind, dict)):
        found: Mapping[str, Any] = value
        return found
    return _EMPTY if value is None else or_default(_EMPTY, _attributes, value)


def _attributes(value: object) -> Mapping[str, Any]:
    own = getattr(value, "__dict__", None)
    if not isinstance(own, dict):
        return _EMPTY
    extra = getattr(value, "__pydantic_extra__", None)
    return {**own, **extra} if extra and isinstance(extra, dict) else own


def hidden_params(response: object) -> Mapping[str, Any]:
    """LiteLLM's `_hidden_params` of a response: a dictionary, in some versions and call types an object."""
    private = getattr(response, "__pydantic_private__", None)
    if isinstance(private, dict) and "_hidden_params" in private:
        return fields(private["_hidden_params"])
    return fields(fields(response).get("_hidden_params"))


def complete_input(call_details: Mapping[str, Any]) -> Mapping[str, Any]:
    """The provider's request as LiteLLM built it, where that is a dictionary."""
    return mapping(mapping(call_details.get("additional_args")).get("complete_input_dict"))


def text(value: Any) -> Optional[str]:
    """A string that is not empty; a whole number or a UUID as text; None for anything else."""
    kind = type(value)
    if kind is str:
        return value or None
    if value is None:
        return None
    if issubclass(kind, str):
        return str.__str__(value) or None
    if issubclass(kind, int) and kind is not bool:
        return int.__repr__(value)
    return or_default(None, str, value) if issubclass(kind, uuid.UUID) else None


def file_name(file: object) -> Optional[str]:
    """The name of a file as callers pass it: a path, an open file, or a tuple that begins with its name."""
    if isinstance(file, (tuple, list)) and file:
        return text(file[0])
    return text(file) or text(getattr(file, "name", None))


def number(value: Any) -> Optional[Union[int, float]]:
    """A finite number that is no boolean, else None."""
    kind = type(value)
    if value is None:
        return None
    if issubclass(kind, float):
        exact: float = value if kind is float else float.__add__(value, 0.0)
        return exact if math.isfinite(exact) else None
    if issubclass(kind, int) and kind is not bool:
        whole: int = value if kind is int else int.__add__(value, 0)
        return whole if abs(whole) < _INT_LIMIT else None
    return None


def switch(value: Any) -> Optional[bool]:
    """A flag as callers set it, a boolean or a word for one; None if it is not set."""
    if value is None:
        return None
    if issubclass(type(value), str):
        return str.__str__(value).strip().lower() not in _FALSE_WORDS
    return bool(value)


def plain(value: object) -> object:
    """An object as the dictionary of its fields, else the name of its type; a plain value as it is."""
    if value is None or isinstance(value, (str, int, float, dict, list, tuple)):
        return value
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return or_default(type(value).__name__, dump)
    return dict(fields(value)) or type(value).__name__


def plain_without_none(value: object) -> object:
    """A plain copy without any None: LiteLLM's objects have a field for everything that some provider may send."""
    value = plain(value)
    if isinstance(value, dict):
        return {name: plain_without_none(item) for name, item in value.items() if item is not None}
    return [plain_without_none(item) for item in value] if isinstance(value, (list, tuple)) else value


def copy_containers(parts: Dict[str, object]) -> None:
    """Replace every dictionary and list inside `parts` by a copy, because LiteLLM may change them before they are read.

    The values in them are shared with the originals. A part that is nested too deeply to be copied stays as it is.
    """
    for name, item in parts.items():
        if type(item) is dict or type(item) is list:
            parts[name] = or_default(item, _copy, item, {})


def _copy(value: Any, copies: Dict[int, Any]) -> Any:
    """`copies` has the copy of each container by the id of the original, so that a cycle stays one."""
    identity = id(value)
    if identity in copies:
        return copies[identity]
    copy: Any
    if type(value) is dict:
        copy = copies[identity] = dict(value)
        for name, item in copy.items():
            if type(item) is dict or type(item) is list:
                copy[name] = _copy(item, copies)
    else:
        copy = copies[identity] = list(value)
        for place, item in enumerate(copy):
            if type(item) is dict or type(item) is list:
                copy[place] = _copy(item, copies)
    return copy


def items(value: Any) -> List[Any]:
    """The value if it is a list, else an empty one."""
    return value if issubclass(type(value), list) else []


def without_none(**values: object) -> Dict[str, object]:
    """The arguments that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def without_credentials(headers: object) -> Dict[str, object]:
    """Headers by their lower-case names, without those that carry a credential."""
    listed = getattr(headers, "items", None)
    if not callable(listed):
        return {}
    return {name.lower(): value for name, value in listed() if isinstance(name, str) and not is_secret_header(name)}
