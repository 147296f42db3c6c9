"""One reader for each kind of option: a value in, the clean value out, or `RefusedError` with the remedy.

A reader takes a Python value as well as the text of an environment variable. What it refuses with follows the option's
name in a `ConfigError`: "sample_rate (from HONEYHIVE_SAMPLE_RATE) " + "is '2'; give a share from 0 to 1, such as 0.1".
"""

from __future__ import annotations

import contextlib
import inspect
import json
import math
import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union
from urllib.parse import urlsplit

from honeyhive_litellm._privacy.cipher import HOW_TO_INSTALL, KEY_BYTES, algorithm, key_of
from honeyhive_litellm._privacy.pii import NAMES, named

from .broker import BrokerAccess, is_destination
from .paths import DEFAULT_URL, IN_MEMORY

Reader = Callable[[object], object]
Redaction = Union[str, Callable[[Dict[str, Any]], Mapping[str, Any]]]

_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
_SIZE = re.compile(r"([0-9]{1,18})\s*([kmg]i?b|b)?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_SHOWN_CHARS = 60
_KEY_FILE_BYTES = 65_536
_SUCH_SPOOL_KEYS = "such as `honeyhive-litellm key new` prints"


class RefusedError(Exception):
    """What is wrong with a value, and after a semicolon what to do about it."""


def _shown(value: object) -> str:
    """The refused value, for the message. Not for options that may hold a secret."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 3]}..."


def _type(value: object) -> str:
    return f"is of type {type(value).__name__}"


def text(value: object) -> str:
    if not isinstance(value, str):
        raise RefusedError(f"{_type(value)}; give a string")
    stripped = value.strip()
    if not stripped:
        raise RefusedError("is empty; give a name")
    if not stripped.isprintable():
        raise RefusedError("contains control characters; remove them")
    return stripped


WRITE_ONLY_KEY = "hh_ingst_"
"""How the keys begin that may write and not read."""

_READ_ONLY_KEYS = ("hh_ro_", "hh_fgdp_")
_CONTROL_KEY = "hh_fgcp_"
"""How a key of HoneyHive's control plane begins, which serves no events."""

_WHERE_KEYS_ARE = "in HoneyHive: Settings, API keys"


def unset(variable: str) -> str:
    """What is wrong with a setting that names this environment variable."""
    return f"is the environment variable {variable}, which is not set; set it"


def api_key(value: object) -> str:
    """The bare key, one that may write. A refusal shows no more of it than how it begins."""
    key = _key(value)
    beginning = next((each for each in (*_READ_ONLY_KEYS, _CONTROL_KEY) if key.startswith(each)), None)
    if beginning is not None:
        raise RefusedError(
            f"begins with {beginning}, so it cannot write events; give a key of the project (hh_...) or an ingestion "
            f"key ({WRITE_ONLY_KEY}...) ({_WHERE_KEYS_ARE})"
        )
    return key


def lookup_api_key(value: object) -> Optional[str]:
    """The bare key, one that may read events."""
    if value is None:
        return None
    key = _key(value)
    beginning = next((each for each in (WRITE_ONLY_KEY, _CONTROL_KEY) if key.startswith(each)), None)
    if beginning is not None:
        raise RefusedError(
            f"begins with {beginning}, so it cannot read events; give a key of the project (hh_...) or one that can "
            f"only read ({_READ_ONLY_KEYS[0]}...) ({_WHERE_KEYS_ARE})"
        )
    return key


def _key(value: object) -> str:
    if not isinstance(value, str):
        raise RefusedError(f"{_type(value)}; give the key as a string")
    key = value.strip()
    if not key:
        raise RefusedError(f"is empty; give the API key of your HoneyHive project ({_WHERE_KEYS_ARE})")
    if re.fullmatch(r"[!-~]+", key) is None:
        # The key is sent in a header: a line break in it is a slip of copying, or would begin a second header.
        raise RefusedError(
            "contains spaces, line breaks or characters that are not ASCII; give the key alone, without quotes or text"
        )
    return key


def api_url(value: object) -> str:
    """An http(s) address without a trailing slash. A refusal never shows it, because it may hold a password."""
    if not isinstance(value, str):
        raise RefusedError(f"{_type(value)}; give an address such as {DEFAULT_URL}")
    url = value.strip().rstrip("/")
    if not url:
        raise RefusedError(f"is empty; give an address such as {DEFAULT_URL}")
    if re.fullmatch(r"[!-~]+", url) is None:
        raise RefusedError(f"contains spaces or characters that are not ASCII; give an address such as {DEFAULT_URL}")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host:
        raise RefusedError(f"does not begin with http:// or https:// and a host; give an address such as {DEFAULT_URL}")
    if "@" in parts.netloc:
        raise RefusedError("contains a user name or password; remove it: the api_key is the only credential")
    if "?" in url or "#" in url:
        raise RefusedError("contains a query or fragment; give the address without it")
    return url


def broker(value: object) -> Optional[str]:
    """The address as it is. A refusal shows nothing of it, because it may hold a password."""
    if value is None:
        return None
    example = "give servers such as nats://n1:4222,n2:4222 or tls://user:password@n1,n2"
    if not isinstance(value, str):
        raise RefusedError(f"{_type(value)}; {example}")
    if re.fullmatch(r"[!-~ ]*", value) is None:
        raise RefusedError(f"contains characters that are not ASCII; {example}")
    try:
        BrokerAccess.of(value)
    except ValueError as error:
        raise RefusedError(f"{error}; {example}") from None
    if find_spec("nats") is None:
        raise RefusedError("needs a package that is not installed; run: pip install 'honeyhive-litellm[nats]'")
    return value.strip()


def destination(value: object) -> str:
    if not isinstance(value, str) or not is_destination(value.strip()):
        raise RefusedError(
            f"is {_shown(value)}; give a name of small letters, digits, - and _, such as search-team (not dead)"
        )
    return value.strip()


def flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in _TRUE + _FALSE:
        raise RefusedError(f"is {_shown(value)}; give true or false (1/0, yes/no, on/off)")
    return word in _TRUE


def seconds(*, zero: bool) -> Reader:
    """A number of seconds, 0 only if `zero`."""

    def read(value: object) -> float:
        found = _number(value)
        if not math.isfinite(found) or found < 0 or (found == 0 and not zero):
            bound = "of 0 or more" if zero else "above 0"
            raise RefusedError(f"is {_shown(value)}; give a number of seconds {bound}, such as 5 or 0.5")
        return found

    return read


def size(least: int, most: int) -> Reader:
    """A number of bytes; a text may have a unit."""

    def read(value: object) -> int:
        found: Optional[int] = None
        if isinstance(value, int) and not isinstance(value, bool):
            found = value
        elif isinstance(value, str):
            match = _SIZE.fullmatch(value.strip())
            if match is not None:
                found = int(match.group(1)) * _UNITS[(match.group(2) or "").lower()]
        if found is None or not least <= found <= most:
            raise RefusedError(
                f"is {_shown(value)}; give a number of bytes from {least} to {most}, or a text such as 4MB or 4MiB"
            )
        return found

    return read


def one_of(first: str, second: str) -> Reader:
    def read(value: object) -> str:
        word = value.strip().lower() if isinstance(value, str) else None
        if word not in (first, second):
            raise RefusedError(f'is {_shown(value)}; give "{first}" or "{second}"')
        return word

    return read


def attributes(value: object) -> Optional[Dict[str, Any]]:
    """A copy, so that the caller's later changes reach neither events nor the comparison of two settings."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise RefusedError('is not JSON; give a JSON object such as {"team": "search"}') from None
    if not isinstance(value, Mapping):
        raise RefusedError(f'{_type(value)}; give a dict, in the variable a JSON object such as {{"team": "search"}}')
    if not all(isinstance(name, str) for name in value):
        raise RefusedError("has a key that is not a string; give a dict whose keys are strings")
    return dict(value)


def redact(value: object) -> Optional[Tuple[Redaction, ...]]:
    """The names, each once and in the order of `NAMES`, then the functions: equal choices are equal values."""
    choices = value if isinstance(value, (list, tuple, set, frozenset)) else [] if value is None else [value]
    names: List[str] = []
    functions: List[Redaction] = []
    for choice in choices:
        if isinstance(choice, str):
            for word in filter(None, map(str.strip, choice.split(","))):
                kinds = named(word)
                if not kinds:
                    raise RefusedError(
                        f"has the unknown name {_shown(word)}; give names out of {', '.join(NAMES)}, pii, all; "
                        "or functions"
                    )
                names.extend(kinds)
        elif not callable(choice):
            raise RefusedError(
                f"has an entry of type {type(choice).__name__}; give names such as {NAMES[0]}, functions, or a list"
            )
        elif inspect.iscoroutinefunction(choice):
            raise RefusedError("has an async function; give a plain one, because it is called without an event loop")
        elif choice not in functions:
            functions.append(choice)
    return (*(name for name in NAMES if name in names), *functions) or None


def share(value: object) -> float:
    found = _number(value)
    if not 0 <= found <= 1:
        raise RefusedError(f"is {_shown(value)}; give a share from 0 to 1, such as 0.1")
    return found


def folder(value: object) -> Path:
    if str(value).strip() == str(IN_MEMORY):
        return IN_MEMORY
    return _path(value, "a folder")


def key_file(value: object) -> Optional[Path]:
    return None if value is None else _path(value, "a file with keys")


def _path(value: object, what: str) -> Path:
    """The absolute path, because the program may change its working folder before it is used."""
    if not isinstance(value, (str, os.PathLike)):
        raise RefusedError(f"{_type(value)}; give the path of {what}")
    path = os.fspath(value)
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        raise RefusedError(f"is {_shown(path)}; give the path of {what}")
    return Path(os.path.abspath(os.path.expanduser(path)))


def spool_key(value: object) -> Optional[Tuple[str, ...]]:
    """The keys in base64, the newest first, each once. A refusal never shows one."""
    if value is None:
        return None
    entries = value if isinstance(value, (list, tuple)) else [value]
    texts = [each for each in entries if isinstance(each, str)]
    if len(texts) < len(entries):
        raise RefusedError(f"has a value that is no string; give keys as strings, {_SUCH_SPOOL_KEYS}")
    keys = tuple(dict.fromkeys(word for each in texts for word in re.split(r"[\s,]+", each) if word))
    if not keys:
        raise RefusedError(f"is empty; give a key, {_SUCH_SPOOL_KEYS}")
    for number, key in enumerate(keys, 1):
        if key_of(key) is None:
            raise RefusedError(
                f"has no key in place {number} of {len(keys)}; give {KEY_BYTES} bytes in base64, {_SUCH_SPOOL_KEYS}, "
                "with commas between keys"
            )
    try:
        algorithm()
    except ImportError as error:
        raise RefusedError(f"needs the package cryptography; {HOW_TO_INSTALL}") from error
    return keys


def keys_in(path: Path) -> Tuple[str, ...]:
    """The keys in a file, the newest first, with line breaks or commas between them. Lines with # are comments."""
    try:
        with open(path, "rb") as file:
            content = file.read(_KEY_FILE_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise RefusedError(f"cannot be read ({reason}); give the path of a file with keys") from None
    return spool_key([line for line in content.splitlines() if not line.lstrip().startswith("#")]) or ()


def file(value: object) -> Optional[Path]:
    """The absolute path of a file, which is not opened."""
    return None if value is None else _path(value, "a file")


def _number(value: object) -> float:
    """The value as a float; NaN if it is none."""
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            return float(value)
    return math.nan
