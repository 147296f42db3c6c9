"""The log messages of the package, from its source: where it calls the logger, and with which text."""

from __future__ import annotations

import ast
from pathlib import Path
from types import MappingProxyType
from typing import Dict, Iterator, List, Mapping, NamedTuple, Optional, Set

import honeyhive_litellm

_PACKAGE = Path(honeyhive_litellm.__file__).parent
_OURS = {"warn": "warning", "recovered": "warning"}
_LOGGER = {"debug", "info", "warning", "error", "exception", "critical"}
_NOT_OURS = {"testing", "collector"}  # a server of its own, with a logger of its own


class Message(NamedTuple):
    """One call of the logger. `code` is None where the code is not a constant."""

    level: str
    code: Optional[str]
    text: str


def messages() -> List[Message]:
    """Every message once, in alphabetical order of code and text."""
    found: Set[Message] = set()
    for path in sorted(_PACKAGE.rglob("*.py")):
        if path.name != "_log.py" and not _NOT_OURS & set(path.parts):
            found.update(_messages_in(ast.parse(path.read_text(encoding="utf-8"))))
    return sorted(found, key=lambda message: (message.code or "", message.text))


def table() -> str:
    """One row for each message."""
    lines = ["| code | level | message |", "|---|---|---|"]
    for message in messages():
        code = f"`{message.code}`" if message.code else "-"
        text = " ".join(message.text.split()).replace("|", "\\|")
        lines.append(f"| {code} | {message.level} | `{text}` |")
    return "\n".join(lines) + "\n"


def _messages_in(tree: ast.Module) -> Iterator[Message]:
    named = _named_texts(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name) and function.id in _OURS and len(node.args) >= 2:
            text = _constant(node.args[1], named)
            if text is not None:
                yield Message(_OURS[function.id], _constant(node.args[0]), text)
        elif isinstance(function, ast.Attribute) and function.attr in _LOGGER and _is_logger(function.value):
            text = _constant(node.args[0], named) if node.args else None
            if text is not None:
                yield Message(function.attr, None, text)


def _named_texts(tree: ast.Module) -> Dict[str, str]:
    """The texts that the module gives a name to."""
    named: Dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            text = _constant(node.value)
            if text is not None:
                named[node.targets[0].id] = text
    return named


def _constant(node: ast.expr, named: Mapping[str, str] = MappingProxyType({})) -> Optional[str]:
    if isinstance(node, ast.Name):
        return named.get(node.id)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _is_logger(node: ast.expr) -> bool:
    """Whether this is a logger: a name such as `logger` or `_log`, or a call of `logging.getLogger`."""
    if isinstance(node, ast.Name):
        return node.id in ("logger", "_logger", "_log")
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "getLogger"
