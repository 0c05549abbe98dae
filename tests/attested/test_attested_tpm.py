"""A real TPM in software, its real collector, and a real post-quantum channel, end to end."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import pytest
from attested_parties import PURPOSE, leaf_digest
from tests.transport.listening import dial, dial_async, listening

from quatrefoil.appraisal import AppraisalPolicy, parse
from quatrefoil.attested import Attester, RelyingParty, answer_async, ask, recipient, sealing_key
from quatrefoil.enclave import tpm
from quatrefoil.enclave.binding import Keyset
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.tpm import structures
from quatrefoil.enclave.tpm.signer import public_key, subject_public_key_info
from quatrefoil.errors import EvidenceRejected
from quatrefoil.transport import HYBRID_768, AsyncChannel, PostQuantumTransport, SealingKey, system_clock
from software_tpm import OTHER_AK, SoftwareTpm, needs_tpm, software_tpm
from support import Consortium
from tpm_quotes import policy_text

pytestmark = needs_tpm

CONTEXT = b"a round"


@pytest.fixture
def machine() -> Iterator[SoftwareTpm]:
    with software_tpm() as made:
        yield made


def known(machine: SoftwareTpm) -> tuple[AppraisalPolicy, Collateral]:
    """What a relying party keeps that has looked at the machine: its registers and its key."""
    seen: Evidence = machine.collector().collect(b"looked at by its owner")
    _, area, _ = structures.parse_companions(seen.signature)
    collateral = Collateral(keys=(subject_public_key_info(public_key(area)),))
    registers = tpm.verify(seen, collateral, system_clock()).claims.measurements
    return parse(policy_text(registers), source="policy.toml"), collateral


def attested(consortium: Consortium, machine: SoftwareTpm, sealing: SealingKey, **changes: Any) -> Attester:
    """The aggregator, on the machine with the TPM, and what it seals with."""
    now = int(system_clock().timestamp())
    leaf = leaf_digest(consortium.identity("hub", "aggregator"))
    keys = Keyset(sealing_key(sealing.public), leaf, b"", now - 60, now + 3600)
    collector = machine.collector(**changes)
    return Attester(keys, collector, purposes=[PURPOSE], clock=system_clock)


def test_a_key_goes_to_the_attested_end_of_a_channel(consortium: Consortium, machine: SoftwareTpm) -> None:
    """Challenge, quote, appraisal; then a secret sealed to the attested key, which that end alone opens. Then another
    key of the TPM signs, somebody relays, and the machine changes: each is refused."""
    policy, collateral = known(machine)
    party = RelyingParty(policy, collateral, purpose=PURPOSE, clock=system_clock)
    key = SealingKey(consortium.trust, clock=system_clock)
    honest = attested(consortium, machine, key)
    opened: queue.Queue[bytes] = queue.Queue()

    async def serve(channel: AsyncChannel) -> None:
        await answer_async(channel, honest)
        sealed = await channel.receive(1 << 16)
        opened.put(bytes(key.open(sealed, context=CONTEXT).plaintext))

    silo = PostQuantumTransport(consortium.identity("cleveland", "silo"), consortium.trust, clock=system_clock)
    with listening(consortium, handler=serve) as server, dial(consortium, server.port, timeout=60.0) as channel:
        found = ask(channel, party)
        assert found.verdict.require().isolation == "none"
        channel.send(silo.seal(recipient(found.keyset, HYBRID_768), b"the secret", context=CONTEXT))
        assert opened.get(timeout=30) == b"the secret"

    machine.make_key(OTHER_AK, "ecc", "ecdsa")
    assert refused(consortium, party, attested(consortium, machine, key, key=OTHER_AK)) == "signer"
    assert refused(consortium, party, honest, between="middle") == "tls-key"
    assert refused(consortium, party, honest, between="hub") == "report-data"
    machine.tool("tpm2_pcrextend", "7:sha256=" + "ab" * 32)
    assert refused(consortium, party, honest) == "accepted-pcr7"


def refused(consortium: Consortium, party: RelyingParty, other: Attester, between: str = "") -> str:
    """The check that fails when ``other`` attests, ``between`` standing in the middle of two channels."""

    async def serve(channel: AsyncChannel) -> None:
        await answer_async(channel, other)

    async def relay(channel: AsyncChannel) -> None:
        async with await dial_async(consortium, port, timeout=60.0) as onward:
            await onward.send(await channel.receive(1 << 10))
            await channel.send(await onward.receive(1 << 20))

    with listening(consortium, handler=serve) as server:
        port = server.port
        identity = consortium.identity(between or "hub", "aggregator")
        with (
            listening(consortium, handler=relay, identity=identity, timeout=60.0) as middle,
            dial(consortium, middle.port if between else port, timeout=60.0) as channel,
            pytest.raises(EvidenceRejected) as rejection,
        ):
            ask(channel, party)
    return rejection.value.check
