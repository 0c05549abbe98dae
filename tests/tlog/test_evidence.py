"""Evidence against a log: what convicts it, what does not, and that nobody can make it up."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from forking import KEYS, NOON, ORIGIN, VERIFIERS, Clock, ed25519, ml_dsa, signed, tree
from hypothesis import given, settings
from hypothesis import strategies as st

from quatrefoil.errors import EvidenceRejected
from quatrefoil.tlog import Note, read_checkpoint
from quatrefoil.tlog.evidence import (
    FORK,
    LARGEST_EVIDENCE,
    REWRITE,
    ROLLBACK,
    STALE,
    UNPROVEN,
    Evidence,
    compare,
    disproved,
    judge,
    prefix_root,
)

LATER = Clock()
LATER.pass_time(60)


def read(note: bytes):
    return read_checkpoint(note, VERIFIERS)


def rewrite(old: int = 5, new: int = 20, same: int = 2) -> Evidence:
    other = tree(new, "other", same=same)
    return Evidence(
        REWRITE, tree(old).checkpoint(), other.checkpoint(), prefix=other.root(old), proof=tuple(other.proof(old))
    )


def one_of_each() -> list[Evidence]:
    honest = tree(9)
    return [
        Evidence(FORK, tree(5).checkpoint(), tree(5, "other").checkpoint()),
        rewrite(),
        rewrite(old=4, same=0),
        Evidence(ROLLBACK, honest.checkpoint(4, at=LATER.now), honest.checkpoint()),
        Evidence(STALE, honest.checkpoint(4), honest.checkpoint()),
        Evidence(UNPROVEN, honest.checkpoint(4), tree(9, "other").checkpoint(), proof=(bytes(32),)),
    ]


each = pytest.mark.parametrize("evidence", one_of_each(), ids=lambda evidence: evidence.why)


@each
def test_it_is_what_it_says(evidence: Evidence) -> None:
    verdict = judge(evidence, VERIFIERS)
    assert verdict.why == evidence.why and verdict.origin == ORIGIN
    assert verdict.proven == (evidence.why in (FORK, REWRITE, ROLLBACK))
    assert ORIGIN in verdict.problem and verdict.why in verdict.problem


@each
def test_a_file_of_it_reads_back(evidence: Evidence) -> None:
    whole = replace(evidence, owner=b"owner", witnesses=(b"one", b""))
    assert Evidence.decode(whole.encode()) == whole
    assert json.loads(whole.encode())["first"] == evidence.first.decode()


@each
@pytest.mark.parametrize("why", [FORK, REWRITE, ROLLBACK, STALE, UNPROVEN])
def test_it_is_nothing_else(evidence: Evidence, why: str) -> None:
    """Save that a rewrite, a rollback and an unproven tree are stale too, and a rewrite's proof does not fit either."""
    also = {
        REWRITE: {STALE, UNPROVEN},
        ROLLBACK: {STALE, UNPROVEN},
        STALE: {UNPROVEN},
        UNPROVEN: {STALE},
    }.get(evidence.why, set())
    if why == evidence.why or why in also:
        judge(replace(evidence, why=why), VERIFIERS)
    else:
        with pytest.raises(EvidenceRejected):
            judge(replace(evidence, why=why), VERIFIERS)


@each
@pytest.mark.parametrize("side", ["first", "second"])
def test_it_needs_every_signature_of_the_log_on_both_sides(evidence: Evidence, side: str) -> None:
    note = Note.decode(getattr(evidence, side))
    for kept in (note.signatures[:1], note.signatures[1:]):
        with pytest.raises(EvidenceRejected, match="has no"):
            judge(replace(evidence, **{side: Note(note.text, kept).encode()}), VERIFIERS)
    strangers = [key(ORIGIN, 2).verifier for key in (ed25519, ml_dsa)]
    with pytest.raises(EvidenceRejected, match="signed by no key"):
        judge(evidence, strangers)


def test_two_logs_under_one_key_are_no_fork() -> None:
    key, name = ml_dsa(ORIGIN), "log.example/other"
    other = read_checkpoint(
        signed(tree(5, "other").root(), 5, origin=name, keys=[ml_dsa(name)]), [ml_dsa(name).verifier]
    )
    also = Note(other.note.text, (key.sign(other.checkpoint, NOON),)).encode()
    with pytest.raises(EvidenceRejected, match="different logs"):
        judge(Evidence(FORK, tree(5).checkpoint(), also), [key.verifier])


def test_one_log_that_grew_is_no_evidence() -> None:
    honest = tree(20)
    small, large = read(honest.checkpoint(5)), read(honest.checkpoint())
    assert compare(small, large) is None and compare(large, small) is None and compare(large, large) is None
    proof = tuple(honest.proof(5))
    grown = small.note.encode(), large.note.encode()
    for evidence in (
        Evidence(FORK, *grown),
        Evidence(REWRITE, *grown, prefix=honest.root(5), proof=proof),
        Evidence(REWRITE, *grown, prefix=tree(5, "other").root(), proof=proof),
        Evidence(REWRITE, *grown, prefix=b"", proof=proof),
        Evidence(ROLLBACK, *grown),
        Evidence(UNPROVEN, *grown, proof=proof),
        Evidence(STALE, *reversed(grown)),
        Evidence(STALE, grown[0], grown[0]),
    ):
        with pytest.raises(EvidenceRejected):
            judge(evidence, VERIFIERS)


def test_a_rollback_takes_a_later_second() -> None:
    honest = tree(9)
    with pytest.raises(EvidenceRejected, match="not signed after"):
        judge(Evidence(ROLLBACK, honest.checkpoint(4), honest.checkpoint()), VERIFIERS)
    only_ed25519 = [honest.checkpoint(4, keys=KEYS[:1], at=LATER.now), honest.checkpoint(keys=KEYS[:1])]
    with pytest.raises(EvidenceRejected, match="not signed after"):  # that key says nothing of time
        judge(Evidence(ROLLBACK, *only_ed25519), VERIFIERS[:1])


def test_witnesses_of_both_sides_are_named() -> None:
    liar, honest, other = (ml_dsa(f"w{number}", 10 + number) for number in range(3))
    first = tree(5).checkpoint(keys=(*KEYS, liar, honest))
    second = tree(5, "other").checkpoint(keys=(*KEYS, liar, other))
    known = [one.verifier for one in (liar, honest, other)]
    assert judge(Evidence(FORK, first, second), VERIFIERS, known).both == (liar.verifier,)
    assert judge(Evidence(FORK, first, second), VERIFIERS).both == ()
    stale = Evidence(STALE, tree(4).checkpoint(keys=(*KEYS, liar)), tree(5).checkpoint(keys=(*KEYS, liar)))
    assert judge(stale, VERIFIERS, known).both == ()  # to sign both is what a witness is for


def test_a_witness_cannot_be_made_to_have_signed() -> None:
    honest = ml_dsa("w1", 11)
    first = tree(5).checkpoint(keys=(*KEYS, honest))
    line = Note.decode(first).signatures[-1]
    second = Note.decode(tree(5, "other").checkpoint())
    forged = Note(second.text, (*second.signatures, line)).encode()
    verdict = judge(Evidence(FORK, first, forged), VERIFIERS, [honest.verifier])
    assert (verdict.why, verdict.both) == ("fork", ())


@pytest.mark.parametrize(
    "broken",
    [
        lambda text: text[:-1],
        lambda text: text + "\n",
        lambda text: text.replace('"v": 1', '"v": 2'),
        lambda text: text.replace('"v": 1', '"v": true'),
        lambda text: text.replace('"why": "fork"', '"why": "spoon"'),
        lambda text: text.replace('"why": "fork"', '"why": ["fork"]'),
        lambda text: text.replace('"proof": []', '"proof": ["AAAA"]'),
        lambda text: text.replace('"proof": []', '"proof": {}'),
        lambda text: text.replace('"prefix": ""', '"prefix": "AAAA"'),
        lambda text: text.replace('"prefix": ""', '"prefix": "!"'),
        lambda text: text.replace('"owner": ""', '"owner": null'),
        lambda text: text.replace('"owner": "",\n ', ""),
        lambda text: text.replace('"owner"', '"owners"'),
        lambda text: text.replace("\n ", "\n  ", 1),
        lambda text: text.replace(ORIGIN, "\\ud800", 1),
        lambda text: text.replace('"owner": ""', '"owner": "' + "A" * (1 << 17) + '"'),
        lambda text: "[" * 100_000,
        lambda text: " " * (LARGEST_EVIDENCE + 1),
        lambda text: "",
    ],
    ids=range(19),
)
def test_a_file_that_is_not_of_its_form_is_refused(broken) -> None:
    text = one_of_each()[0].encode().decode()
    changed = broken(text)
    assert changed != text
    with pytest.raises(EvidenceRejected, match="file of evidence"):
        Evidence.decode(changed.encode())


@settings(max_examples=100, deadline=None)
@given(new=st.integers(2, 40), data=st.data())
def test_a_proof_of_consistency_gives_the_old_root_back(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new - 1))
    honest = tree(new)
    proof = honest.proof(old)
    found = prefix_root(old, new, honest.root(), proof)
    assert found == (None if old & (old - 1) == 0 else honest.root(old))
    assert prefix_root(old, new, bytes(32), proof) is None
    assert prefix_root(old, new, honest.root(), [*proof, bytes(32)]) is None
    assert prefix_root(old, new, honest.root(), proof[:-1]) is None


@settings(max_examples=100, deadline=None)
@given(old=st.integers(1, 30), more=st.integers(1, 20), cut=st.integers(0, 6), flip=st.booleans())
def test_an_honest_log_is_never_convicted(old: int, more: int, cut: int, flip: bool) -> None:
    """Whatever proof is held against two checkpoints of one history."""
    honest = tree(old + more)
    proof = honest.proof(old)[cut:]
    if flip and proof:
        proof[0] = bytes(32)
    small, large = read(honest.checkpoint(old)), read(honest.checkpoint())
    evidence = disproved(small, large, proof)
    assert evidence.why == UNPROVEN


def test_a_checkpoint_that_was_altered_is_no_side() -> None:
    evidence = one_of_each()[0]
    altered = evidence.second.replace(b"\n5\n", b"\n6\n")
    with pytest.raises(EvidenceRejected, match="does not fit"):
        judge(replace(evidence, second=altered), VERIFIERS)
    assert signed(tree(5).root(), 5) != evidence.second
