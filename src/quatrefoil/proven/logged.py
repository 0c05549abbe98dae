"""What a server's log has of a committed model: the statement about it, once, and each receipt at its place."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from quatrefoil.audit import PartyLog, serving_log
from quatrefoil.audit.checks.inferences import NAME as INFERENCES
from quatrefoil.audit.checks.inferences import Inferences
from quatrefoil.audit.entries import Entry
from quatrefoil.audit.log import Log
from quatrefoil.audit.serving_log import INFERENCE, KEYS, KEYSET, Served
from quatrefoil.audit.verdict import Findings
from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.proven.proof_file import ProofFile
from quatrefoil.proven.statement import Committed, CommittedModel
from quatrefoil.transport import statement

KIND = "committed-model"
STATEMENT = "committed"
_HINT = "Keep the log and the file: together they prove what does not fit"


def log_statement(log: Log, signed: bytes) -> None:
    """Write the statement about a model into one's own log, unless it is there. ``CallerError`` where the log has
    another about the same model."""
    said = CommittedModel.decode(statement.Signed.decode(signed).body)
    digest = hashlib.sha256(signed).hexdigest()
    for entry in log.entries():
        if entry.kind == KIND and entry.body.get("model") == said.model.hex():
            if entry.attached[STATEMENT].sha256 == digest:
                return
            raise CallerError(
                f"the log has another statement about the model {said.model.hex()[:16]}, at entry {entry.index}",
                hint="Commit once to a model, and link from then on; or serve another model",
            )
    body = {"model": said.model.hex(), "commitment": said.commitment.hex(), "program": said.program.hex()}
    log.append(KIND, body, {STATEMENT: signed})


def places_of(log: PartyLog, digests: Collection[bytes]) -> dict[bytes, int]:
    """The entries of receipts by their digests: of those that the log has. ``EvidenceRejected`` where the log's
    receipts do not hold."""
    return _read(log, set(digests), "")[0]


def require_logged(log: PartyLog, file: ProofFile, committed: Committed) -> None:
    """``EvidenceRejected`` unless the log is the one that the file names and its owner signed the statement, has that
    and no other about the model, and has every receipt at its place in a chain that holds."""
    if log.owner.origin != file.origin or log.owner.name != committed.signer:
        raise _wrong(f"the log is {log.owner.origin}, and the file is about {file.origin} of {committed.signer}")
    wanted = {one.said.digest(): one.entry for one in file.receipts}
    places, statements = _read(log, set(wanted), committed.said.model.hex())
    if statements != {hashlib.sha256(file.statement).hexdigest()}:
        raise _wrong(f"the log has {len(statements)} statements about the model, and has to have this one alone")
    for digest, entry in wanted.items():
        if places.get(digest) != entry:
            found = "nowhere" if digest not in places else f"at {places[digest]}"
            raise _wrong(f"the file says that receipt {digest.hex()[:16]} is entry {entry}, and the log has it {found}")


def _read(log: PartyLog, wanted: set[bytes], model: str) -> tuple[dict[bytes, int], set[str]]:
    """Entries of receipts, and digests of statements about ``model``; every entry is held to the checkpoint."""
    findings = Findings()
    chains, served, places = Inferences(findings), dict[str, Served](), dict[bytes, int]()
    statements: set[str] = set()
    for entry in log.entries():
        if entry.kind == KEYS:
            found = _served(log, entry)
            served[entry.body["keyset"]] = found
            chains.follow(entry, [found])
            continue
        chains.follow(entry, [])
        if entry.kind == INFERENCE and entry.body["keyset"] in served:
            digest = serving_log.receipt_from(entry.body, served[entry.body["keyset"]]).digest()
            if digest in wanted:
                places[digest] = entry.index
        elif entry.kind == KIND and entry.body["model"] == model:
            attached = entry.attached.get(STATEMENT)
            statements.add("" if attached is None else attached.sha256)
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


__all__ = ["KIND", "STATEMENT", "log_statement", "places_of", "require_logged"]
