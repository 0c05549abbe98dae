"""The silo's rules: what it signs, when it encrypts, which result it takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from silo_offers import KEEPER, offer_with, trained

from forged_messages import reissued
from identities import STRANGER, identity, renewed
from quatrefoil.errors import EvidenceRejected, HostError, MessageRefused, RoundVoided, UpdateRefused
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.messages import KeyRelease, RoundOffer, RoundResult, RoundVoid
from quatrefoil.federation.vectors import layout_of, model_digest
from quatrefoil.insecure.software import SoftwareEvidence
from quatrefoil.state import MemoryState
from signed_messages import changed, damaged
from world import NAMES, World

HUB = ("hub", "aggregator")


@pytest.fixture
def world() -> World:
    return World().begin()


# --------------------------------------------------------------------------------------------------------- the offer


@pytest.mark.parametrize(
    ("holder", "problem"),
    [
        (HUB, "signed by aggregator hub, not by keeper keeper"),
        (("bari", "silo"), "signed by silo bari"),
        (("other-keeper", "keeper"), "signed by keeper other-keeper, not by keeper keeper"),
        ((*KEEPER, STRANGER), "no trusted root"),
    ],
    ids=["the aggregator", "a silo", "another keeper", "another consortium"],
)
def test_an_offer_by_anyone_but_the_keeper_is_refused(world: World, holder: tuple[str, ...], problem: str) -> None:
    forged = changed(world.open(), RoundOffer, identity(*holder))
    with pytest.raises(MessageRefused, match=problem):
        world.silos["ambon"].contribute(forged, trained(world.silos["ambon"]))
    assert "contribution" not in world.kinds()


def test_an_offer_under_another_certificate_of_the_keeper_is_refused(world: World) -> None:
    with pytest.raises(MessageRefused, match="not by keeper keeper with the agreed certificate"):
        world.silos["ambon"].check_offer(changed(world.open(), RoundOffer, renewed(*KEEPER)))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"job": bytes(32)}, "contradicts job test-job"),
        ({"clip": 2.0}, "contradicts job test-job"),
        ({"length": 9}, "contradicts job test-job"),
        ({"scheme_digest": bytes(32)}, "contradicts job test-job"),
        ({"round": 0}, "round 0 is outside 1 to 5"),
        ({"round": 2}, "round 2 was offered, 1 is next"),
        ({"round": 6}, "round 6 is outside 1 to 5"),
        ({"attempt": 1024}, "opens attempt 1024 at round 1, outside 0 to 1023"),
        ({"model": bytes(32)}, "the model of the round is 0000000000000000, not [0-9a-f]{16}"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_offer_of_something_else_is_refused(world: World, changes: dict[str, object], problem: str) -> None:
    offer = offer_with(world.open(), **changes)
    with pytest.raises(MessageRefused, match=problem):
        world.silos["ambon"].contribute(offer, trained(world.silos["ambon"]))
    assert "contribution" not in world.kinds()


def test_evidence_that_is_bound_to_something_else_is_refused(world: World) -> None:
    forged = changed(world.open(), RoundOffer, identity(*KEEPER), evidence=SoftwareEvidence(bytes(32)).encode())
    with pytest.raises(MessageRefused, match="evidence is bound to something else"):
        world.silos["ambon"].contribute(forged, trained(world.silos["ambon"]))


def test_a_sealing_key_that_is_none_is_refused_before_anything_is_recorded(world: World) -> None:
    offer = offer_with(world.open(), sealing_key=b"short")
    with pytest.raises(MessageRefused, match="public key has 5 bytes, as none of hybrid-768, hybrid-1024 has"):
        world.silos["ambon"].contribute(offer, trained(world.silos["ambon"]))
    assert world.states["ambon"].names("outbox/") == []


def test_an_earlier_round_cannot_be_offered_again(world: World) -> None:
    first = world.open()
    world.send(first)
    world.accept(world.finish())
    with pytest.raises(MessageRefused, match="round 1 was offered, 2 is next"):
        world.silos["ambon"].contribute(first, trained(world.silos["ambon"]))


# ----------------------------------------------------------------------------------------------- one message an attempt


def test_the_same_attempt_gets_the_same_bytes_whatever_was_trained(world: World) -> None:
    offer = world.open()
    silo = world.silos["ambon"]
    first = silo.contribute(offer, trained(silo, 0.25))
    assert silo.contribute(offer, trained(silo, -0.75)) == first
    assert world.make_silo("ambon").contribute(offer, trained(silo, 0.5)) == first
    assert world.kinds().count("contribution") == 1


def test_another_context_for_the_same_round_gets_nothing(world: World) -> None:
    """Two ciphertexts of one update under two keys of the aggregator's choosing: the silo's rule 3."""
    offer = world.open()
    silo = world.silos["ambon"]
    silo.contribute(offer, trained(silo))
    for other in (offer_with(offer, attempt=1), offer_with(offer, sealing_key=bytes(1216))):
        with pytest.raises(MessageRefused, match="already sent its update of round 1 under another context"):
            silo.contribute(other, trained(silo))


def test_a_void_lets_the_next_attempt_through_with_new_bytes(world: World) -> None:
    first = world.open()
    silo = world.silos["ambon"]
    sent = silo.contribute(first, trained(silo))
    void = world.void()
    second = world.open()
    with pytest.raises(MessageRefused, match="already sent"):
        silo.contribute(second, trained(silo))
    again = silo.contribute(second, trained(silo), [void])
    assert parts.split(again, 4)[2] != parts.split(sent, 4)[2]
    with pytest.raises(RoundVoided, match="attempt 0 at round 1 is void"):
        silo.contribute(first, trained(silo), [void])


def test_every_attempt_sent_to_needs_its_void(world: World) -> None:
    silo = world.silos["ambon"]
    voids = []
    for _ in range(2):
        silo.contribute(world.open(), trained(silo), voids)
        voids.append(world.void())
    third = world.open()
    for given in ([], voids[:1], voids[1:]):
        with pytest.raises(MessageRefused, match="already sent"):
            silo.contribute(third, trained(silo), given)
    silo.contribute(third, trained(silo), voids[::-1])


@pytest.mark.parametrize("holder", [HUB, ("bari", "silo"), ("other-keeper", "keeper")], ids=lambda who: who[1])
def test_a_void_by_anyone_but_the_keeper_is_refused(world: World, holder: tuple[str, str]) -> None:
    silo = world.silos["ambon"]
    silo.contribute(world.open(), trained(silo))
    void = world.void()
    second = world.open()
    with pytest.raises(MessageRefused, match="not by keeper keeper"):
        silo.contribute(second, trained(silo), [changed(void, RoundVoid, identity(*holder))])
    with pytest.raises(MessageRefused, match="already sent"):
        silo.contribute(second, trained(silo), [changed(void, RoundVoid, identity(*KEEPER), context=bytes(32))])


def test_a_damaged_void_is_refused(world: World) -> None:
    silo = world.silos["ambon"]
    silo.contribute(world.open(), trained(silo))
    void = damaged(world.void())
    with pytest.raises(MessageRefused):
        silo.contribute(world.open(), trained(silo), [void])


def test_sent_messages_are_forgotten_once_the_round_is_over(world: World) -> None:
    world.run_round()
    assert world.states["ambon"].names("outbox/") == []


@pytest.mark.parametrize(
    "wrong",
    [
        [np.zeros((3, 2))],
        [np.zeros((2, 3)), np.zeros(4, np.float32)],
        [np.zeros((3, 2)), np.zeros(4)],
        [np.zeros(4, np.float32), np.zeros((3, 2))],
        [np.zeros((3, 2)), np.zeros(4, int)],
        [],
    ],
    ids=["one less", "another shape", "another type", "exchanged", "integers", "nothing"],
)
def test_training_must_return_what_it_was_given(world: World, wrong: list[np.ndarray]) -> None:
    offer = world.open()
    with pytest.raises(UpdateRefused):
        world.silos["ambon"].contribute(offer, wrong)
    assert world.states["ambon"].names("outbox/") == []


def test_neither_key_nor_update_is_kept_or_logged(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []
    aggregation = world.silos["ambon"]._aggregation
    encrypt = aggregation.encrypt

    def watched(*arguments: object, **named: object) -> object:
        encrypted = encrypt(*arguments, **named)
        keys.append((bytes(encrypted.key), encrypted.key))
        return encrypted

    monkeypatch.setattr(aggregation, "encrypt", watched)
    message = world.contribution("ambon", world.open())
    ((seen, held),) = keys
    assert held == bytes(len(held)), "the key was not wiped"
    stored = b"".join(world.states["ambon"].get(name) or b"" for name in world.states["ambon"].names(""))
    logged = repr(list(world.log.entries())).encode()
    for secret in (seen, seen.hex().encode(), np.full(4, 0.25).tobytes()):
        assert secret not in message + stored + logged


# ---------------------------------------------------------------------------------------------------------- the result


@pytest.fixture
def finished(world: World) -> tuple[bytes, bytes, bytes, bytes]:
    """Offer, release and result of the first round; no silo has taken them yet."""
    world.send(world.open())
    done = world.finish()
    return done.offer, done.release, done.result, done.receipts.of("ambon")


def result_with(result: bytes, mean: bytes | None = None, holder: tuple[str, ...] = HUB, **changes: object) -> bytes:
    signed, given = parts.split(result, 2)
    mean = given if mean is None else mean
    return parts.join([changed(signed, RoundResult, identity(*holder), **{"mean": sha256(mean), **changes}), mean])


def test_a_result_taken_twice_counts_once(world: World, finished: tuple[bytes, bytes, bytes, bytes]) -> None:
    silo = world.silos["ambon"]
    first = silo.accept(*finished)
    again = silo.accept(*finished)
    assert silo.rounds_done == 1
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert world.kinds().count("round-accepted") == 1


Forge = Callable[[World, bytes, bytes, bytes], tuple[bytes, bytes, bytes]]
FORGED: dict[str, tuple[Forge, str]] = {
    "a result by the keeper": (
        lambda w, o, r, x: (o, r, result_with(x, holder=KEEPER)), "signed by keeper keeper, not by aggregator hub",
    ),
    "a result by another aggregator": (
        lambda w, o, r, x: (o, r, result_with(x, holder=("other-hub", "aggregator"))), "not by aggregator hub",
    ),
    "a result of another context": (
        lambda w, o, r, x: (o, r, result_with(x, context=bytes(32))), "belongs to another round, release or sum",
    ),
    "a result of another release": (
        lambda w, o, r, x: (o, r, result_with(x, release=bytes(32))), "belongs to another round, release or sum",
    ),
    "a mean that is not the announced one": (
        lambda w, o, r, x: (o, r, parts.join([parts.split(x, 2)[0], damaged(parts.split(x, 2)[1])])),
        "belongs to another round, release or sum",
    ),
    "a model that the mean does not lead to": (
        lambda w, o, r, x: (o, r, result_with(x, model=bytes(32))), "model after the round is 0000000000000000, not",
    ),
    "a mean that is too short": (
        lambda w, o, r, x: (o, r, result_with(x, bytes(72))), "mean of 72 bytes arrived where 80 were agreed",
    ),
    "a mean that is no number": (
        lambda w, o, r, x: (o, r, result_with(x, np.full(10, np.nan).tobytes())), "not finite",
    ),
    "an infinite mean": (lambda w, o, r, x: (o, r, result_with(x, np.full(10, np.inf).tobytes())), "not finite"),
    "a mean that single precision does not hold": (
        lambda w, o, r, x: (o, r, result_with(x, np.full(10, 1e300).tobytes())), "not finite",
    ),
    "a release by the aggregator": (
        lambda w, o, r, x: (o, changed(r, KeyRelease, identity(*HUB)), x), "signed by aggregator hub, not by keeper",
    ),
    "a release of another context": (
        lambda w, o, r, x: (o, changed(r, KeyRelease, identity(*KEEPER), context=bytes(32)), x),
        "key release belongs to another round",
    ),
    "a release for too few": (
        lambda w, o, r, x: (o, changed(r, KeyRelease, identity(*KEEPER), contributors=NAMES[:2]), x),
        "answered for 2 silos, the policy's minimum is 3",
    ),
    "a release that counts one silo twice": (
        lambda w, o, r, x: (o, changed(r, KeyRelease, identity(*KEEPER), contributors=("ambon",) * 3), x),
        "names a silo twice, or one that is not on the roster",
    ),
    "a release for a silo that is not on the roster": (
        lambda w, o, r, x: (o, changed(r, KeyRelease, identity(*KEEPER), contributors=(*NAMES, "elba")), x),
        "names a silo twice, or one that is not on the roster",
    ),
    "a release that the result does not name": (
        lambda w, o, r, x: (o, changed(r, KeyRelease, identity(*KEEPER), key=bytes(32)), x),
        "belongs to another round, release or sum",
    ),
    "an offer by the aggregator": (
        lambda w, o, r, x: (changed(o, RoundOffer, identity(*HUB)), r, x), "signed by aggregator hub, not by keeper",
    ),
    "an offer of another model": (
        lambda w, o, r, x: (offer_with(o, model=bytes(32)), r, x), "model of the round is 0000000000000000",
    ),
    "an offer of a later round": (
        lambda w, o, r, x: (offer_with(o, round=2), r, x), "result of round 2 arrived, 1 is next",
    ),
    "an offer of another job": (lambda w, o, r, x: (offer_with(o, job=bytes(32)), r, x), "contradicts job"),
    "no parts": (lambda w, o, r, x: (o, r, b""), "ends inside its header"),
}  # fmt: skip


@pytest.mark.parametrize(("forge", "problem"), FORGED.values(), ids=FORGED)
def test_a_wrong_result_is_refused_and_changes_nothing(
    world: World, finished: tuple[bytes, bytes, bytes, bytes], forge: Forge, problem: str
) -> None:
    silo = world.silos["ambon"]
    with pytest.raises(MessageRefused, match=problem):
        silo.accept(*forge(world, *finished[:3]), finished[3])
    assert silo.rounds_done == 0 and "round-accepted" not in world.kinds()
    assert all(not array.any() for array in silo.model)
    silo.accept(*finished)


def test_the_limit_a_wrong_mean_with_everything_else_right_is_taken(
    world: World, finished: tuple[bytes, bytes, bytes, bytes]
) -> None:
    """The aggregator alone sees the sum: what it publishes cannot be checked against the ciphertexts yet."""
    offer, release, result, receipts = finished
    mean = np.full(10, 0.5).astype("<f8").tobytes()
    model = [np.full((3, 2), 0.5), np.full(4, 0.5, np.float32)]
    forged = result_with(result, mean, model=model_digest(model, layout_of(model)))
    with pytest.raises(EvidenceRejected, match="name another release or result than the one that came"):
        world.silos["ambon"].accept(offer, release, forged, receipts)
    signed = parts.split(forged, 2)[0]
    world.silos["ambon"].accept(offer, release, forged, reissued(world, "ambon", receipts, result=sha256(signed)))
    assert world.silos["ambon"].rounds_done == 1


# -------------------------------------------------------------------------------------------------------- its own disk


def test_a_full_disk_stops_the_silo_before_it_sends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    offer = world.open()

    def full(*_: object) -> bytes:
        raise HostError("full", hint="")

    monkeypatch.setattr(MemoryState, "put_once", full)
    with pytest.raises(HostError):
        world.contribution("ambon", offer)
    monkeypatch.undo()
    assert world.states["ambon"].names("outbox/") == []
    world.send(offer)
    assert world.finish().contributors == NAMES


def test_what_a_silo_refuses_is_an_entry_in_its_log() -> None:
    world = World().begin()
    offer = world.open()
    with pytest.raises(MessageRefused):
        world.silos["ambon"].contribute(damaged(offer), world.silos["ambon"].model)
    refusals = [entry.body for entry in world.logs["ambon"].entries() if entry.kind == "refusal"]
    assert [(one["asked"], bool(one["reason"])) for one in refusals] == [("contribute", True)]
