"""Samples and proofs in a bundle: what a verdict and a report say of receipts that are drawn and not proven.

How one proof is verified is injected into these checks; here a file of a proof lists receipts, and may say that it does
not hold. Real ones are in ``tests/proven``.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from importlib import resources
from pathlib import Path

import pytest
from party_logs import AT, ROOT

import made_inferences as made
from quatrefoil.audit import PartyLog
from quatrefoil.audit.archive import write_archive
from quatrefoil.audit.bundling import make_bundle
from quatrefoil.audit.checks.samples import MOST_TOLD, Extra, Proven, Sampling
from quatrefoil.audit.computations import Computation
from quatrefoil.audit.evidence import LARGEST_PROOF
from quatrefoil.audit.log import LOG_FOLDER, WITNESSED
from quatrefoil.audit.report import render
from quatrefoil.audit.sampling import Sample, Terms, draw
from quatrefoil.audit.verification import Examined, examine
from quatrefoil.errors import EvidenceRejected, MessageRefused, ProofRejected
from quatrefoil.serving.receipts import Computed
from quatrefoil.transport import TrustAnchor
from sampled import Cosigners, quiet, serve, server, terms

CHALLENGE = bytes(32)
TERMS = terms(6, challenge=CHALLENGE)


def listed(data: bytes, logs: Mapping[str, PartyLog], anchor: TrustAnchor, at: datetime) -> Proven:
    said = json.loads(data)
    assert said["origin"] in logs and at == AT and anchor.roots
    if "problem" in said:
        raise ProofRejected(said["problem"], hint="Ask for another")
    return Proven(frozenset(map(bytes.fromhex, said["receipts"])), b"w" * 32, 101.5)


def proof_of(receipts: Sequence[bytes], state: Path, **more: str) -> bytes:
    origin = server(state).owner.origin
    return json.dumps({"origin": origin, "receipts": [one.hex() for one in receipts], **more}).encode()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = serve(tmp_path_factory.mktemp("server"))
    (folder / LOG_FOLDER / WITNESSED).write_bytes(Cosigners().cosigned(folder))
    return folder


@pytest.fixture(scope="module")
def sample(state: Path) -> Sample:
    return draw(server(state), (state / LOG_FOLDER / WITNESSED).read_bytes(), TERMS, quiet)


def bundle(folder: Path, state: Path, samples: Sequence[bytes], proofs: Sequence[bytes]) -> Path:
    files: dict[str, list[Path]] = {}
    for what, contents in (("samples", samples), ("proofs", proofs)):
        files[what] = [folder / f"{number}.{what}" for number in range(len(contents))]
        for file, content in zip(files[what], contents, strict=True):
            file.write_bytes(content)
    make_bundle([state], folder / "evidence.zip", **files)  # type: ignore[arg-type]
    return folder / "evidence.zip"


def examined(path: Path, by: Terms | None = TERMS) -> Examined:
    sampling = None if by is None else Sampling(by, listed)
    return examine(path, trust=ROOT, policy=None, relied=None, at=AT, sampling=sampling)


def failed(found: Examined) -> dict[str, str]:
    return {check.name: check.detail for check in found.verdict.failed}


def page(found: Examined) -> str:
    return render(found, name="evidence.zip", at=AT, version="0")


# ------------------------------------------------------------------------------------------------------------ it holds


def test_every_drawn_receipt_is_proven(state: Path, sample: Sample, tmp_path: Path) -> None:
    digests = [one.digest for one in sample.drawn]
    parts = [proof_of(digests[:4], state), proof_of([*digests[3:], b"o" * 32], state)]
    found = examined(bundle(tmp_path, state, [sample.encode()], parts))
    assert failed(found) == {}
    said = {check.name: check.detail for check in found.verdict.checks}
    assert (
        said["samples"].startswith("1 sample as the terms draw it, from a checkpoint that 2 witnesses cosigned")
        and said["proofs"] == "6 of 6 receipts drawn are proven"
    )
    (facts,) = found.sampled.samples
    assert (facts.party, facts.drawn, facts.proven, facts.lacking, facts.challenged) == ("ward", 6, 6, 0, True)
    assert "no checkpoint was named by the auditor" in page(found), "the sample has named one"
    shown = page(found)
    assert "Which answers were proven" in shown and "101.5 bits" in shown and "not proven." not in shown


def test_columns_of_the_report_share_the_page(state: Path, sample: Sample, tmp_path: Path) -> None:
    """A column that the style gives no width has what others leave: of nothing, a letter a line beyond the page."""
    style = resources.files("quatrefoil.audit.report").joinpath("style.css").read_text()
    widths: dict[str, list[int]] = {}
    for name, place, width in re.findall(r"\.(\w+) th:nth-child\((\d+)\) \{ width: (\d+)%; \}", style):
        widths.setdefault(name, []).append(int(width))
        assert int(place) == len(widths[name]), name
    assert {name for name, found in widths.items() if sum(found) != 100} == set()
    proofs = [proof_of([], state), proof_of([], state, problem="no")]
    shown = page(examined(bundle(tmp_path, state, [sample.encode()], proofs)))
    tables = re.findall(r'<table class="(\w+)"><thead>(.*?)</thead>', shown)
    assert {"samples", "proofs", "served", "checks", "parties"} <= {name for name, _ in tables}
    for name, head in tables:
        assert len(widths.get(name, [])) in (0, head.count("<th ")), name


def test_the_same_files_make_the_same_bundle(state: Path, sample: Sample, tmp_path: Path) -> None:
    made_of = [sample.encode()], [proof_of([], state)]
    for name in "ab":
        (tmp_path / name).mkdir()
    one, other = (bundle(tmp_path / name, state, *made_of) for name in "ab")
    assert one.read_bytes() == other.read_bytes()
    names = zipfile.ZipFile(one).namelist()
    assert f"samples/{hashlib.sha256(sample.encode()).hexdigest()}.sample" in names
    assert sum(name.startswith("proofs/") for name in names) == 1


def test_without_terms_it_is_said_that_nothing_was_judged(state: Path, sample: Sample, tmp_path: Path) -> None:
    found = examined(bundle(tmp_path, state, [sample.encode()], [b"no proof"]), None)
    assert found.verdict.valid and {one.name for one in found.verdict.not_made} == {"measurements", "samples", "proofs"}
    assert "no terms were given" in page(found) and "Which answers were proven" not in page(found)


def test_files_beside_a_folder_count_too(state: Path, sample: Sample) -> None:
    proof = proof_of([one.digest for one in sample.drawn], state)
    given = Sampling(TERMS, listed, (Extra("one.sample", sample.encode),), (Extra("one.proof", lambda: proof),))
    found = examine(state, trust=ROOT, policy=None, relied=None, at=AT, sampling=given)
    assert failed(found) == {} and [one.name for one in found.sampled.proofs] == ["one.proof"]


# ------------------------------------------------------------------------------------------------------- it does not


def test_a_receipt_without_a_proof_shows(state: Path, sample: Sample, tmp_path: Path) -> None:
    missing = sample.drawn[2]
    proof = proof_of([one.digest for one in sample.drawn if one != missing], state)
    found = examined(bundle(tmp_path, state, [sample.encode()], [proof]))
    said = f"receipt {missing.sequence} of keyset {missing.keyset.hex()[:16]}, entry {missing.entry}, is drawn and not"
    assert failed(found).keys() == {"proofs"} and said in failed(found)["proofs"]
    assert "5 of 6 receipts drawn are proven" in failed(found)["proofs"]
    assert said[8:] in page(found) and "Do not rely on this evidence" in page(found)


def test_a_proof_that_fails_shows_and_proves_nothing(state: Path, sample: Sample, tmp_path: Path) -> None:
    digests = [one.digest for one in sample.drawn]
    bad = proof_of(digests, state, problem="<b>the sum-check ends elsewhere</b>")
    found = examined(bundle(tmp_path, state, [sample.encode()], [bad]))
    assert "the sum-check ends elsewhere" in failed(found)["proofs"] and "0 of 6" in failed(found)["proofs"]
    assert "does not hold: &lt;b&gt;the sum-check ends elsewhere" in page(found)
    (tmp_path / "both").mkdir()
    both = examined(bundle(tmp_path / "both", state, [sample.encode()], [bad, proof_of(digests, state)]))
    assert failed(both).keys() == {"proofs"}, "one that fails is not made good by another"


def test_no_proof_at_all(state: Path, sample: Sample, tmp_path: Path) -> None:
    found = examined(bundle(tmp_path, state, [sample.encode()], []))
    assert "0 of 6 receipts drawn are proven" in failed(found)["proofs"]
    assert "No proof came along." in page(found) and page(found).count("is drawn and not proven") >= 6
    assert found.sampled.samples[0].lacking == 6 <= MOST_TOLD


def test_terms_without_a_sample(state: Path, tmp_path: Path) -> None:
    found = examined(bundle(tmp_path, state, [], []))
    assert failed(found).keys() == {"samples", "proofs"} and "no sample came along" in failed(found)["samples"]


REFUSED = {
    "fewer than were agreed": (lambda s: s, terms(7, challenge=CHALLENGE), "has another"),
    "another challenge": (lambda s: s, terms(6, challenge=bytes(31)), "another challenge|in place|another seed"),
    "other witnesses": (lambda s: s, terms(6, names=["east"], challenge=CHALLENGE), "has no ML-DSA-44 cosignature"),
    "more than there are": (lambda s: s, terms(600, challenge=CHALLENGE), "600 receipts cannot be drawn from 19"),
    "a receipt swapped": (
        lambda s: replace(s, drawn=(*s.drawn[:5], replace(s.drawn[5], sequence=s.drawn[5].sequence + 1))),
        TERMS,
        "in place 5, and the rule draws",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_sample_that_the_terms_do_not_draw_shows(name: str, state: Path, sample: Sample, tmp_path: Path) -> None:
    import re

    alter, by, problem = REFUSED[name]
    proof = proof_of([one.digest for one in sample.drawn], state)
    found = examined(bundle(tmp_path, state, [alter(sample).encode()], [proof]), by)
    assert failed(found).keys() == {"samples", "proofs"} and re.search(problem, failed(found)["samples"])
    assert "no sample holds" in failed(found)["proofs"]


def test_a_sample_at_another_checkpoint_than_the_auditor_had_shows(tmp_path: Path) -> None:
    """Whoever knows the challenge could let the log grow until a sample suits."""
    with made.server_log(tmp_path / "state") as log:
        issuer = made.issuer(tmp_path / "journal", log)
        given = []
        for number in range(2):
            made.begun(issuer, number)
            for _ in range(6):
                issuer.issue(made.REQUEST, made.ANSWER, 200, True)
            issuer.flush()
            issuer.end()
            given.append(Cosigners().cosigned(tmp_path / "state"))
    state = tmp_path / "state"
    chosen = draw(server(state), given[1], TERMS, quiet)
    proof = proof_of([one.digest for one in chosen.drawn], state)
    path = bundle(tmp_path, state, [chosen.encode()], [proof])
    for checkpoint, problem in ((given[0], "is of another checkpoint"), (given[1], ""), (None, "")):
        by = Sampling(TERMS, listed, checkpoint=checkpoint)
        found = examine(path, trust=ROOT, policy=None, relied=None, at=AT, sampling=by)
        assert problem in failed(found).get("samples", "") and bool(problem) == ("samples" in failed(found))
    assert "none was given" in {check.name: check.detail for check in found.verdict.checks}["samples"]


def test_a_sample_of_a_log_that_is_not_there_shows(sample: Sample, state: Path, tmp_path: Path) -> None:
    moved = sample.checkpoint.replace("/ward\n", "/icu\n")
    found = examined(bundle(tmp_path, state, [replace(sample, checkpoint=moved).encode()], []))
    assert "no such log of a server is here" in failed(found)["samples"]


def test_an_answer_that_failed_needs_no_proof_and_is_counted(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    with made.server_log(folder / "state") as log:
        issuer = made.issuer(folder / "journal", log)
        made.begun(issuer)
        for status, complete in ((200, True), (500, True), (200, False)):
            issuer.issue(made.REQUEST, made.ANSWER, status, complete)
        issuer.flush()
        issuer.end()
    state = folder / "state"
    all_of = draw(server(state), Cosigners().cosigned(state), terms(3), quiet)
    (answered,) = [one.digest for one in all_of.drawn if one.sequence == 0]
    found = examined(bundle(tmp_path, state, [all_of.encode()], [proof_of([answered], state)]), terms(3))
    assert failed(found) == {}
    said = {check.name: check.detail for check in found.verdict.checks}["proofs"]
    assert said == "1 of 3 receipts drawn are proven; 2 have no answer to prove"
    assert "could try out samples" in page(found), "there was no challenge"
    assert "named by the auditor" not in page(found)


def test_a_question_about_the_model_needs_no_proof_and_answers_off_the_record_do(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    said = Computed(Computation(b"i" * 32, b"o" * 32), lambda _receipt: None)
    with made.server_log(folder / "state") as log:
        issuer = made.issuer(folder / "journal", log)
        for number, computed in enumerate((said, None)):
            made.begun(issuer, number)
            issuer.issue(made.REQUEST, made.ANSWER, 200, True, computed=computed)
            issuer.issue(made.REQUEST, made.ANSWER, 200, True)
            issuer.flush()
            issuer.end()
    state = folder / "state"
    drawn = draw(server(state), Cosigners().cosigned(state), terms(4), quiet)
    audited = made.keyset(0).digest()
    (committed,) = [one.digest for one in drawn.drawn if (one.keyset, one.sequence) == (audited, 0)]
    found = examined(bundle(tmp_path, state, [drawn.encode()], [proof_of([committed], state)]), terms(4))
    assert failed(found).keys() == {"proofs"}
    assert "1 of 4 receipts drawn are proven; 1 say nothing of a computation" in failed(found)["proofs"]
    (facts,) = found.sampled.samples
    assert (facts.proven, facts.silent, facts.lacking) == (1, 1, 2)
    assert {one.keyset for one in facts.missing} == {made.keyset(1).digest()}


# ---------------------------------------------------------------------------------------------------------- the bundle


def rewritten(file: Path, changes: Mapping[str, bytes | None]) -> Path:
    with zipfile.ZipFile(file) as archive:
        members: dict[str, bytes | None] = {name: archive.read(name) for name in archive.namelist()}
    members |= changes
    with file.open("wb") as out:
        write_archive(out, ((name, content) for name, content in sorted(members.items()) if content is not None))
    return file


def test_what_is_not_what_its_name_says_shows(state: Path, sample: Sample, tmp_path: Path) -> None:
    file = bundle(tmp_path, state, [], [])
    found = examined(rewritten(file, {f"samples/{'0' * 64}.sample": sample.encode()}))
    assert "holds something else than" in failed(found)["samples"]


def test_the_report_says_whose_the_checkpoint_is(state: Path, sample: Sample) -> None:
    extra = (Extra("one.sample", sample.encode),)
    for checkpoint, told in ((sample.checkpoint.encode(), False), (None, True)):
        by = Sampling(TERMS, listed, extra, checkpoint=checkpoint)
        found = examine(state, trust=ROOT, policy=None, relied=None, at=AT, sampling=by)
        (facts,) = found.sampled.samples
        assert facts.checkpoint_given is not told
        assert ("no checkpoint was named by the auditor" in page(found)) is told


@pytest.mark.parametrize("name", [f"samples/{'0' * 64}.proof", f"proofs/{'0' * 64}.sample", "samples/one.sample"])
def test_other_names_are_in_no_bundle(name: str, state: Path, tmp_path: Path) -> None:
    found = examined(rewritten(bundle(tmp_path, state, [], []), {name: b"x"}))
    assert "which no bundle has" in failed(found)["bundle"]


def test_what_is_no_sample_is_not_bundled(state: Path, tmp_path: Path) -> None:
    with pytest.raises(EvidenceRejected, match="the sample"):
        bundle(tmp_path, state, [b"none\n"], [])
    assert not (tmp_path / "evidence.zip").exists()


def test_a_file_larger_than_any_proof_is_not_bundled(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LARGEST_PROOF == 64 << 20
    monkeypatch.setattr("quatrefoil.audit.bundling.LARGEST_PROOF", 10)
    with pytest.raises(MessageRefused, match="has over 10 bytes"):
        bundle(tmp_path, state, [], [b"x" * 11])
