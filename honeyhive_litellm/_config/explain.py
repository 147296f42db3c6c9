"""Every option with its value and where that came from, also when some of them are refused; secrets are masked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from honeyhive_litellm._privacy.cipher import id_of, key_of

from .broker import BrokerAccess
from .destinations import Destination
from .paths import default_spool_path
from .settings import OPTIONS, Option, Settings, check, choose, target_of

ARGUMENT = "argument"
DEFAULT = "default"

_SECRETS = ("api_key", "lookup_api_key", "spool_key", "broker")
_SIZES = ("spool_max_bytes", "spool_min_free_bytes", "max_field_bytes", "max_event_bytes")


class Explained(NamedTuple):
    """One option. `origin` is "argument", a variable's name, or "default"; `problem` is why the value was refused.

    `value` is what JSON can hold, `shown` is for people; both without secrets. `value` is None if there is none.
    """

    option: Option
    value: object
    shown: str
    origin: str
    problem: Optional[str] = None


def explain(environ: Mapping[str, str], arguments: Mapping[str, object]) -> List[Explained]:
    """What `Settings.resolve` makes of these, option by option."""
    values, variables = choose(environ, arguments)
    clean, problems = check(values, variables)
    if "spool_path" not in clean and {"project", "api_url"} <= set(clean):
        clean["spool_path"] = default_spool_path(str(clean["project"]), environ, api_url=target_of(clean))
    return [
        _explained(
            option,
            clean.get(option.name),
            variables.get(option.name, ARGUMENT if arguments.get(option.name) is not None else DEFAULT),
            next((problem for problem in problems if problem.startswith(f"{option.name} ")), None),
        )
        for option in OPTIONS
    ]


def explain_settings(settings: Settings, environ: Mapping[str, str]) -> List[Explained]:
    """The same for settings in force: what neither a variable nor the default explains came as an argument."""
    found = []
    for option, plain in zip(OPTIONS, explain(environ, {})):
        value = getattr(settings, option.name)
        expected: Dict[str, Any] = check(*choose(environ, {}))[0]
        is_plain = value == expected.get(option.name) or (option.name == "spool_path" and str(value) == plain.value)
        found.append(_explained(option, value, plain.origin if is_plain else ARGUMENT, None))
    return found


def masked(key: str) -> str:
    """An API key that can be recognized but not used: its kind and its last four characters."""
    kind = next((kind for kind in ("hh_ingst_", "hh_ro_", "hh_fgdp_", "hh_fgcp_", "hh_") if key.startswith(kind)), "")
    return f"{kind}...{key[-4:]}" if len(key) - len(kind) >= 12 else f"{kind}..."


def _explained(option: Option, value: object, origin: str, problem: Optional[str]) -> Explained:
    shown = _shown(option, value)
    is_plain = isinstance(value, (bool, int, float, str)) and option.name not in _SECRETS
    return Explained(option, value if is_plain else None if value is None else shown, shown, origin, problem)


def _shown(option: Option, value: object) -> str:
    if value is None:
        return "none"
    if option.name == "spool_key":
        keys = [key_of(text) for text in value] if isinstance(value, tuple) else []
        return ", ".join(f"id {id_of(key).hex()}" for key in keys if key is not None)
    if option.name in _SECRETS:
        return BrokerAccess.of(str(value)).name if option.name == "broker" else masked(str(value))
    if isinstance(value, Mapping):  # the values may be private
        return ", ".join(f"{name}=..." for name in value)
    if isinstance(value, tuple):
        return ", ".join(_name_of(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    if option.name in _SIZES and isinstance(value, int):
        return size(value)
    if isinstance(value, float):
        return f"{value:g}" if option.name == "sample_rate" else f"{value:g} s"
    return str(value) if isinstance(value, (str, Path)) else repr(value)


def _name_of(item: object) -> str:
    if isinstance(item, Destination):
        return item.name
    return item if isinstance(item, str) else getattr(item, "__qualname__", "function")


def size(number: float) -> str:
    """A number of bytes, in the largest unit that makes it at least one: "1 GiB", "1.5 MiB"."""
    for unit, name in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if number >= unit:
            return f"{number / unit:.4g} {name}"
    return f"{number:g} bytes"
