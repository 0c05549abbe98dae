"""A file P is refused for every reason that shows before a proof is looked at, and says which."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from float_models import numbers
from identities import identity
from proven_answers import ROOT, Ward, clock, small_graph, trust
from quatrefoil.audit import PartyLog
from quatrefoil.errors import EvidenceRejected, MessageRefused
from quatrefoil.proofs.field_hash import field_hash
from quatrefoil.proofs.inference import Link, WeightsCommitment
from quatrefoil.proven import ProofFile, ProvenReceipt, Recorded, logged_answers, verify_answers
from quatrefoil.proven.statement import sign_statement
from quatrefoil.quantised import program_of
from quatrefoil.wire import WireObject


@dataclass
class Made:
    """A file whose proofs are none, with everything around them as it has to be."""

    ward: Ward
    log: PartyLog
    records: list[Recorded]
    file: ProofFile

    def refused(self, file: ProofFile | bytes, why: str, *, log: bool = True) -> None:
        data = file if isinstance(file, bytes) else file.encode()
        with pytest.raises(EvidenceRejected, match=why):
            verify_answers(data, trust(), clock=clock, log=self.log if log else None)

    def refused_of_itself(self, why: str) -> None:
        self.refused(self.file, why)


def made_of(ward: Ward, records: list[Recorded], *, hidden: bool = False) -> Made:
    signed = ward.state()
    log = ward.logged()
    places = logged_answers(log, {one.receipt.digest() for one in records}, ward.said()).places
    hashed = field_hash(6, ward.graph.input.low, ward.graph.input.high)
    shown = tuple(ProvenReceipt.of(one, places[one.receipt.digest()], hashed, hidden=hidden) for one in records)
    commitment = WeightsCommitment(program_of(ward.graph).content, 8, ROOT, b"no proof", ())
    return Made(ward, log, records, ProofFile(signed, commitment, log.owner.origin, hidden, shown, b"no proof"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    ward = Ward(tmp_path_factory.mktemp("ward"), small_graph())
    yield made_of(ward, [ward.answer(numbers(seed, 2, 6), number=seed) for seed in range(3)])
    ward.close()


def test_receipts_are_found_where_the_log_has_them(made: Made):
    entries = [one.entry for one in made.file.receipts]
    assert [made.log.entry(at).kind for at in entries] == ["inference"] * 3
    assert logged_answers(made.log, {bytes(32)}, made.ward.said()).places == {}


@pytest.mark.parametrize("keyset", [["aa"], {"a": 1}, None, 7])
def test_an_entry_that_names_its_keyset_by_no_text_is_refused(tmp_path: Path, keyset: object):
    """Its owner may sign what it likes: who reads the log is told what is wrong with it."""
    ward = Ward(tmp_path, small_graph())
    ward.answer(numbers(1, 2, 6))
    ward.state()
    (body,) = [dict(entry.body) for entry in ward.logged().entries() if entry.kind == "inference"]
    ward.log.append("inference", body | {"keyset": keyset})
    with pytest.raises(EvidenceRejected, match=r"the receipts in the log do not hold: .* which has not begun"):
        logged_answers(ward.logged(), {bytes(32)}, ward.said())
    ward.close()


def test_a_file_reads_back(made: Made):
    assert ProofFile.decode(made.file.encode()) == made.file
    assert made.file.batch().binding == ProofFile.decode(made.file.encode()).batch().binding


def with_receipt(file: ProofFile, number: int, **changes: object) -> ProofFile:
    receipts = list(file.receipts)
    receipts[number] = replace(receipts[number], **changes)
    return replace(file, receipts=tuple(receipts))


CHANGES: dict[str, tuple[Callable[[ProofFile], ProofFile], bool]] = {
    "a receipt less": (lambda file: replace(file, receipts=file.receipts[:-1]), True),
    "receipts in another order": (lambda file: replace(file, receipts=file.receipts[::-1]), True),
    "another place in the log": (lambda file: with_receipt(file, 0, entry=77), True),
    "another log": (lambda file: replace(file, origin="another"), True),
    "another statement": (lambda file: replace(file, statement=file.statement + b"x"), True),
    "another proof": (lambda file: replace(file, proof=b"another"), False),
    "another key": (lambda file: with_receipt(file, 0, inputs_key=bytes(32)), False),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_proof_is_bound_to(made: Made, name: str):
    """What the receipts commit to is bound through them; the proof is its own."""
    change, binds = CHANGES[name]
    assert (change(made.file).batch().binding != made.file.batch().binding) == binds


@pytest.mark.parametrize("data", [b"", b"\x80", b"garbage" * 9, WeightsCommitment(b"", 4, ROOT, b"", ()).encode()])
def test_other_bytes_are_refused(made: Made, data: bytes):
    made.refused(data, "no proof of answers")


def test_a_file_cut_anywhere_is_refused(made: Made):
    data = made.file.encode()
    for end in (1, len(data) // 2, len(data) - 1):
        made.refused(data[:end], "no proof of answers")
    made.refused(data + b"\0", "no proof of answers")


def test_a_statement_of_somebody_else_is_refused(made: Made):
    for signer, why in (
        (identity("other", "workload"), "of ward, and the model of other"),
        (identity("ward", "aggregator"), "serves none"),
        (identity("ward", "workload", root="stranger"), "cannot be told"),
    ):
        made.refused(replace(made.file, statement=sign_statement(made.ward.said(), signer)), why)


def test_a_statement_about_another_model_is_refused(made: Made):
    signed = sign_statement(made.ward.said(model=bytes(32)), made.ward.identity)
    made.refused(replace(made.file, statement=signed), "is of the model")


@pytest.mark.parametrize("changes", [{"root": b"d" * 32}, {"openings": 9}, {"program": b"QFPROG01"}])
def test_another_commitment_is_refused(made: Made, changes):
    made.refused(replace(made.file, commitment=replace(made.file.commitment, **changes)), "not the one that ward says")


def test_a_program_that_is_none_is_refused(made: Made):
    content = b"QFPROG01" + bytes(40)
    signed = sign_statement(made.ward.said(program=hashlib.sha256(content).digest()), made.ward.identity)
    commitment = replace(made.file.commitment, program=content)
    made.refused(replace(made.file, statement=signed, commitment=commitment), "the program is none")


def test_no_receipts_and_receipts_twice_are_refused(made: Made):
    made.refused(replace(made.file, receipts=()), "0 receipts are bound")
    made.refused(replace(made.file, receipts=made.file.receipts * 2), "bound twice")
    twice = with_receipt(made.file, 0, entry=made.file.receipts[1].entry)
    made.refused(twice, "bound twice")


BYTES = {"inputs": "other inputs than", "outputs": "about other outputs", "inputs_key": "other inputs than"}


@pytest.mark.parametrize(("name", "why"), [*BYTES.items(), ("outputs_key", "about other outputs")])
def test_what_the_receipt_does_not_commit_to_is_refused(made: Made, name: str, why: str):
    content = getattr(made.file.receipts[0], name)
    for place in (0, len(content) - 4):
        altered = bytearray(content)
        altered[place] ^= 1
        made.refused(with_receipt(made.file, 0, **{name: bytes(altered)}), why)
    made.refused(with_receipt(made.file, 0, **{name: getattr(made.file.receipts[1], name)}), why)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"rows": 1}, "bytes of inputs for 1 rows"),
        ({"rows": 0}, "bytes of inputs for 0 rows"),
        ({"rows": 1 << 20}, "bytes of inputs for 1048576 rows"),
        ({"inputs": b""}, "0 bytes of inputs"),
        ({"inputs": b"\x7f" * 48}, "inputs that no model takes"),
        ({"outputs": b""}, "0 bytes of outputs"),
        ({"outputs": b"1234"}, "4 bytes of outputs for 2 rows"),
        ({"inputs_key": b""}, "keys of another length"),
        ({"outputs_key": bytes(31)}, "keys of another length"),
        ({"receipt": b"\x80"}, "a receipt is none"),
    ],
)
def test_what_is_not_of_the_form_is_refused(made: Made, changes, why):
    made.refused(with_receipt(made.file, 0, **changes), why)


def test_hidden_inputs_are_the_hashes_that_the_receipt_commits_to(made: Made, tmp_path: Path):
    ward = Ward(tmp_path, small_graph())
    found = made_of(ward, [ward.answer(numbers(seed, 2, 6), number=seed) for seed in range(2)], hidden=True)
    shown = found.file.receipts[0]
    assert shown.inputs_key == b"" and len(shown.inputs) == 2 * 152 * 8
    assert found.records[0].keys.inputs not in found.file.encode()
    altered = bytearray(shown.inputs)
    altered[7] ^= 1
    found.refused(with_receipt(found.file, 0, inputs=bytes(altered)), "other inputs than")
    swapped = shown.inputs[152 * 8 :] + shown.inputs[: 152 * 8]
    found.refused(with_receipt(found.file, 0, inputs=swapped), "other inputs than")
    found.refused(with_receipt(found.file, 0, inputs_key=bytes(32)), "keys of another length")
    found.refused(replace(found.file, hidden=False), "bytes of inputs for 2 rows")
    made.refused(replace(made.file, hidden=True), "bytes of inputs for 2 rows")
    ward.close()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": 500}, "no whole answer: its status is 500"),
        ({"complete": False}, "no whole answer"),
    ],
)
def test_what_is_no_whole_answer_is_refused(tmp_path: Path, changes, why):
    ward = Ward(tmp_path, small_graph())
    made_of(ward, [ward.answer(numbers(1, 1, 6), **changes)]).refused_of_itself(why)
    ward.close()


def test_a_receipt_that_says_nothing_of_a_computation_is_refused(tmp_path: Path):
    ward = Ward(tmp_path, small_graph())
    made_of(ward, [ward.answer(numbers(1, 1, 6), audit=False)]).refused_of_itself("not in audit mode")
    ward.close()


def test_another_log_and_another_place_are_refused(made: Made, tmp_path: Path):
    made.refused(replace(made.file, origin="quatrefoil/other"), "the log is")
    moved = with_receipt(made.file, 0, entry=0)
    made.refused(moved, "says that receipt .* is entry 0, and the log has it at")
    other = Ward(tmp_path, small_graph())
    other.state(made.file.statement)
    empty = replace(made, log=other.logged())
    empty.refused(made.file, "nowhere")
    other.close()


def test_a_log_without_the_statement_or_with_two_is_refused(tmp_path: Path):
    ward = Ward(tmp_path, small_graph())
    found = made_of(ward, [ward.answer(numbers(1, 1, 6))])
    other = sign_statement(ward.said(commitment=b"d" * 32), ward.identity)
    found.refused(
        replace(found.file, statement=other, commitment=replace(found.file.commitment, root=b"d" * 32)),
        "names the committed weights 63636363",
    )
    again = replace(found.file, statement=sign_statement(ward.said(), ward.identity))
    found.refused(again, "has 1 statements about the model")  # which says the same, and is not the one
    body = {"model": ward.root.hex(), "commitment": ROOT.hex(), "program": "00"}
    ward.log.append("committed-model", body, {"committed": other})
    replace(found, log=ward.logged()).refused(found.file, "has 2 statements about the model")
    ward.close()


@pytest.mark.parametrize(
    ("links", "openings"),
    [((Link(ROOT, b""),), 8), ((Link(b"x", b""),), 8), ((), 0), ((), 65), ((Link(bytes(32), b""),) * 2, 8)],
)
def test_commitments_that_are_none_are_refused(links, openings):
    with pytest.raises(MessageRefused):
        WeightsCommitment(b"", openings, ROOT, b"", links)
    assert issubclass(WeightsCommitment, WireObject)
