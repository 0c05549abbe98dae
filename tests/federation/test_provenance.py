"""The statement about a job: what aggregator and silos put into it, and what a silo does not sign."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest

from identities import STRANGER, identity, notary, renewed
from quatrefoil.audit import provenance
from quatrefoil.audit.dsse import Envelope, Signature
from quatrefoil.audit.model_file import measure_arrays
from quatrefoil.audit.provenance import Refused, Statement
from quatrefoil.errors import CallerError, EvidenceRejected, MessageRefused, QuatrefoilError
from quatrefoil.federation import parts
from quatrefoil.federation.commitments import Commitments
from quatrefoil.federation.messages import Enrolment, Job
from signed_messages import changed, damaged
from world import NAMES, PLAN, World

DATA, CODE = bytes([7]) * 32, bytes([8]) * 32
COMMITS = {"ambon": Commitments(DATA, CODE), "bari": Commitments(b"", CODE)}


def finished(**changes: Any) -> World:
    return World(**({"backend": "plain", "rounds": 2, "commits": COMMITS} | changes)).run()


@cache
def done() -> World:
    """A finished job whose statement nobody but the aggregator has signed. Tests do not change it."""
    world = finished()
    world.statement()
    return world


def said() -> Statement:
    return provenance.read(done().statement())


def fresh_state(name: str) -> dict[str, Any]:
    """The state of a silo as it was before anything was signed."""
    return {"state": done().states[name].copy()}  # type: ignore[attr-defined]


def resigned(statement: Statement, by: str = "hub") -> Envelope:
    payload = statement.encode()
    return Envelope("application/vnd.in-toto+json", payload, (notary(identity(by, "aggregator")).sign(payload),))


def signing(envelope: Envelope, name: str = "ambon") -> bytes:
    silo = done().silos[name]
    return done().signing(name, **fresh_state(name)).sign(envelope.encode(), silo.job, silo.model)


# ------------------------------------------------------------------------------------------------------ what it says


def test_it_says_what_the_job_was() -> None:
    world, statement = done(), said()
    training, job = statement.predicate, world.aggregator.job
    assert statement.type == "https://in-toto.io/Statement/v1"
    assert statement.predicate_type == "urn:quatrefoil:predicate:training:v1"
    assert statement.subject[0].name == job.name == training.job.name
    assert statement.model.quatrefoil_model_v1 == measure_arrays(world.aggregator.model).root
    assert training.initial.model.quatrefoil_model_v1 == measure_arrays(world.initial).root
    assert (training.job.digest, training.job.policy, training.job.plan) == (job.digest(), world.policy.digest(), PLAN)
    assert [(silo.name, silo.data, silo.code) for silo in training.silos] == [
        ("ambon", DATA, CODE), ("bari", None, CODE), ("cusco", None, None), ("dakar", None, None),
    ]  # fmt: skip
    assert [one.number for one in training.rounds] == [1, 2]
    assert all(one.contributors == NAMES for one in training.rounds)
    assert training.parameters.insecure == ("plain-aggregation", "software-keeper")


def test_what_was_not_committed_is_said_in_words() -> None:
    text = done().statement().payload.decode()
    assert text.count('"data":"not committed"') == 3
    assert text.count('"code":"not stated"') == 2
    assert '"statement":"none: initial model given as is"' in text
    assert '"updateNorm":"no bound"' in text
    assert '""' not in text.replace('"proofs":""', "")


def test_every_silo_signs_it_and_everybody_logs_it() -> None:
    world = finished(rounds=1)
    envelope = world.signed()
    assert len(envelope.signatures) == 1 + len(NAMES)
    own = world.provenance.own().digest.hex()
    assert [body["statement"] for body in world.logged("provenance")] == [own] * (1 + 2 * len(NAMES))
    entry = next(entry for entry in world.log.entries() if entry.kind == "provenance")
    attached = Envelope.decode(world.log.payload(entry.attached["envelope"].sha256))
    assert attached == world.provenance.own()
    assert [body["root"] for body in world.logged("model")][-1] == said_root(world)


def said_root(world: World) -> str:
    return measure_arrays(world.aggregator.model).root.hex()


def test_rounds_that_were_void_and_silos_that_were_refused_are_in_it() -> None:
    world = World(backend="plain", rounds=1).begin()
    world.send(world.open(), NAMES[:2])
    world.void()
    offer = world.open()
    world.send(offer, NAMES[:3])
    signed, *rest = parts.split(world.contribution("dakar", offer), 4)
    with pytest.raises(MessageRefused, match="not what it signed"):
        world.aggregator.receive("dakar", parts.join([signed, damaged(rest[0]), *rest[1:]]))
    world.accept(world.finish())
    world.signed()
    (one,) = provenance.read(world.provenance.own()).predicate.rounds
    assert (one.attempt, one.contributors) == (1, NAMES[:3])
    assert [(refused.silo, "not what it signed" in refused.reason) for refused in one.refused] == [("dakar", True)]


def test_a_contributor_that_also_sent_something_else_is_in_the_sum_and_not_among_the_refused() -> None:
    world = World(backend="plain", rounds=1).begin()
    world.send(world.open())
    with pytest.raises(MessageRefused):
        world.aggregator.receive("dakar", b"")
    world.accept(world.finish())
    world.signed()
    assert provenance.read(world.provenance.own()).predicate.rounds[0].refused == ()


def test_after_a_restart_it_is_the_same_and_so_are_the_signatures() -> None:
    world = finished(rounds=1)
    before, signature = world.statement(), world.sign("bari")
    world.clock.pass_time(hours=1)
    world.provenance = world.make_provenance()
    assert world.statement() == before
    assert world.sign("bari") == signature
    world.provenance.signed("bari", signature)
    again = world.make_provenance()
    assert again.envelope() == before.with_signature(Signature(*parts.split(signature, 2)))
    held = world.signing("bari").envelope()
    assert held is not None and held.digest == before.digest and len(held.signatures) == 2


def test_there_is_none_before_the_last_round() -> None:
    world = World(backend="plain", rounds=2).begin()
    world.run_round()
    with pytest.raises(EvidenceRejected, match="1 rounds are listed of 2"):
        world.statement()
    with pytest.raises(CallerError, match="no statement about this job yet"):
        world.provenance.envelope()
    assert world.signing("ambon").envelope() is None


# --------------------------------------------------------------------------------------- what a silo does not sign


def lie(path: str, value: Any) -> Callable[[Any], Any]:
    """Change one field of a statement; a number in the path is a place in a list."""

    def change(whole: Any, names: list[str]) -> Any:
        if not names:
            return value(whole) if callable(value) else value
        first, *rest = names
        if first.isdigit():
            items = list(whole)
            items[int(first)] = change(items[int(first)], rest)
            return tuple(items)
        return dataclasses.replace(whole, **{first: change(getattr(whole, first), rest)})

    return lambda statement: change(statement, path.split("."))


OTHER = bytes(32)
LIES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "model": (lie("subject.0.digest.quatrefoil_model_v1", OTHER), r"lies in subject\[0\].digest.quatrefoil_model_v1"),
    "bytes": (lie("subject.0.digest.sha256", OTHER), r"lies in subject\[0\].digest.sha256"),
    "job": (lie("predicate.job.digest", OTHER), "lies in predicate.job.digest"),
    "policy": (lie("predicate.job.policy", OTHER), "lies in predicate.job.policy"),
    "plan": (lie("predicate.job.plan", OTHER), "lies in predicate.job.plan"),
    "clip": (lie("predicate.parameters.clip", 0.5), "lies in predicate.parameters.clip"),
    "norm": (lie("predicate.parameters.update_norm", 0.5), "lies in predicate.parameters.update_norm"),
    "scheme": (lie("predicate.parameters.scheme", "better"), "lies in predicate.parameters.scheme"),
    "proofs": (lie("predicate.parameters.proofs", "some"), "lies in predicate.parameters.proofs"),
    "stand-ins": (lie("predicate.parameters.insecure", ()), "lies in predicate.parameters.insecure"),
    "initial": (lie("predicate.initial.model.quatrefoil_model_v1", OTHER), "lies in predicate.initial.model"),
    "initial digest": (lie("predicate.initial.digest", OTHER), "lies in predicate.initial.digest"),
    "parent": (lie("predicate.initial.statement", OTHER), "lies in predicate.initial.statement"),
    "keeper": (lie("predicate.keeper.certificate", OTHER), "lies in predicate.keeper.certificate"),
    "samples": (lie("predicate.silos.2.samples", 9), r"lies in predicate.silos\[2\].samples"),
    "own data": (lie("predicate.silos.0.data", OTHER), r"lies in predicate.silos\[0\].data"),
    "another's data": (lie("predicate.silos.3.data", OTHER), r"lies in predicate.silos\[3\].data"),
    "own data left out": (lie("predicate.silos.0.data", None), r"lies in predicate.silos\[0\].data"),
    "code": (lie("predicate.silos.1.code", OTHER), r"lies in predicate.silos\[1\].code"),
    "a silo less": (lie("predicate.silos", lambda silos: silos[1:]), "lies in|not silos of the job"),
    "attempt": (lie("predicate.rounds.0.attempt", 1), r"lies in predicate.rounds\[0\].attempt"),
    "context": (lie("predicate.rounds.1.context", OTHER), r"lies in predicate.rounds\[1\].context"),
    "contributors": (lie("predicate.rounds.1.contributors", NAMES[:3]), r"lies in predicate.rounds\[1\].contributors"),
    "release": (lie("predicate.rounds.1.release", OTHER), r"lies in predicate.rounds\[1\].release"),
    "mean": (lie("predicate.rounds.0.mean", OTHER), r"lies in predicate.rounds\[0\].mean"),
    "round's model": (lie("predicate.rounds.0.model", OTHER), r"lies in predicate.rounds\[0\].model"),
    "round's norm": (lie("predicate.rounds.0.update_norm", 1.0), r"lies in predicate.rounds\[0\].update_norm"),
    "the end, to come": (
        lie("predicate.finished_on", lambda time: time + timedelta(hours=1)), "ended at .* which it did not",
    ),
    "the end, before the beginning": (
        lie("predicate", lambda p: dataclasses.replace(
            p, started_on=p.started_on - timedelta(days=2), finished_on=p.finished_on - timedelta(days=1))),
        "certificate of 'hub'|which it did not",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_lie_that_a_silo_can_see_is_not_signed(name: str) -> None:
    change, match = LIES[name]
    with pytest.raises(QuatrefoilError, match=match):
        signing(resigned(change(said())))


@pytest.mark.parametrize("path", ["predicate.software.version", "predicate.rounds.0.refused"])
def test_what_a_silo_cannot_know_it_passes_on(path: str) -> None:
    """docs/provenance.md says of which fields the aggregator's word is all there is."""
    value: Any = "9.9"
    statement = said()
    if path.endswith("refused"):
        rounds = statement.predicate.rounds
        one = dataclasses.replace(rounds[0], contributors=NAMES[:3], refused=(Refused("dakar", "was late"),))
        with pytest.raises(MessageRefused, match="contributors"):
            signing(resigned(lie("predicate.rounds.0", one)(statement)))
        return
    assert signing(resigned(lie(path, value)(statement)))


@pytest.mark.parametrize(
    ("path", "value", "match"),
    [
        ("type", "https://in-toto.io/Statement/v0.1", "not about training"),
        ("predicate_type", "https://slsa.dev/provenance/v1", "not about training"),
        ("subject", (), "not about one model"),
        ("subject.0.name", "other", "not about one model"),
        ("predicate.parameters.rounds", 3, "2 rounds are listed of 3"),
        ("predicate.rounds", (), "0 rounds are listed of 2"),
        ("predicate.rounds.1.number", 3, "round 3 stands where 2 is next"),
        ("predicate.rounds.0.contributors", (), "contributors to round 1 are none"),
        ("predicate.rounds.0.contributors", ("bari", "ambon"), "not sorted"),
        ("predicate.rounds.0.contributors", ("ambon", "zzz"), "not silos of the job"),
        ("predicate.rounds.0.refused", (Refused("ambon", ""),), "or contributed"),
        ("predicate.rounds.0.refused", (Refused("zzz", ""),), "no silo of the job"),
        ("predicate.rounds.1.context", lambda _: said().predicate.rounds[0].context, "two rounds have one context"),
        ("predicate.silos", (), "the silos are none"),
        ("predicate.silos.1.name", "ambon", "one is there twice"),
        ("predicate.silos.1.certificate", lambda _: said().predicate.silos[0].certificate, "have one certificate"),
        ("predicate.silos.0.samples", 0, "has no samples"),
        ("predicate.silos.0.data", b"\0", "does not have 32 bytes"),
        ("predicate.job.policy", bytes(31), "does not have 32 bytes"),
        ("predicate.started_on", lambda time: time + timedelta(days=1), "ended before it began"),
    ],
)  # fmt: skip
def test_a_statement_that_contradicts_itself_is_refused_by_whoever_reads_it(path: str, value: Any, match: str) -> None:
    with pytest.raises(EvidenceRejected, match=match):
        provenance.read(resigned(lie(path, value)(said())))


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (b'"clip":1.0', b'"clip":1', "clip is int, not float"),
        (b'"clip":1.0', b'"clip":1.00', "not in its canonical form"),
        (b'"clip":1.0', b'"clip":"1.0"', "clip is str, not float"),
        (b'"clip":1.0,', b"", "lacks clip"),
        (b'"clip":1.0', b'"clip":1.0,"more":1', "unknown name 'more'"),
        (b'"rounds":2,', b'"rounds":true,', "rounds is bool, not int"),
        (b'"rounds":2,', b'"rounds":-2,', "rounds is negative"),
        (b'"rounds":2,', b'"rounds":2, ', "not in its canonical form"),
        (b'"data":"not committed"', b'"data":""', "is no lower-case hex"),
        (b'"data":"not committed"', b'"data":null', "is no lower-case hex"),
        (b'"data":"not committed"', b'"data":"Not committed"', "is no lower-case hex"),
        (DATA.hex().encode(), (DATA.hex()[:-1] + "G").encode(), "is no lower-case hex"),
        (b'Z","initial"', b'z","initial"', "is no time"),
        (b'"finishedOn":"2030-01-01', b'"finishedOn":"2030-02-30', "is no time that there is"),
    ],
)
def test_a_payload_in_any_other_form_is_refused(old: bytes, new: bytes, match: str) -> None:
    payload = done().statement().payload
    assert old in payload
    changed_payload = payload.replace(old, new, 1)
    envelope = Envelope("application/vnd.in-toto+json", changed_payload, done().statement().signatures)
    with pytest.raises(EvidenceRejected, match=match):
        provenance.read(envelope)


def test_another_payload_type_is_refused() -> None:
    with pytest.raises(EvidenceRejected, match="no in-toto statement"):
        provenance.read(dataclasses.replace(done().statement(), payload_type="application/json"))


def test_a_silo_signs_one_statement_a_job() -> None:
    world = finished(rounds=1)
    world.sign("ambon")
    other = resigned(lie("predicate.software.version", "9.9")(provenance.read(world.statement())))
    with pytest.raises(MessageRefused, match="another statement about this job was signed before"):
        world.sign("ambon", other)


def test_an_aggregators_statement_is_signed_by_the_aggregator_of_the_job() -> None:
    for by in ("hub2", "elba"):
        with pytest.raises(EvidenceRejected, match=r"of no party that the statement names|where the statement names"):
            signing(resigned(said(), by))
    payload = said().encode()
    alone = Envelope(done().statement().payload_type, payload, (notary(identity("bari", "silo")).sign(payload),))
    with pytest.raises(EvidenceRejected, match="not signed by its aggregator"):
        signing(alone)


def test_a_silo_that_kept_no_account_objects() -> None:
    world = finished(rounds=1)
    world.states["dakar"].replace({"provenance/initial": None})
    with pytest.raises(MessageRefused, match="no account of how the job began"):
        world.sign("dakar")
    assert world.logged("refusal")[-1]["asked"] == "provenance"


def test_the_statement_of_another_job_is_not_signed() -> None:
    other = finished(rounds=2, commits={})
    with pytest.raises(MessageRefused, match="lies in"):
        signing(other.statement())


# ------------------------------------------------------------------------------- what an aggregator does not take


def test_a_signature_is_taken_from_the_silo_that_made_it() -> None:
    world = finished(rounds=1)
    signature = world.sign("ambon")
    with pytest.raises(
        MessageRefused, match="bari brings a signature with a certificate that is not its own"
    ) as caught:
        world.provenance.signed("bari", signature)
    assert caught.value.party == "bari"
    assert not world.provenance.has_signed("bari")


def test_signatures_that_do_not_hold_are_not_taken() -> None:
    world = finished(rounds=1)
    certificate, signature = parts.split(world.sign("ambon"), 2)
    with pytest.raises(EvidenceRejected, match="does not fit the payload"):
        world.provenance.signed("ambon", parts.join([certificate, damaged(signature)]))
    stranger = notary(identity("ambon", "silo", STRANGER)).sign(world.statement().payload)
    newer = notary(renewed("ambon", "silo")).sign(world.statement().payload)
    for one in (stranger, newer):
        with pytest.raises(MessageRefused, match="not its own in the job"):
            world.provenance.signed("ambon", parts.join([one.certificate, one.signature]))
    with pytest.raises(MessageRefused):
        world.provenance.signed("ambon", b"")
    assert len(world.provenance.envelope().signatures) == 1
    world.provenance.objected("ambon", "lies " * 200)
    assert world.logged("refusal")[-1]["silo"] == "ambon"


# ------------------------------------------------------------------------------------------------------ commitments


def test_a_job_that_lies_about_a_commitment_gets_no_consent() -> None:
    world = World(backend="plain", commits=COMMITS)
    world.enrol()
    signed = world.enrolments.job()

    def told(job: Job) -> bytes:
        return changed(signed, Job, identity("hub", "aggregator"), roster=job.roster)

    job = Job.decode(world.hub_security.verify(signed).body)
    assert job.roster[0].data == DATA
    forged = dataclasses.replace(job.roster[0], data=OTHER)
    with pytest.raises(MessageRefused, match="ambon is on the roster of job test-job with other data or other code"):
        world.silos["ambon"].consent(told(dataclasses.replace(job, roster=(forged, *job.roster[1:]))))


@pytest.mark.parametrize("commits", [Commitments(OTHER, CODE), Commitments(DATA, b""), Commitments(b"", b"")])
def test_a_silo_that_comes_back_with_other_data_or_code_stops(commits: Commitments) -> None:
    world = World(backend="plain", commits=COMMITS).begin()
    world.make_silo("ambon")
    with pytest.raises(CallerError, match="with other data or other code than it has now"):
        world.make_silo("ambon", commits=commits)


@pytest.mark.parametrize("field", ["data", "code"])
@pytest.mark.parametrize("size", [1, 31, 33])
def test_a_commitment_of_another_length_is_refused(field: str, size: int) -> None:
    world = World(backend="plain")
    given = world.silos["ambon"].enrol(world.enrolments.invite("ambon"))
    with pytest.raises(MessageRefused, match="ambon commits to data or code with neither 0 nor 32 bytes") as caught:
        world.enrolments.enrol(changed(given, Enrolment, identity("ambon", "silo"), **{field: bytes(size)}))
    assert caught.value.party == "ambon"
    with pytest.raises(CallerError, match="does not have 32 bytes"):
        Commitments(bytes(size), b"")


def test_an_enrolment_with_another_commitment_is_a_second_one() -> None:
    world = World(backend="plain", commits=COMMITS)
    given = world.silos["ambon"].enrol(world.enrolments.invite("ambon"))
    world.enrolments.enrol(given)
    with pytest.raises(MessageRefused, match="with another certificate, count or commitment"):
        world.enrolments.enrol(changed(given, Enrolment, identity("ambon", "silo"), data=OTHER))


# --------------------------------------------------------------------------------------------------- two generations


def test_a_second_job_begins_where_the_first_ended() -> None:
    first = finished(rounds=1)
    parent = first.signed()
    second = World(backend="plain", rounds=1, initial=first.aggregator.model, parent=parent.encode()).run()
    statement = provenance.read(second.statement())
    assert statement.predicate.initial.statement == parent.digest == second.aggregator.job.parent
    assert statement.predicate.initial.model == provenance.read(parent).model
    assert len(second.signed().signatures) == 5


def test_a_parent_that_is_about_another_model_or_not_signed_enough_is_refused() -> None:
    first = finished(rounds=1)
    parent = first.signed()
    moved = [array + array.dtype.type(1) for array in first.aggregator.model]
    with pytest.raises(EvidenceRejected, match="the statement given for the initial model is about"):
        World(initial=moved, parent=parent.encode())
    for few in (parent.signatures[:3], parent.signatures[1:], parent.signatures[:1]):
        with pytest.raises(EvidenceRejected, match="about the initial model is signed by"):
            World(initial=first.aggregator.model, parent=dataclasses.replace(parent, signatures=few).encode())


def test_a_silo_does_not_start_from_a_model_without_the_parent_that_the_job_names() -> None:
    first = finished(rounds=1)
    parent = first.signed()
    second = World(backend="plain", rounds=1, initial=first.aggregator.model, parent=parent.encode())
    job = second.agree()
    begin = second.signing("ambon").begin
    begin(job.encoded, second.model_bytes, parent.encode())
    with pytest.raises(MessageRefused, match="none was sent"):
        begin(job.encoded, second.model_bytes, b"")
    with pytest.raises(EvidenceRejected, match="the statement given for the initial model is about"):
        other = first.model_bytes
        begin(job.encoded, other, parent.encode())
    without = World(backend="plain", rounds=1, initial=first.aggregator.model)
    with pytest.raises(MessageRefused, match="names the statement of no parent"):
        without.signing("ambon").begin(without.agree().encoded, without.model_bytes, parent.encode())
    assert np.array_equal(second.initial[0], first.aggregator.model[0])
