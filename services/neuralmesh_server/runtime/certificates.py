"""A development authority: one certificate authority and a certificate for each name, as PEM files.

It is meant for one machine or a test bed. Its key stays in the folder, so whoever reads the folder can be anybody; a
real deployment takes its certificates from its own authority.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from neuralmesh_server.errors import AlreadyExistsError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

AUTHORITY = "ca"
"""Name of the authority's files: ca.crt and ca.key."""

AUTHORITY_DAYS = 3650
LEAF_DAYS = 825

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_BACKDATED = timedelta(minutes=5)  # for peers whose clock is slow


@dataclass(frozen=True, slots=True)
class Certificate:
    """The files of one name."""

    name: str
    certificate: Path
    key: Path


def create_authority(folder: Path, names: Sequence[str], *, force: bool = False) -> list[Certificate]:
    """Write an authority and a certificate for each name; returns the authority's files first.

    Certificates are EC P-256, fit servers and clients, have the name as common name, and are valid for the name,
    localhost, 127.0.0.1 and ::1. Key files are readable by their owner only.

    Args:
        folder: Where to write `{name}.crt` and `{name}.key`; created where it is missing.
        names: Lower-case letters, digits and inner hyphens, at most 63 characters.
        force: Replace files that exist.

    Raises:
        InvalidArgumentError: A name is not permitted, given twice, or there is none.
        AlreadyExistsError: A file exists and `force` is not given.
        OSError: A file cannot be written.
    """
    _check_names(names)
    targets = [_files(folder, name) for name in (AUTHORITY, *names)]
    if not force:
        for target in targets:
            _refuse_existing(target)
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    now = datetime.now(UTC)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority_certificate(authority_key, now)
    _write(targets[0], authority, authority_key)
    for target in targets[1:]:
        key = ec.generate_private_key(ec.SECP256R1())
        _write(target, _leaf_certificate(target.name, key, authority, authority_key, now), key)
    return targets


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise InvalidArgumentError("FIELD_INVALID", "there is no name to make a certificate for", field="names")
    for name in names:
        if not _NAME.fullmatch(name) or name == AUTHORITY:
            raise InvalidArgumentError(
                "NAME_INVALID",
                f"{name!r} is no certificate's name: lower-case letters, digits and inner hyphens, not {AUTHORITY!r}",
                name=name,
            )
    if len(set(names)) < len(names):
        raise InvalidArgumentError("FIELD_INVALID", "a name is given twice", field="names")


def _files(folder: Path, name: str) -> Certificate:
    return Certificate(name, folder / f"{name}.crt", folder / f"{name}.key")


def _refuse_existing(target: Certificate) -> None:
    for path in (target.certificate, target.key):
        if path.exists():
            raise AlreadyExistsError(
                "FIELD_INVALID", f"{path} exists; --force replaces all certificates", path=str(path)
            )


def _authority_certificate(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = _subject("Neural Mesh development authority")
    usage = _usage(signs_certificates=True)
    return (
        _builder(name, name, key, now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _leaf_certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    addresses = [x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", "::1")]
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name), x509.DNSName("localhost"), *addresses])
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _builder(_subject(name), authority.subject, key, now, LEAF_DAYS)
        .add_extension(alternatives, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(purposes, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer_key, critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
    )


def _subject(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _write(target: Certificate, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write_file(target.key, private, 0o600)
    _write_file(target.certificate, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _write_file(path: Path, data: bytes, mode: int) -> None:
    """Write a file that has its mode from its first moment on, also where an older one had another."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
