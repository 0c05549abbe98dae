"""A challenge and its answer over one channel, blocking or under asyncio.

Both ends export key material from their own TLS connection (RFC 8446 section 7.5), and the evidence commits to it. An
answer that is relayed from another connection commits to other material: whoever stands between two connections cannot
make them export the same.
"""

from __future__ import annotations

import asyncio

from quatrefoil.attested.attester import Attester
from quatrefoil.attested.keys import tls_key
from quatrefoil.attested.messages import LARGEST_ATTESTATION, LARGEST_CHALLENGE, Challenge
from quatrefoil.attested.relying_party import Attested, RelyingParty
from quatrefoil.enclave.binding import EXPORTER_BYTES
from quatrefoil.errors import EvidenceRejected
from quatrefoil.transport import AsyncChannel, Channel

LABEL = b"EXPORTER-quatrefoil-attestation"


def exported(channel: Channel | AsyncChannel, nonce: bytes, *, of_peer: bool) -> bytes:
    """The 32 bytes that evidence on ``channel`` commits to, the same at both ends.

    ``of_peer``: whether it is the peer that attests, or this end. The context says which end of TLS that is, so that
    nobody can send one's own evidence back.
    """
    by_server = channel.server_side != of_peer
    return channel.exporter(LABEL, (b"server" if by_server else b"client") + nonce, EXPORTER_BYTES)


def ask(channel: Channel, party: RelyingParty, *, wait: float | None = None) -> Attested:
    """Challenge the peer, and what may be relied on; ``EvidenceRejected``, and whatever a channel raises.

    ``wait``: seconds that collecting evidence may take (default: the channel's timeout). A refused peer is told
    nothing: close the channel.
    """
    challenge = party.challenge()
    channel.send(challenge)
    return _judged(channel, party, challenge, channel.receive(LARGEST_ATTESTATION, wait=wait))


async def ask_async(channel: AsyncChannel, party: RelyingParty, *, wait: float | None = None) -> Attested:
    """As :func:`ask`, for asyncio."""
    challenge = party.challenge()
    await channel.send(challenge)
    return _judged(channel, party, challenge, await channel.receive(LARGEST_ATTESTATION, wait=wait))


def answer(channel: Channel, attester: Attester, *, wait: float | None = None) -> None:
    """Receive one challenge and answer it. ``wait``: seconds until it comes (default: the channel's timeout)."""
    challenge = channel.receive(LARGEST_CHALLENGE, wait=wait)
    channel.send(attester.answer(challenge, _own(channel, challenge)))


async def answer_async(channel: AsyncChannel, attester: Attester, *, wait: float | None = None) -> None:
    """As :func:`answer`, for asyncio: evidence is collected in a thread, because hardware may take seconds."""
    challenge = await channel.receive(LARGEST_CHALLENGE, wait=wait)
    await channel.send(await asyncio.to_thread(attester.answer, challenge, _own(channel, challenge)))


def _judged(channel: Channel | AsyncChannel, party: RelyingParty, challenge: bytes, said: bytes) -> Attested:
    material = exported(channel, Challenge.decode(challenge).nonce, of_peer=True)
    try:
        return party.accept(said, material, peer_key=tls_key(channel.peer))
    except EvidenceRejected as refusal:
        refusal.party = channel.peer.name
        raise


def _own(channel: Channel | AsyncChannel, challenge: bytes) -> bytes:
    return exported(channel, Challenge.decode(challenge).nonce, of_peer=False)


__all__ = ["LABEL", "answer", "answer_async", "ask", "ask_async", "exported"]
