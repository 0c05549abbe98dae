"""The kinds of key that a party may have: ML-DSA-65, or ML-DSA-87 where a policy asks for it (FIPS 204). No other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from quatrefoil.errors import CallerError

PrivateKey: TypeAlias = mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey
PublicKey: TypeAlias = mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey


@dataclass(frozen=True)
class Algorithm:
    """``name``: as on the command line. ``signature``: bytes of every signature (FIPS 204 table 2)."""

    name: str
    signature: int
    generate: Callable[[], PrivateKey]


ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType(
    {
        "ml-dsa-65": Algorithm("ml-dsa-65", 3309, mldsa.MLDSA65PrivateKey.generate),
        "ml-dsa-87": Algorithm("ml-dsa-87", 4627, mldsa.MLDSA87PrivateKey.generate),
    }
)
"""By name; the first is what a key is unless something else was asked for."""

DEFAULT = "ml-dsa-65"


def named(algorithm: str) -> Algorithm:
    """The algorithm of that name; ``CallerError`` for any other."""
    if algorithm not in ALGORITHMS:
        raise CallerError(f"{algorithm[:40]!r} is no algorithm for a party", hint=f"Use {' or '.join(ALGORITHMS)}")
    return ALGORITHMS[algorithm]


def algorithm_of(key: PrivateKey | PublicKey) -> Algorithm:
    """Which of the two ``key`` is of."""
    return ALGORITHMS["ml-dsa-65" if isinstance(key, mldsa.MLDSA65PrivateKey | mldsa.MLDSA65PublicKey) else "ml-dsa-87"]


def key_digest(key: CertificatePublicKeyTypes) -> bytes:
    """SHA-256 over the SubjectPublicKeyInfo of a key in DER (as in RFC 7469 section 2.4): the key's pin."""
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()


def key_pem(key: PrivateKey) -> bytes:
    """The file form of a private key, PKCS #8 and not encrypted: for :func:`files.write_new` and mode 0600."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


__all__ = [
    "ALGORITHMS",
    "DEFAULT",
    "Algorithm",
    "PrivateKey",
    "PublicKey",
    "algorithm_of",
    "key_digest",
    "key_pem",
    "named",
]
