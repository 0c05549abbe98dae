"""Named channel policies: which algorithms two parties may agree on, and how long one agreement may last.

A policy is a minimum that the wire cannot lower. Nothing but its algorithms is offered or accepted, and what was
negotiated is read back and compared before a byte of a message moves (``tls_session.py``).

Renewal: RFC 8446 section 5.5 allows 2^24.5 full records under one AES-GCM key. ``renew_bytes`` stands for 2^22 records,
so that twice as much, where a server ends the channel by itself, and the largest message on top are still within. It is
a fresh KEM and not a key update, so that whoever learns the keys of one channel reads an hour of it at most.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import mldsa

from quatrefoil.errors import CallerError, ParametersRefused

GROUPS = ("X25519MLKEM768", "SecP384r1MLKEM1024", "SecP256r1MLKEM768", "MLKEM1024")
"""Every key-exchange group that a policy may name: hybrids, as strong as the stronger of their two parts, and
ML-KEM-1024 alone, which CNSA 2.0 asks for."""

SIGNATURE_ALGORITHMS = ("mldsa65", "mldsa87")
"""What leaves sign handshakes with. The root has signed every leaf with the second."""

CIPHER_SUITES = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")

RECORD = 16 << 10
"""Bytes in a full record (RFC 8446 section 5.1). One that is not full counts as much: its key is as much used."""

_KEYS = {"mldsa65": mldsa.MLDSA65PublicKey, "mldsa87": mldsa.MLDSA87PublicKey}
_ROOT_SIGNATURE = "mldsa87"
_WEEK = 7 * 86_400


@dataclass(frozen=True)
class ChannelPolicy:
    """``groups``, ``cipher_suites``: best first. ``leaf_signatures``: of both ends' certificates.

    ``envelopes``: HPKE suites (``suites.py``) that envelopes may be sealed with; new keys are of the first.
    ``resume_seconds``: how long a session may be resumed after its certificates were shown; 0 for never.
    ``renew_bytes``, ``renew_seconds``: after either, a client makes its channel anew; after twice as much a server ends
    it. Each record counts as 16 KiB, in the direction that moved more.
    """

    name: str
    groups: tuple[str, ...]
    leaf_signatures: tuple[str, ...] = SIGNATURE_ALGORITHMS
    cipher_suites: tuple[str, ...] = CIPHER_SUITES
    envelopes: tuple[str, ...] = ("hybrid-768", "hybrid-1024")
    resume_seconds: int = 3600
    renew_bytes: int = RECORD << 22
    renew_seconds: int = 3600

    def __post_init__(self) -> None:
        for what, names, known in (
            ("a post-quantum group", self.groups, GROUPS),
            ("a signature algorithm of leaves", self.leaf_signatures, SIGNATURE_ALGORITHMS),
            ("a cipher suite", self.cipher_suites, CIPHER_SUITES),
        ):
            unknown = [name for name in names if name not in known]
            if unknown or not names:
                raise ParametersRefused(
                    f"{unknown[0]!r} is not {what}" if unknown else f"channel policy {self.name} does not name {what}",
                    hint=f"Use {', '.join(known)}",
                )
        if not 0 <= self.resume_seconds <= _WEEK:
            raise ParametersRefused(
                f"{self.resume_seconds} s is no time in which to resume",
                hint="Use 0 to 604800 (RFC 8446 section 4.6.1)",
            )
        if self.renew_bytes < 1 or self.renew_seconds < 1:
            raise ParametersRefused("a channel that is never fresh", hint="Renew after at least 1 byte and 1 s")

    @property
    def signature_algorithms(self) -> tuple[str, ...]:
        """What is offered and accepted in the handshake and in certificates: the leaves' own, and the root's."""
        return tuple(dict.fromkeys((*self.leaf_signatures, _ROOT_SIGNATURE)))

    @property
    def leaf_keys(self) -> tuple[type, ...]:
        """The kinds of public key that a certificate may hold."""
        return tuple(_KEYS[name] for name in self.leaf_signatures)


HYBRID_768 = ChannelPolicy("hybrid-768", ("X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024"))
"""The minimum of the project. The last group is stronger, and taken by who meets a party of ``hybrid-1024``."""

HYBRID_1024 = ChannelPolicy(
    "hybrid-1024", ("SecP384r1MLKEM1024",), cipher_suites=CIPHER_SUITES[:1], envelopes=("hybrid-1024",)
)

CNSA_2_0 = ChannelPolicy(
    "cnsa-2.0",
    ("MLKEM1024",),
    leaf_signatures=("mldsa87",),
    cipher_suites=CIPHER_SUITES[:1],
    envelopes=("cnsa-2.0",),
)
"""ML-KEM-1024, ML-DSA-87, AES-256 and SHA-384 alone (NSA, CNSA 2.0; draft-becker-cnsa2-tls-profile): no hybrid, so
that a break of ML-KEM alone opens what was recorded."""

POLICIES = (HYBRID_768, HYBRID_1024, CNSA_2_0)


def policy_named(name: str) -> ChannelPolicy:
    """The policy called ``name``."""
    for policy in POLICIES:
        if policy.name == name:
            return policy
    raise CallerError(f"{name[:40]!r} is no channel policy", hint=f"Use {', '.join(one.name for one in POLICIES)}")


__all__ = [
    "CIPHER_SUITES",
    "CNSA_2_0",
    "GROUPS",
    "HYBRID_768",
    "HYBRID_1024",
    "POLICIES",
    "SIGNATURE_ALGORITHMS",
    "ChannelPolicy",
    "policy_named",
]
