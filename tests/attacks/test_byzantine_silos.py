"""Poisoned and malformed contributions: what they do without proofs, and that each is refused by name with them."""

from __future__ import annotations

import dataclasses

import pytest

from byzantine import HONEST, NORM, POISON, Forger, Oversized, Relabeller, WrongKey, begun
from identities import identity
from quatrefoil.contracts import IntegrityProof
from quatrefoil.errors import CiphertextRefused, PeerError, ProofRejected, UpdateRefused
from quatrefoil.federation import parts
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.agreement import sha256, shape_of
from quatrefoil.federation.messages import Contribution, RoundOffer
from quatrefoil.federation.proving import Proven, Verified
from quatrefoil.federation.receiving import Arrived
from signed_messages import body_of, changed
from world import NAMES, SAMPLES, World

LIAR = "cusco"
OTHERS = tuple(name for name in NAMES if name != LIAR)


def send(world: World, offer: bytes) -> dict[str, PeerError]:
    """Everybody contributes; whom the aggregator refuses, and why."""
    refused = {}
    for name in world.names:
        message = world.contribution(name, offer, POISON if name == LIAR else HONEST)
        try:
            world.aggregator.receive(name, message)
        except PeerError as error:
            refused[name] = error
    return refused


def goes_on_without_the_liar(world: World) -> None:
    finished = world.finish()
    world.accept(finished)
    assert finished.contributors == OTHERS
    assert world.moved() == pytest.approx(HONEST, abs=finished.error_bound + 1e-6)
    assert {body["silo"] for body in world.logged("refusal") if "round" in body} == {LIAR}


# ------------------------------------------------------------------------------------------------- an oversized update


def test_without_proofs_one_scaled_update_is_the_model() -> None:
    world = begun(Oversized, proofs=False)
    assert send(world, world.open()) == {}
    world.finish()
    share = SAMPLES[LIAR] / sum(SAMPLES[name] for name in NAMES)
    assert world.moved() == pytest.approx(share * POISON + (1 - share) * HONEST, rel=1e-2)
    assert "refusal" not in world.kinds()


def test_with_proofs_its_silo_cannot_prove_it() -> None:
    world = begun(Oversized, proofs=True)
    with pytest.raises(UpdateRefused, match="there is nothing to prove"):
        world.contribution(LIAR, world.open(), POISON)


def test_with_proofs_the_proof_of_another_ciphertext_is_refused_by_name_and_the_others_go_on() -> None:
    world = begun(Forger, proofs=True)
    refused = send(world, world.open())
    assert list(refused) == [LIAR] and isinstance(refused[LIAR], ProofRejected)
    assert refused[LIAR].party == LIAR and refused[LIAR].problem.startswith(f"{LIAR}: the proof is rejected")
    (entry,) = world.logged("refusal")
    assert entry["silo"] == LIAR and len(entry["proof"]) == 64
    goes_on_without_the_liar(world)


def test_the_limit_a_poisoned_update_within_the_norm_is_added() -> None:
    """What is left to it: an update of the agreed norm in the wrong direction, weighed by the count that it claims."""
    honest, poisoned = (begun(Oversized, proofs=True) for _ in range(2))
    for world, value in ((honest, HONEST), (poisoned, -0.15)):
        offer = world.open()
        for name in world.names:
            world.aggregator.receive(name, world.contribution(name, offer, value if name == LIAR else HONEST))
        world.finish()
    assert NORM > 10**0.5 * 0.15
    assert honest.moved() > 0 > poisoned.moved()


def test_with_too_few_left_the_round_waits() -> None:
    world = begun(Forger, proofs=True, names=NAMES[:3])
    assert list(send(world, world.open())) == [LIAR]
    with pytest.raises(Exception, match="2 of at least 3 silos contributed"):
        world.aggregator.key_request()


# ------------------------------------------------------------------------------------------ a key that does not belong


def test_without_proofs_a_key_that_does_not_fit_ends_the_round_and_names_nobody() -> None:
    world = begun(WrongKey, proofs=False)
    offer = world.open()
    for name in NAMES:
        world.aggregator.receive(name, world.contribution(name, offer, HONEST))
    with pytest.raises(CiphertextRefused) as caught:
        world.finish()
    assert caught.value.party is None


def test_with_proofs_the_keeper_refuses_it_by_name_before_the_roster_closes() -> None:
    world = begun(WrongKey, proofs=True)
    offer = world.open()
    for name in NAMES:
        world.aggregator.receive(name, world.contribution(name, offer, HONEST))
    with pytest.raises(ProofRejected, match="cusco sealed a key that its proof is not about") as caught:
        world.keeper.check(world.aggregator.key_request())
    assert caught.value.party == LIAR
    assert not world.aggregator.roster_is_closed
    goes_on_without_the_liar(world)


# --------------------------------------------------------------------------------------------------- claims and proofs


@pytest.mark.parametrize("field", ["content", "root", "value"])
def test_a_claim_of_the_key_that_the_proof_does_not_make_is_refused(field: str) -> None:
    world = begun(Relabeller, proofs=True)
    length = 16 if field == "value" else 32
    liar = world.silos[LIAR]
    assert isinstance(liar, Relabeller)
    liar.claim_changes = {field: bytes(length)}
    offer = world.open()
    with pytest.raises(ProofRejected, match="cusco signed another claim of its key than its proof makes"):
        world.aggregator.receive(LIAR, world.contribution(LIAR, offer, HONEST))
    for name in OTHERS:
        world.aggregator.receive(name, world.contribution(name, offer, HONEST))
    goes_on_without_the_liar(world)


@pytest.mark.parametrize("field", ["content", "root", "value"])
def test_the_keeper_refuses_it_too_where_the_aggregator_let_it_pass(field: str) -> None:
    """An aggregator that verifies nothing has no key used that does not fit what its silo signed."""
    world = World(limits={"proofs": True, "update_norm": NORM, "clip": 16.0}, aggregator_kind=Credulous).begin()
    liar = world.silos[LIAR]
    liar.__class__ = Relabeller
    assert isinstance(liar, Relabeller)
    liar.claim_changes = {field: bytes(16 if field == "value" else 32)}
    offer = world.open()
    for name in NAMES:
        world.aggregator.receive(name, world.contribution(name, offer, HONEST))
    with pytest.raises(ProofRejected, match="cusco sealed a key that its proof is not about"):
        world.keeper.check(world.aggregator.key_request())


class Credulous(Aggregator):
    """Takes every contribution without looking at its proof."""

    def examine(self, name: str, message: bytes) -> Arrived | None:
        arrived = super().examine(name, message)
        return arrived and dataclasses.replace(arrived, verify=lambda: Verified(bytes(32)))


def test_the_limit_an_aggregator_that_does_not_verify_adds_what_is_out_of_bounds() -> None:
    """The keeper takes its word. It could publish the same mean without that: it wins nothing."""
    world = World(
        limits={"proofs": True, "update_norm": NORM, "clip": 16.0, "on_excess": "refuse"}, aggregator_kind=Credulous
    ).begin()
    world.silos[LIAR].__class__ = Stapler
    offer = world.open()
    for name in NAMES:
        world.aggregator.receive(name, world.contribution(name, offer, POISON if name == LIAR else HONEST))
    world.finish()
    assert world.moved() < -1


class Stapler(Forger):
    """As a forger, with a claim that fits its key: it runs the prover on nothing that is true, and keeps what it says
    of the key."""

    def _encrypt(self, context, update):  # type: ignore[no-untyped-def]
        subject = self._agreed().subject(context, self._security.name, self._current().direction)
        loose: IntegrityProof = self._proofs._backend
        encrypted, hidden = self._proofs.encrypt(self._aggregation, update, subject)
        sealed = self._security.seal(context.sealing_key, encrypted.key, context=context.digest())
        statement = self._proofs._statement(loose, subject, encrypted.ciphertext, sha256(sealed), None)
        claim = fitting_claim(hidden.key, statement)
        return self.message(context, encrypted.ciphertext, sealed, Proven((claim,), b"no proof"))


def fitting_claim(key, statement):  # type: ignore[no-untyped-def]
    """What a silo can say of its key without a proof: v follows from the key, the content and any root."""
    from quatrefoil import _core
    from quatrefoil.aggregation import ParameterSet
    from quatrefoil.federation.messages import ProofClaim
    from quatrefoil.proofs import ProofShape

    kernel = ProofShape(ParameterSet.named("sum-256-w16"), statement.shape.length).kernel
    proven = _core.ProofStatement(
        kernel, bound=statement.bound, context=statement.shape.context, binding=statement.binding
    )
    content, root = _core.content_digest(statement.ciphertext, 96), bytes(32)
    return ProofClaim(sha256(b"no proof"), content, root, proven.key_binding(key, content, root))


@pytest.fixture(scope="module")
def sent() -> tuple[World, bytes, dict[str, bytes]]:
    world = World(limits={"proofs": True, "update_norm": 3.0, "difference": 1}).begin()
    offer = world.open()
    return world, offer, {name: world.contribution(name, offer) for name in NAMES}


Sent = tuple[World, bytes, dict[str, bytes]]


def resigned(message: bytes, name: str = "ambon", proof: bytes | None = None, **changes: object) -> bytes:
    """A message with changes to what is signed, by the silo itself, and perhaps another proof beside it."""
    signed, sealed, ciphertext, was = parts.split(message, 4)
    again = changed(signed, Contribution, identity(name, "silo"), **changes)
    return parts.join([again, sealed, ciphertext, was if proof is None else proof])


def claims_of(message: bytes) -> Contribution:
    return Contribution.decode(body_of(parts.split(message, 4)[0]))


def test_a_stripped_proof_is_refused(sent: Sent) -> None:
    world, _, messages = sent
    message = messages["ambon"]
    claims = claims_of(message).claims
    for forged, problem in (
        (resigned(message, proof=b"", claims=()), "ambon claims 0 proofs, not one"),
        (resigned(message, claims=()), "ambon claims 0 proofs, not one"),
        (resigned(message, claims=claims * 2), "ambon claims 2 proofs, not one"),
        (resigned(message, proof=b""), "ambon sent no proof"),
        (resigned(message, proof=parts.split(messages["bari"], 4)[3]), "ambon sent another proof than it signed"),
    ):
        with pytest.raises(ProofRejected, match=problem) as caught:
            world.aggregator.receive("ambon", forged)
        assert caught.value.party == "ambon"


def test_the_keeper_refuses_a_contribution_without_its_claim(sent: Sent) -> None:
    from asking_for import keeper_refusal

    world, offer, messages = sent
    for claims, problem in (((), "claims 0 proofs"), (claims_of(messages["ambon"]).claims * 2, "claims 2 proofs")):
        error = keeper_refusal(world, offer, {**messages, "ambon": resigned(messages["ambon"], claims=claims)})
        assert isinstance(error, ProofRejected) and error.party == "ambon" and problem in error.problem


def test_the_proof_and_ciphertext_of_another_silo_are_refused(sent: Sent) -> None:
    """Bari signs all of ambon's as its own: the proof is bound to the certificate of ambon."""
    world, _, messages = sent
    with pytest.raises(ProofRejected, match="bari: the proof is rejected"):
        world.aggregator.receive("bari", resigned(messages["ambon"], "bari"))


def test_the_proof_of_another_round_is_refused() -> None:
    world = World(limits={"proofs": True, "update_norm": 3.0}).begin()
    old = world.contribution("ambon", world.open())
    world.void()
    second = world.open()
    context = RoundOffer.decode(body_of(second)).context
    ciphertext = parts.split(old, 4)[2]
    fits = ciphertext[:56] + context.digest() + ciphertext[88:]
    world.aggregation().accumulator(shape=shape_of(context)).add(fits)  # its header is right now
    signed, sealed, _, proof = parts.split(old, 4)
    again = changed(signed, Contribution, identity("ambon", "silo"), context=context.digest(), ciphertext=sha256(fits))
    with pytest.raises(ProofRejected, match="ambon: the proof is rejected"):
        world.aggregator.receive("ambon", parts.join([again, sealed, fits, proof]))


@pytest.mark.parametrize("change", ["weight", "fingerprint", "sealed key", "smaller norm", "larger norm"])
def test_a_proof_for_another_weight_certificate_key_or_norm_is_refused(sent: Sent, change: str) -> None:
    world, offer, messages = sent
    context = RoundOffer.decode(body_of(offer)).context
    subject = world.aggregator._job.subject(context, "ambon")
    contribution = claims_of(messages["ambon"])
    _, _, ciphertext, proof = parts.split(messages["ambon"], 4)
    proofs = world.aggregator._proofs
    assert proofs.verify(subject, contribution, ciphertext, proof).proof == sha256(proof)
    if change == "weight":
        subject = dataclasses.replace(subject, weight=subject.weight / 2)
    elif change == "fingerprint":
        subject = dataclasses.replace(subject, fingerprint=bytes(32))
    elif change == "sealed key":
        contribution = dataclasses.replace(contribution, sealed_key=bytes(32))
    else:
        subject = dataclasses.replace(subject, norm={"smaller norm": 2.0, "larger norm": 4.0}[change])
    with pytest.raises(ProofRejected, match="ambon: the proof is rejected"):
        proofs.verify(subject, contribution, ciphertext, proof)


def test_an_aggregator_cannot_exchange_claims(sent: Sent) -> None:
    """They are signed by their silo: what it puts in their place is its own word."""
    from asking_for import keeper_refusal

    world, offer, messages = sent
    signed, *rest = parts.split(messages["ambon"], 4)
    claims = claims_of(messages["bari"]).claims
    forged = parts.join([changed(signed, Contribution, identity("hub", "aggregator"), claims=claims), *rest])
    error = keeper_refusal(world, offer, {**messages, "ambon": forged})
    assert "hub is not on the roster" in error.problem
    swapped = parts.join([parts.split(messages["bari"], 4)[0], *rest])
    error = keeper_refusal(world, offer, {"ambon": swapped, "cusco": messages["cusco"], "dakar": messages["dakar"]})
    assert "bari signed another sealed key" in error.problem


def test_in_a_job_without_proofs_a_proof_is_refused(sent: Sent) -> None:
    from asking_for import keeper_refusal

    _, _, proven = sent
    world = World().begin()
    offer = world.open()
    messages = {name: world.contribution(name, offer) for name in NAMES}
    claims = claims_of(proven["ambon"]).claims
    for forged, problem in (
        (resigned(messages["ambon"], claims=claims), "ambon claims a proof, and the job asks for none"),
        (resigned(messages["ambon"], proof=b"proof"), "ambon sent a proof, and the job asks for none"),
    ):
        with pytest.raises(ProofRejected, match=problem):
            world.aggregator.receive("ambon", forged)
    error = keeper_refusal(world, offer, {**messages, "ambon": resigned(messages["ambon"], claims=claims)})
    assert "claims a proof, and the job asks for none" in error.problem
