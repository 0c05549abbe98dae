"""The checks of what a log tells: rounds, contributors, voids, and what is attached to them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from party_logs import AT, failed, file, lying, tile_log

from identities import consortium, identity
from quatrefoil.audit import Event, entries
from quatrefoil.audit.log import PAYLOADS
from quatrefoil.errors import MessageRefused
from quatrefoil.transport import statement
from world import World

A, B, C = "aa" * 32, "bb" * 32, "cc" * 32


def opened(number: int = 1, attempt: int = 0, context: str = A) -> Event:
    return Event("round-opened", {"round": number, "attempt": attempt, "context": context})


def finished(number: int = 1, attempt: int = 0, context: str = A, names=("ambon", "bari"), **more) -> Event:
    body = {"round": number, "attempt": attempt, "context": context, "contributors": list(names), "model": B}
    return Event("round-finished", body | more)


def void(number: int = 1, attempt: int = 0) -> Event:
    return Event("round-void", {"round": number, "attempt": attempt, "reason": "test"})


# ----------------------------------------------------------------------------------------- rounds, contributors, voids

TWICE = [opened(), finished(), opened(1, 1, C), finished(1, 1, C)]
STORIES = {
    "finished twice": (TWICE, "rounds", "a second time"),
    "finished twice, with another model": ([opened(), finished(), finished(model=C)], "rounds", "a second time"),
    "finished without being opened": ([finished()], "rounds", "not opened under its context"),
    "finished under another context": ([opened(context=C), finished()], "rounds", "not opened under its context"),
    "opened twice": ([opened(), opened(context=C)], "rounds", "under a second context"),
    "opened after its end": ([opened(), finished(), opened(1, 1, C)], "rounds", "round 1 is finished"),
    "gone back": ([opened(2, 0), opened(1, 0, C)], "rounds", "after attempt 0 at round 2"),
    "one left out": ([opened(2), finished(2)], "rounds", "finishes round 2 after 0"),
    "refused and in": ([opened(), finished(refused={"bari": "late"})], "contributors", "was refused"),
    "nobody in it": ([opened(), finished(names=())], "contributors", "are none"),
    "one twice": ([opened(), finished(names=("ambon", "ambon"))], "contributors", "there twice"),
    "another roster": (
        [
            opened(),
            Event("roster", {"round": 1, "attempt": 0, "context": A, "contributors": ["ambon", "cusco"]}),
            finished(),
        ],
        "contributors",
        "names another contributors",
    ),
    "a member that answers twice": (
        [
            Event("member-answer", {"round": 1, "attempt": 0, "context": A, "contributors": names})
            for names in (["ambon", "bari"], ["ambon", "bari", "cusco"])
        ],
        "contributors",
        "(member-answer) names another contributors",
    ),
    "void and finished": ([opened(), void(), finished()], "voids", "which was voided"),
    "void and opened": ([opened(), void(), opened(1, 0, C)], "voids", "which was voided"),
    "finished and void": ([opened(), finished(), void()], "voids", "after its end"),
    "an earlier one void": ([void(1, 2), void(1, 1)], "voids", "after a later one"),
    "a number that is none": ([Event("round-opened", opened().body | {"round": "1"})], "entries", "is no number"),
    "a context that is none": ([Event("round-opened", opened().body | {"context": 7})], "entries", "is no text"),
    "names that are none": ([opened(), finished(names=("ambon", 3))], "entries", "is no list of names"),
    "receipts without any": ([Event("receipts", {"round": 1, "attempt": 0})], "statements", "no batch is attached"),
    "receipts that are none": (
        [Event("receipts", {"round": 1, "attempt": 0}, {"batch": b"none"})],
        "statements",
        "(receipts)",
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_what_cannot_have_happened_is_found(tmp_path: Path, story: str) -> None:
    events, check, detail = STORIES[story]
    found = failed(lying(tmp_path, events))
    assert check in found and detail in found[check]


def test_what_is_said_again_after_a_restart_is_no_second_event(tmp_path: Path) -> None:
    events = [opened(), void(), void(), opened(1, 1, C), finished(1, 1, C), opened(1, 1, C), finished(1, 1, C)]
    assert failed(lying(tmp_path, [*events, opened(2, 0, B), finished(2, 0, B)])) == {}


def test_a_silo_that_also_sends_something_else_does_not_spoil_the_log_of_an_honest_aggregator(tmp_path: Path) -> None:
    """It is refused for that, and contributes what it sent first."""
    world = World(backend="plain")
    with tile_log(tmp_path, "hub", world.clock) as log:
        world.logs["hub"] = log
        world.enrolments = world.make_enrolments()
        world.begin()
        offer = world.open()
        world.send(offer)
        with pytest.raises(MessageRefused):
            world.aggregator.receive("bari", b"something else")
        world.finish()
        last = [entry for entry in log.entries() if entry.kind == "round-finished"][-1]
        assert "bari" in last.body["contributors"] and last.body["refused"] == {}
    assert failed(tmp_path) == {}


def test_two_jobs_in_one_log_both_begin_with_round_1(tmp_path: Path) -> None:
    events = [Event("consent", {"job": A}), opened(), finished(), Event("consent", {"job": B})]
    assert failed(lying(tmp_path, [*events, opened(context=C), finished(context=C)])) == {}


def test_a_keeper_killed_before_it_gave_a_key_out_makes_another(tmp_path: Path) -> None:
    def key(context: str) -> Event:
        return Event("round-opened", {"job": B, "round": 1, "attempt": 0, "context": context})

    def release(context: str) -> Event:
        body = {"job": B, "round": 1, "attempt": 0, "context": context, "contributors": ["ambon"]}
        return Event("key-release", body | {"enclave": "software", "isolation": "none"})

    assert failed(lying(tmp_path / "once", [key(A), key(C), release(C)], "keeper")) == {}
    assert "rounds" in failed(lying(tmp_path / "first", [key(A), key(C), release(A)], "keeper"))
    assert "rounds" in failed(lying(tmp_path / "both", [key(A), release(A), key(C)], "keeper"))


def test_a_round_accepted_twice_with_another_model_fails(tmp_path: Path) -> None:
    def accepted(model: str) -> Event:
        return Event("round-accepted", {"round": 1, "context": A, "contributors": ["ambon"], "model": model})

    assert failed(lying(tmp_path / "same", [accepted(B), accepted(B)], "ambon")) == {}
    found = failed(lying(tmp_path / "other", [accepted(B), accepted(C)], "ambon"))
    assert {"rounds", "contributors"} <= found.keys()


def test_the_receipts_of_another_aggregator_fail_statements(job: Path, tmp_path: Path) -> None:
    """Signed by a certified aggregator, about another job, and put into this one's log."""
    batch = next(entry for entry in hub_entries(job) if entry.kind == "receipts")
    content = file(job / "hub", f"{PAYLOADS}/{batch.attached['batch'].sha256}").read_bytes()
    lying(tmp_path / "rome", [Event("receipts", dict(batch.body), {"batch": content})], "rome-silo")
    with tile_log(job / "hub", "hub") as log:
        log.append("receipts", {"round": 9, "attempt": 0}, {"batch": content})
    assert "another round" in failed(job / "hub")["statements"]
    assert "which no silo writes" in failed(tmp_path / "rome")["entries"]


def hub_entries(job: Path) -> list[entries.Entry]:
    from quatrefoil.audit import PartyLog

    trust = consortium("test-consortium").trust
    return list(PartyLog.in_folder(job / "hub" / "log", trust, clock=lambda: AT).entries())


def test_messages_signed_by_another_than_who_sends_them_fail_statements(tmp_path: Path) -> None:
    def roster(holder) -> Event:
        body = {"round": 1, "attempt": 0, "context": A, "contributors": ["ambon"]}
        return Event("roster", body, {"proposal": statement.sign(b"a proposal", holder)})

    def sent(holder) -> Event:
        body = {"round": 1, "attempt": 0, "context": A, "silo": "ambon"}
        return Event("contribution", body, {"contribution": statement.sign(b"a contribution", holder)})

    for number, (event, problem) in enumerate(
        [
            (roster(identity("hub", "aggregator")), ""),
            (roster(identity("hub", "aggregator", "stranger")), "certificate"),
            (roster(identity("ambon", "silo")), "not by the aggregator"),
            (roster(identity("rome", "aggregator")), "not by the log's owner"),
            (sent(identity("ambon", "silo")), ""),
            (sent(identity("bari", "silo")), "names another silo"),
            (sent(identity("ambon", "silo", "stranger")), "certificate"),
        ]
    ):
        found = failed(lying(tmp_path / f"{number}", [opened(), event]))
        assert problem in found["statements"] if problem else found == {}


def test_where_a_model_comes_from_is_verified_and_held_to_the_rounds(job: Path) -> None:
    """The same statement in a log whose rounds had other contributors."""
    from quatrefoil.audit.dsse import Envelope

    entry = next(one for one in hub_entries(job) if one.kind == "provenance")
    content = file(job / "hub", f"{PAYLOADS}/{entry.attached['envelope'].sha256}").read_bytes()
    said = Event("provenance", dict(entry.body), {"envelope": content})
    assert failed(lying(job / "x", [said])) == {}
    ended = next(one for one in hub_entries(job) if one.kind == "round-finished")
    other = [opened(1, 0, ended.body["context"]), finished(1, 0, ended.body["context"])]
    assert "provenance" in failed(lying(job / "y", [*other, said]))["contributors"]
    signatures = Envelope.decode(content).signatures
    alone = dataclasses.replace(Envelope.decode(content), signatures=signatures[1:]).encode()
    assert failed(lying(job / "z", [Event("provenance", {"statement": A}, {"envelope": content})]))["statements"]
    assert failed(lying(job / "w", [Event("provenance", {"statement": A}, {"envelope": alone})]))["statements"]


def test_an_altered_batch_of_receipts_fails_statements(job: Path) -> None:
    from quatrefoil.audit.receipts import ReceiptBatch

    batch = next(entry for entry in hub_entries(job) if entry.kind == "receipts")
    content = file(job / "hub", f"{PAYLOADS}/{batch.attached['batch'].sha256}").read_bytes()
    whole = ReceiptBatch.decode(content)
    fewer = dataclasses.replace(whole, payloads=whole.payloads[:-1]).encode()
    with tile_log(job / "hub", "hub") as log:
        log.append("receipts", dict(batch.body), {"batch": fewer})
    assert "statements" in failed(job / "hub")
