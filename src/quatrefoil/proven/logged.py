"""What a server's log has of a committed model: the statement about it, once, and each receipt at its place."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from quatrefoil.audit import PartyLog, ownership, serving_log
from quatrefoil.audit.checks.inferences import NAME as INFERENCES
from quatrefoil.audit.checks.inferences import Inferences
from quatrefoil.audit.entries import Attachment, Entry
from quatrefoil.audit.log import Log
from quatrefoil.audit.serving_log import INFERENCE, KEYS, KEYSET, Served
from quatrefoil.audit.verdict import Findings
from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.proven.proof_file import ProofFile
from quatrefoil.proven.statement import Committed, CommittedModel, read_statement

KIND = "committed-model"
STATEMENT = "committed"
_HINT = "Keep the log and the file: together they prove what does not fit"


def log_statement(log: Log, signed: bytes) -> None:
    """Write the statement about a model into one's own log, unless one that says the same is there. ``CallerError``
    where the log has another about the same model."""
    said = read_statement(signed)
    for entry in log.entries():
        if entry.kind == KIND and entry.body.get("model") == said.model.hex():
            if read_statement(log.payload(entry.attached[STATEMENT].sha256)).agrees_with(said):
                return
            raise CallerError(
                f"the log has another statement about the model {said.model.hex()[:16]}, at entry {entry.index}",
                hint="Commit once to a model, and link from then on; or serve another model",
            )
    body = {"model": said.model.hex(), "commitment": said.commitment.hex(), "program": said.program.hex()}
    log.append(KIND, body, {STATEMENT: signed})


@dataclass(frozen=True)
class Logged:
    """What a proof is bound to of a log: its ``origin``, the signed ``statement`` about the model, and the entries of
    receipts, by their digests, as far as it has them."""

    origin: str
    statement: bytes
    places: Mapping[bytes, int]


def logged_answers(log: PartyLog, digests: Collection[bytes], model: CommittedModel) -> Logged:
    """``EvidenceRejected`` where the log's receipts do not hold, or where it does not have one statement of its owner
    about the file of ``model`` that says the same: nothing that is proven would be verified then. The statement's
    signature is for :func:`quatrefoil.proven.verify_statement`."""
    places, statements = _read(log, set(digests), model.model.hex())
    if len(statements) != 1:
        raise _wrong(
            f"the log has {len(statements)} statements about the model {model.model.hex()[:16]}, not one: no proof "
            "could be verified against it",
        )
    ((_, attached),) = statements.items()
    if attached is None:
        raise _wrong("the log's entry about the model attaches no statement")
    signed = log.payload(STATEMENT, attached)
    if not read_statement(signed).agrees_with(model):
        raise _wrong("the log's statement about the model names another commitment than this one, or another program")
    if (signer := ownership.named(signed)[1]) != log.owner.name:
        raise _wrong(f"the log is of {log.owner.name}, and its statement about the model of {signer}")
    return Logged(log.owner.origin, signed, places)


def require_logged(log: PartyLog, file: ProofFile, committed: Committed) -> None:
    """``EvidenceRejected`` unless the log is the one that the file names and its owner signed the statement, has that
    and no other about the model, and has every receipt at its place in a chain that holds."""
    if log.owner.origin != file.origin or log.owner.name != committed.signer:
        raise _wrong(f"the log is {log.owner.origin}, and the file is about {file.origin} of {committed.signer}")
    wanted = {one.said.digest(): one.entry for one in file.receipts}
    places, statements = _read(log, set(wanted), committed.said.model.hex())
    if set(statements) != {hashlib.sha256(file.statement).hexdigest()}:
        raise _wrong(f"the log has {len(statements)} statements about the model, and has to have this one alone")
    for digest, entry in wanted.items():
        if places.get(digest) != entry:
            found = "nowhere" if digest not in places else f"at {places[digest]}"
            raise _wrong(f"the file says that receipt {digest.hex()[:16]} is entry {entry}, and the log has it {found}")


def _read(log: PartyLog, wanted: set[bytes], model: str) -> tuple[dict[bytes, int], dict[str, Attachment | None]]:
    """Entries of receipts, and statements about ``model`` by their digests; every entry is held to the checkpoint."""
    findings = Findings()
    chains, served, places = Inferences(findings), dict[str, Served](), dict[bytes, int]()
    statements: dict[str, Attachment | None] = {}
    for entry in log.entries():
        if entry.kind == KEYS:
            found = _served(log, entry)
            served[entry.body["keyset"]] = found
            chains.follow(entry, [found])
            continue
        chains.follow(entry, [])
        # What the check did not accept is told of below, and may be of any type.
        if entry.kind == INFERENCE and findings.passed(INFERENCES):
            digest = serving_log.receipt_from(entry.body, served[entry.body["keyset"]]).digest()
            if digest in wanted:
                places[digest] = entry.index
        elif entry.kind == KIND and entry.body["model"] == model:
            attached = entry.attached.get(STATEMENT)
            statements["" if attached is None else attached.sha256] = attached
    chains.end()
    (check,) = findings.checks([INFERENCES])
    if not check.passed:
        raise EvidenceRejected(f"the receipts in the log do not hold: {check.detail}", hint=_HINT, check=INFERENCES)
    return places, statements


def _served(log: PartyLog, entry: Entry) -> Served:
    if KEYSET not in entry.attached:
        raise _wrong(f"entry {entry.index} attaches no keyset")
    return serving_log.served_from(entry.body, log.payload(KEYSET, entry.attached[KEYSET]))


def _wrong(problem: str) -> EvidenceRejected:
    return EvidenceRejected(problem, hint=_HINT, check="log")


__all__ = ["KIND", "STATEMENT", "Logged", "log_statement", "logged_answers", "require_logged"]
