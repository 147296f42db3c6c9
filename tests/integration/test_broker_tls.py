"""A real broker with TLS and nkeys: who has neither the certificate authority nor the key gets no connection."""

from __future__ import annotations

import datetime
import ipaddress
import os
from pathlib import Path

import nkeys
import pytest

from honeyhive_litellm._broker.connection import Connection, NotConnectedError
from honeyhive_litellm._broker.names import APPLICATION_INBOX
from honeyhive_litellm._broker.publisher import NO_STREAM, Publisher
from honeyhive_litellm._config.broker import BrokerAccess

from ..support.broker import Broker

pytest.importorskip("cryptography", reason="the test extra has it from Python 3.10 on: it makes the certificates")

CONFIGURATION = """
tls {{ cert_file: "{folder}/server.pem", key_file: "{folder}/server.key" }}
authorization {{ users: [ {{ nkey: {public} }} ] }}
"""


def make_certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that is its own authority, and its key; the certificate's path."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "broker")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (folder / "server.key").write_bytes(secret)
    return folder / "server.pem"


def make_seed(path: Path) -> str:
    """Write an nkey's seed; its public key."""
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    path.write_bytes(seed)
    return str(nkeys.from_seed(bytearray(seed)).public_key.decode())


async def reason_of(access: BrokerAccess) -> str:
    """Why there is no connection; empty if there is one over which a message can be published and answered."""
    connection = Connection(access, name="test", inbox_prefix=APPLICATION_INBOX)
    try:
        await connection.client(3)
        answer = await Publisher(connection).probe("honeyhive.events.default")
        assert answer is not None and answer.code == NO_STREAM
    except NotConnectedError as error:
        return str(error)
    finally:
        await connection.aclose()
    return ""


async def test_the_authority_and_the_nkey_are_needed(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    nkey, other = tmp_path / "app.nk", tmp_path / "other.nk"
    public = make_seed(nkey)
    make_seed(other)
    with Broker(tmp_path, extra=CONFIGURATION.format(folder=tmp_path, public=public)) as broker:
        address = broker.address.replace("nats:", "tls:")
        assert await reason_of(BrokerAccess.of(address, nkey=nkey, ca=certificate)) == ""
        assert await reason_of(BrokerAccess.of(address, nkey=nkey)) == "TLS failed"
        assert await reason_of(BrokerAccess.of(address, nkey=other, ca=certificate)) == "the broker refuses the login"
        assert await reason_of(BrokerAccess.of(address, ca=certificate)) == "the broker refuses the login"
        damaged = tmp_path / "damaged.nk"
        damaged.write_text("SUNOTASEED")
        assert "SUNOTASEED" not in await reason_of(BrokerAccess.of(address, nkey=damaged, ca=certificate))
