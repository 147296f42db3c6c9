"""Encryption at rest: AES-256-GCM for a single body, which then says by itself with which key it is sealed.

A sealed body, in bytes:

    3  MAGIC, with which no JSON text begins
    1  the version of this format
    8  the id of the key
    16 the salt of the subkey
    12 the nonce
    .. the ciphertext, as long as the body
    16 the tag

The id and the kind of the body's record, and everything before the nonce, are associated data: a sealed body that is
moved to another record does not open.

**How many bodies a key may seal.** NIST SP 800-38D allows 2^32 messages with random nonces of 96 bits for one key, and
a busy gateway would reach that within weeks. So the user's key seals nothing itself. Each `Cipher` derives a subkey
from it with a random salt of 128 bits, and a new one after 2^20 bodies. Two nonces of one subkey are then equal with a
chance of 2^-57. Processes forked from one `Cipher` share its subkey until it is replaced; a thousand of them seal at
most 2^30 bodies with it, within NIST's bound. Two salts are equal with a chance of 2^-65 after 2^32 subkeys (2^52
bodies), and that alone repeats no nonce. The nonce is random, not a counter, so that a fork or a copied virtual machine
does not go through the same ones.

The id of a key is derived from it by HMAC-SHA256, like a subkey, so that it reveals nothing of the key.
"""

from __future__ import annotations

import base64
import os
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from honeyhive_litellm._errors import DamagedBodyError, UnknownKeyError

KEY_BYTES = 32
MAGIC = b"\x00HE"
VERSION = 1
KEY_ID_BYTES = 8
HOW_TO_INSTALL = "pip install 'honeyhive-litellm[encryption]'"

_SALT_BYTES, _NONCE_BYTES, _TAG_BYTES = 16, 12, 16
_PREFIX = MAGIC + bytes([VERSION])
_SALT_AT = len(_PREFIX) + KEY_ID_BYTES
_NONCE_AT = _SALT_AT + _SALT_BYTES
_TEXT_AT = _NONCE_AT + _NONCE_BYTES
_MESSAGES_PER_SUBKEY = 2**20
_MOST_OPENERS = 64
"""A spool has a salt for each process that wrote it. Beyond these, a subkey is derived again when it is needed."""


def new_key() -> str:
    """A new random key, in base64."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


def key_of(text: str) -> Optional[bytes]:
    """The key in a base64 text, of either alphabet; None if it is none."""
    try:
        key = base64.b64decode(text.translate({ord("-"): "+", ord("_"): "/"}), validate=True)
    except ValueError:
        return None
    return key if len(key) == KEY_BYTES else None


def id_of(key: bytes) -> bytes:
    """The id of a key."""
    return _derived(key, b"honeyhive-litellm key id")[:KEY_ID_BYTES]


def is_sealed(stored: bytes) -> bool:
    """Whether a stored body is encrypted; if not, it is plain."""
    return stored.startswith(MAGIC)


def key_id_of(stored: bytes) -> Optional[bytes]:
    """With which key a stored body is sealed; None if it is plain."""
    return stored[len(_PREFIX) : _SALT_AT] if is_sealed(stored) else None


def algorithm() -> Any:
    """The class that encrypts. Raises ImportError without the extra `encryption`."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # costs time and memory, and most do not need it

    return AESGCM


class Cipher:
    """Seals bodies with the first of its keys, and opens what was sealed with any of them. Safe on every thread.

    Without keys it seals nothing, and opens plain bodies alone.
    """

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        """`keys`: the newest first. Raises ImportError if there is one and the extra `encryption` is not installed."""
        self._keys = {id_of(key): key for key in reversed(keys)}
        self.key_id = id_of(keys[0]) if keys else None
        """Of the key that seals; None if nothing is sealed."""
        self._algorithm = algorithm() if keys else None
        self._openers: Dict[bytes, Any] = {}
        self._sealer: Optional[Tuple[bytes, Any]] = None
        self._left = 0

    def __repr__(self) -> str:
        return f"<Cipher {', '.join(key_id.hex() for key_id in self.key_ids) or 'without keys'}>"

    @property
    def key_ids(self) -> Tuple[bytes, ...]:
        """The ids of its keys, the newest first."""
        return tuple(reversed(list(self._keys)))

    def missing(self, key_ids: Sequence[bytes]) -> List[bytes]:
        """Those of these keys that it does not have, by their ids."""
        return [key_id for key_id in key_ids if key_id not in self._keys]

    def sealing_with(self, key_id: Optional[bytes]) -> Cipher:
        """A cipher that seals with the key of this id, which must be one of these; without an id it seals nothing."""
        if key_id is None:
            return NO_CIPHER
        return self if key_id == self.key_id else Cipher([self._keys[key_id]])

    def seal(self, id_: str, kind: int, body: bytes) -> bytes:
        """Encrypt `body`, bound to the id and the kind (0 to 255) of its record. Without keys: `body` itself."""
        if self.key_id is None:
            return body
        sealer = self._sealer
        if sealer is None or self._left <= 0:
            sealer = self._new_sealer()
        self._left -= 1
        head, encryptor = sealer
        nonce = os.urandom(_NONCE_BYTES)
        sealed: bytes = encryptor.encrypt(nonce, body, _associated(head, id_, kind))
        return b"".join((head, nonce, sealed))

    def open(self, id_: str, kind: int, stored: bytes) -> bytes:
        """The body that was sealed for this id and kind; a plain body is returned as it is.

        Raises UnknownKeyError if it was sealed with another key or in a newer format, and DamagedBodyError if the key
        is right but the body is not what was sealed for this record.
        """
        if not stored.startswith(MAGIC):
            return stored
        if len(stored) < _TEXT_AT + _TAG_BYTES:
            raise DamagedBodyError(f"the encrypted body of {id_} is cut off")
        head = stored[:_NONCE_AT]
        try:
            opener = self._openers.get(head) or self._new_opener(head)
            plain: bytes = opener.decrypt(stored[_NONCE_AT:_TEXT_AT], stored[_TEXT_AT:], _associated(head, id_, kind))
        except UnknownKeyError:
            raise
        except Exception as error:  # cryptography's InvalidTag, which has no text
            raise DamagedBodyError(f"the encrypted body of {id_} is damaged, or belongs to another record") from error
        return plain

    def _new_sealer(self) -> Tuple[bytes, Any]:
        assert self.key_id is not None
        head = _PREFIX + self.key_id + os.urandom(_SALT_BYTES)
        self._sealer = sealer = (head, self._new_opener(head))
        self._left = _MESSAGES_PER_SUBKEY
        return sealer

    def _new_opener(self, head: bytes) -> Any:
        key = self._keys.get(head[len(_PREFIX) : _SALT_AT])
        if key is None or self._algorithm is None or not head.startswith(_PREFIX):
            raise UnknownKeyError("it is encrypted with a missing key", [head[len(_PREFIX) : _SALT_AT]])
        opener = self._algorithm(_derived(key, b"honeyhive-litellm subkey" + head[_SALT_AT:]))
        if len(self._openers) >= _MOST_OPENERS:
            self._openers = {}
        self._openers[head] = opener
        return opener


NO_CIPHER = Cipher()
"""Encryption is off."""


def cipher_of(keys: Union[str, Sequence[str], None]) -> Cipher:
    """What encrypts with the keys of the option `spool_key`, which has been checked."""
    found = [key_of(text) for text in keys or ()]
    return Cipher([key for key in found if key is not None]) if found else NO_CIPHER


def _associated(head: bytes, id_: str, kind: int) -> bytes:
    return b"".join((head, bytes((kind,)), id_.encode("utf-8", "surrogatepass")))


def _derived(key: bytes, purpose: bytes) -> bytes:
    """HKDF's expand step, for one block: the key is uniformly random already."""
    import hmac  # loads OpenSSL, which a process without a key shall not wait for

    return hmac.digest(key, purpose + b"\x01", "sha256")
