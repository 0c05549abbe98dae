"""Asking an authority for a certificate (PKCS #10, RFC 2986), so that a key never leaves the party that made it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from quatrefoil.errors import MessageRefused
from quatrefoil.transport import files, leaf_keys, profile
from quatrefoil.transport.identity import KEY_FILE, Identity, next_generation
from quatrefoil.transport.leaf_keys import PublicKey, algorithm_of, key_digest, key_pem

REQUEST_FILE = "request.pem"


@dataclass(frozen=True)
class Request:
    """What a request asks for, in its sender's words: to be compared with what the authority means to grant."""

    name: str
    role: str | None
    key: PublicKey

    def describe(self) -> list[tuple[str, str]]:
        """For people to read: (field, value). The digest is what others pin before the key is in use."""
        algorithm = algorithm_of(self.key).name
        pin = key_digest(self.key).hex()
        return [("name", self.name), ("role", self.role or "none"), ("key", algorithm), ("SHA-256 of the key", pin)]


def read_request(pem: bytes) -> Request:
    """The request in ``pem``, signed by the key in it; ``MessageRefused`` when it is none, or of another key."""
    try:
        parsed = x509.load_pem_x509_csr(pem)
        key, signed = parsed.public_key(), parsed.is_signature_valid
        name, role = profile.requested(parsed)
    except Exception as error:  # the parser raises many kinds; every one means the same to us
        raise MessageRefused(
            f"the request cannot be read ({type(error).__name__})", hint="Have `quatrefoil ca request` make one"
        ) from None
    if not isinstance(key, PublicKey):
        raise MessageRefused(
            "the request holds no ML-DSA-65 or ML-DSA-87 key", hint="Have `quatrefoil ca request` make one"
        )
    if not signed:
        raise MessageRefused("the request is not signed by the key it holds", hint="Ask for it again")
    return Request(name, role, key)


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


__all__ = ["REQUEST_FILE", "Request", "read_request", "request", "request_renewal"]
