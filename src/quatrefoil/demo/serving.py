"""What comes after the training: the model is sealed, served and asked, and each answer can be proven.

Beside it the same model is served plainly. Both are asked about the same patients by turns, and both connections are
tapped once. The receipt of one answer, and the server's whole log, are then checked by the commands that an auditor
uses; so is an answer that somebody changed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quatrefoil.demo import models, onnx_model, software_tpm
from quatrefoil.demo.data import Split
from quatrefoil.demo.models import Arrays
from quatrefoil.demo.ward import MODEL, SERVER, Ward
from quatrefoil.errors import HostError

PACKAGES = ("onnx", "onnxruntime", "uvicorn", "aiohttp")
INSTALL = "pip install 'quatrefoil[demo,serve]'; apt-get install swtpm tpm2-tools"
EVIDENCE, ISOLATION = "tpm", "none"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class View:
    """Whether ``what`` was found in a place: where the model is served plainly, and where it is protected."""

    place: str
    what: str
    plain: bool
    protected: bool


@dataclass(frozen=True)
class Served:
    """``hospital``: who asked. ``differing``: of ``predictions``, those that differ from the plain server's.
    ``difference``: the largest difference from the trained model's own probability, computed in double precision.

    ``plain_ms`` and ``ms``: medians of single requests on connections that stand; ``first_ms``: of the first, with
    channel and evidence. ``request_bytes`` became ``network_bytes``: everything that one connection moved for it, both
    ways. ``receipt``: number of the answer whose receipt was checked; ``tampered``: what is said of it beside an answer
    that was changed. ``log_entries`` and ``checks``: of the server's log, and the checks of it that passed.
    """

    hospital: str
    predictions: int
    differing: int
    difference: float
    plain_ms: float
    ms: float
    first_ms: float
    request_bytes: int
    network_bytes: int
    root: str
    measurement: str
    receipt: int
    tampered: str
    log_entries: int
    checks: int
    views: tuple[View, ...]
    seconds: float

    @property
    def ratio(self) -> float:
        return self.ms / self.plain_ms

    def as_json(self) -> dict[str, Any]:
        figures = asdict(self)
        seen = figures.pop("views")
        stated = {"evidence": EVIDENCE, "isolation": ISOLATION, "latency_ratio": self.ratio}
        return {**figures, **stated, "seen": seen}


def missing() -> list[str]:
    """What serving needs and is not installed: packages, then programs."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None] + software_tpm.missing()


def require_everything() -> None:
    """``HostError`` naming what is missing."""
    if absent := missing():
        raise HostError(f"serving the model needs {', '.join(absent)}: not installed", hint=INSTALL)


def serve_and_ask(model: Arrays, hospital: str, split: Split, *, tell: Tell) -> Served:
    """Serve ``model`` on this machine, and ask it about the held-out patients of ``hospital``."""
    require_everything()
    from quatrefoil.demo.asking import Asking  # what it stands on is an extra

    begin = time.perf_counter()
    patients = np.asarray(split.test[0], dtype=np.float32)
    with software_tpm.software_tpm() as tcti, tempfile.TemporaryDirectory() as name, Ward(Path(name), tcti) as ward:
        tell("a machine with a TPM in software, and a broker: sealing the trained model to it")
        ward.start_broker()
        ward.seal(onnx_model.encode(model))
        tell("quatrefoil serve: the broker releases the model's key to the machine's evidence")
        asking = Asking(ward, *ward.start_servers(), patients)
        answers = asyncio.run(asking.everybody(tell))
        tapped = asyncio.run(asking.tapped())
        tell("checking the receipt, the log, and an answer that was changed")
        ward.stop(SERVER)
        record = patients[:1].tobytes()
        network = View("the network", "a patient's record", record in tapped.plain, record in tapped.protected)
        own = models.predict_probability(model, split.test[0])
        return Served(
            hospital=hospital,
            predictions=len(patients),
            differing=int(np.sum((answers.plain >= 0.5) != (answers.protected >= 0.5))),
            difference=float(np.abs(answers.protected - own).max()),
            **asdict(answers.times),
            request_bytes=tapped.request_bytes,
            network_bytes=len(tapped.protected),
            root=ward.policy.model.root.hex(),
            measurement=answers.measurement,
            **_check(ward),
            views=(network, *_on_disk(ward, model, record)),
            seconds=time.perf_counter() - begin,
        )


def _on_disk(ward: Ward, model: Arrays, record: bytes) -> tuple[View, ...]:
    weights = np.asarray(model[0], dtype=np.float32).tobytes()
    sealed = [weights in (ward.folder / name).read_bytes() for name in ("heart.onnx", "heart.sealed")]
    state = [one for one in (ward.folder / "ward-state").rglob("*") if one.is_file()]
    kept = [
        any(record in one.read_bytes() for one in files)
        for files in ([ward.folder / "plain.out"], [ward.folder / f"{SERVER}.out", *state])
    ]
    return (
        View("the model's file", "its weights", *sealed),
        View("output and log of the server", "a patient's record", *kept),
        View("who runs the server's machine", "everything", True, True),
    )


def _check(ward: Ward) -> Mapping[str, Any]:
    """What an auditor does with the kept receipt and the server's log."""
    (receipt,) = (ward.folder / "receipts").glob("*.receipt")
    held_to = ["--trust", "root.pem", "--appraisal", "machine.toml", "--collateral", "collateral"]
    exchanged = ["--request", "request", "--path", f"/v2/models/{MODEL}/infer", "--answer"]
    looked_at = ["audit", "receipt", str(receipt), "--log", "ward-state", *held_to, *exchanged]
    ward.begin("audit-verify", "audit", "verify", "ward-state", *held_to)
    said, log = ward.do("audit-receipt", *looked_at, "answer"), ward.done("audit-verify")
    changed = bytearray((ward.folder / "answer").read_bytes())
    changed[-1] ^= 1
    (ward.folder / "changed").write_bytes(changed)
    return {
        "receipt": said["receipt"]["sequence"],
        "tampered": ward.refused("audit-changed", *looked_at, "changed"),
        "log_entries": log["size"],
        "checks": sum(1 for one in log["checks"] if one["passed"]),
    }


__all__ = ["INSTALL", "Served", "View", "missing", "require_everything", "serve_and_ask"]
