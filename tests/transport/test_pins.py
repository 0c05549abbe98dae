"""A pinned peer is the one key that was meant, whatever else its root certifies."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from contextlib import contextmanager
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from listening import dial, dial_async, listening

from quatrefoil.errors import CallerError, ChannelRefused, MessageRefused
from quatrefoil.transport import FixedCredentials, RotatingCredentials, system_clock
from quatrefoil.transport.leaf_keys import key_digest
from quatrefoil.transport.pins import PinnedCredentials, PinnedTrust, Pins
from support import days_from_now


def key_of(identity) -> bytes:
    spki = identity.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()


@pytest.fixture
def hub(consortium):
    return consortium.identity("hub", "aggregator")


@pytest.fixture
def other(consortium, tmp_path):
    """Another key for the same name and role, which the root certifies as it would certify a renewal."""
    return consortium.authority.issue("hub", "aggregator", directory=tmp_path / "other")


@contextmanager
def pinned(consortium, *pins: bytes, **changes):
    """A silo's channel to the consortium's hub, which it has pinned."""
    trust = PinnedTrust(consortium.trust, Pins(pins))
    with listening(consortium, **changes) as server, dial(consortium, server.port, trust=trust) as channel:
        yield channel


@pytest.mark.parametrize("kind", ["key", "certificate"])
def test_the_pinned_peer_is_accepted(consortium, hub, kind):
    with pinned(consortium, key_of(hub) if kind == "key" else hub.fingerprint) as channel:
        assert channel.peer.fingerprint == hub.fingerprint
        assert key_digest(channel.peer.public_key) == key_of(hub)


def test_another_key_of_the_same_name_is_refused_and_both_are_named(consortium, hub, other):
    with listening(consortium, identity=other) as server:
        with pytest.raises(ChannelRefused) as refusal:
            dial(consortium, server.port, trust=PinnedTrust(consortium.trust, Pins([key_of(hub)])))
        for digest in (key_of(hub), key_of(other), other.fingerprint):
            assert digest.hex() in refusal.value.problem
        assert refusal.value.party == "hub"
        server.refusal()


def test_the_limit_without_a_pin_whoever_holds_the_root_key_can_stand_in_for_the_peer(consortium, hub, other):
    with listening(consortium, identity=other) as server, dial(consortium, server.port) as channel:
        assert channel.peer.name == "hub" and channel.peer.fingerprint != hub.fingerprint


def test_several_pins_let_the_next_key_come(consortium, hub, other):
    for identity in (hub, other):
        with pinned(consortium, key_of(hub), key_of(other), identity=identity) as channel:
            assert channel.peer.fingerprint == identity.fingerprint


def test_a_pin_of_the_key_holds_for_its_next_certificate_and_one_of_the_certificate_does_not(consortium, hub):
    again = consortium.authority._certify("hub", "aggregator", hub.private_key().public_key(), (), timedelta(days=1))
    for pin, fits in ((key_of(hub), True), (hub.fingerprint, False)):
        trust = PinnedTrust(consortium.trust, Pins([pin]))
        der = again.public_bytes(Encoding.DER)
        if fits:
            assert trust.verify(der, at=system_clock(), refusal=MessageRefused).name == "hub"
        else:
            with pytest.raises(MessageRefused, match="and pinned is"):
                trust.verify(der, at=system_clock(), refusal=MessageRefused)


def test_a_pin_takes_no_other_check_away(consortium, stranger, hub):
    foreign = stranger.identity("hub", "aggregator")
    trust = PinnedTrust(consortium.trust, Pins([key_of(foreign), key_of(hub)]))
    with pytest.raises(MessageRefused, match="no trusted root"):
        trust.verify(foreign.certificate_der, at=system_clock(), refusal=MessageRefused)
    with pytest.raises(MessageRefused, match="expired"):
        trust.verify(hub.certificate_der, at=days_from_now(200)(), refusal=MessageRefused)
    stale = PinnedTrust(consortium.trust_with(), Pins([key_of(hub)]))
    with pytest.raises(MessageRefused, match="no revocation list"):
        stale.verify(hub.certificate_der, at=system_clock(), refusal=MessageRefused)


def test_a_server_may_pin_its_clients(consortium, hub):
    silo, wrong = consortium.identity("cleveland", "silo"), consortium.identity("hungary", "silo")
    credentials = PinnedCredentials(FixedCredentials(hub, consortium.trust), Pins([key_of(silo)]))
    with listening(consortium, credentials=credentials) as server:
        with dial(consortium, server.port):
            pass
        with pytest.raises(ChannelRefused, match="refused our certificate"):
            dial(consortium, server.port, identity=wrong)
        assert "and pinned is" in str(server.refusal())


def test_asynchronous_channels_are_pinned_alike(consortium, other):
    with listening(consortium) as server:
        with pytest.raises(ChannelRefused, match="and pinned is"):
            asyncio.run(dial_async(consortium, server.port, trust=PinnedTrust(consortium.trust, Pins([key_of(other)]))))
        server.refusal()


def test_pinned_credentials_change_with_those_that_they_pin(consortium, hub, other):
    inner = RotatingCredentials(hub, consortium.trust, clock=system_clock)
    credentials = PinnedCredentials(inner, Pins([key_of(hub)]))
    first = credentials.current()
    assert credentials.current() is first and first.identity is hub
    inner.rotate(other)
    assert credentials.current() is not first and credentials.current().identity is other
    assert credentials.current() is credentials.current()


def test_pins_are_read_as_people_write_them(hub):
    digest = key_of(hub)
    for text in (digest.hex(), digest.hex().upper(), base64.b64encode(digest).decode()):
        assert repr(Pins.parse([text])) == f"Pins({digest.hex()[:16]})"


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, "0" * 63, "0" * 65, "=" * 44, "ä" * 64, "sha256/" + "A" * 43])
def test_what_is_no_pin_is_refused(text):
    with pytest.raises(CallerError, match="is no SHA-256"):
        Pins.parse([text])


def test_no_pins_and_short_ones_are_an_error_and_not_an_open_door():
    with pytest.raises(CallerError, match="no pin was given"):
        Pins([])
    with pytest.raises(CallerError, match="31 bytes"):
        Pins([bytes(31)])
