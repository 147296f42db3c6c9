"""JSON schemas under a credential's name: a tool's parameter "password" is described, it is no password."""

from __future__ import annotations

from typing import Any, Callable, Dict, Tuple

_TYPES = frozenset(("string", "number", "integer", "boolean", "object", "array", "null"))


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, (list, tuple)) else (value,)
    return all(isinstance(name, str) and name.lower() in _TYPES for name in names)


def _is_one_of(*types: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, types)


_KEYWORDS: Dict[str, Callable[[Any], bool]] = {
    "type": _is_type,
    **dict.fromkeys(
        ("$ref", "$id", "$schema", "$anchor", "$comment", "$dynamicRef", "title", "description", "format", "pattern",
         "contentEncoding", "contentMediaType"),
        _is_one_of(str),
    ),
    **dict.fromkeys(("enum", "examples", "allOf", "anyOf", "oneOf", "prefixItems"), _is_one_of(list, tuple)),
    **dict.fromkeys(
        ("properties", "patternProperties", "dependentSchemas", "dependentRequired", "$defs", "definitions", "not",
         "if", "then", "else", "contains", "propertyNames", "contentSchema"),
        _is_one_of(dict, bool),
    ),
    **dict.fromkeys(("items", "additionalProperties", "unevaluatedItems", "unevaluatedProperties", "additionalItems"),
                    _is_one_of(dict, bool, list, tuple)),
    **dict.fromkeys(("required", "dependencies"), _is_one_of(list, tuple, bool, dict)),
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minimum", "maximum",
         "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minContains", "maxContains"),
        _is_one_of(int, float),
    ),
    **dict.fromkeys(("readOnly", "writeOnly", "nullable", "deprecated", "uniqueItems"), _is_one_of(bool)),
}  # fmt: skip
"""The keywords of JSON Schema, and whether a value is one that the keyword takes."""

_VALUES = ("default", "const", "example")
"""Keywords whose value may be anything, so that they do not make a schema, and that may hold a credential."""


def is_schema(value: object) -> bool:
    """Whether a dictionary has a keyword of JSON Schema with a value that this keyword takes."""
    return isinstance(value, dict) and any(name in _KEYWORDS and _KEYWORDS[name](value[name]) for name in value)


def split_schema(schema: Dict[Any, Any]) -> Tuple[Dict[Any, Any], Dict[Any, Any]]:
    """The members of a schema that describe a value, and the others, which may hold one."""
    described: Dict[Any, Any] = {}
    others: Dict[Any, Any] = {}
    for name, value in schema.items():
        is_extension = isinstance(name, str) and name.startswith(("x-", "ui:"))
        is_keyword = name in _KEYWORDS and _KEYWORDS[name](value)
        (described if is_keyword or is_extension else others)[name] = value
    return described, others
