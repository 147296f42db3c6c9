"""Personal data in text, by name: `redact="email"` and the like. Pure; no pattern is compiled before it is needed.

A kind of data has a gate, a few patterns and, where there is one, a check digit. The gate is a quick look at all the
text of an event at once, which is almost always negative. The patterns find the form; the check tells a card's number
from any other of sixteen digits. To add a kind: a row of `_DEFINITIONS`, the function that it names, its examples in
tests/unit/test_privacy_pii.py, and a row of the table in docs/how-to/redaction.md.

No text can make the search slow. Every repetition is bounded, or followed by a character that it cannot match itself,
and no run of characters has more than a few places where a match may begin.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import re
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Pattern, Sequence, Tuple


class Kind(NamedTuple):
    """One kind of personal data, ready for use.

    `check` judges what a pattern has found. `labelled` finds, as its group 1, what only a word before it reveals, as in
    "phone: 4155550132". It is applied to text that has one of the `labels`, and to a dictionary's keys and values.
    """

    name: str
    gate: Callable[[str], object]
    patterns: Tuple[Pattern[str], ...]
    check: Optional[Callable[[str], bool]] = None
    labelled: Optional[Pattern[str]] = None
    labels: Tuple[str, ...] = ()

    @property
    def mark(self) -> str:
        return f"[redacted: {self.name}]"


# ---- forms

_HEX = "[0-9A-Fa-f]"
_GAP = r"[ \u00a0\u2007\u202f.\u2010-\u2013-]"  # what stands between groups of digits: blanks, points, dashes
_PHONE_GAP = r"[ \u00a0\u2007\u202f./()\u2010-\u2013-]"


def _first(character: str, not_after: str) -> str:
    """A pattern for the first character of a match, which must not stand after `not_after`.

    It may stand right after an escape of JSON in a string, or of a URL. The character comes before the look-behind,
    because only then `re` skips to it quickly.
    """
    c = character
    return rf"{c}(?:(?<!{not_after}{c})|(?<=\\[nrtbf]{c})|(?<=\\u{_HEX}{{4}}{c})|(?<=%{_HEX}{{2}}{c}))"


# The local part has neither "%" nor "\", so that few places of a run can be its beginning.
_EMAIL = (
    rf"(?:(?<![\w.+\\-])|(?<=\\[nrtbf])|(?<=\\u{_HEX}{{4}})|(?<=%{_HEX}{{2}})|(?<=\\)(?![nrtbfu]))"
    r"[\w.+-]+(?:@|%40)(?:[\w-]+\.)+[^\W\d_][\w-]+"
)

_GROUP = rf"{_first('[0-9]', '[0-9]')}(?<![0-9][.,][0-9])[0-9]{{3}}(?P<gap>{_GAP}|\+|%20)"  # of a card's number
_CARDS = (
    rf"{_GROUP}[0-9]{{4}}(?P=gap)[0-9]{{4}}(?P=gap)[0-9]{{4}}(?P=gap)[0-9]{{3}}(?![0-9])",
    rf"{_GROUP}[0-9]{{4}}(?P=gap)[0-9]{{4}}(?P=gap)[0-9]{{4}}(?![0-9])",
    rf"{_GROUP}[0-9]{{6}}(?P=gap)[0-9]{{4,5}}(?![0-9])",
    rf"{_first('[0-9]', '[0-9]')}(?<![0-9][.,][0-9])[0-9]{{12,18}}(?![0-9])",
)
_ISSUER = re.compile(r"4|5|2[2-7]|3[0-9]|6|81|82|9792")

_SSN = (
    rf"{_first('[0-8]', '[0-9]')}(?<![0-9]-[0-9])[0-9]{{2}}(?<!000)(?<!666)(?P<gap>[ \u2010-\u2013-])"
    r"(?!00)[0-9]{2}(?P=gap)(?!0000)[0-9]{4}(?!-?[0-9])"
)
_SSN_LABELLED = r"(?:ssn|social[ _-]?security(?:[ _-]?(?:number|no|nr))?)[^\w\n]{0,6}(?:is[ ])?([0-9]{9})(?![0-9])"

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"(?=[0-9]{{1,3}}\.){_first('[0-9]', '[0-9]')}(?<![0-9]\.[0-9])[0-9]{{0,2}}(?:\.{_OCTET}){{3}}(?!\.?[0-9])"
_IPV6 = (
    rf"(?:(?<![\w:.\\])|(?<=\\[nrtbf])|(?<=%{_HEX}{{2}})){_HEX}{{0,4}}:{_HEX}{{0,4}}:[0-9A-Fa-f:]{{0,32}}"
    rf"(?:(?<={_HEX})|(?<=::))(?:\.[0-9]{{1,3}}){{0,3}}(?!\w)"
)

_NANP = (
    rf"{_first('[0-9]', '[0-9]')}(?<![0-9][.-][0-9])(?:(?<=1)[ .-][0-9]{{3}}|[0-9]{{2}})[ .-]"
    r"[0-9]{3}[ .-][0-9]{4}(?![-.]?[0-9])"
)
_NATIONAL = (  # no date
    rf"{_first('0', '[A-Za-z0-9_.,:/-]')}(?![0-9][./-][0-9]{{2}}[./-](?:19|20)[0-9]{{2}})"
    rf"[1-9](?:{_PHONE_GAP}{{0,2}}[0-9]){{7,10}}(?![0-9])"
)
_PHONES = (
    rf"{_first('[+%]', '[A-Za-z0-9_+]')}(?:(?<=[+])|(?<=%)2B)[1-9](?:{_PHONE_GAP}{{0,3}}[0-9]){{6,14}}(?![0-9])",
    _NANP,
    r"\([0-9]{3}\)[ -]?[0-9]{3}[ .-][0-9]{4}(?![-.]?[0-9])",
    rf"{_first('0', '[0-9.,:/-]')}0[1-9](?:{_PHONE_GAP}{{0,2}}[0-9]){{9,12}}(?![0-9])",
    _NATIONAL,
)
_PHONE_LABELLED = (
    r"(?:phone|mobile|whatsapp|msisdn|(?<![A-Za-z])(?:tel|cell|fax|mob))(?:[ _-]?(?:number|num|no|nr))?"
    rf"[^\w\n+]{{0,6}}(?:is[ ])?(\+?[0-9](?:{_PHONE_GAP}{{0,2}}[0-9]){{6,14}})(?![0-9])"
)

_IBAN_LENGTHS = (
    "NO15 BE16 DK18FI18FO18GL18NL18SD18 MK19SI19 AT20BA20EE20KZ20LT20LU20MN20XK20 CH21CR21HR21LI21LV21"
    "BG22BH22CR22DE22GB22GE22IE22ME22RS22VA22 AE23GI23IL23IQ23OM23TL23SO23 AD24CZ24ES24MD24PK24RO24SA24SE24SK24TN24VG24"
    "LY25PT25ST25 IS26TR26 BI27DJ27FR27GR27IT27MC27MR27SM27 AL28AZ28BY28CY28DO28GT28HU28LB28NI28PL28SV28"
    "BR29EG29PS29QA29UA29 JO30KW30MU30YE30 MT31SC31 LC32 RU33FK18HN28"
)


def _iban() -> str:
    """For each country its letters, two check digits, and as many characters as its numbers have."""
    countries: Dict[int, List[str]] = {}
    for country, length in re.findall(r"([A-Z]{2})([0-9]{2})", _IBAN_LENGTHS):
        countries.setdefault(int(length), []).append(country)
    forms = (
        rf"(?:{'|'.join(letters)})[0-9]{{2}}(?:[ \u00a0-]?[A-Z0-9]){{{length - 4}}}"
        for length, letters in countries.items()
    )
    return rf"(?=[A-Z]{{2}}[0-9]{{2}}){_first('(?=[A-Z])', '[A-Z0-9]')}(?:{'|'.join(forms)})(?![A-Z0-9])"


# ---- check digits


def is_card(text: str) -> bool:
    """Whether the digits begin like an issuer's and end in Luhn's check digit."""
    digits = [int(character) for character in text.replace("%20", "") if character in "0123456789"]
    if not _ISSUER.match("".join(map(str, digits[:4]))):
        return False
    doubled = (digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether the check digits are right: the remainder modulo 97 is 1 (ISO 7064)."""
    squashed = re.sub(r"[^A-Z0-9]", "", text.upper())
    return int("".join(str(int(character, 36)) for character in squashed[4:] + squashed[:4])) % 97 == 1


def is_ip(text: str) -> bool:
    """Whether it is an IP address. A short one ("::1", "a::b") is no person's, and may be a slice or a C++ scope."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return len(text) >= 7


# ---- gates

Gate = Callable[[str], object]

# Digits become "0", what may stand between the digits of one number is deleted, and everything else becomes "|".
_DIGITS = bytes(ord("0") if chr(byte) in "0123456789" else ord("|") for byte in range(256))
_BETWEEN = b" .,+%/()-" + bytes(range(128, 256))
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


def _email_form() -> _Form:
    return _Form(_has_one_of("@", "%40"), (_EMAIL,))


def _iban_form() -> _Form:
    then = r"[0-9]{2}(?<=[A-Za-z]{2}[0-9]{2})(?:[ \u00a0-]?[A-Za-z0-9]){11}"
    return _Form(_has_letters_and_digits(then), (_iban(),), is_iban)


def _card_form() -> _Form:
    return _Form(_has_digits(13), _CARDS, is_card)


def _ssn_form() -> _Form:
    return _Form(_has_digits(9), (_SSN,), None, _SSN_LABELLED, ("ssn", "social"))


def _ip_form() -> _Form:
    gate = _finds_one_of(rf":{_HEX}{{0,4}}:", r"\.[0-9]{1,3}\.[0-9]{1,3}\.")
    return _Form(gate, (_IPV6, _IPV4), is_ip)


def _phone_form() -> _Form:
    labels = ("phone", "mob", "whatsapp", "msisdn", "tel", "cell", "fax")
    return _Form(_has_digits(7), _PHONES, None, _PHONE_LABELLED, labels)


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
    gate, patterns, check, labelled, labels = _FORMS[name]()
    flags = re.IGNORECASE if name == "email" else re.IGNORECASE | re.ASCII
    compiled = tuple(re.compile(pattern, flags) for pattern in patterns)
    return Kind(name, gate, compiled, check, re.compile(labelled, flags) if labelled is not None else None, labels)


# ---- the search


def without(value: Any, names: Sequence[str]) -> Any:
    """A copy of `value`, a plain tree, without personal data of these kinds; `value` itself if it has none."""
    kinds = [kind(name) for name in names if name not in CREDENTIALS]
    joined = "\n".join(_texts(value))
    found = [one for one in kinds if one.gate(joined)]
    return _tree(value, found) if found else value


def _texts(value: Any) -> Iterator[str]:
    """All text in a tree, keys included, and numbers long enough to be personal data."""
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            yield node
            if "\\u00" in node:  # JSON in a string may escape any character
                yield node.replace("\\u0040", "@")
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


def _raw(text: str, kinds: Sequence[Kind]) -> str:
    for one in kinds:
        if one.gate(text):
            for pattern in one.patterns:
                text = _replaced(text, pattern, one)
            if one.labelled is not None and _has_label(text, one):
                text = _replaced(text, one.labelled, one, 1)
    return text


def _has_label(text: str, one: Kind) -> bool:
    lower = text.lower()
    return any(label in lower for label in one.labels)


def _replaced(text: str, pattern: Pattern[str], one: Kind, group: int = 0) -> str:
    """`text` with each match that passes the check replaced by the mark.

    A match that does not pass may have one inside that does, so the search goes on one character behind its start.
    """
    parts: List[str] = []
    done = 0
    match = pattern.search(text)
    while match is not None:
        start, end = match.span(group)
        if one.check is None or one.check(match.group(group)):
            parts += (text[done:start], one.mark)
            done = end
            match = pattern.search(text, end)
        else:
            match = pattern.search(text, match.start() + 1)
    return "".join(parts) + text[done:] if parts else text
