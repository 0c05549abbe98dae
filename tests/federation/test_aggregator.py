"""The aggregator's rules: one contribution a silo, refusals by name, and a sum over exactly what was answered."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from identities import STRANGER, identity, renewed, speaking_as
from quatrefoil.errors import CallerError, CiphertextRefused, MessageRefused, PeerError, PolicyError
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.local import check_keys
from quatrefoil.federation.messages import Contribution, RoundOffer
from signed_messages import body_of, changed, damaged
from world import NAMES, World, expected_mean

KEEPER, HUB = ("keeper", "keeper"), ("hub", "aggregator")


@pytest.fixture
def world() -> World:
    return World().begin()


def rebuilt(message: bytes, **changes: bytes) -> bytes:
    """A silo's message with one part exchanged; its signature stays."""
    content = dict(zip(("signed", "sealed", "ciphertext", "proof"), parts.split(message, 4), strict=True)) | changes
    return parts.join(list(content.values()))


def resigned(message: bytes, holder: tuple[str, ...] = ("ambon", "silo"), **changes: bytes) -> bytes:
    """A silo's message with parts exchanged and signed anew, so that signature and digests fit."""
    content = dict(zip(("signed", "sealed", "ciphertext", "proof"), parts.split(message, 4), strict=True)) | changes
    fits = {"ciphertext": sha256(content["ciphertext"]), "sealed_key": sha256(content["sealed"])}
    signed = changed(content["signed"], Contribution, identity(*holder), **fits)
    return parts.join([signed, content["sealed"], content["ciphertext"], content["proof"]])


# ----------------------------------------------------------------------------------------------------------- receiving


def test_the_same_contribution_again_changes_nothing(world: World) -> None:
    offer = world.open()
    world.send(offer)
    world.send(offer)
    world.aggregator.receive("ambon", resigned(world.contribution("ambon", offer)))  # only the signature is new
    assert world.aggregator.received == list(NAMES) and world.aggregator.refused == {}
    finished = world.finish()
    assert world.moved() == pytest.approx(expected_mean(), abs=finished.error_bound + 1e-6)


def test_a_second_different_contribution_is_refused_and_the_first_counts(world: World) -> None:
    offer = world.open()
    world.send(offer)
    other = world.make_silo("ambon", state=world.states["ambon"].copy())  # an old copy of its disk, before it sent
    other._state.replace(dict.fromkeys(other._state.names("outbox/")))
    second = other.contribute(offer, [array - array.dtype.type(0.5) for array in other.model])
    with pytest.raises(MessageRefused, match="ambon sent a second, different contribution") as caught:
        world.aggregator.receive("ambon", second)
    assert caught.value.party == "ambon"
    assert world.logged("refusal") == [
        {"round": 1, "attempt": 0, "silo": "ambon", "reason": "ambon sent a second, different contribution"}
    ]
    finished = world.finish()
    assert world.moved() == pytest.approx(expected_mean(), abs=finished.error_bound + 1e-6)


Forge = Callable[[World, bytes, bytes], bytes]
FORGED: dict[str, tuple[Forge, type[PeerError], str]] = {
    "garbage": (lambda w, o, m: b"garbage", MessageRefused, "ends inside its header"),
    "two parts": (lambda w, o, m: parts.join(parts.split(m, 4)[:2]), MessageRefused, "2 parts, not 4"),
    "another silo's message": (
        lambda w, o, m: w.contribution("bari", o), MessageRefused, "signed by silo bari, not by silo ambon",
    ),
    "another silo's signature": (
        lambda w, o, m: resigned(m, ("bari", "silo")), MessageRefused, "signed by silo bari, not by silo ambon",
    ),
    "another certificate": (
        lambda w, o, m: rebuilt(m, signed=changed(parts.split(m, 4)[0], Contribution, renewed("ambon", "silo"))),
        MessageRefused, "not by silo ambon with the agreed certificate",
    ),
    "another role": (
        lambda w, o, m: resigned(m, ("ambon", "aggregator")), MessageRefused, "signed by aggregator ambon",
    ),
    "another consortium": (
        lambda w, o, m: resigned(m, ("ambon", "silo", STRANGER)), MessageRefused, "no trusted root",
    ),
    "a damaged signature": (
        lambda w, o, m: rebuilt(m, signed=damaged(parts.split(m, 4)[0])), MessageRefused, "signature of 'ambon'",
    ),
    "another message of the silo": (
        lambda w, o, m: rebuilt(m, signed=w.silos["ambon"].consent(w.enrolments.job())),
        MessageRefused, "expected urn:quatrefoil:contribution, received 'urn:quatrefoil:consent'",
    ),
    "a damaged ciphertext": (
        lambda w, o, m: rebuilt(m, ciphertext=damaged(parts.split(m, 4)[2])), MessageRefused, "not what it signed",
    ),
    "a damaged sealed key": (
        lambda w, o, m: rebuilt(m, sealed=damaged(parts.split(m, 4)[1])), MessageRefused, "not what it signed",
    ),
    "a signed short ciphertext": (
        lambda w, o, m: resigned(m, ciphertext=parts.split(m, 4)[2][:-8]), CiphertextRefused, "ambon: .* bytes, not",
    ),
    "a signed empty ciphertext": (
        lambda w, o, m: resigned(m, ciphertext=b""), CiphertextRefused, "ambon: .* has 0 bytes",
    ),
    "a signed word beyond the modulus": (
        lambda w, o, m: resigned(m, ciphertext=parts.split(m, 4)[2][:-8] + b"\xff" * 8),
        CiphertextRefused, "ambon: .* not below the modulus",
    ),
    "a signed header of another round": (
        lambda w, o, m: resigned(m, ciphertext=damaged(parts.split(m, 4)[2], 60)), CiphertextRefused, "ambon: ",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("forge", "error", "problem"), FORGED.values(), ids=FORGED)
def test_a_wrong_contribution_is_refused_logged_and_stops_nobody_else(
    world: World, forge: Forge, error: type[PeerError], problem: str
) -> None:
    offer = world.open()
    good = world.contribution("ambon", offer)
    world.send(offer, NAMES[1:3])
    with pytest.raises(error, match=problem):
        world.aggregator.receive("ambon", forge(world, offer, good))
    assert list(world.aggregator.refused) == ["ambon"] and not world.aggregator.is_awaited("ambon")
    assert [body["silo"] for body in world.logged("refusal")] == ["ambon"]
    world.send(offer, ["dakar"])
    finished = world.finish()
    assert finished.contributors == NAMES[1:]
    assert world.moved() == pytest.approx(expected_mean(NAMES[1:]), abs=finished.error_bound + 1e-6)


def test_after_a_refusal_the_right_message_is_taken(world: World) -> None:
    offer = world.open()
    with pytest.raises(MessageRefused):
        world.aggregator.receive("ambon", b"garbage")
    world.send(offer)
    assert world.aggregator.refused == {} and world.aggregator.received == list(NAMES)


def test_nobody_can_have_another_silo_refused(world: World) -> None:
    """Who delivers is who the channel says it is; a message that names another is its deliverer's fault."""
    offer = world.open()
    with pytest.raises(MessageRefused):
        world.aggregator.receive("bari", world.contribution("ambon", offer))
    assert list(world.aggregator.refused) == ["bari"]
    world.send(offer, ["ambon", "cusco", "dakar"])
    assert world.finish().contributors == ("ambon", "cusco", "dakar")


def test_a_silo_that_is_not_on_the_roster_is_refused(world: World) -> None:
    offer = world.open()
    message = world.contribution("ambon", offer)
    with pytest.raises(MessageRefused, match="elba is not on the roster of job test-job"):
        world.aggregator.receive("elba", resigned(message, ("elba", "silo")))


def test_a_contribution_to_an_earlier_attempt_or_round_is_refused(world: World) -> None:
    first = world.open()
    old = world.contribution("ambon", first)
    world.void()
    second = world.open()
    with pytest.raises(MessageRefused, match="ambon contributes to another round or attempt"):
        world.aggregator.receive("ambon", old)
    world.send(second)
    kept = world.contribution("ambon", second)
    world.accept(world.finish())
    world.open()
    with pytest.raises(MessageRefused, match="ambon contributes to another round or attempt"):
        world.aggregator.receive("ambon", kept)


def test_without_an_open_round_nothing_is_taken(world: World) -> None:
    for ask in (
        lambda: world.aggregator.receive("ambon", b""),
        lambda: world.aggregator.received,
        lambda: world.aggregator.refused,
        lambda: world.aggregator.key_request(),
        lambda: world.aggregator.finish(b""),
        lambda: world.aggregator.is_awaited("ambon"),
    ):
        with pytest.raises(MessageRefused, match="no round is open"):
            ask()


def test_who_is_awaited(world: World) -> None:
    offer = world.open()
    world.send(offer, ["ambon"])
    with pytest.raises(MessageRefused):
        world.aggregator.receive("bari", b"")
    assert [name for name in NAMES if world.aggregator.is_awaited(name)] == ["cusco", "dakar"]


def test_what_it_stores_and_logs_of_one_silo_is_no_update(world: World) -> None:
    """Neither its disk nor its log holds a contribution or a combined key."""
    offer = world.open()
    messages = [parts.split(world.contribution(name, offer), 4) for name in NAMES]
    world.send(offer)
    answer = world.answer()
    world.aggregator.finish(answer)
    disk = b"".join(world.states["hub"].get(name) or b"" for name in world.states["hub"].names(""))
    logged = repr(list(world.log.entries())).encode()
    for secret in (parts.split(answer, 2)[1][64:], *(m[2][128:] for m in messages), *(m[1] for m in messages)):
        assert secret not in disk and secret.hex().encode() not in logged


# --------------------------------------------------------------------------------------------------- leaving out a silo


def with_key_of(message: bytes, world: World, offer: bytes, key: bytes, context: bytes | None = None) -> bytes:
    made = RoundOffer.decode(body_of(offer)).context
    speaker = speaking_as(identity("ambon", "silo"))
    return resigned(message, sealed=speaker.seal(made.sealing_key, key, context=context or made.digest()))


@pytest.mark.parametrize(
    ("key", "context"), [(bytes(31), None), (bytes(32), bytes(32))], ids=["a short key", "another context"]
)
def test_a_silo_whose_key_cannot_be_used_is_left_out_and_named(world: World, key: bytes, context: bytes | None) -> None:
    offer = world.open()
    world.aggregator.receive("ambon", with_key_of(world.contribution("ambon", offer), world, offer, key, context))
    world.send(offer, NAMES[1:])
    finished = world.finish()
    assert finished.contributors == NAMES[1:]
    assert world.moved() == pytest.approx(expected_mean(NAMES[1:]), abs=finished.error_bound + 1e-6)
    assert world.logged("round-finished")[0]["refused"]["ambon"].startswith("ambon sealed a key")


def test_leaving_out_may_leave_too_few(world: World) -> None:
    offer = world.open()
    world.aggregator.receive("ambon", with_key_of(world.contribution("ambon", offer), world, offer, bytes(31)))
    world.send(offer, NAMES[1:3])
    with pytest.raises(PolicyError, match="2 of at least 3 silos contributed to round 1"):
        world.finish()


def test_only_a_silo_that_has_contributed_can_be_left_out(world: World) -> None:
    world.open()
    with pytest.raises(CallerError, match="ambon has not contributed"):
        world.aggregator.exclude("ambon", "because")


def test_a_refusal_without_a_silo_is_not_retried(world: World) -> None:
    world.send(world.open())
    asked = []

    def refuse(request: bytes) -> bytes:
        asked.append(request)
        raise MessageRefused("no", hint="", party="elba" if len(asked) == 2 else None)

    for _ in range(2):
        with pytest.raises(MessageRefused, match="no"):
            check_keys(refuse, world.aggregator)
    assert len(asked) == 2 and world.aggregator.received == list(NAMES)


def test_the_limit_a_key_that_does_not_belong_to_its_ciphertext_spoils_the_round(world: World) -> None:
    """Nobody can say whose key it was, and the attempt has been answered: until there are proofs, a new job is needed.

    The sum is refused, never published wrong.
    """
    offer = world.open()
    world.aggregator.receive("ambon", with_key_of(world.contribution("ambon", offer), world, offer, bytes(range(32))))
    world.send(offer, NAMES[1:])
    with pytest.raises(CiphertextRefused, match="key does not belong to this sum") as caught:
        world.finish(NAMES[1:])
    assert caught.value.party is None
    assert world.aggregator.rounds_done == 0
    with pytest.raises(MessageRefused, match="has been answered and cannot be voided"):
        world.void()
