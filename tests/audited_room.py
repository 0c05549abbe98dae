"""A server in audit mode over the network, and whoever may read what it records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from float_models import numbers, perceptron
from quatrefoil.client import Client, Inferred
from quatrefoil.exchange import ServingPolicy
from quatrefoil.quantised import onnx_form
from quatrefoil.quantised.compiler import quantise
from quatrefoil.serving.audited import AuditedModel
from quatrefoil.serving.model import engine_of
from quatrefoil.serving.oip import OipHandler
from quatrefoil.serving.record_reader import AnswerRecord, read_records
from quatrefoil.serving.record_writer import Recorder
from quatrefoil.transport import sealed, system_clock
from running_server import Running, running
from serving_parts import ISSUER, serving_policy
from support import Consortium

GRAPH = quantise(perceptron(), numbers(7, 40, 6))
FILE = onnx_form.encode(GRAPH)
KEY, OTHER = (sealed.RecipientKey.generate(sealed.HYBRID_768) for _ in range(2))
SAMPLES = numbers(11, 5, 6)
POLICY = serving_policy(model__name="graph")


@dataclass
class Audited:
    """A server in audit mode, and whoever may read what it records."""

    server: Running
    folder: Path
    people: Consortium
    model: AuditedModel
    policy: ServingPolicy = POLICY

    def client(self, **more: Any) -> Client:
        return Client(
            self.server.url,
            **more,
            policy=self.policy,
            collateral=self.server.collateral,
            identity=self.people.identity("hospital", "silo"),
            trust=self.people.trust,
        )

    def answers(self, *batches: Any) -> list[Inferred]:
        with self.client() as client:
            return [client.infer({"x": batch}) for batch in batches]

    def read(self, **changes: Any) -> list[AnswerRecord]:
        given: dict[str, Any] = {"key": KEY, "trust": self.people.trust, "sender": ISSUER, "clock": system_clock}
        self.told: list[str] = []
        return list(read_records(self.folder, self.model.field_hash, report=self.told.append, **(given | changes)))

    @property
    def file(self) -> Path:
        (found,) = self.folder.iterdir()
        return found


@contextmanager
def audited(people: Consortium, folder: Path, file: bytes = FILE, policy: ServingPolicy = POLICY) -> Iterator[Audited]:
    model = AuditedModel(file)
    recorder = Recorder(
        folder / "recorded",
        model,
        recipients=[KEY.recipient],
        sender=lambda: people.identity(ISSUER, "workload"),
        clock=system_clock,
    )
    handler = OipHandler(engine_of(file, policy, threads=1), policy, recorder=recorder)
    with running(people, folder / "server", policy=policy, handler=handler, recorder=recorder) as server:
        yield Audited(server, folder / "recorded", people, model, policy)
