"""Envelopes beside those of securesystemslib, which in-toto and TUF sign with: each reads what the other writes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.x509 import load_der_x509_certificate
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib import dsse as other
from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import Key, Signature

from identities import identity, notary
from quatrefoil.audit.dsse import IN_TOTO, Envelope, pae
from quatrefoil.errors import EvidenceRejected
from signed_messages import damaged

PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}'


class CertifiedKey(Key):
    """The library has no ML-DSA: this hands it the key of a certificate, checked with nothing of the product."""

    def __init__(self, certificate: bytes, keyid: str) -> None:
        super().__init__(keyid, "ml-dsa", "ml-dsa-65", {"certificate": certificate.hex()})

    @classmethod
    def from_dict(cls, keyid: str, key_dict: dict[str, Any]) -> CertifiedKey:
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        raise NotImplementedError

    def verify_signature(self, signature: Signature, data: bytes) -> None:
        key: Any = load_der_x509_certificate(bytes.fromhex(self.keyval["certificate"])).public_key()
        try:
            key.verify(bytes.fromhex(signature.signature), data)
        except InvalidSignature as error:
            raise UnverifiedSignatureError("no") from error


def ours(*names: str) -> Envelope:
    return Envelope(IN_TOTO, PAYLOAD, tuple(notary(identity(name, "silo")).sign(PAYLOAD) for name in names))


def keys(envelope: Envelope) -> list[Key]:
    return [CertifiedKey(one.certificate, one.keyid.hex()) for one in envelope.signatures]


def read(envelope: Envelope) -> other.Envelope:
    return other.Envelope.from_dict(json.loads(envelope.encode()))


def test_it_reads_and_verifies_ours() -> None:
    envelope = ours("ambon", "bari", "cusco")
    found = read(envelope)
    assert (found.payload, found.payload_type) == (envelope.payload, envelope.payload_type)
    assert found.pae() == pae(envelope.payload_type, envelope.payload)
    accepted = found.verify(keys(envelope), threshold=3)
    assert set(accepted) == {one.keyid.hex() for one in envelope.signatures}


@given(st.text(st.characters(codec="utf-8")), st.binary())
def test_both_encode_alike_what_is_signed(kind: str, payload: bytes) -> None:
    assert other.Envelope(payload, kind, {}).pae() == pae(kind, payload)


def test_it_refuses_ours_when_altered() -> None:
    envelope = ours("ambon")
    for altered in (
        Envelope(IN_TOTO, damaged(PAYLOAD), envelope.signatures),
        Envelope("application/json", PAYLOAD, envelope.signatures),
    ):
        with pytest.raises(VerificationError):
            read(altered).verify(keys(envelope), threshold=1)
    with pytest.raises(VerificationError):
        read(envelope).verify([*keys(envelope), *keys(ours("bari"))], threshold=2)


def test_what_it_writes_again_is_ours_still() -> None:
    envelope = ours("ambon", "bari")
    assert Envelope.decode(json.dumps(read(envelope).to_dict()).encode()) == envelope


def test_an_envelope_of_its_own_key_is_refused_for_want_of_a_certificate() -> None:
    foreign = other.Envelope(PAYLOAD, IN_TOTO, {"1": Signature("1", "00" * 64)})
    with pytest.raises(EvidenceRejected, match="signature 0 holds keyid, sig, not extension, keyid, sig"):
        Envelope.decode(json.dumps(foreign.to_dict()).encode())
