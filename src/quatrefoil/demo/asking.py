"""The hospital that asks: every patient of both servers by turns, then one of each with somebody on the network.

Needs the extra ``serve``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.client import AsyncClient
from quatrefoil.client.receipt_folder import ReceiptFolder
from quatrefoil.demo import onnx_model
from quatrefoil.demo.processes import HOST
from quatrefoil.demo.ward import CLINIC, Ward
from quatrefoil.demo.wire_tap import tapped
from quatrefoil.errors import HostError
from quatrefoil.inference import InferRequest, decode_infer_response, encode_infer_request
from quatrefoil.web.client import WebClient

Patients = NDArray[np.float32]


@dataclass(frozen=True)
class Times:
    """Milliseconds: medians of single requests on connections that stand, and the first one with channel and
    evidence."""

    plain_ms: float
    ms: float
    first_ms: float


@dataclass(frozen=True)
class Tapped:
    """One request and its answer as the network saw them, from the first byte of a connection to its last.
    ``request_bytes``: of the request that was sent, before anything was done to it."""

    plain: bytes
    protected: bytes
    request_bytes: int


@dataclass(frozen=True)
class Answers:
    """Probabilities by patient, of each server. ``measurement``: of the code that answered, as it was appraised."""

    plain: NDArray[np.float64]
    protected: NDArray[np.float64]
    times: Times
    measurement: str


class Asking:
    """``plain`` and ``protected``: ports."""

    def __init__(self, ward: Ward, plain: int, protected: int, patients: Patients) -> None:
        self._ward, self._plain, self._protected = ward, plain, protected
        self._patients = patients
        self._path = f"/v2/models/{ward.policy.model.name}/infer"

    async def everybody(self, tell: Callable[[str], None]) -> Answers:
        """Each patient asked of both, the order alternating."""
        tell(f"{len(self._patients)} patients: each asked of both servers")
        found: tuple[list[float], list[float]] = ([], [])
        times: tuple[list[float], list[float]] = ([], [])
        async with WebClient(tls=None) as web, self._client(self._protected) as client:
            begin = time.perf_counter()
            await self._ask_protected(client, self._patients[:1])
            first = time.perf_counter() - begin
            await self._ask_plain(web, self._plain, self._patients[:1])
            for number in range(len(self._patients)):
                patient = self._patients[number : number + 1]
                for one in ((0, 1), (1, 0))[number % 2]:
                    begin = time.perf_counter()
                    if one == 0:
                        found[0].append(await self._ask_plain(web, self._plain, patient))
                    else:
                        found[1].append(await self._ask_protected(client, patient))
                    times[one].append(time.perf_counter() - begin)
            assert client.attestation is not None
            measurement = client.attestation.measurement
        plain, protected = (1e3 * statistics.median(one) for one in times)
        return Answers(np.array(found[0]), np.array(found[1]), Times(plain, protected, 1e3 * first), measurement)

    async def tapped(self) -> Tapped:
        """The first patient asked of both once more. What is kept of the protected exchange lies with the ward:
        ``receipts``, ``request`` and ``answer``."""
        folder, patient = self._ward.folder, self._patients[:1]
        with tapped(self._plain) as plain, tapped(self._protected) as protected:
            async with WebClient(tls=None) as web:
                await self._ask_plain(web, plain.port, patient)
            fields, content = _request(patient)
            keep = ReceiptFolder(folder / "receipts")
            async with self._client(protected.port, on_receipt=keep) as client:
                answer = await client.request("POST", self._path, headers=fields, content=content)
                answer.raise_for_status()
            (folder / "request").write_bytes(content)
            (folder / "answer").write_bytes(answer.content)
            return Tapped(plain.seen, protected.seen, len(content))

    def _client(self, port: int, **more: Any) -> AsyncClient:
        ward = self._ward
        return AsyncClient(
            f"https://{HOST}:{port}",
            policy=ward.policy,
            collateral=ward.collateral,
            identity=ward.people[CLINIC],
            trust=ward.trust,
            **more,
        )

    async def _ask_protected(self, client: AsyncClient, patient: Patients) -> float:
        answer = await client.infer({onnx_model.INPUT: patient})
        return float(answer.outputs[onnx_model.OUTPUT][0])

    async def _ask_plain(self, web: WebClient, port: int, patient: Patients) -> float:
        answer = await web.request("POST", f"http://{HOST}:{port}{self._path}", *_request(patient))
        if answer.status != 200:
            raise HostError(f"the plain server answered {answer.status}", hint="Try again")
        return float(decode_infer_response(answer.headers, answer.content).outputs[onnx_model.OUTPUT][0])


def _request(patient: Patients) -> tuple[list[tuple[bytes, bytes]], bytes]:
    fields, content = encode_infer_request(InferRequest({onnx_model.INPUT: patient}, binary=True))
    return list(fields), content


__all__ = ["Answers", "Asking", "Tapped", "Times"]
