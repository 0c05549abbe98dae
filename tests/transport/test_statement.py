from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import forgery
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.serialization import Encoding

from quatrefoil.contracts import TransportSecurity, VerifiedStatement
from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.transport import Identity, PostQuantumTransport
from quatrefoil.transport.statement import SIGNATURE_CONTEXT, Signed, Statement
from quatrefoil.wire import WireObject
from support import Consortium, days_from_now

BODY = b"plan 7"


@pytest.fixture(scope="module")
def silo(consortium: Consortium) -> PostQuantumTransport:
    return consortium.transport("cleveland", "silo")


@pytest.fixture(scope="module")
def aggregator(consortium: Consortium) -> PostQuantumTransport:
    return consortium.transport("hub", "aggregator")


def test_a_statement_names_its_signer_role_and_certificate(consortium, silo, aggregator):
    verified = aggregator.verify(silo.sign(BODY))
    identity = consortium.identity("cleveland", "silo")
    assert verified == VerifiedStatement(BODY, "cleveland", "silo", identity.fingerprint)


def test_the_backend_satisfies_the_contract(silo):
    assert isinstance(silo, TransportSecurity)
    assert silo.name == "cleveland"


def test_any_flipped_bit_is_refused(silo, aggregator):
    signed = silo.sign(BODY)
    for position in [*range(64), *range(64, len(signed), 101), len(signed) - 1]:
        flipped = bytearray(signed)
        flipped[position] ^= 1 << (position % 8)
        with pytest.raises(MessageRefused):
            aggregator.verify(bytes(flipped))


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_a_cut_statement_is_refused(silo, aggregator, cut):
    with pytest.raises(MessageRefused):
        aggregator.verify(silo.sign(BODY)[:cut])


def test_bytes_after_the_end_are_refused(silo, aggregator):
    with pytest.raises(MessageRefused):
        aggregator.verify(silo.sign(BODY) + b"\x00")


def test_another_body_is_refused_and_the_signer_named(silo, aggregator):
    signed = replace(Signed.decode(silo.sign(BODY)), body=b"plan 8").encode()
    with pytest.raises(MessageRefused, match="signature of 'cleveland'") as refusal:
        aggregator.verify(signed)
    assert refusal.value.party == "cleveland"


def test_the_same_key_certified_in_another_role_cannot_be_swapped_in(consortium, silo, aggregator):
    identity = consortium.identity("cleveland", "silo")
    recipe = replace(
        forgery.GOOD,
        key=identity.private_key(),
        names=("cleveland",),
        alternatives=[x509.UniformResourceIdentifier("urn:quatrefoil:role:keeper")],
    )
    _, keeper = forgery.forge(recipe, consortium)
    signed = replace(Signed.decode(silo.sign(BODY)), certificate=keeper.public_bytes(Encoding.DER))
    with pytest.raises(MessageRefused, match="does not fit"):
        aggregator.verify(signed.encode())


def test_a_signature_made_for_another_purpose_is_refused(consortium, aggregator):
    identity = consortium.identity("cleveland", "silo")
    message = Statement(certificate=identity.fingerprint, body=BODY).encode()
    for context in (b"", SIGNATURE_CONTEXT + b" ", b"TLS"):
        signature = identity.sign(message, context=context)
        signed = Signed(body=BODY, certificate=identity.certificate_der, signature=signature)
        with pytest.raises(MessageRefused, match="does not fit"):
            aggregator.verify(signed.encode())


@pytest.mark.parametrize("signature", [b"", b"\x00" * 3309, b"\xff" * 4000])
def test_a_signature_that_is_none_is_refused(silo, aggregator, signature):
    signed = replace(Signed.decode(silo.sign(BODY)), signature=signature)
    with pytest.raises(MessageRefused, match="does not fit"):
        aggregator.verify(signed.encode())


def test_another_type_with_the_same_fields_is_refused(silo, aggregator):
    @dataclass(frozen=True)
    class Invitation(WireObject):
        TYPE: ClassVar[str] = "urn:quatrefoil:invitation"
        body: bytes
        certificate: bytes
        signature: bytes

    signed = Signed.decode(silo.sign(BODY))
    with pytest.raises(MessageRefused, match="expected urn:quatrefoil:signed"):
        aggregator.verify(Invitation(signed.body, signed.certificate, signed.signature).encode())


def test_another_root_is_refused(stranger, aggregator, silo, consortium):
    with pytest.raises(MessageRefused, match=r"no trusted root .*other-root"):
        aggregator.verify(stranger.transport("cleveland", "silo").sign(BODY))
    outsider = PostQuantumTransport(consortium.identity("hub", "aggregator"), stranger.trust, clock=consortium.clock)
    with pytest.raises(MessageRefused, match="no trusted root"):
        outsider.verify(silo.sign(BODY))


def test_another_root_of_the_same_name_is_refused(tmp_path, aggregator):
    twin = Consortium(tmp_path / "twin", "test-root")
    with pytest.raises(MessageRefused, match="no trusted root"):
        aggregator.verify(twin.transport("cleveland", "silo").sign(BODY))


def test_a_self_signed_leaf_is_refused(aggregator):
    recipe = replace(forgery.GOOD, key=mldsa.MLDSA65PrivateKey.generate())
    key, certificate = forgery.issue(recipe, recipe.key, x509.Name([]))
    with pytest.raises(MessageRefused, match="no trusted root"):
        aggregator.verify(signed_by(key, certificate))


def test_a_leaf_cannot_issue(consortium, aggregator):
    parent = consortium.identity("cleveland", "silo")
    key, certificate = forgery.issue(forgery.GOOD, parent.private_key(), parent.certificate.subject)
    with pytest.raises(MessageRefused, match="no trusted root"):
        aggregator.verify(signed_by(key, certificate))


@pytest.mark.parametrize("defect", forgery.DEFECTS)
def test_a_certificate_outside_the_profile_is_refused(consortium, aggregator, defect):
    recipe, expected = forgery.DEFECTS[defect]
    key, certificate = forgery.forge(recipe, consortium)
    with pytest.raises(MessageRefused, match=expected):
        aggregator.verify(signed_by(key, certificate))


def test_the_forge_makes_good_certificates_too(consortium, aggregator):
    key, certificate = forgery.forge(forgery.GOOD, consortium)
    assert aggregator.verify(signed_by(key, certificate)).signer == "mallory"


@pytest.mark.parametrize(("days", "expected"), [(200, "expired"), (-1, "valid only from")])
def test_validity_is_judged_by_the_injected_clock(consortium, silo, days, expected):
    later = PostQuantumTransport(consortium.identity("hub", "aggregator"), consortium.trust, clock=days_from_now(days))
    with pytest.raises(MessageRefused, match=expected):
        later.verify(silo.sign(BODY))


def test_a_clock_without_a_zone_is_refused(consortium, silo):
    naive = PostQuantumTransport(
        consortium.identity("hub", "aggregator"),
        consortium.trust,
        clock=lambda: consortium.clock().replace(tzinfo=None),
    )
    with pytest.raises(CallerError, match="zone"):
        naive.verify(silo.sign(BODY))


def test_an_identity_prints_without_its_key(consortium):
    identity = consortium.identity("cleveland", "silo")
    assert repr(identity) == "Identity(name='cleveland', role='silo', key=<secret>)"
    assert repr(consortium.transport("cleveland", "silo")) == f"PostQuantumTransport({identity!r})"


def test_an_identity_refuses_a_certificate_of_another_key(consortium):
    key = consortium.identity("cleveland", "silo").private_key()
    with pytest.raises(CallerError, match="do not belong together"):
        Identity(key, consortium.identity("hub", "aggregator").certificate)


def signed_by(key, certificate) -> bytes:
    """A statement in good form, by whatever key and certificate."""
    der = certificate.public_bytes(Encoding.DER)
    message = Statement(certificate=certificate.fingerprint(hashes.SHA256()), body=BODY).encode()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
    else:
        signature = key.sign(message, SIGNATURE_CONTEXT)
    return Signed(body=BODY, certificate=der, signature=signature).encode()
