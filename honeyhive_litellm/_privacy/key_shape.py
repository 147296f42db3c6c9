"""Whether a value can be a credential, judged by its characters alone."""

from __future__ import annotations

import re

_PLACEHOLDER = re.compile(
    r"(?:none|null|nil|undefined|true|false|yes|no|on|off|empty|unset|n/?a|todo|optional|required|redacted|hidden"
    r"|str|string|bytes|byte|char|text|int|integer|float|number|bool|boolean|object|array|list|dict|any|void"
    r"|[*•xX.…_-]{3,}|\?+|[\w-]{0,12}(?:\.{3}|…)|your[-_ ][\w-]{2,40}"
    r"|\[redacted.*|<[\w .:/|'_-]*>|<[a-z]{2,20}|\[[\w .:/|'_-]*\]|\$\{\{?[^{}]*\}?\}|\{\{?[^{}]*\}?\}|\$\([^()]*\)"
    r"|\$\w+|%\w+%|(?:(?:\$?\{[^{}]*\}|<[\w .-]*>)[:/@ ._-]{0,3}){1,8}|%\(\w+\)s|%s|#\{[^{}]*\}|@\w+@|:\w+"
    r"|\$\([a-z][\w./-]*|(?:required|nullable|sometimes|present|bail)(?:\|\w+(?::[\w,.]*)?){1,12})",
    re.IGNORECASE | re.ASCII,
)
"""What stands for a value: nothing, a type, a mask, a template, the beginning of a command, rules of a form's field."""

_ALGORITHM = re.compile(
    r"(?:AES|RSA|DSA|EC|ECDSA|ECDH|SHA|HMAC|HS|RS|ES|PS|ED|X(?=25519|448)|P(?=-?(?:256|384|521))|DES|3DES|MD|CHACHA|SALSA|BLAKE|SCRYPT|BCRYPT|ARGON|"
    r"KMS|SSE|PBKDF|A(?=128|192|256))[-_]?[0-9]{1,5}\w{0,3}(?:[-_/+](?:GCM|CBC|CTR|ECB|OAEP|PSS|KW|HMAC|SHA[-_]?[0-9]{1,3}|[0-9]{1,5}|"
    r"POLY1305))*",
    re.IGNORECASE | re.ASCII,
)
_MOMENT = re.compile(r"[0-9]{1,4}(?:[-/.:][0-9]{1,4}){1,3}(?:[T ][0-9:.]+)?(?:Z|[ap]m)?[.,]?|v?[0-9]+(?:\.[0-9]+){1,3}")
_PATH = re.compile(r"(?:(?:~|\.{1,2}|[A-Za-z]:)?[/\\][\w./\\~:@+%-]*|\.{1,2}|~)[,;)]?\Z")
_RUN = re.compile(r"[A-Za-z0-9]{8,}")
_CHUNK = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{5}", re.IGNORECASE)
_RARE = re.compile(r"[jqxzJQXZ]")
_INNER_DIGIT = re.compile(r"[A-Za-z][0-9]+[A-Za-z]")
_WORD = re.compile(r"[A-Z]?[a-z]{2,}|[A-Z]{3,}|[^\W\d_A-Za-z]+")
_PLAIN = re.compile(r"[^\W\d_]+(?:[-_./:,'\u2019][^\W\d_]+)*")
_EDGES = "*_`'\"()[]{}<>.,;:!?"
_SEVERAL_WORDS = re.compile(
    r"[a-z]+(?:_[a-z]+)+|[A-Z]+(?:_[A-Z]+)+|[A-Za-z][a-z]+(?:[A-Z][a-z]+){1,5}[)\],;]*", re.ASCII
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

_PART = r"(?:[a-z]+(?:[0-9]{1,3}(?=_))?|[A-Z]+|[A-Z]?[a-z]{3,}(?:[A-Z][a-z]{2,}){0,6})"
_NAME = rf"[&*@$]{{0,2}}_{{0,2}}(?:[a-z][a-z]?(?=\??[.])|(?=[A-Za-z_]{{3}}){_PART}(?:_{{1,2}}{_PART}){{0,6}}[0-9]?)"
_MEMBER = r"(?:\?\.|\.|->|::)[A-Za-z_$][\w$]*"
_IN_CALL = r"\w.,'\"()\[\]{}:=+*/\\-"
_ARGUMENTS = rf"(?:[\\'\"]{{0,8}}[\w./]*|[{_IN_CALL}]{{24,}}|[{_IN_CALL}]*[{_IN_CALL[2:]}]);?\Z"
_CODE = re.compile(
    rf"{_NAME}(?:{_MEMBER})*[!?]?(?:[(\[]{_ARGUMENTS}|<[A-Z]\w*[,>]|[,;)}}\]]+\Z)|{_NAME}(?:{_MEMBER})+[,;)}}\]]*\Z",
    re.ASCII,
)
"""An expression: a path of names, or the beginning of a call or an index."""


def is_placeholder(value: str) -> bool:
    """Whether `value` stands for another one, or names an algorithm: `None`, `<your key>`, `${TOKEN}`, `AES-256`."""
    short = value.strip()[:200].rstrip(",;):`")
    return not short or _PLACEHOLDER.fullmatch(short) is not None or _ALGORITHM.fullmatch(short) is not None


def is_name(value: str) -> bool:
    """Whether `value` is a name of several words in code: `OPENAI_API_KEY`, `userPassword`."""
    return _SEVERAL_WORDS.fullmatch(value) is not None


def is_path(value: str) -> bool:
    return _PATH.match(value) is not None


def is_code(value: str) -> bool:
    """Whether `value` is an expression of names: `settings.key`, `get_password(`, `$_POST['x']`."""
    return _CODE.match(value) is not None and not can_be_key(value)


def is_words(value: str) -> bool:
    """Whether `value` is words of a language, or of code, and little else; digits and punctuation are not."""
    core = value.strip(_EDGES)
    letters = sum(len(word) for word in _WORD.findall(core) if len(word) > 2)
    return letters * 10 >= len(core) * 7 or (_PLAIN.fullmatch(core) is not None and not can_be_key(core))


def can_be_key(value: str) -> bool:
    """Whether `value` has a run of letters and digits that is no word, or is a UUID."""
    return any(map(is_irregular, _RUN.findall(value))) or _UUID.fullmatch(value) is not None


def is_irregular(run: str) -> bool:
    """Whether letters and digits without a break are no words of a language, of code or of an id such as "user1234".

    In random ones the case and the kind of character change often, or consonants come in rows. Of the 50,000 words of
    eight characters and more in the standard library's code, one in two hundred is taken for a random one.
    """
    if len(run) >= 16 and _INNER_DIGIT.search(run):
        return True
    chunks = _CHUNK.findall(run)
    words = [chunk for chunk in chunks if chunk.isalpha()]
    if len(run) < len(chunks) * 3 or len(chunks) - len(words) >= 3:
        return True
    return any(map(_CONSONANTS.search, words)) or len(_RARE.findall(run)) * 6 > sum(map(len, words))


def is_identifier(run: str) -> bool:
    """Whether letters without a digit are one word, or words in camelCase: what may follow a prefix in code."""
    words = _CHUNK.findall(run)
    return run.isalpha() and (len(words) == 1 or all(len(word) > 2 for word in words))


_ESCAPED = re.compile(r"\\{1,8}u([0-9a-fA-F]{4})")


def can_be_password(value: str, after_equals: bool) -> bool:
    """Whether a word without quotes is a password, and no prose or code. Any other word is one right after "="."""
    value = _ESCAPED.sub(lambda match: chr(int(match.group(1), 16)), value) if "\\u" in value else value
    is_strong = len(value) >= 6 and (any(map(str.isdigit, value)) or not is_words(value))
    if not is_strong and (not after_equals or len(value) < 4):
        return False
    if "://" in value or is_placeholder(value) or is_code(value) or (is_path(value) and is_words(value)):
        return False
    return not is_strong or sum(map(str.isalnum, value)) >= 3


def can_be_secret(value: str, after_equals: bool) -> bool:
    """The same for another secret, which is no date, version or path."""
    if _MOMENT.fullmatch(value) or (is_path(value) and not can_be_key(value)):
        return False
    return can_be_password(value, after_equals)
