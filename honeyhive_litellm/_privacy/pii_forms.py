"""What personal data looks like: the patterns of `pii`, and the check digits that tell a card from any other number.

No text can make the search slow. Every repetition is bounded, or followed by a character that it cannot match itself,
and no run of characters has more than a few places where a match may begin.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Dict, List

HEX = "[0-9A-Fa-f]"
_GAP = r"[ .\u2010-\u2013-]"  # what stands between groups of digits: blanks, points, dashes
_CARD_GAP = r"[ .\t_/\u2010-\u2013-]{1,2}|\r?\n[ \t]{0,8}"
_PHONE_GAP = r"[ ./()\u2010-\u2013-]"


def _first(character: str, not_after: str) -> str:
    """A pattern for the first character of a match, which must not stand after `not_after`.

    It may stand right after an escape of JSON in a string, or of a URL. The character comes before the look-behind,
    because only then `re` skips to it quickly.
    """
    c = character
    return rf"{c}(?:(?<!{not_after}{c})|(?<=\\[nrtbf]{c})|(?<=\\u{HEX}{{4}}{c})|(?<=%{HEX}{{2}}{c}))"


# The local part has neither "%" nor "\", so that few places of a run can be its beginning.
EMAIL = (
    rf"(?:(?<![\w.+\\-])|(?<=\\[nrtbf])|(?<=\\u{HEX}{{4}})|(?<=%{HEX}{{2}})|(?<=\\)(?![nrtbfu]))"
    r"[\w.+-]+(?:@|%40|\\{1,8}u0040|&#(?:64|x40);)(?:[\w-]+\.)+[^\W\d_][\w-]+"
)

_GROUP = rf"{_first('[0-9]', '[0-9]')}(?<![0-9][.,][0-9])[0-9]{{3}}(?P<gap>{_CARD_GAP}|\+|%20)"  # of a card's number
CARDS = (
    rf"{_GROUP}[0-9]{{4}}(?P=gap)[0-9]{{4}}(?P=gap)[0-9]{{4}}(?P=gap)[0-9]{{3}}(?![0-9])",
    rf"{_GROUP}[0-9]{{4}}(?P=gap)[0-9]{{4}}(?P=gap)[0-9]{{4}}(?![0-9])",
    rf"{_GROUP}[0-9]{{6}}(?P=gap)[0-9]{{4,5}}(?![0-9])",
    rf"{_first('[0-9]', '[0-9]')}(?<![0-9][.,][0-9])[0-9]{{12,18}}(?![0-9])",
)
_ISSUER = re.compile(r"4|5|2[2-7]|3[0-9]|6|81|82|9792")

SSN = (
    rf"{_first('[0-8]', '[0-9]')}(?<![0-9]-[0-9])[0-9]{{2}}(?<!000)(?<!666)(?P<gap>[ \u2010-\u2013-])"
    r"(?!00)[0-9]{2}(?P=gap)(?!0000)[0-9]{4}(?!-?[0-9])"
)
SSN_LABELLED = r"(?:ssn|social[ _-]?security(?:[ _-]?(?:number|no|nr))?)[^\w\n]{0,6}(?:is[ ])?([0-9]{9})(?![0-9])"

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
IPV4 = rf"(?=[0-9]{{1,3}}\.){_first('[0-9]', '[0-9]')}(?<![0-9]\.[0-9])[0-9]{{0,2}}(?:\.{_OCTET}){{3}}(?!\.?[0-9])"
IPV6 = (
    rf"(?:(?<![\w:.\\])|(?<=\\[nrtbf])|(?<=%{HEX}{{2}})){HEX}{{0,4}}:{HEX}{{0,4}}:[0-9A-Fa-f:]{{0,32}}"
    rf"(?:(?<={HEX})|(?<=::))(?:\.[0-9]{{1,3}}){{0,3}}(?!\w)"
)

_NANP = (
    rf"{_first('[0-9]', '[0-9]')}(?<![0-9][.-][0-9])(?:(?<![0-9][ ][0-9])|(?![0-9]{{2}}[ ][0-9]{{3}}[ ]))"
    r"(?:(?<=1)[ .-][0-9]{3}|[0-9]{2})[ .-][0-9]{3}[ .-][0-9]{4}(?![-.]?[0-9])"
)
_NATIONAL = (  # no date
    rf"{_first('0', '[A-Za-z0-9_.,:/-]')}(?![0-9][./-][0-9]{{2}}[./-](?:19|20)[0-9]{{2}})"
    rf"[1-9](?:{_PHONE_GAP}{{0,2}}[0-9]){{7,10}}(?![0-9])"
)
_RUSSIA = r"[ -]?\(?[3489][0-9]{2}\)?[ -]?[0-9]{3}[ -][0-9]{2}[ -][0-9]{2}(?![0-9])"
PHONES = (
    rf"{_first('[+%]', '[A-Za-z0-9_+]')}(?:(?<=[+])|(?<=%)2B)[1-9](?:{_PHONE_GAP}{{0,3}}[0-9]){{6,14}}(?![0-9])",
    _NANP,
    r"\([0-9]{3}\)[ -]?[0-9]{3}[ .-][0-9]{4}(?![-.]?[0-9])",
    rf"{_first('0', '[0-9.,:/-]')}0[1-9](?:{_PHONE_GAP}{{0,2}}[0-9]){{9,12}}(?![0-9])",
    _NATIONAL,
    r"\([1-9][0-9]\) ?9?[0-9]{4}[ -][0-9]{4}(?![0-9])",  # Brazil
    rf"{_first('[1-9]', '[A-Za-z0-9_.,:/-]')}[0-9] 9[0-9]{{4}}-[0-9]{{4}}(?![0-9])",
    rf"{_first('8', '[A-Za-z0-9_.,:/-]')}{_RUSSIA}",
)
PHONE_WORDS = (
    "phone", "mobile", "whatsapp", "msisdn", "telefon", "telefone", "telefono", "teléfono", "telefoon", "téléphone",
    "handy", "handynummer", "rufnummer", "móvil", "movil", "celular", "cellulare", "portable", "mobil", "komórka",
    "телефон", "Телефон", "ТЕЛЕФОН", "тел", "Тел", "電話", "电话", "手机", "手機", "携帯", "전화", "휴대폰",
)  # fmt: skip
PHONE_SHORT_WORDS = ("tel", "tél", "cell", "cel", "fax", "mob", "gsm", "natel", "tfno", "tlf")
"""These are labels only at the beginning of a word: no "hotel"."""
PHONE_LABELLED = (
    rf"(?:{'|'.join(PHONE_WORDS)}|(?<![A-Za-z])(?:{'|'.join(PHONE_SHORT_WORDS)}))"
    r"(?:[ _-]?(?:number|num|no|nr|nummer))?"
    rf"[^\w\n+]{{0,6}}(?:is[ ])?(\+?[0-9](?:{_PHONE_GAP}{{0,2}}[0-9]){{6,14}})(?![0-9])"
)

_IBAN_LENGTHS = (
    "NO15 BE16 DK18FI18FO18GL18NL18SD18 MK19SI19 AT20BA20EE20KZ20LT20LU20MN20XK20 CH21CR21HR21LI21LV21"
    "BG22BH22CR22DE22GB22GE22IE22ME22RS22VA22 AE23GI23IL23IQ23OM23TL23SO23 AD24CZ24ES24MD24PK24RO24SA24SE24SK24TN24VG24"
    "LY25PT25ST25 IS26TR26 BI27DJ27FR27GR27IT27MC27MR27SM27 AL28AZ28BY28CY28DO28GT28HU28LB28NI28PL28SV28"
    "BR29EG29PS29QA29UA29 JO30KW30MU30YE30 MT31SC31 LC32 RU33FK18HN28"
)


def iban() -> str:
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


_OBJECT_IDS = ("2.5.4.", "2.5.29.")
"""How ids of fields in certificates begin."""


def is_ip(text: str) -> bool:
    """Whether it is an IP address. A short one ("::1", "a::b") is no person's, and may be a slice or a C++ scope.

    Nor is the beginning of object identifiers one: "1.3.6.1" is that of the Internet's.
    """
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return len(text) >= 7 and text != "1.3.6.1" and not text.startswith(_OBJECT_IDS)


_NO_DOMAINS = frozenset(
    (
        "png", "jpg", "jpeg", "gif", "webp", "svg", "bmp", "tiff", "avif", "ico", "css", "scss", "js", "jsx", "ts",
        "tsx",
        "json", "html", "xml", "txt", "pdf", "csv", "tgz", "gz", "whl", "jar", "woff", "woff2", "ttf", "mp4", "wav",
    )
)  # fmt: skip
"""Endings of files that are no top-level domains: "logo@2x.png"."""
_NOBODY = ("git@", "hg@", "svn@", "git%40")


def is_email(text: str) -> bool:
    """Whether it is an address, and no file ("logo@2x.png") and no repository ("git@github.com")."""
    return not text.startswith(_NOBODY) and text.rsplit(".", 1)[-1].lower() not in _NO_DOMAINS


def is_phone(text: str) -> bool:
    """Whether it is no list of numbers with leading zeros: "001 002 003 004"."""
    groups = re.split("[^0-9]+", text)
    return len(groups) < 3 or not all(group.startswith("0") and len(group) > 2 for group in groups)
