"""The table of options and environment variables, from the code that reads them."""

from __future__ import annotations

from honeyhive_litellm._config.settings import OPTIONS, Option, Settings

_KINDS = {"bool": "switch", "int": "size", "float": "seconds", "Path": "folder, file", "str": "text"}
_BY_NAME = {
    "sample_rate": "0 to 1",
    "custom_attributes": "object",
    "destinations": "object",
    "redact": "names, functions",
    "lookup_api_key": "text",
    "spool_key": "keys",
    "spool_key_file": "folder, file",
    "broker": "text",
    "broker_credentials": "folder, file",
    "broker_nkey": "folder, file",
    "broker_ca": "folder, file",
}


def table() -> str:
    """One row for each option."""
    lines = ["| option | variable | kind | default | meaning |", "|---|---|---|---|---|"]
    for option in OPTIONS:
        variables = ", ".join(f"`{name}`" for name in option.variables)
        lines.append(f"| `{option.name}` | {variables} | {_kind(option)} | {_default(option)} | {option.doc} |")
    return "\n".join(lines) + "\n"


def _kind(option: Option) -> str:
    annotation = str(Settings.__annotations__[option.name])
    return _BY_NAME.get(option.name) or _KINDS[annotation]


def _default(option: Option) -> str:
    value = option.default
    if option.required:
        return "required"
    if value is None:
        return "per project" if option.name == "spool_path" else "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if _kind(option) == "size" and isinstance(value, int):
        return f"`{_size(value)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _size(size: int) -> str:
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size % unit == 0:
            return f"{size // unit}{name}"
    return str(size)
