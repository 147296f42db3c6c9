"""Where a broker is and how to log in: from an address and the paths of files. Opens none of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import List, Mapping, Optional, Set, Tuple, cast
from urllib.parse import unquote, urlsplit

from .paths import DESTINATIONS_NAME, IN_MEMORY

DEFAULT_PORT = 4222
DEFAULT_DESTINATION = "default"

_SCHEMES = ("nats", "tls")
_DESTINATION = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_RESERVED = "dead"
"""No destination has this name: on a disk that ignores case its stream would be that of the dead letters."""


@dataclass(frozen=True)
class BrokerAccess:
    """One cluster. `servers` are addresses without credentials, such as "nats://n1:4222"."""

    servers: Tuple[str, ...]
    user: Optional[str] = field(default=None, repr=False)
    password: Optional[str] = field(default=None, repr=False)
    credentials: Optional[Path] = None
    nkey: Optional[Path] = None
    ca: Optional[Path] = None

    @property
    def name(self) -> str:
        """The addresses for a log line: no credentials are in them."""
        return ",".join(self.servers)

    @property
    def is_tls(self) -> bool:
        return self.servers[0].startswith("tls:")

    @classmethod
    def of(
        cls,
        address: str,
        *,
        credentials: Optional[Path] = None,
        nkey: Optional[Path] = None,
        ca: Optional[Path] = None,
    ) -> BrokerAccess:
        """From "nats://user:password@n1,n2:4223,n3". Raises ValueError, whose text shows nothing of the address."""
        servers: List[str] = []
        logins: Set[Tuple[str, str]] = set()
        schemes: Set[str] = set()
        scheme = "nats"
        for part in filter(None, map(str.strip, address.split(","))):
            try:
                parts = urlsplit(part if "://" in part else f"{scheme}://{part}")
                host, port = parts.hostname, parts.port
            except ValueError:
                raise ValueError("has a server without a valid host and port") from None
            if parts.scheme not in _SCHEMES or not host:
                raise ValueError("does not consist of nats:// or tls:// and hosts")
            if parts.path.strip("/") or parts.query or parts.fragment:
                raise ValueError("has a path, query or fragment")
            if parts.username is not None:
                if not parts.username or not parts.password:
                    raise ValueError("has a user name without a password, or the reverse")
                logins.add((unquote(parts.username), unquote(parts.password)))
            scheme = parts.scheme
            schemes.add(scheme)
            servers.append(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port or DEFAULT_PORT}")
        if not servers:
            raise ValueError("names no server")
        if len(schemes) > 1:
            raise ValueError("mixes nats:// and tls://")
        if len(logins) > 1:
            raise ValueError("has several user names or passwords")
        if len(logins) + (credentials is not None) + (nkey is not None) > 1:
            raise ValueError("has a password beside a credentials file or an nkey, or both of these are set")
        user, password = next(iter(logins), (None, None))
        return cls(tuple(dict.fromkeys(servers)), user, password, credentials, nkey, ca)


def is_destination(name: str) -> bool:
    """Whether a destination may have this name, which becomes part of a stream's name and of a subject."""
    return _DESTINATION.fullmatch(name) is not None and name != _RESERVED


def broker_problems(clean: Mapping[str, object], *, has_broker: bool) -> List[str]:
    """What is wrong with the options of a broker together, where each alone is right."""
    problems = []
    address = clean.get("broker")
    if isinstance(address, str):
        files = {name: cast(Optional[Path], clean.get(f"broker_{name}")) for name in ("credentials", "nkey", "ca")}
        try:
            BrokerAccess.of(address, **files)
        except ValueError as error:
            problems.append(f"broker (HONEYHIVE_BROKER) {error}; give one login")
    path, destination = clean.get("spool_path"), clean.get("broker_destination", DEFAULT_DESTINATION)
    if has_broker and isinstance(path, Path) and path.parent.name == DESTINATIONS_NAME and path.name != destination:
        problems.append(
            f"spool_path (HONEYHIVE_SPOOL_PATH) is the folder of the destination {path.name}, and broker_destination "
            f"(HONEYHIVE_BROKER_DESTINATION) is {destination}, where its events would go; give the folder above "
            f"{DESTINATIONS_NAME}, or the same destination"
        )
    if path == IN_MEMORY and clean.get("broker_keep"):
        problems.append(
            "broker_keep (HONEYHIVE_BROKER_KEEP) keeps files, and spool_path (HONEYHIVE_SPOOL_PATH) is :memory:; give "
            "the path of a folder, or leave broker_keep out"
        )
    if path == IN_MEMORY and (not has_broker or clean.get("flush") is False):
        problems.append(
            "spool_path (HONEYHIVE_SPOOL_PATH) is :memory:, which is for a process that delivers to a broker; "
            "set broker / HONEYHIVE_BROKER, or give the path of a folder"
        )
    return problems
