"""The log of a server under every check: what passes, and what a server that lies would have to write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from party_logs import AT, ROOT, lying

import attested_keepers
import made_inferences as made
from identities import START
from quatrefoil import cli
from quatrefoil.attested import Attestation
from quatrefoil.audit import Event, MemoryLog
from quatrefoil.audit.inference_receipts import InferenceReceipt, sign
from quatrefoil.audit.report import render
from quatrefoil.audit.serving_log import (
    ENDED,
    EVIDENCE,
    INFERENCE,
    KEYS,
    KEYSET,
    Served,
    ServingEnded,
    Terms,
    answered,
    begun,
    ended,
)
from quatrefoil.audit.verification import Examined, examine
from quatrefoil.enclave.evidence import EvidenceSet

OF = made.keyset()
TERMS = Terms("ward", made.MODEL, made.COMMITMENT, "tpm.pcr0=01", made.POLICY, made.PLAN)
EVIDENCE_SET = Attestation.decode(made.attestation(OF)).evidence


@pytest.fixture(autouse=True, scope="module")
def roots() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        attested_keepers.trusted(patch)
        yield


def chain(count: int, **changes: Any) -> list[InferenceReceipt]:
    found = [made.receipt(**changes)]
    while len(found) < count:
        last = found[-1]
        found.append(replace(last, sequence=last.sequence + 1, previous=last.digest(), time=last.time + 5))
    return found


def served(terms: Terms = TERMS, **changes: Any) -> Served:
    return replace(Served(OF, terms, made.NONCE, "quatrefoil serving"), **changes)


def beginning(evidence: bytes = EVIDENCE_SET, **changes: Any) -> Event:
    return begun(served(**changes), evidence, [])


def events(receipts: list[InferenceReceipt], *, key: int = 0) -> list[Event]:
    """Each with its signature."""
    return [answered(one, sign(one, made.key(key))) for one in receipts]


def ending(receipts: list[InferenceReceipt], key: int | None = 0, **changes: Any) -> Event:
    said = ServingEnded(OF.digest(), len(receipts), receipts[-1].digest() if receipts else OF.digest(), 1)
    return ended(replace(said, **changes), None if key is None else made.key(key), "stopped")


def with_body(event: Event, **changes: Any) -> Event:
    return replace(event, body={**event.body, **changes})


def without(event: Event, name: str) -> Event:
    return replace(event, body={field: value for field, value in event.body.items() if field != name})


def log_of(folder: Path, logged: list[Event]) -> Path:
    with made.server_log(folder) as log:
        log.append_all(logged)
    return folder


def examined(folder: Path, **more: Any) -> Examined:
    return examine(folder, **{"trust": ROOT, "policy": None, "relied": None, "at": AT, **more})


def failed(found: Examined) -> dict[str, str]:
    return {check.name: check.detail for check in found.verdict.failed}


def detail(found: Examined, name: str = "inferences") -> str:
    (check,) = [check for check in found.verdict.checks if check.name == name]
    return check.detail


def committed(commitment: bytes = made.COMMITMENT, model: bytes = made.MODEL) -> Event:
    body = {"model": model.hex(), "commitment": commitment.hex(), "program": bytes(32).hex()}
    return Event("committed-model", body)


def begins(number: int, commitment: bytes, model: bytes = made.MODEL) -> Event:
    """Another keyset, whose receipts name this commitment."""
    of = made.keyset(number)
    terms = replace(TERMS, commitment=commitment, model=model)
    evidence = Attestation.decode(made.attestation(of)).evidence
    return begun(Served(of, terms, made.NONCE, "quatrefoil serving"), evidence, [])


OTHER = b"d" * 32
NAMED_TWICE = {
    "a statement and another": [committed(), committed(OTHER)],
    "a statement, and receipts of another": [committed(OTHER), beginning()],
    "receipts, and a statement of another": [beginning(), committed(OTHER)],
    "receipts of two": [beginning(), begins(1, OTHER)],
    "none between two": [beginning(), begins(1, b""), begins(2, OTHER)],
}


@pytest.mark.parametrize("name", NAMED_TWICE)
def test_a_log_names_one_commitment_to_the_weights_of_a_model(tmp_path: Path, name: str) -> None:
    found = failed(examined(log_of(tmp_path, NAMED_TWICE[name])))
    assert "names the commitment" in found["inferences"], found


def test_another_model_has_another_commitment_and_one_may_have_none(tmp_path: Path) -> None:
    logged = [committed(), beginning(), begins(1, b""), begins(2, OTHER, b"n" * 32), committed(OTHER, b"n" * 32)]
    assert "inferences" not in failed(examined(log_of(tmp_path, logged)))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an issuer writes: two keysets, one answer that broke off, one process that was killed."""
    folder = tmp_path_factory.mktemp("server")
    with made.server_log(folder / "party") as log:
        code = {"measurement": made.measurement()}
        issuer = made.issuer(folder / "journal", log, **code)
        made.begun(issuer)
        for complete in (True, False, True):
            issuer.issue(made.REQUEST, made.ANSWER, 200, complete)
        issuer.flush()
        issuer.end()
        made.begun(issuer, 1)
        issuer.issue(made.REQUEST, made.ANSWER, 200, True)
        made.begun(made.issuer(folder / "journal", log, **code), 2)
    return folder / "party"


def test_the_log_of_a_server_passes(real: Path) -> None:
    found = examined(real)
    assert failed(found) == {}
    assert detail(found) == (
        "4 receipts under 3 keysets; 1 of answers that broke off; 1 not ended; "
        "1 ended by the owner's word alone, after the process was killed"
    )


def test_its_evidence_is_appraised_again(real: Path) -> None:
    found = examined(real, relied=attested_keepers.relied())
    assert failed(found) == {} and "3 measurements accepted" in detail(found, "measurements")


def test_it_goes_into_a_bundle_and_the_report_shows_it(
    real: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, report = tmp_path / "evidence.zip", tmp_path / "report.html"
    assert cli.main(["audit", "bundle", str(real), "--out", str(bundle)]) == 0
    found = examined(bundle)
    assert failed(found) == {} and found.verdict.heads[0].label == "workload-ward"
    page = render(found, name="evidence.zip", at=AT, version="0")
    for shown in ("What a model answered", "3, 1 broke off", "6d6d", made.measurement(), "killed"):
        assert shown in page
    code = cli.main(
        ["audit", "report", str(bundle), "--trust", str(ROOT), "--out", str(report), "--at", AT.isoformat()]
    )
    assert code == 0 and "What a model answered" in report.read_text()
    capsys.readouterr()


# ------------------------------------------------------------------------------------------ logs in which a server lies

R = chain(4)
Lie = Callable[[], list[Event]]

LIES: dict[str, tuple[Lie, str]] = {
    "a receipt is left out": (
        lambda: [beginning(), *events([R[0], R[2]])],
        "is receipt 2 of its keyset, where 1 should be",
    ),
    "a receipt is left out and the rest renumbered": (
        lambda: [beginning(), *events([R[0], replace(R[2], sequence=1)])],
        "names another before it than the one that is there",
    ),
    "the last are left out, and the end is as it was signed": (
        lambda: [beginning(), *events(R[:2]), ending(R)],
        "after 4 receipts, and 2 are there",
    ),
    "the end is written anew by the owner": (
        lambda: [beginning(), *events(R[:2]), ending(R[:2], key=1)],
        "no signature of this ML-DSA-44 key",
    ),
    "a field was altered": (
        lambda: [beginning(), with_body(events(R)[0], status=500)],
        "no signature of this ML-DSA-44 key",
    ),
    "a field was altered in one that another signature covers": (
        lambda: [beginning(), without(with_body(events(R)[0], complete=False), "signature"), *events(R[1:])],
        "is receipt 1, and names another before it",
    ),
    "a receipt under another key": (
        lambda: [beginning(), *events(R, key=1)],
        "no signature of this ML-DSA-44 key",
    ),
    "receipts without any signature": (
        lambda: [beginning(), *(without(one, "signature") for one in events(R))],
        "no signature covers the last 4 receipts",
    ),
    "an end over receipts without signature": (
        lambda: [beginning(), *(without(one, "signature") for one in events(R)), ending(R)],
        "no signature covers its last 4 receipts",
    ),
    "a signature that is none": (
        lambda: [beginning(), with_body(events(R)[0], signature="no base64!")],
        "a COSE_Sign1 has 0 bytes for a signature",
    ),
    "the same number twice": (
        lambda: [beginning(), *events([R[0], R[0]])],
        "is receipt 0 of its keyset, where 1 should be",
    ),
    "time runs backwards": (
        lambda: [beginning(), *events([R[0], replace(R[1], time=R[0].time - 1)])],
        "of a time before the one before it",
    ),
    "a receipt from the future": (
        lambda: [beginning(), *events(chain(1, time=R[0].time + 3_600_000))],
        "is of a receipt that was yet to come",
    ),
    "a receipt of before the keyset": (
        lambda: [beginning(), *events(chain(1, time=made.SECONDS * 1000 - 900_000))],
        "of a time before the one before it",
    ),
    "after the end": (
        lambda: [beginning(), *events(R[:2]), ending(R[:2]), *events(R[2:])],
        "after its end",
    ),
    "a second end": (lambda: [beginning(), ending([]), ending([])], "after its end"),
    "a keyset that begins twice": (lambda: [beginning(), *events(R), beginning()], "begins keyset"),
    "a keyset that has not begun": (lambda: events(R), "which has not begun"),
    "another model than receipts name": (
        lambda: [beginning(terms=replace(TERMS, model=b"o" * 32)), *events(R)],
        "no signature of this ML-DSA-44 key",
    ),
    "a commitment that is none": (
        lambda: [beginning(), with_body(events(R)[0], request="no")],
        "no lower-case hexadecimal for request",
    ),
    "a status that is none": (lambda: [beginning(), with_body(events(R)[0], status=7)], "the status 7"),
    "a status that is text": (lambda: [beginning(), with_body(events(R)[0], status="200")], "no number for status"),
    "a digest in capitals": (
        lambda: [beginning(), with_body(events(R)[0], answer="AB" * 32)],
        "no lower-case hexadecimal for answer",
    ),
    "no yes or no": (lambda: [beginning(), with_body(events(R)[0], complete=1)], "whether it is complete"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_does_not_fit(name: str, tmp_path: Path) -> None:
    lie, problem = LIES[name]
    found = failed(examined(log_of(tmp_path, lie())))
    assert problem in found.pop("inferences", ""), name
    assert found == {}


STATEMENTS: dict[str, tuple[Lie, str]] = {
    "a keyset of somebody else": (
        lambda: [beginning(terms=replace(TERMS, issuer="other"))],
        "the keyset is that of other, not of the log's owner",
    ),
    "evidence for something else": (
        lambda: [beginning(purpose="broker release")],
        "evidence is for 'broker release'",
    ),
    "another keyset than it names": (
        lambda: [replace(beginning(), attached={KEYSET: made.keyset(1).encode(), EVIDENCE: EVIDENCE_SET})],
        "names another keyset than it attaches",
    ),
    "no keyset": (lambda: [replace(beginning(), attached={EVIDENCE: EVIDENCE_SET})], "no keyset is attached"),
    "no evidence": (lambda: [replace(beginning(), attached={KEYSET: OF.encode()})], "no evidence is attached"),
    "evidence that is none": (lambda: [beginning(b"none")], "EvidenceSet is not"),
    "a keyset that signs no receipts": (
        lambda: [begun(served(keyset=replace(OF, tls=b"t" * 32, receipt=b"")), EVIDENCE_SET, [])],
        "holds no ML-DSA-44 key",
    ),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_keyset_that_does_not_verify_is_told_of(name: str, tmp_path: Path) -> None:
    lie, problem = STATEMENTS[name]
    found = failed(examined(log_of(tmp_path, lie())))
    assert problem in found["statements"] and "begins a keyset that could not be verified" in found["inferences"]


def test_only_a_server_writes_of_answers(tmp_path: Path) -> None:
    found = failed(examined(lying(tmp_path, [beginning(), *events(R), ending(R)])))
    assert "which no aggregator writes" in found["entries"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"nonce": b"o" * 32}, "report-data"),
        ({"terms": replace(TERMS, measurement="tpm.pcr0=02")}, "name other code than its evidence shows"),
    ],
    ids=["other evidence", "other code"],
)
def test_evidence_of_something_else_does_not_pass(changes: dict[str, Any], problem: str, tmp_path: Path) -> None:
    """Without this, a keyset of the operator's own making could stand beside evidence of somebody else's code."""
    found = examined(log_of(tmp_path, [beginning(**changes)]), relied=attested_keepers.relied())
    assert problem in failed(found)["measurements"]


def test_evidence_of_devices_comes_in_a_set(tmp_path: Path) -> None:
    alone = EvidenceSet.decode(EVIDENCE_SET).primary.encode()
    found = examined(log_of(tmp_path, [beginning(alone)]), relied=attested_keepers.relied())
    assert {"statements", "measurements"} <= failed(found).keys()


def test_without_a_root_nothing_is_said_of_receipts(tmp_path: Path) -> None:
    folder = log_of(tmp_path, [beginning(), *events(R)])
    (folder / "log" / "trust" / "root.pem").unlink()
    found = examined(folder, trust=None)
    assert "there is no root certificate" in failed(found)["inferences"]


def test_memory_log_and_auditor_read_the_same_kinds() -> None:
    log = MemoryLog(lambda: START + timedelta(seconds=1))
    log.append_all([beginning(), *events(R), ending(R)])
    assert [entry.kind for entry in log.entries()] == [KEYS, *[INFERENCE] * 4, ENDED]
