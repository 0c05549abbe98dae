"""Whoever runs the keeper's machine, or poses as a keeper, against silos that appraise what they are shown.

The silos are the attacked: each refuses for itself, and sends nothing, whatever aggregator and keeper agree on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

import attested_keepers as made
import tpm_quotes
from attested_keepers import AttestedWorld
from attesting import MEASUREMENT
from identities import identity
from quatrefoil.errors import EvidenceRejected, MessageRefused, PeerError, PolicyInvalid
from quatrefoil.federation import parts
from quatrefoil.federation.messages import RoundOffer
from quatrefoil.insecure import SoftwareIsolation
from quatrefoil.isolation import CollectingAttester
from signed_messages import body_of, changed
from world import NAMES, World

SNP = {"kind": "sev-snp", "named": ("curious-host",)}


@pytest.fixture(autouse=True, scope="module")
def roots() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        made.trusted(patch)
        yield


def refused(world: World, offer: bytes | None = None) -> PeerError:
    """Why the first silo sends nothing; nothing of its update is recorded then."""
    given = world.open() if offer is None else offer
    with pytest.raises(PeerError) as caught:
        world.contribution("ambon", given)
    assert not [entry for entry in world.log.entries() if entry.kind == "contribution"]
    assert not list(world.states["ambon"].names("outbox/"))
    return caught.value


def rejected_by(world: World, offer: bytes | None = None) -> str:
    """The check of the appraisal by which the first silo refuses."""
    error = refused(world, offer)
    assert isinstance(error, EvidenceRejected)
    return error.check


@pytest.mark.parametrize("isolated", [True, False])
def test_a_job_behind_an_isolated_keeper_ends_as_any_other(isolated: bool) -> None:
    world = AttestedWorld(kind="sev-snp", named=("curious-host",) if isolated else ()).begin()
    assert world.run_round().contributors == NAMES
    plain = World(backend="plain").begin()
    plain.run_round()
    for got, expected in zip(world.aggregator.model, plain.aggregator.model, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("kind", "isolation"), [("tpm", "none"), ("sev-snp", "vm")])
def test_logs_say_kind_and_isolation_apart_as_said_and_as_appraised(kind: str, isolation: str) -> None:
    world = AttestedWorld(kind=kind).begin()
    world.run_round()
    measured = [entry.body for entry in world.log.entries() if entry.kind == "measurement"]
    assert len(measured) == 1 + len(NAMES), "by the keeper, and by each silo before it sent anything"
    assert {(body["enclave"], body["isolation"]) for body in measured} == {(kind, isolation)}
    assert [body.get("appraisal") for body in measured] == [None, *[made.policy().digest().hex()] * len(NAMES)]
    opened, released = world.logged("round-opened")[0], world.logged("key-release")[0]
    assert (opened["enclave"], opened["isolation"]) == (released["enclave"], released["isolation"]) == (kind, isolation)


# ------------------------------------------------------------------------------------------------ the machine is other


OTHER_MACHINES: dict[str, tuple[str, Callable[[], object], str]] = {
    "tpm: another register": ("tpm", lambda: made.quoting(values={0: b"\1" * 32, 7: b"\x09" * 32}), "accepted-pcr7"),
    "tpm: a register left out": ("tpm", lambda: made.quoting(values={0: b"\1" * 32}), "accepted-pcr7"),
    "tpm: another key": ("tpm", lambda: made.quoting(key=tpm_quotes.key(number=1)), "signer"),
    "tpm: a key that signs anything": ("tpm", lambda: made.quoting(attributes=1 << 18), "key-attributes"),
    "tpm: older firmware": ("tpm", lambda: made.quoting(firmware=1), "minimum-tcb"),
    "snp: other software": ("sev-snp", lambda: made.reporting(measurement=bytes(48)), "accepted-measurement"),
    "snp: debug": (
        "sev-snp",
        lambda: made.reporting(policy=made.attesting.POLICY | made.attesting.DEBUG),
        "refused-debug",
    ),
    "snp: another level": ("sev-snp", lambda: made.reporting(vmpl=2), "vmpl"),
    "snp: another chip": ("sev-snp", lambda: made.reporting(chip_id=bytes(range(2, 66))), "chip-id"),
}


@pytest.mark.parametrize("name", OTHER_MACHINES)
def test_a_keeper_on_another_machine_than_agreed_gets_nothing(name: str) -> None:
    kind, collector, check = OTHER_MACHINES[name]
    world = AttestedWorld(kind=kind, collector=collector()).begin()  # type: ignore[arg-type]
    assert rejected_by(world) == check


def test_a_machine_that_changes_in_the_middle_of_a_job_gets_nothing_more() -> None:
    world = AttestedWorld(kind="tpm").begin()
    world.run_round()
    world.keeper._attester = CollectingAttester(made.quoting(values={0: b"\1" * 32, 7: b"\x09" * 32}))
    with pytest.raises(EvidenceRejected, match="accepted-pcr7"):
        world.send(world.open())
    assert len(world.logged("key-release")) == 1


# --------------------------------------------------------------------------------------- evidence that is of another


def offered(world: AttestedWorld, **changes: object) -> bytes:
    """The keeper's offer with some fields changed, signed anew: its host has the key that the keeper signs with."""
    return changed(world.open(), RoundOffer, identity("keeper", "keeper"), **changes)


def test_the_host_cannot_put_a_key_of_its_own_beside_the_evidence() -> None:
    """What isolation is for: the offer is signed by the keeper's identity, which lies on the host's disk."""
    world = AttestedWorld(**SNP).begin()
    offer = RoundOffer.decode(body_of(world.open()))
    own = world.security("keeper", "keeper").new_recipient()
    context = replace(offer.context, sealing_key=own.public)
    forged = world.security("keeper", "keeper").sign(RoundOffer(context, offer.evidence).encode())
    assert rejected_by(world, forged) == "report-data"


def test_evidence_of_an_earlier_round_or_attempt_is_refused() -> None:
    world = AttestedWorld(**SNP).begin()
    first = RoundOffer.decode(body_of(world.open())).evidence
    world.void("tried again")
    assert rejected_by(world, offered(world, evidence=first)) == "report-data"


def test_evidence_of_another_keeper_is_refused() -> None:
    """Relayed: an honest keeper's evidence, accepted by everybody in a job of its own, shown by another."""
    honest, other = AttestedWorld(**SNP).begin(), AttestedWorld(**SNP).begin()
    evidence = RoundOffer.decode(body_of(honest.open())).evidence
    honest.send(honest.offer)
    assert rejected_by(other, offered(other, evidence=evidence)) == "report-data"


# ---------------------------------------------------------------------------------------------------- another kind


def test_software_where_a_tpm_is_agreed_on_is_refused() -> None:
    world = AttestedWorld(kind="tpm")
    world.keeper._attester = SoftwareIsolation(accept_insecure="software-keeper")
    assert "software-evidence" in refused(world.begin()).problem


def test_a_tpm_where_software_is_agreed_on_is_refused() -> None:
    """Nobody gets more than was agreed on either: what the silos signed is what is there."""
    world = World(backend="plain")
    world.keeper._attester = CollectingAttester(made.quoting())
    error = refused(world.begin())
    assert isinstance(error, MessageRefused) and "urn:quatrefoil:evidence" in error.problem


@pytest.mark.parametrize(
    ("agreed", "shown"), [("sev-snp", "tpm"), ("tpm", "sev-snp"), ("tdx", "tpm"), ("tpm", "nitro")]
)
def test_another_kind_than_agreed_is_refused_although_the_appraisal_policy_knows_it(agreed: str, shown: str) -> None:
    world = AttestedWorld(kind=agreed, collector=made.COLLECTORS[shown]())
    assert rejected_by(world.begin()) == "kind"


def test_whoever_names_the_host_takes_part_in_no_job_behind_a_tpm() -> None:
    """Also when aggregator and keeper never asked a planner."""
    for named in ("curious-host", "malicious-server"):
        with pytest.raises(PolicyInvalid, match="tpm shows no isolation, and the policy names a threat"):
            AttestedWorld(kind="tpm", named=(named,))


# -------------------------------------------------------------------------------------------------------- the limits


def test_the_limit_a_tpm_vouches_for_whatever_its_host_asks() -> None:
    """With a TPM alone, whoever runs the machine has a key of its own attested, and reads what the silos seal to it."""
    world = AttestedWorld(kind="tpm").begin()
    offer = RoundOffer.decode(body_of(world.open()))
    own = world.security("keeper", "keeper").new_recipient()
    context = replace(offer.context, sealing_key=own.public)
    evidence = made.quoting().collect(context.digest()).encode()
    forged = world.security("keeper", "keeper").sign(RoundOffer(context, evidence).encode())
    sealed = parts.split(world.contribution("ambon", forged), 4)[1]
    assert len(own.open(sealed, context=context.digest()).plaintext) > 0, "the host holds the key of ambon's update"


def test_the_limit_the_appraisal_policy_says_what_is_good() -> None:
    """A policy that accepts another measurement accepts another program, and every silo has signed it."""
    text = MEASUREMENT.hex()
    loose = made.policy(text, bytes(range(1, 49)).hex())
    world = AttestedWorld(kind="sev-snp", appraisal=loose, collector=made.reporting(measurement=bytes(range(1, 49))))
    world.begin().send(world.open())
    assert world.policy.digest() != AttestedWorld(kind="sev-snp").policy.digest()
