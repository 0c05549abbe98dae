"""The broker over real channels on loopback: evidence bound to them, leases kept, and what ends them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from brokering import (
    BROKER,
    GOOD,
    KEY,
    OPERATOR,
    OWNER,
    Asker,
    Machine,
    Site,
    appraisal_policy,
    broker_key,
    chain_policy,
    keyset_of,
    resource_of,
    revocation,
    sealed_for,
)
from identities import TRUSTED, consortium, identity, speaking_as
from quatrefoil import attested
from quatrefoil.broker.holder import Holder
from quatrefoil.broker.messages import Revocation
from quatrefoil.enclave.evidence import EvidenceSet
from quatrefoil.errors import (
    ChannelRefused,
    EvidenceRejected,
    HostError,
    LeaseEnded,
    MessageRefused,
    PeerUnreachable,
    PolicyError,
    QuatrefoilError,
)
from quatrefoil.services import broker_link
from quatrefoil.services.broker import BrokerService
from quatrefoil.services.lease_holder import LeaseHolder
from quatrefoil.transport import ROLES, AsyncChannel, FixedCredentials, Server, open_channel, serve

HOST, SOON = "127.0.0.1", 15.0
WORKER = Asker("worker", "workload")


class Served:
    """A broker that listens; ``dial`` connects to it as somebody."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.refused: list[QuatrefoilError] = []
        self.port = 0
        self.server: Server

    async def start(self) -> None:
        service = BrokerService(self.site.broker, on_refused=lambda _, error: self.refused.append(error))
        self.server = await serve(
            HOST,
            self.port,
            credentials=FixedCredentials(identity(BROKER.name, BROKER.role), consortium(TRUSTED).trust),
            allow_roles=ROLES,
            handler=service.handle,
            on_refused=lambda _, error: self.refused.append(error),
            timeout=5.0,
            clock=self.site.clock,
        )
        self.port = self.server.port

    async def restart(self) -> None:
        await self.server.close()
        self.site.restart()
        await self.start()

    def dial(self, asker: Asker = WORKER) -> Callable[[], Any]:
        async def dialled() -> AsyncChannel:
            return await open_channel(
                HOST,
                self.port,
                identity=identity(asker.name, asker.role),
                trust=consortium(TRUSTED).trust,
                expect_role="broker",
                timeout=5.0,
                clock=self.site.clock,
            )

        return dialled

    def holding(self, owned: Any, machine: Machine | None = None, **more: Any) -> LeaseHolder:
        """``more`` goes to the machine's :class:`Holder`."""
        self.reports: list[str] = []
        holder = Holder(
            owned,
            more.pop("stage", "train"),
            broker=BROKER.name,
            security=speaking_as(identity(WORKER.name, WORKER.role), self.site.clock),
            attester=(machine or Machine()).attester,
            clock=self.site.clock,
            tls_key=more.pop("tls_key", attested.tls_key(identity(WORKER.name, WORKER.role))),
            keyset_s=30 * 86400,
            **more,
        )
        return LeaseHolder(holder, self.dial(), report=self.reports.append)


@asynccontextmanager
async def served(site: Site | None = None) -> AsyncIterator[Served]:
    made = Served(site or Site())
    await made.start()
    try:
        async with asyncio.timeout(SOON):
            yield made
    finally:
        await made.server.close()


def run(body: Any) -> None:
    asyncio.run(body())


# ------------------------------------------------------------------------------------------------------------- accepted


def test_an_owner_registers_and_measured_code_gets_the_key() -> None:
    async def body() -> None:
        async with served() as hub:
            owned = resource_of()
            security = speaking_as(identity(OWNER.name, OWNER.role), hub.site.clock)
            async with await hub.dial(OWNER)() as channel:
                said, _ = await broker_link.register(channel, security, owned.signed, sealed_for(owned))
                assert said.resource == owned.digest
                assert [one.name for one in (await broker_link.resources(channel)).resources] == ["patients"]
            async with hub.holding(owned) as holder:
                lease = await holder.acquire()
                assert holder.key == KEY and lease.holder == "worker"
            with pytest.raises(LeaseEnded, match="closed"):
                _ = holder.key

    run(body)


def test_two_clients_at_once() -> None:
    async def body() -> None:
        async with served() as hub:
            owned = hub.site.registered()
            holders = [hub.holding(owned, Machine(ak=n % 2)) for n in range(6)]
            leases = await asyncio.gather(*(holder.acquire() for holder in holders))
            assert len({lease.id for lease in leases}) == 6
            assert all(holder.key == KEY for holder in holders)

    run(body)


def test_a_lease_is_kept_across_a_restart_and_ends_when_it_is_revoked() -> None:
    async def body() -> None:
        async with served() as hub:
            owned = hub.site.registered(resource_of(policy=chain_policy(lease_s=2)))
            async with hub.holding(owned) as holder:
                first = await holder.acquire()
                keeping = asyncio.create_task(holder.keep())
                while holder.lease.number < 1:
                    await asyncio.sleep(0.05)
                await hub.restart()
                while holder.lease.number < 2:
                    await asyncio.sleep(0.05)
                assert holder.lease.id == first.id and holder.key == KEY
                key = holder.key
                hub.site.revoke(OWNER, value=owned.digest)
                with pytest.raises(PolicyError, match="was revoked"):
                    await keeping
                assert bytes(key) != KEY
                with pytest.raises(LeaseEnded, match="was revoked"):
                    _ = holder.key

    run(body)


# --------------------------------------------------------------------------------------------------------- what ends it


def test_a_broker_that_stays_away_takes_the_key_with_it() -> None:
    async def body() -> None:
        async with served() as hub:
            owned = hub.site.registered(resource_of(policy=chain_policy(lease_s=1)))
            async with hub.holding(owned) as holder:
                await holder.acquire()
                key = holder.key
                await hub.server.close()
                with pytest.raises(LeaseEnded, match="not renewed in time"):
                    await holder.keep()
                assert bytes(key) != KEY and any("does not answer" in line for line in hub.reports)

    run(body)


def test_a_broker_that_keeps_silent_is_not_waited_for_beyond_the_lease() -> None:
    async def body() -> None:
        async with served() as hub:
            owned = hub.site.registered(resource_of(policy=chain_policy(lease_s=1)))
            async with hub.holding(owned) as holder:
                await holder.acquire()
                key = holder.key

                async def silent(channel: AsyncChannel) -> None:
                    await asyncio.sleep(SOON)

                port, hub.port = hub.port, 0
                await hub.server.close()
                quiet = await serve(
                    HOST,
                    port,
                    credentials=FixedCredentials(identity(BROKER.name, BROKER.role), consortium(TRUSTED).trust),
                    allow_roles=ROLES,
                    handler=silent,
                    on_refused=lambda *_: None,
                    timeout=SOON,
                    clock=hub.site.clock,
                )
                hub.port = port
                try:
                    async with asyncio.timeout(4):
                        with pytest.raises(LeaseEnded, match="not renewed in time"):
                            await holder.keep()
                finally:
                    await quiet.close()
                assert bytes(key) != KEY

    run(body)


def test_an_impostor_in_the_brokers_place_ends_no_lease_before_its_time() -> None:
    async def body() -> None:
        async with served() as hub:
            owned = hub.site.registered(resource_of(policy=chain_policy(lease_s=2)))
            async with hub.holding(owned) as holder:
                await holder.acquire()
                await hub.server.close()
                impostor = await serve(
                    HOST,
                    hub.port,
                    credentials=FixedCredentials(identity("broker", "silo"), consortium(TRUSTED).trust),
                    allow_roles=ROLES,
                    handler=BrokerService(hub.site.broker, on_refused=lambda *_: None).handle,
                    on_refused=lambda *_: None,
                    timeout=5.0,
                    clock=hub.site.clock,
                )
                with pytest.raises(ChannelRefused):
                    await holder._ask("renew")
                assert holder.key == KEY
                await impostor.close()
                await hub.start()
                await holder._ask("renew")

    run(body)


def test_code_that_changed_loses_its_key_at_the_renewal() -> None:
    async def body() -> None:
        async with served() as hub:
            owned = hub.site.registered(resource_of(policy=chain_policy(lease_s=2)))
            machine = Machine()
            async with hub.holding(owned, machine) as holder:
                await holder.acquire()
                machine.values = GOOD | {7: b"\xee" * 32}
                with pytest.raises(EvidenceRejected, match="accepted-pcr7"):
                    await holder.keep()
                with pytest.raises(LeaseEnded, match="refused"):
                    _ = holder.key

    run(body)


def test_a_broker_that_says_the_lease_is_over_takes_the_key_at_once() -> None:
    async def body() -> None:
        async with served() as hub:
            holder = hub.holding(hub.site.registered())
            await holder.acquire()

            def over(*_: object, **__: object) -> bytes:
                raise LeaseEnded("it is over", hint="-")

            hub.site.broker.renew = over  # type: ignore[method-assign]
            with pytest.raises(LeaseEnded, match="it is over"):
                await holder._ask("renew")
            with pytest.raises(LeaseEnded, match="wiped"):
                _ = holder.key

    run(body)


def test_a_collector_that_fails_is_asked_again_and_takes_no_key() -> None:
    async def body() -> None:
        async with served() as hub:
            owned = hub.site.registered()
            machine = Machine()
            holder = hub.holding(owned, machine)
            await holder.acquire()
            good = machine.attester

            def absent(_: bytes) -> EvidenceSet:
                raise HostError("no TPM", hint="-")

            holder._holder._attester = absent
            with pytest.raises(PeerUnreachable, match="no TPM"):
                await holder._ask("renew")
            assert holder.key == KEY
            holder._holder._attester = good
            await holder._ask("renew")

    run(body)


# -------------------------------------------------------------------------------------------------------------- refused


def test_a_request_relayed_to_another_channel_is_refused() -> None:
    """Somebody in between sends the good code's request on a channel of its own, under the same certified name."""

    async def body() -> None:
        async with served() as hub:
            owned = hub.site.registered()
            holder = hub.holding(owned)._holder
            async with await hub.dial()() as good, await hub.dial()() as relay:
                nonce = await broker_link.question(good, "nonce")
                request = holder.request(nonce, exporter=attested.exported(good, nonce, of_peer=False))
                with pytest.raises(EvidenceRejected, match="report-data"):
                    await broker_link.question(relay, "release", request)
            assert len(hub.site.logged("lease")) == 0

    run(body)


def test_code_that_names_another_tls_key_than_its_channels_is_refused() -> None:
    """The service takes the peer's key from the channel's own certificate, not from what the request says."""

    async def body() -> None:
        async with served() as hub:
            other = attested.tls_key(identity("other", "workload"))
            with pytest.raises(EvidenceRejected, match="another TLS key"):
                await hub.holding(hub.site.registered(), tls_key=other).acquire()
            assert len(hub.site.logged("lease")) == 0

    run(body)


def test_the_answer_that_was_lost_is_given_again_on_another_channel() -> None:
    async def body() -> None:
        async with served() as hub:
            owned = hub.site.registered()
            holder = hub.holding(owned)._holder
            async with await hub.dial()() as first:
                nonce = await broker_link.question(first, "nonce")
                request = holder.request(nonce, exporter=attested.exported(first, nonce, of_peer=False))
                answer = await broker_link.question(first, "release", request)
            await hub.restart()
            async with await hub.dial()() as second:
                assert await broker_link.question(second, "release", request) == answer
            async with await hub.dial(Asker("other", "workload"))() as stranger:
                with pytest.raises(MessageRefused, match="nonce"):
                    await broker_link.question(stranger, "release", request)
            holder.accept(answer)

    run(body)


@pytest.mark.parametrize("method", ["introduce", "nonce", "release", "renew", "derive", "register", "revoke"])
def test_rubbish_is_refused_and_disturbs_nobody(method: str) -> None:
    async def body() -> None:
        async with served() as hub, await hub.dial()() as channel:
            if method != "nonce":
                with pytest.raises(QuatrefoilError):
                    await broker_link.question(channel, method, b"rubbish")
            assert len(await broker_link.question(channel, "nonce", b"whatever")) == 32
            with pytest.raises(MessageRefused, match="no method"):
                await broker_link.question(channel, "keys")

    run(body)


def test_a_party_that_is_no_broker_is_not_taken_for_one() -> None:
    async def body() -> None:
        async with served() as hub:
            impostor = await serve(
                HOST,
                0,
                credentials=FixedCredentials(identity("broker", "silo"), consortium(TRUSTED).trust),
                allow_roles=ROLES,
                handler=BrokerService(hub.site.broker, on_refused=lambda *_: None).handle,
                on_refused=lambda *_: None,
                timeout=5.0,
                clock=hub.site.clock,
            )
            hub.port = impostor.port
            try:
                with pytest.raises(ChannelRefused):
                    await hub.dial()()
            finally:
                await impostor.close()

    run(body)


def test_who_may_revoke_over_a_channel() -> None:
    async def body() -> None:
        async with served() as hub:
            owned = hub.site.registered()
            wanted = Revocation("resource", "", "", owned.digest, b"", "gone")
            worker = speaking_as(identity(WORKER.name, WORKER.role), hub.site.clock)
            async with await hub.dial()() as channel:
                with pytest.raises(PolicyError, match="may not revoke"):
                    await broker_link.revoke(channel, worker, wanted)
                # Whoever brings it: what counts is who signed it.
                await broker_link.question(
                    channel, "revoke", revocation(OPERATOR, clock=hub.site.clock, value=owned.digest)
                )
                assert (await broker_link.leases(channel)).leases == ()

    run(body)


# ------------------------------------------------------------------------------------------- the broker's own evidence


def attesting_site(machine: Machine | None = None) -> Site:
    site = Site()
    tls = attested.tls_key(identity(BROKER.name, BROKER.role))
    keyset = keyset_of(broker_key().recipient.public, site.clock)
    site.broker = site.make(attester=(machine or Machine()).attester, keyset=replace(keyset, tls=tls))
    return site


def test_owners_may_demand_the_brokers_evidence() -> None:
    async def body() -> None:
        site = attesting_site()
        async with served(site) as hub:
            security = speaking_as(identity(OWNER.name, OWNER.role), site.clock)
            async with await hub.dial(OWNER)() as channel:
                found, _ = await broker_link.attested_keyset(
                    channel, security, appraisal_policy(), site.collateral, site.clock
                )
            assert found.keyset.sealing_public == broker_key().recipient.public
            assert found.verdict.claims.kind == "tpm"

    run(body)


@pytest.mark.parametrize("what", ["none", "changed", "not pinned"])
def test_a_broker_that_shows_nothing_or_something_else_gets_no_key(what: str) -> None:
    async def body() -> None:
        machine = {"none": None, "changed": Machine(values=GOOD | {7: b"\xee" * 32}), "not pinned": Machine(ak=2)}[what]
        site = attesting_site(machine) if machine else Site()
        async with served(site) as hub:
            security = speaking_as(identity(OWNER.name, OWNER.role), site.clock)
            async with await hub.dial(OWNER)() as channel:
                with pytest.raises(EvidenceRejected, match=r"shows no evidence|not accepted"):
                    await broker_link.attested_keyset(
                        channel, security, appraisal_policy(), site.collateral, site.clock
                    )
                # It may still be taken on its certificate's word, by who says so.
                keyset = (await broker_link.unattested_keyset(channel, security, site.clock)).keyset
            assert keyset.sealing_public == broker_key().recipient.public

    run(body)


def test_evidence_of_another_broker_is_not_relayed() -> None:
    """The operator's broker shows the evidence of an attested one: it is bound to that one's channel and keys."""

    async def body() -> None:
        good, evil = attesting_site(), Site()
        async with served(good) as one, served(evil) as other:
            security = speaking_as(identity(OWNER.name, OWNER.role), good.clock)
            async with await other.dial(Asker("broker", "broker"))() as _:
                relayed = await one.dial(Asker("broker", "broker"))()
                loop = asyncio.get_running_loop()
                evil.broker.introduce = lambda nonce, exporter: asyncio.run_coroutine_threadsafe(  # type: ignore[method-assign]
                    broker_link.question(relayed, "introduce", nonce), loop
                ).result()
                async with await other.dial(OWNER)() as channel:
                    with pytest.raises(EvidenceRejected, match="report-data"):
                        await broker_link.attested_keyset(
                            channel, security, appraisal_policy(), good.collateral, good.clock
                        )
                await relayed.close()

    run(body)
