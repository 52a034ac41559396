"""The keys of a cluster, in its data folder: its certificate authority, what is shown by it, and what signs tokens."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kdl.runtime.store.folder import write_private

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

_AUTHORITY_YEARS: Final = 10
_YEAR: Final = timedelta(days=365)
_SKEW: Final = timedelta(minutes=5)
"""Certificates are valid from a little before they are made: clocks differ."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, both as PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """Signs certificates. Its key never leaves the folder ``pki`` of the data folder, which only its owner reads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "pki"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.file = self._folder / "ca.crt"
        """The certificate that clients check the server by."""
        if not self.file.exists():
            self._make()
        self.certificate = self.file.read_bytes()
        self._certificate = x509.load_pem_x509_certificate(self.certificate)
        key = serialization.load_pem_private_key((self._folder / "ca.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key

    def _make(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("kdl-ca", ())
        made = (
            _builder(name, name, key.public_key(), _AUTHORITY_YEARS * _YEAR)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_private(self._folder / "ca.key", _pem(key))
        write_private(self.file, made.public_bytes(serialization.Encoding.PEM))

    def server(self, names: Iterable[str]) -> Pair:
        """A certificate for a server of these host names and addresses."""
        alternatives: list[x509.GeneralName] = []
        for name in dict.fromkeys(names):
            try:
                alternatives.append(x509.IPAddress(ip_address(name)))
            except ValueError:
                alternatives.append(x509.DNSName(name))
        return self._sign(_name("kdl-api", ()), ExtendedKeyUsageOID.SERVER_AUTH, alternatives)

    def client(self, name: str, groups: Iterable[str] = ()) -> Pair:
        """A certificate for a client: Kubernetes reads the user from CN and the groups from O."""
        return self._sign(_name(name, groups), ExtendedKeyUsageOID.CLIENT_AUTH, [])

    def _sign(self, subject: x509.Name, use: x509.ObjectIdentifier, names: list[x509.GeneralName]) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(subject, self._certificate.subject, key.public_key(), _YEAR)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return Pair(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), _pem(key))


def subject_of(certificate: bytes) -> tuple[str, tuple[str, ...]]:
    """The common name and the organizations in a certificate (DER); empty where it has none."""
    subject = x509.load_der_x509_certificate(certificate).subject
    names = [str(item.value) for item in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    groups = [str(item.value) for item in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return names[0] if names else "", tuple(groups)


class SigningKey:
    """A key that signs texts as ES256 wants it (RFC 7518, 3.4). It is made at the first use, in a file of its own."""

    def __init__(self, file: Path) -> None:
        if not file.exists():
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(file, _pem(ec.generate_private_key(ec.SECP256R1())))
        key = serialization.load_pem_private_key(file.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        self.public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        """What others verify by."""

    def sign(self, text: bytes) -> bytes:
        """The signature: 64 bytes."""
        r, s = decode_dss_signature(self._key.sign(text, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def verifies(self, signature: bytes, text: bytes) -> bool:
        """Whether this key made the signature of this text."""
        if len(signature) != 64:
            return False
        pair = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
        try:
            self._key.public_key().verify(pair, text, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def context(authority: Authority, names: Iterable[str]) -> ssl.SSLContext:
    """TLS for a server: it shows a certificate of its own, and asks clients for one that they need not have."""
    pair = authority.server(names)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.verify_mode = ssl.CERT_OPTIONAL
    made.load_verify_locations(cadata=authority.certificate.decode())
    file = authority.file.with_name("server.pem")  # ssl reads keys from files only
    write_private(file, pair.certificate + pair.key)
    made.load_cert_chain(os.fspath(file))
    return made


def _name(common: str, organizations: Iterable[str]) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, item) for item in organizations]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + life)
    )


def _usage(sign_certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=sign_certificates, crl_sign=sign_certificates, key_encipherment=False,
        content_commitment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
