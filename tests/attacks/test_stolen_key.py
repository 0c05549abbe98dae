"""A party's key is copied: what the thief is without a revocation list, and what with one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.transport.listening import Listening, dial, listening

from quatrefoil.errors import ChannelRefused, MessageRefused
from quatrefoil.transport import Identity, PostQuantumTransport, TrustAnchor
from support import Consortium, clock_at


@pytest.fixture
def victims(tmp_path: Path) -> Consortium:
    return Consortium(tmp_path / "ca", "victims")


@pytest.fixture
def stolen(victims: Consortium, tmp_path: Path) -> Identity:
    """north's key and certificate, as the thief reads them from a backup."""
    victims.identity("north", "silo")
    copy = tmp_path / "backup"
    copy.mkdir()
    for file in victims.folder("north", "silo").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
        (copy / file.name).chmod(0o600)
    return Identity.load(copy)


@pytest.fixture
def hub(victims: Consortium) -> Iterator[Listening]:
    """An aggregator that reads the authority's list as it now is."""
    with listening(victims, trust=TrustAnchor.load(victims.directory)) as server:
        yield server


def says(thief: Identity, victims: Consortium) -> str:
    """Whom an aggregator, with the list as it now is, takes the thief for."""
    trust = TrustAnchor.load(victims.directory)
    reader = PostQuantumTransport(victims.identity("hub", "aggregator"), trust, clock=victims.clock)
    return reader.verify(PostQuantumTransport(thief, trust, clock=victims.clock).sign(b"my update")).signer


def test_the_limit_until_a_list_says_so_the_thief_is_the_party(
    victims: Consortium, stolen: Identity, hub: Listening
) -> None:
    with dial(victims, hub.port, identity=stolen) as channel:
        channel.send(b"x")
        assert channel.receive(10) == b"x" and hub.peers == [("north", "silo")]
    assert says(stolen, victims) == "north"


def test_with_the_new_list_the_thief_is_nobody_and_the_party_goes_on_with_another_key(
    victims: Consortium, stolen: Identity, tmp_path: Path
) -> None:
    victims.authority.revoke(stolen.certificate, reason="key-compromise")
    victims.authority.publish()
    renewed = victims.authority.issue("north", "silo", directory=tmp_path / "renewed")
    with listening(victims, trust=TrustAnchor.load(victims.directory)) as server:
        with pytest.raises(ChannelRefused, match="refused our certificate"):
            dial(victims, server.port, identity=stolen)
        assert "'north' was revoked" in str(server.refusal())
        with dial(victims, server.port, identity=renewed):
            pass
    with pytest.raises(MessageRefused, match="'north' was revoked"):
        says(stolen, victims)
    assert says(renewed, victims) == "north"


def test_the_thief_gains_nothing_by_keeping_the_list_away(victims: Consortium, stolen: Identity) -> None:
    """A party that gets no list for long enough believes nobody, rather than everybody."""
    (held,) = TrustAnchor.load(victims.directory).lists
    late = clock_at(held.ends + timedelta(hours=1))
    assert stolen.certificate.not_valid_after_utc > late()
    reader = PostQuantumTransport(victims.identity("hub", "aggregator"), victims.trust, clock=late)
    with pytest.raises(MessageRefused, match="revocation list 1 ended"):
        reader.verify(PostQuantumTransport(stolen, victims.trust, clock=late).sign(b"my update"))


def test_a_short_lived_key_ends_the_theft_by_itself(victims: Consortium, tmp_path: Path) -> None:
    brief = victims.authority.issue("north", "silo", lifetime=timedelta(days=7), directory=tmp_path / "brief")
    late = clock_at(victims.clock() + timedelta(days=7, seconds=1))
    reader = PostQuantumTransport(victims.identity("hub", "aggregator"), victims.trust, clock=late)
    with pytest.raises(MessageRefused, match="expired"):
        reader.verify(PostQuantumTransport(brief, victims.trust, clock=late).sign(b"my update"))
