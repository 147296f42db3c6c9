"""What is stored of a record's content: plain, or encrypted by a `Cipher`.

An encrypted record has its session in its body, since a session's name may be anything: there is none in its row. An
encrypted file lists the ids of the keys of its records, so that a process knows at once whether it has them all.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, List, Optional, Sequence, Tuple

from honeyhive_litellm._errors import DamagedBodyError, SpoolError
from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher, is_sealed

from . import sql
from .record import CLOSED, EVENT, Record, Row, intact_record

_SESSION_LENGTH = struct.Struct(">I")


class SegmentCipher:
    """Seals and opens the records of one segment. `key_ids`: of which keys; empty if the segment is not encrypted."""

    def __init__(self, cipher: Cipher) -> None:
        self.cipher = cipher
        self.key_ids: List[bytes] = []

    @property
    def missing_keys(self) -> List[bytes]:
        """The ids of the keys of its content that the cipher does not have."""
        return self.cipher.missing(self.key_ids)

    @property
    def new_key_id(self) -> Optional[bytes]:
        """The id of the key for the next record, if the file does not list it: the file was adopted."""
        return self.cipher.key_id if self.key_ids and self.cipher.key_id not in self.key_ids else None

    def creation_script(self) -> str:
        """The statements that make a new segment's tables; the segment is encrypted if the cipher has a key."""
        if self.cipher.key_id is None:
            return sql.CREATE_SEGMENT
        self.key_ids = [self.cipher.key_id]
        return sql.CREATE_ENCRYPTED_SEGMENT.format(key_id=self.cipher.key_id.hex())

    def rows_of(self, records: Sequence[Record], first: int) -> List[Tuple[Any, ...]]:
        """The rows for `sql.APPEND`, numbered from `first` on. Raises SpoolError if a key is missing."""
        if self.missing_keys:
            raise SpoolError("it is encrypted with a key that is not there")
        # A file with plain content stays so: an older version would take what is encrypted in it for an event.
        cipher = self.cipher if self.key_ids else NO_CIPHER
        return [_row_of(record, seq, cipher) for seq, record in enumerate(records, first)]

    def record_of(self, *columns: object) -> Optional[Record]:
        """`stored_record` with this segment's keys."""
        return stored_record(self.cipher, *columns)

    def opened(self, events: Sequence[Row]) -> Tuple[Row, ...]:
        """The events with their content, without the damaged ones. Raises UnknownKeyError."""
        if not any(is_sealed(row.body) for row in events):
            return tuple(events)
        opened = []
        for row in events:
            try:
                session, body = decrypt_content(self.cipher, row.id, EVENT, row.session, row.body)
            except DamagedBodyError:
                continue
            opened.append(row._replace(session=session, body=body))
        return tuple(opened)


def encrypt_content(cipher: Cipher, id_: str, kind: int, session: Optional[str], body: bytes) -> bytes:
    """Session and body as one encrypted body."""
    name = b"" if session is None else session.encode("utf-8", "surrogatepass")
    return cipher.seal(id_, kind, b"".join((_SESSION_LENGTH.pack(len(name)), name, body)))


def decrypt_content(
    cipher: Cipher, id_: str, kind: int, session: Optional[str], body: bytes
) -> Tuple[Optional[str], bytes]:
    """Session and body, from the columns of these names. Raises UnknownKeyError and DamagedBodyError."""
    if not is_sealed(body):
        return session, body
    content = cipher.open(id_, kind, body)
    end = _SESSION_LENGTH.size + _SESSION_LENGTH.unpack_from(content)[0]
    return content[_SESSION_LENGTH.size : end].decode("utf-8", "surrogatepass") or None, content[end:]


def stored_record(cipher: Cipher, *columns: object) -> Optional[Record]:
    """A record from kind, id, start, session, checksum and body of its row; None if it is damaged.

    Raises UnknownKeyError.
    """
    record = intact_record(*columns)
    if record is None or not is_sealed(record.body):
        return record
    try:
        session, body = decrypt_content(cipher, record.id, record.kind, record.session, record.body)
    except DamagedBodyError:
        return None
    return record._replace(session=session, body=body)


def key_ids_from(rows: Sequence[Sequence[object]]) -> List[bytes]:
    """The key ids that an encrypted file lists. Raises ValueError if they are damaged."""
    ids = [id_ for (id_,) in rows if isinstance(id_, bytes)]
    if not ids or len(ids) < len(rows):
        raise ValueError("it is encrypted and does not name its keys")
    return ids


def _row_of(record: Record, seq: int, cipher: Cipher) -> Tuple[Any, ...]:
    kind, id_, started_ms, session, body = record
    if cipher.key_id is not None and kind != CLOSED:  # that one has no content
        session, body = None, encrypt_content(cipher, id_, kind, session, body)
    return seq, kind, id_, started_ms, session, zlib.crc32(body), body
