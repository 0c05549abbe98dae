"""A file P is refused for every reason that shows before a proof is looked at, and says which."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from float_models import everything, numbers
from proven_answers import ROOT, Ward, clock, small_graph, trust
from quatrefoil.audit import PartyLog
from quatrefoil.errors import EvidenceRejected, MessageRefused
from quatrefoil.proofs.inference import Link, WeightsCommitment
from quatrefoil.proven import Exchange, ProofFile, ProvenExchange, places_of, verify_answers
from quatrefoil.proven.exchanges import read_receipt
from quatrefoil.proven.statement import sign_statement
from quatrefoil.quantised import enter, program_of, quantise, trace_of
from quatrefoil.wire import WireObject
from world import identity


@dataclass
class Made:
    """A file whose proofs are none, with everything around them as it has to be."""

    ward: Ward
    log: PartyLog
    exchanges: list[Exchange]
    file: ProofFile

    def refused(self, file: ProofFile | bytes, why: str, *, log: bool = True) -> None:
        data = file if isinstance(file, bytes) else file.encode()
        with pytest.raises(EvidenceRejected, match=why):
            verify_answers(data, trust(), clock=clock, log=self.log if log else None)


def made_of(ward: Ward, samples: list[np.ndarray], outputs: bytes = b"") -> Made:
    signed = ward.state()
    exchanges = [ward.answer(one, number=number) for number, one in enumerate(samples)]
    log = ward.logged()
    places = places_of(log, {read_receipt(one).digest() for one in exchanges})
    proven = tuple(ProvenExchange(places[read_receipt(one).digest()], one) for one in exchanges)
    commitment = WeightsCommitment(program_of(ward.graph).content, 8, ROOT, b"no proof", ())
    return Made(ward, log, exchanges, ProofFile(signed, commitment, log.owner.origin, proven, outputs, b"no proof"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    ward = Ward(tmp_path_factory.mktemp("ward"), small_graph())
    yield made_of(ward, [numbers(seed, 2, 6) for seed in range(3)])
    ward.close()


def test_receipts_are_found_where_the_log_has_them(made: Made):
    entries = [one.entry for one in made.file.exchanges]
    assert [made.log.entry(at).kind for at in entries] == ["inference"] * 3
    assert places_of(made.log, {bytes(32)}) == {}


def test_a_file_reads_back(made: Made):
    assert ProofFile.decode(made.file.encode()) == made.file
    assert made.file.binding().digest() == ProofFile.decode(made.file.encode()).binding().digest()


def with_exchange(file: ProofFile, number: int, **changes: object) -> ProofFile:
    exchanges = list(file.exchanges)
    exchanges[number] = replace(exchanges[number], **changes)
    return replace(file, exchanges=tuple(exchanges))


CHANGES: dict[str, tuple[Callable[[ProofFile], ProofFile], bool]] = {
    "a receipt less": (lambda file: replace(file, exchanges=file.exchanges[:-1]), True),
    "receipts in another order": (lambda file: replace(file, exchanges=file.exchanges[::-1]), True),
    "another place in the log": (lambda file: with_exchange(file, 0, entry=77), True),
    "another log": (lambda file: replace(file, origin="another"), True),
    "another statement": (lambda file: replace(file, statement=file.statement + b"x"), True),
    "another proof": (lambda file: replace(file, proof=b"another"), False),
    "another salt": (
        lambda file: with_exchange(file, 0, exchange=replace(file.exchanges[0].exchange, salt=bytes(32))),
        False,
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_proof_is_bound_to(made: Made, name: str):
    """What the receipts commit to is bound through them; the proof is its own."""
    change, binds = CHANGES[name]
    assert (change(made.file).binding().digest() != made.file.binding().digest()) == binds


@pytest.mark.parametrize("data", [b"", b"\x80", b"garbage" * 9, Exchange(b"", b"", b"", b"", b"", b"").encode()])
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
    made.refused(replace(made.file, exchanges=()), "0 receipts are bound")
    made.refused(replace(made.file, exchanges=made.file.exchanges * 2), "bound twice")
    twice = with_exchange(made.file, 0, entry=made.file.exchanges[1].entry)
    made.refused(twice, "bound twice")


def test_another_answer_is_refused(made: Made):
    first, second = made.exchanges[:2]
    swapped = replace(first, answer=second.answer)
    made.refused(with_exchange(made.file, 0, exchange=swapped), "is about another answer")
    made.refused(with_exchange(made.file, 0, exchange=replace(first, request=second.request)), "another request")


def test_outputs_beside_answers_that_have_them_are_refused(made: Made):
    made.refused(replace(made.file, outputs=b"\0" * 4), "have them twice")


def test_another_log_and_another_place_are_refused(made: Made, tmp_path: Path):
    made.refused(replace(made.file, origin="quatrefoil/other"), "the log is")
    moved = with_exchange(made.file, 0, entry=0)
    made.refused(moved, "says that receipt .* is entry 0, and the log has it at")
    other = Ward(tmp_path, small_graph())
    other.state(made.file.statement)
    empty = replace(made, log=other.logged())
    empty.refused(made.file, "nowhere")
    other.close()


def test_a_log_without_the_statement_or_with_two_is_refused(tmp_path: Path):
    ward = Ward(tmp_path, small_graph())
    found = made_of(ward, [numbers(1, 1, 6)])
    other = sign_statement(ward.said(commitment=b"d" * 32), ward.identity)
    found.refused(
        replace(found.file, statement=other, commitment=replace(found.file.commitment, root=b"d" * 32)),
        "has 1 statements about the model",
    )
    body = {"model": ward.root.hex(), "commitment": "00", "program": "00"}
    ward.log.append("committed-model", body, {"committed": other})
    replace(found, log=ward.logged()).refused(found.file, "has 2 statements about the model")
    ward.close()


def test_the_largest_output_has_to_be_where_the_answer_says(tmp_path: Path):
    ward = Ward(tmp_path, quantise(everything(), numbers(1, 30, 2, 8, 8)))
    samples = numbers(5, 3, 2, 8, 8)
    outputs = trace_of(ward.graph, enter(ward.graph, samples)).outputs
    found = made_of(ward, [samples], outputs.astype("<i4").tobytes())
    found.refused(replace(found.file, outputs=found.file.outputs[:-4]), "bytes of outputs for 3 answers")
    wrong = outputs.copy()
    wrong[1, (wrong[1].argmax() + 1) % 4] = wrong[1].max() + 1
    found.refused(replace(found.file, outputs=wrong.astype("<i4").tobytes()), "not the place of the largest")
    ward.close()


@pytest.mark.parametrize(
    ("links", "openings"),
    [((Link(ROOT, b""),), 8), ((Link(b"x", b""),), 8), ((), 0), ((), 65), ((Link(bytes(32), b""),) * 2, 8)],
)
def test_commitments_that_are_none_are_refused(links, openings):
    with pytest.raises(MessageRefused):
        WeightsCommitment(b"", openings, ROOT, b"", links)
    assert issubclass(WeightsCommitment, WireObject)
