"""Python objects that JSON does not have, as the next simpler thing that holds the same data."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import inspect
import types
import uuid
from collections import deque
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from itertools import islice
from os import PathLike, fspath
from typing import Any

from honeyhive_litellm._foreign import class_name, is_interrupt

from .media import facts
from .secret_names import REDACTED


def plain(value: Any, max_items: int) -> object:
    """A dict, a list, a text, a number, or a word for the class of `value`; containers keep `max_items` + 1 items.

    Only objects that offer their data are read: what a client, a lock or a span has inside does not belong in an event.
    Nothing is awaited, consumed or called but the methods for reading.
    """
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__add__(value, 0)
    if isinstance(value, float):
        return float.__add__(value, 0.0)
    if isinstance(value, dict):
        return dict.copy(value) if type(value).items is dict.items else dict(islice(value.items(), max_items + 1))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value))
    if isinstance(value, (list, tuple, AbstractSet, deque, range)):
        return list(islice(value, max_items + 1))
    if isinstance(value, Mapping):
        return dict(islice(value.items(), max_items + 1))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return facts(bytes(value))
    if isinstance(value, BaseException):
        return f"{class_name(value)}: {value}"
    return _plain_object(value)


def unserialisable(value: object) -> str:
    return f"<unserialisable: {class_name(value)}>"


def _plain_object(value: Any) -> object:
    """The same for what is neither a number, nor a text, nor a container."""
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, (uuid.UUID, Decimal)):
        return str(value)
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, type) or inspect.isroutine(value):
        return f"<{value.__module__}.{value.__qualname__}>"
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    if isinstance(value, types.SimpleNamespace):
        return dict(vars(value))
    if isinstance(getattr(type(value), "model_dump", None), types.FunctionType):
        return _dumped(value)
    if hasattr(type(value), "__fields__") and isinstance(getattr(type(value), "dict", None), types.FunctionType):
        return value.dict()  # pydantic 1
    if hasattr(type(value), "get_secret_value"):
        return REDACTED
    return unserialisable(value)


def _dumped(model: Any) -> object:
    """The fields of a pydantic model, without warnings on the user's screen; its attributes if it cannot be dumped."""
    try:
        return model.model_dump(warnings=False)
    except BaseException as error:
        if is_interrupt(error):
            raise
        return dict(vars(model))
