"""What JSON does not have."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import hashlib
import pathlib
import types
import uuid
from typing import Any, Dict

import pydantic
import pytest

from honeyhive_litellm._privacy.sanitize import clean

LIMIT = 10_000


def test_nothing_is_awaited_or_consumed() -> None:
    async def answer() -> int:
        return 1

    coroutine = answer()
    numbers = (number for number in range(3))
    assert clean([coroutine, numbers], LIMIT) == ["<unserialisable: coroutine>", "<unserialisable: generator>"]
    assert list(numbers) == [0, 1, 2]
    coroutine.close()


class Model(pydantic.BaseModel):
    size: int = 1
    api_key: str = "plain word"
    secret: pydantic.SecretStr = pydantic.SecretStr("plain word")


def test_models_records_and_pythons_own_types_become_their_data() -> None:
    @dataclasses.dataclass
    class Entry:
        when: datetime.date
        password: str

    wrong = Model()
    wrong.__dict__["size"] = "a string"  # pydantic would warn of it on the user's screen
    pair = collections.namedtuple("pair", "left api_key")
    cleaned = clean(
        {
            "model": wrong,
            "entry": Entry(datetime.date(2026, 1, 2), "plain word"),
            "pair": pair(1, "plain word"),
            "deque": collections.deque([1]),
            "id": uuid.UUID(int=1),
            "took": datetime.timedelta(seconds=2),
            "path": pathlib.PurePosixPath("/a"),
            "type": int,
        },
        LIMIT,
    )
    assert cleaned == {
        "model": {"size": "a string", "api_key": "[redacted]", "secret": "[redacted]"},
        "entry": {"when": "2026-01-02", "password": "[redacted]"},
        "pair": {"left": 1, "api_key": "[redacted]"},
        "deque": [1],
        "id": "00000000-0000-0000-0000-000000000001",
        "took": 2.0,
        "path": "/a",
        "type": "<builtins.int>",
    }


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Text(str):
    __slots__ = ()


class Number(float):
    __slots__ = ()


class Whole(int):
    __slots__ = ()


class Ordered(Dict[str, int]):
    """A dictionary with items of its own."""

    def items(self) -> Any:
        return [("b", 2)]


class Undumpable(pydantic.BaseModel):
    size: int = 1

    def model_dump(self, **options: Any) -> Dict[str, Any]:
        raise RuntimeError


class Old:
    """A model of pydantic 1."""

    __fields__ = ("size",)

    def dict(self) -> Dict[str, int]:
        return {"size": 1}


class Secret:
    def get_secret_value(self) -> str:
        return "plain word"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Text("a"), "a"),
        (Number(1.5), 1.5),
        (Whole(2), 2),
        (collections.OrderedDict(a=1), {"a": 1}),
        (Ordered(a=1), {"b": 2}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (frozenset([1]), [1]),
        (b"abc", {"sha256": hashlib.sha256(b"abc").hexdigest(), "mime_type": "application/octet-stream", "bytes": 3}),
        (ValueError("bad"), "ValueError: bad"),
        (decimal.Decimal("1.5"), "1.5"),
        (types.SimpleNamespace(a=1), {"a": 1}),
        (Undumpable(), {"size": 1}),
        (Old(), {"size": 1}),
        (Secret(), "[redacted]"),
        (len, "<builtins.len>"),
        (object(), "<unserialisable: object>"),
    ],
)
def test_an_object_becomes_its_data_or_a_word_for_its_class(value: object, expected: object) -> None:
    assert clean({"a": value}, LIMIT) == {"a": expected}
