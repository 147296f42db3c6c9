"""Which `Host` a request may name. Pure.

A web page can let its own name point to this machine (DNS rebinding); a browser then takes the collector for that
page's server and hands it every answer. The name it sends is the page's, so it is refused on every route.
"""

from __future__ import annotations

import ipaddress
import re
from typing import FrozenSet, Iterable, Optional

# A name or IPv4 address, or an IPv6 address in brackets, and perhaps a port.
_HOST = re.compile(r"(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9_.-]{1,253}))(?::[0-9]{1,5})?", re.IGNORECASE | re.ASCII)


class Hosts:
    """The names and addresses under which the server may be reached: loopback ones, and those *allowed*."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed: FrozenSet[str] = frozenset(host.strip().strip("[]").lower() for host in allowed)

    def allows(self, header: Optional[str], own_address: Optional[str] = None) -> bool:
        """Whether a request may name this `Host`, which came to *own_address* of ours."""
        host = host_of(header)
        if host is None:
            return False
        return host == "localhost" or host in self._allowed or is_loopback(host) or _is_same(host, own_address)


def host_of(header: Optional[str]) -> Optional[str]:
    """The host in a `Host` header, in lower case, without port and brackets; None if it is malformed."""
    match = _HOST.fullmatch(header or "")
    return None if match is None else (match[1] or match[2]).lower()


def is_loopback(host: str) -> bool:
    """Whether *host* is an address of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_same(host: str, own_address: Optional[str]) -> bool:
    """An address cannot be rebound: who names the very address that the connection came to means us."""
    try:
        return own_address is not None and ipaddress.ip_address(host) == ipaddress.ip_address(own_address)
    except ValueError:
        return False
