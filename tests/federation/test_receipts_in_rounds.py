"""Every silo holds a signed receipt of what became of its contribution, in every attempt that ended."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from identities import TRUSTED, consortium, identity
from quatrefoil.audit.receipts import ABSENT, INCLUDED, REFUSED, VOIDED, Receipt, ReceiptBatch, RoundReceipt
from quatrefoil.audit.verified_receipts import VerifiedReceipt, require_agreement, verify_receipt
from quatrefoil.errors import CallerError, CiphertextRefused, EvidenceRejected, MessageRefused, PolicyError
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.publishing import FinishedRound
from signed_messages import body_of, damaged
from world import NAMES, RECEIPT_KEY, World

THREE = NAMES[:3]


def verified(world: World, receipts: bytes) -> list[VerifiedReceipt]:
    """What a stranger with the root certificate reads in a silo's receipts."""
    key = world.receipt_key.public_key() if world.receipt_key else None
    trust = consortium(TRUSTED).trust
    return [verify_receipt(one, trust, at=world.clock(), classical=key) for one in parts.split_list(receipts, 16)]


def said(world: World, finished: FinishedRound, name: str) -> list[RoundReceipt]:
    return [one.payload for one in verified(world, finished.receipts.of(name))]


def kept(world: World, name: str) -> dict[str, RoundReceipt]:
    """What lies in a silo's state."""
    state = world.states[name]
    stored = {found: state.get(found) for found in state.names("receipts/")}
    return {found: RoundReceipt.decode(Receipt.decode(one).payload) for found, one in stored.items() if one}


def accept(world: World, finished: FinishedRound, name: str, receipts: bytes | None = None) -> None:
    given = finished.receipts.of(name) if receipts is None else receipts
    world.silos[name].accept(finished.offer, finished.release, finished.result, given)


# --------------------------------------------------------------------------------------------------------- what is said


@pytest.mark.parametrize("how", ["ml-dsa", "ml-dsa+ed25519"])
def test_each_silo_holds_what_became_of_its_contribution(how: str) -> None:
    world = World(limits={"receipts": how}).begin()
    offer = world.open()
    sent = {name: world.contribution(name, offer) for name in NAMES}
    for name in THREE:
        world.aggregator.receive(name, sent[name])
    finished = world.finish(THREE)
    job = world.aggregator.job
    for index, name in enumerate(NAMES):
        (found,) = verified(world, finished.receipts.of(name))
        receipt = found.payload
        assert found.algorithms == ("ML-DSA-65", "Ed25519")[: 2 if "+" in how else 1]
        assert (found.index, found.size, receipt.receipts) == (index, 4, 4)
        assert (receipt.silo, receipt.certificate) == (name, identity(name, "silo").fingerprint)
        assert (receipt.issuer, receipt.round, receipt.attempt) == ("hub", 1, 0)
        assert (receipt.job, receipt.policy, receipt.plan) == (job.digest(), world.policy.digest(), job.plan)
        assert receipt.ending == sha256(finished.release)
        assert receipt.result == sha256(parts.split(finished.result, 2)[0])
        if name in THREE:
            assert (receipt.verdict, receipt.contribution) == (INCLUDED, sha256(parts.split(sent[name], 4)[0]))
        else:
            assert (receipt.verdict, receipt.contribution, receipt.reason) == (ABSENT, b"", "")
    require_agreement([one for name in NAMES for one in verified(world, finished.receipts.of(name))])
    world.accept(finished)
    assert {name: [one.verdict for one in kept(world, name).values()] for name in NAMES} == {
        name: [INCLUDED if name in THREE else ABSENT] for name in NAMES
    }


def test_a_refused_silo_is_told_why_and_takes_the_result() -> None:
    world = World().begin()
    offer = world.open()
    world.send(offer, THREE)
    broken = damaged(world.contribution("dakar", offer), -1)
    with pytest.raises(MessageRefused):
        world.aggregator.receive("dakar", broken)
    finished = world.finish()
    (receipt,) = said(world, finished, "dakar")
    assert (receipt.verdict, receipt.reason) == (REFUSED, "what dakar sent is not what it signed")
    assert receipt.contribution == sha256(parts.split(broken, 4)[0])
    world.accept(finished)
    logged = [body for body in world.logged("receipt") if body["verdict"] == REFUSED]
    assert [body["reason"] for body in logged] == [receipt.reason]


def test_a_silo_whose_key_the_keeper_refuses_is_told_why() -> None:
    world = World(limits={"minimum_silos": 3}).begin()
    offer = world.open()
    world.send(offer)
    world.aggregator.exclude("bari", "bari sealed a key that cannot be used")
    finished = world.finish()
    (receipt,) = said(world, finished, "bari")
    assert (receipt.verdict, receipt.reason) == (REFUSED, "bari sealed a key that cannot be used")
    world.accept(finished)


def test_one_that_comes_late_is_told_so() -> None:
    world = World().begin()
    offer = world.open()
    world.send(offer, THREE)
    proposal = world.propose()
    with pytest.raises(MessageRefused, match="comes after the roster was closed"):
        world.aggregator.receive("dakar", world.contribution("dakar", offer))
    world.confirm(proposal)
    finished = world.aggregator.finish(world.keeper.answer(world.aggregator.key_request()))
    (receipt,) = said(world, finished, "dakar")
    assert (receipt.verdict, receipt.reason) == (REFUSED, "dakar comes after the roster was closed")
    world.accept(finished)


def test_a_second_contribution_does_not_change_what_is_said_of_the_first() -> None:
    world = World().begin()
    offer = world.open()
    sent = world.contribution("ambon", offer)
    world.send(offer)
    copy = world.make_silo("ambon", state=World().begin().states["ambon"])
    assert copy.started
    other = parts.join([damaged(parts.split(sent, 4)[0]), *parts.split(sent, 4)[1:]])
    with pytest.raises(MessageRefused):
        world.aggregator.receive("ambon", other)
    finished = world.finish()
    (receipt,) = said(world, finished, "ambon")
    assert (receipt.verdict, receipt.contribution) == (INCLUDED, sha256(parts.split(sent, 4)[0]))


def test_what_answers_an_earlier_attempt_is_nothing_of_this_one() -> None:
    world = World().begin()
    late = world.contribution("dakar", world.open())
    world.void()
    world.send(world.open(), THREE)
    with pytest.raises(MessageRefused, match="contributes to another round or attempt"):
        world.aggregator.receive("dakar", late)
    finished = world.finish()
    assert [one.verdict for one in said(world, finished, "dakar")] == [ABSENT, ABSENT]
    world.accept(finished)


# ---------------------------------------------------------------------------------------------------------------- voids


def voided() -> tuple[World, bytes]:
    """A world in which one attempt was voided: three had contributed, one of them was refused, and one was away."""
    world = World().begin()
    offer = world.open()
    world.send(offer, NAMES[:2])
    with pytest.raises(MessageRefused):
        world.aggregator.receive("cusco", damaged(world.contribution("cusco", offer)))
    return world, world.void("not enough")


def test_a_void_has_its_receipts_too() -> None:
    world, void = voided()
    verdicts = {}
    for name in NAMES:
        (found,) = verified(world, world.aggregator.void_receipts(name))
        assert (found.payload.attempt, found.payload.ending, found.payload.result) == (0, sha256(void), b"")
        verdicts[name] = (found.payload.verdict, found.payload.reason)
        world.silos[name].take_void_receipts(world.aggregator.void_receipts(name), world.aggregator.voids)
    why = "asked for by hub: not enough"
    assert verdicts == {
        "ambon": (VOIDED, why),
        "bari": (VOIDED, why),
        "cusco": (REFUSED, "what cusco sent is not what it signed"),
        "dakar": (ABSENT, ""),
    }
    assert len(world.logged("receipt")) == 4


def test_a_round_has_a_receipt_for_each_of_its_attempts() -> None:
    world, _ = voided()
    for silo in world.silos.values():
        silo.take_void_receipts(world.aggregator.void_receipts(silo._security.name), world.aggregator.voids)
    world.send(world.open())
    finished = world.finish()
    assert [one.verdict for one in said(world, finished, "ambon")] == [VOIDED, INCLUDED]
    world.accept(finished)
    assert list(kept(world, "ambon")) == ["receipts/00000001/0000", "receipts/00000001/0001"]
    assert len(world.logged("receipt")) == 8, "one that is known already is logged once"
    assert [body["attempt"] for body in world.logged("receipts")] == [0, 1]


def test_the_log_has_the_receipts_themselves() -> None:
    world = World().begin()
    finished = world.run_round()
    (issued,) = [entry for entry in world.log.entries() if entry.kind == "receipts"]
    batch = ReceiptBatch.decode(world.log.payload(issued.attached["batch"].sha256))
    assert (issued.body["root"], issued.body["size"]) == (batch.root.hex(), len(NAMES))
    held = [entry for entry in world.log.entries() if entry.kind == "receipt"]
    assert [world.log.payload(entry.attached["receipt"].sha256) for entry in held] == [
        parts.split(finished.receipts.of(name), 1)[0] for name in NAMES
    ]
    assert {entry.body["root"] for entry in held} == {batch.root.hex()}


# ------------------------------------------------------------------------------------------------------------- restarts


def test_receipts_are_the_same_bytes_after_a_restart() -> None:
    world, _ = voided()
    before = [world.aggregator.void_receipts(name) for name in NAMES]
    job = world.enrolments.agreed()
    assert job is not None
    world.aggregator = world.make_aggregator(job)
    assert [world.aggregator.void_receipts(name) for name in NAMES] == before
    world.send(world.open())
    finished = world.finish()
    again = world.make_aggregator(job).finished(1)
    assert again is not None
    assert [again.receipts.of(name) for name in NAMES] == [finished.receipts.of(name) for name in NAMES]
    assert parts.split(again.result, 2) == parts.split(finished.result, 2)
    assert world.states["hub"].names("delivered/") == world.states["hub"].names("announced/") == []


def test_what_was_announced_before_a_crash_is_what_is_published_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World().begin()
    world.send(world.open())
    answer = world.answer()
    monkeypatch.setattr(world.aggregator._log, "append_all", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        world.aggregator.finish(answer)
    monkeypatch.undo()
    (name,) = world.states["hub"].names("announced/")
    announced = world.states["hub"].get(name)
    assert announced is not None
    world.clock.pass_time(hours=1)
    finished = world.aggregator.finish(answer)
    signed, batch = parts.split(announced, 2)
    assert parts.split(finished.result, 2)[0] == signed
    assert finished.receipts.batches[-1].encode() == batch


def test_an_aggregator_that_was_started_again_still_owes_a_receipt() -> None:
    """A contribution that it had acknowledged is gone with its memory: the receipt says so, and does not deny it."""
    world = World().begin()
    offer = world.open()
    world.send(offer)
    job = world.enrolments.agreed()
    assert job is not None
    world.aggregator = world.make_aggregator(job)
    world.aggregator.opened(offer)
    world.send(offer, THREE)
    finished = world.finish()
    (receipt,) = said(world, finished, "dakar")
    assert receipt.verdict == REFUSED
    assert receipt.reason == "the aggregator was started again, and the contribution did not come again"
    world.accept(finished)


def test_a_silo_that_was_away_takes_its_receipts_later() -> None:
    world = World().begin()
    late = world.silos.pop("dakar")
    finished = [world.run_round(THREE) for _ in range(2)]
    for one in finished:
        late.accept(one.offer, one.release, one.result, one.receipts.of("dakar"))
    assert [one.verdict for one in kept(world, "dakar").values()] == [ABSENT, ABSENT]


# ------------------------------------------------------------------------------------------------------ keys and policy


def test_the_job_names_the_key_that_the_policy_asks_for() -> None:
    both = World(limits={"receipts": "ml-dsa+ed25519"}).begin()
    assert both.aggregator.job.receipt_key == RECEIPT_KEY.public_key().public_bytes_raw()
    assert World().begin().aggregator.job.receipt_key == b""


@pytest.mark.parametrize(
    ("receipts", "key"), [("ml-dsa", bytes(32)), ("ml-dsa+ed25519", b""), ("ml-dsa+ed25519", bytes(31))]
)
def test_a_job_with_another_kind_of_key_than_the_policys_is_refused(receipts: str, key: bytes) -> None:
    world = World(limits={"receipts": receipts})
    world.enrolments = world.make_enrolments(world.terms(receipt_key=key))
    world.enrol()
    with pytest.raises(PolicyError, match=f"has a receipt key of {len(key)} bytes, and the policy asks for"):
        world.enrolments.job()


def test_an_aggregator_without_the_key_of_its_job_does_not_start() -> None:
    world = World(limits={"receipts": "ml-dsa+ed25519"}).begin()
    job = world.enrolments.agreed()
    assert job is not None
    for other in (None, Ed25519PrivateKey.generate()):
        world.receipt_key = other
        with pytest.raises(CallerError, match="names another Ed25519 key for receipts"):
            world.make_aggregator(job)


def test_what_is_refused_before_it_is_added_is_remembered_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World().begin()
    offer = world.open()
    world.send(offer, THREE)

    def add(*_: Any, **__: Any) -> None:
        raise CiphertextRefused("a ciphertext of another round", hint="-")

    with monkeypatch.context() as patched:
        patched.setattr("quatrefoil.federation.gathering.Gathering.add", add)
        with pytest.raises(CiphertextRefused):
            world.aggregator.receive("dakar", world.contribution("dakar", offer))
    finished = world.finish()
    (receipt,) = said(world, finished, "dakar")
    assert (receipt.verdict, receipt.reason) == (REFUSED, "a ciphertext of another round")
    accept(world, finished, "dakar")


def test_a_result_without_receipts_is_not_taken() -> None:
    world = World().begin()
    world.send(world.open())
    finished = world.finish()
    for receipts in (b"", parts.join([]), parts.join([b""]), finished.receipts.of("ambon")[:-1]):
        with pytest.raises(EvidenceRejected):
            accept(world, finished, "ambon", receipts)
    assert world.silos["ambon"].rounds_done == 0 and kept(world, "ambon") == {}
    assert RoundReceipt.decode(Receipt.decode(parts.split(finished.receipts.of("ambon"), 1)[0]).payload)
    assert body_of(finished.release)
    world.accept(finished)
