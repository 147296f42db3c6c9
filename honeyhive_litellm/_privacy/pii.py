"""Personal data in text, by name: `redact="email"` and the like. Pure; no pattern is compiled before it is needed.

A kind of data has a gate, a few patterns and, where there is one, a check digit. The gate is a quick look at all the
text of an event at once, which is almost always negative. The patterns find the form; the check tells a card's number
from any other of sixteen digits. To add a kind: a row of `_DEFINITIONS`, the function that it names, its examples in
tests/unit/test_privacy_pii.py, and a row of the table in docs/how-to/redaction.md.

The forms are in `pii_forms`.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any, Callable, Iterable, Iterator, List, NamedTuple, Optional, Pattern, Sequence, Tuple

from .pii_forms import (
    CARDS,
    EMAIL,
    HEX,
    IPV4,
    IPV6,
    PHONE_LABELLED,
    PHONE_SHORT_WORDS,
    PHONE_WORDS,
    PHONES,
    SSN,
    SSN_LABELLED,
    iban,
    is_card,
    is_email,
    is_iban,
    is_ip,
    is_phone,
)


class Kind(NamedTuple):
    """One kind of personal data, ready for use.

    `check` judges what a pattern has found. `labelled` finds, as its group 1, what only a word before it reveals, as in
    "phone: 4155550132". It is applied to text that has one of the `labels`, and to a dictionary's keys and values.
    What stands right behind `not_after` is another thing, as the version in "Chrome/120.0.0.0" is.
    """

    name: str
    gate: Callable[[str], object]
    patterns: Tuple[Pattern[str], ...]
    check: Optional[Callable[[str], bool]] = None
    labelled: Optional[Pattern[str]] = None
    labels: Tuple[str, ...] = ()
    not_after: Optional[Pattern[str]] = None

    @property
    def mark(self) -> str:
        return f"[redacted: {self.name}]"


# ---- gates

Gate = Callable[[str], object]

# Digits become "0", what may stand between the digits of one number is deleted, and everything else becomes "|".
_DIGITS = bytes(ord("0") if chr(byte) in "0123456789" else ord("|") for byte in range(256))
_BETWEEN = b" .,+%/()-\t\r\n_" + bytes(range(128, 256))
# Digits become "0", letters "a", and everything else stays.
_WORDS = bytes(
    ord("0") if chr(byte) in "0123456789" else ord("a") if chr(byte).isalpha() else byte for byte in range(256)
)


def _has_digits(count: int) -> Gate:
    digits = b"0" * count
    return lambda text: digits in text.encode("utf-8", "replace").translate(_DIGITS, _BETWEEN)


def _has_one_of(*signs: str) -> Gate:
    return lambda text: any(sign in text for sign in signs)


def _has_letters_and_digits(then: str) -> Gate:
    look = re.compile(then).search
    return lambda text: b"aa00" in text.encode("utf-8", "replace").translate(_WORDS) and look(text)


def _finds_one_of(*patterns: str) -> Gate:
    """Patterns that begin with a plain character, to which `re` skips quickly."""
    looks = [re.compile(pattern).search for pattern in patterns]
    return lambda text: any(look(text) for look in looks)


class _Form(NamedTuple):
    """What recognizes a kind, with patterns still to be compiled. The fields are those of `Kind`."""

    gate: Gate
    patterns: Tuple[str, ...]
    check: Optional[Callable[[str], bool]] = None
    labelled: Optional[str] = None
    labels: Tuple[str, ...] = ()
    not_after: Optional[str] = None


def _email_form() -> _Form:
    return _Form(_has_one_of("@", "%40", "u0040", "&#64;", "&#x40;"), (EMAIL,), is_email)


def _iban_form() -> _Form:
    then = r"[0-9]{2}(?<=[A-Za-z]{2}[0-9]{2})(?:[ \u00a0-]?[A-Za-z0-9]){11}"
    return _Form(_has_letters_and_digits(then), (iban(),), is_iban)


def _card_form() -> _Form:
    return _Form(_has_digits(13), CARDS, is_card)


def _ssn_form() -> _Form:
    return _Form(_has_digits(9), (SSN,), None, SSN_LABELLED, ("ssn", "social"))


def _ip_form() -> _Form:
    gate = _finds_one_of(rf":{HEX}{{0,4}}:", r"\.[0-9]{1,3}\.[0-9]{1,3}\.")
    return _Form(gate, (IPV6, IPV4), is_ip, not_after=r"(?:\b(?-i:[A-Z])[\w.+-]{1,30}/|\bv(?:ersion)?[ =:]?)\Z")


def _phone_form() -> _Form:
    labels = tuple(word.lower() for word in (*PHONE_WORDS, *PHONE_SHORT_WORDS))
    return _Form(_has_digits(7), PHONES, is_phone, PHONE_LABELLED, labels)


# ---- the kinds


class _Definition(NamedTuple):
    """One name of `redact`, and its other spellings without punctuation.

    `form` is None for a kind of credential: these are always removed, so the name changes nothing.
    """

    name: str
    aliases: Tuple[str, ...]
    form: Optional[Callable[[], _Form]]


def _squashed(word: str) -> str:
    return re.sub(r"[\W_]+", "", word.lower())


_DEFINITIONS = (
    _Definition("email", ("mail", "emailaddress"), _email_form),
    _Definition("iban", (), _iban_form),
    _Definition("card", ("cards", "creditcard", "cardnumber"), _card_form),
    _Definition("ssn", ("ussn", "usssn"), _ssn_form),
    _Definition("ip", ("ipaddress",), _ip_form),
    _Definition("phone", ("phonenumber", "telephone"), _phone_form),
    _Definition("jwt", (), None),
    _Definition("pem", ("privatekey", "pemkey"), None),
    _Definition("api_key", ("apikeys",), None),
)
"""Every kind, in the order in which they are searched."""

NAMES = tuple(definition.name for definition in _DEFINITIONS)
CREDENTIALS = frozenset(definition.name for definition in _DEFINITIONS if definition.form is None)

_GROUPS = {"all": NAMES, "pii": tuple(name for name in NAMES if name not in CREDENTIALS)}
_FORMS = {definition.name: definition.form for definition in _DEFINITIONS if definition.form is not None}
_SPELLINGS = {_squashed(spelling): name for name, aliases, _ in _DEFINITIONS for spelling in (name, *aliases)}


def named(word: str) -> Tuple[str, ...]:
    """The kinds that a word stands for, none if it is unknown. Case, `-`, `_` and blanks make no difference."""
    squashed = _squashed(word)
    if squashed in _GROUPS:
        return _GROUPS[squashed]
    return (_SPELLINGS[squashed],) if squashed in _SPELLINGS else ()


@functools.lru_cache(maxsize=None)
def kind(name: str) -> Kind:
    """The kind of this name, one of `NAMES` that is no credential; compiled once."""
    gate, patterns, check, labelled, labels, not_after = _FORMS[name]()
    flags = re.IGNORECASE if name == "email" else re.IGNORECASE | re.ASCII
    compiled = tuple(re.compile(pattern, flags) for pattern in patterns)
    label, before = (None if p is None else re.compile(p, flags) for p in (labelled, not_after))
    return Kind(name, gate, compiled, check, label, labels, before)


# ---- the search


def without(value: Any, names: Sequence[str]) -> Any:
    """A copy of `value`, a plain tree, without personal data of these kinds; `value` itself if it has none."""
    kinds = [kind(name) for name in names if name not in CREDENTIALS]
    joined = _plain("\n".join(_texts(value)))
    found = [one for one in kinds if one.gate(joined)]
    return _tree(value, found) if found else value


def _texts(value: Any) -> Iterator[str]:
    """All text in a tree, keys included, and numbers long enough to be personal data."""
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, dict):
            stack.extend(node)
            for name, item in node.items():
                if _is_long_number(item):
                    yield f"{name} {item}"
                else:
                    stack.append(item)
        elif isinstance(node, list):
            stack.extend(node)
        elif _is_long_number(node):
            yield str(node)


def _is_long_number(value: Any) -> bool:
    return type(value) is int and value >= 10**6


def _tree(value: Any, kinds: Sequence[Kind]) -> Any:
    if isinstance(value, str):
        return _text(value, kinds)
    if isinstance(value, dict):
        return {_text(name, kinds): _item(name, item, kinds) for name, item in value.items()}
    if isinstance(value, list):
        return [_tree(item, kinds) for item in value]
    if _is_long_number(value):
        redacted = _raw(str(value), kinds)
        return value if redacted == str(value) else redacted
    return value


def _item(name: str, item: Any, kinds: Sequence[Kind]) -> Any:
    """A dictionary's value, redacted by its name, too: {"phone": 4155550132}."""
    if (isinstance(item, str) and len(item) <= 40) or _is_long_number(item):
        for one in kinds:
            match = one.labelled.search(f"{name}: {item}") if one.labelled is not None else None
            if match is not None and match.group(1) == str(item).strip():
                return one.mark
    return _tree(item, kinds)


def _text(text: str, kinds: Sequence[Kind]) -> str:
    """One text. A text of JSON stays JSON: it is decoded, redacted and encoded again."""
    redacted = _raw(text, kinds)
    if text[:1] not in ("{", "[") or (redacted == text and "\\" not in text):
        return redacted
    try:
        value = json.loads(text)
        inner = _tree(value, kinds)
        return redacted if inner == value else _raw(json.dumps(inner, ensure_ascii=False), kinds)
    except (ValueError, RecursionError):
        return redacted


_OTHER_FORMS = re.compile("[\uff01-\uff5e\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_PLAIN_FORMS = {
    **{0xFEE0 + code: code for code in range(0x21, 0x7F)},
    **dict.fromkeys((0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000), 0x20),
}


def _plain(text: str) -> str:
    """`text` with full-width characters and blanks of other widths as the plain ones; as long as it was."""
    return text if text.isascii() or not _OTHER_FORMS.search(text) else text.translate(_PLAIN_FORMS)


def _raw(text: str, kinds: Sequence[Kind]) -> str:
    plain = _plain(text)
    for one in kinds:
        if one.gate(plain):
            for pattern in one.patterns:
                text, plain = _both(text, plain, pattern, one, 0)
            if one.labelled is not None and _has_label(plain, one):
                text, plain = _both(text, plain, one.labelled, one, 1)
    return text


def _both(text: str, plain: str, pattern: Pattern[str], one: Kind, group: int) -> Tuple[str, str]:
    """The text and its plain form, each with the mark wherever the pattern matches the plain form."""
    if text is plain:
        redacted = _replaced(text, pattern, one, group)
        return redacted, redacted
    spans = list(_spans(plain, pattern, one, group))
    return _marked(text, spans, one), _marked(plain, spans, one)


def _has_label(text: str, one: Kind) -> bool:
    lower = text.lower()
    return any(label in lower for label in one.labels)


def _replaced(text: str, pattern: Pattern[str], one: Kind, group: int = 0) -> str:
    """`text` with each match that passes the check replaced by the mark."""
    return _marked(text, _spans(text, pattern, one, group), one)


def _spans(text: str, pattern: Pattern[str], one: Kind, group: int) -> Iterator[Tuple[int, int]]:
    """Where the matches are that pass the check.

    A match that does not pass may have one inside that does, so the search goes on one character behind its start.
    """
    match = pattern.search(text)
    while match is not None:
        start, end = match.span(group)
        is_other = one.not_after is not None and one.not_after.search(text, max(start - 32, 0), start)
        if not is_other and (one.check is None or one.check(match.group(group))):
            yield start, end
            match = pattern.search(text, end)
        else:
            match = pattern.search(text, end if is_other else match.start() + 1)


def _marked(text: str, spans: Iterable[Tuple[int, int]], one: Kind) -> str:
    """`text` with the mark in the place of each span."""
    parts: List[str] = []
    done = 0
    for start, end in spans:
        parts += (text[done:start], one.mark)
        done = end
    return "".join(parts) + text[done:] if parts else text
