"""What the challenges depend on: the statement, and every byte that was sent before them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from toy_proofs import Silo, run, toy_shape

from bounded_update import Rejected
from bounded_update.proof_bytes import Reader, regions
from bounded_update.transcript import Transcript
from bounded_update.verifier import verify_under

PAGE = (Path(__file__).parents[2] / "docs" / "proofs.md").read_text()
SHAPE = toy_shape(2, 4, 5 * 32)


class Recorded(Transcript):
    """Keeps what is absorbed; a label that is skipped is not."""

    def __init__(self, state: bytes, skipped: str = "") -> None:
        super().__init__(state)
        self.sent: list[tuple[str, bytes]] = []
        self.skipped = skipped

    def absorb(self, label: str, data: bytes) -> None:
        self.sent.append((label, data))
        if not data or label != self.skipped:
            super().absorb(label, data)


def verified() -> tuple[Recorded, bytes, int]:
    """The transcript of a verifier, the proof, and where the last opening begins."""
    silo = Silo(SHAPE)
    statement, blocks, proof = silo.statement(), silo.blocks(), run(silo.prover())
    data = proof.to_bytes()
    reader, transcript = Reader(SHAPE, data), Recorded(statement.digest(blocks))
    verify_under(statement, blocks, reader.head(), reader, transcript)
    end = next(at for name, at, _ in regions(SHAPE, proof) if name == "words 0 of tree 3")
    return transcript, data, end


def test_all_that_is_sent_is_absorbed_in_order() -> None:
    """Magic, version and digest stand before; the last opening is after the last challenge, and bound by root 3."""
    transcript, data, end = verified()
    assert b"".join(sent for _, sent in transcript.sent) == data[44:end]


def test_labels_are_those_of_the_page_in_its_order() -> None:
    table = PAGE[PAGE.index("| | sent, absorbed under") :].partition("\n\n")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines()[2:]]
    expected: list[tuple[str, bool]] = []
    for number, sent, drawn in rows:
        labels = [(label, True) for label in re.findall(r"; `(\w+)`", sent)]
        labels += [(label, False) for label in re.findall(r"`(\w+)`:", drawn)]
        repeat = {"3.i": SHAPE.ell, "8.i": SHAPE.code.C.bit_length() - 1}.get(number.strip(), 1)
        expected += labels * repeat
    found = [(label, bool(data)) for label, data in verified()[0].sent]
    assert found == expected


@pytest.mark.parametrize("label", ["root1", "root2", "round", "values", "sigma", "opening", "opened", "fold", "row"])
def test_a_verifier_that_forgets_a_message_draws_other_challenges(label: str) -> None:
    silo = Silo(SHAPE)
    statement, blocks, data = silo.statement(), silo.blocks(), run(silo.prover()).to_bytes()
    reader = Reader(SHAPE, data)
    with pytest.raises(Rejected):
        verify_under(statement, blocks, reader.head(), reader, Recorded(statement.digest(blocks), label))
