"""Settings: what a user may choose, read from arguments and environment variables in one place.

`OPTIONS` is the table of it all, for this module to read by and for documentation to show. Each row has a
reader, which takes what was given, a Python value or the text of a variable, and returns the clean value or
refuses it with a remedy. Refusals are collected, so that one `ConfigError` names every bad field at once;
nothing falls back in silence.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import math
import os
import re
import sys
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union, cast
from urllib.parse import urlsplit

from honeyhive_litellm._errors import ConfigError
from honeyhive_litellm._privacy.pii import NAMES, named

# Bytes of an event: HoneyHive's troubleshooting page says requests over 5 MB are refused, and some go to the envelope.
_MOST = 4_990_000
_PER_PROJECT = Path()  # stands for "not given"; told apart by identity, since "." is a folder a user may name
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
_SIZE = re.compile(r"([0-9]{1,18})\s*([kmg]i?b|b)?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}

DROP_NEWEST = "drop_newest"

Reader = Callable[[object], object]
Redaction = Union[str, Callable[[Dict[str, Any]], Mapping[str, Any]]]


class _RefusedError(Exception):
    """A reader's refusal: what is wrong and what to do, in words that follow the field's name."""


def _given(value: object) -> str:
    """The refused value as an error may show it. Never used for fields that can hold a secret."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _RefusedError(f"is a {type(value).__name__}; give a string")
    text = value.strip()
    if not text:
        raise _RefusedError("is empty; give a name")
    if not text.isprintable():
        raise _RefusedError("contains control characters; remove them")
    return text


def _api_key(value: object) -> str:
    if not isinstance(value, str):
        raise _RefusedError(f"is a {type(value).__name__}; give the key as a string")
    key = value.strip()
    if not key:
        raise _RefusedError("is empty; give a key of your HoneyHive project (Settings, API keys)")
    if re.fullmatch(r"[!-~]+", key) is None:
        # The key travels in a header: a line break in it would be a slip of copying, or a second header.
        raise _RefusedError("contains spaces, control or non-ASCII characters; give the bare key")
    return key


def _api_url(value: object) -> str:
    """An http(s) address without a trailing slash. A refusal never shows it: it may hold a password."""
    if not isinstance(value, str):
        raise _RefusedError(f"is a {type(value).__name__}; give an address such as https://api.honeyhive.ai")
    url = value.strip().rstrip("/")
    if re.fullmatch(r"[!-~]+", url) is None:
        raise _RefusedError("is empty or contains spaces; give an address such as https://api.honeyhive.ai")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host:
        raise _RefusedError("is no http(s) address with a host; give one such as https://api.honeyhive.ai")
    if "@" in parts.netloc:
        raise _RefusedError("contains a user name or password; remove it, the api_key is the only credential")
    if "?" in url or "#" in url:
        raise _RefusedError("contains a query or fragment; give the bare address")
    return url


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in _TRUE + _FALSE:
        raise _RefusedError(f"is {_given(value)}; give true or false (1/0, yes/no, on/off)")
    return word in _TRUE


def _seconds(*, zero: bool) -> Reader:
    def read(value: object) -> float:
        seconds = math.nan
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            with contextlib.suppress(ValueError, OverflowError):
                seconds = float(value)
        if not math.isfinite(seconds) or seconds < 0 or (seconds == 0 and not zero):
            bound = "of 0 or more" if zero else "above 0"
            raise _RefusedError(f"is {_given(value)}; give seconds {bound}, such as 5 or 0.5")
        return seconds

    return read


def _size(least: int, most: int) -> Reader:
    def read(value: object) -> int:
        size: Optional[int] = None
        if isinstance(value, int) and not isinstance(value, bool):
            size = value
        elif isinstance(value, str):
            match = _SIZE.fullmatch(value.strip())
            if match is not None:
                size = int(match.group(1)) * _UNITS[(match.group(2) or "").lower()]
        if size is None or not least <= size <= most:
            raise _RefusedError(f"is {_given(value)}; give bytes from {least} to {most}; 4MB and 4MiB work too")
        return size

    return read


def _one_of(first: str, second: str) -> Reader:
    def read(value: object) -> str:
        word = value.strip().lower() if isinstance(value, str) else None
        if word not in (first, second):
            raise _RefusedError(f'is {_given(value)}; give "{first}" or "{second}"')
        return word

    return read


def _attributes(value: object) -> Optional[Dict[str, Any]]:
    """A copy, so that the caller's later changes do not reach events or the comparison of two settings."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise _RefusedError('is no JSON; give an object such as {"team": "search"}') from None
    if not isinstance(value, Mapping):
        raise _RefusedError(f"is a {type(value).__name__}; give a dict (in the variable, a JSON object)")
    if not all(isinstance(name, str) for name in value):
        raise _RefusedError("has a name that is no string; name every attribute with a string")
    return dict(value)


def _redact(value: object) -> Optional[Tuple[Redaction, ...]]:
    """The names first, each once and in their own order, then the functions: so equal choices are equal values."""
    given = value if isinstance(value, (list, tuple, set, frozenset)) else [] if value is None else [value]
    names: List[str] = []
    functions: List[Redaction] = []
    for one in given:
        if isinstance(one, str):
            for word in filter(None, map(str.strip, one.split(","))):
                meant = named(word)
                if not meant:
                    raise _RefusedError(f"is {_given(word)}; give names such as {', '.join(NAMES)}, all, or a function")
                names.extend(meant)
        elif not callable(one):
            raise _RefusedError(
                f"has a {type(one).__name__}; give names such as {NAMES[0]}, functions, or a list of them"
            )
        elif inspect.iscoroutinefunction(one):
            raise _RefusedError("is an async function; give a plain one, it is called on any thread")
        elif one not in functions:
            functions.append(one)
    return (*(name for name in NAMES if name in names), *functions) or None


def _share(value: object) -> float:
    share = math.nan
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            share = float(value)
    if not 0 <= share <= 1:
        raise _RefusedError(f"is {_given(value)}; give a share from 0 to 1, such as 0.1")
    return share


def _folder(value: object) -> Path:
    """The absolute path: the spool opens at the first event, when the program may have changed its folder."""
    if not isinstance(value, (str, os.PathLike)):
        raise _RefusedError(f"is a {type(value).__name__}; give the path of a folder")
    path = os.fspath(value)
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        raise _RefusedError(f"is {_given(path)}; give the path of a folder")
    return Path(os.path.abspath(os.path.expanduser(path)))


_DEFAULT_URL = "https://api.honeyhive.ai"


@dataclass(frozen=True)
class Settings:
    """Everything a user may choose, checked: a `Settings` that exists is sound.

    `Settings.resolve` reads the environment as well; the constructor takes values only (and asks the
    environment for nothing but the state folder of the default `spool_path`). Both raise one `ConfigError`
    that names every bad field. Sizes are bytes, times are seconds, equal values make equal settings. See
    `OPTIONS` for the meaning of each field.
    """

    api_key: str = field(repr=False)
    project: str
    environment: str = "production"
    api_url: str = _DEFAULT_URL
    capture_message_content: bool = True
    capture_headers: bool = False
    capture_raw_request: bool = False
    custom_attributes: Optional[Mapping[str, Any]] = field(default=None, repr=False)
    debug: bool = False
    flush: bool = True
    spool_path: Path = _PER_PROJECT
    durability: str = "process"
    capture_in_flight: bool = True
    strict: bool = False
    redact: Union[Redaction, Sequence[Redaction], None] = field(default=None, repr=False)
    sample_rate: float = 1.0
    shutdown_timeout: float = 5.0
    request_timeout: float = 30.0
    lookup_delay: float = 20.0
    spool_max_bytes: int = 2**30
    spool_policy: str = "drop_oldest"
    spool_max_age: float = 0.0
    spool_min_free_bytes: int = 2**26
    max_field_bytes: int = 2**18
    max_event_bytes: int = 2**20

    def __post_init__(self) -> None:
        values = {option.name: getattr(self, option.name) for option in OPTIONS}
        if self.spool_path is _PER_PROJECT:
            del values["spool_path"]
        clean, problems = _read_all(values, {})
        _raise_if_any(problems)
        if self.spool_path is _PER_PROJECT:
            clean["spool_path"] = default_spool_path(
                cast(str, clean["project"]), os.environ, api_url=cast(str, clean["api_url"])
            )
        for name, value in clean.items():
            object.__setattr__(self, name, value)

    @classmethod
    def resolve(cls, environ: Mapping[str, str], **arguments: object) -> Settings:
        """Settings from *arguments* and *environ* (such as `os.environ`).

        An argument beats a `HONEYHIVE_*` variable, that HoneyHive's `HH_*`, and that the default.
        An argument of `None` is not given, a blank variable is not set. Text is read alike from both, so that
        "on" and "512MB" serve as arguments too.
        Raises `ConfigError` naming every bad field, every unknown argument and its nearest true name.
        """
        values = {option.name: option.default for option in OPTIONS if option.default is not None}
        sources: Dict[str, str] = {}
        for option in OPTIONS:
            if arguments.get(option.name) is not None:
                values[option.name] = arguments[option.name]
                continue
            variable = next((name for name in option.variables if environ.get(name, "").strip()), None)
            if variable is not None:
                values[option.name] = environ[variable]
                sources[option.name] = variable
        clean, problems = _read_all(values, sources)
        _raise_if_any(problems + _unknown(arguments))
        if "spool_path" not in clean:
            clean["spool_path"] = default_spool_path(
                cast(str, clean["project"]), environ, api_url=cast(str, clean["api_url"])
            )
        return cls(**cast(Dict[str, Any], clean))


@dataclass(frozen=True)
class Option:
    """One row of the table: a field of `Settings`, its variables (preferred first), reader and meaning."""

    name: str
    variables: Tuple[str, ...]
    read: Reader
    doc: str

    @property
    def required(self) -> bool:
        """Whether there is no default, so that the user must choose."""
        return _DEFAULTS[self.name] is MISSING

    @property
    def default(self) -> object:
        """The default; None where there is none, or where the machine decides it (`spool_path`)."""
        value = _DEFAULTS[self.name]
        return None if value is MISSING or value is _PER_PROJECT else value


_DEFAULTS: Dict[str, object] = {described.name: described.default for described in fields(Settings)}


def _row(name: str, read: Reader, doc: str, *variables: str) -> Option:
    return Option(name, variables or (f"HONEYHIVE_{name.upper()}",), read, doc)


OPTIONS: Tuple[Option, ...] = (
    _row("api_key", _api_key, "HoneyHive project or ingestion key", "HONEYHIVE_API_KEY", "HH_API_KEY"),
    _row("project", _text, "HoneyHive project that the events belong to"),
    _row("environment", _text, "where this runs; the events' `source`"),
    _row("api_url", _api_url, "HoneyHive's address, or your own", "HONEYHIVE_API_URL", "HH_API_URL"),
    _row("capture_message_content", _flag, "record prompts and completions", "HONEYHIVE_CAPTURE_CONTENT"),
    _row("capture_headers", _flag, "record HTTP headers, credentials removed"),
    _row("capture_raw_request", _flag, "record the request as the provider gets it", "HONEYHIVE_CAPTURE_RAW"),
    _row("custom_attributes", _attributes, "metadata for every event; a JSON object in the variable"),
    _row("debug", _flag, "print a line for every event traced"),
    _row("flush", _flag, "deliver; without, only write the spool, for `honeyhive-litellm drain` to deliver"),
    _row("spool_path", _folder, "folder of undelivered events; one per project in the state folder by default"),
    _row(
        "durability",
        _one_of("process", "power"),
        "what an event survives: a kill (`process`) or a power cut too (`power`)",
    ),
    _row("capture_in_flight", _flag, "record the start of calls, so that a crash leaves a trace of them"),
    _row("strict", _flag, "let an async call return only after its outcome is on disk"),
    _row("redact", _redact, "what else to remove from events before they are written: names, functions, or both"),
    _row("sample_rate", _share, "share of sessions that is recorded, from 0 to 1; failures always are"),
    _row("shutdown_timeout", _seconds(zero=True), "seconds that exit may take to deliver what is left"),
    _row("request_timeout", _seconds(zero=False), "seconds that one request may take"),
    _row(
        "lookup_delay",
        _seconds(zero=True),
        "seconds until what the server stored can be read back, to learn what became of a lost answer",
    ),
    _row("spool_max_bytes", _size(2**16, 2**50), "disk space that the spool may take, in bytes"),
    _row("spool_policy", _one_of("drop_oldest", DROP_NEWEST), "what goes when the spool is full"),
    _row("spool_max_age", _seconds(zero=True), "seconds after which an undelivered event is given up; 0: never"),
    _row("spool_min_free_bytes", _size(0, 2**50), "bytes of disk to leave free: with less the spool stops growing"),
    _row("max_field_bytes", _size(256, _MOST), "longest text in an event, in bytes; longer is cut"),
    _row("max_event_bytes", _size(4096, _MOST), "largest event, in bytes"),
)


def _read_all(values: Mapping[str, object], sources: Mapping[str, str]) -> Tuple[Dict[str, object], List[str]]:
    """The clean values and one line for each problem. *sources* names the variables that were read."""
    clean: Dict[str, object] = {}
    problems: List[str] = []
    for option in OPTIONS:
        variable = sources.get(option.name, option.variables[0])
        if option.name in values:
            try:
                clean[option.name] = option.read(values[option.name])
            except _RefusedError as refusal:
                problems.append(f"{option.name} ({variable}) {refusal}")
        elif option.required:
            problems.append(f"{option.name} ({variable}) is missing; pass {option.name}=... or set {variable}")
    longest, largest = clean.get("max_field_bytes"), clean.get("max_event_bytes")
    if isinstance(longest, int) and isinstance(largest, int) and longest > largest:
        problems.append(
            f"max_field_bytes (HONEYHIVE_MAX_FIELD_BYTES) is {longest}, more than max_event_bytes "
            f"(HONEYHIVE_MAX_EVENT_BYTES), which is {largest}; lower the first or raise the second"
        )
    return clean, problems


def _unknown(arguments: Mapping[str, object]) -> List[str]:
    known = [option.name for option in OPTIONS]
    problems = []
    for name in arguments:
        if name not in known:
            import difflib  # for the mistaken alone

            near = difflib.get_close_matches(name, known, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            problems.append(f"{name} is no setting; {remedy}")
    return problems


def _raise_if_any(problems: List[str]) -> None:
    if problems:
        raise ConfigError("\n  ".join(["honeyhive_litellm cannot start with these settings:", *problems]))


def default_spool_path(
    project: str, environ: Mapping[str, str], platform: str = sys.platform, api_url: str = _DEFAULT_URL
) -> Path:
    """The folder for *project*'s spool in this user's state directory; created by nobody here.

    Another server has another folder, so that what a trial run left never goes to the real one.

    $XDG_STATE_HOME or ~/.local/state, on macOS ~/Library/Application Support, on Windows %LOCALAPPDATA%. With
    no home, as in many containers, it is a folder with the user's id in the temporary directory.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", project.lower()).strip("-")[:40].strip("-") or "project"
    named = project if api_url == _DEFAULT_URL else f"{project} {api_url}"
    import hashlib  # with OpenSSL, which `import honeyhive_litellm` is not to wait for

    digest = hashlib.sha256(named.encode("utf-8")).hexdigest()[:8]
    return _state_folder(environ, platform) / f"{slug}-{digest}"


def _state_folder(environ: Mapping[str, str], platform: str) -> Path:
    chosen = environ.get("LOCALAPPDATA" if platform == "win32" else "XDG_STATE_HOME", "")
    # The XDG base directory specification: a relative path is invalid and must be ignored.
    if chosen and platform != "darwin" and os.path.isabs(chosen):
        return Path(chosen) / "honeyhive-litellm"
    home = _home(environ, platform)
    if home is None:
        user = os.getuid() if hasattr(os, "getuid") else environ.get("USERNAME", "user")
        import tempfile

        temporary = environ.get("TMPDIR", "").strip() or tempfile.gettempdir()
        return Path(temporary) / f"honeyhive-litellm-{user}"
    inside = {"win32": "AppData/Local", "darwin": "Library/Application Support"}.get(platform, ".local/state")
    return home / inside / "honeyhive-litellm"


def _home(environ: Mapping[str, str], platform: str) -> Optional[Path]:
    """The home folder, or None where it is missing or, as for a container's random user, the root."""
    given = environ.get("USERPROFILE" if platform == "win32" else "HOME", "").strip()
    try:
        home = Path(given) if given else Path.home()
        usable = home.is_absolute() and home != Path(home.anchor) and home.is_dir()
    except (
        OSError,
        RuntimeError,
        ValueError,
    ):  # no entry in the password file; a folder we may not look into
        return None
    return home if usable else None
