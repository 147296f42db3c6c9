"""What credentials look like inside a text, and the search for them.

* a vendor's keys that begin in their own way: a row of `KEYS` in `vendor_keys`;
* a value behind a name: the name in `secret_names`; how names and values stand together in `assignments` and `pairs`;
* the password among the arguments of a command, or behind a name and a blank: `commands`;
* private keys: `private_keys`;
* anything else with a rare piece of text in it: a rule here, and a row of `_ANCHORS` with that piece.

A row in `SECRETS` of tests/unit/test_privacy_credentials.py makes sure that it is found in every place.

Almost no text holds a credential, so the first look has to be cheap: `possible_rules` says which rules may match, and
spends its time in C. An anchor such as "eyJ" is searched in what remains of the text when the common characters of
prose are deleted: a tenth of it, and the deletion cannot hide an anchor, because of the anchor it deletes the same
characters.

Every pattern takes linear time: a repetition cannot match in two ways, and every look ahead is bounded. What a rule
removes ends at a blank, a quote, its line or a bound: the text around a credential stays.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Callable, List, Pattern, Sequence, Tuple, Union

from .assignments import Span
from .commands import SAME_COMMAND, arguments, without_sign
from .key_shape import can_be_secret, is_irregular, is_placeholder
from .media import without_media
from .pairs import credentials_by_name, options
from .private_keys import without_private_keys
from .secret_names import REDACTED
from .user_info import has_user_info, without_user_info
from .vendor_keys import START, vendor_keys

Rule = Callable[[str], str]
"""Replaces every credential of one kind in a text."""

Replacement = Union[str, Callable[["re.Match[str]"], str]]


def _rule(pattern: str, replacement: Replacement, flags: int = re.ASCII) -> Rule:
    compiled: Pattern[str] = re.compile(pattern, flags)
    return lambda text: compiled.sub(replacement, text)


def _without(text: str, spans: Sequence[Tuple[int, int, str]]) -> str:
    """`text` with each span, in order, replaced by its mark."""
    parts: List[str] = []
    done = 0
    for start, end, mark in spans:
        parts += (text[done:start], mark)
        done = end
    return "".join(parts) + text[done:] if parts else text


# ---- rules


def _vendor_keys(text: str) -> str:
    found = vendor_keys(text, text.encode("utf-8", "replace"))
    return _without(text, [(start, end, f"[redacted: {vendor} key]") for start, end, vendor in found])


class _Named:
    """The rule for credentials by name. It knows where they are in one text, and searches in any other one."""

    def __init__(self, text: str, spans: Sequence[Span]) -> None:
        self._text = text
        self._spans = spans

    def __call__(self, text: str) -> str:
        is_same = text == self._text
        spans = self._spans if is_same else credentials_by_name(text, text.encode("utf-8", "replace"))
        return _without(text, [(start, end, REDACTED) for start, end in spans])


def _options(text: str) -> str:
    return _without(text, [(start, end, REDACTED) for start, end in options(text)])


def _arguments(text: str) -> str:
    return _without(text, [(start, end, REDACTED) for start, end in arguments(text)])


def _without_sign(text: str) -> str:
    return _without(text, [(start, end, REDACTED) for start, end in without_sign(text)])


_AWS_KEY_ID = re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Z0-9])")
_AWS_SECRET = re.compile(r"(?<![\w/+=-])(?=[A-Za-z0-9/+]{0,39}[g-zG-Z/+])[A-Za-z0-9/+]{40}(?![\w/+=-])", re.ASCII)
_AWS_NEAR_CHARS = 256


def _aws_secrets(text: str) -> str:
    """Replace what has the form of AWS's secret keys and is near the id of one."""
    near = [Span(max(m.start() - _AWS_NEAR_CHARS, 0), m.end() + _AWS_NEAR_CHARS) for m in _AWS_KEY_ID.finditer(text)]
    done = 0
    spans = []
    for start, end in near:
        for match in _AWS_SECRET.finditer(text, max(start, done), end):
            spans.append((match.start(), match.end(), "[redacted: aws secret key]"))
            done = match.end()
    return _without(text, spans)


def _basic(match: re.Match[str]) -> str:
    """Redact what is "user:password" in base64; "Basic JavaScript" is not."""
    word = match.group(1).rstrip("=")
    try:
        is_pair = b":" in base64.b64decode(word + "=" * (-len(word) % 4))
    except (binascii.Error, ValueError):
        is_pair = False
    return "[redacted: basic auth]" if is_pair else match.group()


def _keep_head(match: re.Match[str]) -> str:
    """Redact the value. What is before it stays."""
    return match.group(1) + REDACTED


def _keep_placeholder(match: re.Match[str]) -> str:
    """Redact the value, unless it stands for another one."""
    return match.group() if is_placeholder(match.group("value")) else _keep_head(match)


def _api_key(match: re.Match[str]) -> str:
    """Redact what follows "sk-" unless it is words, as in "sk-button--primary"."""
    rest = match.group()[3:]
    is_one = any(map(str.isdigit, rest)) or any(map(is_irregular, re.findall(r"[A-Za-z0-9]{8,}", rest)))
    is_one = is_one or (len(rest) >= 16 and rest != rest.lower() and "-" not in rest)
    return "[redacted: api key]" if is_one else match.group()


_DIGIT_AHEAD = r"(?=[A-Za-z_~+/=.-]{0,64}[0-9])"
_START64 = r"(?:(?<![\w-])|(?<=\\[nrtbf])|(?<=\\u[0-9A-Fa-f]{4})|(?<=%[0-9A-Fa-f]{2}))"  # before what is base64 itself
_MEDIA = _rule(r"data:[^,]{0,400};base64,[^\"]*", lambda match: without_media(match.group()))
_JWT = _rule(_START64 + r"eyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*(?:\.[\w-]{8,}){0,2}|\Z)", "[redacted: jwt]")
_ENCODED = _rule(
    _START64 + r"(?:ZXlK[A-Za-z0-9]|eyJrIjoi)[A-Za-z0-9+/_-]{40,}={0,2}"
    r"|LS0tLS1CRUdJTiB(?:SU0E|QUkl|FQy|PUEVO|FTkNS|EU0E|QR1Ag)[A-Za-z0-9+/]{40,}={0,2}",
    "[redacted: encoded key]",
)
_BEARER = _rule(r"(?i:(?<=bearer ))(?:" + _DIGIT_AHEAD + r"[\w.~+/=-]{6,}|[\w.~+/=-]{24,})", "[redacted: bearer token]")
_BASIC = _rule(r"(?:(?<=[Bb]asic )|(?<=BASIC ))([A-Za-z0-9+/]{8,}={0,2})", _basic)
_API_KEY = _rule(START + r"sk-(?:(?:proj|ant|or|svcacct|admin|lf|live|test|None)-[\w-]{4,})", "[redacted: api key]")
_OTHER_API_KEY = _rule(START + r"sk-[\w-]{8,}", _api_key)
_TELEGRAM = _rule(r"(?<![0-9])[0-9]{6,12}:AA[\w-]{30,}", "[redacted: telegram token]")
_AZURE_SECRET = _rule(r"(?:(?<![\w.~-])|(?<=\\[nrtbf]))[\w.~-]{3}[0-9]Q~[\w.~-]{31,}", "[redacted: azure secret]")
_WEBHOOK = _rule(
    r"(?:(?<=hooks\.slack\.com/)(?:services|workflows|triggers)|(?<=discord\.com/api/)webhooks"
    r"|(?<=discordapp\.com/api/)webhooks|(?<=webhook\.office\.com/)webhookb2"
    r"|(?<=hooks\.zapier\.com/)hooks)/[^\s\"'<>\\]{8,}",
    "[redacted: webhook]",
)
_SOFTLAYER = _rule(r"(?<=api\.softlayer\.com/soap/)v3(?:\.1)?/[a-z0-9]{64}", "[redacted: softlayer key]")
_CURL = _rule(
    rf"""({START}(?:curl|wget|http)(?=[ ]){SAME_COMMAND}(?:-u|-U|--user|--proxy-user)[ =]?\\{{0,3}}["']?"""
    r"""[^\s:"'/\\]{1,64}:)(?!//|[0-9]{1,6}(?:\s|\Z))(?P<value>[^\s"'\[\\](?:[^\s"'\\]|\\(?![nrt"'])){2,255})""",
    _keep_placeholder,
)
_TAG = _rule(
    r"(<(?:\w{1,32}:)?(?:secret|password|passwd|(?:api[-_]?key|token)(?=[^<>]{0,128}>[^<]{8})(?=[^<>]{0,128}>[^<]{0,64}[0-9]))"
    r"(?:[ ][^<>]{0,128})?>|&lt;(?:secret|password|passwd)&gt;)"
    r"[^<\[&][^<&\n]{2,512}(?=</|&lt;/)",
    _keep_head,
    re.ASCII | re.IGNORECASE,
)
_NAMED_TAG = _rule(
    r"(<[\w:.-]{1,32}[ ](?:[^<>\"]{0,64}[ ])?(?:name|key|id)="
    r"[\"'][\w.-]{0,64}?(?:secret|password|passwd|api[-_.]?key|token)[\"'][^<>/]{0,64}>)"
    r"(?P<value>(?!\[redacted)[^<\s]{4,512})(?=</)",
    lambda match: _keep_head(match) if can_be_secret(match.group("value"), after_equals=False) else match.group(),
    re.ASCII | re.IGNORECASE,
)
_WORD = r"(?:[^\s\\]|\\(?![nrt])){1,256}"
_GAP = r"(?:\s|\\[nrt]){1,32}"  # an end of line, also as JSON in a string
_NETRC = _rule(
    rf"({START}(?:machine[ \t]{{1,8}}{_WORD}|default){_GAP}login[ \t]{{1,8}}{_WORD}{_GAP}"
    rf"(?:account[ \t]{{1,8}}{_WORD}{_GAP})?password[ \t]{{1,8}})(?P<value>(?![\[<$]){_WORD})",
    _keep_placeholder,
)
_SECRET_DATA = re.compile(
    r"(?:^|\n)(?P<indent>[ ]{0,16})(?:data|stringData):[ ]*\r?\n"
    r"(?P<members>(?:(?P=indent)[ ]{1,16}[^ \n][^\n]{0,20000}(?:\n|\Z)){1,200})"
)
_MEMBER = re.compile(r"(?<![ ])([ ]{1,32}[\w./-]{1,128}:[ ]{1,32}[\"']?)(?![\[|>{])[^\s\"']{4,}")


def _kubernetes_secrets(text: str) -> str:
    """Redact the data of manifests of the kind Secret."""
    return _SECRET_DATA.sub(
        lambda match: match.group().replace(match.group("members"), _MEMBER.sub(_keep_head, match.group("members"))),
        text,
    )


# ---- which rules may match

_MIN_CHARS = 8
"""No rule matches a shorter text."""

_RARE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ;~-/<:kypc6_"
_COMMON_BYTES = bytes(byte for byte in range(256) if byte not in _RARE)
"""The characters that are deleted before the search: enough stay to tell the anchors from prose and code."""

_ANCHORS: Sequence[Tuple[str, Rule]] = (
    ("PRIVATE KEY", without_private_keys),
    ("Private-Lines", without_private_keys),
    (";base64,", _MEDIA),
    ("eyJ", _JWT),
    ("eyJrIjoi", _ENCODED),
    ("ZXlK", _ENCODED),
    ("LS0tLS1CRUdJTiB", _ENCODED),
    ("BEARER ", _BEARER),
    ("Basic ", _BASIC),
    ("BASIC ", _BASIC),
    (":AA", _TELEGRAM),
    ("Q~", _AZURE_SECRET),
    ("kind: Secret", _kubernetes_secrets),
    ("PASSW", _without_sign),
    ("_PASS ", _without_sign),
    ("_KEY ", _without_sign),
    ("_TOKEN ", _without_sign),
    ("_SECRET ", _without_sign),
    ("IDENTIFIED BY ", _without_sign),
    ("_key ", _without_sign),
    ("_authToken ", _without_sign),
)
_MENTIONED = (_arguments, _without_sign)
"""Rules whose anchors are names, which texts mention without a value."""


_RAREST_FIRST = b"~;QZXJKVBW:_YGPFMUDHLCRSNIOATE-/<kypc6"


def _remnant(anchor: str) -> bytes:
    """A pattern for what stays of an anchor. It begins with its rarest character, to which `re` skips quickly."""
    remnant = anchor.encode().translate(None, _COMMON_BYTES)
    rarest = min(range(len(remnant)), key=lambda place: _RAREST_FIRST.index(remnant[place]))
    return re.escape(remnant[rarest:]) + (b"(?<=" + re.escape(remnant) + b")" if rarest else b"")


_ANY_REMNANT = re.compile(b"|".join(sorted({_remnant(anchor) for anchor, _ in _ANCHORS})))

_WORD_BEGINS = re.compile(START + r"\Z")


_OPTION = re.compile(rb"-[-pPcS]")
"""What stays of the options that `options` and `arguments` look for."""


def _has_api_key(text: str) -> bool:
    """Whether "sk-" is the beginning of a word: "task-" is none."""
    return any(_WORD_BEGINS.search(piece[-6:]) for piece in text.split("sk-")[:-1])


def possible_rules(text: str) -> List[Rule]:
    """The rules that may match somewhere in `text`, in the order in which to apply them; almost always none."""
    encoded = text.encode("utf-8", "replace")
    remaining = encoded.translate(None, _COMMON_BYTES)
    found: List[Rule] = []
    if _ANY_REMNANT.search(remaining) is not None:
        rules = dict.fromkeys(rule for anchor, rule in _ANCHORS if anchor in text)
        found += (rule for rule in rules if rule not in _MENTIONED or rule(text) != text)
    if "earer " in text:
        found.append(_BEARER)
    if b"k-" in remaining and "sk-" in text and _has_api_key(text):
        found += (_API_KEY, _OTHER_API_KEY)
    if next(vendor_keys(text, encoded), None) is not None:
        found += (_aws_secrets, _vendor_keys)
    if b"-" in remaining:
        may_have_argument = "curl" in text
        if may_have_argument and _CURL(text) != text:
            found.append(_CURL)
        if _OPTION.search(remaining) is not None:
            if b"--" in remaining and "--" in text:
                may_have_argument = may_have_argument or "--password-stdin" in text
                if options(text):
                    found.append(_options)
            may_have_argument = may_have_argument or " -p" in text or " -P" in text or "redis-cli" in text
            may_have_argument = may_have_argument or b"-ScS" in remaining
        if may_have_argument and arguments(text):
            found.append(_arguments)
    if "assw" in text:
        if without_sign(text):
            found.append(_without_sign)
        if "login " in text and _NETRC(text) != text:
            found.append(_NETRC)
    if b"/" in remaining:
        if b"c/" in remaining and ".com/" in text:
            found += (rule for rule in (_WEBHOOK, _SOFTLAYER) if rule(text) != text)
        if (b"</" in remaining and "</" in text) or (b";/" in remaining and "&lt;/" in text):
            found += (rule for rule in (_TAG, _NAMED_TAG) if rule(text) != text)
    if "@" in text:
        if ("thin:" in text or "sqlplus " in text) and arguments(text):
            found.append(_arguments)
        if has_user_info(text):
            found.append(without_user_info)
    spans = credentials_by_name(text, encoded)
    if spans:
        found.append(_Named(text, spans))
    return found


def scrub(text: str) -> str:
    """`text` with every credential in it replaced by its kind."""
    if len(text) < _MIN_CHARS:
        return text
    for rule in possible_rules(text):
        text = rule(text)
    return text
