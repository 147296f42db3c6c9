"""Passwords without a sign before them: among the arguments of commands, and in lines such as `ENV API_KEY ...`.

`mysql -ppassword`, `docker login -p password`, `redis-cli -a password`, `IDENTIFIED BY 'password'`,
`#define PASSWORD "..."`. The quick looks are in `credentials`.
"""

from __future__ import annotations

import re
from typing import List

from .assignments import Span, name_before
from .key_shape import can_be_key, can_be_secret, is_code, is_path, is_placeholder
from .secret_names import NameKind
from .vendor_keys import START

_WORD = (
    r"(?:\\{0,3}\"[^\"\n\\]{4,128}\\{0,3}\"|\\{0,3}'[^'\n\\]{4,128}\\{0,3}'"
    r"|[^\s\"'`\\-](?:[^\s\"'`\\]|\\(?![nrt\"'])){3,127})"
)
SAME_COMMAND = r"(?:[^\n\\]|\\(?:\n|\\\\n|[^nr\n])){0,200}?[ ]"
"""Up to a blank of the same command, over ends of lines that a backslash continues; also as JSON in a string."""
COMMANDS = re.compile(
    rf"{START}(?:sshpass|(?:docker|podman|oc|az|registry)[ ]login|twine[ ]upload|mongo\w{{0,8}})\b(?=[ ])"
    rf"{SAME_COMMAND}-p[ ]?(?P<a>{_WORD})"
    rf"|{START}(?:mysql\w{{0,10}}|mariadb\w{{0,10}}|7z)\b(?=[ ]){SAME_COMMAND}-p(?P<b>(?![ ]){_WORD})"
    rf"|{START}openssl\b(?=[ ]){SAME_COMMAND}-pass(?:in|out)?[ ]pass:(?P<c>{_WORD})"
    rf"|{START}redis-cli\b(?=[ ]){SAME_COMMAND}-a[ ](?P<d>{_WORD})"
    rf"|{START}zip\b(?=[ ]){SAME_COMMAND}-P[ ]?(?P<e>{_WORD})"
    rf"|{START}echo[ ](?P<f>{_WORD})[ ]?\|[^\n]{{0,100}}[ ]--password-stdin"
    rf"|{START}curl\b(?=[ ]){SAME_COMMAND}(?:-b|--cookie)[ ]"
    r"(?P<i>\"(?=[^\"\n=]{1,64}=)[^\"\n$]{4,1024}\"|'(?=[^'\n=]{1,64}=)[^'\n]{4,1024}')"
    rf"|(?:oracle:thin:|{START}sqlplus[ ])[\w.$-]{{1,64}}/(?P<h>[^\s@\"'\[][^\s@\"']{{0,127}})(?=@)"
    rf"|SecureString[ ](?:-String[ ])?(?P<g>\"[^\"\n$]{{4,128}}\"|'[^'\n]{{4,128}}')"
)
"""Commands that take a password in an option of their own."""

_NAME_AND_BLANK = re.compile(
    r"(?:[Pp]assw(?:or)?d|PASSW(?:OR)?D|_PASS|_KEY|_TOKEN|_SECRET|_key|_authToken"
    r"|(?P<sql>IDENTIFIED[ ]BY|PASSWORD[ ]FOR[ ][^=\n]{1,64}=))"
    r"(?P<gap>[ \t]{1,8}(?:(?:is|was|ist|lautet|BY|--body)[ ])?)"
    r"(?P<value>\"[^\"\s]{4,128}\"|'[^'\s]{4,128}'|[^\s\"'`]{8,128}(?=\s|\Z))"
)
_HEX_NUMBER = re.compile(r"0x[0-9A-Fa-f]{1,16}[uUlL]{0,3},?")
_MIXED = re.compile(r"(?=.{0,64}[a-z])(?=.{0,64}[A-Z])(?=[^\W_]{0,64}[\W_]).{7,128}\w")
_QUOTE = re.compile(r"\\*[\"']")
_END = ",;.)"


def arguments(text: str) -> List[Span]:
    """The passwords among the arguments of commands."""
    spans = []
    for match in COMMANDS.finditer(text):
        group = match.lastgroup or "a"
        value = match.group(group)
        start, end = match.span(group)
        quote = _QUOTE.match(value)
        if quote is not None:
            start, end = start + quote.end(), end - quote.end()
        if (
            not is_placeholder(text[start:end])
            and text[start] not in "$-\\"
            and not text.startswith("[redacted", start)
        ):
            spans.append(Span(start, end))
    return spans


def without_sign(text: str) -> List[Span]:
    """The values behind a name and a blank. Without quotes they have to be keys, with a digit."""
    spans = []
    for match in _NAME_AND_BLANK.finditer(text):
        start, end = match.span("value")
        value = match.group("value").rstrip(_END)
        end = start + len(value)
        is_quoted = value[0] in "\"'" and value[-1] == value[0] and len(value) > 2
        if is_quoted:
            start, end, value = start + 1, end - 1, value[1:-1]
        if match.group("sql") is None:
            name = name_before(text, match.start("gap"))
            kind = name.kind if name is not None else None
        else:
            kind = NameKind.PASSWORD
        if kind is not None and _is_one(value, kind, is_quoted, match.group("sql") is not None):
            spans.append(Span(start, end))
    return spans


def _is_one(value: str, kind: NameKind, is_quoted: bool, is_sql: bool) -> bool:
    """Whether a value is a credential."""
    if value.startswith("[redacted") or is_placeholder(value) or is_path(value) or "://" in value:
        return False
    if is_quoted and kind is NameKind.PASSWORD:
        return is_sql or can_be_secret(value, after_equals=False)
    if is_code(value) or _HEX_NUMBER.fullmatch(value) is not None or not any(map(str.isdigit, value)):
        return False
    return can_be_key(value) or (kind is NameKind.PASSWORD and _MIXED.fullmatch(value) is not None)
