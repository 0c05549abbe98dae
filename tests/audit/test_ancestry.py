"""A chain of models checked by an outsider with a root certificate: each thing that can be wrong has a name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest

from identities import START, STRANGER, TRUSTED, Clock, consortium, identity, notary
from quatrefoil.audit import provenance
from quatrefoil.audit.ancestry import Ancestry, Model, examine, majority
from quatrefoil.audit.dsse import Envelope, Signature, Verifier
from quatrefoil.audit.model_file import measure_arrays
from quatrefoil.audit.provenance import NO_PARENT, Statement
from quatrefoil.errors import EvidenceRejected
from quatrefoil.federation.vectors import layout_of, model_digest
from signed_messages import damaged
from world import NAMES, World

NAMED = ["statement", "model", "time", "signatures", "aggregator", "silos"]


@cache
def generations() -> tuple[tuple[World, Envelope], ...]:
    """Three jobs, each from the model of the one before; all sign."""
    found: list[tuple[World, Envelope]] = []
    for _ in range(3):
        changes: dict[str, Any] = {}
        if found:
            changes = {"initial": found[-1][0].aggregator.model, "parent": found[-1][1].encode()}
        world = World(backend="plain", rounds=1, clock=Clock(START + timedelta(days=len(found))), **changes).run()
        found.append((world, world.signed()))
    return tuple(found)


def model_of(world: World) -> Model:
    arrays = world.aggregator.model
    return Model(measure_arrays(arrays), model_digest(arrays, layout_of(arrays)))


FIRST, SECOND, THIRD = (envelope for _, envelope in generations())
MODEL = model_of(generations()[2][0])


def verifier(root: str = TRUSTED, days: float = 3) -> Verifier:
    return Verifier(consortium(root).trust, clock=Clock(START + timedelta(days=days)))


def look(
    envelope: Envelope | bytes = THIRD,
    ancestors: Sequence[Envelope | bytes] = (FIRST, SECOND),
    model: Model = MODEL,
    **changes: Any,
) -> Ancestry:
    encoded = [one if isinstance(one, bytes) else one.encode() for one in (envelope, *ancestors)]
    return examine(model, encoded[0], encoded[1:], **({"verifier": verifier()} | changes))


def failed(found: Ancestry) -> list[tuple[str, int]]:
    return [(check.name, check.generation) for check in found.checks if not check.passed]


def signed(statement: Statement, *names: str) -> Envelope:
    """A statement as it would be if the aggregator and these silos had signed it."""
    payload = statement.encode()
    holders = [identity("hub", "aggregator"), *(identity(name, "silo") for name in names or NAMES)]
    return Envelope(THIRD.payload_type, payload, tuple(notary(holder).sign(payload) for holder in holders))


def told(envelope: Envelope, **changes: Any) -> Statement:
    """The statement in an envelope with other values in its predicate."""
    statement = provenance.read(envelope)
    return dataclasses.replace(statement, predicate=dataclasses.replace(statement.predicate, **changes))


def test_three_generations_hold_down_to_the_model_given_as_is() -> None:
    found = look()
    assert found.valid
    found.require()
    assert [(check.name, check.generation) for check in found.checks] == [
        *((name, 0) for name in NAMED),
        *((name, back) for back in (1, 2) for name in ("statement", "parent", *NAMED[2:])),
        ("ancestry", 2),
    ]  # fmt: skip
    assert found.checks[-1].detail == NO_PARENT
    assert [one.predicate.job.name for one in found.generations] == ["test-job"] * 3


def test_what_else_lies_in_the_folder_is_left_alone() -> None:
    junk = [b"", b"{}", b"not json", THIRD.encode(), damaged(FIRST.encode(), 40)]
    assert look(ancestors=[*junk, FIRST, SECOND]).valid


def test_of_two_copies_of_an_ancestor_the_one_with_more_signatures_counts() -> None:
    few = dataclasses.replace(SECOND, signatures=SECOND.signatures[:1])
    for order in ((few, SECOND, FIRST), (SECOND, few, FIRST)):
        assert look(ancestors=order).valid


@pytest.mark.parametrize("byte", [0, 7, 30])
def test_one_bit_of_the_model_is_noticed(byte: int) -> None:
    arrays = [array.copy() for array in generations()[2][0].aggregator.model]
    arrays[0].view(np.uint8).reshape(-1)[byte] ^= 1
    model = Model(measure_arrays(arrays), model_digest(arrays, layout_of(arrays)))
    found = look(model=model)
    assert failed(found) == [("model", 0)]
    with pytest.raises(
        EvidenceRejected, match=r"^model: the model has root [0-9a-f]{64}, the statement is about"
    ) as caught:
        found.require()
    assert caught.value.check == "model"


def test_the_statement_about_another_model_is_noticed() -> None:
    assert failed(look(SECOND)) == [("model", 0)]
    assert failed(look(model=model_of(generations()[0][0]))) == [("model", 0)]


def test_a_model_that_no_round_led_to_is_noticed() -> None:
    assert failed(look(model=dataclasses.replace(MODEL, job_digest=None))) == [("model", 0)]
    assert failed(look(model=dataclasses.replace(MODEL, job_digest=bytes(32)))) == [("model", 0)]


@pytest.mark.parametrize(
    ("ancestors", "back"),
    [((FIRST,), 1), ((SECOND,), 2), ((), 1), ((FIRST, damaged(SECOND.encode(), 40)), 1)],
    ids=["no second", "no first", "none", "second altered"],
)
def test_a_missing_or_altered_ancestor_is_named(ancestors: Sequence[Envelope | bytes], back: int) -> None:
    found = look(ancestors=ancestors)
    assert failed(found) == [("statement", back)]
    wanted = (FIRST, SECOND)[2 - back].digest.hex()
    with pytest.raises(EvidenceRejected, match=rf"statement \(generation {back} back\): the statement {wanted}"):
        found.require()


def test_a_parent_with_another_payload_is_another_statement() -> None:
    longer = told(SECOND, software=provenance.Software("9.9", None))
    assert failed(look(ancestors=[FIRST, signed(longer)])) == [("statement", 1)]


def test_a_parent_that_is_about_another_model_is_noticed() -> None:
    """The parties of the last job name a statement that is genuine, and about another model than they began with."""
    child = provenance.read(THIRD)
    wrong = dataclasses.replace(child.predicate.initial, statement=FIRST.digest)
    found = look(signed(told(THIRD, initial=wrong)), [FIRST])
    assert failed(found) == [("parent", 1)]


def test_a_child_that_began_before_its_parent_ended_is_noticed() -> None:
    late = told(SECOND, finished_on=START + timedelta(days=2, hours=5))
    before = signed(late)
    child = told(THIRD, initial=dataclasses.replace(provenance.read(THIRD).predicate.initial, statement=before.digest))
    assert failed(look(signed(child), [FIRST, before])) == [("parent", 1)]


def test_statements_cannot_be_closed_to_a_circle() -> None:
    """Whoever lets the first name the last changes the first, and so what the second names."""
    circle = dataclasses.replace(provenance.read(FIRST).predicate.initial, statement=THIRD.digest)
    found = look(ancestors=[signed(told(FIRST, initial=circle)), SECOND, THIRD])
    assert failed(found) == [("statement", 2)]


def test_a_statement_to_come_is_noticed() -> None:
    assert ("time", 0) in failed(look(verifier=verifier(days=1)))
    assert failed(look(verifier=verifier(days=2))) == []


# ---------------------------------------------------------------------------------------------------------- signatures


def without(*places: int) -> Envelope:
    kept = tuple(one for at, one in enumerate(THIRD.signatures) if at not in places)
    return dataclasses.replace(THIRD, signatures=kept)


def test_majorities() -> None:
    assert [majority(silos) for silos in range(1, 8)] == [1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize(
    ("envelope", "wanted"),
    [(without(0), [("aggregator", 0)]), (without(1, 2), [("silos", 0)]), (without(1, 2, 3, 4), [("silos", 0)])],
    ids=["no aggregator", "half of the silos", "no silo"],
)
def test_too_few_signatures_are_noticed(envelope: Envelope, wanted: list[tuple[str, int]]) -> None:
    assert failed(look(envelope)) == wanted


def test_how_many_silos_must_sign_is_the_verifiers_to_say() -> None:
    assert look(without(1)).valid
    assert failed(look(without(1), signatures=4)) == [("silos", 0)]
    assert look(without(1, 2, 3), signatures=1).valid
    shown = next(check for check in look(without(1)).checks if check.name == "silos")
    assert shown.detail == "3 of 4 silos signed (bari, cusco, dakar; not: ambon); 3 must"


@pytest.mark.parametrize("place", range(5))
def test_one_signature_that_does_not_hold_is_enough(place: int) -> None:
    signatures = list(THIRD.signatures)
    one = signatures[place]
    signatures[place] = dataclasses.replace(one, signature=damaged(one.signature, 100))
    found = look(dataclasses.replace(THIRD, signatures=tuple(signatures)))
    assert failed(found) == [("signatures", 0), ("aggregator", 0), ("silos", 0)]


def add(make: Callable[[bytes], Signature]) -> Envelope:
    envelope = without(4)
    return dataclasses.replace(envelope, signatures=(*envelope.signatures, make(envelope.payload)))


@pytest.mark.parametrize(
    "envelope",
    [
        add(lambda payload: notary(identity("dakar", "silo", STRANGER)).sign(payload)),
        add(lambda payload: notary(identity("elba", "silo")).sign(payload)),
        add(lambda payload: notary(identity("dakar", "keeper")).sign(payload)),
    ],
    ids=["unknown root", "no party of the job", "another role"],
)
def test_who_is_not_named_does_not_sign(envelope: Envelope) -> None:
    found = look(envelope)
    assert failed(found) == [("signatures", 0), ("aggregator", 0), ("silos", 0)]
    with pytest.raises(EvidenceRejected, match="of no party that the statement names"):
        found.require()


def test_a_statement_that_names_a_stranger_is_refused_with_the_strangers_signature() -> None:
    """The aggregator lets a stranger stand for a silo: the name is in the statement, and no root certified it."""
    silos = list(provenance.read(THIRD).predicate.silos)
    stranger = identity("dakar", "silo", STRANGER)
    silos[3] = dataclasses.replace(silos[3], certificate=stranger.fingerprint)
    envelope = signed(told(THIRD, silos=tuple(silos)), *NAMES[:3])
    assert look(envelope).valid, "three of four are enough"
    found = look(envelope.with_signature(notary(stranger).sign(envelope.payload)))
    assert failed(found) == [("signatures", 0), ("aggregator", 0), ("silos", 0)]


def test_a_silos_certificate_under_another_name_or_role_is_refused() -> None:
    statement = provenance.read(THIRD)
    silos = list(statement.predicate.silos)
    silos[3] = dataclasses.replace(silos[3], name="zagreb")
    rounds = tuple(dataclasses.replace(one, contributors=(*NAMES[:3], "zagreb")) for one in statement.predicate.rounds)
    found = look(signed(told(THIRD, silos=tuple(silos), rounds=rounds)))
    assert failed(found) == [("signatures", 0), ("aggregator", 0), ("silos", 0)]
    with pytest.raises(EvidenceRejected, match="silo dakar signed where the statement names silo zagreb"):
        found.require()


def test_another_consortiums_root_believes_nobody() -> None:
    assert {name for name, _ in failed(look(verifier=verifier(STRANGER)))} == {"signatures", "aggregator", "silos"}


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", damaged(THIRD.encode(), 0), THIRD.encode()[:-9]],
    ids=["nothing", "empty", "list", "altered", "cut"],
)
def test_what_is_no_envelope_fails_the_first_check_and_ends_the_list(data: bytes) -> None:
    found = look(data)
    assert [(check.name, check.passed) for check in found.checks] == [("statement", False)]
    assert found.generations == ()
    with pytest.raises(EvidenceRejected, match=r"^statement: "):
        found.require()
