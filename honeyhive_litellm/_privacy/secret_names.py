"""The names that credentials go by: in dictionaries, in HTTP headers, among parameters, and before a value in text.

This is the only list of them. A name is judged the same way wherever it stands:

* a **password**: its value is a credential whatever it looks like, and may hold any punctuation;
* a **secret** (an API key, an access token): its value is a credential whatever it looks like;
* **perhaps** one (`DEPLOY_KEY`, `my_token`): only a value that can be a key is one (`key_shape.can_be_key`).

To add a name: a word in one of the tables below. Names are compared in lower case, without punctuation and without a
number at their end: "X-Api-Key", "apiKey" and "API_KEY_2" are all "apikey".
"""

from __future__ import annotations

import enum
import functools
import re
from typing import List, Optional

REDACTED = "[redacted]"
"""What replaces the value under such a name."""


class NameKind(enum.Enum):
    """What a name says of its value."""

    PASSWORD = enum.auto()
    SECRET = enum.auto()
    PERHAPS = enum.auto()


# ---- the tables

_PASSWORDS = (
    "password", "passwords", "passwd", "passphrase", "passcode", "passwrd", "pwd", "userpass", "dbpass", "rootpw",
    "bindpw", "requirepass", "masterauth", "psk", "presharedkey",
    # the word for it in other languages
    "passwort", "kennwort", "contraseña", "contrasena", "contraseñas", "clavesecreta", "motdepasse", "senha",
    "palavrapasse", "parolaccesso", "parola", "parolă", "wachtwoord", "hasło", "haslo", "lösenord", "losenord",
    "adgangskode", "kodeord", "passord", "salasana", "heslo", "jelszó", "jelszo", "şifre", "sifre", "lozinka", "geslo",
    "slaptažodis", "parole", "parool", "пароль", "пароля", "парола", "лозинка", "κωδικόςπρόσβασης", "סיסמה", "סיסמא",
    "كلمةالمرور", "كلمةالسر", "رمزعبور", "密码", "密碼", "口令", "パスワード", "暗証番号", "비밀번호", "암호",
    "mậtkhẩu", "matkhau", "รหัสผ่าน", "katasandi", "पासवर्ड",
)  # fmt: skip
"""A password's name ends in one of these."""

_HEADER_PARTS = ("authorization", "cookie", "apikey", "secret", "password", "credential")
"""The name of a credential if it ends in one of these; that of a header if it has one anywhere."""

_TOKENS = (
    "access", "refresh", "id", "auth", "session", "security", "bearer", "api", "ad", "bot", "user", "oauth", "csrf",
    "xsrf", "hf", "gh", "github", "gitlab", "slack", "secret", "private", "personal", "vault", "deploy", "service",
    "npm", "pypi", "jwt", "admin", "device", "login", "openai", "azure", "aws", "bedrock", "huggingface", "litellm",
    "honeyhive", "telegram", "discord", "codecov", "sonar", "databricks", "verification", "reset", "app", "client",
)  # fmt: skip
"""With "token" behind it, the name of a credential. Other tokens may be text, and are judged by their value."""

_ENDINGS = (
    *_HEADER_PARTS,
    *(f"{word}token" for word in _TOKENS),
    "accesskey", "accesskeyid", "secretkey", "secretkeyid", "privatekey", "privatekeyid",
    "accountkey", "masterkey", "signingkey", "encryptionkey",
    "subscriptionkey", "virtualkey", "licensekey", "authkey", "appkey", "applicationkey", "clientkey", "clientkeydata",
    "sharedkey", "servicekey", "storagekey", "functionkey", "webhookkey", "keybase", "secretvalue",
    "credentials", "creds", "basicauth", "jwt", "connectionstring", "connectionuri", "databaseurl", "databaseuri",
    "dburl", "redisurl", "mongouri", "mongodburi", "dsn", "sharedaccesssignature", "gitlabsession",
)  # fmt: skip
"""The name of a credential ends in one of these."""

_WHOLE = frozenset(
    (
        "auth", "bearer", "cookies", "sas", "sig", "secrets", "apikeys", "xkey", "ocikey", "secretkeybase",
        "phpsessid", "connectsid", "accesstokens", "refreshtokens",
    )
)  # fmt: skip
"""The name of a credential is one of these as it stands. As endings they would hit ordinary names, such as "texas"."""

_COOKIES = frozenset(("sessionid", "SESSIONID", "jsessionid", "JSESSIONID"))
"""Names of cookies that are ids in another spelling: "session_id" and "sessionId" are none."""

_PERHAPS = frozenset(("token", "key", "pass", "pat", "pw", "auth", "secret", "sig", "cred", "mdp", "clave"))
"""The last word of a name that may be a credential's: GITHUB_PAT, DB_PASS, deployKey."""

_PERHAPS_WHOLE = frozenset(("token", "pass", "pw", "mdp", "clave", "authtoken"))
"""Such a word that is a name by itself. A bare "key" is the name of a dictionary's key."""

_ORDINARY = frozenset(
    (
        # pieces of text and places in a list, with "token" behind them
        "eos", "bos", "pad", "unk", "sep", "cls", "mask", "stop", "start", "end", "next", "page", "per", "special",
        "continuation", "cancellation", "first", "last", "chosen", "decoded", "sampled", "predicted", "current", "top",
        "previous", "prev", "input", "output", "prompt", "completion", "max", "min", "total", "cached", "reasoning",
        "each", "every", "new", "one", "word", "text", "raw", "image", "audio", "think", "sync", "cursor", "paging",
        # what finds a row or a place, with "key" behind it
        "primary", "foreign", "partition", "sort", "row", "cache", "public", "publishable", "anon", "idempotency",
        "object", "s3", "dict", "lookup", "index", "unique", "composite", "hash", "range", "group", "routing", "map",
        "shortcut", "hot", "translation", "i18n", "message", "event", "dedup", "deduplication", "issue", "field",
        "metadata", "arrow", "enter", "return", "escape", "tab", "shift", "natural", "surrogate", "lock", "rate",
        "limit", "config", "item", "node", "column", "label", "answer", "musical", "reverse", "join",
        # ways and turns, with "pass" behind them
        "first", "second", "third", "final", "by", "forward", "backward", "boarding",
    )
)  # fmt: skip
"""The word before one of `_PERHAPS` in the names of what is no credential."""

_PUNCTUATION = re.compile(r"[\W_]+")
_NUMBER = re.compile(r"[\W_]*[0-9]{1,3}[\W_]*\Z")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|[0-9]+")


def _squashed(name: str) -> str:
    return _PUNCTUATION.sub("", name[-128:]).lower()


_PASSWORD_ENDINGS = tuple(map(_squashed, _PASSWORDS))


@functools.lru_cache(maxsize=4096)
def name_kind(name: str) -> Optional[NameKind]:
    """What a value of this name is; None if the name says nothing. Case, `-`, `_` and camelCase make no difference.

    None are the names of counts ("prompt_tokens"), and of ids and hashes ("key_alias", "user_api_key_hash").
    """
    name = _NUMBER.sub("", name[-128:])
    squashed = _squashed(name)
    if name in _COOKIES:
        return NameKind.SECRET
    if squashed.endswith(_PASSWORD_ENDINGS):
        return NameKind.PASSWORD
    words = _words(name)
    before = words[-2] if len(words) > 1 else ""
    if squashed in _WHOLE or squashed.endswith(_ENDINGS):
        return None if words[-1:] == ["token"] and before in _ORDINARY else NameKind.SECRET
    if not words or words[-1] not in _PERHAPS:
        return None
    if before in _ORDINARY or (len(words) == 1 and squashed not in _PERHAPS_WHOLE):
        return None
    return NameKind.PASSWORD if words[-1] in ("pass", "pw", "mdp") else NameKind.PERHAPS


@functools.lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether any value of this name is a credential."""
    return name_kind(name) in (NameKind.PASSWORD, NameKind.SECRET)


@functools.lru_cache(maxsize=1024)
def is_secret_header(name: str) -> bool:
    """Whether the HTTP header of this name proves who somebody is. Stricter than `is_secret_name`."""
    squashed = _squashed(name)
    return (
        is_secret_name(name)
        or name.lower().endswith(("token", "-auth", "-key"))
        or "signature" in squashed
        or any(part in squashed for part in _HEADER_PARTS)
    )


def _words(name: str) -> List[str]:
    """The words of a name: "myDeployKEY_2" is my, deploy, key, 2."""
    return [word.lower() for word in _WORD.findall(name)]


# ---- what the quick look for names goes by

VERBS = ("is", "was", "ist", "lautet")
"""What may stand between a name and its sign: "the password is: ..."."""
_WITH_VERB = tuple(
    name + verb for name in ("password", "passwd", "passphrase", "passwort", "kennwort", "key", "token", "secret")
    for verb in VERBS
)  # fmt: skip
_NAMES = (*_PASSWORD_ENDINGS, *_ENDINGS, *_WHOLE, *_COOKIES, *_PERHAPS, "signature", *_WITH_VERB)
NAME_ENDS = frozenset(form.encode().lower() for name in _NAMES for form in (name, name.upper()))
"""Every name in UTF-8, in lower case, without punctuation. Names in other alphabets also in upper case."""
