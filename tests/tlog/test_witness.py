"""A witness: every status of C2SP tlog-witness, what it never signs, races, kills and restarts."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from forking import KEYS, NOON, ORIGIN, VERIFIERS, Clock, Tree, ed25519, ml_dsa, signed, tree, witness
from hypothesis import given, settings
from hypothesis import strategies as st

from quatrefoil.errors import CallerError, EvidenceRejected, HostError, QuatrefoilError, StateCorrupt
from quatrefoil.state import MemoryState, SqliteState
from quatrefoil.tlog import Note, read_checkpoint
from quatrefoil.tlog.evidence import judge
from quatrefoil.tlog.merkle import EMPTY_ROOT
from quatrefoil.tlog.notes import read_signatures
from quatrefoil.tlog.witness import (
    LARGEST_REQUEST,
    MOST_EVIDENCE,
    AddCheckpoint,
    CosignatureRefused,
    InconsistencyRefused,
    LogUnknown,
    RequestMalformed,
    SignatureRefused,
    SizeConflict,
    Witness,
)

HASH = base64.b64encode(bytes(32)).decode()


def refusal(of: Witness, body: bytes) -> CosignatureRefused:
    with pytest.raises(CosignatureRefused) as raised:
        of.add_checkpoint(body)
    assert raised.value.hint
    return raised.value


def cosigned(checkpoint: bytes, line: bytes, of: Witness) -> None:
    """The line is a cosignature of the witness on this checkpoint."""
    note = Note.decode(checkpoint)
    whole = Note(note.text, (*note.signatures, *read_signatures(line.decode())))
    found = read_checkpoint(whole.encode(), (*VERIFIERS, of.verifier)).by(of.verifier)
    assert found is not None and found.at is not None


# ------------------------------------------------------------------------------------------------------------- signing


def test_the_first_checkpoint_of_a_log_and_all_that_follow_are_cosigned() -> None:
    one, honest = witness(), tree(40)
    size = 0
    for new in (0, 0, 1, 2, 3, 8, 8, 15, 16, 17, 40, 40):
        line = one.add_checkpoint(honest.request(size, new))
        cosigned(honest.checkpoint(new), line, one)
        size = one.size(ORIGIN)
        assert size == new
    latest = one.latest(ORIGIN)
    assert latest is not None
    found = read_checkpoint(latest, (*VERIFIERS, one.verifier))
    found.require((*VERIFIERS, one.verifier))
    assert one.evidence(ORIGIN) == []


def test_signatures_of_unknown_keys_are_passed_over_and_not_kept() -> None:
    one, honest = witness(), tree(3)
    body = honest.request(0, keys=(*KEYS, ml_dsa("stranger.example", 9)))
    cosigned(honest.checkpoint(), one.add_checkpoint(body), one)
    latest = one.latest(ORIGIN)
    assert latest is not None and b"stranger" not in latest


def test_a_log_known_by_one_key_needs_that_one_only() -> None:
    honest = tree(3)
    one = Witness(ml_dsa("w", 7), {ORIGIN: VERIFIERS[:1]}, MemoryState(), clock=Clock())
    cosigned(honest.checkpoint(), one.add_checkpoint(honest.request(0, keys=KEYS[:1])), one)


def test_a_clock_that_is_set_back_signs_no_larger_tree_at_an_earlier_time() -> None:
    clock = Clock()
    one, honest = witness(clock=clock), tree(9)
    one.add_checkpoint(honest.request(0, 5))
    clock.pass_time(-3600)
    line = one.add_checkpoint(honest.request(5, 9))
    (signature,) = read_signatures(line.decode())
    assert int.from_bytes(signature.signature[:8], "big") == int(NOON.timestamp())


# ------------------------------------------------------------------------------------------------------------ statuses


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0",
        b"old 0\n",
        b"old 0\n\n",
        b"new 0\n\n" + tree(3).checkpoint(),
        b"old 00\n\n" + tree(3).checkpoint(),
        b"old 01\n\n" + tree(3).checkpoint(),
        b"old -1\n\n" + tree(3).checkpoint(),
        b"old +1\n\n" + tree(3).checkpoint(),
        b"old 1 \n\n" + tree(3).checkpoint(),
        b"old\n\n" + tree(3).checkpoint(),
        b"old 9223372036854775808\n\n" + tree(3).checkpoint(),
        "old \u0661\n\n".encode() + tree(3).checkpoint(),
        b"old 1\r\n\n" + tree(3).checkpoint(),
        b"old 1\nAAAA\n\n" + tree(3).checkpoint(),
        b"old 1\n" + HASH.encode().rstrip(b"=") + b"\n\n" + tree(3).checkpoint(),
        b"old 1\n" + HASH.encode()[:-2] + b"B=\n\n" + tree(3).checkpoint(),
        b"old 1\n" + f"{HASH}\n".encode() * 64 + b"\n" + tree(3).checkpoint(),
        b"old 0\n\n" + tree(3).checkpoint()[:-1],
        b"old 0\n\n" + tree(3).checkpoint().replace(b"\n3\n", b"\n03\n"),
        b"old 0\n\n" + tree(3).checkpoint().partition(b"\n\n")[0] + b"\n",
        b"old 0\n\n\n" + tree(3).checkpoint(),
        b"old 0\n\n" + b"x" * LARGEST_REQUEST,
    ],
    ids=range(23),
)
def test_400_for_what_is_no_request(body: bytes) -> None:
    one = witness()
    error = refusal(one, body)
    assert (type(error), error.status) == (RequestMalformed, 400)
    assert one.latest(ORIGIN) is None


def test_400_for_an_old_size_above_the_checkpoints() -> None:
    one, honest = witness(), tree(5)
    one.add_checkpoint(honest.request(0))
    error = refusal(one, AddCheckpoint(5, (), honest.checkpoint(3)).encode())
    assert (type(error), error.status) == (RequestMalformed, 400)
    assert "old size 5 is above" in error.problem


def test_403_without_a_signature_of_the_logs_keys() -> None:
    strangers = ed25519(ORIGIN, 2), ml_dsa(ORIGIN, 2)
    for keys in (strangers, (KEYS[0],), (KEYS[1],), (KEYS[0], strangers[1]), (strangers[0], KEYS[1])):
        error = refusal(witness(), tree(3).request(0, keys=keys))
        assert (type(error), error.status) == (SignatureRefused, 403)


@pytest.mark.parametrize("key", [0, 1])
def test_403_for_a_signature_of_a_known_key_that_does_not_verify(key: int) -> None:
    note = Note.decode(tree(3).checkpoint())
    other = Note.decode(tree(3, "other").checkpoint())
    lines = list(note.signatures)
    lines[key] = other.signatures[key]
    forged = Note(note.text, tuple(lines)).encode()
    assert type(refusal(witness(), AddCheckpoint(0, (), forged).encode())) is SignatureRefused
    doubled = Note(note.text, (*note.signatures, other.signatures[key])).encode()
    assert refusal(witness(), AddCheckpoint(0, (), doubled).encode()).status == 403


def test_404_for_a_log_that_is_not_followed() -> None:
    other = "log.example/other"
    error = refusal(witness(), tree(3).request(0, origin=other, keys=(ed25519(other), ml_dsa(other))))
    assert (type(error), error.status) == (LogUnknown, 404)
    assert other in error.problem


@pytest.mark.parametrize("old", [0, 2, 4, 6])
def test_409_with_the_size_for_another_old_size(old: int) -> None:
    one, honest = witness(), tree(9)
    one.add_checkpoint(honest.request(0, 5))
    error = refusal(one, honest.request(old))
    assert isinstance(error, SizeConflict)
    assert (error.status, error.size, error.body, error.evidence) == (409, 5, b"5\n", None)
    assert one.size(ORIGIN) == 5
    one.add_checkpoint(honest.request(error.size))


def test_409_for_a_first_checkpoint_with_an_old_size() -> None:
    error = refusal(witness(), tree(9).request(3))
    assert isinstance(error, SizeConflict) and error.body == b"0\n"


def test_422_for_an_empty_tree_with_a_root_and_before_that_403() -> None:
    error = refusal(witness(), AddCheckpoint(0, (), signed(bytes(32), 0)).encode())
    assert (type(error), error.status) == (InconsistencyRefused, 422)
    assert refusal(witness(), AddCheckpoint(0, (), signed(bytes(32), 0, keys=KEYS[:1])).encode()).status == 403
    other = "log.example/other"
    unknown = signed(bytes(32), 0, origin=other, keys=(ed25519(other), ml_dsa(other)))
    assert refusal(witness(), AddCheckpoint(0, (), unknown).encode()).status == 404
    cosigned(signed(EMPTY_ROOT, 0), (one := witness()).add_checkpoint(tree(0).request(0)), one)


def test_422_for_a_proof_where_none_belongs() -> None:
    one, honest = witness(), tree(5)
    assert refusal(one, AddCheckpoint(0, (bytes(32),), honest.checkpoint()).encode()).status == 422
    one.add_checkpoint(honest.request(0))
    assert refusal(one, AddCheckpoint(5, (bytes(32),), honest.checkpoint()).encode()).status == 422
    assert one.evidence(ORIGIN) == []


def test_422_for_another_root_at_the_same_size_and_the_fork_is_kept() -> None:
    one = witness()
    one.add_checkpoint(tree(5).request(0))
    error = refusal(one, tree(5, "other").request(5))
    assert (type(error), error.status) == (InconsistencyRefused, 422)
    assert one.evidence(ORIGIN) == [error.evidence]
    verdict = judge(one.evidence(ORIGIN)[0], VERIFIERS, [one.verifier])
    assert (verdict.why, verdict.proven, verdict.both) == ("fork", True, ())


@pytest.mark.parametrize("old", [3, 5, 6, 7, 12])
def test_422_for_a_rewritten_log_and_its_own_proof_convicts_it(old: int) -> None:
    """A log that proves consistency within its new tree shows what that tree has in the place of the old one."""
    one, rewritten = witness(), tree(20, "other", same=2)
    one.add_checkpoint(tree(old).request(0))
    error = refusal(one, rewritten.request(old))
    assert (type(error), error.status) == (InconsistencyRefused, 422)
    assert error.evidence is not None and one.evidence(ORIGIN) == [error.evidence]
    verdict = judge(error.evidence, VERIFIERS)
    assert (verdict.why, verdict.proven) == ("rewrite", True)
    assert one.size(ORIGIN) == old


@pytest.mark.parametrize("old", [1, 2, 4, 8])
def test_a_rewrite_of_a_whole_subtree_is_kept_as_unproven(old: int) -> None:
    """A proof from a power of two does not hold the old root, so a wrong one convicts nobody by itself."""
    one, rewritten = witness(), tree(20, "other")
    one.add_checkpoint(tree(old).request(0))
    assert refusal(one, rewritten.request(old)).status == 422
    verdict = judge(one.evidence(ORIGIN)[0], VERIFIERS)
    assert (verdict.why, verdict.proven) == ("unproven", False)


def test_a_damaged_proof_is_no_proof_and_convicts_nobody() -> None:
    honest = tree(20)
    proof = honest.proof(5)
    for wrong in (proof[:-1], proof[::-1], [*proof, bytes(32)], [bytes(32), *proof[1:]], []):
        one = witness()
        one.add_checkpoint(honest.request(0, 5))
        assert refusal(one, AddCheckpoint(5, tuple(wrong), honest.checkpoint()).encode()).status == 422
        (evidence,) = one.evidence(ORIGIN)
        assert not judge(evidence, VERIFIERS).proven
        one.add_checkpoint(honest.request(5))


def test_a_fork_is_kept_also_where_the_answer_is_a_conflict() -> None:
    one = witness()
    one.add_checkpoint(tree(5).request(0))
    error = refusal(one, tree(5, "other").request(0))
    assert isinstance(error, SizeConflict) and error.evidence is not None
    assert judge(error.evidence, VERIFIERS).why == "fork"


def test_a_smaller_tree_that_was_signed_later_is_a_rollback() -> None:
    one, honest = witness(), tree(9)
    later = Clock()
    later.pass_time(60)
    one.add_checkpoint(honest.request(0))
    assert refusal(one, honest.request(0, 4)).evidence is None
    error = refusal(one, honest.request(0, 4, at=later.now))
    assert isinstance(error, SizeConflict) and error.evidence is not None
    assert judge(error.evidence, VERIFIERS).why == "rollback"


def test_evidence_is_kept_once_and_so_much_of_it() -> None:
    one = witness()
    one.add_checkpoint(tree(5).request(0))
    for number in range(MOST_EVIDENCE + 3):
        for _ in range(2):
            refusal(one, tree(5, f"other-{number}").request(5))
    assert len(one.evidence(ORIGIN)) == MOST_EVIDENCE


def test_a_checkpoint_from_elsewhere_is_examined_and_never_signed() -> None:
    one = witness()
    assert one.examine(tree(5).checkpoint()) is None
    one.add_checkpoint(tree(5).request(0))
    before = one.latest(ORIGIN)
    assert one.examine(tree(5).checkpoint()) is None
    assert one.examine(tree(9).checkpoint()) is None
    found = one.examine(tree(5, "other").checkpoint())
    assert found is not None and judge(found, VERIFIERS).why == "fork"
    assert one.latest(ORIGIN) == before and one.evidence(ORIGIN) == [found]
    with pytest.raises(SignatureRefused):
        one.examine(tree(5).checkpoint(keys=KEYS[:1]))


# ------------------------------------------------------------------------------------------------- keys, names, restart


def test_a_witness_signs_with_ml_dsa_44_only() -> None:
    with pytest.raises(CallerError, match="ML-DSA-44"):
        Witness(ed25519("w"), {}, MemoryState(), clock=Clock())
    with pytest.raises(CallerError, match="no key"):
        Witness(ml_dsa("w"), {ORIGIN: ()}, MemoryState(), clock=Clock())


def test_a_log_that_is_shown_under_other_keys_is_refused() -> None:
    store = MemoryState()
    witness(store=store)
    with pytest.raises(EvidenceRejected, match="other keys than it had"):
        Witness(ml_dsa("w"), {ORIGIN: (ed25519(ORIGIN, 2).verifier,)}, store, clock=Clock())
    witness(store=store)


def test_two_logs_of_names_that_begin_alike_are_kept_apart() -> None:
    longer = f"{ORIGIN}/more"
    both = {ORIGIN: VERIFIERS, longer: tuple(key(longer).verifier for key in (ed25519, ml_dsa))}
    one = Witness(ml_dsa("w", 7), both, MemoryState(), clock=Clock())
    one.add_checkpoint(tree(5).request(0))
    keys = ed25519(longer), ml_dsa(longer)
    one.add_checkpoint(tree(7).request(0, origin=longer, keys=keys))
    refusal(one, tree(7, "other").request(7, origin=longer, keys=keys))
    assert (one.size(ORIGIN), one.size(longer)) == (5, 7)
    assert (len(one.evidence(ORIGIN)), len(one.evidence(longer))) == (0, 1)


class Killed(BaseException):
    pass


class Dying(MemoryState):
    """A store whose process ends just before or just after a value is durable."""

    die = ""

    def replace(self, changes: Mapping[str, bytes | None]) -> None:
        if self.die == "before":
            raise Killed
        super().replace(changes)
        if self.die == "after":
            raise Killed


@pytest.mark.parametrize(("when", "remembered"), [("before", 5), ("after", 9)])
def test_killed_around_the_moment_of_persisting(when: str, remembered: int) -> None:
    store, honest = Dying(), tree(12)
    one = witness(store=store)
    one.add_checkpoint(honest.request(0, 5))
    store.die = when
    with pytest.raises(Killed):
        one.add_checkpoint(honest.request(5, 9))
    store.die = ""
    again = witness(store=store)
    assert again.size(ORIGIN) == remembered
    assert refusal(again, tree(9, "other").request(remembered)).status in (409, 422)
    if remembered == 9:  # the answer was lost: the log learns the size, and asks again
        error = refusal(again, honest.request(5, 9))
        assert isinstance(error, SizeConflict) and error.size == 9
        cosigned(honest.checkpoint(9), again.add_checkpoint(honest.request(9, 9)), again)
    again.add_checkpoint(honest.request(again.size(ORIGIN), 12))


def test_nothing_is_answered_where_the_disk_refuses() -> None:
    class Full(MemoryState):
        full = False

        def replace(self, changes: Mapping[str, bytes | None]) -> None:
            if self.full:
                raise HostError("the disk is full", hint="Free some")
            super().replace(changes)

    store = Full()
    one, honest = witness(store=store), tree(9)
    one.add_checkpoint(honest.request(0, 5))
    store.full = True
    with pytest.raises(HostError):
        one.add_checkpoint(honest.request(5, 9))
    assert one.size(ORIGIN) == 5


def test_it_goes_on_after_a_restart_on_its_disk(tmp_path: Path) -> None:
    honest = tree(9)
    state = SqliteState(tmp_path / "state.sqlite")
    witness(store=state).add_checkpoint(honest.request(0, 5))
    refusal(witness(store=state), tree(5, "other").request(5))
    state.close()
    state = SqliteState(tmp_path / "state.sqlite")
    again = witness(store=state)
    assert again.size(ORIGIN) == 5 and len(again.evidence(ORIGIN)) == 1
    assert refusal(again, honest.request(0)).status == 409
    again.add_checkpoint(honest.request(5))
    state.close()


def test_a_store_that_was_altered_is_refused() -> None:
    store = MemoryState()
    one = witness(store=store)
    one.add_checkpoint(tree(5).request(0))
    (name,) = store.names("witness/latest/")
    content = store.get(name)
    assert content is not None
    store.replace({name: content.replace(b"\n5\n", b"\n4\n")})
    with pytest.raises(StateCorrupt, match="never go on from an older copy"):
        one.add_checkpoint(tree(9).request(4))


# ---------------------------------------------------------------------------------------------------------------- races


def test_of_two_requests_at_once_from_one_size_one_is_signed() -> None:
    honest = tree(20)
    for _ in range(10):
        one = witness()
        one.add_checkpoint(honest.request(0, 3))
        start = threading.Barrier(2)

        def ask(size: int, one: Witness = one, start: threading.Barrier = start) -> bool:
            body = honest.request(3, size)
            start.wait()
            try:
                one.add_checkpoint(body)
            except SizeConflict:
                return False
            return True

        with ThreadPoolExecutor(2) as threads:
            signed_sizes = [size for size, done in zip((10, 20), threads.map(ask, (10, 20)), strict=True) if done]
        assert [one.size(ORIGIN)] == signed_sizes


# ----------------------------------------------------------------------------------------------------------- properties


@settings(max_examples=60, deadline=None)
@given(
    requests=st.lists(
        st.tuples(st.sampled_from(["honest", "other"]), st.integers(0, 12), st.integers(0, 12), st.integers(0, 8)),
        max_size=12,
    )
)
def test_whatever_it_is_asked_it_signs_one_history(requests: list[tuple[str, int, int, int]]) -> None:
    """Every checkpoint that is signed begins with the one signed before it."""
    trees = {"honest": tree(12), "other": tree(12, "other", same=4)}
    one, history = witness(), Tree()
    for kind, old, size, taken in requests:
        proof = trees[kind].proof(min(old, size), size)[: 8 if taken > 6 else taken]
        body = AddCheckpoint(old, tuple(proof), trees[kind].checkpoint(size)).encode()
        try:
            one.add_checkpoint(body)
        except QuatrefoilError as error:
            assert isinstance(error, CosignatureRefused)
            continue
        assert trees[kind].content[: len(history.content)] == history.content
        history = Tree(trees[kind].content[:size])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_what_a_quorum_detects_of_a_fork(count: int) -> None:
    """An operator that shows two logs gets both past a quorum of q only where the f witnesses that lie for it and the
    honest ones it divides suffice for both: 2 q <= n + f. Every division, every number of liars."""
    sides = tree(5), tree(5, "other")
    for liars in range(count + 1):
        honest = count - liars
        for quorum in range(1, count + 1):
            passes = False
            for first in range(honest + 1):
                signatures = [liars, liars]
                for number in range(honest):
                    one, mine = witness(f"w{number}", seed=10 + number), 0 if number < first else 1
                    one.add_checkpoint(sides[mine].request(0))
                    signatures[mine] += 1
                    assert refusal(one, sides[1 - mine].request(5)).status == 422
                passes |= min(signatures) >= quorum
            assert passes == (2 * quorum <= count + liars)
