"""Reading what LiteLLM hands out: dictionaries or objects, complete or not, of any type.

Responses are pydantic objects on one path and dictionaries on another, and any part may be missing or of another
type than documented. These functions take a value as it comes and say what is in it. None of them changes it.
"""

from __future__ import annotations

import math
import uuid
from typing import Any, Callable, Dict, List, Mapping, Optional, TypeVar, Union

_T = TypeVar("_T")

_NOTHING: Mapping[str, Any] = {}
_CREDENTIAL_HEADERS = (
    "authorization", "cookie", "api-key", "apikey", "api_key", "secret", "password", "credential", "signature",
)  # fmt: skip
_HUGE = 2**63
_OFF = frozenset(("", "0", "false", "no", "off", "none", "null"))


def or_default(default: _T, function: Callable[..., _T], *arguments: Any) -> _T:
    """What the function returns, or the default if it raises: a bad part costs that part only."""
    try:
        return function(*arguments)
    except Exception:
        return default


def mapping(value: object) -> Mapping[str, Any]:
    """The value if it is a dictionary, else an empty one."""
    return value if isinstance(value, dict) else _NOTHING


def fields(value: object) -> Mapping[str, Any]:
    """The attributes of an object, or a dictionary as it is; empty for anything without either.

    Reads a pydantic object's own dictionaries: asking it for an attribute that it lacks takes some 4 microseconds.
    """
    if isinstance(value, dict):
        return value
    own = getattr(value, "__dict__", None)
    if not isinstance(own, dict):
        return _NOTHING
    extra = getattr(value, "__pydantic_extra__", None)
    return {**own, **extra} if extra and isinstance(extra, dict) else own


def hidden_params(response: object) -> Mapping[str, Any]:
    """LiteLLM's `_hidden_params` of a response: a dictionary, in some versions and call types an object."""
    private = getattr(response, "__pydantic_private__", None)
    if isinstance(private, dict) and "_hidden_params" in private:
        return fields(private["_hidden_params"])
    return fields(fields(response).get("_hidden_params"))


def text(value: object) -> Optional[str]:
    """A string that says something; a whole number or a UUID as text; None for anything else."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, (int, uuid.UUID)) and not isinstance(value, bool):
        return str(value)
    return None


def file_name(file: object) -> Optional[str]:
    """The name of a file as callers give it: a path, an open file, or a tuple that begins with its name."""
    if isinstance(file, (tuple, list)) and file:
        return text(file[0])
    return text(file) or text(getattr(file, "name", None))


def number(value: object) -> Optional[Union[int, float]]:
    """A finite number, no boolean."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _HUGE:
        return value
    return None


def switch(value: object) -> Optional[bool]:
    """A flag as callers give it: true or false, or a word for it; None when nothing was said."""
    if value is None:
        return None
    if isinstance(value, str):
        return value.strip().lower() not in _OFF
    return bool(value)


def plain(value: object) -> object:
    """An object as the dictionary of its fields, otherwise the name of its type; plain values as they are."""
    if value is None or isinstance(value, (str, int, float, dict, list, tuple)):
        return value
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return or_default(type(value).__name__, dump)
    return dict(fields(value)) or type(value).__name__


def stated(value: object) -> object:
    """A plain copy in which nothing is None: LiteLLM's objects name every field that any provider may fill."""
    value = plain(value)
    if isinstance(value, dict):
        return {name: stated(item) for name, item in value.items() if item is not None}
    return [stated(item) for item in value] if isinstance(value, (list, tuple)) else value


def own_items(mine: Dict[str, object]) -> None:
    """Put copies in the place of all dictionaries and lists in `mine`: others may change them before it is read.

    What else is in them is the same in both. What is nested too deep to be copied stays as it is.
    """
    for name, item in mine.items():
        if type(item) is dict or type(item) is list:
            mine[name] = or_default(item, _own, item, {})


def _own(value: Any, known: Dict[int, Any]) -> Any:
    identity = id(value)
    if identity in known:
        return known[identity]
    copy: Any
    if type(value) is dict:
        copy = known[identity] = dict(value)
        for name, item in copy.items():
            if type(item) is dict or type(item) is list:
                copy[name] = _own(item, known)
    else:
        copy = known[identity] = list(value)
        for place, item in enumerate(copy):
            if type(item) is dict or type(item) is list:
                copy[place] = _own(item, known)
    return copy


def items(value: object) -> List[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def without_none(**values: object) -> Dict[str, object]:
    """The arguments that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def without_credentials(headers: object) -> Dict[str, object]:
    """Headers by their lower-case names, without those that prove who somebody is."""
    listed = getattr(headers, "items", None)
    if not callable(listed):
        return {}
    return {
        name.lower(): value for name, value in listed() if isinstance(name, str) and not _proves_identity(name.lower())
    }


def _proves_identity(name: str) -> bool:
    return name.endswith(("token", "-auth", "-key")) or any(word in name for word in _CREDENTIAL_HEADERS)
