"""Where credentials are: the names they go by, and what they look like inside text.

Almost no text holds one, so looking has to be cheap. `scrub` first deletes all small letters and spaces, which leaves
a twentieth of prose, and looks for what that leaves of the rules' anchors ("ghp_" leaves "_"): what is not found there
is not in the text. Only then is the anchor itself looked for, and only then its pattern.

Every pattern is linear: what repeats cannot match in two ways, and what looks ahead is bounded.
"""

from __future__ import annotations

import base64
import binascii
import functools
import re
from typing import Callable, Dict, List, NamedTuple, Pattern, Sequence, Tuple, Union

from ._media import without_media

REDACTED = "[redacted]"

# ---- names

_SECRET_NAMES = frozenset(
    [
        "auth",
        "authorization",
        "bearer",
        "cookie",
        "cookies",
        "credential",
        "credentials",
        "dsn",
        "jwt",
        "passwd",
        "passphrase",
        "password",
        "pwd",
        "sas",
        "sig",
        "secret",
        "secrets",
        "apikeys",
    ]
)
_SECRET_ENDINGS = (
    "apikey", "accesskey", "accesskeyid", "secretkey", "privatekey", "accountkey", "masterkey", "signingkey",
    "encryptionkey", "subscriptionkey", "virtualkey", "licensekey", "password", "passwd", "passphrase", "secret",
    "secretvalue", "authorization", "cookie", "setcookie", "credential", "credentials", "basicauth", "jwt", "token",
    "connectionstring", "connectionuri", "databaseurl", "databaseuri", "dburl", "redisurl", "mongouri", "dsn",
    "sastoken",
)  # fmt: skip
_ORDINARY_TOKEN = re.compile(
    r"(?:^|eos|bos|pad|unk|sep|cls|mask|stop|start|end|next|page|per|special|continuation|cancellation|first|last)token$"
)
_SCHEMA_WORDS = frozenset(
    [
        "type",
        "title",
        "description",
        "format",
        "minLength",
        "maxLength",
        "pattern",
        "nullable",
        "anyOf",
        "oneOf",
        "writeOnly",
        "readOnly",
        "default",
    ]
)
_PUNCTUATION = re.compile(r"[\W_]+")


@functools.lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a value of this name is a credential. Case, `-`, `_` and camelCase make no difference.

    Names of counts ("prompt_tokens"), of ids and hashes ("key_alias", "user_api_key_hash"), and a bare "token", which
    is a piece of text among log probabilities, are not secret.
    """
    squashed = _PUNCTUATION.sub("", name[-128:]).lower()
    if squashed in _SECRET_NAMES:
        return True
    return squashed.endswith(_SECRET_ENDINGS) and not _ORDINARY_TOKEN.search(squashed)


def is_schema(value: object) -> bool:
    """Whether `value` is a JSON schema of a parameter - a tool's "password", say - and not a credential itself."""
    if not isinstance(value, dict) or not ("type" in value or "anyOf" in value):
        return False
    return _SCHEMA_WORDS.issuperset(value) and value.get("default") is None and value.get("type") != "service_account"


# ---- text

Replacement = Union[str, Callable[["re.Match[str]"], str]]


class Rule(NamedTuple):
    """A kind of credential in text. One of `anchors` is in every text that `pattern` matches."""

    anchors: Tuple[str, ...]
    pattern: Pattern[str]
    replacement: Replacement


def _rule(kind: str, anchors: str, pattern: str) -> Rule:
    return Rule(tuple(anchors.split()), re.compile(pattern, re.ASCII), f"[redacted: {kind}]")


def _basic(match: re.Match[str]) -> str:
    """HTTP Basic is "user:password" in base64; "Basic JavaScript" is not."""
    word = match.group(1).rstrip("=")
    try:
        is_pair = b":" in base64.b64decode(word + "=" * (-len(word) % 4))
    except (binascii.Error, ValueError):
        is_pair = False
    return "[redacted: basic auth]" if is_pair else match.group()


def _keep_head(match: re.Match[str]) -> str:
    """Redact the value of an assignment; its name, sign and opening quote stay, so that JSON in a string stays JSON."""
    return "".join(filter(None, match.groups())) + REDACTED


_DIGIT_AHEAD = r"(?=[A-Za-z_~+/=.-]{0,64}[0-9])"
_START = r"(?<![A-Za-z0-9])"

# What assigns in text: `api_key=...`, `"password": "..."` in JSON, once or twice escaped, `Authorization: Bearer ...`.
_NAMES = (
    r"(?:api|access|secret|private|account|client|master|signing|encryption|subscription|virtual)[-_ ]?key(?:[-_ ]?id)?"
    r"|secret|passw(?:or)?d|passphrase|pwd|authorization|credentials?|connection[-_ ]?string"
    r"|shared[-_ ]?access[-_ ]?signature"
    r"|(?:access|refresh|id|auth|session|security|bearer|api|ad|bot|user|oauth|csrf|hf|gh|github|gitlab|slack|secret)"
    r"[-_ ]?token"
)
_VALUES = (
    r"""(b?")(?!")[^"\\]*(?:\\.[^"\\]*)*"""  # in double quotes, or from one on to the end
    r"""|(b?')(?!')[^'\\]*(?:\\.[^'\\]*)*"""
    r"""|(\\+["'])(?!\\+["'])[^"'\\]*(?:\\+[^"'\\][^"'\\]*)*"""  # JSON within JSON
    r"""|(?:Bearer|Basic|Digest|Token|ApiKey|Negotiate|AWS4-HMAC-SHA256)[ ][^\s"'\[][^\r\n"']*"""
    r"""|(?=[^\s\d"',;&<>(){}\[\]|\\]{0,128}\d)[^\s"',;&<>(){}\[\]|\\]{6,}"""  # unquoted: it has a digit, ...
    r"""|(?<==)[A-Za-z_]{4,}(?![\w(\[.,)])"""  # ... or it is a word right after "=", and no variable or call
)
_ASSIGNMENT = re.compile(
    rf"""((?:{_NAMES})\\*["']?\]?[ \t]*(?:=>|[:=])[ \t]*)(?:{_VALUES})""", re.IGNORECASE | re.ASCII | re.DOTALL
)
_COOKIE = re.compile(r"""(cookie\\*["']?[ \t]*[:=][ \t]*\\*["']?)[\w.~-]+=[^\r\n"'}]+""", re.IGNORECASE | re.ASCII)
_QUERY = re.compile(
    r"""([?&;](?:key|api[-_]?key|access[-_]?token|auth[-_]?token|id_token|refresh_token|token|sig|signature"""
    r"""|x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature|x-goog-credential"""
    r"""|client_secret|secret|password|passwd|pwd|auth|subscription-key)=)[^&\s"'#<>\[\]\\]{3,}""",
    re.IGNORECASE | re.ASCII,
)


def _anchors_of_assignments(*names: str) -> Tuple[str, ...]:
    """Each name before a sign. In the text its case does not matter, and quotes or blanks may stand between."""
    return tuple(name + sign for name in names for sign in ":=")


RULES: Sequence[Rule] = (
    Rule((";base64,",), re.compile(r"data:[^,]{0,400};base64,[^\"]*"), lambda match: without_media(match.group())),
    _rule("private key", "PRIVATE\x20KEY", r"-----BEGIN[ ][A-Z0-9 ]{0,32}PRIVATE[ ]KEY(?:[ ]BLOCK)?-----"
          r"[^-]*(?:-(?!----END[ ])[^-]*)*(?:-----END[ ][A-Z0-9 ]{0,32}PRIVATE[ ]KEY(?:[ ]BLOCK)?-----)?"),
    _rule("jwt", "eyJ", r"(?<![\w-])eyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*|\Z)"),
    _rule("api key", "sk-", _START + r"sk-(?:(?:proj|ant|or|svcacct|admin|lf|live|test|None)-[\w-]{4,}"
          r"|(?=[A-Za-z_-]{0,64}[0-9])[\w-]{8,}|[\w-]{24,})"),
    _rule("honeyhive key", "hh_", _START + r"hh_(?:(?:ro|ingst|fgdp|fgcp)_[\w-]{8,}"
          r"|(?=(?:[A-Za-z_-]{0,40}[0-9]){3})[\w-]{12,}|[A-Za-z0-9]{20,})"),
    _rule("aws key id", "AKIA ASIA", _START + r"(?:AKIA|ASIA)[A-Z0-9]{16,}"),
    _rule("google key", "AIza", r"(?<![\w-])AIza[\w-]{20,}"),
    _rule("google token", "ya29.", _START + r"ya29\.[\w.-]{10,}"),
    _rule("github token", "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_",
          _START + r"(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,})"),
    _rule("slack token", "xoxa- xoxb- xoxc- xoxd- xoxe- xoxo- xoxp- xoxr- xoxs-", _START + r"xox[a-eoprs]-[\w-]{8,}"),
    _rule("stripe key", "_live_ _test_", _START + r"[srp]k_(?:live|test)_[A-Za-z0-9]{8,}"),
    _rule("huggingface token", "hf_", _START + r"hf_[A-Za-z0-9]{16,}"),
    _rule("groq key", "gsk_", _START + r"gsk_[A-Za-z0-9]{16,}"),
    _rule("bearer token", "earer\x20 EARER\x20",
          r"(?i:(?<=bearer ))(?:" + _DIGIT_AHEAD + r"[\w.~+/=-]{6,}|[\w.~+/=-]{24,})"),
    Rule(("Basic ", "BASIC "),
         re.compile(r"(?<=asic )([A-Za-z0-9+/]{8,}={0,2})|(?<=ASIC )([A-Za-z0-9+/]{8,}={0,2})"), _basic),
    _rule("user and password", "://", r"(?<=://)[^\s/@:\"'<>\[\\]{0,256}:[^\s/?#\"'<>\[\\]{1,1024}@"),
    Rule(("key=", "KEY=", "Key=", "token=", "TOKEN=", "Token=", "sig=", "signature=", "Signature=", "edential=",
          "ecret=", "assword=", "asswd=", "pwd=", "auth="), _QUERY, _keep_head),
    Rule(_anchors_of_assignments("cookie"), _COOKIE, _keep_head),
    Rule(_anchors_of_assignments("key", "key id", "key_id", "secret", "password", "passwd", "passphrase", "pwd",
         "authorization", "credential", "credentials", "string", "signature", "token"), _ASSIGNMENT, _keep_head),
)  # fmt: skip


_SHORTEST = 8
"""No rule matches less than this: a name, a sign and a value, or a prefix and its digits."""

_PLAIN = b"abcdefghijklmnopqrstuvwxyz "
_BETWEEN = " \t\"'\\]"


def scrub(text: str) -> str:
    """`text` with every credential in it replaced by a word that tells its kind."""
    if len(text) < _SHORTEST:
        return text
    rest = text.encode("utf-8", "replace").translate(None, _PLAIN)
    hits = {number for trace, pairs in _TRACES if trace in rest for anchor, number in pairs if anchor in text}
    for sign, rules in _ASSIGNMENTS:
        if sign.encode() in rest:
            hits.update(number for names, number in rules if _assigns(text, names, sign))
    for number in sorted(hits):
        text = RULES[number].pattern.sub(RULES[number].replacement, text)
    return text


def _assigns(text: str, names: Tuple[str, ...], sign: str) -> bool:
    """Whether one of `names` stands before a `sign`. Signs are few, so each is looked at, not each name for."""
    at = text.find(sign)
    while at >= 0:
        if text[max(0, at - 32) : at].rstrip(_BETWEEN).lower().endswith(names):
            return True
        at = text.find(sign, at + 1)
    return False


def _is_assignment(rule: Rule) -> bool:
    return rule.pattern in (_COOKIE, _ASSIGNMENT)


def _traces() -> Sequence[Tuple[bytes, Sequence[Tuple[str, int]]]]:
    """What is left of each anchor among capitals, digits and signs, and the anchors that leave it."""
    traces: Dict[bytes, List[Tuple[str, int]]] = {}
    for number, rule in enumerate(RULES):
        if not _is_assignment(rule):
            for anchor in rule.anchors:
                traces.setdefault(anchor.encode().translate(None, _PLAIN), []).append((anchor, number))
    return list(traces.items())


_TRACES = _traces()
_ASSIGNMENTS: Sequence[Tuple[str, Sequence[Tuple[Tuple[str, ...], int]]]] = [
    (
        sign,
        [
            (tuple({anchor[:-1].lower() for anchor in rule.anchors}), number)
            for number, rule in enumerate(RULES)
            if _is_assignment(rule)
        ],
    )
    for sign in ":="
]
