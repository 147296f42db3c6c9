"""Values behind a name in text: `password=...`, `"api_key": "..."`, `**Token:** ...`, `private_key: |`.

Each separator that `name_search` finds is looked at by itself, within bounds: a name of at most `_NAME_CHARS`, a value
that ends with its quotes, at a blank, or with its line.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from .key_shape import can_be_key, can_be_password, can_be_secret, is_code, is_name, is_path, is_placeholder, is_words
from .secret_names import VERBS, NameKind, name_kind


class Span(NamedTuple):
    """A part of a text that is a credential."""

    start: int
    end: int


# ---- names

_NAME_CHARS = 64
_DECORATION = " \t*_?!]\"'`\\"
_REVERSED_NAME = re.compile(r"[\w$@.-]{1,64}(?:[ ][\w$@.-]{1,24}){0,2}")
_VERBS = tuple(f" {verb}" for verb in VERBS)


class Name(NamedTuple):
    """A credential's name in a text, and where it begins."""

    kind: NameKind
    word: str
    is_quoted: bool
    start: int

    @property
    def is_folder(self) -> bool:
        """Whether it may be the working directory: `pwd`."""
        return self.word.lower().endswith("pwd")


def name_before(text: str, place: int) -> Optional[Name]:
    """The credential's name that ends before `place`: its last word, or its last three, as in "api key"."""
    before = text[max(place - _NAME_CHARS, 0) : place]
    core = before.rstrip(_DECORATION)
    if core.endswith(_VERBS):
        core = core.rpartition(" ")[0]
    match = _REVERSED_NAME.match(core[::-1])
    if match is None:
        return None
    phrase = match.group()[::-1]
    word = phrase.rpartition(" ")[2]
    end = before[len(core) :]
    is_quoted = end != "" and ('"' in end or "'" in end or "`" in end)
    kind = name_kind(word.rsplit(".", 1)[-1])
    if kind is None and word != phrase:
        kind = name_kind(phrase)
        kind = None if kind is NameKind.PERHAPS else kind
    if (
        kind is None
        and text[place : place + 1] == "="
        and _is_query(text, place, word, place - len(before) + len(core))
    ):
        kind = NameKind.SECRET
    if kind is None or (word.lower() == "pass" and not is_quoted and text[place : place + 1] != "="):
        return None
    return Name(kind, word, is_quoted, max(place - _NAME_CHARS, 0) + len(core) - len(word))


_QUERY_NAMES = frozenset(("key", "auth", "sig", "signature", "x-amz-signature", "x-goog-signature"))
_QUERY_VALUE = re.compile(r"=(?=[^&\s\"'#<>]{0,128}[0-9]|[^&\s\"'#<>]{16})")


def _is_query(text: str, place: int, word: str, end: int) -> bool:
    """Whether the word is a name in a URL's query that is a credential's only there: `?key=`, `&sig=`."""
    start = end - len(word)
    is_name = word.lower() in _QUERY_NAMES and start > 0 and text[start - 1] in "?&;"
    return is_name and _QUERY_VALUE.match(text, place) is not None


# ---- values

_SIGN = re.compile(r"(?::=|=>|[:=\uff1a\uff1d])(?!=[=>]?[ ]|[:=]{1,2}[ ]{0,2}[\"'])")
_TYPE = re.compile(
    r":[ ]?[&*]{0,2}(?:'static[ ])?(?:const[ ])?[A-Za-z][\w.]{0,32}(?:[<\[][\w, .|]{1,40}[>\]])?"
    r"(?:[ ]?\|[ ]?\w{1,16}){0,3}\??[ ]{0,2}=[ ]{0,2}(?=\\{0,7}[\"'`])"
)
"""The type between a name and its value: `token: str = "..."`."""
_BEFORE_VALUE = re.compile(r"[ \t]*(?:(?:\*\*|__|\*|</?\w{1,6}>)[ \t]*)?(?:[bBrRfFuU]{1,2}(?=\\{0,7}[\"']))?")
_OPENING = re.compile(r"(\\{0,7})([\"'`])")
_CURLED = {"\u201c": "\u201d", "\xab": "\xbb", "\u201e": "\u201c", "\u2018": "\u2019", "\u300c": "\u300d"}
_SCHEME = re.compile(
    r"(?:Bearer|Basic|Token|ApiKey|Api-Key|Negotiate|SharedKey|Splunk|GenieKey|key|SSWS|Bot)[ ]+(?=[^\s\"'])",
    re.IGNORECASE,
)
_PAIRS_SCHEME = re.compile(
    r"(?:Digest|OAuth|Signature|Hawk|AWS4-HMAC-SHA256|Snowflake|SharedAccessSignature)[ ]+"
    r"(?:[\w-]{1,40}=(?:\\{0,7}\"[^\"\n]{0,1024}\"|\[redacted: [\w &.-]{1,32}\][^\s,\"]{0,256}|[^\s,\"]{1,1024})"
    r"(?:,[ ]{0,2}|[ ](?=[\w-]{1,40}=)|(?=[\s\"'\\]|\Z))){1,16}",
    re.IGNORECASE,
)
_COOKIES = re.compile(r"(?:[\w.~!#$%&*+^|-]{1,256}=[^\s;,\"'\\]{0,4096}(?:;[ ]?)?){1,64}")
_BLOCK = re.compile(r"[|>][+-]?[0-9]?[+-]?[ \t]*\r?\n(?P<lines>(?:[ \t]+[^\s][^\n]{0,4096}(?:\n|\Z)){1,200})")
_STRUCTURE = re.compile(r"[\[{(](?:\s|\Z|[\"'][\w$-]+[\"']\s?[:,\])}]|[\[{(]?[\])}](?:[\s,;)]|\Z))")
_BARE = re.compile(r"\S{1,128}")
_AFTER_QUOTE = ",;:)]}>.|+\\"
_NO_APOSTROPHE = re.compile(r"(?<![A-Za-z])'|'(?![A-Za-z])")
_LINE_CHARS = 200
_KEY_CHARACTERS = re.compile(r"[\w+/=.~%-]{1,8192}")
_MOST_BARE_CHARS = 128
_MOST_PASSWORD_CHARS = 64
_MOST_QUOTED_CHARS = 8192
_LEAST_SECRET_CHARS = 4
_NEXT_MEMBER = re.compile(r"[&;,](?=[\"']?[\w.-]{1,40}[\"']?[=:])")
_NEXT_LINE = re.compile(r"\\{1,7}[nr](?![\w.-]*\Z)")
_QUOTE_AND_MORE = re.compile(r"\\{0,7}[\"'`](?=[ ]{0,2}(?:[,:}\])>;|\\]|\Z|[+&]))")
_CLOSERS = {
    ")": "(",
    "]": "[",
    "}": "{",
    ">": "<",
    "`": "`",
    "*": "*",
    '"': '"',
    "'": "'",
    "\u201d": "\u201c",
    "\xbb": "\xab",
}


def value_at(text: str, place: int, name: Name) -> Optional[Span]:
    """The credential that follows the sign at `place`; None if there is no sign, or no value that can be one."""
    sign = _SIGN.match(text, place)
    if sign is None or (place and text[place - 1] in "!<>=:"):
        return None
    typed = _TYPE.match(text, place)
    if typed is not None:
        return value_from(text, typed.end(), name)
    if text[sign.end() - 1] in ":\uff1a":
        below = value_below(text, sign.end(), name, has_sign=True)
        if below is not None:
            return below
    return value_from(text, sign.end(), name)


def value_from(text: str, start: int, name: Name) -> Optional[Span]:
    """The credential that begins at `start`, behind a sign and perhaps blanks."""
    before = _BEFORE_VALUE.match(text, start)
    begin = before.end() if before is not None else start
    after_equals = begin == start and text[start - 1] in "=\uff1d" and text[begin : begin + 1] not in (":", "=")
    if text[begin : begin + 1].isalnum():
        return _bare(text, begin, name, after_equals)
    opening = _OPENING.match(text, begin)
    if opening is not None:
        if not name.is_quoted and _is_inside(text, name.start, opening):  # it ends what the name is in
            perhaps = name._replace(kind=NameKind.PERHAPS)
            follows = text[opening.end() : opening.end() + 1]
            return _bare(text, opening.end(), perhaps, after_equals) if follows.isalnum() else None
        end = _closing(text, opening, name)
        if end is not None:
            return _judged(text, opening.end(), end, name, True)
        return _bare(text, opening.end(), name, after_equals)
    curled = _CURLED.get(text[begin : begin + 1])
    if curled is not None:
        end = text.find(curled, begin + 1, begin + _MOST_BARE_CHARS)
        return _judged(text, begin + 1, end, name, True) if end > 0 and "\n" not in text[begin:end] else None
    block = _BLOCK.match(text, begin)
    if block is not None:
        return _block(text, block, name)
    line_break = _ESCAPED_BREAK.match(text, begin)
    if line_break is not None:
        return _word_of_line(text, line_break.end(), name)
    if _STRUCTURE.match(text, begin) or (name.is_quoted and text[begin : begin + 1] in ("{", "[")):
        return None
    return _bare(text, begin, name, after_equals)


_ESCAPED_BREAK = re.compile(r"(?:\\{1,7}[nr])+[ ]{0,16}")
_WORD_AND_BREAK = re.compile(r"(?P<value>[^\s\"'`\\\[{(<#/-][^\s\"'`\\]{5,127})(?=\\{1,7}[nr\"]|[\"'\s]|\Z)")
_LINE_OF_ONE_WORD = re.compile(
    r"[ \t]*(?:\*\*|__)?[ \t]*\r?\n[ \t]{0,16}(?P<value>[^\s\"'`\[{(<#/-][^\s\"'`]{5,127})[ \t]*(?=[\r\n]|\Z)"
)
_NUMBERED_WORD = re.compile(r"[^\W\d]+[0-9]{0,2}\W?")


def value_below(text: str, start: int, name: Name, *, has_sign: bool) -> Optional[Span]:
    """The credential that is all of the line below `start`: letters and digits, and no word with a number behind it.

    Without a sign behind its name, the name has to be all of its line, too.
    """
    match = _LINE_OF_ONE_WORD.match(text, start)
    if match is None or (not has_sign and _line_before(text, name.start).strip(_DECORATION + "#>-")):
        return None
    return _judged_line(text, match, name, has_sign)


def _word_of_line(text: str, start: int, name: Name) -> Optional[Span]:
    """The same behind an escaped line break, as in JSON."""
    match = _WORD_AND_BREAK.match(text, start)
    return _judged_line(text, match, name, True) if match is not None else None


def _judged_line(text: str, match: re.Match[str], name: Name, has_sign: bool) -> Optional[Span]:
    value = match.group("value")
    kinds = {character.isdigit() for character in value if character.isalnum()}
    if len(kinds) < 2 or value.endswith((":", ",", ";")) or "=" in value or is_code(value):
        return None
    if name.kind is NameKind.PERHAPS or not has_sign:
        is_one = can_be_key(value) or (name.kind is NameKind.PASSWORD and _NUMBERED_WORD.fullmatch(value) is None)
    else:
        is_one = can_be_secret(value, False)
    return Span(*match.span("value")) if is_one and not is_path(value) else None


def _closing(text: str, opening: re.Match[str], name: Name) -> Optional[int]:
    """Where the quoted value ends: in its line, within bounds. None if nothing closes it.

    In JSON within JSON each level doubles the backslashes before a quote, and adds one.
    """
    escape, quote = opening.groups()
    depth, level = len(escape), 2 * (len(escape) + 1)
    start = at = opening.end()
    line_end = text.find("\n", start, start + _MOST_QUOTED_CHARS)
    most = line_end if line_end >= 0 else min(len(text), start + _MOST_QUOTED_CHARS)
    while True:
        found = text.find(quote, at, most)
        if found < 0:
            return None
        value = text[start:found]
        slashes = len(value) - len(value.rstrip("\\"))
        if slashes % level == depth:
            follows = text[found + 1 : found + 2]
            is_end = name.is_quoted or depth or not follows or follows.isspace() or follows in _AFTER_QUOTE
            return found - depth if is_end else None
        if slashes < depth:
            return None
        at = found + 1


def _line_before(text: str, place: int) -> str:
    """The line of `place` up to there, as much of it as is looked at."""
    return text[max(place - _LINE_CHARS, 0) : place].rpartition("\n")[2]


def _is_inside(text: str, place: int, opening: re.Match[str]) -> bool:
    """Whether a quote like this one is open at `place`, so that it closes and does not open."""
    line = _line_before(text, place)
    if len(line) == _LINE_CHARS:  # too far to count: an opening one has a value behind it
        return text[opening.end() : opening.end() + 1] in ("", " ", ",", ";", ")", "}", "]", ">", ":", "\n")
    escape, quote = opening.groups()
    if escape:
        return len(re.findall(rf"(?<!\\){re.escape(escape)}{quote}", line)) % 2 == 1
    if quote == "'":
        return len(_NO_APOSTROPHE.findall(line)) % 2 == 1
    return (line.count(quote) - line.count("\\" + quote)) % 2 == 1


def _judged(text: str, start: int, end: int, name: Name, is_quoted: bool) -> Optional[Span]:
    """The value, if it can be a credential under this name."""
    value = text[start:end]
    if not value or value.isspace() or value.startswith("[redacted") or _stands_for_another(value, name):
        return None
    if name.kind is NameKind.PERHAPS:
        return Span(start, end) if can_be_key(value) and " " not in value else None
    if name.is_folder and is_path(value):
        return None
    if is_quoted and not name.is_quoted and len(value) > 16 and " " in value and is_words(value):
        return Span(start, end) if "=" in text[max(start - 4, 0) : start] else None
    return Span(start, end)


_ONLY_SCHEME = re.compile(r"\A(?:Bearer|Basic|Token|ApiKey|Api-Key|SSWS|Bot)(?:[ ]+|\Z)", re.IGNORECASE)
_VERSION = re.compile(r"[\^~=<>v ]{0,3}[0-9]{1,4}(?:\.[0-9x*]{1,4}){1,2}(?:-[a-z]{1,8}(?:\.[0-9]{1,4})?)?")


def _stands_for_another(value: str, name: Name) -> bool:
    """Whether a value in quotes is no credential: a placeholder, also behind "Bearer", a version, or a name itself."""
    if is_placeholder(_ONLY_SCHEME.sub("", value)) or (
        name.kind is not NameKind.PASSWORD
        and (len(value) < _LEAST_SECRET_CHARS or _VERSION.fullmatch(value) is not None)
    ):
        return True
    return (is_name(value) and name_kind(value) is not None) or (name.is_quoted and _is_label(value))


def _is_label(value: str) -> bool:
    """Whether a value is what a form shows: a credential's name, as in `"password": "Your password"`."""
    words = value.rstrip(" .:?!*").split(" ")
    if len(words) > 4 or not all(word.isalpha() and word[1:] in (word[1:].lower(), word[1:].upper()) for word in words):
        return False
    return (len(words) > 1 or value[:1].isupper()) and name_kind(" ".join(words[-2:])) is not None


def _block(text: str, block: re.Match[str], name: Name) -> Optional[Span]:
    """A block of YAML: its first line, and the lines of one word that follow as deep."""
    first, *others = block.group("lines").split("\n")
    indent = len(first) - len(first.lstrip())
    length = len(first)
    for line in others:
        word = line.strip()
        if not word or " " in word or len(line) - len(line.lstrip()) < indent:
            break
        length += 1 + len(line)
    start = block.start("lines")
    return _judged(text, start + indent, start + length, name, True)


def _bare(text: str, begin: int, name: Name, after_equals: bool) -> Optional[Span]:
    """A value without quotes: to the blank, or to where the text around it goes on."""
    if name.kind is NameKind.SECRET:
        pairs = (_COOKIES if name.word.lower().endswith("cookie") else _PAIRS_SCHEME).match(text, begin)
        if pairs is not None:
            return Span(begin, pairs.end())
        scheme = _SCHEME.match(text, begin)
        if scheme is not None:
            end = _word(text, scheme.end(), name)
            value = text[scheme.end() : end]
            is_key = not value.startswith("[redacted") and (len(value) >= 24 or can_be_secret(value, False))
            return Span(begin, _end_of_long(text, scheme.end(), end)) if is_key else None
    end = _word(text, begin, name)
    value = text[begin : min(end, begin + _MOST_PASSWORD_CHARS)]
    if value.startswith("[redacted") or (is_name(value) and name_kind(value) is not None):
        return None
    if name.kind is NameKind.PERHAPS:
        is_one = can_be_key(value) and "://" not in value and not is_placeholder(value)
    elif name.kind is NameKind.PASSWORD and not name.is_folder:
        is_one = can_be_password(value, after_equals)
    else:
        is_one = can_be_secret(value, after_equals) and not (name.is_folder and is_path(value))
    return Span(begin, _end_of_long(text, begin, end)) if is_one else None


def _end_of_long(text: str, begin: int, end: int) -> int:
    """Where a value ends that is longer than what is looked at, if it has the characters of a key."""
    key = _KEY_CHARACTERS.match(text, begin) if end - begin == _MOST_BARE_CHARS else None
    return max(key.end(), end) if key is not None else end


def _word(text: str, begin: int, name: Name) -> int:
    """Where the word at `begin` ends: at a blank, or at what the text before the name makes an end.

    That is a next member where members are separated so, a quote or bracket that was opened before, or a line break of
    an escaped text. Without such a reason, punctuation is the password's own.
    """
    match = _BARE.match(text, begin)
    if match is None:
        return begin
    end = match.end()
    if end - begin > _MOST_PASSWORD_CHARS and text[begin:end].isalpha():
        return end
    before = _line_before(text, name.start) + text[name.start : begin]
    sign = before[: len(before) - (begin - name.start)].rstrip(" \"'")[-1:]
    members = {"&": "&", "?": "&", ";": ";", ",": ",", "(": ",", "{": ","}.get(sign, "")
    if end - begin > _MOST_PASSWORD_CHARS:
        members = "&;,"
    if members:
        next_members = (m.start() for m in _NEXT_MEMBER.finditer(text, begin, end) if m.group() in members)
        end = next(next_members, end)
    if "\\" in before or '"' in before:
        line = _NEXT_LINE.search(text, begin, end)
        end = line.start() if line is not None else end
    if "<" in before or ">" in before:
        tag = text.find("</", begin, end)
        end = tag if tag >= 0 else end
    if '"' in before or "'" in before or "`" in before:
        quotes = (quote.start() for quote in _QUOTE_AND_MORE.finditer(text, begin, end) if quote.group()[-1] in before)
        end = next(quotes, end)
    while end > begin and text[end - 1] in _CLOSERS and _is_open(before, text[begin:end], text[end - 1]):
        end -= 1
    return end


def _is_open(before: str, value: str, closer: str) -> bool:
    """Whether the last character of `value` closes what was opened before it."""
    opener = _CLOSERS[closer]
    if opener == closer:
        return before.count(closer) % 2 == 1 and value.count(closer) % 2 == 1
    return opener in before and value.count(closer) > value.count(opener)
