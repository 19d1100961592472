"""Mutual TLS from PEM files, for servers. A development authority is made by `runtime.certificates`.

The files are read and compared before grpc sees them: it would report a mistake in any of them as a port that cannot
be bound, or at the first call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from neuralmesh_server.settings import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.x509 import Certificate

    from neuralmesh_server.settings import TlsSettings


def server_credentials(tls: TlsSettings) -> grpc.ServerCredentials:
    """Return credentials that present our certificate and demand one that our authority signed.

    Raises:
        SettingsError: See `check_files`.
    """
    check_files(tls)
    return grpc.ssl_server_credentials(
        [(tls.key.read_bytes(), tls.certificate.read_bytes())],
        root_certificates=tls.authority.read_bytes(),
        require_client_auth=True,
    )


def check_files(tls: TlsSettings) -> None:
    """Check that the files are what they should be, that they fit one another and that the authority signed ours.

    Raises:
        SettingsError: A file is no PEM file of its kind or does not belong to the others; the message names it.
        OSError: A file cannot be read.
    """
    chain = _certificates("NEURALMESH_TLS_CERT", tls.certificate)
    authorities = _certificates("NEURALMESH_TLS_CA", tls.authority)
    if _key_of(tls.key) != chain[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise SettingsError(f"NEURALMESH_TLS_KEY: {tls.key} is not the key of the certificate {tls.certificate}")
    if not any(_signed(authority, certificate) for authority in authorities for certificate in chain):
        raise SettingsError(f"NEURALMESH_TLS_CA: {tls.authority} did not sign the certificate {tls.certificate}")


def _certificates(name: str, path: Path) -> list[Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError as error:
        raise SettingsError(f"{name}: {path} holds no certificate in PEM form") from error


def _key_of(path: Path) -> bytes:
    """Return the public half of a private key."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except TypeError as error:
        raise SettingsError(f"NEURALMESH_TLS_KEY: {path} is encrypted; give the key without a password") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"NEURALMESH_TLS_KEY: {path} holds no private key in PEM form") from error
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _signed(authority: Certificate, certificate: Certificate) -> bool:
    if authority == certificate:
        return True
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
