"""Settings: what a user may configure, read from arguments and environment variables in one place.

To add an option: a field of `Settings` with its default, a row of `OPTIONS` in the same place, and a row of the tables
in docs/reference/options.md; a test compares all three. The row's reader checks the value. Refusals are collected, so
that one `ConfigError` names every bad option; no bad value is replaced by a default. `_runtime/pipeline.py` hands the
values on to `_spool` and `_delivery`, which do not see `Settings`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union, cast

from honeyhive_litellm._errors import ConfigError

from .broker import DEFAULT_DESTINATION, BrokerAccess, broker_problems
from .destinations import MAIN, Destination, cross_check, default_destination, destinations
from .paths import DEFAULT_URL, IN_MEMORY, default_spool_path
from .readers import (
    WRITE_ONLY_KEY,
    Reader,
    Redaction,
    RefusedError,
    api_key,
    api_url,
    attributes,
    broker,
    destination,
    file,
    flag,
    folder,
    key_file,
    keys_in,
    lookup_api_key,
    one_of,
    redact,
    seconds,
    share,
    size,
    spool_key,
    text,
)

# HoneyHive refuses requests over 5 MB, and the request needs some bytes besides the event.
_MAX_REQUEST_BYTES = 4_990_000
_PER_PROJECT = Path()  # the default of `spool_path`; compared by identity, because a user may choose "." as well


class _NoDefault(str):
    """The default of what a user must choose. With a broker the `api_key` stays this empty text."""


_REQUIRED = _NoDefault()

_INGESTION_VARIABLE, _HONEYHIVES_VARIABLE = "HH_INGESTION_API_KEY", "HH_API_KEY"
_KEY_VARIABLES = ("HONEYHIVE_API_KEY", _INGESTION_VARIABLE, _HONEYHIVES_VARIABLE)
_URL_VARIABLES = (
    "HONEYHIVE_API_URL",
    "HH_API_URL",
    # older names of HoneyHive's own SDK, and that of its command line
    "HONEYHIVE_SERVER_URL",
    "HH_SERVER_URL",
    "HH_DATA_PLANE_URL",
)

DROP_NEWEST = "drop_newest"


@dataclass(frozen=True)
class Settings:
    """Everything a user may configure, checked: every `Settings` object is valid.

    `Settings.resolve` reads the environment as well. The constructor takes values only, and uses the environment for
    nothing but the state folder of the default `spool_path`. Both raise one `ConfigError` that names every bad option.
    Sizes are bytes, times are seconds, equal values make equal settings. `OPTIONS` describes each field.
    """

    api_key: str = field(default=_REQUIRED, repr=False)
    project: str = _REQUIRED
    environment: str = "production"
    api_url: str = DEFAULT_URL
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
    lookup_api_key: Optional[str] = field(default=None, repr=False)
    spool_key: Union[str, Sequence[str], None] = field(default=None, repr=False)
    spool_key_file: Optional[Path] = None
    destinations: Union[Tuple[Destination, ...], Mapping[str, Any], None] = None
    default_destination: str = MAIN
    broker: Optional[str] = field(default=None, repr=False)
    broker_destination: str = DEFAULT_DESTINATION
    broker_credentials: Optional[Path] = None
    broker_nkey: Optional[Path] = None
    broker_ca: Optional[Path] = None
    broker_keep: float = 0.0

    def __post_init__(self) -> None:
        values = {option.name: getattr(self, option.name) for option in OPTIONS}
        values = {name: value for name, value in values.items() if value is not _REQUIRED}
        if self.spool_path is _PER_PROJECT:
            del values["spool_path"]
        clean, problems = check(values, {})
        _raise_if_any(problems)
        for name, value in _with_spool_path(clean, os.environ).items():
            object.__setattr__(self, name, value)

    @property
    def broker_access(self) -> Optional[BrokerAccess]:
        """Where the broker is and how to log in; None without one."""
        if self.broker is None:
            return None
        files = {"credentials": self.broker_credentials, "nkey": self.broker_nkey, "ca": self.broker_ca}
        return BrokerAccess.of(self.broker, **files)

    @classmethod
    def resolve(cls, environ: Mapping[str, str], **arguments: object) -> Settings:
        """Settings from *arguments* and *environ* (such as `os.environ`).

        An argument takes precedence over a `HONEYHIVE_*` variable, that over HoneyHive's own `HH_*`, and that over the
        default. An argument of `None` and a blank variable count as absent. An argument may be a text like that of a
        variable: "on", "512MB".
        Raises `ConfigError`, which names every bad option, and every unknown argument with the nearest option.
        """
        clean, problems = check(*choose(environ, arguments))
        _raise_if_any(problems + _unknown(arguments))
        return cls(**cast(Dict[str, Any], _with_spool_path(clean, environ)))

    @property
    def target(self) -> str:
        """Where the events go, for messages: HoneyHive's address, or the broker's servers and the destination."""
        access = self.broker_access
        return self.api_url if access is None else f"{access.name}, destination {self.broker_destination}"

    @property
    def destination_list(self) -> Tuple[Destination, ...]:
        """The destinations in their order; empty if there are none."""
        return cast(Optional[Tuple[Destination, ...]], self.destinations) or ()

    def for_destination(self, destination: Destination, spool_path: Path) -> Settings:
        """The settings of one destination, whose files are in `spool_path`.

        What it does not set is as for the main project, but for the keys: no key of the main project goes to another
        server. With a broker it may have none.
        """
        of_main: Dict[str, Any] = {"destinations": None, "default_destination": MAIN}
        of_main.update(api_key=_REQUIRED, lookup_api_key=None)
        if self.broker is not None:
            of_main["broker_destination"] = destination.name  # a stream of its own, whose relay has its key
        path = IN_MEMORY if self.spool_path == IN_MEMORY else spool_path
        return replace(self, **{**of_main, **destination.options, "spool_path": path})


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
        return _DEFAULTS[self.name] is _REQUIRED

    @property
    def default(self) -> object:
        """The default; None where there is none, or where it depends on the machine (`spool_path`)."""
        value = _DEFAULTS[self.name]
        return None if value is _REQUIRED or value is _PER_PROJECT else value


_DEFAULTS: Dict[str, object] = {described.name: described.default for described in fields(Settings)}


def _row(name: str, read: Reader, doc: str, *variables: str) -> Option:
    return Option(name, variables or (f"HONEYHIVE_{name.upper()}",), read, doc)


OPTIONS: Tuple[Option, ...] = (
    _row("api_key", api_key, "Key of the HoneyHive project. It is never logged.", *_KEY_VARIABLES),
    _row("project", text, "HoneyHive project that the events belong to.", "HONEYHIVE_PROJECT", "HH_PROJECT"),
    _row(
        "environment",
        text,
        "Where this runs. It is the `source` of every event.",
        "HONEYHIVE_ENVIRONMENT",
        "HH_SOURCE",
    ),
    _row("api_url", api_url, "HoneyHive's address, or your own server's.", *_URL_VARIABLES),
    _row("capture_message_content", flag, "Record prompts and answers.", "HONEYHIVE_CAPTURE_CONTENT"),
    _row("capture_headers", flag, "Record the provider's response headers, without credentials."),
    _row(
        "capture_raw_request",
        flag,
        "Record the request as the provider gets it, without credentials.",
        "HONEYHIVE_CAPTURE_RAW",
    ),
    _row("custom_attributes", attributes, "Metadata for every event. In the variable: a JSON object."),
    _row("debug", flag, "Print a line for each event: when it is in the spool, and when it is delivered."),
    _row("flush", flag, "Deliver. With `false` this process only writes, and `honeyhive-litellm drain` delivers."),
    _row(
        "spool_path",
        folder,
        "Folder of the undelivered events. By default one for each project and server. "
        "With a `broker` also `:memory:`, for pods without a disk.",
    ),
    _row(
        "durability",
        one_of("process", "power"),
        "What a written event survives: a killed process (`process`), or also a power cut (`power`, slower).",
    ),
    _row("capture_in_flight", flag, "Record the start of each call, so that a crash leaves a trace of it."),
    _row("strict", flag, "Let an async call return only after its outcome is on disk."),
    _row(
        "redact",
        redact,
        "What to remove from events before they are written: names, functions, or a list of both. "
        "In the variable: names with commas between them.",
    ),
    _row("sample_rate", share, "Share of the sessions that is recorded. Failures are always recorded."),
    _row("shutdown_timeout", seconds(zero=True), "Longest time that the exit may take to deliver what is left."),
    _row("request_timeout", seconds(zero=False), "Longest time that one request to HoneyHive may take."),
    _row("lookup_delay", seconds(zero=True), "How long to wait before an event whose reply was lost is looked up."),
    _row("spool_max_bytes", size(2**16, 2**50), "Disk space that the spool may take."),
    _row(
        "spool_policy",
        one_of("drop_oldest", DROP_NEWEST),
        "What to drop when the spool is full: its oldest events (`drop_oldest`) or new ones (`drop_newest`).",
    ),
    _row("spool_max_age", seconds(zero=True), "Age at which an undelivered event is dropped. `0`: never."),
    _row(
        "spool_min_free_bytes",
        size(0, 2**50),
        "Disk space to leave free. With less, the spool counts as full.",
    ),
    _row("max_field_bytes", size(256, _MAX_REQUEST_BYTES), "Longest text in an event. A longer one is cut and marked."),
    _row(
        "max_event_bytes",
        size(4096, _MAX_REQUEST_BYTES),
        "Largest event, from 4 KiB to 4.99 MB. A larger one is shortened.",
    ),
    _row(
        "lookup_api_key",
        lookup_api_key,
        "Key to look events up with, where `api_key` can only write. Beside an ingestion key: `HH_API_KEY`.",
    ),
    _row(
        "spool_key",
        spool_key,
        "Keys that encrypt the spool, the newest first, from `honeyhive-litellm key new`. They are never logged. "
        "In the variable: with commas between them.",
    ),
    _row("spool_key_file", key_file, "File with such keys, one a line. They count after those of `spool_key`."),
    _row(
        "destinations",
        destinations,
        "Further projects by name, each with a rule for its calls and, without a `broker`, a key. "
        "In the variable: a JSON object.",
    ),
    _row(
        "default_destination",
        default_destination,
        "Where calls go that match no rule: `default` is `project`; or the name of a destination; `none`: they are "
        "not recorded.",
    ),
    _row(
        "broker",
        broker,
        "NATS servers to give the events to, such as `nats://n1,n2,n3`; relays pass them on to HoneyHive. No `api_key` "
        "is needed then. `tls://` for TLS; `user:password@` before the first host.",
    ),
    _row("broker_destination", destination, "Which of the broker's streams the events go to."),
    _row("broker_credentials", file, "File with the broker's credentials (`.creds`)."),
    _row("broker_nkey", file, "File with the seed of the nkey to log in to the broker with."),
    _row("broker_ca", file, "File with the certificates that the broker's is checked against."),
    _row(
        "broker_keep",
        seconds(zero=True),
        "How long to keep what the broker has acknowledged, to publish it again. `0`: not at all.",
    ),
)


def choose(environ: Mapping[str, str], arguments: Mapping[str, object]) -> Tuple[Dict[str, object], Dict[str, str]]:
    """The value of each option as the user wrote it, and the variable of each one that is from a variable."""
    values = {option.name: option.default for option in OPTIONS if option.default is not None}
    variables: Dict[str, str] = {}
    for option in OPTIONS:
        if arguments.get(option.name) is not None:
            values[option.name] = arguments[option.name]
            continue
        variable = next((name for name in option.variables if environ.get(name, "").strip()), None)
        if variable is not None:
            values[option.name] = environ[variable]
            variables[option.name] = variable
    if "lookup_api_key" not in values and _can_only_write(values.get("api_key"), variables.get("api_key")):
        key = environ.get(_HONEYHIVES_VARIABLE, "").strip()
        if key and not key.startswith(WRITE_ONLY_KEY):
            values["lookup_api_key"], variables["lookup_api_key"] = key, _HONEYHIVES_VARIABLE
    return values, variables


def check(values: Mapping[str, object], variables: Mapping[str, str]) -> Tuple[Dict[str, object], List[str]]:
    """The clean values, and one line for each problem.

    *variables* has the variable of each value that was read from one, so that a problem names where its value is from.
    """
    clean: Dict[str, object] = {}
    problems: List[str] = []
    has_broker = values.get("broker") is not None
    for option in OPTIONS:
        if option.name in values:
            read = option.read
            if option.name == "destinations":
                read = partial(destinations, has_broker=has_broker)
            variable = variables.get(option.name)
            source = f"argument; variable {option.variables[0]}" if variable is None else f"from {variable}"
            try:
                clean[option.name] = value = read(values[option.name])
                if option.name == "spool_key_file" and isinstance(value, Path):  # after the row of `spool_key`
                    own = cast(Optional[Tuple[str, ...]], clean.get("spool_key"))
                    clean["spool_key"] = tuple(dict.fromkeys([*(own or ()), *keys_in(value)]))
            except RefusedError as refusal:
                problems.append(f"{option.name} ({source}) {refusal}")
        elif option.required and not (option.name == "api_key" and has_broker):
            problems.append(f"{option.name} is missing; pass {option.name}=... or set {option.variables[0]}")
    problems.extend(broker_problems(clean, has_broker=has_broker))
    longest, largest = clean.get("max_field_bytes"), clean.get("max_event_bytes")
    if isinstance(longest, int) and isinstance(largest, int) and longest > largest:
        problems.append(
            f"max_field_bytes (HONEYHIVE_MAX_FIELD_BYTES) is {longest}, more than max_event_bytes "
            f"(HONEYHIVE_MAX_EVENT_BYTES), which is {largest}; lower the first or raise the second"
        )
    if "destinations" in clean:
        found = cast(Optional[Tuple[Destination, ...]], clean["destinations"])
        problems.extend(cross_check(found or (), clean.get("default_destination", MAIN)))
    elif "destinations" not in values:
        problems.extend(cross_check((), clean.get("default_destination", MAIN)))
    return clean, problems


def _can_only_write(key: object, variable: Optional[str]) -> bool:
    return variable == _INGESTION_VARIABLE or (isinstance(key, str) and key.strip().startswith(WRITE_ONLY_KEY))


def _unknown(arguments: Mapping[str, object]) -> List[str]:
    names = [option.name for option in OPTIONS]
    problems = []
    for name in arguments:
        if name not in names:
            import difflib  # needed for a mistake only

            near = difflib.get_close_matches(name, names, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"the options are {', '.join(names)}"
            problems.append(f"{name} is not an option; {remedy}")
    return problems


def _raise_if_any(problems: List[str]) -> None:
    if problems:
        raise ConfigError("\n  ".join(["honeyhive_litellm cannot start with these settings:", *problems]))


def _with_spool_path(clean: Dict[str, object], environ: Mapping[str, str]) -> Dict[str, object]:
    """*clean* with the default `spool_path` where the user did not choose one."""
    if "spool_path" in clean:
        return clean
    return {**clean, "spool_path": default_spool_path(cast(str, clean["project"]), environ, api_url=target_of(clean))}


def target_of(values: Mapping[str, object]) -> str:
    """What the default spool's name depends on besides the project: HoneyHive's address, or that there is a broker.

    The servers of a broker come and go: they are not part of it. Its destinations have folders inside of the spool.
    """
    return str(values.get("api_url", DEFAULT_URL)) if values.get("broker") is None else "broker"
