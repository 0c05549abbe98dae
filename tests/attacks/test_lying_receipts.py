"""An aggregator that lies in its receipts: to one silo, which notices, or to several, whose receipts then prove it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from forged_messages import reissued
from identities import STRANGER, TRUSTED, consortium, identity, speaking_as
from quatrefoil.audit.receipts import ABSENT, INCLUDED, REFUSED, VOIDED, Receipt, RoundReceipt, issue_batch
from quatrefoil.audit.verified_receipts import require_agreement, verify_receipt
from quatrefoil.errors import EvidenceRejected
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.messages import RoundResult
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.federation.vectors import model_digest, next_model
from signed_messages import changed
from world import NAMES, World

THREE = NAMES[:3]


@pytest.fixture
def world() -> World:
    return World().begin()


@pytest.fixture
def finished(world: World) -> FinishedRound:
    """A round with three of four: ``dakar`` has sent nothing."""
    world.send(world.open(), THREE)
    return world.finish()


def take(world: World, finished: FinishedRound, name: str, receipts: bytes) -> None:
    world.silos[name].accept(finished.offer, finished.release, finished.result, receipts)


def lie(world: World, finished: FinishedRound, name: str, **changes: Any) -> bytes:
    return reissued(world, name, finished.receipts.of(name), **changes)


LIES: dict[str, tuple[str, dict[str, Any], str]] = {
    "included, to one who sent nothing": (
        "dakar", {"verdict": INCLUDED, "contribution": bytes(32)}, "say included, and the keeper's release does not",
    ),
    "refused, to one who is in the sum": (
        "ambon", {"verdict": REFUSED, "reason": "so"}, "say refused, and the keeper's release does name",
    ),
    "absent, to one who is in the sum": (
        "ambon", {"verdict": ABSENT, "contribution": b""}, "say absent, and the keeper's release does name",
    ),
    "voided, of an attempt that was answered": (
        "ambon", {"verdict": VOIDED, "reason": "so", "result": b""}, "name another release or result",
    ),
    "another contribution": ("ambon", {"contribution": bytes(32)}, "of another contribution than the one"),
    "refused, to one who sent nothing": (
        "dakar", {"verdict": REFUSED, "reason": "so", "contribution": bytes(32)}, "this silo has sent none",
    ),
    "another release": ("ambon", {"ending": bytes(32)}, "name another release or result"),
    "another result": ("ambon", {"result": bytes(32)}, "name another release or result"),
    "another context": ("ambon", {"context": bytes(32)}, "are of another attempt than the one that was answered"),
    "another round": ("ambon", {"round": 2}, "for round 2 attempt 0 in the place of that of ambon for round 1"),
    "another attempt": ("ambon", {"attempt": 1}, "for round 1 attempt 1 in the place of"),
    "another job": ("ambon", {"job": bytes(32)}, "another job, policy or plan"),
    "another policy": ("ambon", {"policy": bytes(32)}, "another job, policy or plan"),
    "another plan": ("ambon", {"plan": bytes(32)}, "another job, policy or plan"),
    "another certificate of the silo": ("ambon", {"certificate": bytes(32)}, "in the place of that of ambon"),
    "another issuer": ("ambon", {"issuer": "other-hub"}, "is signed by aggregator hub"),
    "a time to come": ("ambon", {"time": 4102444800}, "yet to come"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "problem"), LIES.values(), ids=LIES)
def test_a_lie_stops_the_silo_and_is_kept(
    world: World, finished: FinishedRound, name: str, changes: dict[str, Any], problem: str
) -> None:
    receipts = lie(world, finished, name, **changes)
    with pytest.raises(EvidenceRejected, match=problem) as refusal:
        take(world, finished, name, receipts)
    assert refusal.value.party == "hub" and refusal.value.hint
    assert world.silos[name].rounds_done == 0
    evidence = [entry for entry in world.log.entries() if entry.kind == "refusal" and entry.body["asked"] == "receipts"]
    assert [world.log.payload(entry.attached["receipts"].sha256) for entry in evidence] == [receipts]
    take(world, finished, name, finished.receipts.of(name))


def test_nothing_arrived_is_a_lie_only_to_one_whose_contribution_was_acknowledged() -> None:
    """The release does not name it either way; what counts is what the aggregator has answered."""
    for acknowledged in (False, True):
        world = World().begin()
        offer = world.open()
        world.send(offer, THREE)
        sent = world.contribution("dakar", offer)
        if acknowledged:
            world.aggregator.receive("dakar", sent)
            world.silos["dakar"].acknowledged(world.silos["dakar"].check_offer(offer))
            world.aggregator.exclude("dakar", "left out")
        finished = world.finish()
        absent = lie(world, finished, "dakar", verdict=ABSENT, contribution=b"", reason="")
        if acknowledged:
            with pytest.raises(EvidenceRejected, match="say that nothing arrived, and the aggregator has acknowledged"):
                take(world, finished, "dakar", absent)
        else:
            take(world, finished, "dakar", absent)


SWAPS: dict[str, tuple[Callable[[World, FinishedRound], bytes], str]] = {
    "those of another silo": (lambda w, f: f.receipts.of("bari"), "have one of bari for round 1"),
    "none": (lambda w, f: parts.join([]), "are 0 for 1 attempts"),
    "one twice": (lambda w, f: parts.join([parts.split(f.receipts.of("ambon"), 1)[0]] * 2), "are 2 for 1 attempts"),
    "nothing": (lambda w, f: b"", "cannot be read"),
    "no receipt": (lambda w, f: parts.join([b"x"]), "not well-formed|not a"),
    "the payload alone": (
        lambda w, f: parts.join([Receipt.decode(parts.split(f.receipts.of("ambon"), 1)[0]).payload]), "expected urn",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("swap", "problem"), SWAPS.values(), ids=SWAPS)
def test_receipts_that_are_others_or_missing_stop_the_silo(
    world: World, finished: FinishedRound, swap: Callable[[World, FinishedRound], bytes], problem: str
) -> None:
    with pytest.raises(EvidenceRejected, match=problem):
        take(world, finished, "ambon", swap(world, finished))
    assert world.silos["ambon"].rounds_done == 0


def test_the_receipts_of_an_earlier_round_do_not_serve_again() -> None:
    world = World().begin()
    first = world.run_round()
    world.send(world.open())
    second = world.finish()
    with pytest.raises(EvidenceRejected, match="for round 1 attempt 0 in the place of that of ambon for round 2"):
        take(world, second, "ambon", first.receipts.of("ambon"))


@pytest.mark.parametrize(
    ("holder", "problem"),
    [
        (("other-hub", "aggregator"), "with another certificate than the job's"),
        (("hub", "aggregator", STRANGER), "signed by no trusted root"),
        (("keeper", "keeper"), "is signed by keeper keeper"),
        (("ambon", "silo"), "is signed by silo ambon"),
    ],
    ids=["another aggregator", "a stranger", "the keeper", "a silo"],
)
def test_nobody_else_signs_receipts(world: World, finished: FinishedRound, holder: Any, problem: str) -> None:
    payloads = [RoundReceipt.decode(one) for one in finished.receipts.batches[0].payloads]
    signer = identity(*holder)
    renamed = [replace(one, issuer=signer.name) for one in payloads]
    batch = issue_batch(renamed, speaking_as(signer, world.clock), classical=None)
    with pytest.raises(EvidenceRejected, match=problem):
        take(world, finished, "ambon", parts.join([batch.receipt(0)]))


def test_a_batch_that_leaves_silos_out_is_refused(world: World, finished: FinishedRound) -> None:
    payloads = [RoundReceipt.decode(one) for one in finished.receipts.batches[0].payloads][:2]
    batch = issue_batch([replace(one, receipts=2) for one in payloads], world.hub_security, classical=None)
    with pytest.raises(EvidenceRejected, match="not of a batch with one for each silo of the job"):
        take(world, finished, "ambon", parts.join([batch.receipt(0)]))


def test_one_signature_where_the_policy_wants_two_is_refused() -> None:
    world = World(limits={"receipts": "ml-dsa+ed25519"}).begin()
    world.send(world.open())
    finished = world.finish()
    receipt = Receipt.decode(parts.split(finished.receipts.of("ambon"), 1)[0])
    for signatures in (receipt.signatures[:1], receipt.signatures[1:], receipt.signatures[::-1]):
        with pytest.raises(EvidenceRejected, match=r"signatures, and the policy asks for 2|exactly one certificate"):
            take(world, finished, "ambon", parts.join([replace(receipt, signatures=signatures).encode()]))
    world.accept(finished)


# --------------------------------------------------------------------------------------------------------------- voids

VOID_LIES: dict[str, tuple[str, dict[str, Any], str]] = {
    "included in a void": (
        "ambon", {"verdict": INCLUDED, "reason": "", "result": bytes(32)}, "name a result of attempt 0, which was void",
    ),
    "refused, with a result": ("ambon", {"verdict": REFUSED, "result": bytes(32)}, "name a result of attempt 0"),
    "absent, though acknowledged": (
        "ambon", {"verdict": ABSENT, "reason": "", "contribution": b""}, "say that nothing arrived",
    ),
    "of another contribution": ("ambon", {"contribution": bytes(32)}, "of another contribution than the one"),
    "voided, to one who sent nothing": (
        "dakar", {"verdict": VOIDED, "reason": "so", "contribution": bytes(32)}, "this silo has sent none",
    ),
    "of another attempt": ("ambon", {"context": bytes(32)}, "of another attempt 0 than the one that this silo sent to"),
    "of another round": ("ambon", {"round": 2}, "for round 2 attempt 0 in the place of"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "problem"), VOID_LIES.values(), ids=VOID_LIES)
def test_a_lie_about_a_void_stops_the_silo(name: str, changes: dict[str, Any], problem: str) -> None:
    world = World().begin()
    world.send(world.open(), THREE)
    world.void()
    receipts = world.aggregator.void_receipts(name)
    with pytest.raises(EvidenceRejected, match=problem):
        world.silos[name].take_void_receipts(reissued(world, name, receipts, **changes), world.aggregator.voids)
    world.silos[name].take_void_receipts(receipts, world.aggregator.voids)
    world.send(world.open())
    finished = world.finish()
    with pytest.raises(EvidenceRejected, match=problem):
        take(world, finished, name, reissued(world, name, finished.receipts.of(name), at=0, **changes))
    take(world, finished, name, finished.receipts.of(name))


def test_a_receipt_of_a_void_comes_with_the_void_that_it_names() -> None:
    world = World().begin()
    world.send(world.open(), THREE)
    world.void()
    receipts, voids = world.aggregator.void_receipts("ambon"), world.aggregator.voids
    ambon = world.silos["ambon"]
    with pytest.raises(EvidenceRejected, match="name another void of attempt 0 than the keeper's"):
        ambon.take_void_receipts(reissued(world, "ambon", receipts, ending=bytes(32)), voids)
    with pytest.raises(EvidenceRejected, match="are 0 for 1 attempts"):
        ambon.take_void_receipts(parts.join([]), voids)
    with pytest.raises(EvidenceRejected, match="are 1 for 0 attempts"):
        ambon.take_void_receipts(receipts, [])
    ambon.take_void_receipts(receipts, voids)


def test_a_receipt_that_came_before_does_not_change() -> None:
    """Another reason for the same refusal, or another time: the first is kept, and the second stops the silo."""
    world = World().begin()
    world.send(world.open(), THREE)
    world.void()
    receipts, voids = world.aggregator.void_receipts("ambon"), world.aggregator.voids
    world.silos["ambon"].take_void_receipts(receipts, voids)
    world.send(world.open())
    finished = world.finish()
    for change in ({"reason": "another"}, {"time": int(world.clock().timestamp()) - 1}):
        other = reissued(world, "ambon", finished.receipts.of("ambon"), at=0, **change)
        with pytest.raises(EvidenceRejected, match="are others than came before for attempt 0"):
            take(world, finished, "ambon", other)
    take(world, finished, "ambon", finished.receipts.of("ambon"))


# ------------------------------------------------------------------------------------------------------ contradictions


def test_two_silos_with_two_results_hold_the_proof_of_it(world: World) -> None:
    """Each is given a result that its receipt names, so that neither notices; put beside each other they convict."""
    world.send(world.open())
    finished = world.finish()
    signed, mean = parts.split(finished.result, 2)

    other = (np.frombuffer(mean, "<f8") + 0.25).astype("<f8").tobytes()
    moved = model_digest(next_model(world.initial, other, world.layout), world.layout)
    forged = changed(signed, RoundResult, identity("hub", "aggregator"), mean=sha256(other), model=moved)
    told = {
        "ambon": finished.receipts.of("ambon"),
        "bari": reissued(world, "bari", finished.receipts.of("bari"), result=sha256(forged)),
    }
    take(world, finished, "ambon", told["ambon"])
    world.silos["bari"].accept(finished.offer, finished.release, parts.join([forged, other]), told["bari"])
    trust = consortium(TRUSTED).trust
    held = [verify_receipt(parts.split(one, 1)[0], trust, at=world.clock(), classical=None) for one in told.values()]
    with pytest.raises(EvidenceRejected, match="contradicts the one of ambon from the same issuer") as refusal:
        require_agreement(held)
    assert refusal.value.party == "hub"
    roots = {body["root"] for body in world.logged("receipt")}
    assert len(roots) == 2, "both logs name what their silo was given"
