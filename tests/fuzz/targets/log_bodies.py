"""A server's log whose owner writes what it likes, soundly signed, as whoever checks it, draws from it or proves by it
reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache

from tests.fuzz import rooms
from tests.fuzz.held import refused_or

import made_inferences as made
from quatrefoil.audit import Event, PartyLog, entries, ownership, serving_log
from quatrefoil.audit.entries import Attachment
from quatrefoil.audit.inference_receipts import InferenceReceipt, sign
from quatrefoil.audit.log import OWNER, PAYLOADS
from quatrefoil.audit.sampling import Terms, draw
from quatrefoil.audit.trusted import Trusted
from quatrefoil.audit.verification import verify
from quatrefoil.enclave.evidence import Evidence, EvidenceSet
from quatrefoil.proven import CommittedModel, Port
from quatrefoil.proven.logged import KIND, STATEMENT, logged_answers
from quatrefoil.proven.statement import sign_statement
from quatrefoil.tlog import Checkpoint, LogKeys, Note, Signer
from quatrefoil.tlog.edge import Edge
from quatrefoil.tlog.keys import new_witness_key
from quatrefoil.tlog.reader import CHECKPOINT
from quatrefoil.transport import statement, system_clock

START = datetime.now(UTC).replace(microsecond=0)
KEYSET = made.keyset(0, int(START.timestamp()))
MOST_ENTRIES = 32


def receipt(sequence: int, previous: bytes) -> InferenceReceipt:
    time = int(START.timestamp()) * 1000
    return made.receipt(keyset=KEYSET.digest(), sequence=sequence, previous=previous, time=time)


FIRST = receipt(0, KEYSET.digest())


@cache
def keys() -> LogKeys:
    return LogKeys.generate(f"quatrefoil/{rooms.trust().fingerprints[0].hex()[:16]}/ward")


@cache
def witness() -> Signer:
    return new_witness_key("witness.example/north")


@cache
def owner() -> bytes:
    return ownership.sign(keys(), rooms.member("ward", "workload"), system_clock())


@cache
def committed() -> CommittedModel:
    ports = Port("x", 64), Port("y", 64)
    return CommittedModel(made.MODEL, made.COMMITMENT, bytes(32), 4, *ports, int(system_clock().timestamp()))


@cache
def payloads() -> dict[str, bytes]:
    """What an entry can attach, by its name there."""
    return {
        STATEMENT: sign_statement(committed(), rooms.member("ward", "workload")),
        serving_log.KEYSET: KEYSET.encode(),
        serving_log.EVIDENCE: EvidenceSet(Evidence("tdx", b"report")).encode(),
        "offer": statement.sign(b"an offer", rooms.member("keeper", "keeper")),
    }


@dataclass
class Files:
    """A log in memory."""

    files: dict[str, bytes] = field(default_factory=dict)

    def read(self, path: str) -> bytes | None:
        return self.files.get(path)


def written(events: list[Event]) -> tuple[Files, bytes]:
    """The log, and its checkpoint as a witness has cosigned it."""
    edge, files = Edge(), {f"{PAYLOADS}/{Attachment.of(one).sha256}": one for one in payloads().values()}
    for event in events:
        if (leaf := _leaf(event)) is not None:
            files |= {tile.path: content for tile, content in edge.append(leaf)}
    files |= {tile.path: content for tile, content in edge.partial()}
    checkpoint = Checkpoint(keys().origin, edge.size, edge.root())
    lines = tuple(signer.sign(checkpoint, START) for signer in keys().signers)
    files |= {OWNER: owner(), CHECKPOINT: Note(checkpoint.text(), lines).encode()}
    return Files(files), Note(checkpoint.text(), (*lines, witness().sign(checkpoint, START))).encode()


def _leaf(event: Event) -> bytes | None:
    attached = {name: Attachment.of(content) for name, content in event.attached.items()}
    return refused_or(lambda: entries.encode(START, event.kind, event.body, attached))


def seeds() -> list[bytes]:
    """What a server writes, whole and cut, what parties of a round do, and each field of another type than it has."""
    following = receipt(1, FIRST.digest())
    ended = serving_log.ServingEnded(KEYSET.digest(), 2, following.digest(), following.time)
    terms = serving_log.Terms("ward", made.MODEL, made.COMMITMENT, "tpm.pcr0=01", made.POLICY, made.PLAN)
    served = serving_log.Served(KEYSET, terms, made.NONCE, serving_log.PURPOSE)
    said = {name: getattr(committed(), name).hex() for name in ("model", "commitment", "program")}
    opened = {
        "origin": keys().origin,
        "certificate": rooms.member("ward", "workload").fingerprint.hex(),
        "keys": [key.encode() for key in keys().verifiers],
    }
    attempt = {"round": 1, "attempt": 0, "context": "aa" * 32}
    told = attempt | {"contributors": ["east", "north"]}
    answers = [
        serving_log.begun(served, payloads()[serving_log.EVIDENCE], []),
        serving_log.answered(FIRST, None),
        serving_log.answered(following, sign(following, made.key())),
        serving_log.ended(ended, made.key(), "stopped"),
    ]
    round_ = [
        Event("policy", {"name": "p", "digest": "bb"}),
        Event("round-opened", attempt, {"offer": payloads()["offer"]}),
        Event("key-release", told | {"enclave": "software", "isolation": "none"}),
        Event("round-finished", told | {"model": "cc"}),
        Event("round-void", attempt | {"reason": "late"}),
        Event("refusal", {"reason": "it was late", "silo": "east"}),
    ]
    first = Event("log-opened", opened)
    model = Event(KIND, said, {STATEMENT: payloads()[STATEMENT]})
    logs = [[first, model, *answers], [first, *answers[:2]], [model, answers[1]], [first, *round_]]
    mistyped = [
        [*log[:at], replace(event, body={**event.body, name: other}), *log[at + 1 :]]
        for log in (logs[0], logs[3])
        for at, event in enumerate(log)
        for name in event.body
        for other in ([], -1)
    ]
    return [b"\n".join(map(_line, log)) for log in (*logs, *mistyped)]


def one(data: bytes) -> None:
    """A line is an entry: its kind, the names of what it attaches, and its body. Nothing but a verdict or a refusal
    comes of it."""
    events = [event for line in data.split(b"\n")[:MOST_ENTRIES] if (event := _event(line)) is not None]
    source, cosigned = written(events)
    verdict = verify(source, Trusted(rooms.trust(), True), at=system_clock())
    assert all(check.detail or check.passed for check in verdict.checks)
    log = refused_or(lambda: PartyLog(source, rooms.trust(), clock=system_clock))
    assert log is not None or not events, "its keys and its owner are sound"
    if log is None:
        return
    refused_or(lambda: logged_answers(log, [FIRST.digest()], committed()))
    sample = refused_or(lambda: draw(log, cosigned, Terms((witness().verifier,), 1), lambda _done, _of: None))
    assert sample is None or (sample.population >= 1 and sample.drawn[0].entry < log.size)


def _line(event: Event) -> bytes:
    return f"{event.kind} {','.join(event.attached)} {json.dumps(dict(event.body))}".encode()


def _event(line: bytes) -> Event | None:
    kind, _, rest = line.decode("utf-8", "replace").partition(" ")
    names, _, text = rest.partition(" ")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    attached = {name: payloads()[name] for name in names.split(",") if name in payloads()}
    return Event(kind, body, attached) if isinstance(body, dict) else None
