"""COSE_Sign1 (RFC 9052 section 4.2), read strictly: evidence in a form that others verify with their own tools.

Algorithms are ML-DSA-44, -65 and -87 (RFC 9964, whose empty context string this follows) and Ed25519 by its fully
specified identifier (RFC 9864). EdDSA (-8) is refused: RFC 9864 deprecates it, since it does not say of which curve the
signature is, and nothing here was ever signed under it.

A message is the tag 18 around ``[protected, unprotected, payload, signature]``, deterministically encoded (RFC 8949
section 4.2.1), without other tags, indefinite lengths or floating-point numbers. ``decode`` gives a message that
encodes to the same bytes, or raises; it says nothing yet of the signature. A party signs with the certificate of its
identity: its SHA-256 is protected (``x5t``), since one key may be certified twice and in two roles, and the certificate
itself lies beside (``x5chain``, RFC 9360 section 2), where nobody can exchange it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol, Self, TypeAlias

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

from quatrefoil.contracts import VerifiedStatement
from quatrefoil.errors import CallerError, EvidenceRejected, MessageRefused
from quatrefoil.wire import parse_cbor

ALG, CRIT, TYPE, X5CHAIN, X5T = 1, 2, 16, 33, 34
"""Labels of headers: RFC 9052 section 3.1, ``typ`` of RFC 9596, and RFC 9360 section 2."""

SHA_256 = -16
"""The hash algorithm of an ``x5t`` (RFC 9054)."""

LARGEST_MESSAGE = 1 << 20
"""Bytes of a whole message. A certificate and a signature of ML-DSA have about 7,000 and 4,600."""

PublicKey: TypeAlias = (
    mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey | ed25519.Ed25519PublicKey
)
PrivateKey: TypeAlias = (
    mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey | ed25519.Ed25519PrivateKey
)
Header: TypeAlias = Mapping[int | str, Any]

_TAGGED = b"\xd2"
"""Tag 18 in its one deterministic form."""
_HINT = "Ask whoever issued it for it again, and keep what was received as evidence"


@dataclass(frozen=True)
class Algorithm:
    """``identifier``: in the IANA registry of COSE algorithms. ``signature``: bytes of every signature."""

    identifier: int
    name: str
    signature: int
    key: type[PublicKey]


ML_DSA_44 = Algorithm(-48, "ML-DSA-44", 2420, mldsa.MLDSA44PublicKey)
ML_DSA_65 = Algorithm(-49, "ML-DSA-65", 3309, mldsa.MLDSA65PublicKey)
ML_DSA_87 = Algorithm(-50, "ML-DSA-87", 4627, mldsa.MLDSA87PublicKey)
ED25519 = Algorithm(-19, "Ed25519", 64, ed25519.Ed25519PublicKey)

ALGORITHMS: Mapping[int, Algorithm] = MappingProxyType(
    {one.identifier: one for one in (ML_DSA_44, ML_DSA_65, ML_DSA_87, ED25519)}
)


@dataclass(frozen=True)
class Sign1:
    """A COSE_Sign1. ``protected``: the header that is signed, as its bytes. ``payload`` None: it is detached."""

    protected: bytes
    unprotected: Header
    payload: bytes | None
    signature: bytes

    @cached_property
    def header(self) -> Header:
        """The protected header, read once."""
        found = decode(self.protected, "protected header")
        return MappingProxyType(_header(found, "protected header"))

    @property
    def algorithm(self) -> Algorithm:
        """What the protected header says that it is signed with."""
        identifier = self.header.get(ALG)
        if type(identifier) is not int or identifier not in ALGORITHMS:
            raise _refused(f"names the algorithm {str(identifier)[:20]}, which is none of {_known()}")
        return ALGORITHMS[identifier]

    def encode(self) -> bytes:
        return _TAGGED + encode([self.protected, dict(self.unprotected), self.payload, self.signature])

    @classmethod
    def decode(cls, data: bytes, *, understood: Collection[int | str]) -> Self:
        """The message in ``data``; ``EvidenceRejected`` for anything that is not exactly one.

        ``understood``: the labels that the caller looks at. One that the message calls critical (RFC 9052 section 3.1)
        and that is not among them is refused; others that are not are left to the caller.
        """
        if len(data) > LARGEST_MESSAGE:
            raise _refused(f"has {len(data)} bytes, over the limit of {LARGEST_MESSAGE}")
        if data[:1] != _TAGGED:
            raise _refused("does not begin with tag 18")
        value = decode(data[1:], "COSE_Sign1")
        if not (isinstance(value, list) and len(value) == 4):
            raise _refused("is not an array of four")
        protected, unprotected, payload, signature = value
        if not (type(protected) is bytes and type(signature) is bytes and (payload is None or type(payload) is bytes)):
            raise _refused("has a header, payload or signature of another type than bytes")
        found = cls(protected, MappingProxyType(_header(unprotected, "unprotected header")), payload, signature)
        _check_headers(found.header, found.unprotected, understood)
        if len(signature) != found.algorithm.signature:
            raise _refused(f"has {len(signature)} bytes for a signature of {found.algorithm.name}")
        return found

    def signed_over(self, detached: bytes | None) -> bytes:
        """The payload: that of the message, or the ``detached`` one where it has none; exactly one of the two."""
        if (self.payload is None) == (detached is None):
            both = "brings a payload where it is to have none" if detached is not None else "lacks its payload"
            raise _refused(both)
        return detached if detached is not None else self.payload or b""


def encode(value: Any) -> bytes:
    """The deterministic form of a value as it may be in a message (RFC 8949 section 4.2.1)."""
    return cbor2.dumps(_sorted(value))


def decode(data: bytes, name: str) -> Any:
    """The one value that ``data`` is the deterministic form of, of the types that messages have.

    ``EvidenceRejected`` for anything else, with ``name`` for what it was to be.
    """
    try:
        value = parse_cbor(data, name)
        again = encode(value)
    except (MessageRefused, CallerError, ValueError) as error:
        problem = error.problem if isinstance(error, MessageRefused | CallerError) else str(error)
        raise EvidenceRejected(problem, hint=_HINT, check="form") from None
    if again != data:
        raise EvidenceRejected(
            f"{name} is not in deterministic form, or has bytes after its end", hint=_HINT, check="form"
        )
    return value


def to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """The Sig_structure of a COSE_Sign1 without external data (RFC 9052 section 4.4)."""
    return encode(["Signature1", protected, b"", payload])


# ------------------------------------------------------------------------------------------------------- by bare keys


def sign(payload: bytes, key: PrivateKey, *, header: Header, attached: bool) -> Sign1:
    """``payload`` signed with ``key``; the protected header is ``header`` and the algorithm."""
    protected = encode({ALG: algorithm_of(key.public_key()).identifier, **header})
    signature = key.sign(to_be_signed(protected, payload))
    return Sign1(protected, {}, payload if attached else None, signature)


def verify(message: Sign1, key: PublicKey, *, detached: bytes | None) -> bytes:
    """The payload, after its signature with ``key``; ``EvidenceRejected`` for another algorithm, key or payload."""
    payload, algorithm = message.signed_over(detached), message.algorithm
    if algorithm != algorithm_of(key):
        raise _refused(f"is signed with {algorithm.name}, and the key is of {algorithm_of(key).name}")
    try:
        key.verify(message.signature, to_be_signed(message.protected, payload))
    except InvalidSignature:
        raise _refused(f"has no signature of this {algorithm.name} key over its payload") from None
    return payload


def algorithm_of(key: PublicKey) -> Algorithm:
    """The algorithm that ``key`` is for."""
    for algorithm in ALGORITHMS.values():
        if isinstance(key, algorithm.key):
            return algorithm
    raise CallerError(f"a {type(key).__name__} signs no COSE here", hint=f"Use a key of {_known()}")


# ------------------------------------------------------------------------------------------------ by certified parties


class Certified(Protocol):
    """Who signs with a certified key; a ``TransportSecurity`` is one."""

    @property
    def certificate(self) -> bytes: ...

    def sign_bare(self, message: bytes) -> bytes: ...


class Verifier(Protocol):
    """Who knows which certificates to believe: a ``TransportSecurity``, or ``transport.bare.BareVerifier``."""

    def verify_bare(
        self, message: bytes, signature: bytes, *, certificate: bytes, claimed: datetime
    ) -> VerifiedStatement: ...


def sign_certified(payload: bytes, party: Certified, *, header: Header, attached: bool) -> Sign1:
    """``payload`` signed by ``party``; ``x5t`` is added to ``header``, and ``x5chain`` beside it."""
    certificate = party.certificate
    algorithm = algorithm_of(_public_key(certificate))
    thumbprint = [SHA_256, hashlib.sha256(certificate).digest()]
    protected = encode({ALG: algorithm.identifier, X5T: thumbprint, **header})
    signature = party.sign_bare(to_be_signed(protected, payload))
    return Sign1(protected, {X5CHAIN: certificate}, payload if attached else None, signature)


def verify_certified(
    message: Sign1, verifier: Verifier, *, detached: bytes | None, claimed: datetime
) -> VerifiedStatement:
    """The payload (``body``) and who signed it, by the certificate in the message; or ``EvidenceRejected``.

    ``claimed``: when it says that it was signed, at which the certificate must have been valid.
    """
    payload = message.signed_over(detached)
    certificate = message.unprotected.get(X5CHAIN)
    if type(certificate) is not bytes:
        raise _refused("does not bring exactly one certificate")
    if message.header.get(X5T) != [SHA_256, hashlib.sha256(certificate).digest()]:
        raise _refused("brings another certificate than the one that it names")
    try:
        signed = verifier.verify_bare(
            to_be_signed(message.protected, payload), message.signature, certificate=certificate, claimed=claimed
        )
    except MessageRefused as error:
        raise EvidenceRejected(error.problem, hint=error.hint, check="signature", party=error.party) from None
    if message.algorithm != algorithm_of(_public_key(certificate)):
        raise _refused(f"says {message.algorithm.name}, and its certificate is for another algorithm")
    return VerifiedStatement(body=payload, signer=signed.signer, role=signed.role, fingerprint=signed.fingerprint)


# ------------------------------------------------------------------------------------------------------------- details


def _sorted(value: Any) -> Any:
    """``value`` with its maps in the order of their encoded keys; ``CallerError`` for what no message has."""
    if value is None or type(value) in (int, str, bytes, bool):
        return value
    if isinstance(value, list | tuple):
        return [_sorted(item) for item in value]
    if isinstance(value, Mapping) and all(type(key) in (int, str) for key in value):
        return {key: _sorted(value[key]) for key in sorted(value, key=cbor2.dumps)}
    raise CallerError(f"a {type(value).__name__} is in no COSE message here", hint="Use numbers, text, bytes and maps")


def _header(value: Any, name: str) -> dict[int | str, Any]:
    if not isinstance(value, dict):
        raise _refused(f"has a {name} that is no map")
    return value


def _check_headers(protected: Header, unprotected: Header, understood: Collection[int | str]) -> None:
    if twice := sorted(map(str, protected.keys() & unprotected.keys())):
        raise _refused(f"has header {twice[0][:20]} twice, protected and not")
    if misplaced := [label for label in (ALG, CRIT) if label in unprotected]:
        raise _refused(f"has header {misplaced[0]} where nothing protects it")
    if CRIT not in protected:
        return
    critical = protected[CRIT]
    if not (isinstance(critical, list) and critical):
        raise _refused("has no list of critical headers where one should be")
    for label in critical:
        if type(label) not in (int, str) or label not in protected:
            raise _refused(f"calls header {str(label)[:20]} critical, and does not protect it")
        if label not in understood:
            raise _refused(f"calls header {str(label)[:20]} critical, which is not known here")


def _public_key(certificate: bytes) -> Any:
    return x509.load_der_x509_certificate(certificate).public_key()


def _known() -> str:
    return ", ".join(f"{one.name} ({one.identifier})" for one in ALGORITHMS.values())


def _refused(problem: str) -> EvidenceRejected:
    return EvidenceRejected(f"a COSE_Sign1 {problem}", hint=_HINT, check="form")


__all__ = [
    "ALG",
    "ALGORITHMS",
    "CRIT",
    "ED25519",
    "ML_DSA_44",
    "ML_DSA_65",
    "ML_DSA_87",
    "TYPE",
    "X5CHAIN",
    "X5T",
    "Algorithm",
    "Certified",
    "PrivateKey",
    "PublicKey",
    "Sign1",
    "Verifier",
    "algorithm_of",
    "decode",
    "encode",
    "sign",
    "sign_certified",
    "to_be_signed",
    "verify",
    "verify_certified",
]
