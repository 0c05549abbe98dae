"""Keys of ``transport`` as they stand in a keyset, and back."""

from __future__ import annotations

from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import CallerError, EvidenceRejected, MessageRefused
from quatrefoil.transport import ChannelPolicy, Identity, Party
from quatrefoil.transport.leaf_keys import key_digest
from quatrefoil.transport.suites import ENVELOPES, Suite, of_envelopes


def sealing_key(public: bytes) -> bytes:
    """A public key to seal to (``SealingKey.public``) as ``Keyset.sealing`` holds it; ``CallerError`` if it is none."""
    for suite in ENVELOPES:
        if len(public) == suite.public_bytes:
            _read(suite, public)
            return suite.identifiers + public
    raise CallerError(
        f"a public key of {len(public)} bytes is of none of {', '.join(suite.name for suite in ENVELOPES)}",
        hint="Give the public key of a SealingKey",
    )


def recipient(keyset: Keyset, policy: ChannelPolicy) -> bytes:
    """The key of ``keyset`` to seal to, as ``TransportSecurity.seal`` takes it.

    ``EvidenceRejected`` where there is none, or none of a suite that ``policy`` allows.
    """
    public = keyset.sealing_public
    for suite in of_envelopes(policy.envelopes):
        if suite.identifiers == keyset.sealing_suite:
            try:
                suite.read_public(public)
            except MessageRefused as refusal:
                raise EvidenceRejected(refusal.problem, hint=refusal.hint, check="keyset") from None
            return public
    raise EvidenceRejected(
        f"the keyset's sealing key is of HPKE suite {keyset.sealing_suite.hex()}, which {policy.name} does not allow",
        hint=f"Have it make a key of {' or '.join(policy.envelopes)}",
        check="keyset",
    )


def tls_key(party: Identity | Party) -> bytes:
    """``Keyset.tls`` of an identity that shows its certificate in channels, or of a channel's verified peer: SHA-256 of
    the SubjectPublicKeyInfo."""
    return key_digest(party.certificate.public_key())


def _read(suite: Suite, public: bytes) -> None:
    try:
        suite.read_public(public)
    except MessageRefused as refusal:
        raise CallerError(refusal.problem, hint=refusal.hint) from None


__all__ = ["recipient", "sealing_key", "tls_key"]
