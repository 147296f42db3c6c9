"""The names that credentials go by: in dictionaries, in HTTP headers, among the parameters of a call.

This is the only list of them. Add a name here: to `_ENDINGS`, or to `_WHOLE` if it is a credential's only when nothing
stands before it. What credentials look like inside a text is in `credentials`.
"""

from __future__ import annotations

import functools
import re

REDACTED = "[redacted]"
"""What replaces the value under such a name."""

# Names are compared without punctuation and in lower case: "X-Api-Key" is "xapikey".

_HEADER_PARTS = ("authorization", "cookie", "apikey", "secret", "password", "credential")
"""The name of a credential if it ends in one of these; that of a header if it has one anywhere."""

_ENDINGS = (
    *_HEADER_PARTS,
    "accesskey", "accesskeyid", "secretkey", "privatekey", "accountkey", "masterkey", "signingkey", "encryptionkey",
    "subscriptionkey", "virtualkey", "licensekey", "passwd", "passphrase", "secretvalue", "credentials", "basicauth",
    "jwt", "token", "connectionstring", "connectionuri", "databaseurl", "databaseuri", "dburl", "redisurl", "mongouri",
    "dsn",
)  # fmt: skip
"""The name of a credential ends in one of these."""

_WHOLE = frozenset(
    (
        "auth", "bearer", "cookies", "pwd", "sas", "sig", "secrets", "apikeys", "xkey", "ocikey", "secretkeybase",
    )
)  # fmt: skip
"""The name of a credential is one of these as it stands. As endings they would hit ordinary names, such as "texas"."""

_ORDINARY_TOKEN = re.compile(
    r"(?:^|eos|bos|pad|unk|sep|cls|mask|stop|start|end|next|page|per|special|continuation|cancellation|first|last)token$"
)
"""Tokens that are pieces of text or places in a list."""

_SCHEMA_WORDS = frozenset(
    (
        "type", "title", "description", "format", "minLength", "maxLength", "pattern", "nullable", "anyOf", "oneOf",
        "writeOnly", "readOnly", "default",
    )
)  # fmt: skip
_PUNCTUATION = re.compile(r"[\W_]+")


@functools.lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a value of this name is a credential. Case, `-`, `_` and camelCase make no difference.

    Not secret are the names of counts ("prompt_tokens"), of ids and hashes ("key_alias", "user_api_key_hash"), and a
    bare "token", which among log probabilities is a piece of text.
    """
    squashed = _squashed(name)
    if squashed in _WHOLE:
        return True
    return squashed.endswith(_ENDINGS) and not _ORDINARY_TOKEN.search(squashed)


@functools.lru_cache(maxsize=1024)
def is_secret_header(name: str) -> bool:
    """Whether the HTTP header of this name proves who somebody is. Stricter than `is_secret_name`."""
    squashed = _squashed(name)
    return (
        is_secret_name(name)
        or name.lower().endswith(("token", "-auth", "-key"))
        or "signature" in squashed
        or any(part in squashed for part in _HEADER_PARTS)
    )


def _squashed(name: str) -> str:
    return _PUNCTUATION.sub("", name[-128:]).lower()


def is_schema(value: object) -> bool:
    """Whether `value`, under the name of a credential, is the JSON schema of one: a tool's parameter "password"."""
    if not isinstance(value, dict) or not ("type" in value or "anyOf" in value):
        return False
    return _SCHEMA_WORDS.issuperset(value) and value.get("default") is None and value.get("type") != "service_account"
