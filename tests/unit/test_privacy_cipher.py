from __future__ import annotations

import base64
from typing import Set

import pytest

from honeyhive_litellm._errors import DamagedBodyError, UnknownKeyError
from honeyhive_litellm._privacy import cipher as module
from honeyhive_litellm._privacy.cipher import KEY_BYTES, NO_CIPHER, Cipher, id_of, is_sealed, key_of, new_key

OLD, NEW = bytes(range(KEY_BYTES)), bytes(range(KEY_BYTES, 2 * KEY_BYTES))
BODY = b'{"event_id":"a","inputs":{"text":"the canary sings"}}'


@pytest.mark.parametrize("body", [BODY, b"{}", b"", bytes(range(256)) * 5000])
def test_what_is_sealed_opens_and_shows_nothing_of_itself(body: bytes) -> None:
    cipher = Cipher([NEW])
    sealed = cipher.seal("a", 1, body)
    assert is_sealed(sealed) and not is_sealed(body)
    assert b"canary" not in sealed
    assert cipher.open("a", 1, sealed) == Cipher([OLD, NEW]).open("a", 1, sealed) == body


def test_the_newest_key_seals_and_every_key_opens() -> None:
    before = Cipher([OLD]).seal("a", 1, BODY)
    rotated = Cipher([NEW, OLD])
    assert rotated.open("a", 1, before) == BODY
    assert Cipher([NEW]).open("a", 1, rotated.seal("a", 1, BODY)) == BODY
    assert rotated.key_ids == (id_of(NEW), id_of(OLD)) and rotated.key_id == id_of(NEW)
    assert rotated.missing([id_of(OLD)]) == [] and Cipher([NEW]).missing([id_of(NEW), id_of(OLD)]) == [id_of(OLD)]


@pytest.mark.parametrize("cipher", [Cipher([OLD]), NO_CIPHER])
def test_another_key_is_no_damage(cipher: Cipher) -> None:
    sealed = Cipher([NEW]).seal("a", 1, BODY)
    with pytest.raises(UnknownKeyError, match=id_of(NEW).hex()):
        cipher.open("a", 1, sealed)


def test_a_newer_format_counts_as_another_key() -> None:
    sealed = bytearray(Cipher([NEW]).seal("a", 1, BODY))
    sealed[3] += 1
    with pytest.raises(UnknownKeyError):
        Cipher([NEW]).open("a", 1, bytes(sealed))


def test_any_changed_byte_is_damage_or_another_key() -> None:
    cipher = Cipher([NEW])
    sealed = cipher.seal("a", 1, BODY)
    for at in range(len(module.MAGIC), len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        expected = UnknownKeyError if at < module._SALT_AT else DamagedBodyError
        with pytest.raises(expected):
            cipher.open("a", 1, changed)
    for length in range(len(module.MAGIC), len(sealed)):
        with pytest.raises(DamagedBodyError):
            cipher.open("a", 1, sealed[:length])


def test_a_body_belongs_to_its_record() -> None:
    cipher = Cipher([NEW])
    sealed = cipher.seal("a", 1, BODY)
    for id_, kind in (("b", 1), ("a", 0), ("", 1), ("1a", 1)):
        with pytest.raises(DamagedBodyError):
            cipher.open(id_, kind, sealed)


def test_a_plain_body_is_read_as_it_is_and_without_keys_nothing_is_sealed() -> None:
    assert NO_CIPHER.seal("a", 1, BODY) is BODY
    assert NO_CIPHER.open("a", 1, BODY) is Cipher([NEW]).open("a", 1, BODY) is BODY
    assert NO_CIPHER.key_id is None


def test_no_nonce_comes_twice_and_subkeys_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MESSAGES_PER_SUBKEY", 100)
    cipher = Cipher([NEW])
    heads: Set[bytes] = set()
    nonces: Set[bytes] = set()
    sealed = [cipher.seal("a", 1, BODY) for _ in range(100 * module._MOST_OPENERS * 2)]
    for body in sealed:
        heads.add(body[: module._NONCE_AT])
        nonces.add(body[module._NONCE_AT : module._TEXT_AT])
    assert (len(heads), len(nonces)) == (2 * module._MOST_OPENERS, len(sealed))
    assert len(cipher._openers) <= module._MOST_OPENERS
    assert all(cipher.open("a", 1, body) == BODY for body in sealed[::50])


def test_neither_the_representation_nor_the_id_shows_the_key() -> None:
    cipher = Cipher([NEW, OLD])
    shown = repr(cipher)
    assert shown == f"<Cipher {id_of(NEW).hex()}, {id_of(OLD).hex()}>"
    for key in (NEW, OLD):
        assert key.hex() not in shown and base64.b64encode(key).decode() not in shown
        assert id_of(key) not in key


def test_a_new_key_is_a_key_and_never_the_same() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(len(key_of(key) or b"") == KEY_BYTES for key in keys)


@pytest.mark.parametrize(
    "text", ["", "short", "not base64!", base64.b64encode(bytes(31)).decode(), base64.b64encode(bytes(33)).decode()]
)
def test_what_is_no_key_is_none(text: str) -> None:
    assert key_of(text) is None


def test_both_alphabets_of_base64_are_read() -> None:
    key = b"\xfb\xff" * 16
    assert key_of(base64.b64encode(key).decode()) == key_of(base64.urlsafe_b64encode(key).decode()) == key
