"""Certificates for servers on loopback."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_AUTHORITY = "ca.pem"
_LIFE = datetime.timedelta(days=1)


def write(folder: Path) -> Path:
    """Write a new certificate for 127.0.0.1, `server.pem`, and its key, `server.key`; the path of its authority.

    The authority is made with the first certificate.
    """
    authority, authority_key_file = folder / _AUTHORITY, folder / "ca.key"
    if authority.exists():
        authority_key = _read_key(authority_key_file)
    else:
        authority_key = ec.generate_private_key(ec.SECP256R1())
        _write_key(authority_key_file, authority_key)
        authority.write_bytes(_signed("authority", authority_key, authority_key, is_authority=True))
    server_key = ec.generate_private_key(ec.SECP256R1())
    (folder / "server.pem").write_bytes(_signed("server", server_key, authority_key, is_authority=False))
    _write_key(folder / "server.key", server_key)
    return authority


def _signed(
    subject: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, *, is_authority: bool
) -> bytes:
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name("authority"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LIFE)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .sign(by, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, text)])


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    form = serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key
