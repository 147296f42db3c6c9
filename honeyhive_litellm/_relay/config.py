"""`relay.toml`: where the broker is, where each destination's events go, and where the keys are.

A key itself is in no file of this kind: it names variables, and a file with the keys that decrypt.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from honeyhive_litellm._broker.names import consumer_of, stream_of
from honeyhive_litellm._config.broker import BrokerAccess, is_destination
from honeyhive_litellm._config.paths import DEFAULT_URL
from honeyhive_litellm._config.readers import (
    Reader,
    RefusedError,
    api_key,
    api_url,
    keys_in,
    lookup_api_key,
    seconds,
    size,
    spool_key,
    text,
    unset,
)
from honeyhive_litellm._errors import ConfigError
from honeyhive_litellm._privacy.cipher import Cipher, cipher_of

BROKER_VARIABLE = "HONEYHIVE_BROKER"
"""Where the address is taken from if the file has none: an address with a password belongs into no file."""

KEYS_VARIABLE = "HONEYHIVE_SPOOL_KEY"
"""Where the keys that decrypt are if the file names no other variable: it may be unset."""

RUN_INIT = "run `honeyhive-litellm relay init`"
"""What helps where a stream or a consumer is missing."""

_MAX_WORKERS = 64
_MAX_REPLICAS = 5


@dataclass(frozen=True)
class Destination:
    """One stream and the HoneyHive project that it goes to. `api_key` is None unless the keys were asked for."""

    name: str
    api_url: str
    api_key: Optional[str] = field(repr=False)
    lookup_api_key: Optional[str] = field(repr=False)
    project: str
    environment: str
    workers: int
    max_bytes: int

    @property
    def stream(self) -> str:
        return stream_of(self.name)

    @property
    def consumer(self) -> str:
        return consumer_of(self.name)


@dataclass(frozen=True)
class RelayConfig:
    """What a relay is configured with. Times are in seconds.

    `cipher` has the keys of all applications; it opens nothing that is encrypted if there is none.

    `ack_wait` is how long the broker waits for a sign of life before it gives a message to another relay;
    `max_ack_pending` is how many messages of one destination all relays together may have in hand. `replicas` is None
    for as many as the broker has nodes, at most 3.
    """

    broker: BrokerAccess
    cipher: Cipher
    destinations: Tuple[Destination, ...]
    ack_wait: float
    max_ack_pending: int
    dead_max_bytes: int
    replicas: Optional[int]
    lookup_delay: float
    request_timeout: float
    shutdown_timeout: float


def read_config(path: Path, environ: Mapping[str, str], *, with_keys: bool) -> RelayConfig:
    """The configuration in this file. Without `with_keys` the variables and the file of the keys need not be there.

    Raises ConfigError, which names every problem at once and shows no value that may be a secret.
    """
    return config_of(_decoded(path), environ, with_keys=with_keys, source=str(path))


def config_of(found: Mapping[str, Any], environ: Mapping[str, str], *, with_keys: bool, source: str) -> RelayConfig:
    """The configuration in a decoded file, which messages call `source`."""
    problems: List[str] = []
    top = _Table(found, "", problems)
    broker, cipher = _broker(top, environ), _cipher(top, environ, with_keys)
    general: Dict[str, Any] = {
        "ack_wait": top.take("ack_wait", seconds(zero=False), 30.0),
        "max_ack_pending": top.take("max_ack_pending", _number(100, 1_000_000), 20_000),
        "dead_max_bytes": top.take("dead_max_bytes", size(2**20, 2**50), 2**30),
        "replicas": top.take("replicas", _number(1, _MAX_REPLICAS), None),
        "lookup_delay": top.take("lookup_delay", seconds(zero=True), 20.0),
        "request_timeout": top.take("request_timeout", seconds(zero=False), 30.0),
        "shutdown_timeout": top.take("shutdown_timeout", seconds(zero=True), 20.0),
    }
    tables = top.take("destinations", _tables, {})
    destinations = tuple(_destination(name, table, environ, with_keys, problems) for name, table in tables.items())
    if not destinations and not problems:
        problems.append("has no destination; add a table such as [destinations.default]")
    top.refuse_the_rest()
    if problems or broker is None:
        raise ConfigError("\n  ".join([f"the relay cannot use {source}:", *problems]))
    return RelayConfig(broker, cipher, destinations, **general)


class _Table:
    """The keys of one table, each taken once. Problems are collected."""

    def __init__(self, found: Mapping[str, Any], place: str, problems: List[str]) -> None:
        self._left = dict(found)
        self._place = place
        self.problems = problems

    def take(self, name: str, read: Reader, default: Any) -> Any:
        """The clean value; `default` if the key is missing or refused."""
        if name not in self._left:
            return default
        try:
            return read(self._left.pop(name))
        except RefusedError as refusal:
            self.problems.append(f"{self._place}{name} {refusal}")
            return default

    def refuse_the_rest(self) -> None:
        self.problems.extend(f"{self._place}{name} is not an option of a relay; remove it" for name in self._left)


def _broker(top: _Table, environ: Mapping[str, str]) -> Optional[BrokerAccess]:
    address = top.take("broker", _address, None) or environ.get(BROKER_VARIABLE, "").strip()
    files = {name: top.take(f"broker_{name}", _path, None) for name in ("credentials", "nkey", "ca")}
    if not address:
        top.problems.append(f'broker is missing; add broker = "nats://...", or set {BROKER_VARIABLE}')
        return None
    try:
        return BrokerAccess.of(address, **files)
    except ValueError as error:
        top.problems.append(f'broker {error}; give an address such as "nats://n1:4222,n2:4222,n3:4222"')
        return None


def _cipher(top: _Table, environ: Mapping[str, str], with_keys: bool) -> Cipher:
    """With the keys in the variable, then those in the file."""
    variable = top.take("key_env", text, None)
    path: Optional[Path] = top.take("key_file", _path, None)
    value = environ.get(variable or KEYS_VARIABLE, "").strip()
    keys: List[str] = []
    try:
        if value:
            keys += spool_key(value) or ()
        elif variable is not None and with_keys:
            top.problems.append(f"key_env {unset(variable)}")
    except RefusedError as refusal:
        top.problems.append(f"key_env: the variable {variable or KEYS_VARIABLE} {refusal}")
    try:
        if path is not None and (with_keys or os.access(path, os.R_OK)):
            keys += keys_in(path)
    except RefusedError as refusal:
        top.problems.append(f"key_file: {path} {refusal}")
    return cipher_of(keys)


def _destination(
    name: str, found: Mapping[str, Any], environ: Mapping[str, str], with_keys: bool, problems: List[str]
) -> Destination:
    place = f"destinations.{name}."
    if not is_destination(name):
        problems.append(f"destinations.{name} is no valid name; use a-z, 0-9, _ and -, up to 64 characters")
    table = _Table(found, place, problems)
    key_variable = table.take("api_key_env", text, "HONEYHIVE_API_KEY")
    lookup_variable = table.take("lookup_api_key_env", text, None)

    def key(option: str, variable: Optional[str], read: Reader) -> Any:
        if not with_keys or variable is None:
            return None
        value = environ.get(variable, "").strip()
        try:
            if value:
                return read(value)
            problems.append(f"{place}{option} {unset(variable)}")
        except RefusedError as refusal:
            problems.append(f"{place}{option}: the variable {variable} {refusal}")
        return None

    destination = Destination(
        name=name,
        api_url=table.take("api_url", api_url, DEFAULT_URL),
        api_key=key("api_key_env", key_variable, api_key),
        lookup_api_key=key("lookup_api_key_env", lookup_variable, lookup_api_key),
        project=table.take("project", text, name),
        environment=table.take("environment", text, "production"),
        workers=table.take("workers", _number(1, _MAX_WORKERS), 4),
        max_bytes=table.take("max_bytes", size(2**20, 2**50), 10 * 2**30),
    )
    table.refuse_the_rest()
    return destination


def _address(value: object) -> str:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ",".join(value)
    if not isinstance(value, str):
        raise RefusedError('is no text; give an address such as "nats://n1:4222,n2:4222"')
    return value


def _path(value: object) -> Path:
    return Path(text(value)).expanduser()


def _tables(value: object) -> Dict[str, Dict[str, Any]]:
    if not isinstance(value, dict) or not all(isinstance(table, dict) for table in value.values()):
        raise RefusedError("is no table; add one for each destination, such as [destinations.default]")
    return value


def _number(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise RefusedError(f"is no number from {least} to {most}")
        return value

    return read


def _decoded(path: Path) -> Dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no valid TOML {_place_of(error)}") from error


def _place_of(error: ValueError) -> str:
    """Where the mistake is. What is there is not shown: it may be a password."""
    if isinstance(error, UnicodeDecodeError):
        return f"(at byte {error.start + 1}, which is no UTF-8)"
    found = re.search(r"\(at (line \d+, column \d+|end of document)\)$", str(error))
    return found[0] if found else f"({type(error).__name__})"
