"""Asking an authority for a certificate (PKCS #10, RFC 2986), so that a key never leaves the party that made it."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from quatrefoil.transport import files, leaf_keys, profile
from quatrefoil.transport.identity import KEY_FILE, Identity, next_generation
from quatrefoil.transport.leaf_keys import key_pem

REQUEST_FILE = "request.pem"


def request(directory: Path | str, name: str, role: str, *, algorithm: str = leaf_keys.DEFAULT) -> bytes:
    """Make a key in ``directory`` (new or empty) and return a PEM request for its certificate.

    The key never leaves the directory. Put the signed ``certificate.pem``, ``root.pem`` and ``crl.pem`` beside it.
    """
    subject, alternatives = profile.leaf_names(name, role, ())
    key = leaf_keys.named(algorithm).generate()
    signed = (
        x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(alternatives, False).sign(key, None)
    )
    pem = signed.public_bytes(serialization.Encoding.PEM)
    files.write_new_directory(
        Path(directory), {KEY_FILE: (key_pem(key), files.PRIVATE), REQUEST_FILE: (pem, files.PUBLIC)}
    )
    return pem


def request_renewal(directory: Path | str, *, algorithm: str | None = None) -> Path:
    """A next key for the identity in ``directory``, and where it and its request are now.

    It is shown once its ``certificate.pem`` lies beside it; until then the key before is.
    """
    old = Identity.load(directory)
    place = next_generation(Path(directory))
    request(place, old.name, old.role, algorithm=algorithm or old.algorithm)
    return place


__all__ = ["REQUEST_FILE", "request", "request_renewal"]
