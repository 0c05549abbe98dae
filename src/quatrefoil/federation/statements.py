"""The statement that follows from what a party knows of a job, and where two of them differ: aggregator and silos each
make their own from their own state, by the same function."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil import _core
from quatrefoil.audit import provenance
from quatrefoil.audit.commitments import file_digest
from quatrefoil.audit.manifest import Header, Manifest
from quatrefoil.audit.model_file import measure_arrays
from quatrefoil.audit.provenance import Statement
from quatrefoil.errors import MessageRefused
from quatrefoil.federation.accounts import RoundAccount, RoundRefusals
from quatrefoil.federation.messages import Job
from quatrefoil.federation.vectors import MODEL_DOMAIN, ArrayLayout, Layout
from quatrefoil.policy import Policy

Arrays = Sequence[NDArray[np.floating]]

_TYPES = {"<f4": "float32", "<f8": "float64"}


def manifest_of(arrays: Arrays) -> Manifest:
    """The manifest of a job's model: tensors called ``arr_0``, ``arr_1``, ..., as its ``.npz`` file has them."""
    return measure_arrays(list(arrays))


def statement_of(
    job: Job,
    policy: Policy,
    models: tuple[Manifest, Manifest],
    finished: Sequence[RoundAccount],
    refused: Sequence[RoundRefusals],
    software: provenance.Software,
    times: tuple[datetime, datetime],
) -> Statement:
    """The statement that follows from these values; ``models``: the first and the last."""
    initial, final = models
    training = provenance.Training(
        job=provenance.Job(job.name, job.digest(), job.policy, job.plan),
        parameters=provenance.Parameters(
            rounds=job.rounds,
            clip=job.clip,
            scheme=job.scheme,
            scheme_digest=job.scheme_digest,
            proofs=job.proofs,
            insecure=tuple(sorted(policy.accept_insecure)),
            update_norm=None if np.isinf(job.update_norm) else job.update_norm,
        ),
        layout=final.header,
        initial=provenance.Initial(job.model, provenance.ModelDigests.of(initial), job.parent or None),
        aggregator=provenance.Signer(job.aggregator.name, job.aggregator.fingerprint),
        keeper=None if job.members else provenance.Signer(job.keeper.name, job.keeper.fingerprint),
        silos=tuple(
            provenance.Silo(one.name, one.fingerprint, one.samples, one.data or None, one.code or None)
            for one in job.roster
        ),
        rounds=tuple(
            provenance.Round(
                number=one.number,
                attempt=one.attempt,
                context=one.context,
                contributors=one.contributors,
                refused=tuple(map(provenance.Refused, others.silos, others.reasons)),
                release=one.release,
                mean=one.mean,
                model=one.model,
                update_norm=None if np.isinf(one.update_norm) else one.update_norm,
            )
            for one, others in zip(finished, refused, strict=False)
        ),
        software=software,
        started_on=times[0].replace(microsecond=0),
        finished_on=times[1],
    )
    return Statement.about(training, final)


def difference(said: Any, known: Any, where: str) -> str | None:
    """The first field in which two values of one form differ, as a path; None where they are equal."""
    if said == known:
        return None
    if dataclasses.is_dataclass(said) and type(said) is type(known):
        for field in dataclasses.fields(said):
            inner = f"{where}.{field.name}" if where else field.name
            if (found := difference(getattr(said, field.name), getattr(known, field.name), inner)) is not None:
                return found
    if isinstance(said, tuple) and isinstance(known, tuple) and len(said) == len(known):
        for at, (one, other) in enumerate(zip(said, known, strict=True)):
            if (found := difference(one, other, f"{where}[{at}]")) is not None:
                return found
    return where or "everything"


def own_software() -> provenance.Software:
    file = getattr(_core, "__file__", None)
    kernel = None if file is None else file_digest(Path(file))
    return provenance.Software(metadata.version("quatrefoil"), kernel)


class JobDigest:
    """The digest by which a job names a model, computed while its file is measured (``measure_file``)."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(MODEL_DOMAIN)
        self._possible = False

    def watch(self, header: Header) -> Callable[[bytes], None]:
        """What each piece of the canonical bytes is given to."""
        types = {name: dtype for dtype, name in _TYPES.items()}
        try:
            arrays = tuple(ArrayLayout(one.shape, types[one.dtype]) for one in header.tensors)
            self._hash.update(Layout(arrays).digest())
            self._possible = True
        except (KeyError, MessageRefused):  # no job makes such a model
            self._possible = False
        return self._hash.update

    @property
    def value(self) -> bytes | None:
        """32 bytes once the whole file was read; None for a model that no job could have made."""
        return self._hash.digest() if self._possible else None
