"""A server "ward" of a model in integers: its answers over the inference protocol, its receipts and its log."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import made_inferences as made
from float_models import numbers, perceptron
from identities import START, TRUSTED, consortium, identity
from quatrefoil.audit import PartyLog
from quatrefoil.audit.computations import computation, opening_keys
from quatrefoil.audit.inference_receipts import commit_answer, commit_request, read
from quatrefoil.enclave.binding import Keyset
from quatrefoil.inference import InferRequest, OnnxEngine
from quatrefoil.proofs.field_hash import field_hash
from quatrefoil.proven import CommittedModel, Port, Recorded, log_statement
from quatrefoil.proven.statement import read_statement, sign_statement
from quatrefoil.quantised import IntegerGraph, encode, enter, program_of, quantise
from quatrefoil.resources.container import FILE, reading, root_of
from quatrefoil.serving.audited import AuditedModel, Trace
from quatrefoil.serving.receipts import Computed, ReceiptIssuer
from quatrefoil.serving.record_writer import Recorder
from quatrefoil.transport import sealed

PATH = b"/v2/models/heart/infer"
ROOT = b"c" * 32
"""Of a commitment that nobody opens: for what is checked before any proof is looked at."""


def small_graph(seed: int = 1) -> IntegerGraph:
    return quantise(perceptron(seed=seed), numbers(seed, 40, 6))


def clock() -> Any:
    return START


def trust() -> Any:
    return consortium(TRUSTED).trust


class Ward:
    """``folder``: for model, journal and log. The log stays open until :meth:`close`."""

    def __init__(self, folder: Path, graph: IntegerGraph) -> None:
        self.folder = folder
        self.graph = graph
        self.identity = identity("ward", "workload")
        self.model = folder / "integers.onnx"
        if not self.model.exists():
            self.model.write_bytes(encode(graph))
        with reading(self.model, FILE, salt=None) as content:
            self.root = root_of(content)
        self.engine = OnnxEngine(self.model.read_bytes(), name="heart")
        self.log = made.server_log(folder / "state", clock)
        self.commitment = ROOT
        """That receipts name, from the first one on: :meth:`state` says another."""
        self.recorder: Recorder | None = None

    @cached_property
    def issuer(self) -> ReceiptIssuer:
        return made.issuer(self.folder / "journal", self.log, clock, model=self.root, commitment=self.commitment)

    @cached_property
    def keyset(self) -> Keyset:
        return made.begun(self.issuer)

    def audit(self, records: Path, prover: sealed.Recipient) -> None:
        """Keep records for ``prover`` from now on."""
        model = AuditedModel(self.model.read_bytes())
        self.recorder = Recorder(records, model, recipients=[prover], sender=lambda: self.identity, clock=clock)
        self.recorder.begin(self.keyset)

    def close(self) -> None:
        if self.recorder is not None:
            self.recorder.close()
        self.log.close()

    def answer(self, samples: Any, *, number: int = 0, **changes: Any) -> Recorded:
        """One request of some samples, answered in audit mode; its receipt is logged with the next flush."""
        given = np.asarray(samples, "f4")
        found = next(iter(self.engine.infer(InferRequest({self.graph.input.name: given})).outputs.values()))
        inputs = enter(self.graph, given)
        scaled = np.ldexp(np.asarray(found, np.float64), self.graph.exponents[-1])
        return self.recorded(inputs, np.rint(scaled).astype(np.int32).reshape(len(given), -1), number=number, **changes)

    def recorded(
        self,
        inputs: Any,
        outputs: Any,
        *,
        number: int = 0,
        status: int = 200,
        complete: bool = True,
        audit: bool = True,
    ) -> Recorded:
        """A receipt that commits to these integers, whatever they are."""
        salt = hashlib.sha256(b"salt %d" % number + np.asarray(inputs).tobytes()).digest()
        keys = opening_keys(salt)
        keyset = self.keyset
        asked, answered = commit_request(salt, b"POST", PATH, b"{}"), commit_answer(salt, status, b"{}")
        low, high = self.graph.input.low, self.graph.input.high
        said = computation(field_hash(inputs.shape[1], low, high), inputs, outputs, keys)
        kept: list[bytes] = []
        computed = Computed(said, kept.append) if audit else None
        if self.recorder is not None:
            computed = self.recorder.computed(Trace(inputs, outputs), salt, keyset)
        signed = self.issuer.issue(asked, answered, status, complete, keyset=keyset, computed=computed)
        return Recorded(read(signed), inputs, outputs, keys)

    def logged(self) -> PartyLog:
        """The log as an auditor finds it."""
        self.issuer.flush()
        return PartyLog.in_folder(self.folder / "state" / "log", trust(), clock=clock)

    def said(self, **changes: Any) -> CommittedModel:
        program = program_of(self.graph)
        values: dict[str, Any] = {
            "model": self.root,
            "commitment": ROOT,
            "program": program.digest,
            "openings": 8,
            "input": Port(self.graph.input.name, self.graph.exponents[0] + 64),
            "output": Port(self.graph.output, self.graph.exponents[-1] + 64),
            "time": int(START.timestamp()),
        }
        return CommittedModel(**{**values, **changes})

    def end(self) -> None:
        """No receipt follows under the keyset."""
        self.issuer.flush()
        self.issuer.end()

    def state(self, signed: bytes | None = None) -> bytes:
        """Log the statement about the model, whose commitment receipts name from now on; returns it."""
        signed = sign_statement(self.said(), self.identity) if signed is None else signed
        self.commitment = read_statement(signed).commitment
        log_statement(self.log, signed)
        return signed
