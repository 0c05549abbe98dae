"""A server "ward" of a model in integers: its answers over the inference protocol, its receipts and its log."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

import made_inferences as made
from float_models import numbers, perceptron
from quatrefoil import inference
from quatrefoil.audit import PartyLog
from quatrefoil.audit.inference_receipts import commit_answer, commit_request, read
from quatrefoil.inference import InferRequest, OnnxEngine
from quatrefoil.proven import CommittedModel, Exchange, Port, log_statement
from quatrefoil.proven.statement import sign_statement
from quatrefoil.quantised import IntegerGraph, encode, program_of, quantise
from quatrefoil.resources.container import FILE, reading, root_of
from world import START, TRUSTED, consortium, identity

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
        self.issuer = made.issuer(folder / "journal", self.log, clock, model=self.root)
        self.keyset = made.begun(self.issuer)

    def close(self) -> None:
        self.log.close()

    def answer(self, samples: Any, *, binary: bool = False, number: int = 0) -> Exchange:
        """One request of some samples; its receipt is logged with the next flush."""
        asked = InferRequest({self.graph.input.name: np.asarray(samples, "f4")}, binary=binary)
        _, request = inference.encode_infer_request(asked, binary=binary)
        _, answer = inference.encode_infer(asked, self.engine.infer(asked))
        return self.recorded(request, answer, number=number)

    def recorded(
        self,
        request: bytes,
        answer: bytes,
        *,
        status: int = 200,
        complete: bool = True,
        path: bytes = PATH,
        number: int = 0,
    ) -> Exchange:
        salt = hashlib.sha256(b"salt %d" % number + request).digest()
        given = commit_request(salt, b"POST", path, request), commit_answer(salt, status, answer)
        receipt = read(self.issuer.issue(*given, status, complete))
        return Exchange(receipt.encode(), salt, b"POST", path, request, answer)

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
            "output": Port(self.graph.output, self.graph.exponents[program.steps] + 64),
            "largest": program.takes_largest,
            "time": int(START.timestamp()),
        }
        return CommittedModel(**{**values, **changes})

    def end(self) -> None:
        """No receipt follows under the keyset."""
        self.issuer.flush()
        self.issuer.end()

    def state(self, signed: bytes | None = None) -> bytes:
        """Log the statement about the model; returns it."""
        signed = sign_statement(self.said(), self.identity) if signed is None else signed
        log_statement(self.log, signed)
        return signed
