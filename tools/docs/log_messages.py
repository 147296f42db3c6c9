"""The log messages of the package: the codes from their table, the texts from the calls that use them."""

from __future__ import annotations

import ast
from pathlib import Path
from types import MappingProxyType
from typing import Dict, Iterator, List, Mapping, NamedTuple, Optional

import honeyhive_litellm
from honeyhive_litellm._log_codes import LogCode

_PACKAGE = Path(honeyhive_litellm.__file__).parent
_OURS = {"warn": (0, "warning"), "recovered": (1, "warning"), "log_error": (0, "error")}
"""Our functions: which argument is the code, and the level. The text is the next argument."""

_LOGGER = {"debug", "info", "warning", "error", "exception", "critical"}


class Message(NamedTuple):
    """One call that logs. `code` and `text` are None where they are not constants."""

    place: str
    level: str
    code: Optional[LogCode]
    text: Optional[str]


def messages() -> List[Message]:
    """Every call, in the order of the codes' table."""
    found: List[Message] = []
    for path in sorted(_PACKAGE.rglob("*.py")):
        if path.name != "_log.py":
            found.extend(_messages_in(path))
    order = list(LogCode)
    return sorted(found, key=lambda message: -1 if message.code is None else order.index(message.code))


def table() -> str:
    """One row for each code and text."""
    lines = ["| code | level | message | what to do |", "|---|---|---|---|"]
    for message in messages():
        if message.code is not None and message.text is not None:
            text = " ".join(message.text.split()).replace("|", "\\|")
            lines.append(f"| `{message.code.code}` | {message.level} | `{text}` | {message.code.action} |")
    return "\n".join(dict.fromkeys(lines)) + "\n"


def _messages_in(path: Path) -> Iterator[Message]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = _named_texts(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function, arguments = node.func, node.args
        place = f"{path.relative_to(_PACKAGE).as_posix()}:{node.lineno}"
        if isinstance(function, ast.Name) and function.id in _OURS:
            at, level = _OURS[function.id]
            yield Message(place, level, _code(arguments[at]), _constant(arguments[at + 1], named))
        elif isinstance(function, ast.Attribute) and function.attr in _LOGGER and _is_logger(function.value):
            level = "error" if function.attr == "exception" else function.attr
            yield Message(place, level, _code_of_extra(node), _constant(arguments[0], named))


def _code(node: ast.expr) -> Optional[LogCode]:
    """The code of `LogCode.NAME`, or of `LogCode.NAME.code`."""
    if isinstance(node, ast.Attribute) and node.attr == "code":
        node = node.value
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "LogCode":
        return LogCode[node.attr]
    return None


def _code_of_extra(call: ast.Call) -> Optional[LogCode]:
    """The code in `extra={"event_code": LogCode.NAME.code}` or in `extra=fields_of(LogCode.NAME)`."""
    for keyword in call.keywords:
        if keyword.arg == "extra":
            value = keyword.value
            if isinstance(value, ast.Dict):
                return _code(value.values[0])
            if isinstance(value, ast.Call):
                return _code(value.args[0])
    return None


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
