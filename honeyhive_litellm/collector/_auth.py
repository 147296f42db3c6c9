"""Which key may do what. Pure: a header's value in, a verdict out."""

from __future__ import annotations

import enum
from typing import Collection, FrozenSet, Optional, Tuple

_SCHEME = "Bearer "
# Kinds of key by prefix, and what each may do here; a key of no known prefix is taken for a project key.
# That a control plane or a fine-grained key is of no use on these routes is how HoneyHive's clients treat
# them.


class Need(enum.Enum):
    """What a route does with the data."""

    READ = "read"
    WRITE = "write"


_ALLOWED: Tuple[Tuple[str, FrozenSet[Need]], ...] = (
    ("hh_ingst_", frozenset((Need.WRITE,))),
    ("hh_ro_", frozenset((Need.READ,))),
    ("hh_fgdp_", frozenset()),
    ("hh_fgcp_", frozenset()),
)


def bearer(header: Optional[str]) -> str:
    """The key in an `Authorization` header, or "" when there is none of the form `Bearer <key>`."""
    if header is None or not header.startswith(_SCHEME):
        return ""
    return header[len(_SCHEME) :].strip()


def is_accepted(key: str, keys: Optional[Collection[str]]) -> bool:
    """Whether *key* is one of *keys*; with None, whether it is there at all."""
    return bool(key) and (keys is None or key in keys)


def may(key: str, need: Need) -> bool:
    """Whether a key of this kind is meant for that: an ingestion key never reads, a read-only key never
    writes.
    """
    for prefix, allowed in _ALLOWED:
        if key.startswith(prefix):
            return need in allowed
    return True
