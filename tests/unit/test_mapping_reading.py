"""Reading values of any type out of LiteLLM's dictionaries and objects."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any, Dict, List

import pydantic
import pytest

from honeyhive_litellm._mapping import reading
from honeyhive_litellm._mapping.reading import (
    copy_containers,
    fields,
    file_name,
    hidden_params,
    number,
    plain,
    switch,
    text,
    without_credentials,
)  # fmt: skip


class Model(pydantic.BaseModel, extra="allow"):
    size: int = 1
    _hidden_params: Dict[str, Any] = pydantic.PrivateAttr(default_factory=lambda: {"cost": 1})


def test_the_fields_of_a_model_include_its_extra_ones_and_its_hidden_parameters_are_apart() -> None:
    model = Model.model_validate({"colour": "red"})

    assert fields(model) == {"size": 1, "colour": "red"}
    assert fields(Model()) == {"size": 1}
    assert hidden_params(model) == {"cost": 1}
    assert hidden_params(SimpleNamespace(_hidden_params=SimpleNamespace(cost=2))) == {"cost": 2}
    assert fields(7) == fields(None) == {}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", None),
        ("a", "a"),
        (7, "7"),
        (True, None),
        (1.5, None),
        (uuid.UUID(int=0), str(uuid.UUID(int=0))),
        ([], None),
    ],
)
def test_text(value: object, expected: object) -> None:
    assert text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, 1), (1.5, 1.5), (True, None), ("1", None), (float("inf"), None), (2**63, None), (-(2**62), -(2**62))],
)
def test_number(value: object, expected: object) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), (0, False), ([], False), (1, True), (" Off ", False), ("none", False), ("x", True)],
)
def test_switch(value: object, expected: object) -> None:
    assert switch(value) is expected


@pytest.mark.parametrize(
    ("file", "name"),
    [("a.txt", "a.txt"), (("b", b""), "b"), ([], None), (SimpleNamespace(name="c"), "c"), (b"data", None)],
)
def test_the_name_of_a_file(file: object, name: object) -> None:
    assert file_name(file) == name


def test_an_object_that_cannot_be_dumped_is_named_by_its_type() -> None:
    class Broken:
        def model_dump(self) -> object:
            raise RuntimeError

    assert plain(Broken()) == "Broken"


def test_containers_are_copied_and_cycles_stay_cycles() -> None:
    inner: Dict[str, Any] = {"list": [1, [2]], "text": "a"}
    inner["self"] = inner
    parts: Dict[str, Any] = {"inner": inner, "twice": [inner, inner], "leaf": object()}
    before = dict(parts)
    copy_containers(parts)
    inner["list"][1].append(3)
    inner["text"] = "b"

    assert parts["leaf"] is before["leaf"]
    assert parts["inner"]["list"] == [1, [2]]
    assert parts["inner"]["text"] == "a"
    assert parts["inner"]["self"] is parts["inner"]
    assert parts["twice"][0] is parts["twice"][1] is not inner


def test_what_is_nested_too_deeply_to_be_copied_stays_as_it_is() -> None:
    deep: List[Any] = []
    for _ in range(100_000):
        deep = [deep]
    parts: Dict[str, Any] = {"deep": deep}
    copy_containers(parts)
    flattened = parts["deep"] is deep
    while deep:  # or Python's garbage collector would recurse
        deep = deep.pop()

    assert flattened


@pytest.mark.parametrize("headers", [None, 7, ["a"], {7: "x"}])
def test_what_is_no_headers_has_none(headers: object) -> None:
    assert without_credentials(headers) == {}


def test_a_part_that_raises_is_replaced_by_the_default() -> None:
    assert reading.or_default(7, int, "x") == 7
    assert reading.or_default(7, int, "8") == 8
