"""A chain is verified once, and its validity is looked at every time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import forgery
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from quatrefoil.errors import CallerError, ChannelRefused, MessageRefused
from quatrefoil.transport import PostQuantumTransport, profile
from quatrefoil.transport import identity as identity_module
from quatrefoil.transport.profile import parse_host
from quatrefoil.transport.revocation import REASONS, Revoked
from support import days_from_now

BODY = b"the body"


@pytest.fixture
def anchor(consortium):
    """A trust anchor that remembers nothing yet."""
    return consortium.trust_with(consortium.list_of(clock=days_from_now(-1), days=4000))


@pytest.fixture
def verifications(monkeypatch):
    """The certificates that were verified from the beginning."""
    found = []
    verify_leaf = profile.verify_leaf

    def counted(der, *arguments, **named):
        found.append(der)
        return verify_leaf(der, *arguments, **named)

    monkeypatch.setattr(profile, "verify_leaf", counted)
    return found


def test_statements_of_one_certificate_verify_its_chain_once(consortium, anchor, verifications):
    reader = PostQuantumTransport(consortium.identity("hub", "aggregator"), anchor, clock=consortium.clock)
    writer = consortium.transport("cleveland", "silo")
    first, *others = [reader.verify(writer.sign(BODY)) for _ in range(5)]
    assert len(verifications) == 1
    assert others == [first] * 4


def test_a_wrong_signature_under_a_remembered_certificate_is_refused(consortium, anchor):
    reader = PostQuantumTransport(consortium.identity("hub", "aggregator"), anchor, clock=consortium.clock)
    signed = consortium.transport("cleveland", "silo").sign(BODY)
    reader.verify(signed)
    forged = signed[:-1] + bytes([signed[-1] ^ 1])
    with pytest.raises(MessageRefused, match="does not fit its statement"):
        reader.verify(forged)


@pytest.mark.parametrize(("days", "expected"), [(200, "expired"), (-1, "valid only from")])
def test_a_remembered_certificate_is_still_judged_by_the_clock(consortium, anchor, days, expected):
    certificate, now = consortium.identity("cleveland", "silo").certificate_der, consortium.clock()
    anchor.verify(certificate, at=now, refusal=MessageRefused)
    with pytest.raises(MessageRefused, match=expected):
        anchor.verify(certificate, at=now + timedelta(days=days), refusal=MessageRefused)
    assert anchor.verify(certificate, at=now, refusal=MessageRefused).name == "cleveland"


def test_both_ends_of_the_validity_are_exact(consortium, anchor):
    certificate = consortium.identity("cleveland", "silo")
    begins, ends = certificate.certificate.not_valid_before_utc, certificate.certificate.not_valid_after_utc
    tick = timedelta(microseconds=1)
    for at in (begins, ends):
        assert anchor.verify(certificate.certificate_der, at=at, refusal=MessageRefused).name == "cleveland"
    for at in (begins - tick, ends + tick):
        with pytest.raises(MessageRefused):
            anchor.verify(certificate.certificate_der, at=at, refusal=MessageRefused)


def test_an_expired_root_is_looked_at_again(consortium, anchor, verifications):
    certificate = consortium.identity("cleveland", "silo").certificate_der
    anchor.verify(certificate, at=consortium.clock(), refusal=MessageRefused)
    beyond = consortium.trust.roots[0].not_valid_after_utc + timedelta(seconds=1)
    with pytest.raises(MessageRefused):
        anchor.verify(certificate, at=beyond, refusal=MessageRefused)
    assert len(verifications) == 2


def test_a_refused_certificate_is_refused_every_time(consortium, anchor, verifications):
    recipe, expected = next(iter(forgery.DEFECTS.values()))
    _, certificate = forgery.forge(recipe, consortium)
    for _ in range(2):
        with pytest.raises(MessageRefused, match=expected):
            anchor.verify(certificate.public_bytes(Encoding.DER), at=consortium.clock(), refusal=MessageRefused)
    assert len(verifications) == 2


def test_the_refusal_is_the_one_asked_for_also_when_remembered(consortium, anchor):
    certificate = consortium.identity("cleveland", "silo").certificate_der
    anchor.verify(certificate, at=consortium.clock(), refusal=MessageRefused)
    with pytest.raises(ChannelRefused):
        anchor.verify(certificate, at=consortium.clock() + timedelta(days=200), refusal=ChannelRefused)


def test_each_host_is_checked(consortium, anchor):
    certificate = consortium.identity("hub", "aggregator").certificate_der
    anchor.verify(certificate, at=consortium.clock(), refusal=ChannelRefused)
    anchor.verify(certificate, at=consortium.clock(), refusal=ChannelRefused, server=parse_host("localhost"))
    with pytest.raises(ChannelRefused, match=r"not for elsewhere\.example"):
        anchor.verify(
            certificate, at=consortium.clock(), refusal=ChannelRefused, server=parse_host("elsewhere.example")
        )


def test_what_is_remembered_for_one_host_counts_for_no_other_and_not_for_none(consortium, anchor, verifications):
    certificate, now = consortium.identity("hub", "aggregator").certificate_der, consortium.clock()
    localhost, address = parse_host("localhost"), parse_host("127.0.0.1")
    for host in (localhost, localhost, address, None, localhost, address, None):
        anchor.verify(certificate, at=now, refusal=ChannelRefused, server=host)
    assert len(verifications) == 3
    for _ in range(2):
        with pytest.raises(ChannelRefused, match=r"not for elsewhere\.example"):
            anchor.verify(certificate, at=now, refusal=ChannelRefused, server=parse_host("elsewhere.example"))
    assert len(verifications) == 5  # a refusal is not remembered


@pytest.mark.parametrize(("days", "expected"), [(200, "expired"), (-1, "valid only from")])
def test_a_host_that_is_remembered_is_still_judged_by_the_clock(consortium, anchor, days, expected):
    certificate, now = consortium.identity("hub", "aggregator").certificate_der, consortium.clock()
    host = parse_host("localhost")
    anchor.verify(certificate, at=now, refusal=ChannelRefused, server=host)
    with pytest.raises(ChannelRefused, match=expected):
        anchor.verify(certificate, at=now + timedelta(days=days), refusal=ChannelRefused, server=host)


def test_a_host_that_is_remembered_is_still_looked_up_in_the_list(consortium):
    identity = consortium.identity("hub", "aggregator")
    revoked = Revoked(identity.certificate.serial_number, consortium.clock(), REASONS["key-compromise"])
    before, after = (consortium.trust_with(consortium.list_of(entries)) for entries in ((), (revoked,)))
    for _ in range(2):
        question = {"at": consortium.clock(), "refusal": ChannelRefused, "server": parse_host("localhost")}
        assert before.verify(identity.certificate_der, **question).name == "hub"
        with pytest.raises(ChannelRefused, match="was revoked"):
            after.verify(identity.certificate_der, **question)


def test_of_several_roots_the_one_that_signed_is_found(consortium, stranger):
    leaf = consortium.identity("cleveland", "silo").certificate_der
    for roots in (
        [consortium.authority.root, stranger.authority.root],
        [stranger.authority.root, consortium.authority.root],
    ):
        found = profile.verify_leaf(leaf, roots, at=consortium.clock(), refusal=MessageRefused)
        assert found[1] == consortium.authority.root


def test_a_clock_without_a_zone_is_refused_also_when_remembered(consortium, anchor):
    certificate = consortium.identity("cleveland", "silo").certificate_der
    anchor.verify(certificate, at=consortium.clock(), refusal=MessageRefused)
    with pytest.raises(CallerError, match="zone"):
        anchor.verify(certificate, at=consortium.clock().replace(tzinfo=None), refusal=MessageRefused)


def test_memory_is_bounded_and_the_oldest_goes_first(consortium, anchor, verifications, monkeypatch):
    monkeypatch.setattr(identity_module, "MOST_REMEMBERED", 2)
    names = ("cleveland", "hungary", "zurich")
    certificates = [consortium.identity(name, "silo").certificate_der for name in names]
    for certificate in (*certificates, certificates[2], certificates[0]):
        anchor.verify(certificate, at=consortium.clock(), refusal=MessageRefused)
    assert verifications == [*certificates, certificates[0]]


def test_another_anchor_remembers_nothing_of_this_one(consortium, stranger, anchor):
    certificate = consortium.identity("cleveland", "silo").certificate_der
    anchor.verify(certificate, at=consortium.clock(), refusal=MessageRefused)
    with pytest.raises(MessageRefused, match="no trusted root"):
        stranger.trust.verify(certificate, at=consortium.clock(), refusal=MessageRefused)


def test_a_certificate_of_the_same_name_and_another_key_is_not_the_remembered_one(consortium, anchor, verifications):
    first = forgery.forge(forgery.GOOD, consortium)[1].public_bytes(Encoding.DER)
    second = forgery.forge(replace(forgery.GOOD), consortium)[1].public_bytes(Encoding.DER)
    parties = [anchor.verify(one, at=consortium.clock(), refusal=MessageRefused) for one in (first, second)]
    assert parties[0].fingerprint != parties[1].fingerprint and len(verifications) == 2
