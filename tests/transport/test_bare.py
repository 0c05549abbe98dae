"""Bare signatures: by the holder of a certificate, over messages of a known form, and over nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from quatrefoil.contracts import TransportSecurity
from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.meter import Meter, MeteredTransport
from quatrefoil.transport import bare
from quatrefoil.transport.bare import BareVerifier
from quatrefoil.transport.statement import SIGNATURE_CONTEXT, Statement
from support import Consortium

FORM = b"\x84\x6aSignature1"
MESSAGE = FORM + b" and what follows"


@pytest.fixture
def security(consortium: Consortium) -> TransportSecurity:
    return consortium.transport("north", "silo")


@pytest.mark.parametrize("metered", [False, True])
def test_it_says_who_has_signed(consortium: Consortium, security: TransportSecurity, metered: bool) -> None:
    party = MeteredTransport(security, Meter()) if metered else security
    reader = consortium.transport("hub", "aggregator")
    found = reader.verify_bare(
        MESSAGE, party.sign_bare(MESSAGE), certificate=party.certificate, claimed=consortium.clock()
    )
    assert (found.body, found.signer, found.role) == (MESSAGE, "north", "silo")
    assert found.fingerprint == consortium.identity("north", "silo").fingerprint


@pytest.mark.parametrize(
    "message",
    [
        b"",
        FORM[:-1],
        FORM[1:],
        b"\x20" * 64 + b"TLS 1.3, server CertificateVerify\x00",
        b"\x30\x82" + FORM,
        b"\x84" * 20,
    ],
    ids=["nothing", "cut off", "begun late", "TLS", "DER", "another array"],
)
def test_a_message_of_another_form_is_neither_signed_nor_verified(
    consortium: Consortium, security: TransportSecurity, message: bytes
) -> None:
    """Without a context nothing else keeps what a key signs for one protocol out of another."""
    with pytest.raises(CallerError, match="no form that is signed without a context"):
        security.sign_bare(message)
    signature = consortium.identity("north", "silo").sign(message, context=b"")
    with pytest.raises(CallerError, match="no form that is signed without a context"):
        security.verify_bare(message, signature, certificate=security.certificate, claimed=consortium.clock())


def test_a_statement_does_not_pass_for_it_nor_it_for_a_statement(
    consortium: Consortium, security: TransportSecurity
) -> None:
    holder = consortium.identity("north", "silo")
    with_context = holder.sign(MESSAGE, context=SIGNATURE_CONTEXT)
    with pytest.raises(MessageRefused, match="does not fit what it stands under"):
        security.verify_bare(MESSAGE, with_context, certificate=holder.certificate_der, claimed=consortium.clock())
    assert not Statement(holder.fingerprint, MESSAGE).encode().startswith(bare.FORMS)


def test_another_message_signature_or_certificate_is_refused(
    consortium: Consortium, stranger: Consortium, security: TransportSecurity
) -> None:
    signature, now = security.sign_bare(MESSAGE), consortium.clock()
    other, unknown = consortium.transport("south", "silo"), stranger.transport("north", "silo")
    for message, signed, certificate, problem in (
        (MESSAGE + b".", signature, security.certificate, "does not fit"),
        (MESSAGE, signature[:-1], security.certificate, "does not fit"),
        (MESSAGE, b"", security.certificate, "does not fit"),
        (MESSAGE, signature, other.certificate, "does not fit"),
        (MESSAGE, unknown.sign_bare(MESSAGE), unknown.certificate, "signed by no trusted root"),
        (MESSAGE, signature, b"", "cannot be read"),
    ):
        with pytest.raises(MessageRefused, match=problem):
            security.verify_bare(message, signed, certificate=certificate, claimed=now)


def test_validity_is_judged_at_the_claimed_time(consortium: Consortium, security: TransportSecurity) -> None:
    signature, now = security.sign_bare(MESSAGE), consortium.clock()
    verifier = BareVerifier(consortium.trust, at=now)
    assert verifier.verify_bare(MESSAGE, signature, certificate=security.certificate, claimed=now)
    for days, problem in ((-1, "is valid only from"), (400, "expired at")):
        with pytest.raises(MessageRefused, match=problem):
            verifier.verify_bare(
                MESSAGE, signature, certificate=security.certificate, claimed=now + timedelta(days=days)
            )
