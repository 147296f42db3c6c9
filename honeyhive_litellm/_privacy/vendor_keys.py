"""Keys that begin as only one vendor's keys do. To add one: a row of `KEYS`.

Most texts have no long word that begins in one of these ways. So `vendor_keys` looks at long words only, and first at
how their parts begin: a new row costs nothing on other texts.
"""

from __future__ import annotations

import re
from typing import Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Pattern, Set, Tuple

from .key_shape import is_identifier


class VendorKey(NamedTuple):
    """Keys of one vendor: their prefixes, and a pattern for what follows."""

    vendor: str
    prefixes: str
    follows: str


_ANY = r"[\w-]{16,}"
"""For a prefix that is nobody's word: whatever follows is a key."""
_DOTTED = r"[\w.=-]{16,}"
_BASE64 = r"[\w+/=-]{16,}"
_MIXED = r"[A-Za-z0-9]{16,256}"
"""For a prefix that may begin a name in somebody's code: only letters and digits, and no words (`is_identifier`)."""
_MIXED_24 = r"[A-Za-z0-9]{24}(?!\w)"
_MIXED_32 = r"[A-Za-z0-9]{32,34}(?!\w)"
_BOTH_CASES = r"(?=[\w=-]{0,39}[A-Z])(?=[\w=-]{0,39}[a-z])"
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


def _hex(least: int) -> str:
    return rf"[0-9a-fA-F]{{{least},}}(?![A-Za-z0-9])"


KEYS: Tuple[VendorKey, ...] = tuple(
    VendorKey(*row)
    for row in (
        ("1Password", "A3-", r"[A-Z0-9]{6}-[A-Z0-9]{6,11}(?:-[A-Z0-9]{5}){3,4}(?!\w)"),
        ("1Password", "ops_eyJ", _BASE64),
        ("Adafruit", "aio_", r"[A-Za-z0-9]{28}(?!\w)"),
        ("Adobe", "p8e-", _ANY),
        ("age", "AGE-SECRET-KEY-1", r"[A-Z0-9]{16,}"),
        ("Airtable", "pat", r"[A-Za-z0-9]{14}\.[0-9a-f]{64}"),
        ("Aiven", "aivenv1_ AVNS_", _ANY),
        ("Alibaba Cloud", "LTAI", r"[A-Za-z0-9]{12,}"),
        ("Amazon", "AKIA ASIA ABIA ACCA", r"[A-Z0-9]{16,}"),
        ("Amazon Bedrock", "ABSK bedrock-api-key-", _BASE64),
        ("Artifactory", "AKCp cmVmd", r"[A-Za-z0-9]{50,}"),
        ("Atlassian", "ATATT3 ATCTT3", _DOTTED),
        ("Baidu", "bce-v3/ALTAK-", r"[\w/-]{16,}"),
        ("Bitbucket", "ATBB BBDC-", r"[A-Za-z0-9+/=_-]{24,}"),
        ("Buildkite", "bkua_", _MIXED),
        ("Cast AI", "castai_v1_", _ANY),
        ("Cerebras", "csk-", _MIXED),
        ("Chargebee", "live_ test_", _MIXED_32),
        ("Chief Tools", "ctp_ cto_ ctr_", _MIXED),
        ("CircleCI", "CCIPAT_ CCIPRJ_", _ANY),
        ("ClickHouse", "4b1d", r"[A-Za-z0-9]{38}(?!\w)"),
        ("Clojars", "CLOJARS_", _MIXED),
        ("Cloudflare", "v1.0-", r"[a-f0-9]{24}-[a-f0-9]{100,}"),
        ("Contentful", "CFPAT-", _ANY),
        ("crates.io", "cio", r"[A-Za-z0-9]{32}(?!\w)"),
        ("Databricks", "dapi dkea dsapi", _hex(32) + r"(?:-[0-9])?|(?=(?:[A-Za-z_-]{0,40}[0-9]){2})[A-Za-z0-9]{32,}"),
        ("Defined Networking", "dnkey-", _ANY),
        ("DigitalOcean", "dop_v1_ doo_v1_ dor_v1_", _ANY),
        ("Django", "django-insecure-", r"[^\s\"'\\<>]{16,250}"),
        ("Docker", "dckr_pat_ dckr_oat_", _ANY),
        ("Doppler", "dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit.", _DOTTED),
        ("Dropbox", "sl.", r"[\w.=-]{100,}"),
        ("Duffel", "duffel_test_ duffel_live_", _ANY),
        ("Dynatrace", "dt0c01. dt0s01. dt0s02. dt0s16.", _DOTTED),
        ("EasyPost", "EZAK EZTK", r"[A-Za-z0-9]{54}"),
        ("Facebook", "EAAC EAAM", r"[A-Za-z0-9]{60,}"),
        ("Figma", "figd_ figu_ figo_", _ANY),
        ("Fireworks", "fw_", _MIXED),
        ("Flutterwave", "FLWSECK_TEST- FLWSECK-", r"[A-Za-z0-9]{12,}(?:-X)?"),
        ("Fly.io", "fo1_ fm1a_ fm1r_ fm2_", _BASE64),
        ("Frame.io", "fio-u-", _ANY),
        ("GitHub", "ghp_ gho_ ghu_ ghs_ ghr_", r"[A-Za-z0-9]{16,}"),
        ("GitHub", "github_pat_", r"\w{16,}"),
        ("GitLab", "glpat- gldt- glrt- glrtr- glptt- glcbt- glft- glimt- glagent- gloas- glsoat- glffct- glwt-",
         r"[\w-]{16,}(?:\.[\w.-]+)?"),
        ("GitLab", "GR1348941", _ANY),
        ("GoCardless", "live_", rf"{_BOTH_CASES}[\w=-]{{40}}(?![\w=-])"),
        ("Google", "AIza", r"[\w-]{20,}"),
        ("Google", "ya29. 1//0", r"[\w.-]{10,}"),
        ("Google", "GOCSPX-", _ANY),
        ("Grafana", "glsa_", _ANY),
        ("Grafana", "glc_", _BASE64),
        ("Groq", "gsk_", r"[A-Za-z0-9]{16,}"),
        ("Harness", "pat. sat.", r"[\w-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}"),
        ("HashiCorp Terraform", "atlasv1.", r"[\w=-]{40,}"),
        ("HashiCorp Vault", "hvs. hvb. hvr.", _DOTTED),
        ("HashiCorp Vault", "s.", _MIXED_24),
        ("Heroku", "HRKU-", _ANY),
        ("Honeycomb", "hcaik_ hcbik_ hcxik_ hcamk_ hcalk_", _ANY),
        ("HoneyHive", "hh_ro_ hh_ingst_ hh_fgdp_ hh_fgcp_", r"[\w-]{8,}"),
        ("HoneyHive", "hh_", r"(?:(?=(?:[A-Za-z_-]{0,40}[0-9]){3})[\w-]{12,}|[A-Za-z0-9]{20,})"),
        ("HubSpot", "pat-na1- pat-na2- pat-eu1-", _UUID),
        ("Hugging Face", "hf_ api_org_", r"[A-Za-z0-9]{16,}"),
        ("Infracost", "ico-", _MIXED),
        ("Intra42", "s-s4t2ud- s-s4t2af-", _hex(32)),
        ("Jina", "jina_", _MIXED),
        ("LangSmith", "lsv2_pt_ lsv2_sk_", _ANY),
        ("Langfuse", "pk-lf-", _UUID),
        ("LaunchDarkly", "sdk- mob- api-", _UUID),
        ("Linear", "lin_api_ lin_oauth_", _ANY),
        ("Lob", "live_ test_", _hex(35)),
        ("Mailgun", "key- pubkey-", _hex(32)),
        ("Mapbox", "sk.eyJ pk.eyJ tk.eyJ", r"[\w-]{16,}\.[\w-]{16,}"),
        ("MongoDB", "mdb_sa_sk_", _ANY),
        ("Neon", "napi_", _MIXED),
        ("Netlify", "nfp_", _MIXED),
        ("New Relic", "NRAK- NRII- NRJS- NRRA- NRSP- NRIQ-", _ANY),
        ("Notion", "ntn_", _MIXED),
        ("Notion", "secret_", r"[A-Za-z0-9]{40,}"),
        ("npm", "npm_", _MIXED),
        ("NuGet", "oy2", r"[a-z0-9]{43}(?!\w)"),
        ("NVIDIA", "nvapi-", _ANY),
        ("Octopus Deploy", "API-", r"[A-Z0-9]{25,}(?!\w)"),
        ("OpenShift", "sha256~", r"[\w-]{40,}"),
        ("PayPal", "access_token$production$ access_token$sandbox$", r"[\w$]{16,}"),
        ("Perplexity", "pplx-", _MIXED),
        ("Pinecone", "pcsk_", _ANY),
        ("Plaid", "access-sandbox- access-development- access-production-", _UUID),
        ("PlanetScale", "pscale_tkn_ pscale_pw_ pscale_oauth_", _DOTTED),
        ("PostHog", "phx_ phs_", _MIXED),
        ("Postman", "PMAK-", _ANY),
        ("Prefect", "pnu_ pnb_", _MIXED),
        ("Pulumi", "pul-", _hex(40)),
        ("PyPI", "pypi-AgE", _ANY),
        ("Razorpay", "rzp_live_ rzp_test_", r"[A-Za-z0-9]{14,}"),
        ("Readme", "rdme_", _ANY),
        ("Render", "rnd_", _MIXED),
        ("Replicate", "r8_", _MIXED),
        ("RubyGems", "rubygems_", _hex(40)),
        ("RunPod", "rpa_", _MIXED),
        ("Scaleway", "SCW", r"[A-Z0-9]{17}(?!\w)"),
        ("Scalingo", "tk-us-", _ANY),
        ("SendGrid", "SG.", _DOTTED),
        ("Sendinblue", "xkeysib- xsmtpsib-", _ANY),
        ("Sentry", "sntrys_ sntryu_", _BASE64),
        ("Settlemint", "sm_aat_ sm_pat_ sm_sat_", _ANY),
        ("Shippo", "shippo_live_ shippo_test_", _ANY),
        ("Shopify", "shpat_ shpca_ shppa_ shpss_ shpua_ shptka_", _ANY),
        ("Slack", "xapp- xoxe. xoxb- xoxp- xoxa- xoxr- xoxs- xoxo- xoxe- xoxc- xoxd-", r"[\w.%/+-]{8,}"),
        ("SonarQube", "sqp_ squ_ sqa_", _MIXED),
        ("Sourcegraph", "sgp_", r"(?:(?:[0-9a-fA-F]{16}|local)_)?[0-9a-fA-F]{40}"),
        ("Square", "sq0atp- sq0csp- sq0idp-", _ANY),
        ("Square", "EAAA", r"[\w-]{40,}"),
        ("Stripe", "sk_live_ sk_test_ sk_prod_ rk_live_ rk_test_ rk_prod_ pk_live_ pk_test_", r"[A-Za-z0-9]{8,}"),
        ("Stripe", "whsec_", _BASE64),
        ("Supabase", "sbp_ sb_secret_", _MIXED),
        ("Tailscale", "tskey-", _ANY),
        ("Tavily", "tvly-", _ANY),
        ("Tencent Cloud", "AKID", r"[A-Za-z0-9]{32,}"),
        ("Together", "tgp_v1_", _ANY),
        ("Twilio", "SK", r"[0-9a-f]{32}(?!\w)"),
        ("Typeform", "tfp_", _DOTTED),
        ("Vercel", "vcp_ vci_ vca_ vcr_ vck_", _MIXED),
        ("Voyage AI", "pa-", rf"{_BOTH_CASES}[\w-]{{43}}(?![\w-])"),
        ("Weights & Biases", "wandb_v1_", _ANY),
        ("xAI", "xai-", _MIXED),
        ("Yandex", "AQVN", _ANY),
        ("Yandex", "t1.", r"[\w=-]{16,}\.[\w=-]{60,}"),
    )
)  # fmt: skip

_FORMS: Tuple[VendorKey, ...] = (
    VendorKey("Discord", "", r"[MNO][\w-]{22,27}\.[\w-]{6}\.[\w-]{27,45}"),
    VendorKey("Doppler", "", r"dp\.[a-z]{2,5}\.[\w-]{2,35}\.[A-Za-z0-9]{40,44}(?!\w)"),
    VendorKey("Mailchimp", "", r"[0-9a-f]{32}-us[0-9]{1,2}(?!\w)"),
    VendorKey("MaxMind", "", r"[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk(?!\w)"),
)
"""Keys without a prefix, by the form of the whole."""

# ---- patterns

_AFTER_ESCAPE = r"(?<=\\[nrtbf])|(?<=\\u[0-9A-Fa-f]{4})|(?<=%[0-9A-Fa-f]{2})"  # JSON in a string, or a URL
START = rf"(?:(?<![A-Za-z0-9])|{_AFTER_ESCAPE})"
"""Where a key may begin."""


def _by_begin() -> Dict[str, Tuple[Pattern[str], List[VendorKey]]]:
    """For the first two characters of a key: a pattern with a group for each row that it can be, and these rows."""
    rows: Dict[str, List[Tuple[str, VendorKey]]] = {}
    for row in KEYS:
        for prefix in row.prefixes.split():
            rows.setdefault(prefix[:2], []).append((f"({re.escape(prefix)}(?:{row.follows}))", row))
    return {
        begin: (re.compile(f"{START}(?:{'|'.join(form for form, _ in found)})", re.ASCII), [row for _, row in found])
        for begin, found in rows.items()
    }


_BY_BEGIN = _by_begin()
_ANY_FORM = (re.compile(f"{START}(?:{'|'.join(f'({row.follows})' for row in _FORMS)})", re.ASCII), list(_FORMS))
_TERRAFORM_ID = re.compile(r"[A-Za-z0-9]{14}\.\Z")
_RUN_BEHIND = re.compile(r"[A-Za-z0-9]+\Z")
_PREFIXES = [prefix for row in KEYS for prefix in row.prefixes.split()]

# ---- the quick look

_SEPARATED = re.compile(r"[-_+/$]")
_LONG = 15
"""The least length of a key, with its prefix, up to a dot."""
_WORD_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+/$"
_IN_WORDS = bytes(ord("a") if byte in _WORD_BYTES else ord(" ") for byte in range(256))
_LONG_WORD = b"a" * _LONG
_WORD_SIGNS = b"_-+/$"
_DASHES = bytes.maketrans(b"_+/$", b"----")


def _dotted() -> Tuple[bytes, ...]:
    """What stands before a long word, up to its dot, in a key whose prefix has one: "SG."."""
    ends = (re.match(r".*[.~]", prefix) for prefix in _PREFIXES)
    return tuple({end.group().encode() for end in ends if end is not None})


def _first_parts() -> Tuple[FrozenSet[bytes], FrozenSet[bytes]]:
    """How a part of a long word begins: a prefix up to its first sign, or four letters of one without a sign."""
    parts: Set[bytes] = {b"mmk", *(f"us{number}".encode() for number in range(1, 30))}
    begins: Set[bytes] = set()
    for prefix in _PREFIXES:
        first, *others = re.split(r"[-_+/$]", re.sub(r".*[.~]", "", prefix))
        (parts if others else begins).add((first if others else first[:4]).encode())
    return frozenset(parts), frozenset(begins - {b""})


_DOTTED_PREFIXES = _dotted()
_PARTS, _BEGINS = _first_parts()
_DISCORD = range(23, 30)
"""How long the first part of Discord's keys is, which begins with M, N, or O."""
_BEGIN_TWOS = frozenset(begin[:2] for begin in _BEGINS)


class VendorSpan(NamedTuple):
    """A vendor's key in a text."""

    start: int
    end: int
    vendor: str


def vendor_keys(text: str, encoded: bytes) -> Iterator[VendorSpan]:
    """Every vendor's key in `text`, whose UTF-8 is `encoded`."""
    at_byte = at_character = done = 0
    for begin, word in _suspects(encoded):
        at_character += len(encoded[at_byte:begin].decode("utf-8", "replace"))
        at_byte = begin
        for start in _starts(encoded, begin, word, at_character):
            found = _key_at(text, start) if start >= done else None
            if found is not None:
                done = found.end
                yield found


def _suspects(encoded: bytes) -> Iterator[Tuple[int, bytes]]:
    """The long words that begin like a key, or of which a part does; almost always none."""
    words = encoded.translate(_IN_WORDS)
    begin = words.find(_LONG_WORD)
    while begin >= 0:
        end = words.find(b" ", begin)
        word = encoded[begin:end] if end >= 0 else encoded[begin:]
        if (
            not word.isalnum()
            or word[:2] in _BEGIN_TWOS
            or encoded[begin - 1] in _SIGNS_BEFORE
            or (word[0] in b"MNO" and len(word) in _DISCORD)
        ) and _is_suspect(encoded, begin, word):
            yield begin, word
        begin = words.find(_LONG_WORD, end) if end >= 0 else -1


def _is_suspect(encoded: bytes, begin: int, word: bytes) -> bool:
    """Whether the long word at `begin` may have a key."""
    tail = word[1:]
    if not tail.isalnum():
        tail = tail.translate(None, _WORD_SIGNS)
    if tail.islower() and tail.isalpha() and b"$" not in word:  # a random key has other characters as well
        return False
    if len(tail) == len(word) - 1:
        parts = [word]
    else:
        parts = word.translate(_DASHES).split(b"-")
        if not _PARTS.isdisjoint(parts):
            return True
    for part in parts:
        if part[:2] in _BEGIN_TWOS and len(part) >= _LONG and not _BEGINS.isdisjoint((part[:4], part[:3], part[:2])):
            return True
    if begin and encoded[begin - 1] in _SIGNS_BEFORE and _may_begin_before(encoded, begin, parts[0]):
        return True
    return word[:4] in _BEGINS or (word[0] in b"MNO" and len(word) in _DISCORD)


_SIGNS_BEFORE = frozenset(b".~\\%")


def _may_begin_before(encoded: bytes, begin: int, part: bytes) -> bool:
    """Whether a key begins before a long word, as "SG." does, or behind an escape in its first part."""
    if encoded[begin - 1] in b".~":
        return encoded.endswith(_DOTTED_PREFIXES, 0, begin) or encoded.find(b"dp.", max(begin - 48, 0), begin) >= 0
    behind = (part[1:], part[2:], part[5:])
    if part[1:2] in (b"M", b"N", b"O"):
        return True
    return not _PARTS.isdisjoint(behind) or any(rest[:size] in _BEGINS for rest in behind for size in (4, 3, 2))


def _starts(encoded: bytes, begin: int, word: bytes, at: int) -> Iterator[int]:
    """Where in the text a key may begin: before the word, at it, behind an escape, and at each of its parts."""
    before = encoded[begin - 1 : begin]
    if before and before in b".~":
        for prefix in _DOTTED_PREFIXES:
            if encoded.endswith(prefix, 0, begin):
                yield at - len(prefix)
        doppler = encoded.rfind(b"dp.", max(begin - 48, 0), begin)
        if doppler >= 0:
            yield at - begin + doppler
    yield at
    if before and before in b"\\%":
        yield from (at + 1, at + 2, at + 5)
    for match in _SEPARATED.finditer(word.decode("ascii")):
        yield at + match.end()


def _key_at(text: str, start: int) -> Optional[VendorSpan]:
    """The key that begins at `start`."""
    for forms in (_BY_BEGIN.get(text[start : start + 2]), _ANY_FORM):
        if forms is None:
            continue
        pattern, rows = forms
        match = pattern.match(text, start)
        if match is not None and match.lastindex is not None:
            row = rows[match.lastindex - 1]
            if row.vendor == "HashiCorp Terraform" and _TERRAFORM_ID.search(text, max(start - 15, 0), start):
                return VendorSpan(start - 15, match.end(), row.vendor)
            if row.follows not in (_MIXED, _MIXED_24, _MIXED_32) or not _is_name(match.group()):
                return VendorSpan(start, match.end(), row.vendor)
    return None


def _is_name(found: str) -> bool:
    """Whether what stands behind a prefix is a name in code."""
    run = _RUN_BEHIND.search(found)
    return run is not None and is_identifier(run.group())
