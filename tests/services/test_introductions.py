"""The aggregator learns from the keeper itself by which certificate it signs, and not from its channel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from loopback import Loopback

from identities import identity, renewed, speaking_as
from quatrefoil.errors import MessageRefused
from quatrefoil.federation.keeper import LARGEST_NONCE
from quatrefoil.federation.messages import Consent, Introduction, Member
from quatrefoil.services.keeper_link import KeeperLink
from world import World

NONCE = bytes(range(16))


def introduced(world: World, introduce: Callable[[bytes], bytes] | None = None) -> Member:
    """Whom the aggregator takes the keeper for. ``introduce``: what a keeper of another mind answers."""
    if introduce is not None:
        world.keeper.introduce = introduce  # type: ignore[method-assign]

    async def ask() -> Member:
        async with Loopback(world) as loopback:
            await loopback.stop_aggregator()
            link = KeeperLink(loopback._dial_keeper, 0.0, loopback.reports.append)
            try:
                return await link.introduce(world.security("hub", "aggregator"), NONCE)
            finally:
                await link.close()

    return asyncio.run(ask())


def test_a_keeper_is_known_by_the_certificate_that_it_signs_with() -> None:
    own = identity("keeper", "keeper")
    assert introduced(World()) == Member("keeper", own.fingerprint, 0)


def test_a_keeper_whose_channel_shows_a_newer_certificate_is_known_by_the_older() -> None:
    """Its channel shows the certificate of ``identity``; it signs with the other one of the same name."""
    world, signing = World(), renewed("keeper", "keeper")
    found = introduced(world, lambda nonce: speaking_as(signing, world.clock).sign(Introduction(nonce).encode()))
    assert found.fingerprint == signing.fingerprint != identity("keeper", "keeper").fingerprint


@pytest.mark.parametrize(("name", "role"), [("other", "keeper"), ("keeper", "aggregator"), ("keeper", "silo")])
def test_a_keeper_that_introduces_another_is_refused(name: str, role: str) -> None:
    world = World()
    other = speaking_as(identity(name, role), world.clock)
    with pytest.raises(MessageRefused, match=f"keeper keeper introduces itself as {role} {name}"):
        introduced(world, lambda nonce: other.sign(Introduction(nonce).encode()))


def test_an_old_introduction_is_refused() -> None:
    world = World()
    keeper = world.security("keeper", "keeper")
    with pytest.raises(MessageRefused, match="introduces itself to another"):
        introduced(world, lambda _: keeper.sign(Introduction(bytes(16)).encode()))


def test_another_statement_of_the_keeper_is_no_introduction() -> None:
    world = World()
    keeper = world.security("keeper", "keeper")
    with pytest.raises(MessageRefused, match=r"introduction|consent"):
        introduced(world, lambda nonce: keeper.sign(Consent(nonce).encode()))


def test_a_keeper_signs_no_long_text_of_the_askers_choice() -> None:
    keeper = World().keeper
    keeper.introduce(bytes(LARGEST_NONCE))
    with pytest.raises(MessageRefused, match=f"nonce of {LARGEST_NONCE + 1} bytes"):
        keeper.introduce(bytes(LARGEST_NONCE + 1))
