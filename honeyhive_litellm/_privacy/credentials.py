"""What credentials look like inside a text. The names that they go by are in `secret_names`.

To add a pattern:

* of a vendor's keys that begin in their own way: a prefix in `_VENDORS` or `_SHORT_VENDORS`;
* of anything else with a rare piece of text in it: a rule, and a row of `_ANCHORS` with that piece;
* of a name before `=` or `:`: the name in `_NAMES`, and its end in `_ENDS_BEFORE_ASSIGNING`.

A row in `SECRETS` of tests/unit/test_privacy_credentials.py makes sure that it is found in every place.

Almost no text holds a credential, so the first look has to be cheap: `possible_rules` says which rules may match, and
spends its time in C. An anchor such as "AKIA" is searched in what remains of the text when the common characters of
prose are deleted: a tenth of it, and the deletion cannot hide an anchor, because of the anchor it deletes the same
characters. What stands before a sign ("hh_", `"password":`) is searched where the text is split at that sign.

Every pattern takes linear time: a repetition cannot match in two ways, and every look ahead is bounded.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Callable, List, NamedTuple, Pattern, Sequence, Tuple, Union

from .media import without_media
from .secret_names import REDACTED

Replacement = Union[str, Callable[["re.Match[str]"], str]]


class Rule(NamedTuple):
    """A kind of credential, and what replaces it."""

    pattern: Pattern[str]
    replacement: Replacement


def _rule(kind: str, pattern: str) -> Rule:
    return Rule(re.compile(pattern, re.ASCII), f"[redacted: {kind}]")


def _basic(match: re.Match[str]) -> str:
    """Redact what is "user:password" in base64; "Basic JavaScript" is not."""
    word = match.group(1).rstrip("=")
    try:
        is_pair = b":" in base64.b64decode(word + "=" * (-len(word) % 4))
    except (binascii.Error, ValueError):
        is_pair = False
    return "[redacted: basic auth]" if is_pair else match.group()


def _keep_head(match: re.Match[str]) -> str:
    """Redact the value of an assignment. Name, sign and opening quote stay, so that JSON in a string stays JSON."""
    return "".join(filter(None, match.groups())) + REDACTED


_DIGIT_AHEAD = r"(?=[A-Za-z_~+/=.-]{0,64}[0-9])"
_ESCAPED = r"(?<=\\[nrtbf])|(?<=\\u[0-9A-Fa-f]{4})|(?<=%[0-9A-Fa-f]{2})"  # JSON in a string, or a URL
_START = rf"(?:(?<![A-Za-z0-9])|{_ESCAPED})"
_START64 = rf"(?:(?<![\w-])|{_ESCAPED})"  # the same for what is base64 itself

# An assignment in text: `api_key=...`, `"password": "..."` in JSON, once or twice escaped, `Authorization: Bearer ...`.
_NAMES = (
    r"(?:api|access|secret|private|account|client|master|signing|encryption|subscription|virtual|oci)[-_ ]?key"
    r"(?:[-_ ]?(?:id|base))?"
    r"|(?<![A-Za-z])x[-_]key|secret|passw(?:or)?d|passphrase|pwd|authorization|credentials?|connection[-_ ]?string"
    r"|shared[-_ ]?access[-_ ]?signature"
    r"|(?:access|refresh|id|auth|session|security|bearer|api|ad|bot|user|oauth|csrf|hf|gh|github|gitlab|slack|secret)"
    r"[-_ ]?token"
)
_VALUES = (
    r"""(b?")(?!")[^"\\]*(?:\\.[^"\\]*)*"""  # in double quotes, or from an opening one to the end
    r"""|(b?')(?!')[^'\\]*(?:\\.[^'\\]*)*"""
    r"""|(\\+["'])(?!\\+["'])[^"'\\]*(?:\\+[^"'\\][^"'\\]*)*"""  # JSON within JSON
    r"""|(?:Bearer|Basic|Digest|Token|ApiKey|Negotiate|AWS4-HMAC-SHA256)[ ][^\s"'\[][^\r\n"']*"""
    r"""|(?=[^\s\d"',;&<>(){}\[\]|\\]{0,128}\d)[^\s"',;&<>(){}\[\]|\\]{6,}"""  # or bare: a word with a digit, ...
    r"""|(?<==)[A-Za-z_]{4,}(?![\w(\[.,)])"""  # ... or any word right after "=" that is no call or attribute
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


# Names that are ordinary before a short value and secret before a long one: {"token": "..."}.
_QUOTED = re.compile(
    r"""((?:token|auth|dsn)\\*["'][ \t]*:[ \t]*\\*["'])(?=[^\s"'\\]{0,128}[0-9])[^\s"'\\]{16,}""",
    re.IGNORECASE | re.ASCII,
)


_MEDIA = Rule(re.compile(r"data:[^,]{0,400};base64,[^\"]*"), lambda match: without_media(match.group()))
_PRIVATE_KEY = _rule(
    "private key",
    r"-----BEGIN[ ][A-Z0-9 ]{0,32}PRIVATE[ ]KEY(?:[ ]BLOCK)?-----"
    r"[^-]*(?:-(?!----END[ ])[^-]*)*(?:-----END[ ][A-Z0-9 ]{0,32}PRIVATE[ ]KEY(?:[ ]BLOCK)?-----)?",
)
_JWT = _rule("jwt", _START64 + r"eyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*|\Z)")
_AWS_KEY_ID = _rule("aws key id", _START + r"(?:AKIA|ASIA)[A-Z0-9]{16,}")
_GOOGLE_KEY = _rule("google key", _START64 + r"AIza[\w-]{20,}")
_GOOGLE_TOKEN = _rule("google token", _START + r"ya29\.[\w.-]{10,}")
_BEARER = _rule("bearer token", r"(?i:(?<=bearer ))(?:" + _DIGIT_AHEAD + r"[\w.~+/=-]{6,}|[\w.~+/=-]{24,})")
_BASIC = Rule(re.compile(r"(?:(?<=[Bb]asic )|(?<=BASIC ))([A-Za-z0-9+/]{8,}={0,2})"), _basic)
_USERINFO = _rule(
    "user and password",
    r"(?<=://)(?:[^\s/@:\"'<>\[\\]{0,256}:[^\s/?#\"'<>\[\\]{1,1024}"
    r"|(?=[^\s/@:]{0,64}[0-9])[^\s/@:\"'<>\[\\]{16,256})@",
)

_API_KEY = _rule(
    "api key",
    _START + r"sk-(?:(?:proj|ant|or|svcacct|admin|lf|live|test|None)-[\w-]{4,}"
    r"|(?=[A-Za-z_-]{0,64}[0-9])[\w-]{8,}|[\w-]{24,})",
)
_SLACK_TOKEN = _rule("slack token", _START + r"xox[a-eoprs]-[\w-]{8,}")
_UNDERSCORED = (
    _rule(
        "honeyhive key",
        _START + r"hh_(?:(?:ro|ingst|fgdp|fgcp)_[\w-]{8,}"
        r"|(?=(?:[A-Za-z_-]{0,40}[0-9]){3})[\w-]{12,}|[A-Za-z0-9]{20,})",
    ),
    _rule("github token", _START + r"(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,})"),
    _rule("stripe key", _START + r"[srp]k_(?:live|test)_[A-Za-z0-9]{8,}"),
    _rule("huggingface token", _START + r"hf_[A-Za-z0-9]{16,}"),
    _rule("groq key", _START + r"gsk_[A-Za-z0-9]{16,}"),
)
# Vendors whose keys have a prefix of their own. Digits follow, or it is a name in somebody's code.
_TAIL = r"(?=(?:[A-Za-z_-]{0,40}[0-9]){2})"
_VENDORS = (  # no words of prose or code: any characters may follow
    "shpat_", "shpca_", "shppa_", "shpss_", "dop_v1_", "doo_v1_", "dor_v1_", "lsv2_pt_", "lsv2_sk_", "dckr_pat_",
    "dckr_oat_", "glsa_", "sb_secret_", "tgp_v1_", "sntrys_", "sntryu_", "lin_api_", "pscale_tkn_", "pscale_pw_",
    "whsec_", "glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "nvapi-", "tvly-", "GOCSPX-", "SG.", "hvs.", "hvb.",
)  # fmt: skip
_SHORT_VENDORS = (  # may begin a name in code: only letters and digits follow
    "npm_", "r8_", "fw_", "ntn_", "sbp_", "rpa_", "phx_", "figd_", "xai-", "pplx-", "csk-", "NRAK-",
)  # fmt: skip
_VENDOR_KEY = _rule(
    "vendor key",
    rf"{_START}(?:(?:{'|'.join(map(re.escape, _VENDORS))}){_TAIL}[\w+/=.-]{{16,}}"
    rf"|(?:{'|'.join(map(re.escape, _SHORT_VENDORS))}){_TAIL}[A-Za-z0-9]{{16,}})",
)
_VENDOR_BEGINS = re.compile(
    rf"[._-](?=[\w-]{{16}})(?:{'|'.join(f'(?<={re.escape(vendor)})' for vendor in (*_VENDORS, *_SHORT_VENDORS))})"
)
_PYPI = _rule("pypi token", _START + r"pypi-AgE[\w-]{16,}")
_DATABRICKS = _rule("databricks token", _START + r"dapi" + _TAIL + r"[A-Za-z0-9]{32,}")
_ATLASSIAN = _rule("atlassian token", _START + r"ATATT3[\w=-]{16,}")
_TELEGRAM = _rule("telegram token", r"(?<![0-9])[0-9]{6,12}:AA[\w-]{30,}")
_WEBHOOK = _rule(
    "webhook",
    r"(?:(?<=hooks\.slack\.com/)(?:services|workflows|triggers)|(?<=discord\.com/api/)webhooks"
    r"|(?<=discordapp\.com/api/)webhooks)/[^\s\"'<>\\]{8,}",
)
_OPTION_VALUE = re.compile(
    r"""((?<!-)--[\w-]{0,40}?(?:key|token|secret|password|passwd)[ ]["']?)"""
    r"""(?=[^\s"']{0,128}[0-9])[^\s"'<\[-][^\s"']{5,}""",
    re.ASCII,
)
_USER_OPTION = re.compile(r"""((?:-u|--user)[ =]["']?[^\s:"']{0,64}:)(?!//)[^\s"'\[][^\s"']{2,}""")
_TAG_VALUE = re.compile(
    r"(<(?:\w{1,32}:)?(?:secret|password|passwd|(?:api[-_]?key|token)(?=>[^<]{8})(?=>[^<]{0,64}[0-9]))>)"
    r"[^<\[][^<]{2,}(?=</)",
    re.IGNORECASE | re.ASCII,
)
_OPTION, _CURL, _TAG = Rule(_OPTION_VALUE, _keep_head), Rule(_USER_OPTION, _keep_head), Rule(_TAG_VALUE, _keep_head)
_ASSIGNED = (
    Rule(_QUERY, _keep_head),
    Rule(_COOKIE, _keep_head),
    Rule(_ASSIGNMENT, _keep_head),
    Rule(_QUOTED, _keep_head),
)

# ---- which rules may match

_MIN_CHARS = 8
"""No rule matches a shorter text."""

_COMMON_BYTES = bytes(set(b"abdefghijklmnopqrstuvw \t\r\n,.()'\"!?*#013578")) + bytes(range(128, 256))
"""The characters that are deleted before the search: common ones, but for enough to tell the anchors from prose."""

_ANCHORS: Sequence[Tuple[str, Rule]] = (
    (";base64,", _MEDIA),
    ("PRIVATE KEY", _PRIVATE_KEY),
    ("eyJ", _JWT),
    ("AKIA", _AWS_KEY_ID),
    ("ASIA", _AWS_KEY_ID),
    ("AIza", _GOOGLE_KEY),
    ("ya29.", _GOOGLE_TOKEN),
    ("EARER ", _BEARER),
    ("Basic ", _BASIC),
    ("BASIC ", _BASIC),
    ("xox", _SLACK_TOKEN),
    ("ATATT3", _ATLASSIAN),
    ("pypi-AgE", _PYPI),
    (":AA", _TELEGRAM),
    ("hooks.slack.com/", _WEBHOOK),
    ("/api/webhooks/", _WEBHOOK),
    ("dapi", _DATABRICKS),
    ("curl ", _CURL),
)
_REMNANTS = [(anchor.encode().translate(None, _COMMON_BYTES), anchor, rule) for anchor, rule in _ANCHORS]


def _is_rare(remnant: bytes) -> bool:
    """Whether the remnant of an anchor is worth a search: not a single character, and no "c", which is everywhere."""
    return len(remnant) > 1 and not remnant.startswith(b"c")


_ANY_REMNANT = re.compile(b"|".join(re.escape(remnant) for remnant, _, _ in _REMNANTS if _is_rare(remnant)))
_WITHOUT_REMNANT = [(anchor, rule) for remnant, anchor, rule in _REMNANTS if not _is_rare(remnant)]
"""Anchors that are searched in the text itself."""

_IN_WORDS = bytes(ord("a") if chr(byte).isalnum() or chr(byte) in "_.-" else ord(" ") for byte in range(256))
_LONG_WORD = b"a" * 19
"""A vendor's prefix and the least that follows it, after `_IN_WORDS` has made all characters of words alike."""
_HEX = b"0123456789abcdef-"
"""The characters of a UUID. Every vendor's prefix has another one."""
_FEW_WORDS = 8
"""With more long words than these, one search of the whole text is cheaper."""

_ENDS_BEFORE_UNDERSCORE = ("hh", "hf", "sk", "rk", "pk", "ghp", "gho", "ghu", "ghs", "ghr", "pat")
_WORD_BEGINS = re.compile(_START + r"\Z")
_BEFORE_UNDERSCORE = re.compile(_START + r"(?:hh|hf|gsk|[srp]k|gh[pousr]|pat)\Z")
_BEFORE_ASSIGNING = re.compile(
    rf"(?:{_NAMES}|cookie|token|auth|dsn|[?&;](?:key|sig|signature|x-(?:amz|goog)-\w+|subscription-key))\Z", re.ASCII
)
_ENDS_BEFORE_ASSIGNING = (
    "key", "token", "secret", "password", "passwd", "passphrase", "pwd", "authorization", "cookie", "credential",
    "credentials", "string", "signature", "sig", "auth", "keyid", "key id", "key_id", "key-id",
    "dsn", "base",
)  # fmt: skip
_BETWEEN = " \t\"'\\]"
_LONGEST_NAME = 40
_LONGEST_USERINFO = 1300


def possible_rules(text: str) -> List[Rule]:
    """The rules that may match somewhere in `text`, in the order in which to apply them; almost always none."""
    encoded = text.encode("utf-8", "replace")
    remaining = encoded.translate(None, _COMMON_BYTES)
    if _ANY_REMNANT.search(remaining) is not None:
        found = [rule for remnant, anchor, rule in _REMNANTS if remnant in remaining and anchor in text]
    else:
        found = [rule for anchor, rule in _WITHOUT_REMNANT if anchor in text]
    if "earer " in text:
        found.append(_BEARER)
    if "@" in text and any("@" in rest[:_LONGEST_USERINFO].split("/", 1)[0] for rest in text.split("://")[1:]):
        found.append(_USERINFO)
    if "sk-" in text and any(_WORD_BEGINS.search(piece[-6:]) for piece in text.split("sk-")[:-1]):  # not "task-"
        found.append(_API_KEY)
    if "_" in text and _has_prefix(text):
        found.extend(_UNDERSCORED)
    if _may_have_vendor_key(text, encoded):
        found.append(_VENDOR_KEY)
    if b"--" in remaining and "--" in text and _OPTION_VALUE.search(text):
        found.append(_OPTION)
    if b"</" in remaining and "</" in text and _TAG_VALUE.search(text):
        found.append(_TAG)
    if ("=" in text and _assigns("=", text)) or (":" in text and _assigns(":", text)):
        found.extend(_ASSIGNED)
    return found


def _may_have_vendor_key(text: str, encoded: bytes) -> bool:
    """Whether a long word has a vendor's prefix. Most texts have few such words, as ids are; only they are searched."""
    words = encoded.translate(_IN_WORDS)
    begin = words.find(_LONG_WORD)
    for _ in range(_FEW_WORDS):
        if begin < 0:
            return False
        end = words.find(b" ", begin)
        word = encoded[begin:] if end < 0 else encoded[begin:end]
        if word.translate(None, _HEX) and _VENDOR_BEGINS.search(word.decode("utf-8", "replace")):
            return True
        begin = words.find(_LONG_WORD, end) if end >= 0 else -1
    return begin >= 0 and _VENDOR_BEGINS.search(text) is not None


def _has_prefix(text: str) -> bool:
    """Whether a key's prefix stands before an underscore, as a word of its own: "gsk_", and not "task_"."""
    pieces = [piece for piece in text.split("_")[:-1] if piece.endswith(_ENDS_BEFORE_UNDERSCORE)]
    return any(_BEFORE_UNDERSCORE.search(piece[-16:]) for piece in pieces)


def _assigns(sign: str, text: str) -> bool:
    """Whether a credential's name stands before a `sign`, in any case, with quotes or blanks between."""
    # No name ends in a digit, as most of what stands before a ":" does: 12:30.
    pieces = [piece for piece in text.split(sign)[:-1] if not piece[-1:].isdigit()]
    names = [piece[-_LONGEST_NAME:].rstrip(_BETWEEN).lower() for piece in pieces]
    return any(_BEFORE_ASSIGNING.search(name) for name in names if name.endswith(_ENDS_BEFORE_ASSIGNING))


def scrub(text: str) -> str:
    """`text` with every credential in it replaced by its kind."""
    if len(text) < _MIN_CHARS:
        return text
    for rule in possible_rules(text):
        text = rule.pattern.sub(rule.replacement, text)
    return text
