"""What clients of a broker ask over a channel: owners, its operator, and code that wants a key."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

from quatrefoil import attested
from quatrefoil.appraisal import AppraisalPolicy
from quatrefoil.attested import Attestation, Attested, Challenge, RelyingParty
from quatrefoil.broker.messages import (
    INTRODUCE,
    Introduction,
    LeaseList,
    Registered,
    ResourceList,
    Revocation,
    purpose,
)
from quatrefoil.contracts import TransportSecurity
from quatrefoil.enclave.binding import NONCE_BYTES
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.errors import EvidenceRejected, MessageRefused, PeerUnreachable
from quatrefoil.federation import parts
from quatrefoil.services.rpc import ask_async
from quatrefoil.transport import AsyncChannel, Clock
from quatrefoil.transport.sealed.keys import SealingPublicKey
from quatrefoil.wire import LARGEST_MESSAGE

Dial = Callable[[], Awaitable[AsyncChannel]]


async def question(channel: AsyncChannel, method: str, body: bytes = b"") -> bytes:
    """The broker's answer, or what it raised."""
    answer = await ask_async(channel, method, body, limit=LARGEST_MESSAGE)
    if answer is None:
        raise PeerUnreachable("the broker has no answer yet", hint="Ask again")
    return answer


async def attested_keyset(
    channel: AsyncChannel, security: TransportSecurity, policy: AppraisalPolicy, collateral: Collateral, clock: Clock
) -> tuple[Attested, Introduction]:
    """The keys of a broker whose evidence, made for this channel, ``policy`` accepts. ``EvidenceRejected`` otherwise,
    and where it shows none."""
    party = RelyingParty(policy, collateral, purpose=purpose(INTRODUCE), clock=clock)
    nonce = Challenge.decode(party.challenge()).nonce
    said = await _introduced(channel, security, nonce)
    if not said.evidence:
        raise EvidenceRejected(
            f"broker {channel.peer.name} shows no evidence of what it runs on",
            hint="Have it started with a collector, or say that its certificate is enough for you",
            check="evidence",
        )
    answer = Attestation(said.nonce, said.keyset, said.evidence).encode()
    exporter = attested.exported(channel, nonce, of_peer=True)
    return party.accept(answer, exporter, peer_key=attested.tls_key(channel.peer)), said


async def unattested_keyset(channel: AsyncChannel, security: TransportSecurity, clock: Clock) -> Introduction:
    """The keys of a broker on the word of its certificate alone: its operator, and whoever reads its host, may read
    everything that is sealed to them."""
    said = await _introduced(channel, security, os.urandom(NONCE_BYTES))
    said.keyset.require_current(clock())
    return said


async def _introduced(channel: AsyncChannel, security: TransportSecurity, nonce: bytes) -> Introduction:
    signed = await question(channel, "introduce", nonce)
    said = Introduction.decode(_from_broker(channel, security, signed))
    if said.nonce != nonce:
        raise _not_to_us(channel, "introduces itself to another")
    sealing = SealingPublicKey.decode(_from_broker(channel, security, said.certificate))
    if (sealing.suite, sealing.public) != (said.keyset.sealing_suite, said.keyset.sealing_public):
        raise _not_to_us(channel, "certifies another sealing key than that of its keyset")
    return said


async def register(
    channel: AsyncChannel, security: TransportSecurity, signed: bytes, sealed_key: bytes
) -> tuple[Registered, bytes]:
    """What the broker says of a resource that it now has the key of, and its signed word for it."""
    answer = await question(channel, "register", parts.join([signed, sealed_key]))
    return Registered.decode(_from_broker(channel, security, answer)), answer


async def revoke(channel: AsyncChannel, security: TransportSecurity, revocation: Revocation) -> None:
    """Revoke, as whoever ``security`` signs for. It is durable and logged at the broker when this returns."""
    await question(channel, "revoke", security.sign(revocation.encode()))


async def leases(channel: AsyncChannel) -> LeaseList:
    return LeaseList.decode(await question(channel, "leases"))


async def resources(channel: AsyncChannel) -> ResourceList:
    return ResourceList.decode(await question(channel, "resources"))


def _from_broker(channel: AsyncChannel, security: TransportSecurity, signed: bytes) -> bytes:
    """What the broker at the other end signed."""
    said = security.verify(signed)
    if (said.signer, said.role) != (channel.peer.name, "broker"):
        raise _not_to_us(channel, f"answers with what {said.role} {said.signer} signed")
    return said.body


def _not_to_us(channel: AsyncChannel, problem: str) -> MessageRefused:
    name = channel.peer.name
    return MessageRefused(f"broker {name} {problem}", hint="Ask its operator", party=name)


class BrokerLink:
    """Questions of code that wants a key, each on a channel of its own: between two renewals there is none to keep."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial

    async def asked(self, make: Callable[[AsyncChannel, bytes], Awaitable[tuple[str, bytes]]]) -> bytes:
        """Ask for a nonce, then what ``make`` says for it, on one channel: the evidence is bound to that."""
        async with await self._dial() as channel:
            nonce = await question(channel, "nonce")
            method, request = await make(channel, nonce)
            return await question(channel, method, request)


__all__ = [
    "BrokerLink",
    "attested_keyset",
    "leases",
    "question",
    "register",
    "resources",
    "revoke",
    "unattested_keyset",
]
